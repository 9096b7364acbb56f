"""Who is computed next.

Interactive requests go before background ones: while one runs or waits, background sequences pause where they are.
Within a class everybody who decodes takes part in every pass, and prompts are read in chunks, short ones before long
ones that came a little earlier, so that nobody waits for the whole of a long one. Chunks are short while somebody
decodes, so that a token never waits long.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from dsassist_model.engine.request import Handle
from dsassist_model.engine.sequence import Sequence
from dsassist_model.errors import QueueFull

__all__ = ["Plan", "Scheduler"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in tokens or requests."""

    waiting: int = 64
    """More waiting requests are refused."""
    running: int = 32
    chunk: int = 128
    """Prompt tokens of one pass when nobody decodes. A key cancels the request before it, and what a cancelled pass has
    read is lost: of a chunk of 512 tokens, which takes longer than a key, typing would never see the end."""
    long_chunk: int = 2048
    """The same for one prompt of which more than this is left: fewer segments, so the past is read less often."""
    shared_chunk: int = 64
    """Prompt tokens of one pass beside decoding sequences."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One pass: who decodes a token, and who reads how much of its prompt."""

    decode: list[Sequence]
    prefill: list[tuple[Sequence, int]]

    @property
    def sequences(self) -> list[Sequence]:
        """All that take part."""
        return [*self.decode, *(s for s, _ in self.prefill)]


class Scheduler:
    """Waiting and running requests. ``add`` may be called under the engine's lock from any thread; the rest is the
    engine's."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.waiting: dict[str, deque[Handle]] = {"interactive": deque(), "background": deque()}
        self.running: list[Sequence] = []
        self._read = 0
        self._due: dict[int, int] = {}

    def add(self, handle: Handle) -> None:
        """Queue a request.

        Raises:
            QueueFull: too many wait already.
        """
        queue = self.waiting[handle.request.priority]
        if len(queue) >= self.limits.waiting:
            raise QueueFull(
                f"{len(queue)} requests wait already.", remedy="Try again in a second, or cancel what is not needed."
            )
        queue.append(handle)

    def next_waiting(self, fits: Callable[[Handle], bool]) -> Handle | None:
        """The request to admit now, if one may be: one a session in turn, interactive ones first, where it ``fits``."""
        if len(self.running) >= self.limits.running:
            return None
        queue = self.waiting["interactive"]
        if not queue and not any(s.request.priority == "interactive" for s in self.running):
            queue = self.waiting["background"]
        if not queue:
            return None
        load = Counter(s.request.session for s in self.running)
        # the first request of the session that runs the fewest; if it does not fit, nobody overtakes it
        chosen = min(queue, key=lambda h: (load[h.request.session], h.number))
        if not fits(chosen):
            return None
        queue.remove(chosen)
        return chosen

    def plan(self) -> Plan | None:
        """The next pass over ``running``, None when there is nothing to do."""
        active = [s for s in self.running if s.request.priority == "interactive"] or list(self.running)
        if not active:
            return None
        decode = [s for s in active if not s.prefilling]
        reading = [s for s in active if s.prefilling]
        room, prefill = self.limits.shared_chunk if decode else self._chunk(reading), []
        if decode and len(reading) > 1:
            room *= 2  # many newcomers: catch up, or they would starve behind those who decode
        for s in self._by_turn(reading):
            take = min(room, s.left)
            if take <= 0:
                break
            prefill.append((s, take))
            room -= take
            self._read += take
        return Plan(decode, prefill)

    def _by_turn(self, reading: list[Sequence]) -> list[Sequence]:
        """Who could have read its prompt first, had it been alone since it came: short prompts go before long ones that
        came a little earlier, but no stream of short ones keeps a long one waiting."""
        self._due = {s.handle.number: self._due.get(s.handle.number, self._read + s.left) for s in reading}
        return sorted(reading, key=lambda s: (self._due[s.handle.number], s.handle.number))

    def _chunk(self, reading: list[Sequence]) -> int:
        """Prompt tokens of a pass in which nobody decodes."""
        long = len(reading) == 1 and reading[0].left > self.limits.long_chunk
        return self.limits.long_chunk if long else self.limits.chunk
