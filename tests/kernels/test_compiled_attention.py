"""The compiled attention of long prompts: against float64 with the same blocks, from pages, and what it chooses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dsassist_kernels.kv_int8 import quantize_pages
from dsassist_kernels.paged_attention import PAGE
from dsassist_kernels.paged_attention.reference import gather
from dsassist_kernels.sparse_attention import (
    BLOCK,
    DENSE,
    HeadSizeError,
    Selection,
    Sparsity,
    attend,
    compiled,
    dense_attention,
    sparse_attention,
)
from dsassist_kernels.sparse_attention.reference import visible

pytestmark = pytest.mark.skipif(
    not compiled.supports(torch.empty(0, 64)), reason="no compiler, or a processor without AVX512-BF16"
)

SPARSE = Sparsity(mass=0.9, blocks_per_doubling=1.0, floor=0.0, dense_tail=1)


def inputs(t: int, past: int, heads: int, kv_heads: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """``q`` [t, heads, d], ``k`` and ``v`` [kv_heads, past + t, d]; all keys share a part, a few stand out."""
    torch.manual_seed(t * 7919 + past)
    k = torch.randn(kv_heads, past + t, d) + 3
    k[:, ::97] *= 2
    return torch.randn(t, heads, d), k, torch.randn(kv_heads, past + t, d)


def exactly(q: Tensor, k: Tensor, v: Tensor, past: int, chosen: Selection | None) -> Tensor:
    query, key, value = q.transpose(0, 1)[None].double(), k[None].double(), v[None].double()
    if chosen is None:
        return dense_attention(query, key, value, past)[0].transpose(0, 1)
    return attend(query, key, value, chosen, past, backend="reference")[0].transpose(0, 1)


def in_bfloat16(q: Tensor, k: Tensor, v: Tensor, past: int) -> Tensor:
    """PyTorch's dense attention in bfloat16: whose error ours is measured by."""
    query, key, value = (x[None].bfloat16() for x in (q.transpose(0, 1), k, v))
    return dense_attention(query, key, value, past)[0].transpose(0, 1)


