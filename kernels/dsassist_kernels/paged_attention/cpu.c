/* Rotary embedding into the paged cache, and attention of few queries over it.
   A page holds 64 tokens: keys as [kv heads, head size, 64], so that one pass over the head's components gives the scores of 64
   tokens without a horizontal sum; values as [kv heads, 64, head size]. */
#include <stdlib.h>
#include "native.h"

#define PAGE 64
#define MOST_D 256

/* qkv [t, (hq + 2 hkv) d]; cos and sin [t, d / 2]; slot [t] is page * 64 + place. q [t, hq, d] is written, and keys and values go
   to their pages. Rotation is of halves (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin). */
void rotate_and_store(const float *qkv, const float *cosine, const float *sine, const int64_t *slot, float *q, float *keys,
                      float *values, int64_t t, int64_t hq, int64_t hkv, int64_t d) {
  int64_t half = d / 2, width = (hq + 2 * hkv) * d;
#pragma omp parallel for schedule(static) if (t > 8)
  for (int64_t i = 0; i < t; i++) {
    const float *row = qkv + i * width, *c = cosine + i * half, *s = sine + i * half;
    for (int64_t h = 0; h < hq; h++) {
      const float *x = row + h * d;
      float *o = q + (i * hq + h) * d;
#pragma omp simd
      for (int64_t j = 0; j < half; j++) {
        o[j] = x[j] * c[j] - x[half + j] * s[j];
        o[half + j] = x[half + j] * c[j] + x[j] * s[j];
      }
    }
    int64_t page = slot[i] / PAGE, place = slot[i] % PAGE;
    for (int64_t h = 0; h < hkv; h++) {
      const float *x = row + (hq + h) * d, *v = row + (hq + hkv + h) * d;
      float *k = keys + (page * hkv + h) * d * PAGE + place;
      for (int64_t j = 0; j < half; j++) {
        k[j * PAGE] = x[j] * c[j] - x[half + j] * s[j];
        k[(half + j) * PAGE] = x[half + j] * c[j] + x[j] * s[j];
      }
      memcpy(values + ((page * hkv + h) * PAGE + place) * d, v, (size_t)d * sizeof(float));
    }
  }
}

/* 16 floats: compilers lower it to whatever the processor has */
typedef float vec __attribute__((vector_size(64), aligned(4), may_alias));
#define LANES 16
#define INLINE static inline __attribute__((always_inline))

/* acc + x * v */
INLINE vec add_scaled(vec acc, float x, vec v) {
#ifdef __AVX512F__
  return (vec)_mm512_fmadd_ps(_mm512_set1_ps(x), (__m512)v, (__m512)acc);
#else
  return acc + x * v;
#endif
}

/* Scores of one page for heads first .. first + heads of one query: each row of keys is loaded once for all of them */
INLINE void page_scores(const float *query, const float *k, float *score, int64_t step, float scale, const int64_t heads, const int64_t d) {
  vec acc[4][PAGE / LANES];
  for (int64_t g = 0; g < heads; g++)
    for (int e = 0; e < PAGE / LANES; e++) acc[g][e] = (vec){0};
  for (int64_t j = 0; j < d; j++)
    for (int64_t g = 0; g < heads; g++) {
      float x = query[g * d + j] * scale;
      for (int e = 0; e < PAGE / LANES; e++) acc[g][e] = add_scaled(acc[g][e], x, ((const vec *)(k + j * PAGE))[e]);
    }
  for (int64_t g = 0; g < heads; g++) memcpy(score + g * step, acc[g], sizeof acc[g]);
}

/* sums [heads, d] += one page's values weighted by scores of count tokens; width floats of d at a time */
INLINE void page_sums(const float *score, int64_t step, const float *v, float *sums, int64_t count, const int64_t heads, const int64_t d) {
  for (int64_t from = 0; from < d; from += 4 * LANES) {
    vec acc[4][4];
    const int64_t width = (d - from) / LANES < 4 ? (d - from) / LANES : 4;
    for (int64_t g = 0; g < heads; g++)
      for (int64_t j = 0; j < width; j++) acc[g][j] = ((const vec *)(sums + g * d + from))[j];
    for (int64_t e = 0; e < count; e++)
      for (int64_t g = 0; g < heads; g++)
        for (int64_t j = 0; j < width; j++) acc[g][j] = add_scaled(acc[g][j], score[g * step + e], ((const vec *)(v + e * d + from))[j]);
    for (int64_t g = 0; g < heads; g++)
      for (int64_t j = 0; j < width; j++) ((vec *)(sums + g * d + from))[j] = acc[g][j];
  }
}

/* The same for a head size that is no multiple of 16 */
static void page_sums_any(const float *score, const float *v, float *sums, int64_t count, int64_t d) {
  for (int64_t e = 0; e < count; e++) {
    float x = score[e];
#pragma omp simd
    for (int64_t j = 0; j < d; j++) sums[j] = MADD(x, v[e * d + j], sums[j]);
  }
}

