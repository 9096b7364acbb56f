/* Which blocks of keys a row of queries reads: part of cpu.c, whose packed keys it uses. */

/* Sums of exponentials of sixteen sampled queries over the keys of a cell: e * 2^ref */
typedef struct {
  __m512 e, ref;
} cell;

/* Queries of a sample, as bytes that are 128 too large: [d / 4, 16] of four components; what their products have to be multiplied with */
typedef struct {
  __m512i q[MOST_D / 4];
  __m512 scale;
} sample;

/* A float whose bits are the integer part of (x + 127) * 2^23 is 2^x but for up to 6% (Schraudolph, 1999), which a choice can bear; the
   constant below 127 centres the error. Scores are kept as such numbers, which are the bits once they are rounded. */
#define STEP 8388608.0f
#define ZERO 1064986823.0f

/* Sixteen queries (x[i], or zeros where it is NULL), times scale, in eight bits */
INLINE void take_sample(const float *const *x, float scale, sample *w, const int64_t d) {
  float scales[16];
  uint8_t *to = (uint8_t *)w->q;
  for (int i = 0; i < 16; i++) {
    float most = 1e-20f;
    for (int64_t j = 0; x[i] && j < d; j++) most = fmaxf(most, fabsf(x[i][j]));
    scales[i] = scale * most / 127.0f;
    for (int64_t j = 0; j < d; j++) {
      int whole = x[i] ? (int)lrintf(x[i][j] * (127.0f / most)) : 0;
      to[(j / 4 * 16 + i) * 4 + j % 4] = (uint8_t)(128 + whole);
    }
  }
  w->scale = _mm512_loadu_ps(scales);
}

/* Attention of the sampled queries at positions `at` (INT32_MIN marks a place without one) over the groups in list, by cells of `per`
   groups: keys in eight bits, [groups, d / 4, 16] of four components, a scale for each and -128 times the sum of its components.
   Sums of their shares and of the squares are added to mean and square [cells]. A lane is a query. */
INLINE void share_out(const sample *w, __m512i at, const uint32_t *k8, const float *scales, const int32_t *bases, const int32_t *list,
                      int64_t groups, int64_t per, cell *cells, float *mean, float *square, const int64_t d) {
  __mmask16 there = _mm512_cmpge_epi32_mask(at, _mm512_setzero_si512());
  int64_t first = _mm512_mask_reduce_min_epi32(there, at);
  __m512 top = _mm512_setzero_ps(), total = top, sum = top, origin = _mm512_set1_ps(ZERO), size = _mm512_mul_ps(w->scale, _mm512_set1_ps(STEP));
  for (int64_t g = 0; g < groups; g++) {
    int64_t number = list[g];
    const uint32_t *k = k8 + number * d * 4;
    const float *scale = scales + number * GROUP;
    const int32_t *base = bases + number * GROUP;
    __m512i acc[GROUP];
#pragma GCC unroll 16
    for (int t = 0; t < GROUP; t++) acc[t] = _mm512_set1_epi32(base[t]);
    for (int64_t j = 0; j < d / 4; j++) {
      __m512i q = w->q[j];
#pragma GCC unroll 16
      for (int t = 0; t < GROUP; t++) acc[t] = _mm512_dpbusd_epi32(acc[t], q, _mm512_set1_epi32((int)k[j * 16 + t]));
    }
    __m512 x[GROUP];
#pragma GCC unroll 16
    for (int t = 0; t < GROUP; t++) x[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[t]), _mm512_mul_ps(size, _mm512_set1_ps(scale[t])), origin);
    if (number * GROUP + GROUP - 1 > first)
      for (int t = 0; t < GROUP; t++)
        x[t] = _mm512_mask_mov_ps(x[t], _mm512_cmpgt_epi32_mask(_mm512_set1_epi32((int)(number * GROUP + t)), at), _mm512_setzero_ps());
    __m512 most = x[0];
#pragma GCC unroll 16
    for (int t = 1; t < GROUP; t++) most = _mm512_max_ps(most, x[t]);
    if (g % per == 0) sum = _mm512_setzero_ps();
    /* sums are relative to a top, at first that of the first group, which is raised before powers might become too large */
    __mmask16 higher = g ? _mm512_cmp_ps_mask(most, _mm512_set1_ps(ZERO + 8.0f * STEP), _CMP_GT_OQ) : (__mmask16)0xffff;
    if (higher) {
      __m512 raise = _mm512_maskz_sub_ps(higher, most, _mm512_set1_ps(ZERO)), by = _mm512_mul_ps(raise, _mm512_set1_ps(1.0f / STEP));
      if (g) sum = _mm512_mul_ps(sum, power_of_two(_mm512_sub_ps(_mm512_setzero_ps(), by))); /* the first top may be lower than any power */
      top = _mm512_add_ps(top, by), origin = _mm512_sub_ps(origin, raise);
      for (int t = 0; t < GROUP; t++) x[t] = _mm512_sub_ps(x[t], raise);
    }
#pragma GCC unroll 16
    for (int t = 0; t < GROUP; t++)
      sum = _mm512_add_ps(sum, _mm512_castsi512_ps(_mm512_cvttps_epi32(_mm512_max_ps(x[t], _mm512_setzero_ps()))));
    cells[g / per].e = sum, cells[g / per].ref = top;
  }
  int64_t number = (groups + per - 1) / per;
  for (int64_t c = 0; c < number; c++) {
    cells[c].e = _mm512_mul_ps(cells[c].e, power_of_two(_mm512_sub_ps(cells[c].ref, top)));
    total = _mm512_add_ps(total, cells[c].e);
  }
  total = _mm512_maskz_div_ps(there, _mm512_set1_ps(1.0f), total);
  for (int64_t c = 0; c < number; c++) {
    __m512 x = _mm512_mul_ps(cells[c].e, total);
    mean[c] += _mm512_reduce_add_ps(x), square[c] += _mm512_reduce_add_ps(_mm512_mul_ps(x, x));
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
  float *captured, *pooled, *means, *squares, *scales;
  uint32_t *k8;
  int32_t *bases;
  int64_t qt, qh, heads, hkv, d, past, tokens, groups, begin, rows, lists, width, block, stride, sink, window, cap, candidates;
  int64_t coarse, band, last, blocks;
  float mass, least, enough, before, scale;
  int failed;
} selecting;

