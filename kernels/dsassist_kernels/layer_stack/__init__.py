"""All layers of a decoder for a few tokens of one sequence, in one call: a decoded token, a draft that is verified.

Such a pass takes milliseconds, in which a hundred operations start; going through Python for each took a tenth of it.
It computes what ``packed_linear``, ``rotate_and_store``, ``attend`` and ``packed_mlp`` compute one after the other, to
the same bits, by calling the same compiled code.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dsassist_kernels import native
from dsassist_kernels.packed_linear import TILE, format_of_tile
from dsassist_kernels.packed_linear import cpu as products
from dsassist_kernels.paged_attention import Scales
from dsassist_kernels.paged_attention import cpu as attention

__all__ = ["LayerStack", "LayerTensors", "available"]

_SOURCE = Path(__file__).with_name("cpu.c")


@dataclass(frozen=True, slots=True)
class LayerTensors:
    """One layer's weights, packed, and its part of the cache."""

    qkv: Tensor
    qkv_bias: Tensor | None
    qkv_norm: Tensor
    qkv_eps: float
    out: Tensor
    out_bias: Tensor | None
    gate_up: Tensor
    down: Tensor
    mlp_norm: Tensor
    mlp_eps: float
    keys: Tensor
    """[P, kv heads, D, 64]"""
    values: Tensor
    """[P, kv heads, 64, D]"""
    scales: Scales | None
    bounds: Tensor | None
    offset: Tensor | None
    chooses: bool
    """Whether its queries may read chosen pages only."""


_WEIGHTS = ("qkv", "qkv_bias", "qkv_norm", "out", "out_bias", "mlp_norm", "gate_up", "down")
_PAGES = ("keys", "values", "key_scale", "value_scale", "bounds", "offset")
_SIZES = ("qkv_lines", "out_lines", "gate_up_lines", "down_lines", "chooses")


class _Layer(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in (*_WEIGHTS, *_PAGES)),
        *((name, ctypes.c_int64) for name in _SIZES),
        *((name, ctypes.c_float) for name in ("qkv_eps", "mlp_eps")),
    ]


class _Operations(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("linear", "mlp", "rotate", "attend")]


def available(layer: LayerTensors) -> bool:
    """Whether layers like this one can run so: on a CPU, compiled, with pages of float32 or int8."""
    kept = torch.float32 if layer.scales is None else torch.int8
    on_cpu = layer.keys.device.type == "cpu" and layer.keys.dtype == kept
    return on_cpu and layer.keys.shape[2] <= attention.LARGEST_HEAD and native.compiled(_SOURCE) is not None


class LayerStack:
    """Layers that are run together; what they point to has to stay where it is."""

    def __init__(self, layers: Sequence[LayerTensors]) -> None:
        """
        Raises:
            ValueError: no layers, or none that ``available`` allows.
        """
        if not layers or not all(map(available, layers)):
            raise ValueError("these layers cannot be run in one call")
        self._kept = list(layers)  # alive as long as their addresses are used
        first = layers[0]
        self.kv_heads, self.head_dim = first.keys.shape[1:3]
        self.hidden = first.qkv.shape[1] * TILE
        self.heads = first.out.shape[1] * TILE // self.head_dim
        self.middle = first.down.shape[1] * TILE
        self._layers = (_Layer * len(layers))(*map(_described, layers))

    def __call__(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        slots: Tensor,
        table: Tensor,
        past: int,
        *,
        chosen: tuple[int, int] = (0, 0),
    ) -> Tensor:
        """``x`` [T, hidden] float32, T at most ``paged_attention.FEW_QUERIES``, at positions ``past`` … of the sequence
        whose pages ``table`` [N] int32 names → [T, hidden]. ``cos``, ``sin`` [T, D / 2] and ``slots`` [T] as for
        ``rotate_and_store``; ``chosen``: how many pages a query reads, and from how many tokens on, in layers that may
        choose (0: all).

        Raises:
            MemoryError: there is none for the scores.
        """
        stack, linear, paged = native.compiled(_SOURCE), products.library(), attention.library()
        assert stack is not None
        assert linear is not None
        assert paged is not None
        native.signatures(stack, layer_stack="pi" + "p" * 11 + "i" * 9 + "f")
        t, d = x.shape[0], self.head_dim
        x = x.clone()
        widths = self.hidden, (self.heads + 2 * self.kv_heads) * d, self.heads * d, self.heads * d
        after, qkv, q, mixed = (torch.empty(t, width) for width in widths)
        size = products.activation_bytes(t, self.hidden) + products.activation_bytes(t, self.middle)
        scratch = native.scratch(max(size, products.activation_bytes(t, self.heads * d)))
        functions = linear.packed_linear, linear.packed_mlp, paged.rotate_and_store, paged.attend_few
        operations = _Operations(*(ctypes.cast(each, ctypes.c_void_p) for each in functions))
        tensors = map(native.address, (x, after, qkv, q, mixed, scratch, cos, sin, slots, table))
        sizes = t, self.hidden, self.middle, self.heads, self.kv_heads, d, past, *chosen
        if stack.layer_stack(
            ctypes.addressof(self._layers), len(self._layers), ctypes.addressof(operations), *tensors, *sizes, d**-0.5
        ):
            raise MemoryError(f"no memory for the scores of {past + t} tokens")
        return x


def _described(layer: LayerTensors) -> _Layer:
    scales = layer.scales or (None, None)
    tensors = {name: getattr(layer, name) for name in (*_WEIGHTS, "keys", "values", "bounds", "offset")}
    pointers = {name: native.address(tensor) for name, tensor in tensors.items()}
    pointers |= {"key_scale": native.address(scales[0]), "value_scale": native.address(scales[1])}
    packed = ("qkv", "out", "gate_up", "down")
    lines = {f"{name}_lines": format_of_tile(getattr(layer, name).shape[2]).lines for name in packed}
    return _Layer(**pointers, **lines, chooses=layer.chooses, qkv_eps=layer.qkv_eps, mlp_eps=layer.mlp_eps)