#define BY_HEADS(CALL)                    \
  for (int64_t g = 0; g < group; g += 4) { \
    int64_t left = group - g;             \
    if (left >= 4) CALL(4);               \
    else if (left == 3) CALL(3);          \
    else if (left == 2) CALL(2);          \
    else CALL(1);                         \
  }

/* A few queries' heads over one kv head's pages: query i and out i are [group, d] at i * stride, and query i sees n + i tokens.
   score [queries, group, pages * 64] and sums [queries, group, d] are scratch. Page by page for all queries, so that a page is read
   from memory once; each head's own operations and their order are those of a query alone. Inlined with d as a constant, so that sums
   stay in registers. */
INLINE void attend_group(const float *query, const float *keys, const float *values, const int32_t *table, float *out, float *score,
                         float *sums, int64_t queries, int64_t group, int64_t stride, int64_t h, int64_t hkv, int64_t n, int64_t pages,
                         float scale, const int64_t d) {
  int64_t used = (n + queries - 1 + PAGE - 1) / PAGE, step = pages * PAGE;
  for (int64_t p = 0; p < used; p++) {
    const float *k = keys + ((int64_t)table[p] * hkv + h) * d * PAGE;
    for (int64_t i = 0; i < queries; i++) {
      if (p * PAGE >= n + i) continue;
#define SCORES(HEADS) page_scores(query + i * stride + g * d, k, score + (i * group + g) * step + p * PAGE, step, scale, HEADS, d)
      BY_HEADS(SCORES)
    }
  }
  float inverse[queries * group];
  for (int64_t i = 0; i < queries; i++)
    for (int64_t g = 0; g < group; g++) {
      float *s = score + (i * group + g) * step, top = s[0], sum = 0.0f;
#pragma omp simd reduction(max : top)
      for (int64_t e = 0; e < n + i; e++) top = s[e] > top ? s[e] : top;
#pragma omp simd reduction(+ : sum)
      for (int64_t e = 0; e < n + i; e++) {
        float x = fast_expf(s[e] - top);
        s[e] = x;
        sum += x;
      }
      inverse[i * group + g] = 1.0f / sum;
    }
  memset(sums, 0, (size_t)(queries * group * d) * sizeof(float));
  for (int64_t p = 0; p < used; p++) {
    const float *v = values + ((int64_t)table[p] * hkv + h) * PAGE * d;
    for (int64_t i = 0; i < queries; i++) {
      int64_t count = n + i - p * PAGE < PAGE ? n + i - p * PAGE : PAGE;
      const float *s = score + i * group * step + p * PAGE;
      float *o = sums + i * group * d;
      if (d % LANES == 0) {
#define SUMS(HEADS) page_sums(s + g * step, step, v, o + g * d, count, HEADS, d)
        BY_HEADS(SUMS)
      } else {
        for (int64_t g = 0; g < group; g++) page_sums_any(s + g * step, v, o + g * d, count, d);
      }
    }
  }
  for (int64_t i = 0; i < queries; i++)
    for (int64_t g = 0; g < group; g++)
      for (int64_t j = 0; j < d; j++) out[i * stride + g * d + j] = sums[(i * group + g) * d + j] * inverse[i * group + g];
}

/* Queries that are taken over the pages together */
#define TOGETHER 4

/* q [t, hq, d]; query i sees the first past + i + 1 tokens of the pages in table. out [t, hq, d]. Each (query, head) is computed in
   the order of the pages, so a query's result does not depend on the others. Returns 0, -1 without memory, -2 for a head size that is
   not supported. */
int attend_few(const float *q, const float *keys, const float *values, const int32_t *table, float *out, int64_t t, int64_t hq,
               int64_t hkv, int64_t d, int64_t past, float scale) {
  int64_t group = hq / hkv, pages = (past + t + PAGE - 1) / PAGE, parts = (t + TOGETHER - 1) / TOGETHER;
  int failed = 0;
  if (d > MOST_D) return -2;
#pragma omp parallel
  {
    int64_t most = t < TOGETHER ? t : TOGETHER;
    float *score = malloc((size_t)(most * group * (pages * PAGE + d)) * sizeof(float)), *sums = score + most * group * pages * PAGE;
    if (!score) {
#pragma omp atomic write
      failed = 1;
    }
#pragma omp for collapse(2) schedule(dynamic, 1)
    for (int64_t part = 0; part < parts; part++)
      for (int64_t h = 0; h < hkv; h++) {
        if (!score) continue;
        int64_t i = part * TOGETHER, queries = t - i < TOGETHER ? t - i : TOGETHER, n = past + i + 1;
        const float *query = q + (i * hq + h * group) * d;
        float *o = out + (i * hq + h * group) * d;
        if (d == 64)
          attend_group(query, keys, values, table, o, score, sums, queries, group, hq * d, h, hkv, n, pages, scale, 64);
        else if (d == 128)
          attend_group(query, keys, values, table, o, score, sums, queries, group, hq * d, h, hkv, n, pages, scale, 128);
        else
          attend_group(query, keys, values, table, o, score, sums, queries, group, hq * d, h, hkv, n, pages, scale, d);
      }
    free(score);
  }
  return failed ? -1 : 0;
}
