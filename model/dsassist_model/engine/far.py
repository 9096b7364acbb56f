"""What stays of a prompt that is longer than the cache: segment recurrence.

When the pages run out in the middle of a prompt, those that the sparse layers asked for least give theirs back. Of each
remain the mean key and mean value of every 16 tokens, which later tokens attend to with the weight of 16. First and
newest pages stay whole, and so does what selection keeps asking for. So a prompt is read to its end in whatever memory
there is, and what was lost is told.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dsassist_model.kv_pool import KVPool
from dsassist_model.long_context import Far

__all__ = ["FADE", "POOLED", "FarMemory"]

POOLED = 16
"""Tokens that one pooled key and value stand for."""

FADE = 0.5
"""What earlier segments' wishes count for beside the newest's."""

_NEWEST = 4
"""Pages before the end that are never given back."""


class FarMemory:
    """Pooled keys and values of one sequence, and how often each of its pages was asked for."""

    def __init__(self, pool: KVPool) -> None:
        layers, _, heads, d, _ = pool.keys.shape
        self.keys = torch.empty(layers, heads, 0, d, device=pool.keys.device)
        self.values = torch.empty(layers, heads, 0, d, device=pool.keys.device)
        self.asked = torch.zeros(0)
        """[pages of the sequence]"""

    @property
    def tokens(self) -> int:
        """Tokens that are pooled."""
        return self.keys.shape[2] * POOLED

    def layer(self, i: int) -> Far | None:
        """What one layer attends to besides its pages; None while nothing is pooled."""
        return Far(self.keys[i], self.values[i], POOLED) if self.keys.shape[2] else None

    def count(self, asked: Tensor) -> None:
        """Add a segment's wishes, ``asked`` [pages]."""
        before = torch.zeros(len(asked))
        before[: min(len(self.asked), len(asked))] = self.asked[: len(asked)]
        self.asked = before * FADE + asked

    def least_asked(self, shared: int, whole: int, number: int) -> list[int]:
        """Up to ``number`` of a sequence's first ``whole`` pages to give back, ascending: none of those it shares, nor
        the first or the newest."""
        first = max(1, shared)
        free = torch.arange(first, max(first, whole - _NEWEST))
        asked = torch.zeros(max(whole, len(self.asked)))
        asked[: len(self.asked)] = self.asked
        order = asked[free].argsort(stable=True)  # of those nobody asks for, the oldest
        return sorted(free[order[:number]].tolist())

    def pool(self, pool: KVPool, pages: list[int], places: list[int]) -> None:
        """Take the means of whole ``pages``, which stood at ``places`` in the sequence's table."""
        keys, values = [self.keys], [self.values]
        for page in pages:
            k, v = pool.keys[:, page].float(), pool.values[:, page].float()  # [L, Hkv, D, 64], [L, Hkv, 64, D]
            if pool.key_scale is not None and pool.value_scale is not None:
                k = k * pool.key_scale[:, page].unsqueeze(2)
                v = v * pool.value_scale[:, page].unsqueeze(3)
            keys.append(k.view(*k.shape[:3], -1, POOLED).mean(4).transpose(2, 3))
            values.append(v.view(*v.shape[:2], -1, POOLED, v.shape[3]).mean(3))
        self.keys, self.values = torch.cat(keys, 2), torch.cat(values, 2)
        stay = torch.ones(len(self.asked), dtype=torch.bool)
        stay[[place for place in places if place < len(stay)]] = False
        self.asked = self.asked[stay]
