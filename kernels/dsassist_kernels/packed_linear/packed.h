/* Products with weights packed in 4, 5, 6 or 8 bits, a scale per 32 or 16 columns; activations in int8, a scale per 32 columns.

   Weights: blocks of 16 rows, each a run of tiles of 64 columns (two groups of 32). A tile is some lines of 64 bytes, and how many
   tells its format: 9, 11, 13 and 17 are 4, 5, 6 and 8 bits; 10 and 12 are 4 and 5 bits with a base, which is added to each value
   of a group (q * scale + base, q from 0 on; elsewhere q lies around 0); 14 is 6 bits with a scale per 16 columns.
     1 line      scales, fp16: 16 rows of the first group, 16 of the second; with a scale per 16 columns a line for each group:
                 16 rows of its first half, 16 of its second
     1 line      where there are bases: laid out as the scales
     8 lines     low four bits: for each group 4 vectors of 64 bytes; vector t holds columns 4 t .. 4 t + 3 of 16 rows in its
                 low halves (byte 4 r + c), columns 16 + 4 t .. in its high halves
     2 lines     a further bit: for each group one vector a bit (5 bits: bit t of a byte belongs to columns 4 t ..; 6 bits: two
                 vectors, for t < 4 and t >= 4, two bits each; 8 bits: the high halves, laid out as the low ones, 8 lines in all)
   Unpacked, one group is eight vectors v[t] of 16 rows x 4 columns of unsigned bytes: what vpdpbusd multiplies, and what an
   AMX tile of 8 rows holds.

   Activations: panels of 16 rows, q [panel, group, 16, 32] int8, s [panel, group, 16] float, and c [panel, group, 16] int32:
   -offset * sum(q), which makes the weights' bytes signed again, or sum(q), which bases are multiplied with. Beside weights with
   a scale per 16 columns it is [panel, group, 2, 16], a sum for each half.

   Every way of computing sums a group exactly in int32 and then adds groups in the same order with the same expression: the
   same row gives the same bits in a batch of one, in a verified draft and in a prefill, with AMX and without. */
#ifndef DSASSIST_PACKED_H
#define DSASSIST_PACKED_H

#include "../native.h"

#define GROUP 32
#define ROWS 16
#define TILE 64
#define LINE 64
#define AHEAD 8192
#define INLINE static inline __attribute__((always_inline))

#if !defined(DSASSIST_PORTABLE) && defined(__AVX512VNNI__) && defined(__AVX512BW__)
#define WIDE 1
#elif !defined(DSASSIST_PORTABLE) && defined(__AVX2__) && defined(__F16C__) && defined(__FMA__)
#include <immintrin.h>
#define HALF 1
#endif

#if WIDE && defined(DSASSIST_EMULATED_AMX)
#define AMX 1
#include "emulated_amx.h"
#elif WIDE && defined(__AMX_INT8__) && defined(__linux__) && !defined(DSASSIST_NO_AMX)
#define AMX 1
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* What a format is, by the lines of a tile */
INLINE int bits_of(int64_t lines) { return lines < 11 ? 4 : lines < 13 ? 5 : lines < 15 ? 6 : 8; }
INLINE int has_base(int64_t lines) { return lines == 10 || lines == 12; }
INLINE int by_halves(int64_t lines) { return lines == 14; }
INLINE int64_t low_at(int64_t lines) { return LINE * (1 + has_base(lines) + by_halves(lines)); }
INLINE int64_t high_at(int64_t lines) { return low_at(lines) + 8 * LINE; }
INLINE int64_t tile_bytes(int64_t lines) { return LINE * lines; }

/* Ask for the tile that is AHEAD of w, into the second-level cache. Asked for into the first, there are more requests than it keeps open
   where a tile takes long, and with several rows, or six bits, a core read a fifth to a third less a second (Zen 4). */
INLINE void fetch_ahead(int64_t lines, const uint8_t *w) {
  for (int64_t line = 0; line < lines; line++) __builtin_prefetch(w + AHEAD + line * LINE, 0, 2);
}

typedef struct {
  int8_t *q;
  float *s;
  int32_t *c;
  int64_t m, k;
  int32_t offset;
  int halves; /* sums that c has for a group: 1 or 2 */
} activations;

