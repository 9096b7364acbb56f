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

#if defined(__AVX512BF16__) && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)

int available(void) { return 1; }

#define INLINE static inline __attribute__((always_inline))

/* Two vectors of floats as pairs of bfloat16: the first in the low halves */
INLINE __m512i pairs(__m512 low, __m512 high) {
  __m512i a = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(low)), b = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(high));
  return _mm512_or_si512(a, _mm512_slli_epi32(b, 16));
}

/* 2^x for x <= 127; 0 for very small x. Relative error 5e-5, a fortieth of what rounding to bfloat16 adds. */
INLINE __m512 power_of_two(__m512 x) {
  __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), f = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(9.6184373e-3f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.5503324e-2f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.4022648e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.9314720e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
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

/* Scores of R queries with four groups of keys: s [R, 64] */
INLINE void scores(const uint32_t *q, const uint32_t *const *k, float *s, const int64_t d) {
  for (int half = 0; half < 2; half++) {
    const uint32_t *k0 = k[2 * half], *k1 = k[2 * half + 1];
    __m512 acc[R][2];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) acc[r][0] = acc[r][1] = _mm512_setzero_ps();
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
  float sums[ROWS * MOST_D], total[ROWS * 16], top[ROWS];
} item;

/* One head's block of queries at positions first .. first + count - 1 over the groups in list, ascending */
INLINE void attend_item(item *w, const uint32_t *kp, const uint32_t *vp, const int32_t *list, int64_t groups, int64_t first,
                        int64_t count, float *out, int64_t step, float *lse, int64_t lse_step, const int64_t d) {
  memset(w->sums, 0, (size_t)(ROWS * d) * sizeof(float));
  memset(w->total, 0, sizeof w->total);
  for (int r = 0; r < ROWS; r++) w->top[r] = HIDDEN;
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
      scores(w->q + row * (d / 2), k, s, d);
      for (int r = 0; r < R; r++) {
        __m512 x[CHUNK];
        for (int g = 0; g < CHUNK; g++) {
          x[g] = _mm512_load_ps(s + r * 64 + g * 16);
          if (masked) x[g] = hide(x[g], place[g], first + row + r);
        }
        __m512 most = _mm512_max_ps(_mm512_max_ps(x[0], x[1]), _mm512_max_ps(x[2], x[3]));
        float top = w->top[row + r];
        /* sums are only rescaled when they might overflow: powers up to 2^8 are as exact as others */
        if (_mm512_cmp_ps_mask(most, _mm512_set1_ps(top + 8.0f), _CMP_GT_OQ)) {
          float now = _mm512_reduce_max_ps(most);
          __m512 fade = power_of_two(_mm512_set1_ps(top - now));
          float *total = w->total + (row + r) * 16, *sums = w->sums + (row + r) * d;
          _mm512_storeu_ps(total, _mm512_mul_ps(_mm512_loadu_ps(total), fade));
          for (int64_t j = 0; j < d; j += 16) _mm512_storeu_ps(sums + j, _mm512_mul_ps(_mm512_loadu_ps(sums + j), fade));
          w->top[row + r] = top = now;
        }
        __m512 base = _mm512_set1_ps(top);
        for (int g = 0; g < CHUNK; g++) x[g] = power_of_two(_mm512_sub_ps(x[g], base));
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
    if (lse) lse[r * lse_step] = (w->top[r] + log2f(total)) * 0.69314718f;
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

/* Sums of exponentials of R sampled queries: e * 2^ref */
typedef struct {
  float e[R], ref[R];
} cell;

typedef struct {
  uint32_t q[MOST_SAMPLES * MOST_D / 2];
} sample;

/* Attention of up to R sampled queries at positions `at` over the groups in list, by cells of `per` <= 4 groups; sums of their shares
   and of the squares are added to mean and square [cells] */
INLINE void share_out(const uint32_t *q, const int64_t *at, int64_t count, const uint32_t *kp, const int32_t *list, int64_t groups, int64_t per,
                      cell *cells, float *mean, float *square, const int64_t d) {
  float top[R], total[R];
  int64_t first = at[0];
  for (int r = 0; r < R; r++) top[r] = HIDDEN, first = r < count && at[r] < first ? at[r] : first;
  for (int64_t begin = 0; begin < groups; begin += CHUNK) {
    const uint32_t *k[CHUNK];
    int64_t place[CHUNK];
    for (int g = 0; g < CHUNK; g++) {
      int64_t number = list[begin + g < groups ? begin + g : groups - 1];
      k[g] = kp + number * d * 8;
      place[g] = begin + g < groups ? number * GROUP : INT64_MAX / 2;
    }
    int masked = place[CHUNK - 1] + GROUP - 1 > first;
    float s[R * 64] __attribute__((aligned(64)));
    scores(q, k, s, d);
    cell *own = cells + begin / per;
    for (int r = 0; r < count; r++) {
      __m512 x[CHUNK];
      for (int g = 0; g < CHUNK; g++) {
        x[g] = _mm512_load_ps(s + r * 64 + g * 16);
        if (masked) x[g] = hide(x[g], place[g], at[r]);
      }
      __m512 most = _mm512_max_ps(_mm512_max_ps(x[0], x[1]), _mm512_max_ps(x[2], x[3]));
      if (_mm512_cmp_ps_mask(most, _mm512_set1_ps(top[r] + 8.0f), _CMP_GT_OQ)) top[r] = _mm512_reduce_max_ps(most);
      __m512 base = _mm512_set1_ps(top[r]);
      for (int g = 0; g < CHUNK; g++) x[g] = power_of_two(_mm512_sub_ps(x[g], base));
      if (per == 4)
        own[0].e[r] = _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(x[0], x[1]), _mm512_add_ps(x[2], x[3]))), own[0].ref[r] = top[r];
      else
        for (int g = 0; g < CHUNK && begin + g < groups; g += per) {
          own[g / per].e[r] = _mm512_reduce_add_ps(per == 2 ? _mm512_add_ps(x[g], x[g + 1]) : x[g]);
          own[g / per].ref[r] = top[r];
        }
    }
  }
  int64_t number = (groups + per - 1) / per;
  for (int r = 0; r < count; r++) {
    total[r] = 0.0f;
    for (int64_t c = 0; c < number; c++) {
      float x = cells[c].ref[r] - top[r];
      if (x < 0.0f) cells[c].e[r] *= x < -126.0f ? 0.0f : exp2f(x);
      total[r] += cells[c].e[r];
    }
    total[r] = 1.0f / total[r];
  }
  for (int64_t c = 0; c < number; c++)
    for (int r = 0; r < count; r++) {
      float x = cells[c].e[r] * total[r];
      mean[c] += x, square[c] += x * x;
    }
}

/* The blocks with need >= bar, and all forced ones (need < 0 hides a block, forced ones have need >= 2): their number and mean mass */
INLINE int64_t taken(const float *need, const float *mean, int64_t n, float bar, float *mass) {
  __m512 sum = _mm512_setzero_ps(), limit = _mm512_set1_ps(bar);
  int64_t count = 0;
  for (int64_t i = 0; i < n; i += 16) {
    __mmask16 some = n - i >= 16 ? 0xffff : (__mmask16)((1u << (n - i)) - 1);
    some = _mm512_mask_cmp_ps_mask(some, _mm512_maskz_loadu_ps(some, need + i), limit, _CMP_GE_OQ);
    sum = _mm512_mask_add_ps(sum, some, sum, _mm512_maskz_loadu_ps(some, mean + i));
    count += __builtin_popcount(some);
  }
  *mass = _mm512_reduce_add_ps(sum);
  return count;
}

/* The highest bar that lets `mass` pass, then higher until at most cap blocks do */
static float bar_for(const float *need, const float *mean, int64_t n, float mass, int64_t cap) {
  float low = 0.0f, high = 2.0f, got;
  for (int i = 0; i < 24; i++) {
    float bar = i < 16 ? sqrtf(fmaxf(low, 1e-9f) * high) : 0.5f * (low + high);
    if (taken(need, mean, n, bar, &got) > cap || got >= mass)
      low = bar;
    else
      high = bar;
  }
  return taken(need, mean, n, low, &got) <= cap ? low : high;
}

typedef struct {
  const float *q;
  const uint32_t *kp;
  int32_t *indices, *counts;
  float *captured, *pooled;
  int64_t qt, qh, heads, hkv, d, past, tokens, groups, begin, rows, lists, width, block, stride, sink, window, cap, candidates, coarse;
  float mass, scale;
  int failed;
} selecting;

/* Mean key of a block of 128 tokens (8 groups) of one head: pooled [hkv, coarse, d] */
static void pool_block(void *context, int64_t piece) {
  const selecting *z = context;
  int64_t h = piece / z->coarse, b = piece % z->coarse, d = z->d;
  int64_t end = (b + 1) * 8 < z->groups ? (b + 1) * 8 : z->groups, count = (b + 1) * 128 < z->tokens ? 128 : z->tokens - b * 128;
  for (int64_t j = 0; j < d / 2; j++) {
    __m512 even = _mm512_setzero_ps(), odd = even;
    for (int64_t g = b * 8; g < end; g++) {
      __m512i x = _mm512_loadu_si512(z->kp + ((h * z->groups + g) * d / 2 + j) * 16);
      even = _mm512_add_ps(even, (__m512)_mm512_slli_epi32(x, 16));
      odd = _mm512_add_ps(odd, (__m512)_mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000)));
    }
    float *o = z->pooled + (h * z->coarse + b) * d + 2 * j;
    o[0] = _mm512_reduce_add_ps(even) / (float)count, o[1] = _mm512_reduce_add_ps(odd) / (float)count;
  }
}

