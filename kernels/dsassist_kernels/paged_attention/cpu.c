/* Rotary embedding into the paged cache, and attention of few queries over it.
   A page holds 64 tokens: keys as [kv heads, head size, 64], so that one pass over the head's components gives the scores of 64
   tokens without a horizontal sum; values as [kv heads, 64, head size]. */
#include "native.h"

#define PAGE 64
#define MOST_D 256

typedef struct {
  const float *qkv, *cosine, *sine;
  const int64_t *slot;
  float *q;
  void *keys, *values;
  float *key_scale, *value_scale, *bounds;
  const float *offset;
  int64_t t, hq, hkv, d;
} rotation;

/* Rows that are taken at a time */
#define ROTATED 16

static void rotate_rows(void *context, int64_t number) {
  const rotation *z = context;
  int64_t hq = z->hq, hkv = z->hkv, d = z->d, half = d / 2, width = (hq + 2 * hkv) * d;
  for (int64_t i = number * ROTATED; i < (number + 1) * ROTATED && i < z->t; i++) {
    const float *row = z->qkv + i * width, *c = z->cosine + i * half, *s = z->sine + i * half;
    for (int64_t h = 0; h < hq; h++) {
      const float *x = row + h * d;
      float *o = z->q + (i * hq + h) * d;
#pragma omp simd
      for (int64_t j = 0; j < half; j++) {
        o[j] = x[j] * c[j] - x[half + j] * s[j];
        o[half + j] = x[half + j] * c[j] + x[j] * s[j];
      }
    }
    int64_t page = z->slot[i] / PAGE, place = z->slot[i] % PAGE;
    for (int64_t h = 0; h < hkv; h++) {
      const float *x = row + (hq + h) * d, *v = row + (hq + hkv + h) * d;
      int64_t at = page * hkv + h;
      if (z->key_scale) {
        float rotated[d];
        int8_t whole[d];
        for (int64_t j = 0; j < half; j++) {
          rotated[j] = x[j] * c[j] - x[half + j] * s[j];
          rotated[half + j] = x[half + j] * c[j] + x[j] * s[j];
        }
        if (z->offset)
          for (int64_t j = 0; j < d; j++) rotated[j] -= z->offset[h * d + j];
        int8_t *k = (int8_t *)z->keys + at * d * PAGE + place;
        z->key_scale[at * PAGE + place] = quantize_row(rotated, whole, d);
        for (int64_t j = 0; j < d; j++) k[j * PAGE] = whole[j];
        z->value_scale[at * PAGE + place] = quantize_row(v, (int8_t *)z->values + (at * PAGE + place) * d, d);
        continue;
      }
      float *k = (float *)z->keys + at * d * PAGE + place;
      for (int64_t j = 0; j < half; j++) {
        k[j * PAGE] = x[j] * c[j] - x[half + j] * s[j];
        k[(half + j) * PAGE] = x[half + j] * c[j] + x[j] * s[j];
      }
      memcpy((float *)z->values + (at * PAGE + place) * d, v, (size_t)d * sizeof(float));
    }
  }
}

/* The bounds of pages that are full with one of these rows */
static void bound_rows(void *context, int64_t number) {
  const rotation *z = context;
  int64_t hkv = z->hkv, d = z->d;
  for (int64_t i = number * ROTATED; i < (number + 1) * ROTATED && i < z->t; i++) {
    if (z->slot[i] % PAGE != PAGE - 1) continue;
    for (int64_t at = z->slot[i] / PAGE * hkv; at < (z->slot[i] / PAGE + 1) * hkv; at++)
      for (int64_t j = 0; j < d; j++) {
        float low = INFINITY, high = -INFINITY;
        for (int64_t e = 0; e < PAGE; e++) {
          int64_t spot = (at * d + j) * PAGE + e;
          float x = z->key_scale ? (float)((const int8_t *)z->keys)[spot] * z->key_scale[at * PAGE + e] : ((const float *)z->keys)[spot];
          low = x < low ? x : low, high = x > high ? x : high;
        }
        z->bounds[at * 2 * d + j] = low, z->bounds[(at * 2 + 1) * d + j] = high;
      }
  }
}