/* Bytes that m rows of k columns take; the caller gives them as scratch, aligned to 64. */
INLINE int64_t activation_bytes(int64_t m, int64_t k) {
  int64_t panels = (m + ROWS - 1) / ROWS;
  return panels * ROWS * (k + k / GROUP * 12);
}

/* Places in scratch for m rows of k columns that weights of a format will be multiplied with */
INLINE activations placed(void *scratch, int64_t m, int64_t k, int64_t lines) {
  int64_t padded = (m + ROWS - 1) / ROWS * ROWS;
  activations a = {scratch, 0, 0, m, k, has_base(lines) ? -1 : 1 << (bits_of(lines) - 1), 1 + by_halves(lines)};
  a.s = (float *)(a.q + padded * k);
  a.c = (int32_t *)(a.s + padded * (k / GROUP));
  return a;
}

/* 32 values to integers in [-127, 127], to the nearest, ties to even: their scale, and the sums of both halves */
INLINE float quantize_group(const float *x, int8_t *q, int32_t *sums) {
#if WIDE
  __m512 low = _mm512_loadu_ps(x), high = _mm512_loadu_ps(x + 16);
  float top = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(low), _mm512_abs_ps(high)));
  __m512 inverse = _mm512_set1_ps(top > 1e-30f ? 127.0f / top : 0.0f); /* below, it would overflow */
  __m512i first = _mm512_cvtps_epi32(_mm512_mul_ps(low, inverse)), second = _mm512_cvtps_epi32(_mm512_mul_ps(high, inverse));
  _mm_storeu_si128((__m128i *)q, _mm512_cvtepi32_epi8(first));
  _mm_storeu_si128((__m128i *)(q + 16), _mm512_cvtepi32_epi8(second));
  sums[0] = _mm512_reduce_add_epi32(first), sums[1] = _mm512_reduce_add_epi32(second);
#else
  float top = 0.0f;
#pragma omp simd reduction(max : top)
  for (int j = 0; j < GROUP; j++) {
    float v = fabsf(x[j]);
    top = v > top ? v : top;
  }
  float inverse = top > 1e-30f ? 127.0f / top : 0.0f;
  for (int half = 0; half < 2; half++) {
    int32_t sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int j = half * GROUP / 2; j < (half + 1) * GROUP / 2; j++) {
      float v = x[j] * inverse + 12582912.0f; /* 1.5 * 2^23: adding it rounds */
      int32_t n = (int32_t)(v - 12582912.0f);
      q[j] = (int8_t)n;
      sum += n;
    }
    sums[half] = sum;
  }
#endif
  return top / 127.0f;
}

/* 32 values of row i, group g, into their places */
INLINE void store_group(const activations *a, int64_t i, int64_t g, const float *x) {
  int64_t at = (i / ROWS) * (a->k / GROUP) + g, lane = i % ROWS;
  int32_t sums[2], *c = a->c + at * a->halves * ROWS + lane;
  a->s[at * ROWS + lane] = quantize_group(x, a->q + at * ROWS * GROUP + lane * GROUP, sums);
  if (a->halves == 1) sums[0] += sums[1];
  for (int half = 0; half < a->halves; half++) c[half * ROWS] = -a->offset * sums[half];
}

typedef struct {
  const activations *a;
  const float *x, *norm;
  float eps;
} quantization;

static void quantize_panel(void *context, int64_t panel) {
  const quantization *z = context;
  const activations *a = z->a;
  int64_t k = a->k, last = (panel + 1) * ROWS < a->m ? (panel + 1) * ROWS : a->m;
  for (int64_t i = panel * ROWS; i < last; i++) {
    const float *row = z->x + i * k, *norm = z->norm;
    float scale = 1.0f, buffer[GROUP];
    if (norm) {
      float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < k; j++) sum = MADD(row[j], row[j], sum);
      scale = 1.0f / sqrtf(sum / (float)k + z->eps);
    }
    for (int64_t g = 0; g < k / GROUP; g++) {
      const float *from = row + g * GROUP;
      if (norm) {
        for (int j = 0; j < GROUP; j++) buffer[j] = from[j] * scale * norm[g * GROUP + j];
        from = buffer;
      }
      store_group(a, i, g, from);
    }
  }
}

/* Rows of x, root-mean-square normed with weight norm where there is one */
static void quantize(const activations *a, const float *x, const float *norm, float eps) {
  quantization z = {a, x, norm, eps};
  in_parallel(quantize_panel, &z, (a->m + ROWS - 1) / ROWS);
}

