/* Block-sparse and dense attention of many queries in bfloat16 products, for processors with AVX512-BF16.

   Keys and values are packed once a layer into groups of 16 tokens: keys [groups, d / 2, 16] pairs of components, values
   [groups, 8, d] pairs of tokens, one pair in 32 bits, so that vdpbf16ps eats both without a shuffle. A group is the finest unit that
   can be left out. One item of work is a head's block of 128 queries; its keys pass 64 at a time through the first-level cache, under
   eight queries at a time, with the online softmax of arXiv:2205.14135 in powers of two. */
#include <stdlib.h>
#include "native.h"

#define PAGE 64
#define GROUP 16      /* tokens */
#define CHUNK 4       /* groups that pass together */
#define ROWS 128      /* queries of an item */
#define R 8           /* queries of a tile */
#define MOST_D 256
#define MOST_SAMPLES 16
#define HIDDEN -1e30f /* finite, so that differences are never NaN */
#define DENSE -1

#if defined(__AVX512BF16__) && defined(__AVX512VNNI__) && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)

int available(void) { return 1; }

#define INLINE static inline __attribute__((always_inline))

/* Two vectors of floats as pairs of bfloat16: the first in the low halves */
INLINE __m512i pairs(__m512 low, __m512 high) {
  __m512i a = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(low)), b = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(high));
  return _mm512_or_si512(a, _mm512_slli_epi32(b, 16));
}

/* 2^x for x <= 127; 0 for very small x. Relative error 8e-5, a twenty-fifth of what rounding to bfloat16 adds. */
INLINE __m512 power_of_two(__m512 x) {
  __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC), p = _mm512_set1_ps(7.80245236e-2f); /* what is above floor(x) */
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.26067161e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.95833535e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.99925220e-1f));
  return _mm512_scalef_ps(p, x);
}

/* Component j of 16 tokens from at; stride of tokens and of components in elements; tokens from count on are zero */
INLINE __m512 column(const void *x, const float *scale, int int8, int64_t token, int64_t component, int64_t j, int64_t count) {
  __mmask16 some = count >= GROUP ? 0xffff : (__mmask16)((1u << count) - 1);
  if (token == 1) {
    if (!int8) return _mm512_maskz_loadu_ps(some, (const float *)x + j * component);
    __m512 whole = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(some, (const int8_t *)x + j * component)));
    return _mm512_mul_ps(whole, _mm512_maskz_loadu_ps(some, scale));
  }
  __m512i at = _mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi32((int)token));
  return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), some, at, (const float *)x + j * component, 4);
}

typedef struct {
  const void *keys, *values;
  const float *key_scale, *value_scale;
  const int32_t *table;
  int int8, writing;
  int64_t kh, kt, vh, vt, hkv, d, tokens, groups, parts;
  uint32_t *kp, *vp;
  float *mean;
  double *sums;
} packing;

/* Groups that one piece packs */
#define PACKED 64

