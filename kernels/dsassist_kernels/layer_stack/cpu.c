/* The layers of a decoder one after the other, for a few tokens of one sequence: the same calls that are made from outside for many,
   without going back between them. */
#include <stdint.h>

typedef struct {
  const void *qkv, *qkv_bias, *qkv_norm, *out, *out_bias, *mlp_norm, *gate_up, *down;
  void *keys, *values, *key_scale, *value_scale, *bounds;
  const void *offset;
  int64_t qkv_lines, out_lines, gate_up_lines, down_lines, chooses;
  float qkv_eps, mlp_eps;
} layer;

/* packed_linear and packed_mlp (packed_linear/cpu.c), rotate_and_store and attend_few (paged_attention/cpu.c) */
typedef struct {
  int (*linear)(const void *x, const void *norm, const void *w, const void *bias, const void *residual, void *y, void *scratch, int64_t m,
                int64_t n, int64_t k, int64_t lines, float eps);
  int (*mlp)(const void *x, const void *norm, const void *wgu, const void *wd, const void *residual, void *y, void *scratch, int64_t m,
             int64_t k, int64_t i, int64_t lines, int64_t down_lines, float eps);
  void (*rotate)(const void *qkv, const void *cosine, const void *sine, const void *slot, void *q, void *keys, void *values, void *key_scale,
                 void *value_scale, void *bounds, const void *offset, int64_t t, int64_t hq, int64_t hkv, int64_t d);
  int (*attend)(const void *q, const void *keys, const void *values, const void *key_scale, const void *value_scale, const void *bounds,
                const void *table, void *out, void *lse, int64_t t, int64_t hq, int64_t hkv, int64_t d, int64_t past, int64_t keep,
                int64_t from, float scale);
} operations;

/* x [t, hidden] goes through all layers and is overwritten. The other buffers: after [t, hidden], qkv [t, (hq + 2 hkv) d], q and mixed
   [t, hq d], and scratch for the products. A layer that chooses reads `keep` pages where a query sees `from` tokens; keep 0: all, always.
   Returns 0, or what the operation that failed returned. */
int layer_stack(const layer *layers, int64_t count, const operations *do_, void *x, void *after, void *qkv, void *q, void *mixed,
                void *scratch, const void *cosine, const void *sine, const void *slot, const void *table, int64_t t, int64_t hidden,
                int64_t middle, int64_t hq, int64_t hkv, int64_t d, int64_t past, int64_t keep, int64_t from, float scale) {
  for (const layer *l = layers; l < layers + count; l++) {
    int chooses = keep && l->chooses, failed;
    failed = do_->linear(x, l->qkv_norm, l->qkv, l->qkv_bias, 0, qkv, scratch, t, (hq + 2 * hkv) * d, hidden, l->qkv_lines, l->qkv_eps);
    if (failed) return failed;
    do_->rotate(qkv, cosine, sine, slot, q, l->keys, l->values, l->key_scale, l->value_scale, l->bounds, l->offset, t, hq, hkv, d);
    failed = do_->attend(q, l->keys, l->values, l->key_scale, l->value_scale, chooses ? l->bounds : 0, table, mixed, 0, t, hq, hkv, d,
                         past, chooses ? keep : 0, chooses ? from : 0, scale);
    if (failed) return failed;
    failed = do_->linear(mixed, 0, l->out, l->out_bias, x, after, scratch, t, hidden, hq * d, l->out_lines, 0.0f);
    if (failed) return failed;
    failed = do_->mlp(after, l->mlp_norm, l->gate_up, l->down, after, x, scratch, t, hidden, middle, l->gate_up_lines, l->down_lines,
                      l->mlp_eps);
    if (failed) return failed;
  }
  return 0;
}