/* Chooses for one list's row; the longest come first */
static void select_row(void *context, int64_t unit) {
  selecting *z = context;
  const float *q = z->q, scale = z->scale;
  int64_t qt = z->qt, qh = z->qh, heads = z->heads, hkv = z->hkv, d = z->d, past = z->past, tokens = z->tokens, groups = z->groups;
  int64_t rows = z->rows, lists = z->lists, width = z->width, block = z->block, stride = z->stride, sink = z->sink, window = z->window;
  int64_t candidates = z->candidates, coarse = z->coarse, per = block / GROUP, blocks = (tokens + block - 1) / block;
  int64_t together = heads / lists, samples = ROWS / stride, most_cells = groups / per + CHUNK;
  const float *pooled = z->pooled;
  size_t room = (sizeof(sample) + 63) / 64 * 64, lists_room = (size_t)(groups + CHUNK + blocks + 1) * sizeof(int32_t);
  lists_room = (lists_room + 63) / 64 * 64;
  sample *w = own_memory(room + lists_room + (size_t)most_cells * sizeof(cell) + (size_t)(3 * most_cells + 2 * coarse) * sizeof(float));
  if (!w) {
    z->failed = 1;
    return;
  }
  int32_t *list = (int32_t *)((char *)w + room), *name = list + groups + CHUNK;
  cell *cells = (cell *)((char *)list + lists_room);
  float *mean = (float *)(cells + most_cells), *square = mean + most_cells, *need = square + most_cells, *far = need + most_cells;
  int64_t row = rows - 1 - unit / lists, h = unit % lists, kv = h * together / (heads / hkv);
  int64_t first = (z->begin + row) * ROWS, end = first + ROWS < tokens ? first + ROWS : tokens, at[MOST_SAMPLES];
  int64_t seen = (end - 1) / 128 + 1, last = (end - 1) / GROUP, count = 0, number = 0;
  const uint32_t *k = z->kp + kv * groups * d * 8;
  for (int64_t i = 0; i < samples; i++) {
    at[i] = first + stride - 1 + i * stride;
    at[i] = at[i] < past ? past : at[i] >= tokens ? tokens - 1 : at[i];
  }
  float edge = 0.0f; /* the score from which a block of 128 is a candidate */
  if (seen > candidates) {
    for (int64_t b = 0; b < seen; b++) far[b] = HIDDEN;
    for (int64_t g = 0; g < together; g++)
      for (int64_t i = 0; i < samples; i++) {
        const float *x = q + (at[i] - past) * qt + (h * together + g) * qh;
        for (int64_t b = 0; b < seen; b++) {
          const float *y = pooled + (kv * coarse + b) * d;
          __m512 sum = _mm512_setzero_ps();
          for (int64_t j = 0; j < d; j += 16) sum = _mm512_fmadd_ps(_mm512_loadu_ps(x + j), _mm512_loadu_ps(y + j), sum);
          far[coarse + b] = _mm512_reduce_add_ps(sum);
        }
        float most = HIDDEN; /* samples are compared by how far a block is below their best */
        for (int64_t b = 0; b < seen; b++) most = far[coarse + b] > most ? far[coarse + b] : most;
        for (int64_t b = 0; b < seen; b++) far[b] = fmaxf(far[b], far[coarse + b] - most);
      }
    float low = HIDDEN, high = 1.0f;
    for (int64_t b = 0; b < seen; b++) low = b && far[b] > low ? low : far[b];
    for (int i = 0; i < 20; i++) {
      float middle = 0.5f * (low + high);
      int64_t above = 0;
      for (int64_t b = 0; b < seen; b++) above += far[b] >= middle;
      if (above > candidates)
        low = middle;
      else
        high = middle;
    }
    edge = high;
  }
  for (int64_t b = 0; b < seen; b++) {
    int always = b * 128 < sink || (b + 1) * 128 > first - window;
    if (seen > candidates && far[b] < edge && !always) continue;
    for (int64_t g = b * 8; g < (b + 1) * 8 && g <= last; g++) {
      if (g % per == 0) name[number++] = (int32_t)(g / per);
      list[count++] = (int32_t)g;
    }
  }
  int64_t cells_used = (count + per - 1) / per;
  memset(mean, 0, (size_t)cells_used * sizeof(float));
  memset(square, 0, (size_t)cells_used * sizeof(float));
  for (int64_t g = 0; g < together; g++) {
    for (int64_t i = 0; i < samples; i++)
      take_queries(q + (at[i] - past) * qt + (h * together + g) * qh, 0, 1, 1, scale * 1.44269504f, w->q + i * (d / 2), d);
    for (int64_t i = samples; i % R; i++) take_queries(NULL, 0, 0, 1, 0.0f, w->q + i * (d / 2), d);
    for (int64_t i = 0; i < samples; i += R) {
      int64_t some = samples - i < R ? samples - i : R;
      if (d == 64)
        share_out(w->q + i * (d / 2), at + i, some, k, list, count, per, cells, mean, square, 64);
      else if (d == 128)
        share_out(w->q + i * (d / 2), at + i, some, k, list, count, per, cells, mean, square, 128);
      else
        share_out(w->q + i * (d / 2), at + i, some, k, list, count, per, cells, mean, square, d);
    }
  }
  float weight = 1.0f / (float)(together * samples), got;
  for (int64_t i = 0; i < number; i++) {
    int64_t from = name[i] * block;
    mean[i] *= weight;
    need[i] = sqrtf(square[i] * weight) + (from < sink || from + block > first - window ? 2.0f : 0.0f);
  }
  float bar = bar_for(need, mean, number, z->mass, z->cap);
  taken(need, mean, number, bar, &got);
  int32_t *out = z->indices + (h * rows + row) * width, most = 0;
  for (int64_t i = 0; i < number && most < width; i++)
    if (need[i] >= bar) out[most++] = name[i];
  z->counts[h * rows + row] = most;
  for (int64_t i = most; i < width; i++) out[i] = INT32_MAX;
  z->captured[h * rows + row] = got;
}

