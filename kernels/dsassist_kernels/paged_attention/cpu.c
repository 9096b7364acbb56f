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

/* A few queries' heads over one kv head's pages: query i and out i are [group, d] at i * hq * d, and query i sees n + i tokens.
   score [queries, group, pages * 64] and sums [queries, group, d] are scratch. Page by page for all queries, so that a page is read
   from memory once; each query's own operations and their order are those of a query alone. Inlined with d as a constant, so that a
   row of d sums stays in registers. */
static inline __attribute__((always_inline)) void attend_group(const float *query, const float *keys, const float *values,
                                                               const int32_t *table, float *out, float *score, float *sums,
                                                               int64_t queries, int64_t group, int64_t stride, int64_t h,
                                                               int64_t hkv, int64_t n, int64_t pages, float scale,
                                                               const int64_t d) {
  int64_t used = (n + queries - 1 + PAGE - 1) / PAGE;
  for (int64_t p = 0; p < used; p++) {
    const float *k = keys + ((int64_t)table[p] * hkv + h) * d * PAGE;
    for (int64_t i = 0; i < queries; i++)
      for (int64_t g = 0; g < group && p * PAGE < n + i; g++) {
        float acc[PAGE] = {0};
        for (int64_t j = 0; j < d; j++) {
          float x = query[i * stride + g * d + j] * scale;
#pragma omp simd
          for (int64_t e = 0; e < PAGE; e++) acc[e] = MADD(x, k[j * PAGE + e], acc[e]);
        }
        memcpy(score + ((i * group + g) * pages + p) * PAGE, acc, sizeof acc);
      }
  }
  float inverse[queries * group];
  for (int64_t i = 0; i < queries; i++)
    for (int64_t g = 0; g < group; g++) {
      float *s = score + (i * group + g) * pages * PAGE, top = s[0], sum = 0.0f;
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
      int64_t end = n + i - p * PAGE < PAGE ? n + i - p * PAGE : PAGE;
      for (int64_t g = 0; g < group; g++) {
        const float *s = score + ((i * group + g) * pages + p) * PAGE;
        float acc[MOST_D], *kept = sums + (i * group + g) * d;
        for (int64_t j = 0; j < d; j++) acc[j] = kept[j];
        for (int64_t e = 0; e < end; e++) {
          float x = s[e];
#pragma omp simd
          for (int64_t j = 0; j < d; j++) acc[j] = MADD(x, v[e * d + j], acc[j]);
        }
        for (int64_t j = 0; j < d; j++) kept[j] = acc[j];
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
