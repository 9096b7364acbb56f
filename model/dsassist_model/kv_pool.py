"""The pages of a KV cache: every layer's keys and values, 64 tokens a page."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dsassist_kernels.kv_int8 import quantize
from dsassist_kernels.layer_stack import LayerStack
from dsassist_kernels.paged_attention import PAGE
from dsassist_kernels.paged_decode import page_bounds
from dsassist_model.config import ModelConfig
from dsassist_model.long_context import LayerPages
from dsassist_model.memory import discard

__all__ = ["KVPool"]


class KVPool:
    """Pages of all layers: ``keys`` [L, P, kv heads, D, 64], ``values`` [L, P, kv heads, 64, D]; where they are int8,
    ``key_scale`` and ``value_scale`` [L, P, kv heads, 64]; ``bounds`` [L, P, kv heads, 2, D] of the keys of full
    pages. ``offset`` [L, kv heads, D] is missing from int8 keys (see ``rotate_and_store``)."""

    def __init__(
        self,
        config: ModelConfig,
        pages: int,
        device: torch.device,
        dtype: torch.dtype,
        offset: Tensor | None = None,
    ) -> None:
        layers, heads, d = config.num_layers, config.num_kv_heads, config.head_dim

        # not zeroed: a page is mapped when it is first written, so an unused budget costs no memory
        def empty(*shape: int, kind: torch.dtype = torch.float32) -> Tensor:
            return torch.empty(layers, pages, heads, *shape, device=device, dtype=kind)

        self.keys, self.values = empty(d, PAGE, kind=dtype), empty(PAGE, d, kind=dtype)
        self.bounds = empty(2, d)
        whole = dtype == torch.int8
        self.key_scale: Tensor | None = empty(PAGE) if whole else None
        self.value_scale: Tensor | None = empty(PAGE) if whole else None
        self.offset = offset if whole else None
        self.pages = pages
        self.stack: LayerStack | None = None
        """Its layers and a model's, run in one call; made by the model."""
        self._layers = [self._layer(i) for i in range(layers)]

    def layer(self, i: int) -> LayerPages:
        """One layer's pages."""
        return self._layers[i]

    def _layer(self, i: int) -> LayerPages:
        scales = None
        if self.key_scale is not None and self.value_scale is not None:
            scales = self.key_scale[i], self.value_scale[i]
        offset = None if self.offset is None else self.offset[i]
        return LayerPages(self.keys[i], self.values[i], scales, self.bounds[i], offset)

    def copy(self, page: int, to: int) -> None:
        """Copy what a page holds, in all layers."""
        for part in (self.keys, self.values, self.bounds, self.key_scale, self.value_scale):
            if part is not None:
                part[:, to] = part[:, page]

    def load(self, page: int, place: int, count: int) -> tuple[Tensor, Tensor]:
        """``count`` tokens from ``place`` on: keys [L, kv heads, D, n] and values [L, kv heads, n, D], floating."""
        part = slice(place, place + count)
        keys, values = self.keys[:, page, :, :, part], self.values[:, page, :, part]
        if self.key_scale is None or self.value_scale is None:
            return keys.clone(), values.clone()
        key_scale, value_scale = (scale[:, page, :, part] for scale in (self.key_scale, self.value_scale))
        keys = keys * key_scale.unsqueeze(2)
        if self.offset is not None:
            keys += self.offset.unsqueeze(3)
        return keys, values * value_scale.unsqueeze(3)

    def store(self, page: int, place: int, keys: Tensor, values: Tensor) -> None:
        """The inverse of ``load``, rounded anew where pages are int8. A page is full once its last place is written."""
        end = place + keys.shape[3]
        part = slice(place, end)
        if self.key_scale is None or self.value_scale is None:
            self.keys[:, page, :, :, part], self.values[:, page, :, part] = keys, values
        else:
            keys = keys if self.offset is None else keys - self.offset.unsqueeze(3)
            self.keys[:, page, :, :, part], self.key_scale[:, page, :, part] = quantize(keys, dim=2)
            self.values[:, page, :, part], self.value_scale[:, page, :, part] = quantize(values, dim=3)
        if end == PAGE:
            stored = self.keys[:, page].float()
            self.bounds[:, page] = page_bounds(
                stored if self.key_scale is None else stored * self.key_scale[:, page].unsqueeze(2)
            )

    def discard(self, pages: Sequence[int]) -> None:
        """Give the memory of ``pages``, which hold nothing any more, back to the system."""
        for pool in (self.keys, self.values):
            for layer in pool:
                for page in pages:
                    discard(layer[page])

    @staticmethod
    def bytes_per_page(config: ModelConfig, dtype: torch.dtype) -> int:
        """Bytes of one page over all layers."""
        token = 2 * (config.head_dim * dtype.itemsize + (4 if dtype == torch.int8 else 0))
        return config.num_layers * config.num_kv_heads * (token * PAGE + 2 * config.head_dim * 4)
