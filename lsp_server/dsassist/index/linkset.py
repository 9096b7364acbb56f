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
_START, _END, _ROW = "\x01", "\x02", "\n"
"""Around each target, and behind the targets of an answer."""


class LinkSet:
    """``column[i]`` says what occurrence i denotes: ``OWN``, or the number of an answer.

    Answers stay one text until one is asked for: most of a file's are not, and a text is searched and loaded many times
    quicker than lists are.
    """

    __slots__ = ("_answers", "_levels", "_paths", "_rows", "_targets", "column")

    def __init__(self, column: Sequence[int], paths: list[str], levels: bytes, targets: str) -> None:
        self.column = column
        self._paths = paths
        self._levels = levels
        """Of the answers from ``_FIRST`` on: twice the level, and 1 more where the answer is known."""
        self._targets = targets
        """Of the same answers; a target is the number of its file in ``paths``, a space, and a qualified name."""
        self._rows: list[str] | None = None
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
        stored = list(table)[2:]
        targets = [
            "".join(f"{_START}{paths.setdefault(path, len(paths))} {name}{_END}" for path, name in answer.targets)
            + _ROW
            for answer in stored
        ]
        levels = bytes(2 * answer.level + answer.known for answer in stored)
        return cls(column, list(paths), levels, "".join(targets))

    def pack(self) -> bytes:
        """As a blob. Equal links have equal bytes."""
        return pack(("\n".join(self._paths), self._levels, self._targets, narrow(self.column)))

    @classmethod
    def unpack(cls, blob: bytes) -> LinkSet:
        """Of ``pack``'s result.

        Raises:
            IndexingError: the blob is damaged.
        """
        joined, levels, targets, column = unpack(blob)
        return cls(widen(column), joined.split("\n"), levels, targets)

    def answer(self, index: int) -> Answer | None:
        """What occurrence ``index`` denotes, None for a symbol of the file itself."""
        value = self.column[index]
        return None if value == OWN else self._answer(value)

    def _answer(self, value: int) -> Answer:
        found = self._answers.get(value)
        if found is None:
            if self._rows is None:
                self._rows = self._targets.split(_ROW)
            row, how = self._rows[value - _FIRST], self._levels[value - _FIRST]
            targets = (target.split(" ", 1) for target in row[1:-1].split(f"{_END}{_START}") if target)
            made = tuple((self._paths[int(path)], name) for path, name in targets)
            found = self._answers[value] = Answer(made, Level(how >> 1), bool(how & 1))
        return found

    def level(self, value: int) -> Level:
        """How sure the answer with that number is."""
        return Level(self._answer(value).level)

    def numbers(self, targets: Iterable[Target]) -> frozenset[int]:
        """Which answers have one of the targets."""
        found: set[int] = set()
        for path, name in targets:
            with suppress(ValueError):  # a file that none of the answers names
                wanted = f"{_START}{self._paths.index(path)} {name}{_END}"
                at = self._targets.find(wanted)
                while at >= 0:
                    found.add(_FIRST + self._targets.count(_ROW, 0, at))
                    at = self._targets.find(wanted, at + 1)
        return frozenset(found) if found else _NONE
