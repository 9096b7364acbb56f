"""Guesses at the next tokens, verified by the model in one pass: what is guessed right costs almost nothing.

With greedy decoding the answer is the same with and without, because a row of a forward pass does not depend on the
others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["NOTHING", "STEPS", "Draft", "DraftLength", "LookupDraft"]

LONGEST_KEY = 6
"""Tokens of the end of the text that are looked up, the longest match first (prompt lookup decoding)."""
NOTHING = -1
"""A token that is none, between texts."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Guessed tokens, and how many tokens of the text's end their source agreed with: the more, the surer."""

    tokens: list[int]
    key: int = 0


class LookupDraft:
    """Proposes what followed the last occurrence of the text's end, in the prompt, in the answer so far or in other
    texts; of the latest occurrence where several agree equally long.

    Something is always proposed, even after a match of one token; how much of it is verified ``DraftLength`` decides.
    """

    def __init__(self, prompt: Sequence[int], others: Sequence[Sequence[int]] = ()) -> None:
        parts = [part for text in others for part in (text, (NOTHING,))]
        self._tokens = np.concatenate([np.asarray(part, dtype=np.int64) for part in (*parts, prompt)])
        self._size = len(self._tokens)

    def extend(self, tokens: Sequence[int]) -> None:
        """Tokens that the text got."""
        end = self._size + len(tokens)
        if end > len(self._tokens):
            self._tokens = np.concatenate((self._tokens, np.empty(max(256, len(tokens)), dtype=np.int64)))
        self._tokens[self._size : end] = tokens
        self._size = end

    def propose(self, most: int) -> Draft:
        """Up to ``most`` tokens that may follow; none where nothing is known."""
        text = self._tokens[: self._size]
        if most <= 0 or len(text) < 2:
            return Draft([])
        ends = np.flatnonzero(text[:-1] == text[-1])
        key = 0
        while len(ends) and key < LONGEST_KEY:
            key, best = key + 1, int(ends[-1])
            ends = ends[ends >= key]
            ends = ends[text[ends - key] == text[-1 - key]] if key < len(text) else ends[:0]
        if not key:
            return Draft([])
        found: list[int] = text[best + 1 : best + 1 + most].tolist()
        return Draft(found[: found.index(NOTHING)] if NOTHING in found else found, key)


STEPS = (1, 2, 4, 8, 16)
"""Rows that the compiled products are made for; a pass of a number between takes as long as the next."""
_COSTS = (1.0, 1.05, 1.2, 1.45, 2.0)
"""What a pass of so many rows takes, beside one of one row, until it was seen."""
_ACCEPTED = (0.45, 0.6, 0.7, 0.75, 0.8, 0.85)
"""Share of tokens that hold, by the length of the key, until it was seen."""
_SUREST = 0.98
_PRIOR = 24.0
_HALF_LIFE = 400.0
_NEW = 0.1
"""Weight of the newest pass's time."""


class DraftLength:
    """How many guessed tokens are worth verifying: what was accepted before, by the length of the key, against what a
    pass of so many rows takes on this machine. It changes the time an answer takes, never the answer."""

    def __init__(self) -> None:
        self._held = [share * _PRIOR for share in _ACCEPTED]
        self._tried = [_PRIOR] * LONGEST_KEY
        self._costs = list(_COSTS)
        self._seen = [False] * len(STEPS)

    def best(self, key: int, rows: int, most: int) -> int:
        """How many tokens to verify of a draft with ``key``, at most ``most``, in a pass of ``rows`` rows besides."""
        if key < 1:
            return 0
        share = min(self._held[key - 1] / self._tried[key - 1], _SUREST)
        best, gain = 0, 1.0 / self._cost(rows)
        for step in STEPS:
            count = min(step - rows, most)
            if count > 0:
                worth = (1 - share ** (count + 1)) / (1 - share) / self._cost(rows + count)
                if worth > gain:
                    best, gain = count, worth
        return best

    def verified(self, key: int, drafted: int, accepted: int) -> None:
        """What became of a draft."""
        if not drafted:
            return
        fade = 0.5 ** (1 / _HALF_LIFE)
        self._held[key - 1] = self._held[key - 1] * fade + accepted
        self._tried[key - 1] = self._tried[key - 1] * fade + min(drafted, accepted + 1)

    def took(self, rows: int, seconds: float) -> None:
        """A pass of nothing but decoded and guessed rows took so long."""
        at = _step(rows)
        if at is None:
            return
        if not any(self._seen):  # the first one tells what the guessed costs are to be counted in
            self._costs = [cost * seconds / self._costs[at] for cost in self._costs]
        self._costs[at] = (1 - _NEW) * self._costs[at] + _NEW * seconds if self._seen[at] else seconds
        self._seen[at] = True

    def _cost(self, rows: int) -> float:
        at = _step(rows)
        return self._costs[at] if at is not None else self._costs[-1] * rows / STEPS[-1]


def _step(rows: int) -> int | None:
    return next((i for i, step in enumerate(STEPS) if rows <= step), None)
