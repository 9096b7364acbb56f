/* y = x W^T + b with W in int8 by output row and x quantized to int8 by row, on the fly.
   The integer product is exact, so its result does not depend on how many rows are computed at once: the same token gives
   the same bits in a batch of one, in a verified draft and in a prefill. */
#include "native.h"

/* q [digits m, k] int8, s [m] from x [m, k]: the first digits of all rows, then their second ones */
void quantize_rows(const float *x, int8_t *q, float *s, int64_t m, int64_t k, int64_t digits) {
#pragma omp parallel for schedule(static) if (m > 4)
  for (int64_t i = 0; i < m; i++) {
    s[i] = quantize_row(x + i * k, q + i * k, k);
    if (digits == 2) second_digit(x + i * k, q + i * k, s[i], q + (m + i) * k, k);
  }
}

/* One output: the product of the first digits, and of the second ones where there are two */
static inline float scaled(int32_t high, int32_t low, float s, int64_t digits) {
  return digits == 2 ? (float)high * s + (float)low * (s / 254.0f) : (float)high * s;
}

/* y [m, n] from the integer product acc [digits m, n] */
void dequantize(const int32_t *acc, const float *sx, const float *sw, const float *bias, float *y, int64_t m, int64_t n,
                int64_t digits) {
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < m; i++) {
    const int32_t *a = acc + i * n, *b = digits == 2 ? acc + (m + i) * n : a;
    float *o = y + i * n;
    float s = sx[i];
    if (bias) {
#pragma omp simd
      for (int64_t j = 0; j < n; j++) o[j] = scaled(a[j], b[j], s * sw[j], digits) + bias[j];
    } else {
#pragma omp simd
      for (int64_t j = 0; j < n; j++) o[j] = scaled(a[j], b[j], s * sw[j], digits);
    }
  }
}

/* Bytes of weights asked for ahead of use. The processor's own prefetcher stops at the end of a 4 KB page: asking one page ahead took
   a single row's product from 24 to 30 GB/s, all that the memory gives, on two cores of a Sapphire Rapids Xeon. */
#define AHEAD 4096

#if defined(__AVX512VNNI__) && !defined(DSASSIST_PORTABLE)
/* MB activations against one weight row. vpdpbusd multiplies unsigned by signed bytes, so activations come with 128 added
   and 128 * sum(w), gathered in the same pass, is taken off again. */
#define DOT_ROWS(MB)                                                                                                    \
  static inline void dot_rows_##MB(const uint8_t *q, const int8_t *w, int64_t k, int32_t *out) {                       \
    __m512i acc[MB], sum = _mm512_setzero_si512();                                                                     \
    const __m512i one = _mm512_set1_epi8(1);                                                                           \
    for (int j = 0; j < MB; j++) acc[j] = _mm512_setzero_si512();                                                      \
    int64_t i = 0;                                                                                                     \
    for (; i + 64 <= k; i += 64) {                                                                                     \
      __m512i v = _mm512_loadu_si512(w + i);                                                                           \
      __builtin_prefetch(w + i + AHEAD);                                                                               \
      sum = _mm512_dpbusd_epi32(sum, one, v);                                                                          \
      for (int j = 0; j < MB; j++) acc[j] = _mm512_dpbusd_epi32(acc[j], _mm512_loadu_si512(q + j * k + i), v);         \
    }                                                                                                                  \
    if (i < k) {                                                                                                       \
      __mmask64 rest = ((__mmask64)1 << (k - i)) - 1;                                                                  \
      __m512i v = _mm512_maskz_loadu_epi8(rest, w + i);                                                                \
      sum = _mm512_dpbusd_epi32(sum, one, v);                                                                          \
      for (int j = 0; j < MB; j++)                                                                                     \
        acc[j] = _mm512_dpbusd_epi32(acc[j], _mm512_maskz_loadu_epi8(rest, q + j * k + i), v);                         \
    }                                                                                                                  \
    int32_t shift = 128 * _mm512_reduce_add_epi32(sum);                                                                \
    for (int j = 0; j < MB; j++) out[j] = _mm512_reduce_add_epi32(acc[j]) - shift;                                     \
  }
#define UNSIGNED_ACTIVATIONS 1
typedef uint8_t activation;
#else
#define DOT_ROWS(MB)                                                                                                    \
  static inline void dot_rows_##MB(const int8_t *q, const int8_t *w, int64_t k, int32_t *out) {                        \
    for (int j = 0; j < MB; j++) {                                                                                     \
      int32_t acc = 0;                                                                                                 \
      const int8_t *a = q + j * k;                                                                                     \
      if (j == 0)                                                                                                      \
        for (int64_t i = 0; i < k; i += 64) __builtin_prefetch(w + i + AHEAD);                                         \
      _Pragma("omp simd reduction(+ : acc)") for (int64_t i = 0; i < k; i++) acc += (int16_t)a[i] * (int16_t)w[i];      \
      out[j] = acc;                                                                                                    \
    }                                                                                                                  \
  }
#define UNSIGNED_ACTIVATIONS 0
typedef int8_t activation;
#endif

DOT_ROWS(1)
DOT_ROWS(2)
DOT_ROWS(4)
DOT_ROWS(8)
DOT_ROWS(16)

/* For few rows (m <= 32): every weight is read once. x [m, k] fp32, w [n, k] int8, y [m, n] fp32; q [digits m, k] and sx [m] are
   scratch. */
void int8_linear_few(const float *x, const int8_t *w, const float *sw, const float *bias, float *y, int8_t *scratch,
                     float *sx, int64_t m, int64_t n, int64_t k, int64_t digits) {
#pragma omp parallel for schedule(static) if (m > 1)
  for (int64_t i = 0; i < m; i++) {
    int8_t *high = scratch + i * k, *low = scratch + (m + i) * k;
    sx[i] = quantize_row(x + i * k, high, k);
    if (digits == 2) second_digit(x + i * k, high, sx[i], low, k);
    if (UNSIGNED_ACTIVATIONS) { /* add 128 */
      for (int64_t j = 0; j < k; j++) high[j] ^= (int8_t)0x80;
      if (digits == 2)
        for (int64_t j = 0; j < k; j++) low[j] ^= (int8_t)0x80;
    }
  }
  const activation *q = (const activation *)scratch;
  int64_t rows = digits * m;
  /* pieces of about 64 KB, taken as threads come free: a core that is held up by something else does not hold up the others */
  int64_t piece = k < 65536 ? 65536 / k : 1;
#pragma omp parallel for schedule(dynamic, piece)
  for (int64_t r = 0; r < n; r++) {
    const int8_t *row = w + r * k;
    int32_t acc[64];
    int64_t i = 0;
    for (; i + 16 <= rows; i += 16) dot_rows_16(q + i * k, row, k, acc + i);
    if (i + 8 <= rows) { dot_rows_8(q + i * k, row, k, acc + i); i += 8; }
    if (i + 4 <= rows) { dot_rows_4(q + i * k, row, k, acc + i); i += 4; }
    if (i + 2 <= rows) { dot_rows_2(q + i * k, row, k, acc + i); i += 2; }
    if (i < rows) dot_rows_1(q + i * k, row, k, acc + i);
    for (i = 0; i < m; i++) {
      float v = scaled(acc[i], acc[rows - m + i], sx[i] * sw[r], digits);
      y[i * n + r] = bias ? v + bias[r] : v;
    }
  }
}
