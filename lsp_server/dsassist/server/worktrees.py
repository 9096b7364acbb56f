"""What is not committed in the workspace's folders, looked up while nobody waits."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from dsassist.assist.changes import Hunk, Version, changed_places, pieces_near
from dsassist.assist.site import Site
from dsassist.assist.worktree import uncommitted
from dsassist.index import ContextPiece
from dsassist.server.app import Server
from dsassist.server.documents import Document

__all__ = ["Worktrees"]

SAVED_SECONDS = 0.5
"""After a file was saved or opened: more may follow."""
IDLE_SECONDS = 3.0
"""Without a key."""
LEAST_REST = 5.0
REST_FACTOR = 30
"""A look is followed by a rest of so many times what it took, so git takes 3% of a core at most."""


class Worktrees:
    """Changed places of each folder. A request takes what is known already."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._known: dict[Path, tuple[Hunk, ...]] = {}
        self._timers: dict[Path, asyncio.TimerHandle] = {}
        self._soon: set[Path] = set()
        """Those whose timer no key puts off."""
        self._looking: set[Path] = set()
        self._not_before: dict[Path, float] = {}
        server.events.opened.append(lambda document: self._later(document, SAVED_SECONDS))
        server.events.saved.append(lambda document: self._later(document, SAVED_SECONDS))
        server.events.changed.append(lambda document, _: self._later(document, IDLE_SECONDS))

    def pieces(self, site: Site, budget: int) -> list[ContextPiece]:
        """What of it matters at a site."""
        root = self._root(site.document)
        if root is None or not self._server.settings.context.git_diff:
            return []
        return pieces_near(site, self._known.get(root, ()), budget)

    def _root(self, uri: str) -> Path | None:
        file = self._server.documents.any_document(uri).file
        return self._server.documents.root_of(file) if file is not None else None

    def _later(self, document: Document, seconds: float) -> None:
        settings = self._server.settings.context
        root = self._root(document.uri)
        if root is None or not (settings.git_diff and settings.cross_file):
            return
        if timer := self._timers.get(root):
            if root in self._soon:
                return
            timer.cancel()
        if seconds < IDLE_SECONDS:
            self._soon.add(root)
        wait = max(seconds, self._not_before.get(root, 0.0) - time.monotonic())
        self._timers[root] = asyncio.get_running_loop().call_later(wait, self._start, root)

    def _start(self, root: Path) -> None:
        self._timers.pop(root, None)
        self._soon.discard(root)
        if root not in self._looking:
            self._looking.add(root)
            self._server.background(self._look(root))

    async def _look(self, root: Path) -> None:
        buffers = {}
        for document in self._server.documents.open_documents:
            if document.file is not None and document.file.is_relative_to(root):
                buffers[document.file.relative_to(root).as_posix()] = document.source
        began = time.monotonic()
        try:
            self._known[root] = await asyncio.to_thread(self._read, root, buffers)
        finally:
            self._looking.discard(root)
            took = time.monotonic() - began
            self._not_before[root] = time.monotonic() + max(LEAST_REST, REST_FACTOR * took)

    def _read(self, root: Path, buffers: dict[str, str]) -> tuple[Hunk, ...]:
        versions: list[Version] = uncommitted(root, self._server.settings.index.exclude, buffers)
        return changed_places(versions)

    def close(self) -> None:
        """Look no more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