/* Adds up the keys of a piece of one head, or writes it */
static void pack_piece(void *context, int64_t piece) {
  const packing *z = context;
  int64_t h = piece / z->parts, part = piece % z->parts, d = z->d, size = z->int8 ? 1 : 4;
  for (int64_t g = part * PACKED; g < (part + 1) * PACKED && g < z->groups; g++) {
    int64_t at = g * GROUP, count = z->tokens - at, token = z->kt, component = 1, vtoken = z->vt;
    const char *k, *v;
    const float *ks = NULL, *vs = NULL;
    if (z->table) {
      int64_t page = (int64_t)z->table[at / PAGE] * z->hkv + h, place = at % PAGE;
      k = (const char *)z->keys + (page * d * PAGE + place) * size;
      v = (const char *)z->values + (page * PAGE + place) * d * size;
      token = 1, component = PAGE, vtoken = d;
      if (z->int8) ks = z->key_scale + page * PAGE + place, vs = z->value_scale + page * PAGE + place;
    } else {
      k = (const char *)z->keys + (h * z->kh + at * z->kt) * size;
      v = (const char *)z->values + (h * z->vh + at * z->vt) * size;
    }
    if (!z->writing) {
      double *sums = z->sums + piece * d;
      for (int64_t j = 0; j < d; j++) sums[j] += _mm512_reduce_add_ps(column(k, ks, z->int8, token, component, j, count));
      continue;
    }
    uint32_t *ko = z->kp + (h * z->groups + g) * d * 8, *vo = z->vp + (h * z->groups + g) * d * 8;
    const float *m = z->mean + h * d;
    for (int64_t j = 0; j < d; j += 2) {
      __m512 a = _mm512_sub_ps(column(k, ks, z->int8, token, component, j, count), _mm512_set1_ps(m[j]));
      __m512 b = _mm512_sub_ps(column(k, ks, z->int8, token, component, j + 1, count), _mm512_set1_ps(m[j + 1]));
      _mm512_storeu_si512(ko + j * 8, pairs(a, b));
    }
    for (int64_t e = 0; e < GROUP; e += 2)
      for (int64_t j = 0; j < d; j += 16) {
        __m512 row[2];
        for (int i = 0; i < 2; i++) {
          if (e + i >= count)
            row[i] = _mm512_setzero_ps();
          else if (z->int8)
            row[i] = _mm512_mul_ps(
                _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)((const int8_t *)v + (e + i) * vtoken + j)))),
                _mm512_set1_ps(vs[e + i]));
          else
            row[i] = _mm512_loadu_ps((const float *)v + (e + i) * vtoken + j);
        }
        _mm512_storeu_si512(vo + e / 2 * d + j, pairs(row[0], row[1]));
      }
  }
}

/* One layer's keys and values into packed [hkv, groups, d * 8] each.

   With a table, x are pages [P, hkv, d, 64] and [P, hkv, 64, d], of float or (int8 != 0) of int8 with scales [P, hkv, 64]; without,
   [hkv, tokens, d] of float with strides between heads and tokens. mean [hkv, d] receives the mean key, which is subtracted:
   softmax does not see it, and smaller numbers are rounded less. */
void pack(const void *keys, const void *values, const float *key_scale, const float *value_scale, const int32_t *table, int int8,
          int64_t kh, int64_t kt, int64_t vh, int64_t vt, int64_t hkv, int64_t d, int64_t tokens, uint32_t *kp, uint32_t *vp, float *mean) {
  int64_t groups = (tokens + GROUP - 1) / GROUP, parts = (groups + PACKED - 1) / PACKED;
  packing z = {keys, values, key_scale, value_scale, table, int8, 0, kh, kt, vh, vt, hkv, d, tokens, groups, parts, kp, vp, mean, NULL};
  z.sums = calloc((size_t)(hkv * d * parts), sizeof(double));
  memset(mean, 0, (size_t)(hkv * d) * sizeof(float));
  if (z.sums) {
    in_parallel(pack_piece, &z, hkv * parts);
    for (int64_t h = 0; h < hkv; h++)
      for (int64_t j = 0; j < d; j++) {
        double sum = 0.0;
        for (int64_t part = 0; part < parts; part++) sum += z.sums[(h * parts + part) * d + j];
        mean[h * d + j] = (float)(sum / (double)tokens);
      }
  }
  free(z.sums);
  z.writing = 1;
  in_parallel(pack_piece, &z, hkv * parts);
}

/* Queries, scaled, as bfloat16 pairs [rows, d / 2]; rows from count on are zero */
INLINE void take_queries(const float *q, int64_t step, int64_t count, int64_t rows, float scale, uint32_t *out, int64_t d) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t j = 0; j < d; j += 32) {
      __m512i both = _mm512_setzero_si512();
      if (r < count) {
        __m512 a = _mm512_loadu_ps(q + r * step + j), b = _mm512_loadu_ps(q + r * step + j + 16), s = _mm512_set1_ps(scale);
        both = (__m512i)_mm512_cvtne2ps_pbh(_mm512_mul_ps(b, s), _mm512_mul_ps(a, s));
      }
      _mm512_storeu_si512(out + (r * d + j) / 2, both);
    }
}

