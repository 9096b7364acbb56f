"""Comparisons of the GPU kernels with float64, run by the tests in Triton's interpreter (bfloat16 does not work there).

``python triton_cases.py NAME`` with ``TRITON_INTERPRET=1``; on a machine with a GPU, without it, on the GPU.
"""

from __future__ import annotations

import os
import sys

import torch

from dsassist_kernels.kv_int8 import quantize_pages
from dsassist_kernels.paged_decode import choose, page_bounds, paged_decode
from dsassist_kernels.sparse_attention import Selection, Sparsity, attend, dense_attention, select
from dsassist_kernels.sparse_attention.triton import attend_into

DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"


def prefill(dtype: torch.dtype) -> int:
    compared = 0
    for t, past, heads, kv_heads, d in (
        (1, 0, 7, 1, 64),
        (63, 0, 6, 1, 128),
        (129, 0, 7, 1, 64),
        (200, 333, 2, 1, 64),
        (1, 1000, 7, 1, 64),
        (1000, 0, 2, 1, 64),
    ):
        torch.manual_seed(t)
        q = torch.randn(1, heads, t, d, dtype=dtype, device=DEVICE)
        k, v = (torch.randn(1, kv_heads, past + t, d, dtype=dtype, device=DEVICE) for _ in "kv")
        chosen = select(q, k, past, Sparsity(blocks_per_doubling=1, floor=0.0, dense_tail=1))
        got = attend(q, k, v, chosen, past, backend="triton")
        exact = attend(q.double(), k.double(), v.double(), chosen, past, backend="reference")
        full = dense_attention(q.double(), k.double(), v.double(), past)
        mine = float((got.double() - exact).abs().max())
        theirs = float((dense_attention(q, k, v, past).double() - full).abs().max())
        assert mine <= max(2 * theirs, 2e-6), (t, past, d, mine, theirs)
        assert torch.equal(got, attend(q, k, v, chosen, past, backend="triton"))
        compared += 1
    return compared


def ragged() -> int:
    """Two sequences of other lengths in one call; what is behind their ends is NaN and stays as it was."""
    torch.manual_seed(0)
    q = torch.full((2, 2, 300, 64), torch.nan, device=DEVICE)
    k, v = torch.full((2, 1, 500, 64), torch.nan, device=DEVICE), torch.full((2, 1, 500, 64), torch.nan, device=DEVICE)
    lengths = [(150, 340), (0, 300)]
    indices = torch.full((2, 1, 3, 4), 2**31 - 1, dtype=torch.int32, device=DEVICE)
    counts = torch.zeros(2, 1, 3, dtype=torch.int32, device=DEVICE)
    expected = []
    for b, (past, tokens) in enumerate(lengths):
        q[b, :, : tokens - past] = torch.randn(2, tokens - past, 64)
        k[b, :, :tokens], v[b, :, :tokens] = torch.randn(1, tokens, 64), torch.randn(1, tokens, 64)
        one = [x[b : b + 1, :, :n] for x, n in ((q, tokens - past), (k, tokens), (v, tokens))]
        chosen = select(one[0], one[1], past, Sparsity(blocks_per_doubling=0.5, window=0, floor=0.0, dense_tail=1))
        rows, width = chosen.counts.shape[2], chosen.indices.shape[3]
        indices[b, :, :rows, :width], counts[b, :, :rows] = chosen.indices[0], chosen.counts[0]
        expected.append(attend(*(x.double() for x in one), chosen, past, backend="reference"))
    out = torch.full_like(q, 7.0)
    bounds = torch.tensor(lengths, dtype=torch.int32, device=DEVICE)
    attend_into(q, k, v, Selection(indices, counts), bounds, out)
    for b, (past, tokens) in enumerate(lengths):
        torch.testing.assert_close(out[b, :, : tokens - past].double(), expected[b][0], rtol=0, atol=3e-6)
        assert (out[b, :, tokens - past :] == 7.0).all()
    return len(lengths)


def decode(dtype: torch.dtype) -> int:
    """Ragged lengths, all pages and chosen ones, floating and INT8, unused places NaN."""
    compared = 0
    for heads, kv_heads, d in ((14, 2, 64), (6, 1, 128)):
        torch.manual_seed(d)
        lengths = torch.tensor([1000, 65, 1], dtype=torch.int32, device=DEVICE)
        table = torch.randperm(50, device=DEVICE).int()[:48].view(3, 16)
        keys = torch.full((50, kv_heads, d, 64), torch.nan, dtype=dtype, device=DEVICE)
        values = torch.full((50, kv_heads, 64, d), torch.nan, dtype=dtype, device=DEVICE)
        for b, n in enumerate(lengths.tolist()):
            place = torch.arange(n, device=DEVICE)
            page = table[b, place // 64].long()
            keys[page, :, :, place % 64] = torch.randn(n, kv_heads, d, dtype=dtype, device=DEVICE)
            values[page, :, place % 64] = torch.randn(n, kv_heads, d, dtype=dtype, device=DEVICE)
        q = torch.randn(3, heads, d, dtype=dtype, device=DEVICE)
        k8, k_scale = quantize_pages(keys.nan_to_num(), token_dim=-1)
        v8, v_scale = quantize_pages(values.nan_to_num(), token_dim=-2)
        for bounds in (None, page_bounds(keys)):
            pages = choose(q, bounds, table, lengths, 320)
            for pools, scales in (((keys, values), None), ((k8, v8), (k_scale, v_scale))):
                got = paged_decode(q, *pools, table, lengths, pages=pages, scales=scales, backend="triton")
                floating = pools if scales else [x.double() for x in pools]
                exact = paged_decode(
                    q.double(), *floating, table, lengths, pages=pages, scales=scales, backend="reference"
                )
                worst = float((got.double() - exact).abs().max())
                assert worst < (4e-3 if dtype == torch.float16 else 3e-6), (d, worst)
                compared += 1
    return compared


def main(name: str) -> None:
    kind, _, dtype = name.partition("-")
    if kind == "ragged":
        print(f"compared {ragged()}")
    elif kind == "prefill":
        print(f"compared {prefill(getattr(torch, dtype))}")
    elif kind == "decode":
        print(f"compared {decode(getattr(torch, dtype))}")
    else:
        raise SystemExit(f"no cases named {name}")


if __name__ == "__main__":
    main(sys.argv[1])
