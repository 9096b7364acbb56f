/* Root-mean-square norm, a row at a time: PyTorch's own is five passes, which costs more than the arithmetic of one token. */
#include "../native.h"

/* y [t, k] = x / sqrt(mean(x^2) + eps) * w, a row at a time */
void rms_norm(const float *x, const float *w, float *y, int64_t t, int64_t k, float eps) {
#pragma omp parallel for schedule(static) if (t > 16)
  for (int64_t i = 0; i < t; i++) {
    const float *row = x + i * k;
    float *o = y + i * k, sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < k; j++) sum = MADD(row[j], row[j], sum);
    float s = 1.0f / sqrtf(sum / (float)k + eps);
#pragma omp simd
    for (int64_t j = 0; j < k; j++) o[j] = row[j] * s * w[j];
  }
}
