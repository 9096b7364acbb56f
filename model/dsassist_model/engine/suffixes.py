"""What follows the cursor, kept from one keystroke to the next.

In prefix, suffix, middle order whatever is typed moves the suffix, and its keys and values depend on what stands before
it: exactly, all of it would be read anew with every key. A request that allows it gets the suffix of an earlier prompt
instead, whose beginning differs by a few tokens: values as they were, keys turned to their new places (a rotary key at
``p`` becomes the one at ``p + d`` by turning it by ``d``). What is lost is what the suffix would have seen of those few
tokens. Only suffixes that were computed exactly are kept, so losses never add up, and what was copied never gets into
the prefix tree.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dsassist_kernels.paged_attention import PAGE
from dsassist_model.kv_pool import KVPool

__all__ = ["MOST_CHANGED", "Span", "SuffixCache"]

MOST_CHANGED = 48
"""Tokens that may have been typed and deleted since a suffix was computed."""
MOST_TOKENS = 8192
"""Of all kept suffixes together: sixteen editors' worth."""
MOST_OF_SESSION = 2
"""Suffixes of one session, the newest: of the file that is edited and the one before."""
FEWEST_TOKENS = 16
"""A shorter suffix is read as quickly as it is copied."""

Span = tuple[int, int]
"""The first token of a suffix in its prompt, and the one after its last."""


@dataclass(slots=True, eq=False)
class _Kept:
    session: str
    before: list[int]
    keys: Tensor
    """[L, kv heads, D, n] bfloat16, rotated to ``len(before)`` and on."""
    values: Tensor
    """[L, kv heads, n, D] bfloat16"""


class SuffixCache:
    """Suffixes of late prompts over one pool; ``cos`` and ``sin`` are the rotary tables [positions, D / 2]. Not
    thread-safe: the engine's thread owns it."""

    def __init__(self, pool: KVPool, cos: Tensor, sin: Tensor) -> None:
        self._pool, self._cos, self._sin = pool, cos, sin
        self._kept: OrderedDict[tuple[int, ...], _Kept] = OrderedDict()

    @property
    def tokens(self) -> int:
        """Tokens that are kept."""
        return sum(map(len, self._kept))

    def keep(self, tokens: Sequence[int], span: Span, pages: Sequence[int], session: str = "") -> bool:
        """Copy the suffix at ``span`` of ``tokens``, all of which ``pages`` hold exactly as computed. Tells whether it
        is kept: it may be too short or too long."""
        start, end = span
        size = end - start
        if not FEWEST_TOKENS <= size <= MOST_TOKENS:
            return False
        parts = [self._pool.load(*piece) for piece in _pieces(start, size, pages)]
        name = tuple(tokens[start:end])
        keys, values = torch.cat([k for k, _ in parts], -1), torch.cat([v for _, v in parts], -2)
        self._kept[name] = _Kept(session, list(tokens[:start]), keys.bfloat16(), values.bfloat16())
        self._kept.move_to_end(name)
        own = [name for name, kept in self._kept.items() if kept.session == session]
        for oldest in own[:-MOST_OF_SESSION]:
            del self._kept[oldest]
        while self.tokens > MOST_TOKENS:
            self._kept.popitem(last=False)
        return True

    def find(self, tokens: Sequence[int], span: Span) -> bool:
        """Whether the suffix at ``span`` of ``tokens`` is kept from a prompt that hardly differs before it."""
        kept = self._kept.get(tuple(tokens[span[0] : span[1]]))
        return kept is not None and _changed(kept.before, tokens[: span[0]]) <= MOST_CHANGED

    def put(self, tokens: Sequence[int], span: Span, pages: Sequence[int]) -> None:
        """Write what ``find`` found to ``pages``, turned to its new place."""
        name = tuple(tokens[span[0] : span[1]])
        kept = self._kept[name]
        self._kept.move_to_end(name)
        keys = self._turned(kept.keys, span[0] - len(kept.before))
        at = 0
        for page, place, count in _pieces(span[0], len(name), pages):
            self._pool.store(page, place, keys[..., at : at + count], kept.values[..., at : at + count, :].float())
            at += count

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()

    def _turned(self, keys: Tensor, by: int) -> Tensor:
        """``keys`` [..., D, n] by so many positions, float32."""
        keys = keys.float()
        if by == 0:
            return keys
        cos, sin = self._cos[abs(by)][:, None], self._sin[abs(by)][:, None] * (1 if by > 0 else -1)
        first, second = keys.chunk(2, dim=-2)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), -2)


def _pieces(start: int, size: int, pages: Sequence[int]) -> list[tuple[int, int, int]]:
    """(page, first place, how many) of ``size`` tokens from ``start`` on."""
    found, end = [], start + size
    while start < end:
        place = start % PAGE
        count = min(PAGE - place, end - start)
        found.append((pages[start // PAGE], place, count))
        start += count
    return found


def _changed(old: Sequence[int], new: Sequence[int]) -> int:
    """Tokens of ``old`` and ``new`` behind what they have in common at their beginning."""
    common = 0
    for a, b in zip(old, new, strict=False):
        if a != b:
            break
        common += 1
    return len(old) + len(new) - 2 * common
