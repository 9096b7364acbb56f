"""The thread that owns the model: admits requests, runs passes, samples, tells.

One pass serves every running request at once (continuous batching): those that decode give one token and their
drafts, those
that read give a chunk of their prompt. Nothing else touches the model or the cache.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch

from dsassist_kernels.paged_attention import PAGE
from dsassist_model.engine.cache import OutOfPages, PrefixCache
from dsassist_model.engine.drafts import STEPS, Draft, DraftLength
from dsassist_model.engine.far import FarMemory
from dsassist_model.engine.request import Handle, Piece, Request
from dsassist_model.engine.sampling import logprob
from dsassist_model.engine.scheduler import Limits, Plan, Scheduler
from dsassist_model.engine.sequence import Sequence
from dsassist_model.engine.suffixes import SuffixCache
from dsassist_model.errors import Cancelled, EngineError, ModelError
from dsassist_model.tokenizer import Tokenizer
from dsassist_model.transformer import Segment, Transformer

__all__ = ["FEWEST_PAGES", "Counters", "Engine"]

FEWEST_PAGES = 16
"""Of a cache in which a prompt that is longer than it can be read."""

_ROWS_OF_HEAD = 2

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Share:
    """What one sequence has in a pass."""

    sequence: Sequence
    segments: list[Segment]
    draft: Draft
    read: int | None = None
    """Prompt tokens that are in the cache after it; None when a token is decoded."""


@dataclass(slots=True)
class Counters:
    """What was done since the start, for ``/metrics``."""

    requests: int = 0
    cancelled: int = 0
    refused: int = 0
    failed: int = 0
    prompt_tokens_computed: int = 0
    prompt_tokens_cached: int = 0
    prompt_tokens_reused: int = 0
    generated: int = 0
    drafted: int = 0
    accepted: int = 0
    passes: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"queue": 0.0, "prefill": 0.0, "decode": 0.0})


class Engine:
    """Runs requests on ``model``. ``cache_tokens`` is the KV cache's size; a prompt and its answer must fit in it."""

    def __init__(
        self,
        model: Transformer,
        tokenizer: Tokenizer,
        *,
        cache_tokens: int = 16_384,
        cache_dtype: torch.dtype | None = None,
        draft: bool = True,
        limits: Limits | None = None,
    ) -> None:
        self.model, self.tokenizer, self.draft = model, tokenizer, draft
        self.cache = PrefixCache(model.new_pool(-(-cache_tokens // PAGE), cache_dtype))
        self.suffixes = SuffixCache(self.cache.pool, model.cos, model.sin)
        self.draft_length = DraftLength()
        self.counters = Counters()
        self._scheduler = Scheduler(limits)
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="dsassist-engine", daemon=True)
        self._thread.start()

    @property
    def max_context(self) -> int:
        """Tokens that a prompt and its answer may have together: what the model was made for, where the cache is large
        enough to read a prompt in segments (see ``far``), else what the cache holds."""
        most = self.model.config.max_context
        return most if self.cache.limit >= FEWEST_PAGES else min(most, self.cache.limit * PAGE)

    @property
    def load(self) -> tuple[int, int]:
        """How many requests run and wait."""
        return len(self._scheduler.running), sum(map(len, self._scheduler.waiting.values()))

    def submit(self, request: Request, emit: Callable[[Piece], None]) -> Handle:
        """Start a request; ``emit`` gets its pieces, on the engine's thread.

        Raises:
            EngineError: an empty prompt, or one that does not fit.
            QueueFull: too many wait already.
        """
        if not request.prompt:
            raise EngineError("The prompt is empty.", remedy="Send at least one token of text.")
        most = self.max_context - max(1, request.max_tokens)
        if len(request.prompt) > most:
            raise EngineError(
                f"The prompt has {len(request.prompt)} tokens; {most} fit beside an answer of {request.max_tokens}.",
                remedy="Send less text, or set dsassist.max_prompt_tokens to have it cut around the cursor.",
            )
        handle = Handle(request, emit)
        with self._wake:
            if self._stopping:
                raise EngineError("The engine is stopping.", remedy="Try again; it is started anew on demand.")
            try:
                self._scheduler.add(handle)
            except EngineError:
                self.counters.refused += 1
                raise
            self.counters.requests += 1
            self._wake.notify()
        return handle

    def stop(self) -> None:
        """Finish the running pass and end the thread. What still runs is answered with an error."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def shrink_cache(self, tokens: int) -> None:
        """Give memory back: keep at most so many tokens cached from the next pass on."""
        self._shrink_to = tokens

    _shrink_to: int | None = None

    def _loop(self) -> None:
        while True:
            with self._wake:
                while not self._stopping and not self._scheduler.running and not any(self.load):
                    self._wake.wait()
                if self._stopping:
                    break
            if self._shrink_to is not None:
                self.cache.shrink(self._shrink_to // PAGE)
                self.suffixes.clear()
                self._shrink_to = None
            self._drop_cancelled()
            self._admit()
            plan = self._scheduler.plan()
            if plan is None:
                continue
            try:
                self._run(plan)
            except Cancelled:
                continue  # dropped at the top of the loop
            # A failure of one pass must not take the engine down: everyone in it is told, and the next requests are
            # served.
            except Exception as error:  # noqa: BLE001
                _log.exception("a pass failed")
                failure = EngineError(f"The model failed: {error}.", remedy="The engine's log has more.")
                self._fail(plan.sequences, failure)
        gone = EngineError("The engine stopped.", remedy="Try again; it is started anew on demand.")
        self._fail(list(self._scheduler.running), gone)
        for queue in self._scheduler.waiting.values():
            for handle in queue:
                handle.emit(Piece(error=gone))

    def _drop_cancelled(self) -> None:
        for s in [s for s in self._scheduler.running if s.handle.cancelled]:
            self.counters.cancelled += 1
            self._retire(s)
            s.handle.emit(Piece(error=Cancelled("The request was cancelled.")))

    def _admit(self) -> None:
        while True:
            with self._wake:
                handle = self._scheduler.next_waiting(self._fits)
            if handle is None:
                return
            if handle.cancelled:
                self.counters.cancelled += 1
                handle.emit(Piece(error=Cancelled("The request was cancelled.")))
                continue
            prompt = handle.request.prompt
            if _pages(handle.request) > self.cache.limit:
                prompt = prompt[: self.cache.limit // 4 * PAGE]  # what is shared cannot be given back
            s = Sequence(handle, self.cache.match(prompt), self.tokenizer, draft=self.draft)
            if prompt is not handle.request.prompt:
                s.far = FarMemory(self.cache.pool)
            self._scheduler.running.append(s)
            self._reuse_suffix(s)

    @torch.inference_mode()
    def _reuse_suffix(self, s: Sequence) -> None:
        """Copy the suffix from an earlier prompt, where the request allows it: what the cache does not have exactly."""
        span, prompt = s.request.suffix, s.request.prompt
        if not s.request.reuse_suffix or span is None or s.far is not None:
            return
        found = self.suffixes.find(prompt, span)
        found = found.behind(s.lease.tokens) if found is not None else None
        if found is not None and self._make_room(s, span[1]):
            self.suffixes.put(found, s.lease.pages)
            s.skip = found.place, found.place + found.size
            s.computed(s.lease.tokens)

    def _run(self, plan: Plan) -> None:
        """One pass of the model and what follows from it."""
        shares, rows = list[_Share](), len(plan.decode)
        for s in plan.decode:
            draft, at = self._draft(s, rows, len(plan.decode)), s.lease.tokens
            if self._make_room(s, at + 1 + len(draft.tokens)):
                tokens = [s.tokens[-1], *draft.tokens]
                shares.append(_Share(s, [self._segment(s, at, tokens, outputs=len(tokens))], draft))
                rows += len(draft.tokens)
        for s, most in plan.prefill:
            # a segment fits in half of the cache, whatever its size
            runs = s.chunk(min(most, max(1, self.cache.limit // 2) * PAGE))
            ends = runs[-1][1] >= len(s.request.prompt)
            draft = self._draft(s, 1, 1) if ends else Draft([])
            if self._make_room(s, runs[-1][1] + len(draft.tokens)):
                # what one segment writes, the next sees in the same pass
                segments = [self._segment(s, start, s.tokens[start:end], outputs=0, last=ends) for start, end in runs]
                segments[-1].outputs = int(ends and s.request.max_tokens > 0)
                if draft.tokens:  # apart, so that the prompt is attended to as it is without
                    segments.append(self._segment(s, runs[-1][1], draft.tokens, outputs=len(draft.tokens)))
                shares.append(_Share(s, segments, draft, runs[-1][1]))
        if not shares:
            return

        def check() -> None:
            if all(share.sequence.handle.cancelled for share in shares):
                raise Cancelled("Nobody waits for this pass.")

        began = time.perf_counter()
        hidden = self.model.forward([segment for share in shares for segment in share.segments], self.cache.pool, check)
        self.counters.passes += 1
        if len(shares) == 1:
            self._advance(shares[0], self._logits_in_turn(hidden, shares[0].sequence))
        else:
            outputs = [(share.sequence, segment.outputs) for share in shares for segment in share.segments]
            logits, at = self._logits(hidden, outputs), 0
            for share in shares:
                end = at + sum(segment.outputs for segment in share.segments)
                self._advance(share, iter(logits[at:end]))
                at = end
        if not plan.prefill:
            self.draft_length.took(len(hidden), time.perf_counter() - began)

    def _logits_in_turn(self, hidden: torch.Tensor, s: Sequence) -> Iterator[torch.Tensor]:
        """Row after row, two computed at a time: behind the first wrong guess nobody asks for the others, and eight
        rows of the head take three times as long as one."""
        for at in range(0, len(hidden), _ROWS_OF_HEAD):
            part = hidden[at : at + _ROWS_OF_HEAD]
            yield from self._logits(part, [(s, len(part))])

    def _logits(self, hidden: torch.Tensor, outputs: list[tuple[Sequence, int]]) -> torch.Tensor:
        """Logits of ``outputs``, how many rows of ``hidden`` are whose: all of them for what is sampled, those that
        matter for what is greedy."""
        greedy = [
            s.sampler.greedy and not s.begin.guides and s.guide.done for s, count in outputs for _ in range(count)
        ]
        if len(set(greedy)) < 2:
            return self.model.logits(hidden, greedy=all(greedy)) if greedy else hidden
        chosen = torch.tensor(greedy)
        logits = torch.empty(len(hidden), self.model.config.vocab_size, device=hidden.device)
        for kind in (True, False):
            logits[chosen == kind] = self.model.logits(hidden[chosen == kind], greedy=kind)
        return logits

    def _draft(self, s: Sequence, rows: int, sharing: int) -> Draft:
        """Guesses for ``s``, as many as are worth it in a pass of ``rows`` rows that ``sharing`` sequences share."""
        draft = s.draft(STEPS[-1] // sharing - 1)
        count = self.draft_length.best(draft.key, rows, len(draft.tokens))
        return Draft(draft.tokens[:count], draft.key)

    def _advance(self, share: _Share, logits: Iterator[torch.Tensor]) -> None:
        """Take what a pass gave to one sequence: 1 + drafts rows ``logits`` [V], or none in the middle of a prompt."""
        s, draft = share.sequence, share.draft
        for segment in share.segments:
            if segment.asked is not None and s.far is not None:
                s.far.count(segment.asked)
        if share.read is not None:
            s.computed(share.read)
            if s.prefilling:
                return
            self.counters.prompt_tokens_computed += len(s.request.prompt) - s.cached - s.reused
            self.counters.prompt_tokens_cached += s.cached
            self.counters.prompt_tokens_reused += s.reused
            if not s.request.max_tokens:
                s.finish_prefill_only()
                self._retire(s)
                return
        else:
            s.lease.tokens += 1  # drafts count once they are accepted
            s.steps += 1
        accepted, going = 0, True
        for row, guess in zip(logits, [*draft.tokens, None], strict=True):
            row = s.guide.guided(s.begin.guided(row))
            token = s.sampler.choose(row)
            going = s.accept(token, logprob(row, token) if s.request.logprobs else None)
            if not going or token != guess:
                break
            s.lease.tokens += 1
            accepted += 1
        s.drafted += len(draft.tokens)
        s.accepted += accepted
        s.at_once = s.at_once or s.generated
        self.draft_length.verified(draft.key, len(draft.tokens), accepted)
        if not going:
            self._retire(s)

    def _segment(self, s: Sequence, start: int, tokens: list[int], *, outputs: int, last: bool = True) -> Segment:
        """``tokens`` of ``s`` from ``start`` on, all before which is in the cache or comes before in the pass."""
        table, lease = self._table(s), s.lease
        if s.far is None:
            return Segment(tokens, start, table, outputs=outputs, last=last)
        asked = torch.zeros(len(lease.pages)) if s.prefilling else None
        held = lease.held + start - lease.tokens
        return Segment(tokens, held, table, outputs, last, start=start, far=s.far.layer, asked=asked)

    def _make_room(self, s: Sequence, tokens: int) -> bool:
        try:
            while s.far is not None and (missing := self.cache.missing(s.lease, tokens)):
                whole = s.lease.held // PAGE
                places = s.far.least_asked(len(s.lease.shared), whole, missing)
                if not places:
                    break
                s.far.pool(self.cache.pool, [s.lease.pages[i] for i in places], places)
                self.cache.drop(s.lease, places)
            self.cache.grow(s.lease, tokens)
        except OutOfPages:  # only when the cache was shrunk below what had been promised
            busy = EngineError("The cache is full of running requests.", remedy="Try again in a moment.")
            busy.status = 429
            self._fail([s], busy)
            return False
        return True

    def _fits(self, handle: Handle) -> bool:
        """Whether every running request and this one can grow to their ends: nobody is thrown out in the middle."""
        promised = sum(_pages(s.request) for s in self._scheduler.running)
        # one that is longer than the cache runs alone
        return not promised or promised + _pages(handle.request) <= self.cache.limit

    def _table(self, s: Sequence) -> torch.Tensor:
        return torch.tensor(s.lease.pages, dtype=torch.int32, device=self.model.device)

    def _retire(self, s: Sequence) -> None:
        self._scheduler.running.remove(s)
        span, lasting = s.request.suffix, None
        if s.skip is not None:
            s.lease.tokens = min(s.lease.tokens, s.skip[0])  # what was copied, and what saw it, is for this answer only
        elif span is not None and s.far is None and s.lease.tokens >= span[1]:
            lasting = span[0] if self.suffixes.keep(s.tokens, span, s.lease.pages, s.request.session) else None
        self.cache.keep(s.lease, s.tokens, lasting)
        c, told = self.counters, s.details()
        c.generated += s.generated
        c.drafted += s.drafted
        c.accepted += s.accepted
        for part in c.seconds:
            c.seconds[part] += float(told[f"{part}_ms"]) / 1e3

    def _fail(self, sequences: list[Sequence], error: ModelError) -> None:
        for s in sequences:
            if s in self._scheduler.running:
                self.counters.failed += 1
                s.lease.tokens = min(s.lease.tokens, s.cached)  # what the failed pass wrote is not to be trusted
                self._retire(s)
                s.handle.emit(Piece(error=error))


def _pages(request: Request) -> int:
    return -(-(len(request.prompt) + request.max_tokens) // PAGE)