/* qkv [t, (hq + 2 hkv) d]; cos and sin [t, d / 2]; slot [t] is page * 64 + place. q [t, hq, d] is written, and keys and values go
   to their pages. Rotation is of halves (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin). With scales [P, hkv, 64], pages are int8 and
   each token and head has its own; offset [hkv, d], or NULL, is subtracted from such keys. bounds [P, hkv, 2, d] receive the least and
   largest components of a page's keys when it is full; may be NULL. */
void rotate_and_store(const float *qkv, const float *cosine, const float *sine, const int64_t *slot, float *q, void *keys, void *values,
                      float *key_scale, float *value_scale, float *bounds, const float *offset, int64_t t, int64_t hq, int64_t hkv, int64_t d) {
  rotation z = {qkv, cosine, sine, slot, q, keys, values, key_scale, value_scale, bounds, offset, t, hq, hkv, d};
  in_parallel(rotate_rows, &z, (t + ROTATED - 1) / ROTATED);
  if (bounds) in_parallel(bound_rows, &z, (t + ROTATED - 1) / ROTATED);
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

/* 16 elements of a page as floats */
INLINE vec load16(const void *x, int64_t at, const int int8) {
  if (!int8) return *(const vec *)((const float *)x + at);
#ifdef __AVX512F__
  return (vec)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)((const int8_t *)x + at))));
#else
  vec out;
  for (int e = 0; e < LANES; e++) out[e] = (float)((const int8_t *)x)[at + e];
  return out;
#endif
}

/* Scores of one page for heads first .. first + heads of one query: each row of keys is loaded once for all of them */
INLINE void page_scores(const float *query, const void *k, float *score, int64_t step, const int64_t heads, const int64_t d,
                        const int int8) {
  vec acc[4][PAGE / LANES];
  for (int64_t g = 0; g < heads; g++)
    for (int e = 0; e < PAGE / LANES; e++) acc[g][e] = (vec){0};
  for (int64_t j = 0; j < d; j++) {
    vec key[PAGE / LANES];
    for (int e = 0; e < PAGE / LANES; e++) key[e] = load16(k, j * PAGE + e * LANES, int8);
    for (int64_t g = 0; g < heads; g++) {
      float x = query[g * d + j];
      for (int e = 0; e < PAGE / LANES; e++) acc[g][e] = add_scaled(acc[g][e], x, key[e]);
    }
  }
  for (int64_t g = 0; g < heads; g++) memcpy(score + g * step, acc[g], sizeof acc[g]);
}

/* sums [heads, d] += one page's values weighted by scores of count tokens; width floats of d at a time */
INLINE void page_sums(const float *score, int64_t step, const void *v, float *sums, int64_t count, const int64_t heads, const int64_t d,
                      const int int8) {
  for (int64_t from = 0; from < d; from += 4 * LANES) {
    vec acc[4][4];
    const int64_t width = (d - from) / LANES < 4 ? (d - from) / LANES : 4;
    for (int64_t g = 0; g < heads; g++)
      for (int64_t j = 0; j < width; j++) acc[g][j] = ((const vec *)(sums + g * d + from))[j];
    for (int64_t e = 0; e < count; e++) {
      vec value[4];
      for (int64_t j = 0; j < width; j++) value[j] = load16(v, e * d + from + j * LANES, int8);
      for (int64_t g = 0; g < heads; g++)
        for (int64_t j = 0; j < width; j++) acc[g][j] = add_scaled(acc[g][j], score[g * step + e], value[j]);
    }
    for (int64_t g = 0; g < heads; g++)
      for (int64_t j = 0; j < width; j++) ((vec *)(sums + g * d + from))[j] = acc[g][j];
  }
}