static float half_to_float(uint16_t h) {
  union { uint32_t i; float f; } u = {.i = (uint32_t)(h & 0x7FFF) << 13}, rebias = {.i = (uint32_t)(254 - 15) << 23};
  u.f *= rebias.f;
  u.i |= (uint32_t)(h & 0x8000) << 16;
  return u.f;
}

/* The number at place i of a line of them */
INLINE float half_at(const uint8_t *line, int64_t i) {
  uint16_t h;
  memcpy(&h, line + 2 * i, 2);
  return half_to_float(h);
}

/* ---- one block of 16 weight rows times up to 16 activation rows of one panel: out [16 activation rows, 16 weight rows] ---- */

#if WIDE
INLINE void unpack(const int lines, const uint8_t *tile, int half, __m512i *v) {
  const int bits = bits_of(lines);
  const __m512i four = _mm512_set1_epi8(0x0F), fifth = _mm512_set1_epi8(0x10), top = _mm512_set1_epi8(0x30);
  const uint8_t *low = tile + low_at(lines) + half * 4 * LINE, *high = tile + high_at(lines) + half * (bits - 4) * LINE;
  for (int t = 0; t < 4; t++) {
    __m512i n = _mm512_loadu_si512(low + t * LINE);
    v[t] = _mm512_and_si512(n, four);
    v[t + 4] = _mm512_and_si512(_mm512_srli_epi16(n, 4), four);
  }
  if (bits == 5) {
    __m512i p = _mm512_loadu_si512(high);
    for (int t = 0; t < 8; t++) {
      __m512i b = t < 4 ? _mm512_slli_epi16(p, 4 - t) : _mm512_srli_epi16(p, t - 4);
      v[t] = _mm512_ternarylogic_epi32(v[t], b, fifth, 0xF8); /* v | (b & fifth) */
    }
  } else if (bits == 6) {
    for (int t = 0; t < 8; t++) {
      __m512i p = _mm512_loadu_si512(high + (t / 4) * LINE);
      __m512i b = t % 4 < 2 ? _mm512_slli_epi16(p, 4 - 2 * (t % 4)) : _mm512_srli_epi16(p, 2 * (t % 4) - 4);
      v[t] = _mm512_ternarylogic_epi32(v[t], b, top, 0xF8);
    }
  } else if (bits == 8) {
    const __m512i upper = _mm512_set1_epi8((char)0xF0);
    for (int t = 0; t < 4; t++) {
      __m512i p = _mm512_loadu_si512(high + t * LINE);
      v[t] = _mm512_ternarylogic_epi32(v[t], _mm512_slli_epi16(p, 4), upper, 0xF8);
      v[t + 4] = _mm512_ternarylogic_epi32(v[t + 4], p, upper, 0xF8);
    }
  }
}

INLINE __m512 scales_of(const uint8_t *tile, int half) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(tile + half * 32)));
}

typedef int32_t word __attribute__((may_alias, aligned(1)));

/* sum + 16 rows' four columns v times the four activations at a. Compilers load and spread the activations with an instruction and a
   register of their own; as an operand of the product they cost neither (a tenth of the time from two rows on, Zen 4). */
INLINE __m512i multiply(__m512i sum, __m512i v, const int8_t *a) {
  __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(v), "m"(*(const word *)a));
  return sum;
}

INLINE __m512 add_scaled(__m512 acc, __m512i sum, __m512 scale, float s) {
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, _mm512_set1_ps(s)), acc);
}

INLINE __m512 add_base(__m512 acc, __m512 base, float s, int32_t c) { return _mm512_fmadd_ps(base, _mm512_set1_ps(s * (float)c), acc); }

