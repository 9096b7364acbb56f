"""Reading ahead: what the model will need next is read while nobody waits for it.

When the cursor comes to rest, the prompt there is read exactly, so that the next keys can take its suffix over; when a
suggestion is on the screen, the text as it will be once that is accepted is read as well. The next key stops it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from dsassist.assist.site import Site

__all__ = ["MOVED_SECONDS", "ReadAhead", "accepted"]

REST_SECONDS = 0.15
"""Of quiet after an answer before anything is read: between two keys of one word there is less."""
MOVED_SECONDS = 0.4
"""Of quiet after the cursor was moved: who looks for a place passes many."""


class ReadAhead:
    """Reads for one editor. ``read`` has the model read a site's prompt, with the suffix taken over if it may be."""

    def __init__(self, read: Callable[[Site, bool], Awaitable[None]]) -> None:
        self._read = read
        self._task: asyncio.Task[None] | None = None

    def rest(self, site: Site, suggested: str = "", *, after: float | None = None) -> None:
        """The cursor is at ``site``, and ``suggested`` is on the screen; reading begins ``after`` seconds."""
        self.stop()
        self._task = asyncio.create_task(self._rest(site, suggested, REST_SECONDS if after is None else after))

    async def _rest(self, site: Site, suggested: str, after: float) -> None:
        await asyncio.sleep(after)
        await self._read(site, False)
        if suggested:
            await self._read(accepted(site, suggested), True)

    def stop(self) -> None:
        """Somebody waits for the model: stop reading."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def close(self) -> None:
        """Stop, and wait until it has."""
        task = self._task
        self.stop()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)


def accepted(site: Site, suggested: str) -> Site:
    """``site`` once ``suggested`` is inserted there."""
    return replace(
        site,
        prefix=site.prefix + suggested,
        position=site.position + len(suggested),
        line=site.line + suggested.count("\n"),
    )
