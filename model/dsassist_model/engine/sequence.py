"""One request while it runs: its tokens, what of them is cached, and the text that is told."""

from __future__ import annotations

import time
from dataclasses import dataclass

from dsassist_model.engine.begin import Begin
from dsassist_model.engine.cache import Lease
from dsassist_model.engine.drafts import NOTHING, Draft, LookupDraft
from dsassist_model.engine.far import FarMemory
from dsassist_model.engine.guide import Guide
from dsassist_model.engine.request import Handle, Piece, Request
from dsassist_model.engine.sampling import Sampler
from dsassist_model.engine.suffixes import Span
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
        self.skip: Span | None = None
        """Prompt tokens that were copied from an earlier prompt, and are not computed."""
        self.sampler = Sampler(self.request)
        self.begin = Begin(tokenizer, self.request.begin)
        names = self.request.names or self.request.likely
        whole = [self.request.begin + name for name in names]
        self.guide = Guide(tokenizer, whole, sure=bool(self.request.names))
        self.times = Times(admitted=time.perf_counter())
        self.steps = self.drafted = self.accepted = 0
        self.at_once = 0
        """Tokens of the answer that the pass gave which ended the prompt."""
        self._decoder: StreamDecoder = tokenizer.stream_decoder()
        self._stop = StopText(self.request.stop)
        fim = tokenizer.special.fim
        # a model that writes one of these starts another file or another hole: the answer ends before it
        holes = (fim.prefix, fim.middle, fim.suffix, fim.pad, fim.repo_name, fim.file_sep)
        self._ends = frozenset((*tokenizer.special.eos, *(t for t in holes if t is not None)))
        wanted = draft and self.sampler.greedy and self.request.max_tokens > 1
        self.lookup = _lookup(self.request) if wanted else None

    @property
    def generated(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def prefilling(self) -> bool:
        """Whether more than the newest token is not computed yet."""
        return self.lease.tokens < len(self.request.prompt)

    @property
    def left(self) -> int:
        """Prompt tokens still to be computed."""
        skipped = self.reused if self.skip and self.lease.tokens <= self.skip[0] else 0
        return max(0, len(self.request.prompt) - self.lease.tokens - skipped)

    @property
    def reused(self) -> int:
        """Prompt tokens that were copied from an earlier prompt."""
        return self.skip[1] - self.skip[0] if self.skip else 0

    def chunk(self, most: int) -> list[Span]:
        """The next ``most`` prompt tokens to compute, as runs without what is skipped."""
        start, end = self.lease.tokens, len(self.request.prompt)
        if self.skip is None or start >= self.skip[1]:
            return [(start, min(start + most, end))]
        first, second = self.skip
        runs = [(start, min(start + most, first))] if start < first else []
        rest = most - (first - start)
        return [*runs, (second, min(second + rest, end))] if rest > 0 else runs

    def computed(self, end: int) -> None:
        """Prompt tokens up to ``end`` are in the cache now."""
        self.lease.tokens = self.skip[1] if self.skip and end == self.skip[0] else end

    def draft(self, most: int) -> Draft:
        """Up to ``most`` guesses for the next pass, within what may still be generated."""
        return (
            self.lookup.propose(min(most, self.request.max_tokens - self.generated - 1)) if self.lookup else Draft([])
        )

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
            "prompt_tokens_reused": self.reused,
            "prompt_tokens_computed": len(self.request.prompt) - self.cached - self.reused,
            "tokens_pooled": self.far.tokens if self.far else 0,
            "queue_ms": round((self.times.admitted - self.handle.arrived) * 1e3, 2),
            "prefill_ms": round((first - self.times.admitted) * 1e3, 2),
            "decode_ms": round((now - first) * 1e3, 2),
            "tokens_at_once": self.at_once or self.generated,
            "decode_steps": self.steps,
            "drafted": self.drafted,
            "accepted": self.accepted,
        }

    def _end(self, text: str) -> None:
        rest = self._stop.feed(text)
        if not self._stop.stopped:
            rest += self._stop.finish()
        self.handle.emit(Piece(rest, finish_reason="stop", details=self.details()))


def _lookup(request: Request) -> LookupDraft:
    """Where guesses come from. What is generated goes on where the cursor is: of an infilling prompt, the text before
    it comes last."""
    prompt = list(request.prompt)
    if request.suffix is None:
        return LookupDraft(prompt, request.drafts)
    start, end = request.suffix
    # the tokens of the template around the suffix are left out: no text holds them
    return LookupDraft(prompt[: start - 1] or [NOTHING], (*request.drafts, prompt[start:end]))
