"""One answer of the model while it is written, shared by every keystroke that it still fits.

A generation outlives the request that began it for a moment: editors cancel a request and send the next one with every
key, and when the key agrees with what the model is writing, the next request simply goes on waiting for the same
answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import cast

from dsassist.assist.shape import Shape
from dsassist.assist.site import Site
from dsassist.backend.types import Completion
from dsassist.errors import BackendError

__all__ = ["Anchor", "Generation", "Memory"]

GRACE_SECONDS = 0.1
"""How long an answer that nobody waits for is still written: the time from one key's request to the next one's."""

TAIL = 256
"""Code points around the cursor that must agree for two sites to be one place in one document."""

_CLOSING = ")]}\"'`"


@dataclass(frozen=True, slots=True)
class Anchor:
    """The place an answer was asked for."""

    site: Site
    shape: Shape

    def typed_since(self, site: Site) -> str | None:
        """What was typed between this place and ``site``; None if they are not one place, typed on."""
        mine = self.site
        count = site.position - mine.position
        if mine.document != site.document or count < 0 or count > TAIL or len(site.prefix) < count:
            return None
        here, typed = site.prefix[: len(site.prefix) - count], site.prefix[len(site.prefix) - count :]
        tail = min(TAIL, len(here), len(mine.prefix))
        if tail and here[-tail:] != mine.prefix[-tail:]:
            return None
        return typed if _same_suffix(mine.suffix[:TAIL], site.suffix) else None


def _same_suffix(before: str, now: str) -> bool:
    """Whether nothing changed after the cursor but for brackets that the editor closed by itself."""
    for _ in range(3):
        if now[: len(before)] == before:
            return True
        if not now or now[0] not in _CLOSING:
            return False
        now = now[1:]
    return False


class Generation:
    """Collects the pieces of ``stream`` until it ends or ``enough`` says so."""

    def __init__(
        self, anchor: Anchor, stream: Callable[[], AsyncIterator[Completion]], enough: Callable[[str], int | None]
    ) -> None:
        self.anchor = anchor
        self.text = ""
        self.logprobs: list[float] = []
        self.places: list[int] = []
        """Where in the text each token begins."""
        self.whole = False
        """It came to an end, and not to its limit of tokens."""
        self.error: BackendError | None = None
        self.stopped = False
        """Given up before it was finished; its text is a beginning only."""
        self._enough = enough
        self._waiting = 0
        self._changed = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._collect(stream))

    @property
    def running(self) -> bool:
        """Still being written."""
        return not self._task.done()

    async def _collect(self, stream: Callable[[], AsyncIterator[Completion]]) -> None:
        try:
            # closing the stream closes the connection, which stops the model
            async with aclosing(cast("_Closable", stream())) as pieces:
                async for piece in pieces:
                    self.places.extend([len(self.text)] * len(piece.logprobs))
                    self.text += piece.text
                    self.logprobs.extend(piece.logprobs)
                    self._changed.set()
                    self.whole = piece.finish_reason == "stop"
                    if self._enough(self.text) is not None:
                        self.whole = True
                        break
        except BackendError as error:
            self.error = error
        except asyncio.CancelledError:
            self.stopped = True
            raise
        finally:
            self._changed.set()

    def fits(self, typed: str) -> bool:
        """Whether what was typed agrees with the text so far."""
        return self.text.startswith(typed) or (self.running and typed.startswith(self.text))

    async def finished(self, typed: str) -> bool:
        """Wait for the end; True unless the text turns out to disagree with what was ``typed``, or was given up."""
        with self._waits():
            while self.running:
                self._changed.clear()
                if not self.fits(typed):
                    return False
                await self._changed.wait()
                # the last piece and the end of the task come in one go
                await asyncio.sleep(0)
        return self.fits(typed) and not self.stopped

    @contextmanager
    def _waits(self) -> Iterator[None]:
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting and self.running:
                asyncio.get_running_loop().call_later(GRACE_SECONDS, self._stop_if_unwanted)

    def _stop_if_unwanted(self) -> None:
        if not self._waiting:
            self.stop()

    def stop(self) -> None:
        """Stop the model now."""
        self._task.cancel()

    async def closed(self) -> None:
        """Stop and wait until the connection is closed."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class _Closable(AsyncIterator[Completion]):
    async def aclose(self) -> None: ...


class Memory:
    """The last answers, newest first, the running one among them."""

    def __init__(self, size: int = 24) -> None:
        self._size = size
        self._generations: list[Generation] = []

    def find(self, site: Site) -> tuple[Generation, str] | None:
        """An answer that fits ``site``, and what was typed of it already. An answer that was used up does not fit."""
        for generation in self._generations:
            if generation.stopped or generation.error is not None:
                continue
            typed = generation.anchor.typed_since(site)
            if typed is None or not generation.fits(typed):
                continue
            if generation.running or not typed or generation.text[len(typed) :].strip():
                return generation, typed
        return None

    def add(self, generation: Generation) -> None:
        """Remember; the oldest is forgotten."""
        self._generations.insert(0, generation)
        for old in self._generations[self._size :]:
            old.stop()
        del self._generations[self._size :]

    def late(self, document: str) -> list[tuple[str, str]]:
        """Answers for ``document``, finished or given up, newest first: the line before each, and its text."""
        found = (generation for generation in self._generations if generation.anchor.site.document == document)
        return [(generation.anchor.site.line_before, generation.text) for generation in found]

    def running(self) -> list[Generation]:
        """Answers that are still being written."""
        return [generation for generation in self._generations if generation.running]

    async def close(self) -> None:
        """Stop everything."""
        for generation in self._generations:
            await generation.closed()
        self._generations.clear()
