"""What an open index holds in memory: the file table, open buffers, and caches of what the database says.

Every public method of the classes that make up ``Index`` takes the lock for as long as it reads or writes these.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dsassist.errors import IndexingError, WorkspaceError
from dsassist.index.answer import Answer, Target
from dsassist.index.facts import Facts, Occurrences
from dsassist.index.hashing import blake2b
from dsassist.index.linkset import LinkSet
from dsassist.index.model import Encoding, Location
from dsassist.index.module import Module
from dsassist.index.scan import Files
from dsassist.index.store import Row, Store
from dsassist.index.work import Modules, read

if TYPE_CHECKING:
    from tree_sitter import Tree

    from dsassist.index.interface import Entries
    from dsassist.index.resolve import Resolver

__all__ = ["Limits", "Overlay", "State", "View", "stems"]


class Limits(NamedTuple):
    """What to index, and how much."""

    exclude: tuple[str, ...] = ()
    """Patterns as in ``.gitignore``, besides the workspace's own."""
    max_files: int = 50_000
    max_file_bytes: int = 1 << 20
    workers: int = 0
    """Processes of a large build; 0 is one a core."""


class View:
    """A file as queries read it: occurrences by name, and links where they are up to date."""

    __slots__ = ("_occurrences", "_packed", "_positions", "links")

    def __init__(self, occurrences: Occurrences | bytes, links: LinkSet | None) -> None:
        """Packed occurrences stay so until they are asked for: the links alone often say that there is nothing."""
        self._occurrences: Occurrences | None = None if isinstance(occurrences, bytes) else occurrences
        self._packed = occurrences if isinstance(occurrences, bytes) else b""
        self.links = links
        self._positions: dict[str, list[int]] = {}

    @property
    def occurrences(self) -> Occurrences:
        """Of the file."""
        if self._occurrences is None:
            self._occurrences, self._packed = Occurrences.unpack(self._packed), b""
        return self._occurrences

    def positions(self, name: str) -> list[int]:
        """Numbers of the occurrences with that name."""
        found = self._positions.get(name)
        if found is None:
            found = self._positions[name] = self.occurrences.named(name)
        return found


_MANY_NAMES = 200
"""When so many names changed, looking up who uses each costs more than linking anew."""


class Overlay:
    """An open buffer."""

    __slots__ = (
        "behind", "definitions", "disk", "entries", "facts", "hash", "is_stored", "names", "row", "source", "stale",
        "tree",
    )  # fmt: skip

    def __init__(self, source: bytes, mark: bytes, tree: Tree | None, facts: Facts) -> None:
        self.source = source
        self.hash = mark
        self.tree = tree
        self.facts = facts
        self.names = frozenset(facts.nonlocal_names())
        self.definitions = frozenset(facts.defined_names())
        self.stale: set[str] = set()
        """Files whose stored links this buffer has, or may have, made out of date."""
        self.disk: Facts | None = None
        """What was stored for the file when its row had the hash ``row``."""
        self.row = b""
        self.entries: Entries | None = None
        """Of ``disk``: each edit is compared with them."""
        self.behind = False
        """Are the facts of an earlier text, because this one hardly parses?"""
        self.is_stored = False
        """Are the facts those that the index stored for the same text?"""


