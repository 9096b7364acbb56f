/* An output head in two parts: the upper four of eight bits, which are a matrix of four bits with scales 16 times as large, and the
   lower four, with the scales as they are. Most products need not be known exactly: the upper part bounds them, and the lower one is read
   only where the bound reaches the largest. */
#include "../packed_linear/packed.h"

#define PART (LINE * 9)
#define WHOLE 17 /* lines of a tile of eight bits */
#define UPPER 9
#define MIDDLE 7.5f /* of the lower part */
#define SCORED 8

/* 16 h, -1 where that is too large */
static int sixteenfold(uint16_t h) {
  int sign = h & 0x8000, exponent = h >> 10 & 31, fraction = h & 1023;
  if (exponent > 26) return -1;
  if (exponent) return h + (4 << 10);
  fraction *= 16;
  if (fraction < 1024) return sign | fraction;
  for (exponent = 1; fraction >= 2048; exponent++) fraction /= 2;
  return sign | exponent << 10 | (fraction - 1024);
}

/* w [n / 16, k / 64] tiles of eight bits -> upper and lower [n / 16, k / 64] tiles, and for each row the norm of what the lower part adds to
   its middle, and 8 times the norm of its scales. Returns 0, or -1 for scales that are too large. */
int split_head(const uint8_t *w, uint8_t *upper, uint8_t *lower, float *error, float *rounding, int64_t n, int64_t k) {
  for (int64_t block = 0; block < n / ROWS; block++) {
    float squares[ROWS] = {0}, scales[ROWS] = {0};
    for (int64_t i = 0; i < k / TILE; i++, w += tile_bytes(WHOLE), upper += PART, lower += PART) {
      memcpy(lower, w, PART);
      memcpy(upper + LINE, w + PART, PART - LINE);
      for (int half = 0; half < 2; half++)
        for (int r = 0; r < ROWS; r++) {
          uint16_t h;
          memcpy(&h, w + half * 32 + 2 * r, 2);
          float s = half_to_float(h), sum = 0.0f;
          int more = sixteenfold(h);
          if (more < 0) return -1;
          h = (uint16_t)more;
          memcpy(upper + half * 32 + 2 * r, &h, 2);
          for (int t = 0; t < 4; t++)
            for (int j = 0; j < 4; j++) {
              uint8_t b = lower[LINE + half * 4 * LINE + t * LINE + 4 * r + j];
              float x = (float)(b & 15) - MIDDLE, z = (float)(b >> 4) - MIDDLE;
              sum += x * x + z * z;
            }
          squares[r] += sum * s * s;
          scales[r] += s * s;
        }
    }
    for (int r = 0; r < ROWS; r++) {
      error[block * ROWS + r] = sqrtf(squares[r]);
      rounding[block * ROWS + r] = 8.0f * sqrtf(scales[r]);
    }
  }
  return 0;
}

typedef struct {
  const activations *a;
  const uint8_t *upper, *lower;
  const int64_t *blocks;
  int64_t row, count, n;
  float *y;
  int failed;
} scoring;

/* A block's tiles put together again */
static void assemble(const scoring *z, int64_t block, int64_t tiles, uint8_t *w) {
  const uint8_t *u = z->upper + block * tiles * PART, *l = z->lower + block * tiles * PART;
  for (int64_t i = 0; i < tiles; i++) {
    memcpy(w + i * tile_bytes(WHOLE), l + i * PART, PART);
    memcpy(w + i * tile_bytes(WHOLE) + PART, u + i * PART + LINE, PART - LINE);
  }
}

/* The exact products of some blocks with one row, or of all in turn with every row, as the whole matrix gives them */
static void score_blocks(void *context, int64_t number) {
  scoring *z = context;
  const activations *a = z->a;
  int64_t tiles = a->k / TILE, groups = a->k / GROUP, at = z->row / ROWS * groups * ROWS, lane = z->row % ROWS;
  uint8_t *w = own_memory((size_t)(tiles * tile_bytes(WHOLE) + AHEAD));
  float out[ROWS * ROWS];
  if (!w) {
    z->failed = 1;
    return;
  }
  for (int64_t n = number * SCORED; n < (number + 1) * SCORED && n < z->count; n++) {
    int64_t block = z->blocks ? z->blocks[n] : n;
    assemble(z, block, tiles, w);
    if (z->blocks) {
      panel_dot(WHOLE, 1, w, a->q + (at + lane) * GROUP, a->s + at + lane, a->c + at + lane, tiles, out);
      memcpy(z->y + block * ROWS, out, ROWS * sizeof(float));
      continue;
    }
    for (int64_t first = 0; first < a->m; first += ROWS) {
      int64_t left = a->m - first < ROWS ? a->m - first : ROWS, from = first * groups;
      panel_dot(WHOLE, left, w, a->q + from * GROUP, a->s + from, a->c + from, tiles, out);
      for (int64_t i = 0; i < left; i++) memcpy(z->y + (first + i) * z->n + block * ROWS, out + i * ROWS, ROWS * sizeof(float));
    }
  }
}

