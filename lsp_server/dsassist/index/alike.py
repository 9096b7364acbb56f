"""Passages of other files that are written like the text around a cursor.

Code of one kind repeats itself in a workspace: the next handler, test or subclass is written as the last one was, and
what stands there is what the line at the cursor wants. The rarer names around the cursor lead to the files that use
them; passages of these are compared by the names they share (the Jaccard index, as llama.vscode compares chunks).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dsassist.index.echo import BLOCK_LINES
from dsassist.index.rank import ContextPiece, overlap
from dsassist.index.reach import Reach

__all__ = ["PASSAGE_BYTES", "Alike"]

_NAME = re.compile(rb"[^\W\d]\w{2,}")
_NEAR_LINES = 32
"""Lines before and after the cursor that are compared."""
_PASSAGE_LINES = 2 * BLOCK_LINES
_MOST_NAMES = 40
_COMMON = 400
"""A name that so many files use leads nowhere."""
_MOST_FILES = 12
_LARGEST = 200_000
_LEAST = 200
"""Bytes of a passage that are worth their place in a prompt."""
PASSAGE_BYTES = 2450
"""The most that passages take. On 39 sites of six packages, they gave 10.3% exact matches where as many bytes of
definitions gave 5.1%."""


class Alike(Reach):
    """See the module's docstring."""

    def pieces_for(self, path: str, line: int, before: str, after: str, budget_bytes: int) -> tuple[ContextPiece, ...]:
        """What someone who writes at a cursor should read of other files: passages like the text there, and with what
        they leave of the budget the definitions that matter (`context_for`)."""
        passages = self.alike(path, before, after, min(budget_bytes, PASSAGE_BYTES))
        left = budget_bytes - sum(len(piece.text.encode("utf-8", "replace")) for piece in passages)
        definitions = self.context_for(path, line, 0, left) if left >= _LEAST else ()
        return passages + tuple(
            piece
            for piece in definitions
            if not any(piece.path == other.path and overlap(piece.lines, other.lines) for other in passages)
        )

    def alike(self, path: str, before: str, after: str, budget_bytes: int) -> tuple[ContextPiece, ...]:
        """Passages of other files like the text around a cursor, the best first, ``budget_bytes`` together at most."""
        lines = before.split("\n")[-_NEAR_LINES:] + after.split("\n")[:_NEAR_LINES]
        near = frozenset(_NAME.findall("\n".join(lines).encode("utf-8", "replace")))
        found: list[tuple[float, str, int]] = []
        with self._reading():
            for other in self._files_like(path, near):
                if len(self._text(other)) <= _LARGEST:
                    for number, names in enumerate(self._passages_of(other)):
                        shared = len(near & names)
                        found.append((shared / max(len(near) + len(names) - shared, 1), other, number * BLOCK_LINES))
            found.sort(key=lambda item: (-item[0], item[1], item[2]))
            return self._cut(found, budget_bytes)

    def _cut(self, found: list[tuple[float, str, int]], budget_bytes: int) -> tuple[ContextPiece, ...]:
        pieces: list[ContextPiece] = []
        for like, other, start in found:
            if budget_bytes < _LEAST:
                break
            if any(piece.path == other and abs(piece.lines[0] - start) < _PASSAGE_LINES for piece in pieces):
                continue
            passage = b"".join(self._text(other).splitlines(keepends=True)[start : start + _PASSAGE_LINES])
            cut = passage if len(passage) <= budget_bytes else passage[: passage.rfind(b"\n", 0, budget_bytes) + 1]
            if not cut.strip():
                continue
            budget_bytes -= len(cut)
            text = cut.decode("utf-8", "replace")
            pieces.append(ContextPiece(other, "", text, 1.0 + like, (start, start + text.count("\n")), is_usage=True))
        return tuple(pieces)

    def _files_like(self, path: str, names: Iterable[bytes]) -> list[str]:
        """Other files that share the most names, a rare name counting more."""
        known = self._store.files_with_each([name.decode("utf-8", "replace") for name in sorted(names)])
        few = sorted((ids for _, ids in known if 0 < len(ids) <= _COMMON), key=len)[:_MOST_NAMES]
        weights: dict[str, float] = {}
        for ids in few:
            for number in ids:
                other = self._paths.get(number)
                if other is not None and other != path:
                    weights[other] = weights.get(other, 0.0) + 1.0 / len(ids)
        return sorted(weights, key=lambda other: (-weights[other], other))[:_MOST_FILES]