INLINE void dot(const int lines, const int rows, const uint8_t *w, const int8_t *q, const float *s, const int32_t *c, int64_t tiles,
                float *out) {
  const int halves = 1 + by_halves(lines), chains = rows == 1 ? 4 : 2;
  __m512 acc[ROWS];
  for (int m = 0; m < rows; m++) acc[m] = _mm512_setzero_ps();
  for (int64_t i = 0; i < tiles; i++, w += tile_bytes(lines)) {
    fetch_ahead(lines, w);
    for (int half = 0; half < 2; half++, q += ROWS * GROUP, s += ROWS, c += halves * ROWS) {
      __m512i v[8];
      unpack(lines, w, half, v);
      __m512 scale = by_halves(lines) ? scales_of(w + half * LINE, 0) : scales_of(w, half);
      __m512 other = by_halves(lines) ? scales_of(w + half * LINE, 1) : has_base(lines) ? scales_of(w + LINE, half) : scale;
      for (int m = 0; m < rows; m++) {
        /* A product waits for the one before in its sum, some cycles: with one sum for all eight, a single row was bound by that, not
           by reading. */
        __m512i sums[4], sum;
        for (int e = 0; e < chains; e++) sums[e] = _mm512_setzero_si512();
        if (!has_base(lines)) sums[0] = _mm512_set1_epi32(c[m]);
        if (by_halves(lines)) sums[chains / 2] = _mm512_set1_epi32(c[ROWS + m]);
        for (int t = 0; t < 8; t++) sums[t * chains / 8] = multiply(sums[t * chains / 8], v[t], q + m * GROUP + 4 * t);
        if (chains == 4) {
          sums[0] = _mm512_add_epi32(sums[0], sums[1]);
          sums[1] = _mm512_add_epi32(sums[2], sums[3]);
        }
        if (by_halves(lines)) acc[m] = add_scaled(acc[m], sums[0], scale, s[m]);
        sum = by_halves(lines) ? sums[1] : _mm512_add_epi32(sums[0], sums[1]);
        acc[m] = add_scaled(acc[m], sum, by_halves(lines) ? other : scale, s[m]);
        if (has_base(lines)) acc[m] = add_base(acc[m], other, s[m], c[m]);
      }
    }
  }
  for (int m = 0; m < rows; m++) _mm512_storeu_ps(out + m * ROWS, acc[m]);
}

#elif HALF
#if defined(__AVXVNNI__)
INLINE __m256i multiply(__m256i sum, __m256i v, __m256i a) { return _mm256_dpbusd_avx_epi32(sum, v, a); }
#else
/* by halves of four bits: a pair's sum of whole bytes would leave int16 */
INLINE __m256i multiply(__m256i sum, __m256i v, __m256i a) {
  const __m256i four = _mm256_set1_epi8(0x0F);
  __m256i low = _mm256_maddubs_epi16(_mm256_and_si256(v, four), a);
  __m256i high = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(v, 4), four), a);
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(low, _mm256_set1_epi16(1)));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(high, _mm256_set1_epi16(16)));
}
#endif

INLINE __m256 side_scales(const uint8_t *line, int half, int side) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(line + half * 32 + side * 16)));
}

INLINE __m256 add_scaled(__m256 acc, __m256i sum, __m256 scale, float s) {
  return _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(scale, _mm256_set1_ps(s)), acc);
}

