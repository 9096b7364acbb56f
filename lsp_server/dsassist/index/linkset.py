"""The packed links of one file: for every occurrence what it denotes, and how sure that is."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from dsassist.index.facts import Occurrences, narrow, pack, unpack, widen
from dsassist.index.model import Level
from dsassist.index.resolve import EXTERNAL, UNKNOWN, Answer, Target

__all__ = ["OWN", "LinkSet"]

OWN, _UNKNOWN, _EXTERNAL, _FIRST = 0, 1, 2, 3
"""Values of the column: the symbol of the file itself, nothing known, outside the workspace, then numbers of
answers."""


_NONE: frozenset[int] = frozenset()


@dataclass(slots=True)
class LinkSet:
    """``column[i]`` says what occurrence i denotes: ``OWN``, or the number of an answer."""

    column: Sequence[int]
    answers: list[Answer]
    _by_target: dict[Target, frozenset[int]] | None = None

    @classmethod
    def build(cls, occurrences: Occurrences, imported: set[int], answers: Sequence[Answer]) -> LinkSet:
        """From the answers to a file's linkable occurrences, in order."""
        table: dict[Answer, int] = {UNKNOWN: _UNKNOWN, EXTERNAL: _EXTERNAL}
        column = array("I", bytes(4 * len(occurrences.ref)))
        following = iter(answers)
        for index, (role, ref) in enumerate(zip(occurrences.role, occurrences.ref, strict=True)):
            if role & 7 or ref < 0 or ref in imported:
                column[index] = table.setdefault(next(following), len(table) + 1)
        return cls(column, [UNKNOWN, UNKNOWN, EXTERNAL, *list(table)[2:]])

    def pack(self) -> bytes:
        """As a blob. Equal links have equal bytes."""
        paths: dict[str, int] = {}
        rows = [
            (
                int(answer.level),
                answer.known,
                [(paths.setdefault(path, len(paths)), name) for path, name in answer.targets],
            )
            for answer in self.answers[_FIRST:]
        ]
        return pack(("\n".join(paths), rows, narrow(self.column)))

    @classmethod
    def unpack(cls, blob: bytes) -> LinkSet:
        """Of ``pack``'s result.

        Raises:
            IndexingError: the blob is damaged.
        """
        joined, rows, column = unpack(blob)
        paths = joined.split("\n")
        answers = [UNKNOWN, UNKNOWN, EXTERNAL]
        for level, known, targets in rows:
            answers.append(Answer(tuple((paths[path], name) for path, name in targets), Level(level), known))
        return cls(widen(column), answers)

    def answer(self, index: int) -> Answer | None:
        """What occurrence ``index`` denotes, None for a symbol of the file itself."""
        value = self.column[index]
        return None if value == OWN else self.answers[value]

    def numbers(self, target: Target) -> frozenset[int]:
        """Which answers have the target."""
        if self._by_target is None:
            table: dict[Target, set[int]] = {}
            for number, answer in enumerate(self.answers):
                for item in answer.targets:
                    table.setdefault(item, set()).add(number)
            self._by_target = {item: frozenset(numbers) for item, numbers in table.items()}
        return self._by_target.get(target, _NONE)
