"""Fuzzy search over the names of a workspace.

Names are searched as one text, and whether a letter is in a name is kept by letter, so that tens of thousands of names
are gone through without looking at one of them alone.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

__all__ = ["NameList"]

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")


class NameList:
    """Names in the order in which they came. Names are only ever added: whoever looks one up finds out whether it still
    exists."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: list[str] = []
        self._lower: list[str] = []
        self._known: set[str] = set()
        self._having: dict[str, bytearray] = {letter: bytearray() for letter in _LETTERS}
        """By letter, 1 for each name that has it."""
        self._joined = ""
        """All names in lower case, each after a line break, as far as they have been joined."""
        self._starts: list[int] = []
        """Where each name's line break stands in it."""
        self.add(names)

    def add(self, names: Iterable[str]) -> None:
        """Add names that are new."""
        fresh = [name for name in dict.fromkeys(names) if name not in self._known]
        if not fresh:
            return
        self._known.update(fresh)
        first = len(self._names)
        lower = [name.lower() for name in fresh]
        self._names += fresh
        self._lower += lower
        for row in self._having.values():
            row.extend(bytes(len(fresh)))
        having = self._having
        for at, text in enumerate(lower, first):
            for letter in _LETTERS.intersection(text):
                having[letter][at] = 1

    def search(self, query: str, limit: int) -> list[tuple[float, str]]:
        """The best names for a query, the best first, with a score above 0 that is 1 for the same text."""
        wanted = "".join(query.lower().split())
        if not wanted:
            return []
        self._join()
        picked = self._with(f"\n{wanted}" if len(wanted) == 1 else wanted)
        if len(wanted) > 1 and len(picked) < limit:
            # Letters apart score less than letters together: they are looked for where there is room.
            pattern = re.compile(".*?".join(map(re.escape, wanted)), re.DOTALL).search
            lower = self._lower
            picked = [at for at in self._with_letters(wanted) if pattern(lower[at])]
        scored = [(_score(self._names[at], self._lower[at], wanted, query), self._names[at]) for at in picked]
        scored.sort(key=lambda item: (-item[0], len(item[1]), item[1]))
        return scored[:limit]

    def _join(self) -> None:
        """Take the names that came since the last search into the text."""
        done = len(self._starts)
        if done < len(self._lower):
            fresh = self._lower[done:]
            begin = len(self._joined)
            self._joined += "".join(f"\n{text}" for text in fresh)
            self._starts += [begin + at for at in accumulate((len(text) + 1 for text in fresh[:-1]), initial=0)]

    def _with(self, text: str) -> list[int]:
        """Numbers of the names that have a text in them."""
        found: list[int] = []
        joined, starts = self._joined, self._starts
        at = joined.find(text)
        while at >= 0:
            number = bisect_right(starts, at) - 1
            found.append(number)
            if number + 1 == len(starts):
                break
            at = joined.find(text, starts[number + 1])
        return found

    def _with_letters(self, text: str) -> Iterator[int]:
        """Numbers of the names that have every letter of a text, in any order."""
        size = len(self._names)
        both = int.from_bytes(b"\1" * size, "little")
        for letter in _LETTERS.intersection(text):
            both &= int.from_bytes(self._having[letter], "little")
        flags = both.to_bytes(size, "little")
        at = flags.find(1)
        while at >= 0:
            yield at
            at = flags.find(1, at + 1)


def _score(name: str, lower: str, wanted: str, query: str) -> float:
    if name == query:
        return 1.0
    if lower == wanted:
        return 0.98
    size = len(wanted) / len(lower)
    if lower.startswith(wanted):
        return 0.8 + 0.15 * size
    bare = lower.lstrip("_")
    if bare.startswith(wanted):
        return 0.75 + 0.15 * size
    at = lower.find(wanted)
    if at > 0:
        boundary = name[at - 1] == "_" or (name[at].isupper() and not name[at - 1].isupper())
        return (0.6 if boundary else 0.4) + 0.15 * size
    # Letters in order: those that begin words count most.
    position = hits = 0
    for char in wanted:
        position = lower.find(char, position)
        if position < 0:
            return 0.01
        if position == 0 or name[position].isupper() or name[position - 1] == "_":
            hits += 1
        position += 1
    return 0.1 + 0.25 * hits / len(wanted) + 0.05 * size
