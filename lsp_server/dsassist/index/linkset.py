"""The packed links of one file: for every occurrence what it denotes, and how sure that is."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress

from dsassist.index.answer import EXTERNAL, UNKNOWN, Answer, Target
from dsassist.index.facts import Occurrences, narrow, pack, unpack, widen
from dsassist.index.model import Level

__all__ = ["OWN", "LinkSet"]

OWN, _UNKNOWN, _EXTERNAL, _FIRST = 0, 1, 2, 3
"""Values of the column: the symbol of the file itself, nothing known, outside the workspace, then numbers of
answers."""


_NONE: frozenset[int] = frozenset()
_Row = tuple[int, bool, list[tuple[int, str]]]
"""Level, known, targets."""


class LinkSet:
    """``column[i]`` says what occurrence i denotes: ``OWN``, or the number of an answer.

    Answers stay as they are stored until one is asked for: most of a file's are not.
    """

    __slots__ = ("_answers", "_paths", "_rows", "column")

    def __init__(self, column: Sequence[int], paths: list[str], rows: list[_Row]) -> None:
        self.column = column
        self._paths = paths
        self._rows = rows
        """Answers from ``_FIRST`` on; their targets' files are numbers of ``paths``."""
        self._answers: dict[int, Answer] = {OWN: UNKNOWN, _UNKNOWN: UNKNOWN, _EXTERNAL: EXTERNAL}

    @classmethod
    def build(cls, occurrences: Occurrences, imported: set[int], answers: Sequence[Answer]) -> LinkSet:
        """From the answers to a file's linkable occurrences, in order."""
        table: dict[Answer, int] = {UNKNOWN: _UNKNOWN, EXTERNAL: _EXTERNAL}
        column = array("I", bytes(4 * len(occurrences.ref)))
        following = iter(answers)
        for index, (role, ref) in enumerate(zip(occurrences.role, occurrences.ref, strict=True)):
            if role & 7 or ref < 0 or ref in imported:
                column[index] = table.setdefault(next(following), len(table) + 1)
        paths: dict[str, int] = {}
        rows = [
            (
                int(answer.level),
                answer.known,
                [(paths.setdefault(path, len(paths)), name) for path, name in answer.targets],
            )
            for answer in list(table)[2:]
        ]
        return cls(column, list(paths), rows)

    def pack(self) -> bytes:
        """As a blob. Equal links have equal bytes."""
        return pack(("\n".join(self._paths), self._rows, narrow(self.column)))

    @classmethod
    def unpack(cls, blob: bytes) -> LinkSet:
        """Of ``pack``'s result.

        Raises:
            IndexingError: the blob is damaged.
        """
        joined, rows, column = unpack(blob)
        return cls(widen(column), joined.split("\n"), rows)

    def answer(self, index: int) -> Answer | None:
        """What occurrence ``index`` denotes, None for a symbol of the file itself."""
        value = self.column[index]
        return None if value == OWN else self._answer(value)

    def _answer(self, value: int) -> Answer:
        found = self._answers.get(value)
        if found is None:
            level, known, targets = self._rows[value - _FIRST]
            paths = self._paths
            made = tuple((paths[path], name) for path, name in targets)
            found = self._answers[value] = Answer(made, Level(level), known)
        return found

    def level(self, value: int) -> Level:
        """How sure the answer with that number is."""
        return Level(self._answer(value).level)

    def numbers(self, targets: Iterable[Target]) -> frozenset[int]:
        """Which answers have one of the targets."""
        wanted = set()
        for path, name in targets:
            with suppress(ValueError):  # a file that none of the answers names
                wanted.add((self._paths.index(path), name))
        if not wanted:
            return _NONE
        if len(wanted) == 1:
            (only,) = wanted
            return frozenset(number for number, row in enumerate(self._rows, _FIRST) if only in row[2])
        return frozenset(number for number, row in enumerate(self._rows, _FIRST) if not wanted.isdisjoint(row[2]))
