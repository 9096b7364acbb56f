"""Sparse attention on a GPU against the best dense attention there is, and against FlexAttention with the same blocks.

One command, no network, no model: queries and keys are drawn so that, as in a code model, most attention falls on the
first tokens, the newest ones and a few distant places. Every timing is a replay of a captured CUDA graph over inputs
that rotate through more than the L2 cache; ours includes choosing the blocks. Every timing is preceded by a comparison
with float32 attention over the same blocks. Without a GPU: one line, exit status 3.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from _common import arguments, report, say
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from dsassist_kernels.paged_decode import choose, page_bounds, paged_decode
from dsassist_kernels.sparse_attention import BLOCK, DENSE, Selection, Sparsity, select
from dsassist_kernels.sparse_attention.reference import attend as attend_exactly

HEADS, KV_HEADS, D = 28, 4, 128
"""Grouped 7:1, as in the 7B model of the family; the 0.5B has the same grouping with D = 64."""

Run = Callable[[Tensor, Tensor, Tensor], Any]


def draw(n: int, seed: int, *, queries: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """``q``, ``k``, ``v`` [1, H, n, D] in bfloat16 with sink, locality and far places of interest."""
    generator = torch.Generator("cuda").manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device="cuda", dtype=torch.bfloat16)

    # directions that turn slowly with the position make near keys score higher, as a rotary embedding does
    angle = torch.arange(n, device="cuda")[:, None] * torch.logspace(-1, -4, D // 4, device="cuda")[None]
    near = torch.cat((angle.cos(), angle.sin()), dim=1).bfloat16()
    k = torch.cat((near.expand(1, KV_HEADS, n, D // 2), normal(1, KV_HEADS, n, D // 2) * 0.5), dim=3)
    q = torch.cat((near.expand(1, HEADS, n, D // 2) * 1.5, normal(1, HEADS, n, D // 2)), dim=3)
    k[:, :, :4] *= 3.0
    k[:, :, BLOCK * 3 :: BLOCK * 17, D // 2 :] *= 4.0
    q = q[:, :, -(queries or n) :].contiguous()
    return q, k.contiguous(), normal(1, KV_HEADS, n, D)


def replay_ms(run: Run, inputs: list[tuple[Tensor, Tensor, Tensor]], repeats: int) -> float:
    """Median milliseconds of a graph that runs over all ``inputs`` once, a single run's share."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for one in inputs[:2]:
            run(*one)
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = [run(*one) for one in inputs]
    times = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in "ab")
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / len(inputs))
    del kept, graph
    return sorted(times)[len(times) // 2]


def dense_backends() -> dict[str, Run]:
    """PyTorch's fused attentions, and flashinfer's where it is installed."""

    def fused(kind: SDPBackend) -> Run:
        def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            with sdpa_kernel(kind):
                causal = q.shape[2] == k.shape[2]
                return F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)

        return run

    found = {"cudnn": fused(SDPBackend.CUDNN_ATTENTION), "flash": fused(SDPBackend.FLASH_ATTENTION)}
    try:
        import flashinfer
    except ImportError:
        return found

    def theirs(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        rows = (x[0].transpose(0, 1).contiguous() for x in (q, k, v))
        return flashinfer.single_prefill_with_kv_cache(*rows, causal=True)

    return {**found, "flashinfer": theirs}


def best_dense(inputs: list[tuple[Tensor, Tensor, Tensor]], repeats: int) -> tuple[str, float]:
    """The fastest dense attention for these inputs. A back end that cannot do them is told and left out."""
    times: dict[str, float] = {}
    for name, run in dense_backends().items():
        try:
            times[name] = replay_ms(run, inputs, repeats)
        except RuntimeError as error:
            say(f"  {name}: {str(error).splitlines()[0]}")
    if not times:
        raise SystemExit("No dense attention runs on this GPU; there is nothing to compare with.")
    name = min(times, key=lambda n: times[n])
    return name, times[name]


def flex(selection: Selection, n: int) -> Run:
    """FlexAttention, compiled, with the blocks of ``selection`` for all heads of a group."""
    from torch.nn.attention.flex_attention import BlockMask, flex_attention

    rows = n // BLOCK
    limit = torch.arange(1, rows + 1, device="cuda", dtype=torch.int32)
    dense = selection.counts == DENSE
    counts = torch.where(dense, limit, selection.counts).repeat_interleave(HEADS // KV_HEADS, dim=1)
    indices = torch.arange(rows, device="cuda", dtype=torch.int32).expand(1, KV_HEADS, rows, rows).clone()
    width = min(rows, selection.indices.shape[3])
    chosen = selection.indices[..., :width].clamp(max=rows - 1)
    indices[..., :width] = torch.where(dense[..., None], indices[..., :width], chosen)
    indices = indices.repeat_interleave(HEADS // KV_HEADS, dim=1)
    mask = BlockMask.from_kv_blocks(
        counts.int().contiguous(), indices.contiguous(), BLOCK_SIZE=BLOCK, mask_mod=lambda b, h, i, j: i >= j
    )
    compiled = torch.compile(flex_attention, dynamic=False)
    return lambda q, k, v: compiled(q, k, v, block_mask=mask, enable_gqa=True)


def check(sparsity: Sparsity) -> float:
    """Largest error against float32 attention over the same blocks, as a multiple of dense bfloat16 attention's."""
    from dsassist_kernels.sparse_attention.triton import attend

    q, k, v = draw(4096, 1)
    selection = select(q, k, 0, sparsity)
    exact = attend_exactly(q.float(), k.float(), v.float(), selection, 0)
    mine = (attend(q, k, v, selection, 0).float() - exact).abs().max()
    everything = Selection(selection.indices, torch.full_like(selection.counts, DENSE))
    full = attend_exactly(q.float(), k.float(), v.float(), everything, 0)
    theirs = (F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).float() - full).abs().max()
    return float(mine / theirs)


def rotating(n: int, *, queries: int | None = None) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Enough inputs to exceed the L2 cache twice, at most four."""
    one = draw(n, 0, queries=queries)
    size = sum(x.numel() * x.element_size() for x in one)
    wanted = 2 * torch.cuda.get_device_properties(0).L2_cache_size
    count = min(4, max(1, math.ceil(wanted / size)))
    return [one, *(draw(n, seed, queries=queries) for seed in range(1, count))]


def decode(n: int, repeats: int) -> tuple[float, float]:
    """Milliseconds of one token at ``n`` cached ones, batch 1: chosen pages (choice included) and all pages."""
    inputs = []
    for seed in range(2):
        q, k, v = draw(n, seed, queries=1)
        keys = k[0].view(KV_HEADS, n // 64, 64, D).permute(1, 0, 3, 2).contiguous()
        values = v[0].view(KV_HEADS, n // 64, 64, D).transpose(0, 1).contiguous()
        inputs.append((q[:, :, 0].contiguous(), keys, values))
    bounds = {keys.data_ptr(): page_bounds(keys) for _, keys, _ in inputs}
    table = torch.arange(n // 64, dtype=torch.int32, device="cuda")[None]
    lengths = torch.tensor([n], dtype=torch.int32, device="cuda")

    def sparse(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        pages = choose(q, bounds[keys.data_ptr()], table, lengths, 4096)
        return paged_decode(q, keys, values, table, lengths, pages=pages)

    ours = replay_ms(sparse, inputs, repeats)
    contiguous = rotating(n, queries=1)
    return ours, min(
        best_dense(contiguous, repeats)[1],
        replay_ms(lambda q, k, v: paged_decode(q, k, v, table, lengths), inputs, repeats),
    )


def main() -> int:
    options = arguments(__doc__).parse_args()
    if not torch.cuda.is_available():
        print("gpu_attention needs a CUDA GPU; there is none here, and no figure is estimated.", file=sys.stderr)
        return 3
    from dsassist_kernels.sparse_attention.triton import attend_into, bounds_of

    torch.manual_seed(options.seed)
    sparsity, repeats = Sparsity(), 5 if options.quick else 15
    figures: dict[str, Any] = {"error_vs_dense_error": check(sparsity)}
    if figures["error_vs_dense_error"] > 2:
        say(f"The kernel's error is {figures['error_vs_dense_error']:.2f} times that of dense attention: not timed.")
        return 1
    ratios: dict[str, float] = {}
    ours_ms: dict[int, float] = {}
    lengths = [16_384, 32_768] if options.quick else [16_384, 32_768, 65_536, 131_072, 262_144, 524_288, 1_048_576]
    say(f"{torch.cuda.get_device_name()}, {HEADS}:{KV_HEADS} heads of {D}, bfloat16")
    say(f"{'tokens':>9} {'ours ms':>9} {'select ms':>9} {'density':>8} {'best dense ms':>20} {'ratio':>6}")
    for n in lengths:
        inputs = rotating(n)
        edge = bounds_of(1, 0, n, torch.device("cuda"))

        def ours(q: Tensor, k: Tensor, v: Tensor, edge: Tensor = edge) -> Tensor:
            return attend_into(q, k, v, select(q, k, 0, sparsity), edge, torch.empty_like(q))

        selection = select(*inputs[0][:2], 0, sparsity)
        figures[f"density_{n}"] = selection.density(0)
        ours_ms[n] = figures[f"ours_{n}_ms"] = replay_ms(ours, inputs, repeats)
        chosen_ms = figures[f"select_{n}_ms"] = replay_ms(lambda q, k, v: select(q, k, 0, sparsity), inputs, repeats)
        figures[f"select_{n}_share"] = chosen_ms / ours_ms[n]
        name, dense_ms = "-", math.nan
        if n <= 131_072:
            name, dense_ms = best_dense(inputs, repeats)
            figures[f"dense_{n}_ms"], figures[f"dense_{n}_by"] = dense_ms, name
            ratios[f"prefill_{n // 1024}k_vs_dense"] = dense_ms / ours_ms[n]
        if n <= 32_768:
            one = inputs[:1]
            kernel = replay_ms(
                lambda q, k, v, s=selection, e=edge: attend_into(q, k, v, s, e, torch.empty_like(q)), one, repeats
            )
            flex_ms = replay_ms(flex(selection, n), one, repeats)
            figures[f"kernel_{n}_ms"], figures[f"flex_{n}_ms"] = kernel, flex_ms
            ratios[f"kernel_{n // 1024}k_vs_flex"] = flex_ms / kernel
        say(
            f"{n:9d} {ours_ms[n]:9.3f} {chosen_ms:9.3f} {figures[f'density_{n}']:8.3f} "
            f"{name:>10} {dense_ms:9.3f} {dense_ms / ours_ms[n]:6.2f}"
        )
    long = [ours_ms[n] for n in lengths if n >= 65_536] or list(ours_ms.values())
    ratios["growth_per_doubling"] = max(b / a for a, b in pairwise(long))
    at = lengths[1] if options.quick else 131_072
    figures[f"decode_{at}_ms"], figures[f"decode_dense_{at}_ms"] = decode(at, repeats)
    ratios[f"decode_{at // 1024}k_vs_dense"] = figures[f"decode_dense_{at}_ms"] / figures[f"decode_{at}_ms"]
    shape = {"heads": HEADS, "kv_heads": KV_HEADS, "head_size": D, "dtype": "bfloat16", "lengths": lengths}
    inputs_told = {**shape, "seed": options.seed}
    report("gpu_attention", inputs=inputs_told, figures=figures, ratios=ratios, packages=("torch", "triton"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
