/* Layers on packed weights: what PyTorch calls. How they are laid out and multiplied: packed.h. */
#include "packed.h"

/* Rows that take little longer than one, since reading the weights takes longer than their arithmetic. Eight cost 1.5 times one on a
   Sapphire Rapids Xeon, all of a model's pass counted, and sixteen 2 times: guesses pay most at eight. */
int64_t cheap_rows(void) {
#if WIDE
  return 8;
#else
  return 4;
#endif
}

/* y [m, n] = norm(x) W^T + bias + residual; norm, bias and residual may be null. scratch: activation_bytes(m, k).
   Returns 0, or -1 without memory. */
int packed_linear(const float *x, const float *norm, const uint8_t *w, const float *bias, const float *residual, float *y,
                  void *scratch, int64_t m, int64_t n, int64_t k, int64_t lines, float eps) {
  activations a = placed(scratch, m, k, lines);
  quantize(&a, x, norm, eps);
  return multiply_rows(&a, w, lines, bias, residual, y, n);
}

typedef struct {
  const activations *a, *h;
  const uint8_t *w;
  int64_t lines, chunk;
  const runs *groups;
  int amx, failed;
} gating;

static void gate_piece(void *context, int64_t number) {
  gating *z = context;
  const activations *a = z->a;
  int64_t part = number / z->groups->count, run = number % z->groups->count;
  int64_t panels = (a->m + ROWS - 1) / ROWS, first = part * z->chunk, last = first + z->chunk < panels ? first + z->chunk : panels;
  int64_t from = first * ROWS, to = last * ROWS < a->m ? last * ROWS : a->m, size = z->chunk * ROWS * ROWS;
  int64_t stride = tile_bytes(z->lines) * (a->k / TILE);
  float *out = own_memory((size_t)(4 * size) * sizeof(float)), middle[GROUP];
  if (!out) {
    z->failed = 1;
    return;
  }
  begin(z->amx);
  for (int64_t g = z->groups->first[run]; g < z->groups->first[run + 1]; g++) {
    for (int j = 0; j < 4; j++) block_product(z->w + (4 * g + j) * stride, z->lines, a, first, last, z->amx, out + j * size);
    for (int64_t row = from; row < to; row++) {
      for (int side = 0; side < 2; side++) {
        const float *gate = out + side * size + (row - from) * ROWS, *raised = gate + 2 * size;
#pragma omp simd
        for (int r = 0; r < ROWS; r++) middle[side * ROWS + r] = silu_times(gate[r], raised[r]);
      }
      store_group(z->h, row, g, middle);
    }
  }
  end(z->amx);
}

/* y [m, k] = residual + down(silu(gate(h)) * up(h)), h = norm(x). wgu [2 i, k] has 32 rows of gate and 32 of up in turn: together
   they make one group of the middle's columns, which goes to int8 while it is in the cache.
   scratch: activation_bytes(m, k) + activation_bytes(m, i). Returns 0, or -1 without memory. */
int packed_mlp(const float *x, const float *norm, const uint8_t *wgu, const uint8_t *wd, const float *residual, float *y, void *scratch,
               int64_t m, int64_t k, int64_t i, int64_t lines, int64_t down_lines, float eps) {
  activations a = placed(scratch, m, k, lines), h = placed((char *)scratch + activation_bytes(m, k), m, i, down_lines);
  quantize(&a, x, norm, eps);
  int64_t panels = (m + ROWS - 1) / ROWS, chunk = panels_at_once(panels, k);
  runs groups;
  share_blocks(&groups, i / GROUP, 4 * tile_bytes(lines) * (k / TILE));
  gating z = {&a, &h, wgu, lines, chunk, &groups, use_amx(m), 0};
  in_parallel(gate_piece, &z, (panels + chunk - 1) / chunk * groups.count);
  return z.failed ? -1 : multiply_rows(&h, wd, down_lines, 0, residual, y, k);
}

/* Rows index [t] of packed w as float: y [t, k] */
void packed_rows(const uint8_t *w, const int64_t *index, float *y, int64_t t, int64_t k, int64_t lines) {
  int64_t stride = tile_bytes(lines) * (k / TILE), bits = bits_of(lines);
  for (int64_t i = 0; i < t; i++) {
    int64_t lane = index[i] % ROWS;
    const uint8_t *tile = w + index[i] / ROWS * stride;
    for (float *o = y + i * k; o < y + (i + 1) * k; o += TILE, tile += tile_bytes(lines))
      for (int half = 0; half < 2; half++) {
        const uint8_t *low = tile + low_at(lines) + half * 4 * LINE, *high = tile + high_at(lines) + half * (bits - 4) * LINE;
        float base = has_base(lines) ? half_at(tile + LINE, half * ROWS + lane) : 0.0f;
        for (int t4 = 0; t4 < 8; t4++) {
          float scale = by_halves(lines) ? half_at(tile + half * LINE, t4 / 4 * ROWS + lane) : half_at(tile, half * ROWS + lane);
          for (int j = 0; j < 4; j++) {
            int64_t at = 4 * lane + j;
            int v = t4 < 4 ? low[t4 * LINE + at] & 0x0F : low[(t4 - 4) * LINE + at] >> 4;
            if (bits == 5) v |= (high[at] >> t4 & 1) << 4;
            if (bits == 6) v |= (high[(t4 / 4) * LINE + at] >> 2 * (t4 % 4) & 3) << 4;
            if (bits == 8) v |= (high[(t4 % 4) * LINE + at] >> (t4 < 4 ? 0 : 4) & 15) << 4;
            o[half * GROUP + 4 * t4 + j] = has_base(lines) ? (float)v * scale + base : (float)(v - (1 << (bits - 1))) * scale;
          }
        }
      }
  }
}
