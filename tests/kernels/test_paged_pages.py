"""INT8 pages, bounds of full pages, and few queries that read pages of their own choice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from dsassist_kernels import native
from dsassist_kernels.kv_int8 import dequantize_pages
from dsassist_kernels.paged_attention import PAGE, Choice, attend, cpu, rotate_and_store
from dsassist_kernels.paged_decode import choose, page_bounds, paged_decode


@pytest.fixture(params=["compiled", "torch"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    native.disable(yes=request.param == "torch")
    yield request.param
    native.disable(yes=False)


class Cache:
    """``n`` random tokens in scattered pages, float or INT8; what holds nothing is NaN, or a large whole number."""

    def __init__(self, n: int, heads: int, kv_heads: int, d: int, *, int8: bool, backend: str | None = None) -> None:
        torch.manual_seed(n + d)
        count = -(-n // PAGE)
        shape = (count + 2, kv_heads, d, PAGE)
        self.keys = torch.full(shape, 127, dtype=torch.int8) if int8 else torch.full(shape, torch.nan)
        self.values = self.keys.transpose(2, 3).contiguous()
        self.scales: tuple[Tensor, Tensor] | None = None
        if int8:
            scale = torch.full((count + 2, kv_heads, PAGE), torch.nan)
            self.scales = scale, scale.clone()
        self.bounds = torch.full((count + 2, kv_heads, 2, d), torch.nan)
        self.table = torch.randperm(count + 2, dtype=torch.int32)[:count]
        place = torch.arange(n)
        slots = self.table[place // PAGE].long() * PAGE + place % PAGE
        angle = place[:, None] * (10000 ** -(torch.arange(d // 2) / (d // 2)))[None]
        self.qkv = torch.randn(n, (heads + 2 * kv_heads) * d)
        self.queries = rotate_and_store(
            *(self.qkv, angle.cos(), angle.sin(), slots, self.keys, self.values, heads),
            scales=self.scales,
            bounds=self.bounds,
            backend=backend,  # type: ignore[arg-type]
        )

    def floats(self) -> tuple[Tensor, Tensor]:
        if self.scales is None:
            return self.keys, self.values
        return (
            dequantize_pages(self.keys, self.scales[0], token_dim=-1),
            dequantize_pages(self.values, self.scales[1], token_dim=-2),
        )


SHAPES = [(14, 2, 64), (12, 2, 128), (9, 3, 48), (5, 5, 24)]


@pytest.mark.parametrize(("heads", "kv_heads", "d"), SHAPES)
@pytest.mark.parametrize(("t", "past"), [(1, 0), (1, 64), (5, 60), (33, 100), (1, 1000)])
def test_int8_pages_against_float64(way: str, heads: int, kv_heads: int, d: int, t: int, past: int) -> None:
    cache = Cache(past + t, heads, kv_heads, d, int8=True)
    q = cache.queries[past:]
    keys, values = cache.floats()
    exact = attend(q.double(), keys.double(), values.double(), cache.table, past, backend="reference")
    lse = torch.zeros(q.shape[:2])
    got = attend(q, cache.keys, cache.values, cache.table, past, scales=cache.scales, lse=lse)
    torch.testing.assert_close(got.double(), exact, rtol=1e-4, atol=2e-5)
    plain = attend(q, cache.keys, cache.values, cache.table, past, scales=cache.scales)
    torch.testing.assert_close(plain, got, rtol=1e-4, atol=2e-5)
    wanted = torch.zeros(q.shape[:2], dtype=torch.float64)
    attend(q.double(), keys.double(), values.double(), cache.table, past, lse=wanted, backend="reference")
    torch.testing.assert_close(lse.double(), wanted, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("int8", [False, True])
def test_storing_is_the_same_compiled_and_in_torch(int8: bool) -> None:
    a, b = (Cache(200, 6, 2, 64, int8=int8, backend=backend) for backend in ("cpu", "reference"))
    assert torch.equal(a.queries, b.queries)
    assert torch.equal(a.bounds.nan_to_num(), b.bounds.nan_to_num())
    for x, y in zip((a.keys, a.values, *(a.scales or ())), (b.keys, b.values, *(b.scales or ())), strict=True):
        assert torch.equal(x.nan_to_num(), y.nan_to_num())


@pytest.mark.parametrize("int8", [False, True])
def test_bounds_are_kept_for_full_pages_only(way: str, int8: bool) -> None:
    cache = Cache(200, 6, 2, 64, int8=int8)
    full, started = cache.table[:3].long(), int(cache.table[3])
    torch.testing.assert_close(cache.bounds[full], page_bounds(cache.floats()[0][full]))
    assert cache.bounds[started].isnan().all()


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize(("heads", "kv_heads", "d"), SHAPES)
def test_chosen_pages_are_those_of_the_definition(heads: int, kv_heads: int, d: int, int8: bool) -> None:
    if cpu.library() is None:
        pytest.skip("no compiler")
    cache = Cache(1000, heads, kv_heads, d, int8=int8)
    q, lengths = cache.queries[-1:], torch.tensor([1000], dtype=torch.int32)
    pages = choose(q, cache.bounds, cache.table[None], lengths, 256)
    keys, values = (x.double() for x in cache.floats())
    exact = paged_decode(q.double(), keys, values, cache.table[None], lengths, pages=pages, backend="reference")
    choice = Choice(cache.bounds, 256, 500)
    got = attend(q, cache.keys, cache.values, cache.table, 999, scales=cache.scales, choice=choice)
    torch.testing.assert_close(got.double(), exact, rtol=1e-4, atol=2e-5)


def test_each_query_chooses_for_itself_and_short_ones_read_all() -> None:
    if cpu.library() is None:
        pytest.skip("no compiler")
    cache = Cache(1000, 14, 2, 64, int8=False)
    choice = Choice(cache.bounds, 256, 990)
    together = attend(cache.queries[980:], cache.keys, cache.values, cache.table, 980, choice=choice)
    for i in range(20):
        alone = attend(cache.queries[980 + i : 981 + i], cache.keys, cache.values, cache.table, 980 + i, choice=choice)
        assert torch.equal(together[i : i + 1], alone)
    everything = attend(cache.queries[980:], cache.keys, cache.values, cache.table, 980)
    assert torch.equal(together[:9], everything[:9])
    assert (together[9:] - everything[9:]).abs().max() > 1e-3


def test_equal_bounds_fill_the_budget_and_no_more() -> None:
    if cpu.library() is None:
        pytest.skip("no compiler")
    cache = Cache(640, 4, 2, 64, int8=False)
    cache.bounds[:] = 1.0
    got = attend(cache.queries[-1:], cache.keys, cache.values, cache.table, 639, choice=Choice(cache.bounds, 256, 1))
    table = cache.table[[0, 1, 2, 9]]
    assert torch.equal(got, attend(cache.queries[-1:], cache.keys, cache.values, table, 255))


def test_a_choice_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="no room"):
        Choice(torch.zeros(1, 1, 2, 8), 128, 1000)


def test_what_all_keys_share_is_left_out_of_int8(way: str) -> None:
    plain, shifted = (Cache(300, 6, 2, 64, int8=True) for _ in "ab")
    offset = torch.randn(2, 64) * 30
    place = torch.arange(300)
    angle = place[:, None] * torch.zeros(32)
    slots = shifted.table[place // PAGE].long() * PAGE + place % PAGE
    qkv = shifted.qkv.clone()
    qkv[:, 6 * 64 : 8 * 64] += offset.flatten()
    q = rotate_and_store(
        *(qkv, angle.cos(), angle.sin(), slots, shifted.keys, shifted.values, 6),
        scales=shifted.scales,
        offset=offset,
    )
    rotate_and_store(
        *(shifted.qkv, angle.cos(), angle.sin(), slots, plain.keys, plain.values, 6),
        scales=plain.scales,
    )
    got, expected = (attend(q[-5:], c.keys, c.values, c.table, 295, scales=c.scales) for c in (shifted, plain))
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-4)
