"""The indexes of the workspace's folders, kept in step with editor and disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from lsprotocol import types

from dsassist.errors import DsassistError, IndexingError, WorkspaceError
from dsassist.index import Index, Limits, References
from dsassist.index.languages import all_languages, is_source
from dsassist.server.app import Server
from dsassist.server.documents import Document
from dsassist.server.progress import Progress
from dsassist.server.wire import Addresses
from dsassist_model import paths

__all__ = ["Folder", "Indexes"]

logger = logging.getLogger(__name__)

SCAN_SECONDS = 10.0
"""How long a question waits for the first look at the disk."""
FIRST_SECONDS = 2.0
"""How long questions wait for a workspace to be indexed that never was: a small one is whole by then, and of a large
one the answers tell what they have not seen."""
SETTLE_SECONDS = 60.0
"""How long a rename waits for the index to be whole."""
QUIET_SECONDS = 0.2
"""Of no typing, before a changed buffer is read without being asked for."""
_MOST_PLACES = 10_000
"""Addresses whose folder is remembered."""

_T = TypeVar("_T")


class Folder:
    """One workspace folder and its index."""

    def __init__(self, root: Path, index: Index) -> None:
        self.root = root
        self.index = index
        self.addresses = Addresses(root)
        self.scanned = asyncio.Event()
        """The disk has been looked at: what changed since the last run is known."""
        self.waiting: dict[str, Document] = {}
        """Buffers that changed since the index read them."""
        self.touched: set[str] = set()
        """Files that may have changed on the disk."""
        self.stopped = False
        self.updating = asyncio.Lock()
        self._sync = asyncio.Lock()
        self._built = asyncio.Event()
        self._patient_until = asyncio.get_running_loop().time() + FIRST_SECONDS if index.is_empty else 0.0

    def relative(self, file: Path) -> str | None:
        """The file's path in the index, None outside the folder."""
        for root in (self.root, self.index.root):
            try:
                return file.relative_to(root).as_posix()
            except ValueError:
                continue
        return None

    async def synchronize(self) -> None:
        """Read changed buffers, so that no answer is about an older text."""
        async with self._sync:
            while self.waiting:
                path, document = self.waiting.popitem()
                text = document.source
                try:
                    await asyncio.to_thread(self.index.set_overlay, path, text)
                except DsassistError as error:
                    logger.warning("%s", error)

    async def rest(self) -> None:
        """Typing pauses: read what changed, and get ready for the next edit."""
        await self.synchronize()
        await asyncio.to_thread(self.index.parse_ahead)

    async def ask(self, question: Callable[..., _T], *arguments: Any) -> _T:
        """An answer of the index, about the text as it is now."""
        await self.current()
        return await asyncio.to_thread(question, *arguments)

    async def current(self) -> None:
        """Wait until the index knows the disk and every buffer as they are."""
        if not self.scanned.is_set():
            try:
                await asyncio.wait_for(self.scanned.wait(), SCAN_SECONDS)
            except TimeoutError:
                logger.warning("%s: answering before the disk was looked at", self.root)
        if not self.is_built:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._patient_until):
                    await self._built.wait()
        if self.waiting or self._sync.locked():
            await self.synchronize()

    async def settled(self) -> None:
        """Wait, but not for ever, until nothing is being indexed: what must see every file asks for this first."""
        try:
            async with asyncio.timeout(SETTLE_SECONDS), self.updating:
                return
        except TimeoutError:
            logger.warning("%s: still indexing", self.root)

    async def references(self, path: str, line: int, column: int) -> References:
        """The references of what is at a position. Those that are in memory are given without a thread, which would
        take longer than they do."""
        await self.current()
        found = self.index.references_at_hand(path, line, column)
        if found is None:
            found = await asyncio.to_thread(
                self.index.references, path, line, column, include_possible=False, described=False
            )
        return found

    @property
    def is_built(self) -> bool:
        """False in the first seconds of a workspace that was not indexed before and is not yet."""
        return self._built.is_set() or asyncio.get_running_loop().time() >= self._patient_until

    def built(self) -> None:
        """Nothing is left to be indexed, or it cannot be."""
        self.scanned.set()
        self._built.set()

    @property
    def is_current(self) -> bool:
        """Does the index know the disk and every buffer as they are?"""
        return self.scanned.is_set() and self.is_built and not self.waiting and not self._sync.locked()