/* Scores of R queries with four groups of keys, less each query's base: s [R, 64] */
INLINE void scores(const uint32_t *q, const uint32_t *const *k, const float *base, float *s, const int64_t d) {
  for (int half = 0; half < 2; half++) {
    const uint32_t *k0 = k[2 * half], *k1 = k[2 * half + 1];
    __m512 acc[R][2];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) acc[r][0] = acc[r][1] = _mm512_set1_ps(-base[r]);
    for (int64_t j = 0; j < d / 2; j++) {
      __m512bh a = (__m512bh)_mm512_loadu_si512(k0 + j * 16), b = (__m512bh)_mm512_loadu_si512(k1 + j * 16);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        __m512bh x = (__m512bh)_mm512_set1_epi32((int)q[r * (d / 2) + j]);
        acc[r][0] = _mm512_dpbf16_ps(acc[r][0], x, a);
        acc[r][1] = _mm512_dpbf16_ps(acc[r][1], x, b);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      _mm512_storeu_ps(s + r * 64 + half * 32, acc[r][0]);
      _mm512_storeu_ps(s + r * 64 + half * 32 + 16, acc[r][1]);
    }
  }
}

/* sums [R, d] += p [R, 64] times four groups of values */
INLINE void add_values(const uint32_t *p, const uint32_t *const *v, float *sums, const int64_t d) {
  for (int64_t at = 0; at < d; at += 32) {
    __m512 acc[R][2];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) acc[r][0] = _mm512_loadu_ps(sums + r * d + at), acc[r][1] = _mm512_loadu_ps(sums + r * d + at + 16);
    for (int g = 0; g < CHUNK; g++)
      for (int e = 0; e < 8; e++) {
        __m512bh a = (__m512bh)_mm512_loadu_si512(v[g] + e * d + at), b = (__m512bh)_mm512_loadu_si512(v[g] + e * d + at + 16);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
          __m512bh x = (__m512bh)_mm512_set1_epi32((int)p[r * 32 + g * 8 + e]);
          acc[r][0] = _mm512_dpbf16_ps(acc[r][0], x, a);
          acc[r][1] = _mm512_dpbf16_ps(acc[r][1], x, b);
        }
      }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      _mm512_storeu_ps(sums + r * d + at, acc[r][0]);
      _mm512_storeu_ps(sums + r * d + at + 16, acc[r][1]);
    }
  }
}

INLINE __m512 hide(__m512 s, int64_t first, int64_t last) {
  int64_t seen = last - first + 1;
  __mmask16 some = seen >= GROUP ? 0xffff : seen <= 0 ? 0 : (__mmask16)((1u << seen) - 1);
  return _mm512_mask_mov_ps(_mm512_set1_ps(HIDDEN), some, s);
}

typedef struct {
  uint32_t q[ROWS * MOST_D / 2];
  float sums[ROWS * MOST_D], total[ROWS * 16], base[ROWS];
  uint8_t begun[ROWS];
} item;

/* A row's sums are taken relative to 2^base, which is raised by `most`, its largest score, when powers might overflow otherwise: up to 2^8
   they are as exact as others */
static __attribute__((noinline)) void raise_base(item *w, int64_t row, float most, int64_t d) {
  float *total = w->total + row * 16, *sums = w->sums + row * d;
  /* the first may also lower it, when there is nothing yet to scale */
  __m512 fade = power_of_two(_mm512_set1_ps(most < -126.0f ? 126.0f : -most));
  _mm512_storeu_ps(total, _mm512_mul_ps(_mm512_loadu_ps(total), fade));
  for (int64_t j = 0; j < d; j += 16) _mm512_storeu_ps(sums + j, _mm512_mul_ps(_mm512_loadu_ps(sums + j), fade));
  w->base[row] += most;
}

