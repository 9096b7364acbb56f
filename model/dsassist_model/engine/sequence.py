"""One request while it runs: its tokens, what of them is cached, and the text that is told."""

from __future__ import annotations

import time
from dataclasses import dataclass

from dsassist_model.engine.begin import Begin
from dsassist_model.engine.cache import Lease
from dsassist_model.engine.drafts import LookupDraft
from dsassist_model.engine.far import FarMemory
from dsassist_model.engine.guide import Guide
from dsassist_model.engine.request import Handle, Piece
from dsassist_model.engine.sampling import Sampler
from dsassist_model.tokenizer import StreamDecoder, Tokenizer

__all__ = ["Sequence", "StopText"]


class StopText:
    """Passes text on, holding back what may become a stop text; cuts at the first stop."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = tuple(s for s in stops if s)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """The part of the text so far that can be told."""
        self._held += text
        cut = min((at for s in self._stops if (at := self._held.find(s)) >= 0), default=-1)
        if cut >= 0:
            self.stopped = True
            told, self._held = self._held[:cut], ""
            return told
        keep = max((n for s in self._stops for n in range(1, len(s)) if self._held.endswith(s[:n])), default=0)
        told = self._held[: len(self._held) - keep]
        self._held = self._held[len(told) :]
        return told

    def finish(self) -> str:
        """What was held back, when no more text comes."""
        held, self._held = self._held, ""
        return held


@dataclass(slots=True)
class Times:
    """Seconds, from ``time.perf_counter``."""

    admitted: float = 0.0
    first: float = 0.0


class Sequence:
    """A running request. The engine's thread owns it."""

    def __init__(self, handle: Handle, lease: Lease, tokenizer: Tokenizer, *, draft: bool) -> None:
        self.handle, self.request, self.lease = handle, handle.request, lease
        self.tokens = list(self.request.prompt)
        self.cached = lease.tokens
        """Prompt tokens that were found in the cache."""
        self.far: FarMemory | None = None
        """What stands for pages that were given back; only where the request is longer than the cache."""
        self.sampler = Sampler(self.request)
        self.begin = Begin(tokenizer, self.request.begin)
        self.guide = Guide(tokenizer, [self.request.begin + name for name in self.request.names])
        self.times = Times(admitted=time.perf_counter())
        self.steps = self.drafted = self.accepted = 0
        self._decoder: StreamDecoder = tokenizer.stream_decoder()
        self._stop = StopText(self.request.stop)
        fim = tokenizer.special.fim
        # a model that writes one of these starts another file or another hole: the answer ends before it
        holes = (fim.prefix, fim.middle, fim.suffix, fim.pad, fim.repo_name, fim.file_sep)
        self._ends = frozenset((*tokenizer.special.eos, *(t for t in holes if t is not None)))
        wanted = draft and self.sampler.greedy and self.request.max_tokens > 1
        self.lookup = LookupDraft(self.request.prompt, self.request.drafts) if wanted else None

    @property
    def generated(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def prefilling(self) -> bool:
        """Whether more than the newest token is not computed yet."""
        return self.lease.tokens < len(self.request.prompt)

    def draft(self, most: int) -> list[int]:
        """Up to ``most`` guesses for the next pass, within what may still be generated."""
        return self.lookup.propose(min(most, self.request.max_tokens - self.generated - 1)) if self.lookup else []

    def accept(self, token: int, logprob: float | None) -> bool:
        """Take the next token and tell its text. False when the answer is complete, which is then told too."""
        if not self.times.first:
            self.times.first = time.perf_counter()
        if token in self._ends:
            self._end(self.begin.told(self._decoder.finish()))
            return False
        self.tokens.append(token)
        self.guide.take(token)
        if self.lookup:
            self.lookup.extend((token,))
        self.begin.take(token)
        text = self._stop.feed(self.begin.told(self._decoder.feed(token)))
        logprobs = () if logprob is None else (logprob,)
        if self._stop.stopped:
            self.handle.emit(Piece(text, 1, logprobs, "stop", self.details()))
            return False
        if self.generated >= self.request.max_tokens:
            rest = text + self._stop.feed(self.begin.told(self._decoder.finish())) + self._stop.finish()
            self.handle.emit(Piece(rest, 1, logprobs, "length", self.details()))
            return False
        self.handle.emit(Piece(text, 1, logprobs))
        return True

    def finish_prefill_only(self) -> None:
        """The answer to a request for no tokens."""
        self.times.first = time.perf_counter()
        self.handle.emit(Piece(finish_reason="length", details=self.details()))

    def details(self) -> dict[str, float | int]:
        """The response's ``dsassist`` field: where tokens and time went."""
        now = time.perf_counter()
        first = self.times.first or now
        return {
            "prompt_tokens": len(self.request.prompt),
            "completion_tokens": self.generated,
            "prompt_tokens_cached": self.cached,
            "prompt_tokens_computed": len(self.request.prompt) - self.cached,
            "tokens_pooled": self.far.tokens if self.far else 0,
            "queue_ms": round((self.times.admitted - self.handle.arrived) * 1e3, 2),
            "prefill_ms": round((first - self.times.admitted) * 1e3, 2),
            "decode_ms": round((now - first) * 1e3, 2),
            "decode_steps": self.steps,
            "drafted": self.drafted,
            "accepted": self.accepted,
        }

    def _end(self, text: str) -> None:
        rest = self._stop.feed(text)
        if not self._stop.stopped:
            rest += self._stop.finish()
        self.handle.emit(Piece(rest, finish_reason="stop", details=self.details()))
