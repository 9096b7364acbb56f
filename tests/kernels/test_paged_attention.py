"""Attention over a paged cache: every backend against float64, with unused places poisoned."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from dsassist_kernels import native
from dsassist_kernels.paged_attention import PAGE, attend, backend_for, rotate_and_store
from dsassist_kernels.paged_attention.reference import rotate


@pytest.fixture(params=["compiled", "torch"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    native.disable(yes=request.param == "torch")
    yield request.param
    native.disable(yes=False)


class Cache:
    """A cache with poisoned pages, filled with ``n`` random tokens in scattered pages."""

    def __init__(self, n: int, heads: int, kv_heads: int, d: int) -> None:
        pages = -(-n // PAGE)
        self.keys = torch.full((pages + 3, kv_heads, d, PAGE), torch.nan)
        self.values = torch.full((pages + 3, kv_heads, PAGE, d), torch.nan)
        self.table = torch.randperm(pages + 3, dtype=torch.int32)[:pages]
        positions = torch.arange(n)
        self.slots = self.table[positions // PAGE].long() * PAGE + positions % PAGE
        angle = positions[:, None] * (10000 ** -(torch.arange(d // 2) / (d // 2)))[None]
        self.cos, self.sin = angle.cos(), angle.sin()
        self.qkv = torch.randn(n, (heads + 2 * kv_heads) * d)
        self.heads = heads
        self.queries = self.store()

    def store(self, backend: str | None = None) -> torch.Tensor:
        return rotate_and_store(
            self.qkv, self.cos, self.sin, self.slots, self.keys, self.values, self.heads, backend=backend
        )


@pytest.mark.parametrize(("heads", "kv_heads", "d"), [(14, 2, 64), (12, 2, 128), (9, 3, 64), (4, 4, 32)])
@pytest.mark.parametrize(
    ("t", "past"), [(1, 0), (1, 63), (1, 64), (5, 60), (32, 1), (33, 0), (33, 100), (1, 1000), (130, 64)]
)
def test_against_float64(way: str, heads: int, kv_heads: int, d: int, t: int, past: int) -> None:
    torch.manual_seed(t + past)
    cache = Cache(past + t, heads, kv_heads, d)
    q = cache.queries[past:]
    exact = attend(q.double(), cache.keys.double(), cache.values.double(), cache.table, past, backend="reference")
    for backend in ("cpu", "sdpa", "reference"):
        got = attend(q, cache.keys, cache.values, cache.table, past, backend=backend)
        torch.testing.assert_close(got.double(), exact, rtol=1e-4, atol=2e-5)


def test_storing_writes_the_tokens_and_nothing_else(way: str) -> None:
    cache = Cache(70, 6, 2, 64)
    poisoned = int(cache.keys.isnan().sum())
    keys, values = cache.keys.clone(), cache.values.clone()
    queries = cache.store(backend="reference")
    assert torch.equal(queries, cache.queries)
    assert torch.equal(keys.nan_to_num(), cache.keys.nan_to_num())
    assert torch.equal(values.nan_to_num(), cache.values.nan_to_num())
    assert poisoned == (cache.keys.shape[0] * PAGE - 70) * 2 * 64


def test_a_query_does_not_depend_on_the_others(way: str) -> None:
    cache = Cache(200, 14, 2, 64)
    q = cache.queries[180:]
    together = attend(q, cache.keys, cache.values, cache.table, 180)
    alone = [attend(q[i : i + 1], cache.keys, cache.values, cache.table, 180 + i) for i in range(20)]
    assert torch.equal(torch.cat(alone), together)


def test_rotation_keeps_length_and_depends_on_distance_only() -> None:
    d, half = 64, 32
    angle = torch.arange(40)[:, None] * (10000 ** -(torch.arange(half) / half))[None]
    q, k = torch.randn(1, 1, d).expand(40, 1, d), torch.randn(1, 1, d).expand(40, 1, d)
    rq, rk = rotate(q, angle.cos(), angle.sin()), rotate(k, angle.cos(), angle.sin())
    torch.testing.assert_close(rq.norm(dim=-1), q.norm(dim=-1))
    products = rq[:, 0] @ rk[:, 0].T
    torch.testing.assert_close(products.diagonal(5), products[5, 0].expand(35) * 0 + products.diagonal(5)[0])


def test_choice_of_backend() -> None:
    assert backend_for(torch.zeros(1)) == "cpu"
    assert backend_for(torch.zeros(1, dtype=torch.bfloat16)) == "sdpa"
