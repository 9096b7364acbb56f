"""Files that are like the text around a cursor, and their texts, kept between keys."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dsassist.index.outline import Outlines

__all__ = [
    "BLOCK_LINES",
    "COMMON",
    "LARGEST",
    "NEAR_LINES",
    "WORD_SIGN",
    "Nearby",
    "likeness",
    "member_places",
    "names_near",
    "places",
]

BLOCK_LINES = 32
NEAR_LINES = 32
"""Lines before and after the cursor that are compared."""
LARGEST = 200_000
"""Bytes of a file that is looked at."""
_MOST_NAMES = 40
COMMON = 400
"""A name that so many files use leads nowhere."""
_MOST_FILES = 12
_KEPT_BYTES = 8 << 20
"""Of texts of files that were looked at last; what is kept with them takes about as much again."""

WORD_SIGN = re.compile(rb"\w")
_LONG_NAME = re.compile(rb"[^\W\d]\w{2,}")


class Nearby(Outlines):
    """See the module's docstring."""

    _texts: OrderedDict[str, _Held] | None = None
    _texts_bytes = 0
    _liked: tuple[str, frozenset[bytes], list[str]] = ("", frozenset(), [])

    def _invalidate(self, *paths: str) -> None:
        self._liked = ("", frozenset(), [])
        super()._invalidate(*paths)

    def _files_like(self, path: str, near: frozenset[bytes]) -> list[str]:
        """Other files that share the most names, a rare name counting more."""
        if self._liked[:2] == (path, near):
            return self._liked[2]
        known = self._store.files_with_each([name.decode("utf-8", "replace") for name in sorted(near)])
        few = sorted((ids for _, ids in known if 0 < len(ids) <= COMMON), key=len)[:_MOST_NAMES]
        weights: dict[str, float] = {}
        for ids in few:
            for number in ids:
                other = self._paths.get(number)
                if other is not None and other != path:
                    weights[other] = weights.get(other, 0.0) + 1.0 / len(ids)
        best = sorted(weights, key=lambda other: (-weights[other], other))[:_MOST_FILES]
        self._liked = (path, near, best)
        return best

    def _passages_like(self, path: str, near: frozenset[bytes]) -> Iterator[tuple[float, str, int]]:
        """Passages of these files: how like the text around the cursor they are, the file, and the first line."""
        for other in self._files_like(path, near):
            if len(self._text(other)) <= LARGEST:
                for number, names in enumerate(self._passages_of(other)):
                    yield likeness(near, names), other, number * BLOCK_LINES

    def _text(self, path: str) -> bytes:
        """A file's current bytes, kept while it stays as it is on the disk."""
        return super()._text(path) if path in self._overlays else self._held(path).text

    def _held(self, path: str) -> _Held:
        if self._texts is None:
            self._texts = OrderedDict()
        try:
            status = os.stat(f"{self.root}/{path}")  # noqa: PTH116 - a path object takes longer than all the rest
        except OSError:
            return _NOTHING_HELD
        stamp = (status.st_mtime_ns, status.st_size)
        held = self._texts.pop(path, None)
        if held is not None:
            self._texts_bytes -= len(held.text)
        if held is None or held.stamp != stamp:
            held = _Held(stamp, super()._text(path))
        if len(held.text) <= LARGEST:
            self._texts[path] = held
            self._texts_bytes += len(held.text)
            while self._texts_bytes > _KEPT_BYTES:
                self._texts_bytes -= len(self._texts.popitem(last=False)[1].text)
        return held

    def _passages_of(self, path: str) -> list[frozenset[bytes]]:
        """The names of the passages of a file: two blocks of `BLOCK_LINES`, the second of which begins the next one."""
        if path in self._overlays:
            return _passages(self._text(path))
        held = self._held(path)
        if held.passages is None:
            held.passages = _passages(held.text)
        return held.passages


@dataclass(slots=True)
class _Held:
    stamp: tuple[int, int]
    """Time of the last change in nanoseconds, and size."""
    text: bytes
    passages: list[frozenset[bytes]] | None = None


_NOTHING_HELD = _Held((0, 0), b"", [])


def names_near(lines: Iterable[bytes]) -> frozenset[bytes]:
    """Names of three letters and more."""
    return frozenset(_LONG_NAME.findall(b"\n".join(lines)))


def likeness(one: frozenset[bytes], other: frozenset[bytes]) -> float:
    """The Jaccard index."""
    both = len(one & other)
    return both / max(len(one) + len(other) - both, 1)


def _passages(text: bytes) -> list[frozenset[bytes]]:
    lines: Sequence[bytes] = text.splitlines()
    names = [names_near(lines[start : start + BLOCK_LINES]) for start in range(0, len(lines), BLOCK_LINES)]
    return [frozenset().union(*names[number : number + 2]) for number in range(max(1, len(names) - 1))]


def places(text: bytes, part: bytes) -> Iterator[int]:
    """Where a part of a text begins, each time it is there."""
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + len(part))


def member_places(text: bytes, name: bytes, signs: Iterable[bytes]) -> Iterator[int]:
    """Where a name stands as a member, behind one of the signs."""
    for sign in signs:
        for at in places(text, sign + name):
            place = at + len(sign)
            if not WORD_SIGN.match(text, place + len(name)):
                yield place
