"""Pieces of other files in an order that all documents of a workspace share.

With room for thousands of tokens of other files, reading them is what costs, and the engine reads nothing twice that
stands at the front of a prompt in the same order. So pieces stay where they are once they were used: what a site needs
and is not there yet is put at the end, and the prompts of all documents begin alike. When the shelf is full, what was
used longest ago leaves, half of it at once, because everything behind a gap is read anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from dsassist.backend.types import ContextFile

__all__ = ["Shelf"]


@dataclass(slots=True)
class _Kept:
    text: str
    used: int


class Shelf:
    """Holds at most ``budget`` characters of other files, one text a file."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._kept: dict[str, _Kept] = {}
        self._clock = itertools.count()

    def lay(self, files: Sequence[ContextFile], path: str) -> tuple[ContextFile, ...]:
        """Everything on the shelf after ``files`` came to it, in its order, but for ``path``, the open document."""
        tick = next(self._clock)
        for file in files:
            if len(file.text) > self.budget or file.path == path:
                continue
            kept = self._kept.get(file.path)
            if kept is None or kept.text != file.text:
                # a text that changed is read anew anyhow: at the end, where changes cost least
                self._kept.pop(file.path, None)
                self._kept[file.path] = _Kept(file.text, tick)
            else:
                kept.used = tick
        if self._size() > self.budget:
            self._shrink(self.budget // 2, tick)
        return tuple(ContextFile(name, kept.text) for name, kept in self._kept.items() if name != path)

    def forget(self, path: str) -> None:
        """A file was edited or is gone."""
        self._kept.pop(path, None)

    def _size(self) -> int:
        return sum(len(kept.text) for kept in self._kept.values())

    def _shrink(self, wanted: int, tick: int) -> None:
        for name in sorted(self._kept, key=lambda name: self._kept[name].used):
            size = self._size()
            # what was asked for just now leaves only where it is too much by itself
            if size <= wanted or (self._kept[name].used == tick and size <= self.budget):
                return
            del self._kept[name]