INLINE void dot(const int lines, const int rows, const uint8_t *w, const int8_t *q, const float *s, const int32_t *c, int64_t tiles,
                float *out) {
  const __m256i four = _mm256_set1_epi8(0x0F), fifth = _mm256_set1_epi8(0x10), top = _mm256_set1_epi8(0x30);
  const int bits = bits_of(lines), halves = 1 + by_halves(lines);
  __m256 acc[2][ROWS];
  for (int m = 0; m < rows; m++) acc[0][m] = acc[1][m] = _mm256_setzero_ps();
  for (int64_t i = 0; i < tiles; i++, w += tile_bytes(lines)) {
    fetch_ahead(lines, w);
    for (int half = 0; half < 2; half++, q += ROWS * GROUP, s += ROWS, c += halves * ROWS)
      for (int side = 0; side < 2; side++) { /* rows 0..7, 8..15 */
        const uint8_t *low = w + low_at(lines) + half * 4 * LINE + side * 32;
        const uint8_t *high = w + high_at(lines) + half * (bits - 4) * LINE + side * 32;
        __m256i v[8];
        for (int t = 0; t < 4; t++) {
          __m256i n = _mm256_loadu_si256((const __m256i *)(low + t * LINE));
          v[t] = _mm256_and_si256(n, four);
          v[t + 4] = _mm256_and_si256(_mm256_srli_epi16(n, 4), four);
        }
        for (int t = 0; t < 4 && bits == 8; t++) {
          const __m256i upper = _mm256_set1_epi8((char)0xF0);
          __m256i p = _mm256_loadu_si256((const __m256i *)(high + t * LINE));
          v[t] = _mm256_or_si256(v[t], _mm256_and_si256(_mm256_slli_epi16(p, 4), upper));
          v[t + 4] = _mm256_or_si256(v[t + 4], _mm256_and_si256(p, upper));
        }
        for (int t = 0; t < 8 && (bits == 5 || bits == 6); t++) {
          __m256i p = _mm256_loadu_si256((const __m256i *)(high + (bits == 6 ? t / 4 : 0) * LINE));
          int left = bits == 5 ? 4 - t : 4 - 2 * (t % 4);
          __m256i b = left >= 0 ? _mm256_slli_epi16(p, left) : _mm256_srli_epi16(p, -left);
          v[t] = _mm256_or_si256(v[t], _mm256_and_si256(b, bits == 5 ? fifth : top));
        }
        __m256 scale = by_halves(lines) ? side_scales(w + half * LINE, 0, side) : side_scales(w, half, side);
        __m256 other = by_halves(lines) ? side_scales(w + half * LINE, 1, side)
                       : has_base(lines) ? side_scales(w + LINE, half, side)
                                         : scale;
        for (int m = 0; m < rows; m++) {
          __m256i sum = has_base(lines) ? _mm256_setzero_si256() : _mm256_set1_epi32(c[m]);
          for (int t = 0; t < 8; t++) {
            int32_t bytes;
            memcpy(&bytes, q + m * GROUP + 4 * t, 4);
            if (by_halves(lines) && t == 4) {
              acc[side][m] = add_scaled(acc[side][m], sum, scale, s[m]);
              sum = _mm256_set1_epi32(c[ROWS + m]);
            }
            sum = multiply(sum, v[t], _mm256_set1_epi32(bytes));
          }
          acc[side][m] = add_scaled(acc[side][m], sum, by_halves(lines) ? other : scale, s[m]);
          if (has_base(lines)) acc[side][m] = _mm256_fmadd_ps(other, _mm256_set1_ps(s[m] * (float)c[m]), acc[side][m]);
        }
      }
  }
  for (int m = 0; m < rows; m++)
    for (int side = 0; side < 2; side++) _mm256_storeu_ps(out + m * ROWS + side * 8, acc[side][m]);
}

#else
INLINE void dot(const int lines, const int rows, const uint8_t *w, const int8_t *q, const float *s, const int32_t *c, int64_t tiles,
                float *out) {
  const int bits = bits_of(lines), halves = 1 + by_halves(lines);
  memset(out, 0, sizeof(float) * ROWS * rows);
  for (int64_t i = 0; i < tiles; i++, w += tile_bytes(lines))
    for (int half = 0; half < 2; half++, q += ROWS * GROUP, s += ROWS, c += halves * ROWS) {
      const uint8_t *low = w + low_at(lines) + half * 4 * LINE, *high = w + high_at(lines) + half * (bits - 4) * LINE;
      int16_t v[8][LINE];
      float scale[2][ROWS], base[ROWS];
      for (int t = 0; t < 8; t++)
        for (int j = 0; j < LINE; j++) {
          int value = t < 4 ? low[t * LINE + j] & 0x0F : low[(t - 4) * LINE + j] >> 4;
          if (bits == 5) value |= (high[j] >> t & 1) << 4;
          if (bits == 6) value |= (high[(t / 4) * LINE + j] >> 2 * (t % 4) & 3) << 4;
          if (bits == 8) value |= (high[(t % 4) * LINE + j] >> (t < 4 ? 0 : 4) & 15) << 4;
          v[t][j] = (int16_t)value;
        }
      for (int r = 0; r < ROWS; r++) {
        scale[0][r] = by_halves(lines) ? half_at(w + half * LINE, r) : half_at(w, half * ROWS + r);
        scale[1][r] = by_halves(lines) ? half_at(w + half * LINE, ROWS + r) : scale[0][r];
        base[r] = has_base(lines) ? half_at(w + LINE, half * ROWS + r) : 0.0f;
      }
      for (int m = 0; m < rows; m++)
        for (int part = 0; part < halves; part++) {
          int32_t sum[ROWS];
          for (int r = 0; r < ROWS; r++) sum[r] = has_base(lines) ? 0 : c[part * ROWS + m];
          for (int t = part * 4; t < (part + 1) * 8 / halves; t++)
            for (int r = 0; r < ROWS; r++)
              for (int j = 0; j < 4; j++) sum[r] += v[t][4 * r + j] * q[m * GROUP + 4 * t + j];
          for (int r = 0; r < ROWS; r++) {
            float *o = out + m * ROWS + r;
            *o = MADD((float)sum[r], scale[part][r] * s[m], *o);
            if (has_base(lines)) *o = MADD(base[r], s[m] * (float)c[m], *o);
          }
        }
    }
}
#endif

