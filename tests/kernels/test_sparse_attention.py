"""Sparse attention: every backend against float64 with the same blocks, and what is chosen."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dsassist_kernels.sparse_attention import (
    BLOCK,
    DENSE,
    HeadSizeError,
    Selection,
    Sparsity,
    attend,
    backend_for,
    dense_attention,
    pool,
    select,
    sparse_attention,
)
from dsassist_kernels.sparse_attention.reference import visible

SPARSE = Sparsity(mass=0.9, blocks_per_doubling=1.0, floor=0.0, dense_tail=1)
SHAPES = [(14, 2, 64), (12, 2, 128), (4, 4, 32)]


def inputs(t: int, past: int, heads: int, kv_heads: int, d: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    torch.manual_seed(t * 7919 + past)
    q = torch.randn(2, heads, t, d, dtype=dtype)
    # a few keys stand out, as in a real model
    k = torch.randn(2, kv_heads, past + t, d, dtype=dtype)
    k[:, :, ::97] *= 3
    return [q, k, torch.randn(2, kv_heads, past + t, d, dtype=dtype)]


@pytest.mark.parametrize(("heads", "kv_heads", "d"), SHAPES)
@pytest.mark.parametrize(
    ("t", "past"), [(1, 0), (63, 0), (129, 0), (1000, 0), (1, 1500), (63, 1000), (129, 1024), (1000, 77), (256, 640)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cpu_against_float64_with_the_same_blocks(
    assert_close: Callable[..., None], t: int, past: int, heads: int, kv_heads: int, d: int, dtype: torch.dtype
) -> None:
    q, k, v = inputs(t, past, heads, kv_heads, d, dtype)
    chosen = select(q, k, past, SPARSE)
    exact = attend(q.double(), k.double(), v.double(), chosen, past, backend="reference")
    full = dense_attention(q.double(), k.double(), v.double(), past)
    dense_error = (dense_attention(q, k, v, past).double() - full).abs().max()
    got = attend(q, k, v, chosen, past)
    assert_close(got, exact, baseline=exact + dense_error, atol=2e-6)
    assert torch.equal(got, attend(q, k, v, select(q, k, past, SPARSE), past))


@pytest.mark.parametrize(("t", "past"), [(300, 0), (200, 333), (128, 128)])
def test_dense_against_one_softmax(assert_close: Callable[..., None], t: int, past: int) -> None:
    q, k, v = inputs(t, past, 14, 2, 64)
    everything = select(q, k, past, Sparsity(blocks_per_doubling=1000))
    assert (everything.counts == DENSE).all()
    exact = attend(q.double(), k.double(), v.double(), everything, past, backend="reference")
    seen = torch.ones(t, past + t, dtype=torch.bool).tril(past)
    theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=True)
    assert_close(dense_attention(q, k, v, past), exact, baseline=theirs)
    assert_close(sparse_attention(q, k, v, past, Sparsity(blocks_per_doubling=1000)), exact, baseline=theirs)


@pytest.mark.parametrize(("t", "past"), [(3000, 0), (1000, 2111), (5, 4000)])
@pytest.mark.parametrize("candidates", [1, 2, 100])
def test_what_is_chosen_is_sorted_capped_causal_and_has_sink_and_window(t: int, past: int, candidates: int) -> None:
    q, k, _ = inputs(t, past, 14, 2, 64)
    s = Sparsity(mass=0.8, blocks_per_doubling=1.5, candidates=candidates, floor=0.0, dense_tail=0)
    chosen = select(q, k, past, s)
    cap = s.cap(past + t)
    assert chosen.indices.dtype == chosen.counts.dtype == torch.int32
    assert chosen.counts.max() <= cap < (past + t) // BLOCK
    for b in range(2):
        for h in range(2):
            for row in range(chosen.counts.shape[2]):
                edge = past // BLOCK + row
                blocks = chosen.indices[b, h, row, : chosen.counts[b, h, row]].tolist()
                assert blocks == sorted(set(blocks))
                assert blocks[-1] == edge
                assert {0, max(0, edge - 1), edge} <= set(blocks)


def test_a_block_that_one_query_needs_is_found() -> None:
    torch.manual_seed(0)
    q, k, _ = inputs(4096, 0, 2, 1, 64)
    needle = 7 * BLOCK + 5
    k[:, :, needle] = 0
    k[:, :, needle, 0] = 40.0
    q[..., 0] = 0
    # the only sampled query of block 29 that looks back
    q[:, :, 29 * BLOCK + 31, 0] = 40.0
    chosen = select(q, k, 0, Sparsity(blocks_per_doubling=1.2, floor=0.0, candidates=8))
    for b in range(2):
        assert 7 in chosen.indices[b, 0, 29, : chosen.counts[b, 0, 29]].tolist()


def test_mass_decides_the_count_and_low_mass_falls_back_to_dense() -> None:
    q, k, _ = inputs(4096, 0, 2, 1, 64)
    counts = [
        select(q, k, 0, Sparsity(mass=m, floor=0.0, blocks_per_doubling=5, dense_tail=0)).counts.sum()
        for m in (0.2, 0.5, 0.8)
    ]
    assert counts[0] < counts[1] < counts[2]
    # random keys: eight blocks of 32 hold about a quarter of the mass
    assert (select(q, k, 0, Sparsity(blocks_per_doubling=1.6, floor=0.9)).counts == DENSE).all()
    tail = select(q, k, 0, Sparsity(blocks_per_doubling=1.6, floor=0.0, dense_tail=2)).counts
    assert (tail[..., -2:] == DENSE).all()
    assert (tail[..., :-2] != DENSE).all()


def test_the_work_grows_as_n_log_n() -> None:
    caps = [Sparsity().cap(n) * n for n in (8192, 16384, 32768, 65536)]
    assert all(b / a <= 2.4 for a, b in itertools.pairwise(caps))


def test_pooled_keys_can_be_kept() -> None:
    q, k, _ = inputs(3000, 0, 4, 2, 64)
    a, b = (select(q, k, 0, SPARSE, pooled=p) for p in (None, pool(k)))
    assert torch.equal(a.indices, b.indices)
    torch.testing.assert_close(pool(k)[:, :, -1], k[:, :, 2944:].mean(2))


def test_a_tree_of_pooled_keys_finds_what_stands_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsassist_kernels.sparse_attention.selection._TREE_FROM", 16)
    torch.manual_seed(1)
    k = torch.randn(1, 1, 64 * BLOCK, 64) * 0.1
    q = torch.randn(1, 2, 2 * BLOCK, 64) * 0.1
    k[:, :, 37 * BLOCK : 38 * BLOCK, 3] += 8
    q[..., 3] += 8
    chosen = select(q, k, 62 * BLOCK, Sparsity(candidates=2, blocks_per_doubling=1, floor=0.0, dense_tail=0))
    assert chosen.counts.max() <= 6
    for row in range(2):
        assert 37 in chosen.indices[0, 0, row, : chosen.counts[0, 0, row]].tolist()


def test_blocks_that_are_not_chosen_are_never_read() -> None:
    q, k, v = inputs(2000, 0, 14, 2, 64)
    s = Sparsity(mass=0.3, blocks_per_doubling=1, floor=0.0, dense_tail=0)
    chosen = select(q, k, 0, s)
    read = visible(chosen, 0, 2000)
    clean = attend(q, k, v, chosen)
    unread = ~read[:, :, 1700:].any(2)
    assert unread.any()
    k[unread] = torch.nan
    v[unread] = torch.nan
    rows = Selection(chosen.indices[:, :, 14:], chosen.counts[:, :, 14:])
    past = 14 * BLOCK
    got = attend(q[:, :, past:], k, v, rows, past)
    assert torch.equal(got, clean[:, :, past:])


def test_a_named_kernel_refuses_what_it_cannot_do_and_the_choice_falls_back() -> None:
    q, k, v = inputs(200, 0, 4, 2, 48)
    with pytest.raises(HeadSizeError, match="48"):
        attend(q, k, v, select(q, k), backend="triton")
    meta = torch.empty(1, 4, 8, 48, device="meta")
    assert backend_for(meta) == "dense"
    assert backend_for(q) == "cpu"
    assert backend_for(q.double()) == "reference"
    torch.testing.assert_close(sparse_attention(q, k, v, backend="dense"), dense_attention(q, k, v))


@pytest.mark.parametrize("past", [0, 130])
def test_no_queries_give_an_empty_answer(past: int) -> None:
    q, k, v = torch.empty(1, 4, 0, 64), torch.randn(1, 2, past, 64), torch.randn(1, 2, past, 64)
    assert sparse_attention(q, k, v, past).shape == q.shape
    assert dense_attention(q, k, v, past).shape == q.shape


@pytest.mark.parametrize(
    "shapes",
    [((1, 4, 5, 64), (1, 3, 5, 64)), ((1, 4, 5, 64), (1, 2, 6, 64)), ((1, 4, 5, 64), (1, 2, 5, 32)), ((4, 5, 64),) * 2],
)
def test_shapes_that_do_not_belong_together_are_named(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"must be|belong|need"):
        sparse_attention(torch.zeros(shapes[0]), torch.zeros(shapes[1]), torch.zeros(shapes[1]))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"mass": 0.0}, {"floor": 2.0}, {"blocks_per_doubling": 0}, {"stride": 3}, {"candidates": 0}, {"sink": -1}),
        *({"fine": 48}, {"fine_need": -0.1}, {"before": -1}),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"mass|positive|stride|negative"):
        Sparsity(**wrong)  # type: ignore[arg-type]
