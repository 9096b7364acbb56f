"""Layers in one call against the same operations one by one."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dsassist_kernels import native
from dsassist_kernels.layer_stack import LayerStack, LayerTensors, available
from dsassist_kernels.packed_linear import Format, pack, packed_linear, packed_mlp
from dsassist_kernels.packed_linear import available as compiled
from dsassist_kernels.paged_attention import PAGE, Choice, attend, rotate_and_store

HIDDEN, HEADS, KV, D, MIDDLE, PAGES = 128, 4, 2, 32, 192, 9
pytestmark = pytest.mark.skipif(not compiled(), reason="no C compiler")


def layer(seed: int, *, int8: bool, chooses: bool) -> LayerTensors:
    g = torch.Generator().manual_seed(seed)

    def weight(n: int, k: int, kept: Format) -> torch.Tensor:
        return pack(torch.randn(n, k, generator=g) / k**0.5, kept)

    kept = torch.int8 if int8 else torch.float32
    return LayerTensors(
        qkv=weight((HEADS + 2 * KV) * D, HIDDEN, Format(5)),
        qkv_bias=torch.randn((HEADS + 2 * KV) * D, generator=g) if seed else None,
        qkv_norm=torch.rand(HIDDEN, generator=g),
        qkv_eps=1e-6,
        out=weight(HIDDEN, HEADS * D, Format(8)),
        out_bias=None,
        gate_up=weight(2 * MIDDLE, HIDDEN, Format(4, base=True)),
        down=weight(HIDDEN, MIDDLE, Format(6, columns=16)),
        mlp_norm=torch.rand(HIDDEN, generator=g),
        mlp_eps=1e-5,
        keys=torch.zeros(PAGES, KV, D, PAGE, dtype=kept),
        values=torch.zeros(PAGES, KV, PAGE, D, dtype=kept),
        scales=(torch.zeros(PAGES, KV, PAGE), torch.zeros(PAGES, KV, PAGE)) if int8 else None,
        bounds=torch.zeros(PAGES, KV, 2, D),
        offset=torch.randn(KV, D, generator=g) if int8 else None,
        chooses=chooses,
    )


def one_by_one(
    layers: list[LayerTensors],
    x: torch.Tensor,
    turn: tuple[torch.Tensor, torch.Tensor],
    slots: torch.Tensor,
    table: torch.Tensor,
    past: int,
    choice: tuple[int, int],
) -> torch.Tensor:
    for part in layers:
        qkv = packed_linear(x, part.qkv, part.qkv_bias, norm=part.qkv_norm, eps=part.qkv_eps)
        options = {"scales": part.scales, "bounds": part.bounds, "offset": part.offset}
        q = rotate_and_store(qkv, *turn, slots, part.keys, part.values, HEADS, **options)
        assert part.bounds is not None
        chosen = Choice(part.bounds, choice[0] * PAGE, choice[1]) if part.chooses and choice[0] else None
        mixed = attend(q, part.keys, part.values, table, past, scales=part.scales, choice=chosen)
        x = packed_linear(mixed.reshape(len(x), -1), part.out, part.out_bias, residual=x)
        x = packed_mlp(x, part.gate_up, part.down, norm=part.mlp_norm, eps=part.mlp_eps, residual=x)
    return x


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("choice", [(0, 0), (3, 200)])
def test_the_same_bits_as_one_by_one(int8: bool, choice: tuple[int, int]) -> None:
    stacked, single = ([layer(i, int8=int8, chooses=i > 0) for i in range(2)] for _ in range(2))
    stack = LayerStack(stacked)
    table = torch.randperm(PAGES).to(torch.int32)
    past = 0
    for t in (32, 31, 1, 2, *[32] * 11, 8, 1):
        x = torch.randn(t, HIDDEN)
        places = torch.arange(past, past + t)
        angles = places[:, None] * torch.logspace(0, -2, D // 2)
        turn = angles.cos(), angles.sin()
        slots = table[places // PAGE].long() * PAGE + places % PAGE
        before = x.clone()
        got = stack(x, *turn, slots, table, past, chosen=choice)
        assert torch.equal(got, one_by_one(single, x, turn, slots, table, past, choice))
        assert torch.equal(x, before)
        past += t
    for a, b in zip(stacked, single, strict=True):
        assert torch.equal(a.keys, b.keys)
        assert torch.equal(a.values, b.values)
        assert torch.equal(a.bounds, b.bounds)  # type: ignore[arg-type]


def test_layers_that_cannot_be_run_so(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = layer(0, int8=False, chooses=False)
    assert available(whole)
    half = dataclasses.replace(whole, keys=whole.keys.half())
    assert not available(half)
    for layers in ([], [whole, half]):
        with pytest.raises(ValueError, match="cannot be run"):
            LayerStack(layers)
    monkeypatch.setattr(native, "_enabled", False)
    assert not available(whole)
