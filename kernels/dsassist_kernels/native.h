/* Shared by the CPU kernels. Everything is row-major; a [M, K] array is M rows of K contiguous elements. */
#ifndef DSASSIST_NATIVE_H
#define DSASSIST_NATIVE_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <omp.h>
#if defined(__AVX512F__) && defined(__AVX512BW__)
#include <immintrin.h>
#endif

/* run(context, piece) for every piece, on the threads that all kernels share (threads/cpu.c) once they are told of them. */
typedef void (*piece_function)(void *context, int64_t piece);
static void (*threads_run)(piece_function run, void *context, int64_t pieces);
static int (*threads_count)(void);
void use_threads(void *run, void *count) {
  threads_run = (void (*)(piece_function, void *, int64_t))run;
  threads_count = (int (*)(void))count;
}
static inline void in_parallel(piece_function run, void *context, int64_t pieces) {
  if (threads_run) {
    threads_run(run, context, pieces);
    return;
  }
  for (int64_t i = 0; i < pieces; i++) run(context, i);
}

/* How many threads take part */
static inline int threads(void) { return threads_count ? threads_count() : 1; }

/* Memory of the calling thread's own, aligned to 64 bytes, until it asks again; 0 without memory. */
static inline void *own_memory(size_t size) {
  static _Thread_local void *memory;
  static _Thread_local size_t room;
  if (size > room) {
    free(memory);
    memory = aligned_alloc(64, (size + 4095) / 4096 * 4096);
    room = memory ? size : 0;
  }
  return memory;
}

/* exp(x) for float, within 2 ulp, for x in [-87, 88]; no branches, so that loops around it vectorise.
   exp(x) = 2^n * 2^f with n = round(x / ln 2); 2^f by a degree-6 polynomial (minimax on [-0.5, 0.5]). */
static inline float exp_within(float x) {
  float t = x * 1.44269504f;
  float n = t + 12582912.0f; /* 1.5 * 2^23: adding it rounds to the nearest integer */
  n -= 12582912.0f;
  float f = t - n;
  float p = 1.5353362e-4f;
  p = p * f + 1.3398874e-3f;
  p = p * f + 9.6184373e-3f;
  p = p * f + 5.5503324e-2f;
  p = p * f + 2.4022648e-1f;
  p = p * f + 6.9314720e-1f;
  p = p * f + 1.0f;
  union { float f; int32_t i; } u;
  u.f = p;
  u.i += (int32_t)n << 23;
  return u.f;
}

/* The same for any x, clamped to that range */
static inline float fast_expf(float x) { return exp_within(x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x)); }

/* silu(gate) * up. The exponential is clamped at 40, where the result is nothing beside any other. A vectorised branch is computed for
   every lane and then chosen: clamped at 88 it divides ordinary gates by 1e38, and denormal numbers took 20 times the time. */
static inline float silu_times(float gate, float up) {
  float x = -gate;
  return gate / (1.0f + exp_within(x > 40.0f ? 40.0f : (x < -87.0f ? -87.0f : x))) * up;
}

/* a * b + c, fused where the processor can (elsewhere fmaf would be a slow call) */
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define MADD(a, b, c) __builtin_fmaf(a, b, c)
#else
#define MADD(a, b, c) ((a) * (b) + (c))
#endif

/* One row to int8 by its own largest magnitude: q = round(x / s), s = max|x| / 127. Ties to even, as torch.round does. */
static inline float quantize_row(const float *x, int8_t *q, int64_t k) {
  float top = 0.0f;
#pragma omp simd reduction(max : top)
  for (int64_t i = 0; i < k; i++) {
    float a = fabsf(x[i]);
    top = a > top ? a : top;
  }
  float s = top > 0.0f ? top / 127.0f : 1.0f;
#pragma omp simd
  for (int64_t i = 0; i < k; i++) {
    float v = x[i] / s + 12582912.0f; /* rounds to the nearest integer, ties to even */
    q[i] = (int8_t)(int32_t)(v - 12582912.0f);
  }
  return s;
}

/* What quantize_row left over, as a second digit: low = round((x / s - q) * 254). Its step is s / 254, since |x / s - q| <= 1/2. */
static inline void second_digit(const float *x, const int8_t *q, float s, int8_t *low, int64_t k) {
#pragma omp simd
  for (int64_t i = 0; i < k; i++) {
    float v = (x[i] / s - (float)q[i]) * 254.0f + 12582912.0f;
    low[i] = (int8_t)(int32_t)(v - 12582912.0f);
  }
}

#endif