class State:
    """See the module's docstring."""

    def __init__(self, root: Path, cache_dir: Path, limits: Limits, encoding: Encoding) -> None:
        try:
            self.root = root.resolve(strict=True)
        except OSError as error:
            raise WorkspaceError(f"{root} cannot be opened: {error.strerror}.") from error
        if not self.root.is_dir():
            raise WorkspaceError(f"{root} is not a folder.")
        # Trees are walked by recursion, in Python frames only, which take no room on the C stack.
        sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))
        self.limits = limits
        self.encoding: Encoding = encoding
        self.notices: list[str] = []
        self._lock = threading.RLock()
        name = blake2b(str(self.root).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        try:
            self._store = Store(cache_dir / "index" / f"{self.root.name[:40] or 'root'}-{name}.sqlite", str(self.root))
        except (OSError, sqlite3.Error) as error:
            raise IndexingError(
                f"The index cannot be kept in {cache_dir}: {error}.", remedy="Free some space or set DSASSIST_HOME."
            ) from error
        if self._store.notice:
            self.notices.append(self._store.notice)
        self._overlays: dict[str, Overlay] = {}
        self._edited: list[tuple[str, Overlay]] | None = None
        self._configuration: set[str] = set(filter(None, self._store.meta("configuration").split("\n")))
        self._configuration = {item.partition("\t")[0] for item in self._configuration}
        self._modules = Modules(self._blobs)
        self._views: OrderedDict[str, View] = OrderedDict()
        self._pending: set[str] = set()
        """Files that are on the disk and not in the database yet."""
        self._data_version = self._store.data_version()
        self._resolving: Resolver | None = None
        self._rows: dict[str, Row] = {}
        self._paths: dict[int, str] = {}
        self._reload_rows()

    # The database's side

    def _reload_rows(self) -> None:
        self._rows = self._store.rows()
        self._paths = {row.id: path for path, row in self._rows.items()}
        self._files_changed()

    def _files_changed(self) -> None:
        known = self._rows.keys() | self._overlays.keys()
        self._files = Files(self.root, known, self._configuration, self._candidates)
        self._resolving = None
        self._derived_changed()

    @property
    def is_empty(self) -> bool:
        """Nothing is stored: the workspace was not indexed before."""
        return not self._rows

    @property
    def _resolver(self) -> Resolver:
        """Loaded when something has to be resolved that no stored link tells."""
        if self._resolving is None:
            from dsassist.index.resolve import Resolver

            self._resolving = Resolver(self._files, self._modules)
        return self._resolving

    def _check_version(self) -> None:
        """Another process may have changed the database."""
        version = self._store.data_version()
        if version != self._data_version:
            self._data_version = version
            self._store.forget()
            self._modules.clear()
            self._views.clear()
            self._reload_rows()
            for path, overlay in self._overlays.items():
                self._modules.put(Module(path, overlay.facts))

    def _blobs(self, path: str) -> tuple[bytes, bytes] | None:
        row = self._rows.get(path)
        return None if row is None else self._store.facts(row.id)

    def _module(self, path: str) -> Module | None:
        overlay = self._overlays.get(path)
        module = self._modules(path)
        if module is None and overlay is not None:
            module = Module(path, overlay.facts)
            self._modules.put(module)
        return module

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Hold the lock; set a damaged database aside.

        Raises:
            IndexingError: the database was damaged; it is empty now and ``update`` fills it.
        """
        with self._lock:
            self._check_version()
            try:
                yield
            except (sqlite3.DatabaseError, IndexingError) as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise IndexingError(f"The index cannot be used now: {error}.") from error
                self._store.reopen_after(error, str(self.root))
                self.notices.append(self._store.notice)
                self._modules.clear()
                self._views.clear()
                self._reload_rows()
                raise IndexingError(
                    "The index was damaged and is built anew.", remedy="Ask again when it is ready."
                ) from error

    def _view(self, path: str) -> View | None:
        """The file as queries read it."""
        view = self._views.get(path)
        if view is not None:
            self._views.move_to_end(path)
            return view
        overlay, row = self._overlays.get(path), self._rows.get(path)
        if overlay is not None and (row is None or row.hash != overlay.hash):
            view = View(overlay.facts.occurrences, None)
        else:
            blobs = self._store.occurrences_and_links(row.id) if row is not None else None
            if blobs is None:
                return None
            links = LinkSet.unpack(blobs[1]) if blobs[1] is not None and not self._is_stale(path) else None
            held = self._modules.facts(path) if overlay is None else overlay.facts if overlay.is_stored else None
            view = View(held.occurrences if held is not None else blobs[0], links)
        self._views[path] = view
        if len(self._views) > 4000:
            self._views.popitem(last=False)
        return view

    def _is_stale(self, path: str) -> bool:
        return any(path in overlay.stale for _, overlay in self._edits())

    def _answer(self, path: str, view: View, index: int) -> Answer | None:
        """What an occurrence denotes; None for a symbol of its own file."""
        if view.links is not None:
            return view.links.answer(index)
        module = self._module(path)
        assert module is not None
        occurrences = view.occurrences
        role, ref = occurrences.role[index], occurrences.ref[index]
        if role & 7 or ref < 0 or any(module.facts.expressions[value][0] == 15 for value in module.symbols[ref].values):
            return self._resolver.one(module, index)
        return None

    # Open buffers

    def _invalidate(self, *paths: str) -> None:
        for path in paths:
            self._views.pop(path, None)
        if self._resolving is not None:
            self._resolving.memo.clear()
        self._derived_changed()

    def _derived_changed(self) -> None:
        """Caches that were made from links or from open buffers are void."""
        self._edited = None

    def _edits(self) -> list[tuple[str, Overlay]]:
        """The buffers that are not what the index has stored of their files."""
        if self._edited is None:
            self._edited = [
                (path, overlay)
                for path, overlay in self._overlays.items()
                if overlay.stale or (row := self._rows.get(path)) is None or row.hash != overlay.hash
            ]
        return self._edited

    def _stale_after(self, path: str, old: Facts | None, new: Facts | None, known: Entries | None = None) -> set[str]:
        """Files whose stored links are out of date once ``new`` takes the place of ``old``, whose entries may be
        ``known``."""
        headers = (old.included() if old else set()) ^ (new.included() if new else set())
        seen_through = self._dependents(*(f"<{header}" for header in headers)) if headers else set()
        if old is None or new is None:
            return self._dependents(path, *stems(path)) | seen_through
        from dsassist.index.interface import touched_names

        return self._stale_by(path, touched_names(old, new, known), seen_through)

    def _stale_by(self, path: str, names: frozenset[str] | None, seen_through: Set[str] = frozenset()) -> set[str]:
        """Files whose stored links are out of date once these names of a file are touched, or any (None), and
        ``seen_through``, which are so for another reason."""
        if names is not None and not names:
            return {*seen_through}
        dependents = self._dependents(path) | seen_through
        if names is None or len(names) > _MANY_NAMES:
            return dependents
        # Who reads the file and names none of what changed may still get it through a file that does.
        naming = {other for name in names for other in self._candidates(name)} & dependents
        through = {reader for other in naming if other != path for reader in self._dependents(other)}
        return ((naming | through) & dependents) | seen_through

    def _candidates(self, name: str) -> list[str]:
        """Files in which the name may denote something of another file."""
        paths = {self._paths[file] for file in self._store.files_with(name) if file in self._paths}
        for path, overlay in self._edits():
            if name in overlay.names:
                paths.add(path)
            else:
                paths.discard(path)
        return sorted(paths)

    def _dependents(self, *names: str) -> set[str]:
        return {self._paths[file] for file in self._store.dependents(names) if file in self._paths}

    # Places

    def _location(self, path: str, occurrences: Occurrences, index: int) -> Location:
        """Where an occurrence is, in the index's unit."""
        line, column = occurrences.line_of(index), occurrences.column[index]
        name = occurrences.names[occurrences.name[index]]
        if line not in occurrences.wide:
            return Location(
                path,
                line,
                column,
                line,
                column + len(name.encode("utf-8")) if not name.isascii() else column + len(name),
            )
        end = column + len(name.encode("utf-8"))
        units = occurrences.units
        return Location(path, line, units(line, column, self.encoding), line, units(line, end, self.encoding))

    def _text(self, path: str) -> bytes:
        """A file's current bytes, empty where it cannot be read."""
        overlay = self._overlays.get(path)
        if overlay is not None:
            return overlay.source
        content = read(self.root, path)
        return content[0] if content is not None else b""

    def _own_target(self, path: str, symbol: int) -> Target:
        module = self._module(path)
        assert module is not None
        return (path, module.qualified(symbol))


def stems(path: str) -> list[str]:
    """Dependency names that the coming or going of a file touches: its own name and those of its folders."""
    parts = path.split("/")
    parts[-1] = parts[-1].partition(".")[0]
    return [f"?{part}" for part in parts] if len(parts) > 1 else [f"?{parts[0]}", "?/"]
