"""The model behind the editor: the backend that the settings ask for, and its state, told whenever it changes."""

from __future__ import annotations

import asyncio
from typing import Any

from lsprotocol import types

from dsassist import __version__, backend
from dsassist.backend.types import BackendStatus
from dsassist.server.app import Server
from dsassist.server.progress import Progress
from dsassist.server.protocol import PAUSE, STATUS, Pause, Status
from dsassist.settings import Settings

__all__ = ["Monitor", "register"]

QUICK_SECONDS = 0.25
"""Between looks at an engine that is loading."""
SLOW_SECONDS = 5.0
"""Between looks at one that is not. A request that fails makes the monitor look at once."""


class Monitor:
    """Watches the backend and tells the client."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._paused = False
        self._last: Status | None = None
        self._look = asyncio.Event()
        self._progress: Progress | None = None

    @property
    def paused(self) -> bool:
        """Whether the user stopped suggestions."""
        return self._paused

    def pause(self, paused: bool) -> None:
        """Stop or resume suggestions until the server ends."""
        self._paused = paused
        self._look.set()

    def look(self) -> None:
        """Something happened that may have changed the state."""
        self._look.set()

    async def watch(self) -> None:
        """Tell every change of state until cancelled."""
        while True:
            status = await self.current()
            if status != self._last:
                self._last = status
                self._server.protocol.notify(STATUS, _as_json(status))
                await self._show(status)
            self._look.clear()
            seconds = QUICK_SECONDS if status.state == "loading" else SLOW_SECONDS
            try:
                await asyncio.wait_for(self._look.wait(), seconds)
            except TimeoutError:
                pass

    async def current(self) -> Status:
        """The state as it is now."""
        now: BackendStatus = await self._server.backend.status()
        if self._paused:
            return Status("paused", "Suggestions are paused.", model=now.model, version=__version__)
        message, remedy, model = now.message, now.remedy, now.model
        return Status(now.state, message, remedy, round(now.progress, 2), model, __version__)

    async def _show(self, status: Status) -> None:
        if status.state == "loading":
            if self._progress is None:
                self._progress = Progress(self._server, "dsassist")
                await self._progress.begin(status.message)
            self._progress.report(status.message or f"Loading {status.model}", status.progress)
        elif self._progress is not None:
            self._progress.end(status.message)
            self._progress = None
        if status.state in ("no_model", "error") and status.message:
            kind = types.MessageType.Warning if status.state == "no_model" else types.MessageType.Error
            self._server.tell_once(f"{status.message} {status.remedy}".strip(), kind)


def _as_json(status: Status) -> dict[str, Any]:
    return {name: getattr(status, name) for name in ("state", "message", "remedy", "progress", "model", "version")}


def register(server: Server) -> None:
    """Make the backend when settings are there, make another when they change, and watch it."""
    server.monitor = Monitor(server)

    async def initialized() -> None:
        await server.monitor.watch()

    def settings(old: Settings, new: Settings) -> None:
        """At once, not in a task: a request that was read together with the settings must find the new backend."""
        if (old.backend, old.engine) == (new.backend, new.engine):
            return
        before, server.backend = server.backend, backend.create(new)
        server.monitor.look()
        server.background(before.close())

    async def shutdown() -> None:
        await server.backend.close()

    server.events.initialized.append(initialized)
    # first of all: what follows asks the new backend
    server.events.settings.insert(0, settings)
    server.events.shutdown.append(shutdown)

    @server.feature(STATUS)
    async def status(_: Any) -> dict[str, Any]:
        return _as_json(await server.monitor.current())

    @server.feature(PAUSE)
    async def pause(params: Pause) -> dict[str, Any]:
        server.monitor.pause(params.paused)
        return _as_json(await server.monitor.current())