/* Blocks for every row of 128 queries, as attend_blocks takes them. One query in `stride` is scored; where a row sees more than
   `candidates` blocks of 128 keys, only those whose mean key scores highest are. The first `sink` tokens, the row's own and `window`
   tokens before it are always read; then blocks in order of need until `mass` of the samples' attention is captured, at most cap. captured
   [lists, rows] receives the share. Returns 0, or -1 without memory. */
int select_blocks(const float *q, const uint32_t *kp, int32_t *indices, int32_t *counts, float *captured, int64_t qt, int64_t qh, int64_t t,
                  int64_t heads, int64_t hkv, int64_t d, int64_t past, int64_t lists, int64_t width, int64_t block, int64_t stride,
                  int64_t sink, int64_t window, int64_t cap, int64_t candidates, float mass, float scale) {
  int64_t tokens = past + t, begin = past / ROWS, coarse = (tokens + 127) / 128;
  selecting z = {q, kp, indices, counts, captured, NULL, qt, qh, heads, hkv, d, past, tokens, (tokens + GROUP - 1) / GROUP, begin,
                 (tokens + ROWS - 1) / ROWS - begin, lists, width, block, stride, sink, window, cap, candidates, coarse, mass, scale, 0};
  if (candidates < coarse) {
    z.pooled = malloc((size_t)(hkv * coarse * d) * sizeof(float));
    if (!z.pooled) return -1;
    in_parallel(pool_block, &z, hkv * coarse);
  }
  in_parallel(select_row, &z, z.rows * lists);
  free(z.pooled);
  return z.failed ? -1 : 0;
}

#else

int available(void) { return 0; }

#endif
