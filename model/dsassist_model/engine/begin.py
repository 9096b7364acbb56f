"""An answer that has to begin with a text: the part of a word that stands before the cursor already.

A word that is cut in the middle is cut into tokens that the model has hardly seen (``retur`` is ``ret``, ``ur``). So
the prompt ends before the word, and of the tokens that follow only those are allowed that agree with what stands there.
What stands there is not told again.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from dsassist_model.tokenizer import Tokenizer

__all__ = ["Begin", "beginning_with", "part_word"]

LONGEST = 48
"""Characters of a word that are taken back. Longer ones are no words."""

_WORD = re.compile(r" ?\w+\Z")
_ORDERED: WeakKeyDictionary[Tokenizer, array[int]] = WeakKeyDictionary()


def part_word(prompt: str) -> tuple[str, str]:
    """``prompt`` without the word that it ends in the middle of, and that word with the space before it, which is a
    part of its token."""
    found = _WORD.search(prompt, max(len(prompt) - LONGEST - 1, 0))
    if found is None or found.end() - found.start() > LONGEST:
        return prompt, ""
    return prompt[: found.start()], found[0]


class Begin:
    """Follows one answer until it has said ``text``."""

    def __init__(self, tokenizer: Tokenizer, text: str) -> None:
        self._tokenizer = tokenizer
        self._rest = text.encode("utf-8", "replace")
        self._untold = len(text)

    @property
    def guides(self) -> bool:
        """Whether something of the text has not been said yet."""
        return bool(self._rest)

    def guided(self, logits: Tensor) -> Tensor:
        """``logits`` [V] with every token that disagrees at minus infinity."""
        if not self._rest:
            return logits
        allowed = self._allowed()
        kept = torch.full_like(logits, -torch.inf)
        kept[allowed] = logits[allowed]
        return kept if allowed else logits

    def take(self, token: int) -> None:
        """The next token of the answer."""
        self._rest = self._rest[len(self._tokenizer.token_bytes(token)) :]

    def told(self, text: str) -> str:
        """``text``, the next of the answer, without what stands before the cursor already."""
        cut = min(self._untold, len(text))
        self._untold -= cut
        return text[cut:]

    def _allowed(self) -> list[int]:
        ordered, spell, rest = _in_order(self._tokenizer), self._tokenizer.token_bytes, self._rest
        found = beginning_with(self._tokenizer, rest)
        for size in range(1, len(rest)):
            place = bisect_left(ordered, rest[:size], key=spell)
            if place < len(ordered) and spell(ordered[place]) == rest[:size]:
                found.append(ordered[place])
        return found


def beginning_with(tokenizer: Tokenizer, text: bytes) -> list[int]:
    """Every token that begins with ``text``, which is not empty and does not end in the largest byte."""
    ordered, spell = _in_order(tokenizer), tokenizer.token_bytes
    after = text[:-1] + bytes([text[-1] + 1])
    return list(ordered[bisect_left(ordered, text, key=spell) : bisect_left(ordered, after, key=spell)])


def _in_order(tokenizer: Tokenizer) -> array[int]:
    """Every token, ordered by its bytes. Takes a third of a second, once."""
    known = _ORDERED.get(tokenizer)
    if known is None:
        known = _ORDERED[tokenizer] = array("i", sorted(range(tokenizer.size), key=tokenizer.spelled))
    return known
