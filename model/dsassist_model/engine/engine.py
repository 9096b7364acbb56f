"""The thread that owns the model: admits requests, runs passes, samples, tells.

One pass serves every running request at once (continuous batching): those that decode give one token and their
drafts, those
that read give a chunk of their prompt. Nothing else touches the model or the cache.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from dsassist_kernels.paged_attention import PAGE
from dsassist_model.engine.cache import OutOfPages, PrefixCache
from dsassist_model.engine.far import FarMemory
from dsassist_model.engine.request import Handle, Piece, Request
from dsassist_model.engine.sampling import logprob
from dsassist_model.engine.scheduler import Limits, Plan, Scheduler
from dsassist_model.engine.sequence import Sequence
from dsassist_model.errors import Cancelled, EngineError, ModelError
from dsassist_model.tokenizer import Tokenizer
from dsassist_model.transformer import Segment, Transformer

__all__ = ["FEWEST_PAGES", "Counters", "Engine"]

FEWEST_PAGES = 16
"""Of a cache in which a prompt that is longer than it can be read."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counters:
    """What was done since the start, for ``/metrics``."""

    requests: int = 0
    cancelled: int = 0
    refused: int = 0
    failed: int = 0
    prompt_tokens_computed: int = 0
    prompt_tokens_cached: int = 0
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

    def _run(self, plan: Plan) -> None:
        """One pass of the model and what follows from it."""
        segments, owners, drafts = [], [], []
        guesses = self.model.cheap_rows // max(1, len(plan.decode)) - 1  # for each: what the pass verifies at no cost
        for s in plan.decode:
            draft = s.draft(guesses)
            tokens = [s.tokens[-1], *draft]
            if self._make_room(s, s.lease.tokens + len(tokens)):
                segments.append(self._segment(s, tokens, outputs=len(tokens)))
                owners.append(s)
                drafts.append(draft)
        for s, most in plan.prefill:
            take = min(
                most, max(1, self.cache.limit // 2) * PAGE
            )  # a segment fits in half of the cache, whatever its size
            if self._make_room(s, s.lease.tokens + take):
                tokens = s.tokens[s.lease.tokens : s.lease.tokens + take]
                ends = s.lease.tokens + take >= len(s.request.prompt)
                segments.append(self._segment(s, tokens, last=ends))
                owners.append(s)
                drafts.append([])
        if not segments:
            return

        def check() -> None:
            if all(s.handle.cancelled for s in owners):
                raise Cancelled("Nobody waits for this pass.")

        hidden = self.model.forward(segments, self.cache.pool, check)
        self.counters.passes += 1
        # logits only where a token follows: not inside a prompt, nor after one that is only read
        rows, at = [], 0
        for segment, s in zip(segments, owners, strict=True):
            ends = segment.position + len(segment.tokens) >= len(s.request.prompt)
            rows.append(range(at, at + segment.outputs) if ends and s.request.max_tokens else range(0))
            at += segment.outputs
        wanted = [row for r in rows for row in r]
        logits = self.model.logits(hidden[wanted] if len(wanted) < at else hidden) if wanted else hidden
        at = 0
        for segment, s, draft, own in zip(segments, owners, drafts, rows, strict=True):
            self._advance(s, segment, draft, logits[at : at + len(own)])
            at += len(own)

    def _advance(self, s: Sequence, segment: Segment, draft: list[int], logits: torch.Tensor) -> None:
        """Take what a pass gave to one sequence: ``logits`` [1 + drafts, V], or [0, V] in the middle of a prompt."""
        if segment.asked is not None and s.far is not None:
            s.far.count(segment.asked)
        if segment.position + len(segment.tokens) <= len(s.request.prompt):  # a chunk of the prompt
            s.lease.tokens += len(segment.tokens)
            if s.prefilling:
                return
            self.counters.prompt_tokens_computed += len(s.request.prompt) - s.cached
            self.counters.prompt_tokens_cached += s.cached
            if not s.request.max_tokens:
                s.finish_prefill_only()
                self._retire(s)
                return
        else:
            s.lease.tokens += 1  # drafts count once they are accepted
            s.steps += 1
        accepted, going = 0, True
        for row, guess in zip(logits, [*draft, None], strict=True):
            row = s.guide.guided(s.begin.guided(row))
            token = s.sampler.choose(row)
            going = s.accept(token, logprob(row, token) if s.request.logprobs else None)
            if not going or token != guess:
                break
            s.lease.tokens += 1
            accepted += 1
        s.drafted += len(draft)
        s.accepted += accepted
        if not going:
            self._retire(s)

    def _segment(self, s: Sequence, tokens: list[int], *, outputs: int = 1, last: bool = True) -> Segment:
        """The next ``tokens`` of ``s``."""
        table, lease = self._table(s), s.lease
        if s.far is None:
            return Segment(tokens, lease.tokens, table, outputs=outputs, last=last)
        asked = torch.zeros(len(lease.pages)) if s.prefilling else None
        return Segment(tokens, lease.held, table, outputs, last, start=lease.tokens, far=s.far.layer, asked=asked)

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
        self.cache.keep(s.lease, s.tokens)
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