/* The first and the second of 16 packed pairs of components */
INLINE __m512 first_of(const uint32_t *x) { return (__m512)_mm512_slli_epi32(_mm512_loadu_si512(x), 16); }
INLINE __m512 second_of(const uint32_t *x) { return (__m512)_mm512_and_si512(_mm512_loadu_si512(x), _mm512_set1_epi32((int)0xffff0000)); }

/* Mean key of a block of 128 tokens (8 groups) of one head: pooled [hkv, coarse, d] */
static void pool_block(void *context, int64_t piece) {
  const selecting *z = context;
  int64_t h = piece / z->coarse, b = piece % z->coarse, d = z->d;
  int64_t end = (b + 1) * 8 < z->groups ? (b + 1) * 8 : z->groups, count = (b + 1) * 128 < z->tokens ? 128 : z->tokens - b * 128;
  for (int64_t j = 0; j < d / 2; j++) {
    __m512 even = _mm512_setzero_ps(), odd = even;
    for (int64_t g = b * 8; g < end; g++) {
      const uint32_t *x = z->kp + ((h * z->groups + g) * d / 2 + j) * 16;
      even = _mm512_add_ps(even, first_of(x)), odd = _mm512_add_ps(odd, second_of(x));
    }
    float *o = z->pooled + (h * z->coarse + b) * d + 2 * j;
    o[0] = _mm512_reduce_add_ps(even) / (float)count, o[1] = _mm512_reduce_add_ps(odd) / (float)count;
  }
}

/* Keys of 8 groups of one head in eight bits, as share_out takes them */
static void round_keys(void *context, int64_t piece) {
  const selecting *z = context;
  int64_t parts = (z->groups + 7) / 8, h = piece / parts, d = z->d;
  __m512 magnitude = (__m512)_mm512_set1_epi32(0x7fffffff), limit = _mm512_set1_ps(127.0f);
  for (int64_t g = piece % parts * 8; g < piece % parts * 8 + 8 && g < z->groups; g++) {
    const uint32_t *from = z->kp + (h * z->groups + g) * d * 8;
    uint32_t *to = z->k8 + (h * z->groups + g) * d * 4;
    __m512 most = _mm512_set1_ps(1e-20f);
    for (int64_t j = 0; j < d / 2; j++) {
      const uint32_t *x = from + j * 16;
      most = _mm512_max_ps(most, _mm512_max_ps(_mm512_and_ps(first_of(x), magnitude), _mm512_and_ps(second_of(x), magnitude)));
    }
    __m512 inverse = _mm512_div_ps(limit, most);
    __m512i sum = _mm512_setzero_si512(), byte = _mm512_set1_epi32(255);
    for (int64_t j = 0; j < d / 4; j++) {
      __m512i four = _mm512_setzero_si512();
      for (int i = 1; i >= 0; i--) {
        const uint32_t *x = from + (2 * j + i) * 16;
        __m512i low = _mm512_cvtps_epi32(_mm512_mul_ps(first_of(x), inverse)), high = _mm512_cvtps_epi32(_mm512_mul_ps(second_of(x), inverse));
        sum = _mm512_add_epi32(sum, _mm512_add_epi32(low, high));
        low = _mm512_or_si512(_mm512_and_si512(low, byte), _mm512_slli_epi32(_mm512_and_si512(high, byte), 8));
        four = _mm512_or_si512(_mm512_slli_epi32(four, 16), low);
      }
      _mm512_storeu_si512(to + j * 16, four);
    }
    _mm512_storeu_ps(z->scales + (h * z->groups + g) * GROUP, _mm512_div_ps(most, limit));
    _mm512_storeu_si512(z->bases + (h * z->groups + g) * GROUP, _mm512_mullo_epi32(sum, _mm512_set1_epi32(-128)));
  }
}