/* Rounded up to one of the counts that are compiled: what the rows beyond m give is not used. */
#define ROW_COUNTS(LINES)                                                    \
  case LINES:                                                                \
    if (m > 8) dot(LINES, 16, w, q, s, c, tiles, out);                       \
    else if (m > 4) dot(LINES, 8, w, q, s, c, tiles, out);                   \
    else if (m > 2) dot(LINES, 4, w, q, s, c, tiles, out);                   \
    else if (m > 1) dot(LINES, 2, w, q, s, c, tiles, out);                   \
    else dot(LINES, 1, w, q, s, c, tiles, out);                              \
    break;

static void panel_dot(int64_t lines, int64_t m, const uint8_t *w, const int8_t *q, const float *s, const int32_t *c, int64_t tiles,
                      float *out) {
  switch (lines) {
    ROW_COUNTS(9)
    ROW_COUNTS(10)
    ROW_COUNTS(11)
    ROW_COUNTS(12)
    ROW_COUNTS(13)
    ROW_COUNTS(14)
    ROW_COUNTS(17)
  }
}

#if AMX
/* Linux lends the tile registers to a process that asks (arch_prctl 0x1023 = ARCH_REQ_XCOMP_PERM, 18 = tile data). */
static int amx_ready(void) {
#ifdef DSASSIST_EMULATED_AMX
  return 1;
#else
  static int known = -1;
  if (known < 0) known = syscall(SYS_arch_prctl, 0x1023, 18) == 0;
  return known;
#endif
}

/* tiles 0..3: 16 x 16 sums; 4, 5: 16 activation rows of 32 bytes; 6, 7: 8 rows of 64 bytes of weights */
static void configure(void) {
  struct { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } __attribute__((packed)) t = {.palette = 1};
  for (int i = 0; i < 8; i++) {
    t.bytes[i] = i == 4 || i == 5 ? GROUP : LINE;
    t.rows[i] = i < 6 ? ROWS : 8;
  }
  _tile_loadconfig(&t);
}

/* Tiles of a block unpacked to bytes [group, 8, 64], signed around 0 but where there are bases. With a scale per 16 columns
   [group, 2, 8, 64]: the one half beside zeros, then the other. */
static void unpack_tiles(int64_t lines, const uint8_t *w, int64_t tiles, int8_t *to) {
  const __m512i offset = _mm512_set1_epi8(has_base(lines) ? 0 : (char)(1 << (bits_of(lines) - 1))), none = _mm512_setzero_si512();
  for (int64_t i = 0; i < tiles; i++, w += tile_bytes(lines)) {
    fetch_ahead(lines, w);
    for (int half = 0; half < 2; half++) {
      __m512i v[8];
      switch (lines) {
        case 9: unpack(9, w, half, v); break;
        case 10: unpack(10, w, half, v); break;
        case 11: unpack(11, w, half, v); break;
        case 12: unpack(12, w, half, v); break;
        case 13: unpack(13, w, half, v); break;
        case 14: unpack(14, w, half, v); break;
        default: unpack(17, w, half, v);
      }
      for (int part = 0; part < 1 + by_halves(lines); part++, to += 8 * LINE)
        for (int t = 0; t < 8; t++)
          _mm512_storeu_si512(to + t * LINE, by_halves(lines) && t / 4 != part ? none : _mm512_sub_epi8(v[t], offset));
    }
  }
}

INLINE void add_group(__m512 *acc, const int32_t *sums, __m512 scale, const float *s) {
  for (int m = 0; m < ROWS; m++) acc[m] = add_scaled(acc[m], _mm512_load_si512(sums + m * ROWS), scale, s[m]);
}

