"""What an answer has to begin with, or probably does: one of a few names that the client knows, chosen by the model.

Only the first tokens are guided. A token is allowed while the text with it is the beginning of a name; once a name is
whole, whatever does not lengthen it into another word. A name may end in a sign (``depth=``): then the last token may
go on behind it, but not with the same sign again.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from dsassist_model.engine.begin import beginning_with
from dsassist_model.tokenizer import Tokenizer

__all__ = ["Guide"]

PREFERENCE = 2.5
"""Added to the logits of what agrees with a likely name: it is taken unless something else is twelve times as
probable."""

_WORD_TOKENS: WeakKeyDictionary[Tokenizer, Tensor] = WeakKeyDictionary()


class Guide:
    """Follows one answer. ``names`` are what it has to begin with, or only probably does where not ``sure``."""

    def __init__(self, tokenizer: Tokenizer, names: Sequence[str], *, sure: bool = True) -> None:
        self._sure = sure
        self._tokenizer = tokenizer
        self._rests = [name.encode() for name in dict.fromkeys(names) if name]
        self.done = not self._rests
        """Nothing is guided any more."""

    def guided(self, logits: Tensor) -> Tensor:
        """``logits`` [V] with everything that is not allowed at minus infinity (or, where not sure, with what agrees
        raised); as they are where nothing is left to guide, or no token fits."""
        if self.done:
            return logits
        allowed = self._allowed()
        if not self._sure:
            preferred = logits.clone()
            preferred[allowed] += PREFERENCE
            return preferred
        if b"" in self._rests:
            barred = _word_tokens(self._tokenizer, logits.shape[-1]).to(logits.device).clone()
            barred[allowed] = False
            return logits.masked_fill(barred, -torch.inf)
        if not allowed:
            return logits
        kept = torch.full_like(logits, -torch.inf)
        kept[allowed] = logits[allowed]
        return kept

    def take(self, token: int) -> None:
        """The next token of the answer."""
        if self.done:
            return
        said = self._tokenizer.token_bytes(token)
        rests = [rest[len(said) :] for rest in self._rests if said and rest.startswith(said)]
        ends = any(_ends_in_sign(rest) and said.startswith(rest) for rest in self._rests)
        self._rests = [] if ends else rests
        self.done = not self._rests

    def _allowed(self) -> list[int]:
        found: dict[int, None] = {}
        for rest in self._rests:
            for size in range(1, len(rest) + 1):
                token = self._tokenizer.token_of(rest[:size])
                if token is not None:
                    found[token] = None
            if _ends_in_sign(rest):
                again = rest + rest[-1:]
                tokens = beginning_with(self._tokenizer, rest)
                found |= dict.fromkeys(t for t in tokens if not self._tokenizer.token_bytes(t).startswith(again))
        return list(found)


def _ends_in_sign(name: bytes) -> bool:
    return name[-1:].isascii() and name[-1:] != b"_" and not name[-1:].isalnum() and bool(name)


def _word_tokens(tokenizer: Tokenizer, size: int) -> Tensor:
    """[V] bool: tokens that begin with a letter, digit, underscore or a part of a character outside ASCII."""
    known = _WORD_TOKENS.get(tokenizer)
    if known is None or len(known) != size:
        known = torch.zeros(size, dtype=torch.bool)
        for token in range(min(size, tokenizer.size)):
            first = tokenizer.token_bytes(token)[:1]
            known[token] = first.isalnum() or first == b"_" or first >= b"\x80"
        _WORD_TOKENS[tokenizer] = known
    return known
