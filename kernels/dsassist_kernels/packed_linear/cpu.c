/* Products with weights packed in 4, 5, 6 or 8 bits, a scale per 32 columns; activations in int8, a scale per 32 columns too.

   Weights: blocks of 16 rows, each a run of tiles of 64 columns (two groups of 32), each of 64 (9 + 2 (bits - 4)) bytes:
       64 B   scales, fp16: 16 rows of the first group, 16 of the second
      512 B   low four bits: for each group 4 vectors of 64 bytes; vector t holds columns 4 t .. 4 t + 3 of 16 rows in its
              low halves (byte 4 r + c), columns 16 + 4 t .. in its high halves
      128 B a further bit: for each group one vector a bit (5 bits: bit t of a byte belongs to columns 4 t ..; 6 bits: two
              vectors, for t < 4 and t >= 4, two bits each; 8 bits: the high halves, laid out as the low ones, 512 B in all)
   Unpacked, one group is eight vectors v[t] of 16 rows x 4 columns of unsigned bytes: what vpdpbusd multiplies, and what an
   AMX tile of 8 rows holds.

   Activations: panels of 16 rows, q [panel, group, 16, 32] int8, s [panel, group, 16] float, and c [panel, group, 16]
   int32 = -offset * sum(q), which makes the weights' bytes signed again.

   Every way of computing sums a group exactly in int32 and then adds groups in the same order with the same expression: the
   same row gives the same bits in a batch of one, in a verified draft and in a prefill, with AMX and without. */
#include <stdlib.h>
#include "../native.h"

#define GROUP 32
#define ROWS 16
#define TILE 64
#define LINE 64
#define AHEAD 4096
#define INLINE static inline __attribute__((always_inline))

#if !defined(DSASSIST_PORTABLE) && defined(__AVX512VNNI__) && defined(__AVX512BW__)
#define WIDE 1
#elif !defined(DSASSIST_PORTABLE) && defined(__AVX2__) && defined(__F16C__) && defined(__FMA__)
#include <immintrin.h>
#define HALF 1
#endif

#if WIDE && defined(__AMX_INT8__) && defined(__linux__) && !defined(DSASSIST_NO_AMX)
#define AMX 1
#include <sys/syscall.h>
#include <unistd.h>
#endif

typedef struct {
  int8_t *q;
  float *s;
  int32_t *c;
  int64_t m, k;
} activations;

/* Bytes that m rows of k columns take; the caller gives them as scratch, aligned to 64. */
int64_t activation_bytes(int64_t m, int64_t k) {
  int64_t panels = (m + ROWS - 1) / ROWS;
  return panels * ROWS * (k + k / GROUP * 8);
}

INLINE activations placed(void *scratch, int64_t m, int64_t k) {
  int64_t padded = (m + ROWS - 1) / ROWS * ROWS;
  activations a = {scratch, 0, 0, m, k};
  a.s = (float *)(a.q + padded * k);
  a.c = (int32_t *)(a.s + padded * (k / GROUP));
  return a;
}

INLINE int64_t tile_bytes(int64_t bits) { return LINE * (9 + 2 * (bits - 4)); }

/* 32 values of row i, group g, into their places */
INLINE void store_group(const activations *a, int64_t i, int64_t g, const float *x, int32_t offset) {
  int64_t at = (i / ROWS) * (a->k / GROUP) + g, lane = i % ROWS;
  int8_t *q = a->q + at * ROWS * GROUP + lane * GROUP;
  float top = 0.0f;
#pragma omp simd reduction(max : top)
  for (int j = 0; j < GROUP; j++) {
    float v = fabsf(x[j]);
    top = v > top ? v : top;
  }
  float inverse = top > 1e-30f ? 127.0f / top : 0.0f; /* below, it would overflow */
  int32_t sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int j = 0; j < GROUP; j++) {
    float v = x[j] * inverse + 12582912.0f; /* rounds to the nearest integer, ties to even */
    int32_t n = (int32_t)(v - 12582912.0f);
    q[j] = (int8_t)n;
    sum += n;
  }
  a->s[at * ROWS + lane] = top / 127.0f;
  a->c[at * ROWS + lane] = -offset * sum;
}