INLINE void add_bases(__m512 *acc, __m512 base, const float *s, const int32_t *c) {
  for (int m = 0; m < ROWS; m++) acc[m] = add_base(acc[m], base, s[m], c[m]);
}

/* out += one panel times a run of unpacked tiles, two products of 32 columns at a time: two groups, or the halves of one. Sums are
   taken up one pair later: loads from what the matrix registers have just stored would wait for it. */
static void panel_tiles(const int8_t *unpacked, const uint8_t *w, int64_t lines, const int8_t *q, const float *s, const int32_t *c,
                        int64_t tiles, float *out) {
  int32_t sums[2][2][ROWS * ROWS] __attribute__((aligned(64)));
  __m512 acc[ROWS];
  int halves = by_halves(lines);
  int64_t pairs = halves ? 2 * tiles : tiles;
  for (int m = 0; m < ROWS; m++) acc[m] = _mm512_load_ps(out + m * ROWS);
  for (int64_t i = 0; i <= pairs; i++) {
    if (i < pairs) {
      const int8_t *a = q + (halves ? i : 2 * i) * ROWS * GROUP, *b = unpacked + 2 * i * 8 * LINE;
      _tile_zero(0);
      _tile_loadd(4, a, GROUP);
      _tile_loadd(6, b, LINE);
      _tile_dpbssd(0, 4, 6);
      _tile_zero(1);
      _tile_loadd(5, halves ? a : a + ROWS * GROUP, GROUP);
      _tile_loadd(7, b + 8 * LINE, LINE);
      _tile_dpbssd(1, 5, 7);
      _tile_stored(0, sums[i & 1][0], LINE);
      _tile_stored(1, sums[i & 1][1], LINE);
    }
    if (i > 0) {
      int64_t j = i - 1, first = (halves ? j : 2 * j) * ROWS, second = first + (halves ? 0 : ROWS);
      const uint8_t *line = halves ? w + j / 2 * tile_bytes(lines) + j % 2 * LINE : w + j * tile_bytes(lines);
      add_group(acc, sums[j & 1][0], scales_of(line, 0), s + first);
      if (has_base(lines)) add_bases(acc, scales_of(line + LINE, 0), s + first, c + first);
      add_group(acc, sums[j & 1][1], scales_of(line, 1), s + second);
      if (has_base(lines)) add_bases(acc, scales_of(line + LINE, 1), s + second, c + second);
    }
  }
  for (int m = 0; m < ROWS; m++) _mm512_store_ps(out + m * ROWS, acc[m]);
}

/* Tiles of a block that are unpacked at a time: 16 KB, which stay in the first-level cache while all panels use them. For one panel
   few, so that the processor reads the next from memory while it multiplies these. */
#define RUN 16
#define SHORT_RUN 2

static void block_tiles(const uint8_t *w, int64_t lines, const activations *a, int64_t first, int64_t last, float *out) {
  int8_t unpacked[RUN * 2 * 8 * LINE] __attribute__((aligned(64)));
  int64_t tiles = a->k / TILE, groups = a->k / GROUP, most = (last - first > 1 ? RUN : SHORT_RUN) / a->halves;
  memset(out, 0, sizeof(float) * ROWS * ROWS * (last - first));
  for (int64_t t = 0; t < tiles; t += most) {
    int64_t run = tiles - t < most ? tiles - t : most;
    const uint8_t *from = w + t * tile_bytes(lines);
    unpack_tiles(lines, from, run, unpacked);
    for (int64_t p = first; p < last; p++) {
      int64_t at = (p * groups + 2 * t) * ROWS;
      panel_tiles(unpacked, from, lines, a->q + at * GROUP, a->s + at, a->c + at, run, out + (p - first) * ROWS * ROWS);
    }
  }
}
#endif

/* The fewest rows for which the matrix registers are worth unpacking a block for */
#define AMX_ROWS 9

static int use_amx(int64_t m) {
#if AMX
  return m >= AMX_ROWS && amx_ready();
#else
  (void)m;
  return 0;
#endif
}

/* One block times panels first..last: out [panel, 16 activation rows, 16 weight rows] */
INLINE void block_product(const uint8_t *w, int64_t lines, const activations *a, int64_t first, int64_t last, int amx, float *out) {
#if AMX
  if (amx) {
    block_tiles(w, lines, a, first, last, out);
    return;
  }
#endif
  (void)amx;
  int64_t groups = a->k / GROUP;
  for (int64_t p = first; p < last; p++) {
    int64_t at = p * groups * ROWS, left = a->m - p * ROWS;
    panel_dot(lines, left < ROWS ? left : ROWS, w, a->q + at * GROUP, a->s + at, a->c + at * a->halves, groups / 2,
              out + (p - first) * ROWS * ROWS);
  }
}