/* Rows that are sampled before any of them is chosen for */
#define BAND 32

/* What the samples of one list's row attend to, by blocks: means and squares of their shares; the longest rows come first */
static void sample_row(void *context, int64_t unit) {
  selecting *z = context;
  const float *q = z->q, scale = z->scale;
  int64_t qt = z->qt, qh = z->qh, heads = z->heads, hkv = z->hkv, d = z->d, past = z->past, tokens = z->tokens, groups = z->groups;
  int64_t lists = z->lists, block = z->block, stride = z->stride, sink = z->sink, window = z->window;
  int64_t candidates = z->candidates, coarse = z->coarse, per = block / GROUP, blocks = z->blocks;
  int64_t together = heads / lists, samples = ROWS / stride, most_cells = groups / per + 1;
  const float *pooled = z->pooled;
  size_t room = (sizeof(sample) + 63) / 64 * 64, lists_room = (size_t)(groups + blocks + 1) * sizeof(int32_t);
  lists_room = (lists_room + 63) / 64 * 64;
  sample *w = own_memory(room + lists_room + (size_t)most_cells * sizeof(cell) + (size_t)(2 * most_cells + 2 * coarse) * sizeof(float));
  if (!w) {
    z->failed = 1;
    return;
  }
  int32_t *list = (int32_t *)((char *)w + room), *name = list + groups;
  cell *cells = (cell *)((char *)list + lists_room);
  float *mean = (float *)(cells + most_cells), *square = mean + most_cells, *far = square + most_cells;
  int64_t row = z->last - unit / lists, h = unit % lists, kv = h * together / (heads / hkv);
  int64_t first = (z->begin + row) * ROWS, end = first + ROWS < tokens ? first + ROWS : tokens;
  int32_t at[MOST_SAMPLES];
  int64_t seen = (end - 1) / 128 + 1, last = (end - 1) / GROUP, count = 0, number = 0;
  const uint32_t *k8 = z->k8 + kv * groups * d * 4;
  const float *scales = z->scales + kv * groups * GROUP;
  const int32_t *bases = z->bases + kv * groups * GROUP;
  for (int64_t i = 0; i < MOST_SAMPLES; i++) {
    int64_t place = first + stride - 1 + i * stride;
    at[i] = i >= samples ? INT32_MIN : (int32_t)(place < past ? past : place >= tokens ? tokens - 1 : place);
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
  __m512i lanes = _mm512_loadu_si512(at);
  for (int64_t g = 0; g < together; g++) {
    const float *x[MOST_SAMPLES];
    for (int64_t i = 0; i < MOST_SAMPLES; i++) x[i] = i < samples ? q + (at[i] - past) * qt + (h * together + g) * qh : NULL;
    take_sample(x, scale * 1.44269504f, w, d);
    if (d == 64)
      share_out(w, lanes, k8, scales, bases, list, count, per, cells, mean, square, 64);
    else if (d == 128)
      share_out(w, lanes, k8, scales, bases, list, count, per, cells, mean, square, 128);
    else
      share_out(w, lanes, k8, scales, bases, list, count, per, cells, mean, square, d);
  }
  float weight = 1.0f / (float)(together * samples);
  float *means = z->means + (h * (BAND + 1) + row - z->band + 1) * blocks, *squares = z->squares + (means - z->means);
  memset(means, 0, (size_t)blocks * sizeof(float));
  memset(squares, 0, (size_t)blocks * sizeof(float));
  for (int64_t i = 0; i < number; i++) means[name[i]] = mean[i] * weight, squares[name[i]] = square[i] * weight;
}

/* Chooses for one list's row, whose samples and those of the row before are known */
static void select_row(void *context, int64_t unit) {
  selecting *z = context;
  int64_t row = z->last - unit / z->lists, h = unit % z->lists, blocks = z->blocks, block = z->block, rows = z->rows;
  int64_t first = (z->begin + row) * ROWS, end = first + ROWS < z->tokens ? first + ROWS : z->tokens, visible = (end - 1) / block + 1;
  float *need = own_memory((size_t)(blocks + 16) * sizeof(float)), got;
  if (!need) {
    z->failed = 1;
    return;
  }
  const float *mean = z->means + (h * (BAND + 1) + row - z->band + 1) * blocks, *square = z->squares + (mean - z->means);
  const float *earlier = row ? square - blocks : square; /* none is known before the first */
  float before = row ? z->before : 0.0f;
  for (int64_t i = 0; i < visible; i++) {
    int64_t from = i * block;
    need[i] = sqrtf(square[i] + before * earlier[i]) + (from < z->sink || from + block > first - z->window ? 2.0f : 0.0f);
  }
  float bar = bar_for(need, mean, visible, z->mass, z->cap);
  if (bar < z->least) bar = fmaxf(bar, fminf(z->least, bar_for(need, mean, visible, z->enough, z->cap)));
  taken(need, mean, visible, bar, &got);
  int32_t *out = z->indices + (h * rows + row) * z->width, most = 0;
  for (int64_t i = 0; i < visible && most < z->width; i++)
    if (need[i] >= bar) out[most++] = (int32_t)i;
  z->counts[h * rows + row] = most;
  for (int64_t i = most; i < z->width; i++) out[i] = INT32_MAX;
  z->captured[h * rows + row] = got;
}

/* Blocks for every row of 128 queries, as attend_blocks takes them. One query in `stride` is scored; where a row sees more than
   `candidates` blocks of 128 keys, only those whose mean key scores highest are. The first `sink` tokens, the row's own and `window`
   tokens before it are always read; then blocks in order of need until `mass` of the samples' attention is captured, or `enough` of it and
   what is needed is less than `least`, at most cap. A need is the root mean square of the samples' shares, to whose squares those of the row before are added
   times `before`. captured [lists, rows] receives the share. Returns 0, or -1 without memory. */
int select_blocks(const float *q, const uint32_t *kp, int32_t *indices, int32_t *counts, float *captured, int64_t qt, int64_t qh, int64_t t,
                  int64_t heads, int64_t hkv, int64_t d, int64_t past, int64_t lists, int64_t width, int64_t block, int64_t stride,
                  int64_t sink, int64_t window, int64_t cap, int64_t candidates, float mass, float least, float enough, float before,
                  float scale) {
  int64_t tokens = past + t, begin = past / ROWS, coarse = (tokens + 127) / 128, rows = (tokens + ROWS - 1) / ROWS - begin;
  int64_t blocks = (tokens + block - 1) / block, cells = lists * (BAND + 1) * blocks;
  selecting z = {.q = q, .kp = kp, .indices = indices, .counts = counts, .captured = captured, .qt = qt, .qh = qh, .heads = heads};
  z.hkv = hkv, z.d = d, z.past = past, z.tokens = tokens, z.groups = (tokens + GROUP - 1) / GROUP, z.begin = begin, z.rows = rows;
  z.lists = lists, z.width = width, z.block = block, z.stride = stride, z.sink = sink, z.window = window, z.cap = cap;
  z.candidates = candidates, z.coarse = coarse, z.blocks = blocks, z.mass = mass, z.least = least;
  z.enough = enough, z.before = before, z.scale = scale;
  z.means = malloc((size_t)(2 * cells) * sizeof(float)), z.squares = z.means + cells;
  /* a key takes d bytes, its scale and its base four each */
  z.k8 = malloc((size_t)(hkv * z.groups * GROUP * (d + 8))), z.scales = (float *)(z.k8 + hkv * z.groups * d * 4);
  z.bases = (int32_t *)(z.scales + hkv * z.groups * GROUP);
  z.pooled = candidates < coarse ? malloc((size_t)(hkv * coarse * d) * sizeof(float)) : NULL;
  if (!z.means || !z.k8 || (candidates < coarse && !z.pooled)) {
    free(z.means), free(z.k8), free(z.pooled);
    return -1;
  }
  in_parallel(round_keys, &z, hkv * ((z.groups + 7) / 8));
  if (z.pooled) in_parallel(pool_block, &z, hkv * coarse);
  for (z.band = 0; z.band < rows; z.band += BAND) {
    int64_t some = rows - z.band < BAND ? rows - z.band : BAND;
    z.last = z.band + some - 1;
    in_parallel(sample_row, &z, some * lists);
    if (!z.failed) in_parallel(select_row, &z, some * lists);
    for (int64_t h = 0; h < lists; h++) /* the last row is the one before the next band's first */
      memcpy(z.squares + h * (BAND + 1) * blocks, z.squares + (h * (BAND + 1) + BAND) * blocks, (size_t)blocks * sizeof(float));
  }
  free(z.means), free(z.k8), free(z.pooled);
  return z.failed ? -1 : 0;
}