/* One head's block of queries at positions first .. first + count - 1 over the groups in list, ascending */
INLINE void attend_item(item *w, const uint32_t *kp, const uint32_t *vp, const int32_t *list, int64_t groups, int64_t first,
                        int64_t count, float *out, int64_t step, float *lse, int64_t lse_step, const int64_t d) {
  memset(w->sums, 0, (size_t)(ROWS * d) * sizeof(float));
  memset(w->total, 0, sizeof w->total);
  memset(w->base, 0, sizeof w->base);
  memset(w->begun, 0, sizeof w->begun);
  for (int64_t at = 0; at < groups; at += CHUNK) {
    const uint32_t *k[CHUNK], *v[CHUNK];
    int64_t place[CHUNK], lowest = INT64_MAX;
    for (int g = 0; g < CHUNK; g++) {
      int64_t number = list[at + g < groups ? at + g : groups - 1];
      k[g] = kp + number * d * 8, v[g] = vp + number * d * 8;
      place[g] = at + g < groups ? number * GROUP : INT64_MAX / 2; /* behind every query */
      if (place[g] < lowest) lowest = place[g];
    }
    int masked = place[CHUNK - 1] + GROUP - 1 > first;
    for (int64_t row = 0; row < count; row += R) {
      if (lowest > first + row + R - 1) continue;
      float s[R * 64] __attribute__((aligned(64)));
      uint32_t p[R * 32] __attribute__((aligned(64)));
      scores(w->q + row * (d / 2), k, w->base + row, s, d);
      for (int r = 0; r < R; r++) {
        __m512 x[CHUNK];
        for (int g = 0; g < CHUNK; g++) {
          x[g] = _mm512_load_ps(s + r * 64 + g * 16);
          if (masked) x[g] = hide(x[g], place[g], first + row + r);
        }
        __m512 most = _mm512_max_ps(_mm512_max_ps(x[0], x[1]), _mm512_max_ps(x[2], x[3]));
        int first_seen = !w->begun[row + r] && _mm512_cmp_ps_mask(most, _mm512_set1_ps(HIDDEN), _CMP_GT_OQ);
        if (first_seen || _mm512_cmp_ps_mask(most, _mm512_set1_ps(8.0f), _CMP_GT_OQ)) {
          float raise = _mm512_reduce_max_ps(most);
          raise_base(w, row + r, raise, d);
          for (int g = 0; g < CHUNK; g++) x[g] = _mm512_sub_ps(x[g], _mm512_set1_ps(raise));
          w->begun[row + r] = 1;
        }
        for (int g = 0; g < CHUNK; g++) x[g] = power_of_two(x[g]);
        float *total = w->total + (row + r) * 16;
        _mm512_storeu_ps(total, _mm512_add_ps(_mm512_loadu_ps(total), _mm512_add_ps(_mm512_add_ps(x[0], x[1]), _mm512_add_ps(x[2], x[3]))));
        _mm512_store_si512(p + r * 32, (__m512i)_mm512_cvtne2ps_pbh(x[1], x[0]));
        _mm512_store_si512(p + r * 32 + 16, (__m512i)_mm512_cvtne2ps_pbh(x[3], x[2]));
      }
      add_values(p, v, w->sums + row * d, d);
    }
  }
  for (int64_t r = 0; r < count; r++) {
    float total = _mm512_reduce_add_ps(_mm512_loadu_ps(w->total + r * 16));
    __m512 share = _mm512_set1_ps(1.0f / total);
    if (lse) lse[r * lse_step] = (w->base[r] + log2f(total)) * 0.69314718f;
    for (int64_t j = 0; j < d; j += 16) _mm512_storeu_ps(out + r * step + j, _mm512_mul_ps(_mm512_loadu_ps(w->sums + r * d + j), share));
  }
}