INLINE void begin(int amx) {
#if AMX
  if (amx) configure();
#else
  (void)amx;
#endif
}

INLINE void end(int amx) {
#if AMX
  if (amx) _tile_release();
#else
  (void)amx;
#endif
}

/* Panels that are done before a thread goes on to its next blocks: as many as stay in its second-level cache */
INLINE int64_t panels_at_once(int64_t panels, int64_t k) {
  int64_t n = (1 << 20) / (k * ROWS);
  n = n < 2 ? 2 : n;
  return n < panels ? n : panels;
}

/* The most runs that a matrix's blocks are taken in */
#define MOST_RUNS 1024

/* How a matrix's blocks are taken as threads come free: in long runs first, because what a run begins with was not asked for ahead, then
   in shorter and shorter ones, so that nobody waits long for the last, and a core that something else holds up does not hold up the
   others. Run i is from first[i] to first[i + 1]. */
typedef struct {
  int64_t count, first[MOST_RUNS + 1];
} runs;

/* `blocks` in runs of at least about 64 KB, each a share of what is left */
static void share_blocks(runs *r, int64_t blocks, int64_t block_bytes) {
  int64_t least = 65536 / block_bytes + 1, at = 0;
  r->first[0] = r->count = 0;
  for (; at < blocks && r->count < MOST_RUNS; r->first[r->count] = at) {
    int64_t share = (blocks - at) / (2 * threads());
    at += share > least ? share : least;
    r->count++;
  }
  r->first[r->count] = blocks;
}

typedef struct {
  const activations *a;
  const uint8_t *w;
  int64_t lines, n, chunk;
  const runs *blocks;
  const float *bias, *residual;
  float *y;
  int amx, failed;
} product;

/* One run of blocks of weights times one chunk of panels */
static void multiply_piece(void *context, int64_t number) {
  product *z = context;
  const activations *a = z->a;
  int64_t part = number / z->blocks->count, run = number % z->blocks->count, k = a->k, n = z->n, stride = tile_bytes(z->lines) * (k / TILE);
  int64_t panels = (a->m + ROWS - 1) / ROWS, first = part * z->chunk, last = first + z->chunk < panels ? first + z->chunk : panels;
  int64_t from = first * ROWS, to = last * ROWS < a->m ? last * ROWS : a->m;
  float *out = own_memory((size_t)z->chunk * ROWS * ROWS * sizeof(float));
  if (!out) {
    z->failed = 1;
    return;
  }
  begin(z->amx);
  for (int64_t j = z->blocks->first[run]; j < z->blocks->first[run + 1]; j++) {
    block_product(z->w + j * stride, z->lines, a, first, last, z->amx, out);
    for (int64_t m = from; m < to; m++) {
      const float *v = out + (m - from) * ROWS, *b = z->bias ? z->bias + j * ROWS : 0;
      float *o = z->y + m * n + j * ROWS;
      const float *add = z->residual ? z->residual + m * n + j * ROWS : 0;
      for (int r = 0; r < ROWS; r++) o[r] = b ? v[r] + b[r] : v[r];
      if (add)
        for (int r = 0; r < ROWS; r++) o[r] += add[r];
    }
  }
  end(z->amx);
}

/* y [m, n] = a W^T + bias + residual, where those are given. Returns 0, or -1 without memory. */
static int multiply_rows(const activations *a, const uint8_t *w, int64_t lines, const float *bias, const float *residual, float *y,
                         int64_t n) {
  int64_t panels = (a->m + ROWS - 1) / ROWS, chunk = panels_at_once(panels, a->k);
  runs blocks;
  share_blocks(&blocks, n / ROWS, tile_bytes(lines) * (a->k / TILE));
  product z = {a, w, lines, n, chunk, &blocks, bias, residual, y, use_amx(a->m), 0};
  in_parallel(multiply_piece, &z, (panels + chunk - 1) / chunk * blocks.count);
  return z.failed ? -1 : 0;
}

#endif
