"""One HTTP request's way through the engine: pieces from the engine's thread to this event loop, and cancellation
back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from dsassist_model.engine import Engine, Piece, Request

__all__ = ["Answer", "pieces"]


@dataclass(slots=True)
class Answer:
    """All pieces of one choice."""

    text: str = ""
    logprobs: tuple[float, ...] = ()
    last: Piece | None = None

    def add(self, piece: Piece) -> None:
        """Take the next piece."""
        self.text += piece.text
        self.logprobs += piece.logprobs
        self.last = piece if piece.last else self.last


async def pieces(
    engine: Engine, requests: list[Request], gone: Callable[[], Awaitable[None]]
) -> AsyncGenerator[tuple[int, Piece], None]:
    """(choice, piece) as they come, until every choice is complete or the client is ``gone``. Closing it stops the
    model.

    Raises:
        ModelError: the engine refused or failed.
    """
    if len(requests) > 1:  # read the shared prompt once; the choices then find it in the cache
        only_read = replace(requests[0], max_tokens=0)
        async with aclosing(_run(engine, [only_read], gone)) as reading:
            async for _ in reading:
                pass
    async with aclosing(_run(engine, requests, gone)) as running:
        async for item in running:
            yield item


async def _run(
    engine: Engine, requests: list[Request], gone: Callable[[], Awaitable[None]]
) -> AsyncGenerator[tuple[int, Piece], None]:
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[int, Piece] | None] = asyncio.Queue()

    def emitter(choice: int) -> Callable[[Piece], None]:
        def emit(piece: Piece) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(queue.put_nowait, (choice, piece))

        return emit

    async def watch() -> None:
        await gone()
        queue.put_nowait(None)

    handles = []
    watcher = asyncio.create_task(watch())
    try:
        for choice, request in enumerate(requests):
            handles.append(engine.submit(request, emitter(choice)))
        open_choices = len(requests)
        while open_choices:
            item = await queue.get()
            if item is None:
                return
            if item[1].error is not None:
                raise item[1].error
            open_choices -= item[1].last
            yield item
    finally:
        watcher.cancel()
        for handle in handles:
            handle.cancel()