typedef struct {
  const float *q;
  const uint32_t *kp, *vp;
  const int32_t *indices, *counts;
  float *out, *lse;
  int64_t qt, qh, ot, oh, heads, hkv, d, past, tokens, groups, begin, rows, lists, width, per;
  float scale;
  int failed;
} attending;

/* One head's row of queries; the longest come first */
static void attend_row(void *context, int64_t unit) {
  attending *z = context;
  size_t room = (sizeof(item) + 63) / 64 * 64;
  item *w = own_memory(room + (size_t)(z->groups + CHUNK) * sizeof(int32_t));
  if (!w) {
    z->failed = 1;
    return;
  }
  int32_t *list = (int32_t *)((char *)w + room);
  int64_t d = z->d, row = z->rows - 1 - unit / z->heads, h = unit % z->heads, kv = h / (z->heads / z->hkv);
  int64_t first = (z->begin + row) * ROWS, end = first + ROWS < z->tokens ? first + ROWS : z->tokens;
  if (first < z->past) first = z->past;
  int64_t last = (end - 1) / GROUP, count = 0, own = (z->lists == z->heads ? h : kv) * z->rows + row;
  if (!z->counts || z->counts[own] == DENSE) {
    for (int64_t g = 0; g <= last; g++) list[count++] = (int32_t)g;
  } else {
    for (int64_t i = 0; i < z->counts[own]; i++) {
      int64_t from = z->indices[own * z->width + i] * z->per;
      for (int64_t g = from; g < from + z->per && g <= last; g++) list[count++] = (int32_t)g;
    }
  }
  const float *from = z->q + (first - z->past) * z->qt + h * z->qh;
  float *to = z->out + (first - z->past) * z->ot + h * z->oh, *sum = z->lse ? z->lse + (first - z->past) * z->heads + h : NULL;
  const uint32_t *k = z->kp + kv * z->groups * d * 8, *v = z->vp + kv * z->groups * d * 8;
  take_queries(from, z->qt, end - first, (end - first + R - 1) / R * R, z->scale * 1.44269504f, w->q, d);
  if (d == 64)
    attend_item(w, k, v, list, count, first, end - first, to, z->ot, sum, z->heads, 64);
  else if (d == 128)
    attend_item(w, k, v, list, count, first, end - first, to, z->ot, sum, z->heads, 128);
  else
    attend_item(w, k, v, list, count, first, end - first, to, z->ot, sum, z->heads, d);
}

/* q and out: element (token, head, j) at token * qt + head * qh + j, t tokens at positions past .. past + t - 1.
   indices [lists, rows, width] and counts [lists, rows]: blocks of `block` keys, ascending, of each row of 128 queries on the keys'
   grid, for each kv head or each query head (lists is either number); a count of DENSE reads everything. counts NULL: everything for
   all. lse [t, heads], or NULL, receives the logarithm of the sum of exponentials. Returns 0, or -1 without memory. */
int attend_blocks(const float *q, const uint32_t *kp, const uint32_t *vp, const int32_t *indices, const int32_t *counts, float *out,
                  float *lse, int64_t qt, int64_t qh, int64_t ot, int64_t oh, int64_t t, int64_t heads, int64_t hkv, int64_t d, int64_t past,
                  int64_t lists, int64_t width, int64_t block, float scale) {
  int64_t tokens = past + t, begin = past / ROWS;
  attending z = {q, kp, vp, indices, counts, out, lse, qt, qh, ot, oh, heads, hkv, d, past, tokens, (tokens + GROUP - 1) / GROUP, begin,
                 (tokens + ROWS - 1) / ROWS - begin, lists, width, block / GROUP, scale, 0};
  in_parallel(attend_row, &z, z.rows * heads);
  return z.failed ? -1 : 0;
}

#include "selecting.h"

#else

int available(void) { return 0; }

#endif
