"""What the editor says: files that it touched, and open buffers, which hide the disk and are never stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dsassist.errors import WorkspaceError
from dsassist.index.build import Build
from dsassist.index.facts import Facts
from dsassist.index.languages import is_source, language_of
from dsassist.index.module import Module
from dsassist.index.scan import CONFIGURATION, takes
from dsassist.index.state import Overlay
from dsassist.index.store import Row
from dsassist.index.work import digest, extract, facts_of, is_generated

if TYPE_CHECKING:
    from tree_sitter import Point, Tree

    from dsassist.index.interface import Entries
    from dsassist.index.splice import Splice

__all__ = ["Editing", "tell_edit"]


_MOST_PARSED = 1 << 20
"""Bytes of open buffers that are parsed ahead. Their trees take twenty times as many."""


class Editing(Build):
    """See the module's docstring."""

    def refresh(self, paths: Iterable[str]) -> None:
        """These files or folders may have changed on the disk. Their links, and others', are made by ``settle``."""
        with self._reading():
            wanted = sorted(set(paths))
            if any(
                path.rpartition("/")[2] in CONFIGURATION or path.rpartition("/")[2] == ".gitignore" for path in wanted
            ):
                self.update()
                return
            under = [row for row in self._rows for path in wanted if row.startswith(f"{path}/")]
            files = sorted({*(path for path in wanted if is_source(path)), *under})
            if any(not is_source(path) and (self.root / path).is_dir() for path in wanted):
                self.update()
                return
            # What the scan would leave out stays out.
            allowed = [path for path in files if path in self._rows or self._scan_takes(path)]
            self._commit(allowed, [extract(self.root, path) for path in allowed])

    def _scan_takes(self, path: str) -> bool:
        target = self.root / path
        try:
            if target.is_symlink() or not target.is_file() or target.stat().st_size > self.limits.max_file_bytes:
                return False
        except OSError:
            return False
        return len(self._rows) < self.limits.max_files and takes(self.root, path, self.limits.exclude)

    def set_overlay(self, path: str, text: str | bytes) -> None:
        """An open buffer: what the editor shows counts, and not the disk, until ``close_overlay``. Never written.

        Raises:
            WorkspaceError: the language is not one of ours.
        """
        source = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        if not is_source(path):
            raise WorkspaceError(f"{path} is in no language that is indexed.")
        mark = digest(source)
        with self._reading():
            before = self._overlays.get(path)
            if before is not None and before.source == source:
                return
            if before is None:
                row = self._rows.get(path)
                if row is not None and row.hash == mark:
                    # The buffer is what the disk has: stored facts and links hold, and the tree can wait.
                    facts = self._stored_facts(path)
                    if facts is not None:
                        overlay = self._overlays[path] = Overlay(source, mark, None, facts)
                        overlay.is_stored = True
                        self._modules.put(Module(path, facts))
                        self._prepare(path)
                        return
            facts, tree, made = _read_again(path, before, source)
            known = before.facts if before is not None else self._stored_facts(path)
            if known is not None and facts.errors > known.errors and _collapsed(known, facts):
                # In the middle of an edit the parser can lose most of a file: keep its old meaning until it recovers.
                if before is not None:
                    before.source, before.hash, before.tree, before.behind = source, mark, tree, True
                    self._derived_changed()
                return
            overlay = Overlay(source, mark, tree, facts)
            self._compare(path, before, overlay, made)
            self._overlays[path] = overlay
            self._modules.put(Module(path, facts))
            if before is None and path not in self._rows:
                self._files_changed()
            self._invalidate(path, *overlay.stale, *(before.stale if before is not None else ()))

    def _compare(self, path: str, before: Overlay | None, overlay: Overlay, made: Splice | None) -> None:
        """Work out which files' links a buffer has made out of date. What a part of it did comes to what was so
        ``before``, as long as the disk has what it had then."""
        row = self._rows.get(path)
        overlay.row = row.hash if row is not None else b""
        if before is None or made is None or overlay.row not in (before.row, before.hash):
            overlay.disk, overlay.entries = self._on_disk(path, before, row)
            overlay.stale = self._stale_after(path, overlay.disk, overlay.facts, overlay.entries)
            return
        from dsassist.index.interface import touched_by_part

        stale: set[str] = set()
        if overlay.row == before.row:
            overlay.disk, overlay.entries, stale = before.disk, before.entries, before.stale
        if overlay.row != overlay.hash:
            overlay.stale = self._stale_by(path, touched_by_part(made.before, made.after, overlay.facts), stale)

    def _on_disk(self, path: str, before: Overlay | None, row: Row | None) -> tuple[Facts | None, Entries | None]:
        """What is stored for a file, with its entries; kept from one edit of an open buffer to the next."""
        if before is not None and row is not None and before.row == row.hash and before.entries is not None:
            return before.disk, before.entries
        disk = before.facts if before is not None and self._shows_disk(before, row) else self._stored_facts(path)
        if disk is None:
            return None, None
        from dsassist.index.interface import Entries

        return disk, Entries(disk)

    @staticmethod
    def _shows_disk(overlay: Overlay, row: Row | None) -> bool:
        """Are its facts those that are stored now?"""
        return overlay.is_stored and row is not None and row.hash == overlay.hash

    def _prepare(self, path: str) -> None:
        """Whoever opens a file asks about what is in it: have at hand what that takes."""
        view, module = self._view(path), self._module(path)
        if view is not None and module is not None:
            _ = view.occurrences.line, module.starts
            module.named("")

    def parse_ahead(self) -> None:
        """Parse open buffers that have not been, and load what edits take, so that the first ones need not wait."""
        import dsassist.index.interface
        import dsassist.index.splice  # noqa: F401

        with self._lock:
            todo = [(path, overlay) for path, overlay in self._overlays.items() if overlay.tree is None]
            room = _MOST_PARSED - sum(len(item.source) for item in self._overlays.values() if item.tree is not None)
        for path, overlay in todo:
            language, source = language_of(path), overlay.source
            room -= len(source)
            if language is None or room < 0 or is_generated(source):
                continue
            tree = language.parser(path).parse(source)
            with self._lock:
                if overlay.tree is None and overlay.source is source:
                    overlay.tree = tree

    def close_overlay(self, path: str) -> None:
        """The buffer is closed: the disk counts again."""
        with self._reading():
            overlay = self._overlays.pop(path, None)
            if overlay is None:
                return
            self._modules.drop(path)
            if path not in self._rows:
                self._files_changed()
            self._invalidate(path, *overlay.stale)