@pytest.mark.parametrize(("heads", "kv_heads", "d"), [(14, 2, 64), (12, 2, 128), (4, 4, 32), (3, 1, 96)])
@pytest.mark.parametrize(
    ("t", "past"), [(1, 0), (63, 0), (129, 0), (1000, 0), (1, 1500), (63, 1000), (129, 1024), (1000, 77), (256, 640)]
)
@pytest.mark.parametrize("way", ["dense", "chosen"])
def test_against_float64_with_the_same_blocks(
    assert_close: Callable[..., None], t: int, past: int, heads: int, kv_heads: int, d: int, way: str
) -> None:
    q, k, v = inputs(t, past, heads, kv_heads, d)
    packed = compiled.pack(k, v)
    chosen = compiled.select(q, packed, past, SPARSE) if way == "chosen" else None
    lse = torch.zeros(t, heads)
    got = compiled.attend(q, packed, past, chosen, lse)
    exact = exactly(q, k, v, past, chosen)
    full = exactly(q, k, v, past, None)
    dense_error = (in_bfloat16(q, k, v, past).double() - full).abs().max()
    assert_close(got, exact, baseline=exact + dense_error)
    assert torch.equal(got, compiled.attend(q, packed, past, chosen))
    if chosen is None:
        scores = q.double().transpose(0, 1) @ k.double().repeat_interleave(heads // kv_heads, 0).mT * d**-0.5
        seen = torch.ones(t, past + t, dtype=torch.bool).tril(past)
        expected = scores.masked_fill(~seen, -torch.inf).logsumexp(-1).T
        torch.testing.assert_close(lse.double(), expected, rtol=0, atol=0.05)


def test_scores_may_be_of_any_size(assert_close: Callable[..., None]) -> None:
    q, k, v = inputs(300, 0, 4, 2, 64)
    q[..., 0] = 40.0
    k[:, :100, 0] = -80.0
    k[:, 200:, 0] = 80.0
    exact = exactly(q, k, v, 0, None)
    error = (in_bfloat16(q, k, v, 0).double() - exact).abs().max()
    assert_close(compiled.attend(q, compiled.pack(k, v), 0), exact, baseline=exact + error)


def test_long_prompts_once(assert_close: Callable[..., None]) -> None:
    q, k, v = inputs(300, 16_084, 7, 1, 64)
    packed = compiled.pack(k, v)
    chosen = compiled.select(q, packed, 16_084, Sparsity(floor=0.0, dense_tail=1))
    full = exactly(q, k, v, 16_084, None)
    error = (in_bfloat16(q, k, v, 16_084).double() - full).abs().max()
    exact = exactly(q, k, v, 16_084, chosen)
    assert_close(compiled.attend(q, packed, 16_084, chosen), exact, baseline=exact + error)


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("tokens", [1, 63, 200, 1000])
def test_pages_give_what_contiguous_keys_give(tokens: int, int8: bool) -> None:
    q, k, v = inputs(tokens, 0, 14, 2, 64)
    count = -(-tokens // PAGE)
    table = torch.randperm(count + 3, dtype=torch.int32)[:count]
    keys, values = torch.full((count + 3, 2, 64, PAGE), torch.nan), torch.full((count + 3, 2, PAGE, 64), torch.nan)
    place = torch.arange(tokens)
    page = table[place // PAGE].long()
    keys[page, :, :, place % PAGE], values[page, :, place % PAGE] = k.transpose(0, 1), v.transpose(0, 1)
    scales = None
    if int8:
        keys, key_scale = quantize_pages(keys.nan_to_num(), token_dim=-1)
        values, value_scale = quantize_pages(values.nan_to_num(), token_dim=-2)
        scales = key_scale, value_scale
        k, v = gather(keys, values, table, tokens, scales)
    packed = compiled.pack_pages(keys, values, table, tokens, scales)
    got = compiled.attend(q, packed, 0)
    expected = compiled.attend(q, compiled.pack(k, v), 0)
    assert torch.equal(got, expected)


@pytest.mark.parametrize("fine", [16, 32, 64])
@pytest.mark.parametrize(("t", "past"), [(3000, 0), (1000, 2111), (5, 4000)])
@pytest.mark.parametrize("candidates", [1, 100])
def test_what_is_chosen_is_sorted_capped_causal_and_has_sink_and_window(
    t: int, past: int, fine: int, candidates: int
) -> None:
    q, k, v = inputs(t, past, 14, 2, 64)
    s = Sparsity(mass=0.8, blocks_per_doubling=1.5, candidates=candidates, floor=0.0, dense_tail=0, fine=fine)
    chosen = compiled.select(q, compiled.pack(k, v), past, s)
    assert chosen.block == fine
    assert chosen.counts.max() <= s.cap(past + t) * BLOCK // fine
    for head in range(14):
        for row in range(chosen.counts.shape[2]):
            end = min((past // BLOCK + row + 1) * BLOCK, past + t)
            blocks = chosen.indices[0, head, row, : chosen.counts[0, head, row]].tolist()
            assert blocks == sorted(set(blocks))
            assert blocks[-1] == (end - 1) // fine
            first = max(past, (past // BLOCK + row) * BLOCK)
            needed = {0, *range(max(0, first - BLOCK) // fine + 1, (end - 1) // fine + 1)}
            assert {b for b in needed if b * fine < end} <= set(blocks)


def test_what_the_samples_need_is_captured() -> None:
    q, k, v = inputs(2048, 0, 4, 2, 64)
    k[:, 300] = 0
    k[:, 300, 0] = 60.0
    q[1999, :, :] = 0  # a sampled query of the last block but none of its neighbours
    q[1999, :, 0] = 40.0
    packed = compiled.pack(k, v)
    chosen = compiled.select(q, packed, 0, Sparsity(blocks_per_doubling=1.5, floor=0.0, dense_tail=0, fine=32))
    for head in range(4):
        assert 300 // 32 in chosen.indices[0, head, 15, : chosen.counts[0, head, 15]].tolist()


def test_what_the_row_before_needed_is_read_too() -> None:
    q, k, v = inputs(2048, 0, 4, 2, 64)
    k[:, 330] = 3  # nothing of its own but what is asked for below
    k[:, 330, 0] = 60.0
    q[:, :, 0] = 0
    q[14 * BLOCK + 15] = 0  # a sampled query of the block before the last
    q[14 * BLOCK + 15, :, 0] = 40.0
    packed = compiled.pack(k, v)
    for before in (0.0, 0.5):
        settings = Sparsity(mass=0.2, blocks_per_doubling=1.5, floor=0.0, dense_tail=0, before=before)
        chosen = compiled.select(q, packed, 0, settings)
        for head in range(4):
            own, later = (chosen.indices[0, head, row, : chosen.counts[0, head, row]].tolist() for row in (14, 15))
            assert 330 // chosen.block in own
            assert (330 // chosen.block in later) == (before > 0)


def test_rows_far_apart_are_chosen_for_as_in_one_piece() -> None:
    q, k, v = inputs(5000, 0, 4, 2, 64)
    packed = compiled.pack(k, v)
    settings = Sparsity(mass=0.9, blocks_per_doubling=2, floor=0.0, dense_tail=0, candidates=1)
    whole = compiled.select(q, packed, 0, settings)
    # a first row knows none before it
    some = compiled.select(q[30 * BLOCK :], packed, 30 * BLOCK, settings)
    assert torch.equal(whole.counts[:, :, 31:], some.counts[:, :, 1:])
    assert torch.equal(whole.indices[:, :, 31:], some.indices[:, :, 1:])


def test_mass_decides_the_count_and_low_mass_falls_back_to_dense() -> None:
    q, k, v = inputs(4096, 0, 2, 1, 64)
    packed = compiled.pack(k - 3, v)

    def counts(**settings: float) -> int:
        chosen = compiled.select(q, packed, 0, Sparsity(floor=0.0, blocks_per_doubling=7, dense_tail=0, **settings))  # type: ignore[arg-type]
        return int(chosen.counts.sum())

    assert counts(mass=0.2) < counts(mass=0.5) < counts(mass=0.8)
    # so is what is needed little
    settings = {"mass": 0.8, "fine_mass": 0.1}
    assert counts(**settings, fine_need=0.02) < counts(**settings, fine_need=0.01) < counts(**settings, fine_need=0.0)
    # but not what is needed all the same to hold enough
    assert counts(mass=0.8, fine_mass=0.5, fine_need=0.9) == counts(mass=0.5)
    low = compiled.select(q, packed, 0, Sparsity(blocks_per_doubling=0.7, floor=0.95))
    assert (low.counts == DENSE).all()
    tail = compiled.select(q, packed, 0, Sparsity(blocks_per_doubling=1.6, floor=0.0, dense_tail=2)).counts
    assert (tail[..., -2:] == DENSE).all()
    assert (tail[..., :-2] != DENSE).all()


def test_blocks_that_are_not_chosen_are_never_read() -> None:
    q, k, v = inputs(2000, 0, 14, 2, 64)
    packed = compiled.pack(k, v)
    chosen = compiled.select(q, packed, 0, Sparsity(mass=0.3, blocks_per_doubling=1, floor=0.0, dense_tail=0))
    clean = compiled.attend(q, packed, 0, chosen)
    last = Selection(chosen.indices[:, :, 15:], chosen.counts[:, :, 15:], chosen.block)
    read = visible(last, 15 * BLOCK, 2000)[0].any(1).view(2, 7, 2000).any(1)
    groups = read.view(2, -1, compiled.GROUP).any(2)
    assert (~groups).any()
    packed.keys[~groups] = -1  # pairs of NaN
    packed.values[~groups] = -1
    got = compiled.attend(q[15 * BLOCK :], packed, 15 * BLOCK, last)
    assert torch.equal(got, clean[15 * BLOCK :])


def test_the_public_function_takes_batches() -> None:
    parts = [inputs(500, 200, 4, 2, 64) for _ in range(2)]
    q = torch.stack([q.transpose(0, 1) for q, _, _ in parts])
    k, v = (torch.stack([part[i] for part in parts]) for i in (1, 2))
    got = sparse_attention(q, k, v, 200, SPARSE, backend="compiled")
    for b, (query, key, value) in enumerate(parts):
        packed = compiled.pack(key, value)
        expected = compiled.attend(query, packed, 200, compiled.select(query, packed, 200, SPARSE))
        assert torch.equal(got[b].transpose(0, 1), expected)


def test_what_it_cannot_do_is_named() -> None:
    q, k = torch.zeros(1, 4, 200, 48), torch.zeros(1, 2, 200, 48)
    assert not compiled.supports(q)
    assert not compiled.supports(torch.zeros(3, 512))
    assert not compiled.supports(torch.zeros(3, 64, dtype=torch.bfloat16))
    with pytest.raises(HeadSizeError, match="48"):
        sparse_attention(q, k, k, backend="compiled")
    chosen = compiled.select(torch.zeros(200, 4, 64), compiled.pack(*torch.zeros(2, 2, 200, 64)), 0, Sparsity())
    with pytest.raises(ValueError, match="one list a KV head"):
        attend(torch.zeros(1, 4, 200, 64), *torch.zeros(2, 1, 2, 200, 64), chosen, backend="cpu")


@pytest.mark.parametrize("shift", [-900.0, 900.0])
def test_scores_of_any_size_are_chosen_by(shift: float) -> None:
    q, k, v = inputs(2048, 0, 4, 2, 64)
    q[..., 0], k[:, :300, 0] = 8.0, shift  # what all queries think of the first keys; the mean key takes a part of it
    packed = compiled.pack(k, v)
    chosen = compiled.select(q, packed, 0, Sparsity(mass=0.9, blocks_per_doubling=1.5, floor=0.0, dense_tail=0))
    got = compiled.attend(q, packed, 0, chosen)
    assert chosen.counts.min() > 0
    assert not got.isnan().any()
    first = [(chosen.indices[0, 0, row, : chosen.counts[0, 0, row]] < 18).sum() for row in range(8, 16)]
    assert all(count > 9 for count in first) if shift > 0 else all(count <= 3 for count in first)