/* Rows of x, root-mean-square normed with weight norm where there is one */
static void quantize(const activations *a, const float *x, const float *norm, float eps, int32_t offset) {
  int64_t k = a->k;
#pragma omp parallel for schedule(static) if (a->m > 8)
  for (int64_t i = 0; i < a->m; i++) {
    const float *row = x + i * k;
    float scale = 1.0f, buffer[GROUP];
    if (norm) {
      float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < k; j++) sum = MADD(row[j], row[j], sum);
      scale = 1.0f / sqrtf(sum / (float)k + eps);
    }
    for (int64_t g = 0; g < k / GROUP; g++) {
      const float *from = row + g * GROUP;
      if (norm) {
        for (int j = 0; j < GROUP; j++) buffer[j] = from[j] * scale * norm[g * GROUP + j];
        from = buffer;
      }
      store_group(a, i, g, from, offset);
    }
  }
}

static float half_to_float(uint16_t h) {
  union { uint32_t i; float f; } u = {.i = (uint32_t)(h & 0x7FFF) << 13}, rebias = {.i = (uint32_t)(254 - 15) << 23};
  u.f *= rebias.f;
  u.i |= (uint32_t)(h & 0x8000) << 16;
  return u.f;
}

/* ---- one block of 16 weight rows times up to 16 activation rows of one panel: out [16 activation rows, 16 weight rows] ---- */