static int score(scoring *z, int64_t count) {
  z->count = count;
  in_parallel(score_blocks, z, (count + SCORED - 1) / SCORED);
  return z->failed ? -1 : 0;
}

INLINE float largest(const float *x, int64_t count) {
  float most = -INFINITY;
#pragma omp simd reduction(max : most)
  for (int64_t i = 0; i < count; i++) most = x[i] > most ? x[i] : most;
  return most;
}

/* The block that holds the largest of n numbers, the first such; 0 if all are none */
static int64_t best_block(const float *x, int64_t n) {
  int64_t at = 0, part = 64 * ROWS;
  float top = -INFINITY;
  for (int64_t i = 0; i < n; i += part) {
    float most = largest(x + i, n - i < part ? n - i : part);
    if (most > top) top = most, at = i;
  }
  for (int64_t i = at; i < n && i < at + part; i += ROWS)
    if (largest(x + i, ROWS) == top) return i / ROWS;
  return 0;
}

/* y [m, n] = x W^T, W in two parts as split_head gives them: exact wherever a row's largest product may be, elsewhere within the
   bound; with everything, exact throughout. What is exact in a row does not depend on other rows.
   scratch: activation_bytes(m, k); more: 4 bytes for each group of its panels, and 8 for each block. Returns 0, or -1 without memory. */
int head_scores(const float *x, const uint8_t *upper, const uint8_t *lower, const float *error, const float *rounding, float *y,
                void *scratch, void *more, int64_t m, int64_t n, int64_t k, int64_t everything) {
  activations a = placed(scratch, m, k, WHOLE), b = a;
  int64_t groups = k / GROUP, all = n / ROWS, panels = (m + ROWS - 1) / ROWS, *blocks = more;
  quantize(&a, x, 0, 0.0f);
  b.c = (int32_t *)(blocks + all);
  for (int64_t i = 0; i < panels * groups * ROWS; i++) b.c[i] = (int32_t)lrintf((float)a.c[i] * ((8.0f - MIDDLE / 16.0f) / 128.0f));
  if (everything) {
    scoring z = {&a, upper, lower, 0, 0, 0, n, y, 0};
    return score(&z, all);
  }
  if (multiply_rows(&b, upper, UPPER, 0, 0, y, n)) return -1;
  for (int64_t i = 0; i < m; i++) {
    float *row = y + i * n, norm = 0.0f, scales = 0.0f;
    scoring z = {&a, upper, lower, blocks, i, 0, n, row, 0};
    int64_t found = 0, best = best_block(row, n);
    blocks[0] = best;
    if (score(&z, 1)) return -1;
    float top = largest(row + best * ROWS, ROWS);
    for (int64_t g = 0; g < groups; g++) {
      int64_t at = (i / ROWS * groups + g) * ROWS + i % ROWS;
      int32_t sum = 0;
      for (int j = 0; j < GROUP; j++) sum += a.q[at * GROUP + j] * a.q[at * GROUP + j];
      norm += (float)sum * a.s[at] * a.s[at];
      scales += a.s[at] * a.s[at];
    }
    norm = sqrtf(norm) * 1.001f; /* and what float sums lose */
    scales = sqrtf(scales) * 1.001f;
    float least = top - 1e-4f * fabsf(top);
    for (int64_t j = 0; j < all; j++) {
      int reaches = 0;
#pragma omp simd reduction(| : reaches)
      for (int r = 0; r < ROWS; r++) {
        int64_t at = j * ROWS + r;
        reaches |= row[at] + error[at] * norm + rounding[at] * scales >= least;
      }
      blocks[found] = j;
      found += reaches && j != best;
    }
    if (!(top > -INFINITY)) /* of numbers that are none nothing is known */
      for (found = 0; found < all; found++) blocks[found] = found;
    if (score(&z, found)) return -1;
  }
  return 0;
}
