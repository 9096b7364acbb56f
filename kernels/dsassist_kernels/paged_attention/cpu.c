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

/* One query's group of heads over one kv head's pages: query and out [group, d], score [group, pages * 64] is scratch, n tokens are
   seen. Inlined with d as a constant, so that a row of d sums stays in registers. */
static inline __attribute__((always_inline)) void attend_group(const float *query, const float *keys, const float *values,
                                                               const int32_t *table, float *out, float *score, int64_t group,
                                                               int64_t h, int64_t hkv, int64_t n, int64_t pages, float scale,
                                                               const int64_t d) {
  int64_t used = (n + PAGE - 1) / PAGE;
  for (int64_t p = 0; p < used; p++) {
    const float *k = keys + ((int64_t)table[p] * hkv + h) * d * PAGE;
    for (int64_t g = 0; g < group; g++) {
      float acc[PAGE] = {0};
      for (int64_t j = 0; j < d; j++) {
        float x = query[g * d + j] * scale;
#pragma omp simd
        for (int64_t e = 0; e < PAGE; e++) acc[e] = MADD(x, k[j * PAGE + e], acc[e]);
      }
      memcpy(score + (g * pages + p) * PAGE, acc, sizeof acc);
    }
  }
  for (int64_t g = 0; g < group; g++) {
    float *s = score + g * pages * PAGE, top = s[0], sum = 0.0f;
#pragma omp simd reduction(max : top)
    for (int64_t e = 0; e < n; e++) top = s[e] > top ? s[e] : top;
#pragma omp simd reduction(+ : sum)
    for (int64_t e = 0; e < n; e++) {
      float x = fast_expf(s[e] - top);
      s[e] = x;
      sum += x;
    }
    float inverse = 1.0f / sum;
    float acc[MOST_D] = {0};
    for (int64_t p = 0; p < used; p++) {
      const float *v = values + ((int64_t)table[p] * hkv + h) * PAGE * d;
      int64_t end = n - p * PAGE < PAGE ? n - p * PAGE : PAGE;
      for (int64_t e = 0; e < end; e++) {
        float x = s[p * PAGE + e];
#pragma omp simd
        for (int64_t j = 0; j < d; j++) acc[j] = MADD(x, v[e * d + j], acc[j]);
      }
    }
    for (int64_t j = 0; j < d; j++) out[g * d + j] = acc[j] * inverse;
  }
}

/* q [t, hq, d]; query i sees the first past + i + 1 tokens of the pages in table. out [t, hq, d]. Each (query, kv head) is computed
   alone and in the order of the pages, so a query's result does not depend on the others. Returns 0, -1 without memory, -2 for a head
   size that is not supported. */
int attend_few(const float *q, const float *keys, const float *values, const int32_t *table, float *out, int64_t t, int64_t hq,
               int64_t hkv, int64_t d, int64_t past, float scale) {
  int64_t group = hq / hkv, pages = (past + t + PAGE - 1) / PAGE;
  int failed = 0;
  if (d > MOST_D) return -2;
#pragma omp parallel
  {
    float *score = malloc((size_t)(group * pages * PAGE) * sizeof(float));
    if (!score) {
#pragma omp atomic write
      failed = 1;
    }
#pragma omp for collapse(2) schedule(static)
    for (int64_t i = 0; i < t; i++)
      for (int64_t h = 0; h < hkv; h++) {
        if (!score) continue;
        const float *query = q + (i * hq + h * group) * d;
        float *o = out + (i * hq + h * group) * d;
        int64_t n = past + i + 1;
        if (d == 64)
          attend_group(query, keys, values, table, o, score, group, h, hkv, n, pages, scale, 64);
        else if (d == 128)
          attend_group(query, keys, values, table, o, score, group, h, hkv, n, pages, scale, 128);
        else
          attend_group(query, keys, values, table, o, score, group, h, hkv, n, pages, scale, d);
      }
    free(score);
  }
  return failed ? -1 : 0;
}