#if WIDE
INLINE void unpack(const int bits, const uint8_t *tile, int half, __m512i *v) {
  const __m512i four = _mm512_set1_epi8(0x0F), fifth = _mm512_set1_epi8(0x10), top = _mm512_set1_epi8(0x30);
  const uint8_t *low = tile + LINE + half * 4 * LINE, *high = tile + 9 * LINE + half * (bits - 4) * LINE;
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

INLINE void dot(const int bits, const int rows, const uint8_t *w, const int8_t *q, const float *s, const int32_t *c, int64_t tiles,
                float *out) {
  __m512 acc[ROWS];
  for (int m = 0; m < rows; m++) acc[m] = _mm512_setzero_ps();
  for (int64_t i = 0; i < tiles; i++, w += tile_bytes(bits)) {
    for (int line = 0; line < 9 + 2 * (bits - 4); line++) __builtin_prefetch(w + AHEAD + line * LINE);
    for (int half = 0; half < 2; half++, q += ROWS * GROUP, s += ROWS, c += ROWS) {
      __m512i v[8];
      unpack(bits, w, half, v);
      __m512 scale = scales_of(w, half);
      for (int m = 0; m < rows; m++) {
        __m512i sum = _mm512_set1_epi32(c[m]);
        for (int t = 0; t < 8; t++) {
          int32_t four;
          memcpy(&four, q + m * GROUP + 4 * t, 4);
          sum = _mm512_dpbusd_epi32(sum, v[t], _mm512_set1_epi32(four));
        }
        acc[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, _mm512_set1_ps(s[m])), acc[m]);
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

INLINE void dot(const int bits, const int rows, const uint8_t *w, const int8_t *q, const float *s, const int32_t *c, int64_t tiles,
                float *out) {
  const __m256i four = _mm256_set1_epi8(0x0F), fifth = _mm256_set1_epi8(0x10), top = _mm256_set1_epi8(0x30);
  __m256 acc[2][ROWS];
  for (int m = 0; m < rows; m++) acc[0][m] = acc[1][m] = _mm256_setzero_ps();
  for (int64_t i = 0; i < tiles; i++, w += tile_bytes(bits)) {
    for (int line = 0; line < 9 + 2 * (bits - 4); line++) __builtin_prefetch(w + AHEAD + line * LINE);
    for (int half = 0; half < 2; half++, q += ROWS * GROUP, s += ROWS, c += ROWS)
      for (int side = 0; side < 2; side++) { /* rows 0..7, 8..15 */
        const uint8_t *low = w + LINE + half * 4 * LINE + side * 32, *high = w + 9 * LINE + half * (bits - 4) * LINE + side * 32;
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
        __m256 scale = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(w + half * 32 + side * 16)));
        for (int m = 0; m < rows; m++) {
          __m256i sum = _mm256_set1_epi32(c[m]);
          for (int t = 0; t < 8; t++) {
            int32_t bytes;
            memcpy(&bytes, q + m * GROUP + 4 * t, 4);
            sum = multiply(sum, v[t], _mm256_set1_epi32(bytes));
          }
          acc[side][m] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(scale, _mm256_set1_ps(s[m])), acc[side][m]);
        }
      }
  }
  for (int m = 0; m < rows; m++)
    for (int side = 0; side < 2; side++) _mm256_storeu_ps(out + m * ROWS + side * 8, acc[side][m]);
}

#else
INLINE void dot(const int bits, const int rows, const uint8_t *w, const int8_t *q, const float *s, const int32_t *c, int64_t tiles,
                float *out) {
  memset(out, 0, sizeof(float) * ROWS * rows);
  for (int64_t i = 0; i < tiles; i++, w += tile_bytes(bits))
    for (int half = 0; half < 2; half++, q += ROWS * GROUP, s += ROWS, c += ROWS) {
      const uint8_t *low = w + LINE + half * 4 * LINE, *high = w + 9 * LINE + half * (bits - 4) * LINE;
      int16_t v[8][LINE];
      float scale[ROWS];
      for (int t = 0; t < 8; t++)
        for (int j = 0; j < LINE; j++) {
          int value = t < 4 ? low[t * LINE + j] & 0x0F : low[(t - 4) * LINE + j] >> 4;
          if (bits == 5) value |= (high[j] >> t & 1) << 4;
          if (bits == 6) value |= (high[(t / 4) * LINE + j] >> 2 * (t % 4) & 3) << 4;
          if (bits == 8) value |= (high[(t % 4) * LINE + j] >> (t < 4 ? 0 : 4) & 15) << 4;
          v[t][j] = (int16_t)value;
        }
      for (int r = 0; r < ROWS; r++) {
        uint16_t h;
        memcpy(&h, w + half * 32 + 2 * r, 2);
        scale[r] = half_to_float(h);
      }
      for (int m = 0; m < rows; m++) {
        int32_t sum[ROWS];
        for (int r = 0; r < ROWS; r++) sum[r] = c[m];
        for (int t = 0; t < 8; t++)
          for (int r = 0; r < ROWS; r++)
            for (int j = 0; j < 4; j++) sum[r] += v[t][4 * r + j] * q[m * GROUP + 4 * t + j];
        for (int r = 0; r < ROWS; r++) out[m * ROWS + r] = MADD((float)sum[r], scale[r] * s[m], out[m * ROWS + r]);
      }
    }
}
#endif

/* Rounded up to one of the counts that are compiled: what the rows beyond m give is not used. */
#define ROW_COUNTS(BITS)                                                     \
  if (m > 8) dot(BITS, 16, w, q, s, c, tiles, out);                          \
  else if (m > 4) dot(BITS, 8, w, q, s, c, tiles, out);                      \
  else if (m > 2) dot(BITS, 4, w, q, s, c, tiles, out);                      \
  else if (m > 1) dot(BITS, 2, w, q, s, c, tiles, out);                      \
  else dot(BITS, 1, w, q, s, c, tiles, out);

static void panel_dot(int64_t bits, int64_t m, const uint8_t *w, const int8_t *q, const float *s, const int32_t *c, int64_t tiles,
                      float *out) {
  if (bits == 4) { ROW_COUNTS(4) }
  else if (bits == 5) { ROW_COUNTS(5) }
  else if (bits == 6) { ROW_COUNTS(6) }
  else { ROW_COUNTS(8) }
}

#if AMX
/* Linux lends the tile registers to a process that asks (arch_prctl 0x1023 = ARCH_REQ_XCOMP_PERM, 18 = tile data). */
static int amx_ready(void) {
  static int known = -1;
  if (known < 0) known = syscall(SYS_arch_prctl, 0x1023, 18) == 0;
  return known;
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

/* Tiles of a block unpacked to signed bytes [group, 8, 64] */
static void unpack_tiles(int64_t bits, const uint8_t *w, int64_t tiles, int8_t *to) {
  const __m512i offset = _mm512_set1_epi8((char)(1 << (bits - 1)));
  for (int64_t i = 0; i < tiles; i++, w += tile_bytes(bits)) {
    for (int line = 0; line < 9 + 2 * (bits - 4); line++) __builtin_prefetch(w + AHEAD + line * LINE);
    for (int half = 0; half < 2; half++, to += 8 * LINE) {
      __m512i v[8];
      if (bits == 4) unpack(4, w, half, v);
      else if (bits == 5) unpack(5, w, half, v);
      else if (bits == 6) unpack(6, w, half, v);
      else unpack(8, w, half, v);
      for (int t = 0; t < 8; t++) _mm512_storeu_si512(to + t * LINE, _mm512_sub_epi8(v[t], offset));
    }
  }
}

INLINE void add_group(__m512 *acc, const int32_t *sums, __m512 scale, const float *s) {
  for (int m = 0; m < ROWS; m++)
    acc[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums + m * ROWS)), _mm512_mul_ps(scale, _mm512_set1_ps(s[m])), acc[m]);
}