class Indexes:
    """All folders. ``folder_of`` finds the one for a document."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._folders: dict[Path, Folder] = {}
        self._places: dict[str, tuple[Folder, str] | None] = {}
        """What ``folder_of`` found, until folders come or go."""
        self._timer: asyncio.TimerHandle | None = None
        self._started = asyncio.Event()

    # Finding

    async def find(self, uri: str) -> tuple[Folder, str] | None:
        """As ``folder_of``, once the folders of the workspace are open: a request may come before they are."""
        if not self._started.is_set():
            try:
                await asyncio.wait_for(self._started.wait(), SCAN_SECONDS)
            except TimeoutError:
                logger.warning("the workspace's folders are not open yet")
        return self.folder_of(uri)

    def folder_of(self, uri: str) -> tuple[Folder, str] | None:
        """The folder and the path in it of a document, None where no index has it."""
        if uri not in self._places:
            if len(self._places) > _MOST_PLACES:
                self._places.clear()
            self._places[uri] = self._find(uri)
        return self._places[uri]

    def _find(self, uri: str) -> tuple[Folder, str] | None:
        if not uri.startswith("file:") or not self._folders:
            return None
        file = self._server.documents.any_document(uri).file
        if file is None:
            return None
        best: tuple[Folder, str] | None = None
        for folder in self._folders.values():
            path = folder.relative(file)
            if path is not None and (best is None or len(path) < len(best[1])):
                best = (folder, path)
        if best is None or not is_source(best[1]):
            return None
        return best

    async def all(self) -> list[Folder]:
        """Every folder, once they are open."""
        await self.find("")
        return self.folders

    @property
    def folders(self) -> list[Folder]:
        """Every folder."""
        return list(self._folders.values())

    # Life

    async def start(self) -> None:
        """Open an index for every folder of the workspace."""
        try:
            for root in self._server.documents.roots:
                await self.add(root)
        finally:
            self._started.set()
        if self._folders:
            await self._watch()

    async def add(self, root: Path) -> None:
        """Open the index of a folder and bring it up to date in the background."""
        if root in self._folders or not self._server.settings.index.enabled:
            return
        settings = self._server.settings.index
        encoding = self._server.documents.position_encoding
        name = str(getattr(encoding, "value", encoding) or "utf-16")
        limits = Limits(settings.exclude, settings.max_files, settings.max_file_kilobytes * 1024)
        early = self._server.handover.indexes.pop(root, None)
        try:
            if early is not None and (early.limits != limits or early.encoding != name):
                await asyncio.to_thread(early.close)
                early = None
            index = early.whole() if early is not None else await asyncio.to_thread(_open, root, limits, name)
        except (WorkspaceError, IndexingError) as error:
            self._server.tell_once(str(error))
            return
        folder = self._folders[root] = Folder(root, index)
        self._places.clear()
        for document in self._server.documents.open_documents:
            self.opened(document)
        self._server.background(self._update(folder))

    async def remove(self, root: Path) -> None:
        """Close the index of a folder."""
        folder = self._folders.pop(root, None)
        self._places.clear()
        if folder is not None:
            folder.stopped = True
            async with folder.updating:
                await asyncio.to_thread(folder.index.close)

    async def close(self) -> None:
        """Close every index."""
        if self._timer is not None:
            self._timer.cancel()
        for root in list(self._folders):
            await self.remove(root)

    async def _update(self, folder: Folder) -> None:
        """Scan, index and link, showing progress when it takes long."""
        loop = asyncio.get_running_loop()
        progress = Progress(self._server, "Indexing")
        shown = False

        def on_progress(stage: str, done: int, total: int) -> None:
            loop.call_soon_threadsafe(tell, stage, done, total)

        def tell(stage: str, done: int, total: int) -> None:
            nonlocal shown
            if stage != "scan" or done:
                folder.scanned.set()
            if total > 200 and not shown:
                shown = True
                self._server.background(progress.begin(folder.root.name))
            if total:
                part = done / total
                progress.report(
                    f"{folder.root.name}: {stage} {done} of {total}", part * 0.5 + (0.5 if stage == "links" else 0.0)
                )

        async with folder.updating:
            try:
                report = await asyncio.to_thread(folder.index.update, on_progress, lambda: folder.stopped)
                await asyncio.to_thread(folder.index.warm_up)
            finally:
                folder.built()
                progress.end()
        logger.info("%s: %s files, %s lines, %.2f s", folder.root, report.files, report.lines, report.seconds)
        for notice in report.notices:
            self._server.tell_once(f"{folder.root.name}: {notice}", types.MessageType.Info)

    # What the editor says

    def opened(self, document: Document) -> None:
        """A buffer was opened or changed."""
        found = self.folder_of(document.uri)
        if found is not None:
            folder, path = found
            folder.waiting[path] = document
            self._later()

    def _later(self) -> None:
        """Read what changed when typing pauses."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._quiet)

    def _quiet(self) -> None:
        for folder in self._folders.values():
            if folder.waiting:
                self._server.background(folder.rest())
            if folder.touched:
                self._server.background(self._refresh(folder))

    async def closed(self, uri: str) -> None:
        """A buffer was closed: the disk counts again."""
        found = self.folder_of(uri)
        if found is not None:
            folder, path = found
            folder.waiting.pop(path, None)
            await asyncio.to_thread(folder.index.close_overlay, path)

    def touched(self, uris: list[str]) -> None:
        """Files that the editor or its watcher says were changed on the disk."""
        for uri in uris:
            file = self._server.documents.any_document(uri).file
            if file is None:
                continue
            for folder in self._folders.values():
                path = folder.relative(file)
                if path is not None:
                    folder.touched.add(path)
        self._later()

    async def _refresh(self, folder: Folder) -> None:
        async with folder.updating:
            paths_touched, folder.touched = folder.touched, set()
            if paths_touched and not folder.stopped:
                await asyncio.to_thread(folder.index.refresh, sorted(paths_touched))
                await asyncio.to_thread(folder.index.settle, lambda *_: None, lambda: folder.stopped)

    async def settings_changed(self) -> None:
        """Limits may have changed: open everything anew."""
        await self.close()
        await self.start()

    async def _watch(self) -> None:
        """Ask the client to watch files of our languages."""
        workspace = self._server.client_capabilities.workspace
        watching = workspace.did_change_watched_files if workspace is not None else None
        if watching is None or not watching.dynamic_registration:
            return
        endings = ",".join(sorted(ending[1:] for language in all_languages() for ending in language.extensions))
        watchers = [
            types.FileSystemWatcher(glob_pattern=f"**/*.{{{endings}}}"),
            types.FileSystemWatcher(
                glob_pattern="**/{.gitignore,go.mod,tsconfig.json,jsconfig.json,package.json,Cargo.toml}"
            ),
        ]
        registration = types.Registration(
            id="dsassist-files",
            method=types.WORKSPACE_DID_CHANGE_WATCHED_FILES,
            register_options=types.DidChangeWatchedFilesRegistrationOptions(watchers=watchers),
        )
        await self._server.client_register_capability_async(types.RegistrationParams(registrations=[registration]))


def _open(root: Path, limits: Limits, encoding: str) -> Index:
    return Index.open(root, paths.cache_dir(), limits, encoding=encoding)  # type: ignore[arg-type]
