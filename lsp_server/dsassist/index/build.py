"""Bringing the database up to date with the disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from dsassist.errors import IndexingError
from dsassist.index.facts import Facts, Occurrences, unpack_meaning
from dsassist.index.scan import Scan, scan
from dsassist.index.state import State
from dsassist.index.work import Extracted, Linker, extract, link

if TYPE_CHECKING:
    from dsassist.index.pool import Pool

__all__ = ["Build", "Progress", "Report"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done (``scan``, ``files``, ``links``), how many are done, and of how many."""

_POOL_FROM = 48
"""Files from which starting worker processes pays."""
_BATCH = 24
_COMMIT_BYTES = 24 << 20


class Report(NamedTuple):
    """What an update did."""

    files: int
    """In the index now."""
    lines: int
    extracted: int
    linked: int
    removed: int
    seconds: float
    notices: tuple[str, ...]
    complete: bool
    """False where it was cancelled."""
    worker_peak_bytes: int = 0


def _quiet(stage: str, done: int, total: int) -> None:
    """The default progress: none."""


class Build(State):
    """See the module's docstring."""

    def update(self, progress: Progress = _quiet, cancelled: Callable[[], bool] = lambda: False) -> Report:
        """Compare with the disk, and index what changed until every link is made. Queries may run meanwhile.

        Raises:
            IndexingError: the database cannot be written (a full disk).
        """
        start = perf_counter()
        progress("scan", 0, 0)
        found = self._scan(cancelled)
        if cancelled():
            return self._report(start, 0, 0, 0, 0, complete=False)
        return self._apply(found, start, progress, cancelled)

    def catch_up(self, most: int, found: Scan | None = None) -> bool:
        """As ``update``, where few files have changed: True once the index is whole and as new as the disk, of which
        ``found`` may be a look at it. False, with nothing changed, where there is more to do.

        Raises:
            IndexingError: the database cannot be written.
        """
        start = perf_counter()
        if found is None:
            found = self._scan(lambda: False)
        with self._reading():
            work = len(self._store.unlinked()) + sum(1 for path in self._rows if path not in found.files)
            work += sum(1 for path, seen in found.files.items() if self._differs(path, *seen))
            if work > most or _text_of(found.configuration) != self._store.meta("configuration"):
                return False
        return self._apply(found, start, _quiet, lambda: False).complete and not self._pending

    def _scan(self, cancelled: Callable[[], bool]) -> Scan:
        limits = self.limits
        return scan(
            self.root,
            exclude=limits.exclude,
            max_files=limits.max_files,
            max_bytes=limits.max_file_bytes,
            cancelled=cancelled,
        )

    def _differs(self, path: str, mtime: int, size: int) -> bool:
        row = self._rows.get(path)
        return row is None or row.mtime != mtime or row.size != size

    def _apply(self, found: Scan, start: float, progress: Progress, cancelled: Callable[[], bool]) -> Report:
        try:
            return self._applied(found, start, progress, cancelled)
        except sqlite3.OperationalError as error:
            raise IndexingError(
                f"The index cannot be written: {error}.", remedy="Free some space on the disk."
            ) from error

    def _applied(self, found: Scan, start: float, progress: Progress, cancelled: Callable[[], bool]) -> Report:
        with self._reading():
            self.notices = [*([self._store.notice] if self._store.notice else []), *found.notices]
            gone = [path for path in self._rows if path not in found.files]
            self._remove(gone)
            self._configure(found.configuration)
            changed = [path for path, seen in found.files.items() if self._differs(path, *seen)]
            self._pending = set(changed)
        progress("scan", 1, 1)
        peak = 0
        if len(changed) >= _POOL_FROM:
            with self._pool() as pool:
                extracted = self._extract_all(pool, changed, progress, cancelled)
                linked = self._link_all(pool, progress, cancelled)
                peak = pool.memory_peak()
        else:
            extracted = self._extract_here(changed, progress, cancelled)
            linked = self.settle(progress, cancelled)
        if extracted or linked:
            with self._reading():
                self._store.checkpoint()
        return self._report(start, extracted, linked, len(gone), peak, complete=not cancelled())

    def _pool(self) -> Pool:
        """Worker processes. Loaded when there is so much to do: a start with little need not wait for it."""
        from dsassist.index.pool import Pool, default_workers

        return Pool(self.limits.workers or default_workers())

    def _report(self, start: float, extracted: int, linked: int, removed: int, peak: int, *, complete: bool) -> Report:
        lines = sum(row.lines for row in self._rows.values())
        return Report(
            len(self._rows),
            lines,
            extracted,
            linked,
            removed,
            perf_counter() - start,
            tuple(self.notices),
            complete,
            peak,
        )

    # Facts

    def _extract_here(self, paths: Sequence[str], progress: Progress, cancelled: Callable[[], bool]) -> int:
        done = 0
        for number in range(0, len(paths), _BATCH):
            if cancelled():
                break
            batch = paths[number : number + _BATCH]
            self._commit(batch, [extract(self.root, path) for path in batch])
            done += len(batch)
            progress("files", done, len(paths))
        return done

    def _extract_all(self, pool: Pool, paths: Sequence[str], progress: Progress, cancelled: Callable[[], bool]) -> int:
        batches = [list(paths[number : number + _BATCH]) for number in range(0, len(paths), _BATCH)]
        done, bulk, size = 0, [], 0
        for items in pool.extract(self.root, batches, cancelled):
            bulk.extend(items)
            size += sum(len(item.occurrences) + len(item.meaning) for item in items if item is not None)
            done += len(items)
            progress("files", done, len(paths))
            if size > _COMMIT_BYTES:
                self._commit((), bulk)
                bulk, size = [], 0
        # Files that could not be read have no result of their own: whatever is still pending then is gone.
        with self._lock:
            seen = {item.path for item in bulk if item is not None}
            lost = [path for path in self._pending if path not in seen] if not cancelled() else []
        self._commit(lost, bulk)
        return done

    def _commit(self, paths: Iterable[str], items: Sequence[Extracted | None]) -> None:
        """Store facts. Files among ``paths`` without a result could not be read, and leave the index."""
        fresh = [item for item in items if item is not None]
        with self._reading():
            have = {item.path for item in fresh}
            self._remove([path for path in paths if path not in have and path in self._rows])
            self._pending.difference_update(paths)
            self._pending.difference_update(have)
            if not fresh:
                return
            stale: set[str] = set()
            names: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
            definitions: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
            first = not self._rows
            with self._store.transaction():
                for item in fresh:
                    row = self._rows.get(item.path)
                    if row is not None and row.hash == item.hash:
                        self._store.touch(row.id, item.mtime, item.size)
                        continue
                    old = self._stored_facts(item.path)
                    if not first:
                        new = unpack_meaning(item.meaning, Occurrences.unpack(item.occurrences))
                        stale |= self._stale_after(item.path, old, new)
                    file = self._store.put_file(item.path, item.mtime, item.size, item.hash, item.lines)
                    self._store.put_facts(file, item.occurrences, item.meaning)
                    _difference(names, file, old.nonlocal_names() if old else set(), set(item.names))
                    _difference(definitions, file, old.defined_names() if old else set(), set(item.definitions))
                if not self._store.first_names(names[0], definitions[0]):
                    self._store.change_names(*names, defined=False)
                    self._store.change_names(*definitions, defined=True)
                self._names_added(definitions[0])
                self._store.unlink(self._rows[path].id for path in stale if path in self._rows)
            for item in fresh:
                if item.path not in self._overlays:
                    self._modules.drop(item.path)
            self._invalidate(*(item.path for item in fresh), *stale)
            self._reload_rows()
            if not first:
                self._compare_overlays()

    def _compare_overlays(self) -> None:
        """The disk has changed, and with it what the open buffers make out of date."""
        for path, overlay in self._overlays.items():
            disk = self._stored_facts(path)
            stale = self._stale_after(path, disk, overlay.facts) if disk is not overlay.facts else set()
            if stale != overlay.stale:
                self._invalidate(*(stale ^ overlay.stale))
                overlay.stale = stale

    def _names_added(self, names: Iterable[str]) -> None:
        """Names that files define now and that may be new to the workspace."""

    def _stored_facts(self, path: str) -> Facts | None:
        row = self._rows.get(path)
        blobs = self._store.facts(row.id) if row is not None else None
        return None if blobs is None else unpack_meaning(blobs[1], Occurrences.unpack(blobs[0]))

    def _remove(self, paths: Sequence[str]) -> None:
        if not paths:
            return
        with self._store.transaction():
            stale: set[str] = set()
            for path in paths:
                row = self._rows[path]
                old = self._stored_facts(path)
                stale |= self._stale_after(path, old, None)
                if old is not None:
                    self._store.change_names({}, {name: [row.id] for name in old.nonlocal_names()}, defined=False)
                    self._store.change_names({}, {name: [row.id] for name in old.defined_names()}, defined=True)
                self._store.delete_file(row.id)
            self._store.unlink(self._rows[path].id for path in stale - set(paths))
        for path in paths:
            if path not in self._overlays:
                self._modules.drop(path)
        self._invalidate(*paths, *stale)
        self._reload_rows()

    def _configure(self, configuration: dict[str, tuple[int, int]]) -> None:
        """Configuration files decide what imports mean: when one changes, every link is made again."""
        text = _text_of(configuration)
        if text == self._store.meta("configuration"):
            return
        with self._store.transaction():
            self._store.set_meta("configuration", text)
            self._store.unlink(row.id for row in self._rows.values())
        self._configuration = set(configuration)
        self._views.clear()
        self._files_changed()

    # Links

    def settle(self, progress: Progress = _quiet, cancelled: Callable[[], bool] = lambda: False) -> int:
        """Make the links that are out of date; how many files that was."""
        with self._reading():
            todo = self._store.unlinked()
        if len(todo) >= 4 * _POOL_FROM:
            with self._pool() as pool:
                return self._link_all(pool, progress, cancelled)
        done = 0
        for number in range(0, len(todo), 8):
            if cancelled():
                break
            with self._reading():
                made = []
                for file, path in todo[number : number + 8]:
                    # Links belong to what is on the disk, which an open buffer hides.
                    if self._overlays:
                        return done + self._link_beside(todo[number:], progress, cancelled)
                    module = self._module(path)
                    if module is not None:
                        links, deps = link(self._resolver, module)
                        made.append((file, path, links.pack(), deps))
                self._store_links(made)
            done += len(made)
            progress("links", done, len(todo))
        return done

    def _link_beside(self, todo: Sequence[tuple[int, str]], progress: Progress, cancelled: Callable[[], bool]) -> int:
        """Link from the database alone, while open buffers hide some files."""
        linker = Linker(
            self.root, self._store.path, [(row.id, path) for path, row in self._rows.items()], self._configuration
        )
        done = 0
        for number in range(0, len(todo), 8):
            if cancelled():
                break
            made = [
                (file, path, result)
                for file, path in todo[number : number + 8]
                if (result := linker.link(path)) is not None
            ]
            with self._reading():
                self._store_links([(file, path, *result) for file, path, result in made])
            done += len(made)
            progress("links", done, len(todo))
        linker.db.close()
        return done

    def _link_all(self, pool: Pool, progress: Progress, cancelled: Callable[[], bool]) -> int:
        with self._reading():
            todo = self._store.unlinked()
            files = [(row.id, path) for path, row in self._rows.items()]
        if not todo:
            return 0
        ids = {path: file for file, path in todo}
        paths = [path for _, path in todo]
        batches = [paths[number : number + _BATCH] for number in range(0, len(paths), _BATCH)]
        done = 0
        bulk: list[tuple[int, str, bytes, list[int]]] = []
        for items in pool.link(self.root, self._store.path, files, sorted(self._configuration), batches, cancelled):
            bulk.extend((ids[path], path, links, deps) for path, links, deps in items)
            done += len(items)
            progress("links", done, len(paths))
            if len(bulk) > 400:
                with self._reading():
                    self._store_links(bulk)
                bulk = []
        with self._reading():
            self._store_links(bulk)
        return done

    def _store_links(self, made: Sequence[tuple[int, str, bytes, list[int]]]) -> None:
        if not made:
            return
        with self._store.transaction():
            for file, _, links, deps in made:
                self._store.put_links(file, links, deps)
        for _, path, _, _ in made:
            if path not in self._overlays:
                self._views.pop(path, None)

    def dump(self) -> list[tuple[str, bytes, bytes, bytes, tuple[str, ...]]]:
        """All that is stored, in an order and in terms that do not depend on how it came about."""
        with self._reading():
            rows = []
            for path, row in sorted(self._rows.items()):
                facts, stored = self._store.facts(row.id), self._store.occurrences_and_links(row.id)
                assert facts is not None and stored is not None
                own = self._stored_facts(path)
                assert own is not None
                names = tuple(sorted(name for name in own.nonlocal_names() if row.id in self._store.files_with(name)))
                rows.append((path, *facts, stored[1] or b"", names))
            return rows


def _text_of(configuration: dict[str, tuple[int, int]]) -> str:
    """Configuration files as they are stored, to be compared."""
    return "\n".join(f"{path}\t{mtime}\t{size}" for path, (mtime, size) in sorted(configuration.items()))


def _difference(
    changes: tuple[dict[str, list[int]], dict[str, list[int]]], file: int, old: set[str], new: set[str]
) -> None:
    added, removed = changes
    for name in new - old:
        added.setdefault(name, []).append(file)
    for name in old - new:
        removed.setdefault(name, []).append(file)
