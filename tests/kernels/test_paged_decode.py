"""Decoding over chosen pages, and INT8 pages: every backend against float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dsassist_kernels.kv_int8 import dequantize_pages, quantize_pages
from dsassist_kernels.paged_attention import PAGE
from dsassist_kernels.paged_attention import attend as dense
from dsassist_kernels.paged_decode import choose, page_bounds, paged_decode
from dsassist_kernels.sparse_attention import HeadSizeError


class Cache:
    """Sequences of ``lengths`` tokens in scattered pages; places that hold nothing are NaN."""

    def __init__(self, lengths: list[int], heads: int = 14, kv_heads: int = 2, d: int = 64) -> None:
        torch.manual_seed(sum(lengths))
        width = max(-(-n // PAGE) for n in lengths)
        total = width * len(lengths) + 3
        self.keys = torch.full((total, kv_heads, d, PAGE), torch.nan)
        self.values = torch.full((total, kv_heads, PAGE, d), torch.nan)
        self.table = torch.randperm(total, dtype=torch.int32)[: width * len(lengths)].view(len(lengths), width)
        self.lengths = torch.tensor(lengths, dtype=torch.int32)
        self.q = torch.randn(len(lengths), heads, d)
        for b, n in enumerate(lengths):
            place = torch.arange(n)
            page = self.table[b, place // PAGE].long()
            self.keys[page, :, :, place % PAGE] = torch.randn(n, kv_heads, d)
            self.values[page, :, place % PAGE] = torch.randn(n, kv_heads, d)

    def args(self) -> tuple[Tensor, ...]:
        return self.q, self.keys, self.values, self.table, self.lengths


@pytest.mark.parametrize(("heads", "kv_heads", "d"), [(14, 2, 64), (12, 2, 128), (4, 4, 32)])
@pytest.mark.parametrize("lengths", [[1], [63, 64], [129, 1, 1000], [5000]])
def test_all_pages_equal_dense_attention(
    assert_close: Callable[..., None], lengths: list[int], heads: int, kv_heads: int, d: int
) -> None:
    cache = Cache(lengths, heads, kv_heads, d)
    exact = torch.cat(
        [
            dense(
                cache.q[b : b + 1].double(),
                cache.keys.double(),
                cache.values.double(),
                cache.table[b],
                n - 1,
                backend="reference",
            )
            for b, n in enumerate(lengths)
        ]
    )
    for backend in ("cpu", "reference"):
        assert_close(paged_decode(*cache.args(), backend=backend), exact, atol=2e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("lengths", [[1000], [640, 3000, 1]])
def test_chosen_pages_against_float64(assert_close: Callable[..., None], lengths: list[int]) -> None:
    cache = Cache(lengths)
    bounds = page_bounds(cache.keys)
    pages = choose(cache.q, bounds, cache.table, cache.lengths, 256)
    assert pages.counts.tolist() == [min(4, -(-n // PAGE)) for n in lengths]
    for b, n in enumerate(lengths):
        for h in range(2):
            places = pages.places[b, h, : pages.counts[b]].tolist()
            assert places == sorted(set(places))
            assert places[0] == 0
            assert places[-1] == (n - 1) // PAGE
    double = [x.double() for x in (cache.q, cache.keys, cache.values)]
    exact = paged_decode(*double, cache.table, cache.lengths, pages=pages, backend="reference")
    got = paged_decode(*cache.args(), bounds=bounds, budget=256)
    assert_close(got, exact, atol=2e-6)
    assert torch.equal(got, paged_decode(*cache.args(), bounds=bounds, budget=256))


def test_the_page_with_the_wanted_key_is_chosen() -> None:
    cache = Cache([2000])
    page = int(cache.table[0, 11])
    cache.q[:] = 0.0
    cache.q[:, :, 5] = 1.0
    cache.keys[page, :, 5, 17] = 50.0
    pages = choose(cache.q, page_bounds(cache.keys), cache.table, cache.lengths, 192)
    assert pages.places[0, :, :3].tolist() == [[0, 11, 31]] * 2
    got = paged_decode(*cache.args(), bounds=page_bounds(cache.keys), budget=192)
    torch.testing.assert_close(got[0, 0], cache.values[page, 0, 17], atol=0.2, rtol=0.2)


def test_pages_that_are_not_chosen_are_never_read() -> None:
    cache = Cache([2000])
    bounds = page_bounds(cache.keys)
    pages = choose(cache.q, bounds, cache.table, cache.lengths, 256)
    clean = paged_decode(*cache.args(), pages=pages)
    for h in range(2):
        unread = [i for i in range(32) if i not in pages.places[0, h].tolist()]
        cache.keys[cache.table[0, unread].long(), h] = torch.nan
        cache.values[cache.table[0, unread].long(), h] = torch.nan
    assert torch.equal(paged_decode(*cache.args(), pages=pages), clean)


@pytest.mark.parametrize("length", [1, 63, 1000])
def test_int8_pages(assert_close: Callable[..., None], length: int) -> None:
    cache = Cache([length])
    exact = paged_decode(*cache.args())
    keys, key_scale = quantize_pages(cache.keys.nan_to_num(), token_dim=-1)
    values, value_scale = quantize_pages(cache.values.nan_to_num(), token_dim=-2)
    assert keys.dtype == values.dtype == torch.int8
    scales = (key_scale, value_scale)
    got = paged_decode(cache.q, keys, values, cache.table, cache.lengths, scales=scales)
    same = paged_decode(
        cache.q,
        dequantize_pages(keys, key_scale, token_dim=-1),
        dequantize_pages(values, value_scale, token_dim=-2),
        cache.table,
        cache.lengths,
    )
    assert_close(got, same.double(), atol=2e-6)
    # half a scale of 127 steps in values of up to four
    assert_close(got, exact.double(), atol=0.05)


def test_quantizing_is_off_by_at_most_half_a_step() -> None:
    pages = torch.randn(3, 2, 64, PAGE)
    pages[1, 0, :, 5] = 0.0
    whole, scale = quantize_pages(pages, token_dim=-1)
    back = dequantize_pages(whole, scale, token_dim=-1)
    assert ((back - pages).abs() <= scale.unsqueeze(2) * 0.5001).all()
    assert scale[1, 0, 5] == 1.0
    with pytest.raises(ValueError, match="last dimension"):
        quantize_pages(pages, token_dim=0)


def test_bad_input_is_named() -> None:
    cache = Cache([100], 4, 2, 32)
    with pytest.raises(HeadSizeError, match="32"):
        paged_decode(*cache.args(), backend="triton")
    with pytest.raises(ValueError, match="less than a page"):
        paged_decode(*cache.args(), budget=10)
    with pytest.raises(ValueError, match="do not belong"):
        paged_decode(cache.q[:, :, :16], *cache.args()[1:])
    with pytest.raises(ValueError, match="do not fit"):
        paged_decode(*cache.args()[:4], cache.lengths.repeat(2))