/* out += one panel times a run of unpacked tiles. Sums are taken up one pair of groups later: loads from what the matrix registers
   have just stored would wait for it. */
static void panel_tiles(const int8_t *unpacked, const uint8_t *w, int64_t stride, const int8_t *q, const float *s, int64_t tiles,
                        float *out) {
  int32_t sums[2][2][ROWS * ROWS] __attribute__((aligned(64)));
  __m512 acc[ROWS];
  for (int m = 0; m < ROWS; m++) acc[m] = _mm512_load_ps(out + m * ROWS);
  for (int64_t i = 0; i <= tiles; i++) {
    if (i < tiles) {
      const int8_t *a = q + 2 * i * ROWS * GROUP, *b = unpacked + 2 * i * 8 * LINE;
      _tile_zero(0);
      _tile_loadd(4, a, GROUP);
      _tile_loadd(6, b, LINE);
      _tile_dpbssd(0, 4, 6);
      _tile_zero(1);
      _tile_loadd(5, a + ROWS * GROUP, GROUP);
      _tile_loadd(7, b + 8 * LINE, LINE);
      _tile_dpbssd(1, 5, 7);
      _tile_stored(0, sums[i & 1][0], LINE);
      _tile_stored(1, sums[i & 1][1], LINE);
    }
    if (i > 0) {
      int64_t j = i - 1;
      add_group(acc, sums[j & 1][0], scales_of(w + j * stride, 0), s + 2 * j * ROWS);
      add_group(acc, sums[j & 1][1], scales_of(w + j * stride, 1), s + (2 * j + 1) * ROWS);
    }
  }
  for (int m = 0; m < ROWS; m++) _mm512_store_ps(out + m * ROWS, acc[m]);
}

/* Tiles of a block that are unpacked at a time: 16 KB, which stay in the first-level cache while all panels use them. For one panel
   few, so that the processor reads the next from memory while it multiplies these. */
#define RUN 16
#define SHORT_RUN 2

static void block_tiles(const uint8_t *w, int64_t bits, const activations *a, int64_t first, int64_t last, float *out) {
  int8_t unpacked[RUN * 2 * 8 * LINE] __attribute__((aligned(64)));
  int64_t tiles = a->k / TILE, groups = a->k / GROUP, stride = tile_bytes(bits), most = last - first > 1 ? RUN : SHORT_RUN;
  memset(out, 0, sizeof(float) * ROWS * ROWS * (last - first));
  for (int64_t t = 0; t < tiles; t += most) {
    int64_t run = tiles - t < most ? tiles - t : most;
    unpack_tiles(bits, w + t * stride, run, unpacked);
    for (int64_t p = first; p < last; p++) {
      int64_t at = (p * groups + 2 * t) * ROWS;
      panel_tiles(unpacked, w + t * stride, stride, a->q + at * GROUP, a->s + at, run, out + (p - first) * ROWS * ROWS);
    }
  }
}
#endif

/* The fewest rows for which the matrix registers are worth unpacking a block for */
#define AMX_ROWS 9