/* The same for a head size that is no multiple of 16 */
static void page_sums_any(const float *score, const void *v, float *sums, int64_t count, int64_t d, int int8) {
  for (int64_t e = 0; e < count; e++) {
    float x = score[e];
    for (int64_t j = 0; j < d; j++)
      sums[j] = MADD(x, int8 ? (float)((const int8_t *)v)[e * d + j] : ((const float *)v)[e * d + j], sums[j]);
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

/* Pages of one layer, and for each token and head of int8 ones a scale */
typedef struct {
  const void *keys, *values;
  const float *key_scale, *value_scale, *bounds;
} pool;

/* A few queries' heads over one kv head's pages: query i and out i are [group, d] at i * stride, and query i sees n + i tokens.
   score [queries, group, pages * 64] and sums [queries, group, d] are scratch. Page by page for all queries, so that a page is read
   from memory once; each head's own operations and their order are those of a query alone. Inlined with d as a constant, so that sums
   stay in registers. */
INLINE void attend_group(const float *query, const pool *from, const int32_t *table, float *out, float *lse, int64_t heads, float *score, float *sums, int64_t queries,
                         int64_t group, int64_t stride, int64_t h, int64_t hkv, int64_t n, int64_t pages, float scale, const int64_t d,
                         const int int8) {
  int64_t used = (n + queries - 1 + PAGE - 1) / PAGE, step = pages * PAGE, size = int8 ? 1 : 4;
  float *scaled = sums; /* until the sums are begun */
  for (int64_t i = 0; i < queries; i++)
    for (int64_t j = 0; j < group * d; j++) scaled[i * group * d + j] = query[i * stride + j] * scale;
  for (int64_t p = 0; p < used; p++) {
    int64_t at = (int64_t)table[p] * hkv + h;
    const char *k = (const char *)from->keys + at * d * PAGE * size;
    for (int64_t i = 0; i < queries; i++) {
      if (p * PAGE >= n + i) continue;
      float *s = score + i * group * step + p * PAGE;
#define SCORES(HEADS) page_scores(scaled + (i * group + g) * d, k, s + g * step, step, HEADS, d, int8)
      BY_HEADS(SCORES)
      if (int8)
        for (int64_t g = 0; g < group; g++)
#pragma omp simd
          for (int e = 0; e < PAGE; e++) s[g * step + e] *= from->key_scale[at * PAGE + e];
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
      if (lse) lse[i * heads + g] = top + logf(sum);
    }
  memset(sums, 0, (size_t)(queries * group * d) * sizeof(float));
  for (int64_t p = 0; p < used; p++) {
    int64_t at = (int64_t)table[p] * hkv + h;
    const char *v = (const char *)from->values + at * PAGE * d * size;
    for (int64_t i = 0; i < queries; i++) {
      int64_t count = n + i - p * PAGE < PAGE ? n + i - p * PAGE : PAGE;
      float *s = score + i * group * step + p * PAGE;
      float *o = sums + i * group * d;
      if (int8)
        for (int64_t g = 0; g < group; g++)
          for (int64_t e = 0; e < count; e++) s[g * step + e] *= from->value_scale[at * PAGE + e];
      if (d % LANES == 0) {
#define SUMS(HEADS) page_sums(s + g * step, step, v, o + g * d, count, HEADS, d, int8)
        BY_HEADS(SUMS)
      } else {
        for (int64_t g = 0; g < group; g++) page_sums_any(s + g * step, v, o + g * d, count, d, int8);
      }
    }
  }
  for (int64_t i = 0; i < queries; i++)
    for (int64_t g = 0; g < group; g++)
      for (int64_t j = 0; j < d; j++) out[i * stride + g * d + j] = sums[(i * group + g) * d + j] * inverse[i * group + g];
}

/* The keep pages of used that could hold the highest scores of a kv head's queries [group, d], by their bounds (Quest, arXiv:2406.10774);
   the first and the newest are always among them. chosen receives them in the table's order; promise [used] is scratch. */
static void choose_pages(const float *query, int64_t group, int64_t d, const float *bounds, const int32_t *table, int64_t used, int64_t h,
                         int64_t hkv, int64_t keep, float *promise, int32_t *chosen) {
  float low = INFINITY, high = -INFINITY;
  for (int64_t p = 1; p + 1 < used; p++) {
    const float *least = bounds + ((int64_t)table[p] * hkv + h) * 2 * d, *most = least + d;
    float best = -INFINITY;
    for (int64_t g = 0; g < group; g++) {
      const float *x = query + g * d;
      float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < d; j++) {
        float a = x[j] * least[j], b = x[j] * most[j];
        sum += a > b ? a : b;
      }
      best = sum > best ? sum : best;
    }
    promise[p] = best;
    low = best < low ? best : low, high = best > high ? best : high;
  }
  /* low: at least keep - 2 pages reach it; high: fewer do */
  int64_t wanted = keep - 2, above = 0;
  for (int i = 0; i < 40; i++) {
    float middle = low + 0.5f * (high - low);
    int64_t reached = 0;
    for (int64_t p = 1; p + 1 < used; p++) reached += promise[p] >= middle;
    if (reached >= wanted)
      low = middle;
    else
      high = middle;
  }
  for (int64_t p = 1; p + 1 < used; p++) above += promise[p] >= high && high > low;
  int64_t at = 0, equal = wanted - above;
  chosen[at++] = table[0];
  for (int64_t p = 1; p + 1 < used && at < keep - 1; p++) {
    int clear = promise[p] >= high && high > low;
    if (clear || (promise[p] >= low && equal-- > 0)) chosen[at++] = table[p];
  }
  chosen[at] = table[used - 1];
}

/* Queries that are taken over the pages together */
#define TOGETHER 4

typedef struct {
  const float *q;
  pool source;
  const int32_t *table;
  float *out, *lse;
  int64_t t, hq, hkv, d, past, keep, from, pages, together;
  float scale;
  int failed;
} attention;

static void attend_part(void *context, int64_t number) {
  attention *z = context;
  int64_t d = z->d, hq = z->hq, hkv = z->hkv, group = hq / hkv, pages = z->pages, keep = z->keep;
  int64_t h = number % hkv, i = number / hkv * z->together, queries = z->t - i < z->together ? z->t - i : z->together;
  int64_t n = z->past + i + 1, used = (n + PAGE - 1) / PAGE, floats = z->together * group * (pages * PAGE + d);
  float *score = own_memory((size_t)floats * sizeof(float) + (size_t)pages * 2 * sizeof(int32_t)), *sums = score + z->together * group * pages * PAGE;
  if (!score) {
    z->failed = 1;
    return;
  }
  const pool *source = &z->source;
  const float *query = z->q + (i * hq + h * group) * d;
  const int32_t *own = z->table;
  int32_t *chosen = (int32_t *)(score + floats);
  float *o = z->out + (i * hq + h * group) * d, *sum = z->lse ? z->lse + i * hq + h * group : NULL;
  if (z->together == 1 && source->bounds && n >= z->from && used > keep) {
    choose_pages(query, group, d, source->bounds, z->table, used, h, hkv, keep, (float *)(chosen + pages), chosen);
    own = chosen, n -= (used - keep) * PAGE;
  }
#define ATTEND(D, INT8) attend_group(query, source, own, o, sum, hq, score, sums, queries, group, hq *d, h, hkv, n, pages, z->scale, D, INT8)
  if (source->key_scale) {
    if (d == 64)
      ATTEND(64, 1);
    else if (d == 128)
      ATTEND(128, 1);
    else
      ATTEND(d, 1);
  } else {
    if (d == 64)
      ATTEND(64, 0);
    else if (d == 128)
      ATTEND(128, 0);
    else
      ATTEND(d, 0);
  }
}

/* q [t, hq, d]; query i sees the first past + i + 1 tokens of the pages in table. out [t, hq, d]. Each (query, head) is computed in
   the order of the pages, so a query's result does not depend on the others. With bounds, a query that sees at least `from` tokens reads
   `keep` pages only, of its own choice. lse [t, hq], or NULL, receives the logarithm of the sum of exponentials. Returns 0, -1 without
   memory, -2 for a head size that is not supported. */
int attend_few(const float *q, const void *keys, const void *values, const float *key_scale, const float *value_scale, const float *bounds,
               const int32_t *table, float *out, float *lse, int64_t t, int64_t hq, int64_t hkv, int64_t d, int64_t past, int64_t keep, int64_t from,
               float scale) {
  if (d > MOST_D) return -2;
  int64_t pages = (past + t + PAGE - 1) / PAGE;
  int choosing = bounds && past + t >= from && pages > keep;
  pool source = {keys, values, key_scale, value_scale, choosing ? bounds : NULL};
  attention z = {q, source, table, out, lse, t, hq, hkv, d, past, keep, from, pages, choosing ? 1 : TOGETHER, scale, 0};
  in_parallel(attend_part, &z, (t + z.together - 1) / z.together * hkv);
  return z.failed ? -1 : 0;
}
