"""From a cursor to suggestions.

One `Completer` serves one editor. A request passes: gates that need no model, the memory of answers that what was typed
still fits, a short wait while keys come quickly, the model, and the filters of ``postprocess``. Whatever ends it
without a suggestion is kept as the outcome, for "why nothing".
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from dsassist.assist.accept import AcceptModel, Choice, choices
from dsassist.assist.ahead import MOVED_SECONDS, ReadAhead
from dsassist.assist.context import NOTHING, Context
from dsassist.assist.drafts import drafts_for
from dsassist.assist.generation import Anchor, Generation, Memory
from dsassist.assist.members import used_members
from dsassist.assist.names import first_unknown_name
from dsassist.assist.postprocess import REASONS, judge
from dsassist.assist.prompt import request_for
from dsassist.assist.shape import Shape, enough, shape_at
from dsassist.assist.site import Site
from dsassist.assist.syntax import breaks_syntax, completed
from dsassist.backend.types import Backend, Completion
from dsassist.errors import BackendBusy, BackendError, BackendLoading, NoModel
from dsassist.settings import Settings

__all__ = ["Attempt", "Completer", "Outcome", "Suggestion"]

LEAST_DELAY, MOST_DELAY = 0.04, 0.06
"""Seconds a request waits for the next key: until this one is painted, and not much longer."""

BURST_GAP = 0.1
"""Seconds between keys that leave no time for an answer: what is begun between them is in vain, and felt in the editor
where the model takes the cores that should paint the key."""
BURST_ENDS = 1.3
"""So many usual gaps without a key, and the burst is over."""

MOST_BEGINNINGS = 4
"""Of a suggestion that are parsed to find one that breaks nothing."""

OTHER_TEMPERATURE = 0.8
"""Of the other suggestions that are asked for by hand: warm enough to differ from the first."""
OTHER_SECONDS = 2.0
"""They may take so long; the first one is known by then and waits for them."""

MEMBER_SECONDS = 0.02
"""A suggestion waits so long to hear from the index whether what it names exists."""

_MODEL_ANSWERED = frozenset(
    {
        "none", "nothing_to_add", "repeats_next_lines", "repeats_line_above", "closes_twice", "other_indentation",
        "repeats_itself", "unknown_member", "unknown_name", "breaks_syntax",
    }
)  # fmt: skip
"""Outcomes after which other answers may do better."""

_AFTER_CURSOR = frozenset(")]}>\"'`;:, \t")
"""A line may go on with these after the cursor and still get suggestions while typing: editors close brackets
themselves."""

Gather = Callable[[Site], Awaitable[Context]]
Lacks = Callable[[Site, str, str], Awaitable[bool]]
"""Is a member (the last argument) known not to exist on a variable that is in reach of a site?"""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """``text`` is inserted at the cursor, with the document's line ends."""

    id: str
    text: str
    probability: float | None = None
    """Geometric mean of the tokens' probabilities, None where the server does not tell."""
    cached: bool = False
    """Answered without the model: it had written this already."""
    chance: float | None = None
    """That it is taken, as the accept model has it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the last request ended: a key of `REASONS`, a sentence, and the text that was held back."""

    reason: str
    message: str
    suppressed: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One answer of the model and what became of it, for who measures."""

    site: Site
    shape: Shape
    raw: str
    """From the cursor on, up to the end of the unit, as the model wrote it."""
    text: str
    """After trimming; what is shown, unless there is a ``reason`` against it."""
    reason: str
    choices: Sequence[Choice]
    """What might have been shown of it: all, and its beginnings. Empty where a filter came before, or the server tells
    no probabilities."""
    chance: float | None


class Completer:
    """Completes for one editor through one backend. Not for several event loops.

    ``lacks`` asks the index whether a member does not exist; ``accept`` is the accept model, None for none.
    """

    def __init__(
        self,
        backend: Backend,
        settings: Settings,
        context: Gather | None = None,
        session: str = "",
        *,
        lacks: Lacks | None = None,
        accept: AcceptModel | None = None,
    ) -> None:
        self.backend = backend
        self.settings = settings
        self.paused = False
        self.outcome = Outcome("none", "Nothing was asked yet.")
        self.observer: Callable[[Attempt], None] | None = None
        """Called with every answer that was judged."""
        self._context = context
        self._session = session
        self._lacks, self._accept = lacks, accept
        self._memory = Memory()
        self._numbers = itertools.count(1)
        self._keys: deque[float] = deque(maxlen=9)
        self._latest = 0
        self._ahead = ReadAhead(self._read_ahead)

    async def suggest(self, site: Site) -> list[Suggestion]:
        """Suggestions for ``site``, the best first; empty with `outcome` saying why.

        Cancelling the caller's task stops the model, unless a request that wants the same answer follows at once.
        """
        self._ahead.stop()
        number = self._latest = next(self._numbers)
        self._keys.append(time.monotonic())
        if reason := self._closed_gate(site):
            return self._nothing(reason)
        found = self._memory.find(site)
        cached = found is not None and not found[0].running
        if found is None:
            if not site.manual:
                await asyncio.sleep(self._delay())
            if number != self._latest and not site.manual:
                return self._nothing("superseded")
            found = (await self._begin(site), "")
        generation, typed = found
        if not await generation.finished(typed):
            if number != self._latest:
                return self._nothing("superseded")
            if generation.error is None:
                generation, typed = await self._begin(site), ""
                await generation.finished(typed)
        if generation.error is not None:
            return self._failed(generation.error)
        suggestions = await self._judged(site, generation, typed, cached)
        self._ahead.rest(site, suggestions[0].text.replace(site.newline, "\n") if suggestions else "")
        return suggestions

    def rest(self, site: Site) -> None:
        """The cursor came to rest at ``site``, and nothing was asked."""
        off = self.paused or not self.settings.completion.enabled
        if not off and site.language not in self.settings.completion.languages_off and not self._memory.running():
            self._ahead.rest(site, after=MOVED_SECONDS)

    async def candidates(self, site: Site, count: int) -> list[Suggestion]:
        """Up to ``count`` suggestions where they are asked for by hand, those that the model is surest of first."""
        found = await self.suggest(site)
        if self.outcome.reason not in _MODEL_ANSWERED:
            return found
        others = await self.others(site, found, count - len(found))
        if others:
            self.outcome = Outcome("none", REASONS["none"])
        return sorted(found + others, key=lambda suggestion: -(suggestion.probability or 0.0))

    async def others(self, site: Site, known: list[Suggestion], count: int) -> list[Suggestion]:
        """Up to ``count`` suggestions besides those that are ``known``; fewer where they agree."""
        if count < 1:
            return []
        context = await self._gathered(site)
        shape = shape_at(site)
        asked = request_for(site, shape, self.settings, context)
        tries: list[Generation] = []
        for seed in range(1, count + 1):
            session = f"{self._session}:{seed}"
            request = replace(asked, temperature=OTHER_TEMPERATURE, seed=seed, session=session)
            tries.append(Generation(Anchor(site, shape), partial(self.backend.stream, request), partial(enough, shape)))
        try:
            async with asyncio.timeout(OTHER_SECONDS):
                await asyncio.gather(*(generation.finished("") for generation in tries))
        except TimeoutError:
            pass
        finally:
            for generation in tries:
                generation.stop()
        found, outcome = list(known), self.outcome
        for generation in tries:
            if generation.running or generation.stopped or generation.error is not None:
                continue
            texts = {suggestion.text for suggestion in found}
            found += [other for other in await self._judged(site, generation, "", False) if other.text not in texts]
        self.outcome = outcome
        return found[len(known) :]

    async def _judged(self, site: Site, generation: Generation, typed: str, cached: bool) -> list[Suggestion]:
        """Through trimming, filters and the accept model, to what is shown."""
        shape = shape_at(site) if not typed else generation.anchor.shape
        answer = generation.text[len(typed) :]
        raw = answer[: enough(shape, answer)].rstrip()
        # of a block that was cut at the limit, the last line is a torso
        torso = not generation.whole and len(raw) == len(answer.rstrip()) and "\n" in raw
        verdict = judge(site, shape, answer[: answer.rfind("\n")] if torso else answer)
        text, reason = verdict.text or verdict.suppressed, verdict.reason
        whole = generation.whole or torso
        possible: list[Choice] = []
        chance = None
        if reason == "none":
            text = completed(site, text)
            if breaks_syntax(site, text, whole=whole):
                reason = "breaks_syntax"
            elif await self._names_unknown(site, text):
                reason = "unknown_member"
            else:
                possible = self._choices(site, shape, generation, typed, text, len(raw) - len(text))
                # who asks by hand may be about to write what is missing
                unknown = None if site.manual else first_unknown_name(site, text, whole=whole)
                if unknown is not None:  # a beginning may do without
                    possible = [choice for choice in possible if len(choice.text) <= unknown]
                    if not possible or self._accept is None:
                        reason = "unknown_name"
        if possible and self._accept is not None:
            text, reason, chance = self._picked(site, self._accept, text, possible)
        if self.observer is not None:
            self.observer(Attempt(site, shape, raw, text, reason, possible, chance))
        if reason != "none":
            return self._nothing(reason, text)
        self.outcome = Outcome("none", REASONS["none"])
        said = text.replace("\n", site.newline)
        identity = f"{self._session}:{next(self._numbers)}"
        return [Suggestion(identity, said, _probability(generation), cached, chance)]

    def _picked(self, site: Site, accept: AcceptModel, text: str, possible: Sequence[Choice]) -> tuple[str, str, float]:
        """What is shown of ``text``, the reason why nothing is, and its chance: a beginning that would break the syntax
        gives way to a shorter one."""
        least, reason = 0.0 if site.manual else self._least(), "unsure"
        best = chance = 0.0
        for number in range(MOST_BEGINNINGS):
            picked, chance = accept.pick(possible, least)
            best = best if number else chance
            if picked is None:
                return text, reason, best
            if picked.text == text or not breaks_syntax(site, picked.text):
                return picked.text, "none", chance
            reason = "breaks_syntax"
            possible = possible[possible.index(picked) + 1 :]
            if not possible:
                break
        return text, reason, best

    def _choices(
        self, site: Site, shape: Shape, generation: Generation, typed: str, text: str, cut: int
    ) -> list[Choice]:
        """What may be shown of ``text``; nothing where the server tells no probabilities."""
        places = zip(generation.places, generation.logprobs, strict=True)
        tokens = [(place - len(typed), number) for place, number in places if place >= len(typed)]
        if not tokens or (self._accept is None and self.observer is None):
            return []
        return choices(site, shape, text, tokens, typed=len(typed), cut=max(cut, 0), whole=generation.whole)

    def _least(self) -> float:
        """The chance below which nothing is shown."""
        wanted = self.settings.completion.minimum_acceptance
        return self._accept.threshold if wanted < 0 and self._accept is not None else wanted

    async def _names_unknown(self, site: Site, text: str) -> bool:
        """Whether ``text`` uses a member that the index knows not to exist. One that it cannot tell in time does."""
        if self._lacks is None:
            return False
        try:
            async with asyncio.timeout(MEMBER_SECONDS):
                for receiver, member in used_members(site, text):
                    if await self._lacks(site, receiver, member):
                        return True
        except TimeoutError:
            pass
        return False

    def _closed_gate(self, site: Site) -> str:
        """The reason why the model is not asked at all, empty if it may be."""
        if site.manual:
            return ""
        if self.paused:
            return "paused"
        if not self.settings.completion.enabled:
            return "off"
        if site.language in self.settings.completion.languages_off:
            return "language_off"
        if not site.prefix.strip():
            return "too_little"
        after = site.line_after
        if after[:1].isalnum() or after[:1] == "_":
            return "inside_word"
        if not set(after) <= _AFTER_CURSOR:
            return "text_after_cursor"
        return ""

    def _delay(self) -> float:
        """Seconds to wait for another key: a part of the usual time between keys, or in a burst until it ends."""
        if self.settings.completion.debounce_ms >= 0:
            return self.settings.completion.debounce_ms / 1000
        gaps = sorted(b - a for a, b in itertools.pairwise(self._keys))
        if not gaps:
            return 0.0
        usual = gaps[len(gaps) // 2]
        if usual < BURST_GAP:
            return usual * BURST_ENDS
        return min(max(usual / 4, LEAST_DELAY), MOST_DELAY) if usual < 1.0 else 0.0

    async def _begin(self, site: Site) -> Generation:
        for other in self._memory.running():
            if other.anchor.site.document == site.document:
                other.stop()
        context = await self._gathered(site)
        shape = shape_at(site)
        request = request_for(site, shape, self.settings, context)
        request = replace(
            request,
            session=self._session,
            drafts=drafts_for(site, request.suffix or "", self._memory.late(site.document)),
            reuse_suffix=self.settings.engine.reuse_suffix,
        )

        def stream() -> AsyncIterator[Completion]:
            return self.backend.stream(request)

        generation = Generation(Anchor(site, shape), stream, lambda text: enough(shape, text))
        self._memory.add(generation)
        return generation

    async def warm_up(self, site: Site, *, reuse_suffix: bool = False) -> None:
        """Have the model read what it will need for a completion at ``site``. Failures are kept quiet: nobody asked."""
        context = await self._gathered(site)
        request = replace(
            request_for(site, shape_at(site), self.settings, context),
            max_tokens=0,
            priority="background",
            session=self._session,
            reuse_suffix=reuse_suffix,
        )
        try:
            await self.backend.warm_up(request)
        except BackendError as error:
            self._failed(error)

    async def _gathered(self, site: Site) -> Context:
        return await self._context(site) if self._context and self.settings.context.cross_file else NOTHING

    async def _read_ahead(self, site: Site, reuse_suffix: bool) -> None:
        outcome = self.outcome
        await self.warm_up(site, reuse_suffix=reuse_suffix and self.settings.engine.reuse_suffix)
        self.outcome = outcome  # nobody asked: why nothing was shown has other reasons

    def _nothing(self, reason: str, suppressed: str = "") -> list[Suggestion]:
        self.outcome = Outcome(reason, REASONS[reason], suppressed)
        return []

    def _failed(self, error: BackendError) -> list[Suggestion]:
        reason = {BackendLoading: "loading", BackendBusy: "busy", NoModel: "no_model"}.get(type(error), "error")
        self.outcome = Outcome(reason, str(error))
        return []

    async def close(self) -> None:
        """Stop what is being written and read. The backend is the caller's."""
        await self._ahead.close()
        await self._memory.close()


def _probability(generation: Generation) -> float | None:
    numbers = generation.logprobs
    return math.exp(sum(numbers) / len(numbers)) if numbers else None