/* Rows that take little longer than one, since reading the weights takes longer than their arithmetic. Eight cost 1.5 times one on a
   Sapphire Rapids Xeon, all of a model's pass counted, and sixteen 2 times: guesses pay most at eight. */
int64_t cheap_rows(void) {
#if WIDE
  return 8;
#else
  return 4;
#endif
}

static int use_amx(int64_t m) {
#if AMX
  return m >= AMX_ROWS && amx_ready();
#else
  (void)m;
  return 0;
#endif
}

/* One block times panels first..last: out [panel, 16 activation rows, 16 weight rows] */
INLINE void block_product(const uint8_t *w, int64_t bits, const activations *a, int64_t first, int64_t last, int amx, float *out) {
#if AMX
  if (amx) {
    block_tiles(w, bits, a, first, last, out);
    return;
  }
#endif
  (void)amx;
  int64_t groups = a->k / GROUP;
  for (int64_t p = first; p < last; p++) {
    int64_t at = p * groups * ROWS, left = a->m - p * ROWS;
    panel_dot(bits, left < ROWS ? left : ROWS, w, a->q + at * GROUP, a->s + at, a->c + at, groups / 2, out + (p - first) * ROWS * ROWS);
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

/* Blocks taken at a time as threads come free, about 64 KB: a core that something else holds up does not hold up the others. */
INLINE int64_t blocks_at_once(int64_t bits, int64_t k) {
  int64_t n = 65536 / (tile_bytes(bits) * (k / TILE));
  return n < 1 ? 1 : n;
}

/* y [m, n] = a W^T + bias + residual, where those are given. Returns 0, or -1 without memory. */
static int multiply_rows(const activations *a, const uint8_t *w, int64_t bits, const float *bias, const float *residual, float *y,
                         int64_t n) {
  int64_t k = a->k, panels = (a->m + ROWS - 1) / ROWS, chunk = panels_at_once(panels, k), chunks = (panels + chunk - 1) / chunk;
  int64_t stride = tile_bytes(bits) * (k / TILE), piece = blocks_at_once(bits, k), pieces = (n / ROWS + piece - 1) / piece;
  int amx = use_amx(a->m), failed = 0;
#pragma omp parallel
  {
    float *out = aligned_alloc(LINE, (size_t)chunk * ROWS * ROWS * sizeof(float));
    if (!out) {
#pragma omp atomic write
      failed = 1;
    }
    begin(amx);
#pragma omp for schedule(dynamic, 1) collapse(2)
    for (int64_t part = 0; part < chunks; part++)
      for (int64_t p = 0; p < pieces; p++) {
        if (!out) continue;
        int64_t first = part * chunk, last = first + chunk < panels ? first + chunk : panels;
        int64_t after = (p + 1) * piece < n / ROWS ? (p + 1) * piece : n / ROWS;
        int64_t from = first * ROWS, to = last * ROWS < a->m ? last * ROWS : a->m;
        for (int64_t j = p * piece; j < after; j++) {
          block_product(w + j * stride, bits, a, first, last, amx, out);
          for (int64_t m = from; m < to; m++) {
            const float *v = out + (m - from) * ROWS, *b = bias ? bias + j * ROWS : 0;
            float *o = y + m * n + j * ROWS;
            const float *add = residual ? residual + m * n + j * ROWS : 0;
            for (int r = 0; r < ROWS; r++) o[r] = b ? v[r] + b[r] : v[r];
            if (add)
              for (int r = 0; r < ROWS; r++) o[r] += add[r];
          }
        }
      }
    end(amx);
    free(out);
  }
  return failed ? -1 : 0;
}

/* y [m, n] = norm(x) W^T + bias + residual; norm, bias and residual may be null. scratch: activation_bytes(m, k).
   Returns 0, or -1 without memory. */
int packed_linear(const float *x, const float *norm, const uint8_t *w, const float *bias, const float *residual, float *y,
                  void *scratch, int64_t m, int64_t n, int64_t k, int64_t bits, float eps) {
  activations a = placed(scratch, m, k);
  quantize(&a, x, norm, eps, 1 << (bits - 1));
  return multiply_rows(&a, w, bits, bias, residual, y, n);
}

/* y [m, k] = residual + down(silu(gate(h)) * up(h)), h = norm(x). wgu [2 i, k] has 32 rows of gate and 32 of up in turn: together
   they make one group of the middle's columns, which goes to int8 while it is in the cache.
   scratch: activation_bytes(m, k) + activation_bytes(m, i). Returns 0, or -1 without memory. */
int packed_mlp(const float *x, const float *norm, const uint8_t *wgu, const uint8_t *wd, const float *residual, float *y, void *scratch,
               int64_t m, int64_t k, int64_t i, int64_t bits, int64_t down_bits, float eps) {
  activations a = placed(scratch, m, k), h = placed((char *)scratch + activation_bytes(m, k), m, i);
  quantize(&a, x, norm, eps, 1 << (bits - 1));
  int64_t panels = (m + ROWS - 1) / ROWS, stride = tile_bytes(bits) * (k / TILE);
  int64_t chunk = panels_at_once(panels, k), chunks = (panels + chunk - 1) / chunk;
  int amx = use_amx(m), failed = 0;
#pragma omp parallel
  {
    int64_t size = chunk * ROWS * ROWS;
    float *out = aligned_alloc(LINE, (size_t)(4 * size) * sizeof(float)), middle[GROUP];
    if (!out) {
#pragma omp atomic write
      failed = 1;
    }
    begin(amx);
#pragma omp for schedule(dynamic, 2) collapse(2)
    for (int64_t part = 0; part < chunks; part++)
      for (int64_t g = 0; g < i / GROUP; g++) {
        if (!out) continue;
        int64_t first = part * chunk, last = first + chunk < panels ? first + chunk : panels;
        int64_t from = first * ROWS, to = last * ROWS < m ? last * ROWS : m;
        for (int j = 0; j < 4; j++) block_product(wgu + (4 * g + j) * stride, bits, &a, first, last, amx, out + j * size);
        for (int64_t row = from; row < to; row++) {
          for (int side = 0; side < 2; side++) {
            const float *gate = out + side * size + (row - from) * ROWS, *raised = gate + 2 * size;
#pragma omp simd
            for (int r = 0; r < ROWS; r++) middle[side * ROWS + r] = silu_times(gate[r], raised[r]);
          }
          store_group(&h, row, g, middle, 1 << (down_bits - 1));
        }
      }
    end(amx);
    free(out);
  }
  return failed ? -1 : multiply_rows(&h, wd, down_bits, 0, residual, y, k);
}

/* Rows index [t] of packed w as float: y [t, k] */
void packed_rows(const uint8_t *w, const int64_t *index, float *y, int64_t t, int64_t k, int64_t bits) {
  int64_t stride = tile_bytes(bits) * (k / TILE);
  for (int64_t i = 0; i < t; i++) {
    int64_t lane = index[i] % ROWS;
    const uint8_t *tile = w + index[i] / ROWS * stride;
    for (float *o = y + i * k; o < y + (i + 1) * k; o += TILE, tile += tile_bytes(bits))
      for (int half = 0; half < 2; half++) {
        const uint8_t *low = tile + LINE + half * 4 * LINE, *high = tile + 9 * LINE + half * (bits - 4) * LINE;
        uint16_t h;
        memcpy(&h, tile + half * 32 + 2 * lane, 2);
        float scale = half_to_float(h);
        for (int t4 = 0; t4 < 8; t4++)
          for (int j = 0; j < 4; j++) {
            int64_t at = 4 * lane + j;
            int v = t4 < 4 ? low[t4 * LINE + at] & 0x0F : low[(t4 - 4) * LINE + at] >> 4;
            if (bits == 5) v |= (high[at] >> t4 & 1) << 4;
            if (bits == 6) v |= (high[(t4 / 4) * LINE + at] >> 2 * (t4 % 4) & 3) << 4;
            if (bits == 8) v |= (high[(t4 % 4) * LINE + at] >> (t4 < 4 ? 0 : 4) & 15) << 4;
            o[half * GROUP + 4 * t4 + j] = (float)(v - (1 << (bits - 1))) * scale;
          }
      }
  }
}
