/* The matrix instructions that packed.h uses, in plain C, for tests on processors without them. Slow. */
#ifndef DSASSIST_EMULATED_AMX_H
#define DSASSIST_EMULATED_AMX_H

#include <stdint.h>
#include <string.h>

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbssd

static _Thread_local struct { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } tile_shapes;
static _Thread_local int8_t tile_data[8][16][64];

static void emulated_load(int t, const void *from, int64_t stride) {
  memset(tile_data[t], 0, sizeof tile_data[t]);
  for (int r = 0; r < tile_shapes.rows[t]; r++) memcpy(tile_data[t][r], (const char *)from + r * stride, tile_shapes.bytes[t]);
}

static void emulated_store(int t, void *to, int64_t stride) {
  for (int r = 0; r < tile_shapes.rows[t]; r++) memcpy((char *)to + r * stride, tile_data[t][r], tile_shapes.bytes[t]);
}

/* c [m, n] += a [m, 4 k] b [k, n, 4] */
static void emulated_products(int c, int a, int b) {
  for (int m = 0; m < tile_shapes.rows[c]; m++) {
    int32_t sums[16];
    memcpy(sums, tile_data[c][m], sizeof sums);
    for (int n = 0; n < tile_shapes.bytes[c] / 4; n++)
      for (int k = 0; k < tile_shapes.bytes[a]; k++) sums[n] += tile_data[a][m][k] * tile_data[b][k / 4][4 * n + k % 4];
    memcpy(tile_data[c][m], sums, sizeof sums);
  }
}

#define _tile_loadconfig(SHAPES) memcpy(&tile_shapes, SHAPES, sizeof tile_shapes)
#define _tile_release() ((void)0)
#define _tile_zero(T) memset(tile_data[T], 0, sizeof tile_data[T])
#define _tile_loadd(T, FROM, STRIDE) emulated_load(T, FROM, STRIDE)
#define _tile_stored(T, TO, STRIDE) emulated_store(T, TO, STRIDE)
#define _tile_dpbssd(C, A, B) emulated_products(C, A, B)

#endif
