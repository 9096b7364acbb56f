"""The choice between paged, dense and sparse attention, and segments that attend to a cached past."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dsassist_kernels.kv_int8 import quantize_pages
from dsassist_kernels.paged_attention import PAGE
from dsassist_kernels.paged_attention import attend as paged
from dsassist_kernels.sparse_attention import Sparsity, packs
from dsassist_model.long_context import LayerPages, LongContext


class Prompt:
    """One layer's queries and pages of ``n`` tokens; unused places are NaN."""

    def __init__(self, n: int, d: int = 64) -> None:
        torch.manual_seed(n)
        pages = -(-n // PAGE)
        self.n = n
        self.q = torch.randn(n, 14, d)
        self.keys = torch.full((pages + 2, 2, d, PAGE), torch.nan)
        self.values = torch.full((pages + 2, 2, PAGE, d), torch.nan)
        self.table = torch.randperm(pages + 2, dtype=torch.int32)[:pages]
        place = torch.arange(n)
        page = self.table[place // PAGE].long()
        self.keys[page, :, :, place % PAGE] = torch.randn(n, 2, d)
        self.values[page, :, place % PAGE] = torch.randn(n, 2, d)

    def run(self, context: LongContext, segment: int, layer: int = 5) -> Tensor:
        parts = []
        for at in range(0, self.n, segment):
            end = min(at + segment, self.n)
            table = self.table[: -(-end // PAGE)]
            got = context.attend(
                layer, self.q[at:end], LayerPages(self.keys, self.values), table, at, last=end == self.n
            )
            parts.append(got)
        return torch.cat(parts)

    def exact(self) -> Tensor:
        keys, values = self.keys.double(), self.values.double()
        return paged(self.q.double(), keys, values, self.table, 0, backend="reference")


@pytest.mark.parametrize(
    ("layer", "queries", "tokens", "way"),
    [
        (0, 512, 512, "paged"),
        (5, 1, 100_000, "paged"),
        (5, 127, 100_000, "paged"),
        (5, 512, 3000, "dense"),
        (1, 512, 30_000, "dense"),
        (1, 512, 100_000, "sparse"),
        (2, 512, 100_000, "sparse"),
    ],
)
def test_the_choice_is_a_function_of_layer_and_lengths(layer: int, queries: int, tokens: int, way: str) -> None:
    assert LongContext().way(layer, queries, tokens) == way
    dense_only = LongContext(mode="dense").way(layer, queries, tokens)
    assert dense_only == ("dense" if way == "sparse" else way)


@pytest.mark.parametrize("segment", [300, 512, 1100])
@pytest.mark.parametrize("mode", ["dense", "sparse"])
def test_segments_attend_to_the_cached_past(segment: int, mode: str) -> None:
    prompt = Prompt(1100)
    # everything is chosen, so that sparse is dense too
    context = LongContext(
        mode="dense" if mode == "dense" else "auto",
        sparsity=Sparsity(blocks_per_doubling=100),
        gathered_from=256,
        sparse_from=256,
        dtype=torch.float32,
    )
    torch.testing.assert_close(prompt.run(context, segment).double(), prompt.exact(), rtol=0, atol=5e-6)


def test_sparse_layers_read_less_and_the_last_queries_read_everything() -> None:
    prompt = Prompt(3000)
    sparsity = Sparsity(mass=0.2, blocks_per_doubling=1, floor=0.0, dense_tail=2)
    context = LongContext(sparsity=sparsity, sparse_from=1024, gathered_from=1024, dtype=torch.float32)
    got = prompt.run(context, 1024)
    assert 0.1 < context.density < 0.7
    assert not got.isnan().any()
    exact = prompt.exact()
    torch.testing.assert_close(got[-100:].double(), exact[-100:], rtol=0, atol=5e-6)
    assert (got[1024:2048] - exact[1024:2048]).abs().max() > 1e-3
    assert torch.equal(got, prompt.run(LongContext(**_settings(context)), 1024))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int8])
@pytest.mark.parametrize("d", [48, 64, 288])
def test_head_sizes_and_caches_that_no_kernel_was_written_for(d: int, dtype: torch.dtype) -> None:
    """Whatever computes it, on whatever machine: what is chosen is everything here, so it must be dense attention."""
    prompt = Prompt(700, d)
    context = LongContext(sparsity=Sparsity(blocks_per_doubling=100), gathered_from=256, sparse_from=256)
    exact = prompt.exact()
    scales = None
    if dtype == torch.int8:
        keys, key_scale = quantize_pages(prompt.keys.nan_to_num(), token_dim=-1)
        values, value_scale = quantize_pages(prompt.values.nan_to_num(), token_dim=-2)
        scales = key_scale, value_scale
    else:
        keys, values = prompt.keys.to(dtype), prompt.values.to(dtype)
    parts = []
    for at, end in ((0, 300), (300, 700)):
        pages = LayerPages(keys, values, scales)
        got = context.attend(5, prompt.q[at:end], pages, prompt.table[: -(-end // PAGE)], at, last=end == 700)
        parts.append(got)
    assert parts[0].dtype == torch.float32
    torch.testing.assert_close(torch.cat(parts).double(), exact, rtol=0, atol=0.08)


def test_first_layers_stay_dense() -> None:
    context = LongContext(sparse_from=256, gathered_from=256)
    Prompt(600).run(context, 600, layer=1)
    assert context.visible == 0
    assert context.density == 1.0


def test_layers_in_the_middle_read_more_than_others() -> None:
    prompt = Prompt(2000)
    if not packs(prompt.q):
        pytest.skip("this machine has no kernel that leaves out a few keys at a time")
    density = {}
    for layer in (3, 5):
        sparsity = Sparsity(fine_mass=0.1, floor=0.0)
        context = LongContext(sparsity=sparsity, middle=range(4, 8), outer_need=0.02, dense_layers=0)
        context.gathered_from = context.sparse_from = 256
        prompt.run(context, 1000, layer=layer)
        density[layer] = context.density
    assert density[3] < 0.9 * density[5]
    of_a_model = LongContext.for_machine(torch.device("cpu"), torch.float32, 64, 24)
    assert of_a_model.middle is not None
    assert 0 < of_a_model.middle.start < of_a_model.middle.stop < 24


def test_where_keys_are_packed_a_part_of_a_block_is_computed_so_too() -> None:
    prompt = Prompt(1100)
    if not packs(prompt.q):
        pytest.skip("this machine has no kernel that packs keys")
    context = LongContext.for_machine(torch.device("cpu"), torch.float32, 64, 24)
    assert [context.way(5, queries, 1000) for queries in (32, 33, 127, 128)] == ["paged", "dense", "dense", "dense"]
    assert context.way(5, 127, 50_000) == "dense"
    assert context.way(5, 128, 50_000) == "sparse"
    got = prompt.run(context, 90)
    torch.testing.assert_close(got.double(), prompt.exact(), rtol=0, atol=0.02)


def _settings(context: LongContext) -> dict[str, Any]:
    return {
        name: getattr(context, name)
        for name in ("mode", "sparsity", "dense_layers", "gathered_from", "sparse_from", "dtype")
    }
