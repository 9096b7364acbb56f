"""What follows the cursor, kept from one keystroke to the next.

In prefix, suffix, middle order whatever is typed moves the suffix, and its keys and values depend on what stands before
it: exactly, all of it would be read anew with every key. A request that allows it gets the suffix of an earlier prompt
instead, whose beginning differs by a few tokens: values as they were, keys turned to their new places (a rotary key at
``p`` becomes the one at ``p + d`` by turning it by ``d``). What is lost is what the suffix would have seen of those few
tokens. The suffix of a cursor that went some lines down or up shares a run of lines with the earlier one: that run is
taken.

Only suffixes that were computed exactly are kept, so losses never add up, and what was copied never gets into the
prefix tree.
"""

from __future__ import annotations

import difflib
import itertools
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dsassist_kernels.paged_attention import PAGE
from dsassist_model.kv_pool import KVPool

__all__ = ["MOST_CHANGED", "Found", "Span", "SuffixCache"]

MOST_CHANGED = 48
"""Tokens that may have been typed and deleted since a suffix was computed."""
MOST_TOKENS = 8192
"""Of all kept suffixes together: sixteen editors' worth."""
MOST_OF_SESSION = 2
"""Suffixes of one session, the newest: of the file that is edited and the one before."""
MOST_COMPARED = 512
"""Tokens behind the common beginning of two texts that are looked at one by one: some milliseconds."""
KEPT_TYPE = torch.bfloat16
"""Of kept keys and values: half the memory."""
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


@dataclass(frozen=True, slots=True)
class Found:
    """A run of a kept suffix that stands in a new prompt."""

    name: tuple[int, ...]
    first: int
    """Where it begins in the kept suffix."""
    size: int
    place: int
    """Where it begins in the new prompt."""

    def behind(self, tokens: int) -> Found | None:
        """What of it stands behind the first ``tokens`` of the prompt, which are known exactly; None where that is too
        little."""
        less = max(0, tokens - self.place)
        if self.size - less < FEWEST_TOKENS:
            return None
        return Found(self.name, self.first + less, self.size - less, self.place + less)


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
        self._kept[name] = _Kept(session, list(tokens[:start]), keys.to(KEPT_TYPE), values.to(KEPT_TYPE))
        self._kept.move_to_end(name)
        own = [name for name, kept in self._kept.items() if kept.session == session]
        for oldest in own[:-MOST_OF_SESSION]:
            del self._kept[oldest]
        while self.tokens > MOST_TOKENS:
            self._kept.popitem(last=False)
        return True

    def find(self, tokens: Sequence[int], span: Span) -> Found | None:
        """The longest run of the suffix at ``span`` that is kept from a prompt which hardly differs before it."""
        start, end = span
        suffix, best = tuple(tokens[start:end]), None
        same = self._kept.get(suffix)  # while one types: nothing is looked for, and no run is longer
        if same is not None and _changed(same.before[:-1], tokens[: start - 1]) <= MOST_CHANGED:
            return Found(suffix, 0, len(suffix), start)
        for name, kept in reversed(self._kept.items()):
            run = difflib.SequenceMatcher(None, name, suffix, autojunk=False).find_longest_match()
            if run.size < FEWEST_TOKENS or (best is not None and run.size <= best.size):
                continue
            # the token before a suffix belongs to the template: it stands elsewhere where the suffix begins elsewhere
            old, new = [*kept.before[:-1], *name[: run.a]], [*tokens[: start - 1], *suffix[: run.b]]
            if _changed(old, new) <= MOST_CHANGED:
                best = Found(name, run.a, run.size, start + run.b)
        return best

    def put(self, found: Found, pages: Sequence[int]) -> None:
        """Write what ``find`` found to ``pages``, turned to its new place."""
        kept, part = self._kept[found.name], slice(found.first, found.first + found.size)
        self._kept.move_to_end(found.name)
        keys = self._turned(kept.keys[..., part], found.place - len(kept.before) - found.first)
        values, at = kept.values[..., part, :].float(), 0
        for page, place, count in _pieces(found.place, found.size, pages):
            self._pool.store(page, place, keys[..., at : at + count], values[..., at : at + count, :])
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
    """Tokens of ``old`` and ``new`` that the other lacks, in order; or of all behind their common beginning, where that
    is much."""
    common = _common(old, new)
    old, new = old[common:], new[common:]
    matched = 0
    if max(len(old), len(new)) <= MOST_COMPARED:
        matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
        matched = sum(block.size for block in matcher.get_matching_blocks())
    return len(old) + len(new) - 2 * matched


def _common(old: Sequence[int], new: Sequence[int]) -> int:
    """How many tokens are the same before the first that is not."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