def _collapsed(old: Facts, new: Facts) -> bool:
    """Did the number of symbols fall by more than an edit explains?"""
    return len(new.symbols) < len(old.symbols) // 2 and len(old.symbols) - len(new.symbols) > 10


def _read_again(path: str, before: Overlay | None, source: bytes) -> tuple[Facts, Tree | None, Splice | None]:
    """Facts and tree of a buffer, with what parts of it were read where that was not all of it."""
    if before is None:
        return *facts_of(path, source), None
    from dsassist.index.languages.base import ReadsParts

    language = language_of(path)
    assert language is not None
    apart = isinstance(language, ReadsParts) and not before.behind
    apart = apart and not is_generated(before.source) and not is_generated(source)
    old = before.tree if before.tree is not None or not apart else language.parser(path).parse(before.source)
    if old is None:
        return *facts_of(path, source), None
    start, end = tell_edit(old, before.source, source)
    if apart:
        from dsassist.index.splice import Edited, spliced

        tree = language.parser(path).parse(source, old)
        made = spliced(path, before.facts, Edited(before.source, old, source, tree, start, end))
        if made is not None:
            return made.facts, tree, made
        old = tree
    return *facts_of(path, source, old), None


def tell_edit(tree: Tree, old: bytes, new: bytes) -> tuple[int, int]:
    """Tell the tree what changed between two texts: everything between their common start and end, whose places in the
    new one are given."""
    limit = min(len(old), len(new))
    start = _common(old, new, limit)
    end = _common(old[start:][::-1], new[start:][::-1], limit - start)
    tree.edit(
        start_byte=start,
        old_end_byte=len(old) - end,
        new_end_byte=len(new) - end,
        start_point=_point(old, start),
        old_end_point=_point(old, len(old) - end),
        new_end_point=_point(new, len(new) - end),
    )
    return start, len(new) - end


def _common(a: bytes, b: bytes, limit: int) -> int:
    """Length of the common start, by halving."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _point(source: bytes, at: int) -> Point:
    from tree_sitter import Point

    return Point(source.count(b"\n", 0, at), at - (source.rfind(b"\n", 0, at) + 1))
