/* The elementwise middle of a gated feed-forward layer: h = silu(gate) * up, between two INT8 products.
   Both entries scale with the same expression, so few and many rows give the same bits. */
#include <stdlib.h>
#include "../int8_linear/cpu.c"

/* h [m, i] from the scaled product y [m, 2 i]: the gate's half first */
static void swiglu(const float *y, float *h, int64_t m, int64_t i) {
#pragma omp parallel for collapse(2) schedule(static)
  for (int64_t r = 0; r < m; r++)
    for (int64_t b = 0; b < i; b += 1024) {
      const float *gate = y + r * 2 * i, *up = gate + i;
      float *o = h + r * i;
      int64_t end = b + 1024 < i ? b + 1024 : i;
#pragma omp simd
      for (int64_t j = b; j < end; j++) o[j] = silu_times(gate[j], up[j]);
    }
}

/* q [2 m, i] int8 (two digits a row) and sq [m] from the integer product acc [m, 2 i]. Returns 0, or -1 without memory. */
int swiglu_quantize(const int32_t *acc, const float *sx, const float *sw, int8_t *q, float *sq, int64_t m, int64_t i) {
  int failed = 0;
#pragma omp parallel
  {
    float *h = malloc((size_t)i * sizeof(float));
    if (!h) {
#pragma omp atomic write
      failed = 1;
    }
#pragma omp for schedule(static)
    for (int64_t r = 0; r < m; r++) {
      if (!h) continue;
      const int32_t *gate = acc + r * 2 * i, *up = gate + i;
      const float *sg = sw, *su = sw + i;
      float s = sx[r];
#pragma omp simd
      for (int64_t j = 0; j < i; j++) h[j] = silu_times((float)gate[j] * (s * sg[j]), (float)up[j] * (s * su[j]));
      sq[r] = quantize_row(h, q + r * i, i);
      second_digit(h, q + r * i, sq[r], q + (m + r) * i, i);
    }
    free(h);
  }
  return failed ? -1 : 0;
}

/* The whole layer for few rows (m <= 32): x [m, k] -> y [m, k]. middle [m, 2 i], h [m, i], q [2 m, max(k, i)] and s [m] are scratch. */
void int8_mlp_few(const float *x, const int8_t *wgu, const float *sgu, const int8_t *wd, const float *sd, float *y,
                  float *middle, float *h, int8_t *q, float *s, int64_t m, int64_t k, int64_t i) {
  int8_linear_few(x, wgu, sgu, 0, middle, q, s, m, 2 * i, k, 1);
  swiglu(middle, h, m, i);
  int8_linear_few(h, wd, sd, 0, y, q, s, m, k, i, 2);
}
