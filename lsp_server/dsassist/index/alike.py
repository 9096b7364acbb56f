"""Lines of other files that are written like the one at a cursor.

The names before the cursor lead to the files that use them; lines there are compared token by token, and those whose
beginning (or end, where it is the same call or assignment) agrees with what stands before the cursor show how it may go
on.
"""

from __future__ import annotations

import re

from dsassist.index.reach import Reach

__all__ = ["Alike"]

_TOKEN = re.compile(r"\w+|[^\w\s]")
_NAME = re.compile(r"[^\W\d]\w{2,}\Z")
_MOST_FILES = 8
_MOST_LINES = 24
"""Of a file that are compared."""
_COMMON = 200
"""A name that so many files use leads nowhere."""
_LARGEST = 400_000
_LONGEST = 160


class Alike(Reach):
    """See the module's docstring."""

    def alike(self, path: str, before: str, most: int = 2) -> tuple[str, ...]:
        """Up to ``most`` lines of other files that go on after what stands before the cursor, the best first."""
        here = before[before.rfind("\n") + 1 :]
        tokens = _TOKEN.findall(here)
        if not tokens:
            return ()
        if before[-1:].isalnum() or before[-1:] == "_":
            # the word at the cursor is not whole yet
            tokens.pop()
        names = [token for token in dict.fromkeys(reversed(tokens)) if _NAME.match(token)]
        with self._reading():
            files = self._files_like(path, names)
            found: dict[str, float] = {}
            for other, name in files:
                text = self._text(other)
                if len(text) > _LARGEST:
                    continue
                for line in _lines_with(text, name):
                    score = _agreement(tokens, _TOKEN.findall(line))
                    if score >= 2.0:
                        found[line] = max(found.get(line, 0.0), score)
        best = sorted(found, key=lambda line: (-found[line], len(line)))
        return tuple(best[:most])

    def _files_like(self, path: str, names: list[str]) -> list[tuple[str, str]]:
        """Other files that use a name, for the rarest names, the nearest files first."""
        known = [(name, self._store.files_with(name)) for name in names[:8]]
        known = sorted(((name, ids) for name, ids in known if 0 < len(ids) <= _COMMON), key=lambda item: len(item[1]))
        folder = path.split("/")[:-1]
        out: dict[tuple[str, str], None] = {}
        for name, ids in known[:3]:
            paths = [self._paths[number] for number in ids if number in self._paths and self._paths[number] != path]
            paths.sort(key=lambda other: (-_shared(folder, other.split("/")), other))
            for other in paths[:_MOST_FILES]:
                out[(other, name)] = None
        return list(out)[: 2 * _MOST_FILES]


def _shared(folder: list[str], other: list[str]) -> int:
    count = 0
    for mine, theirs in zip(folder, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _lines_with(text: bytes, name: str) -> list[str]:
    """Lines that hold a name, without indentation, joined with the next where a bracket stays open."""
    out: list[str] = []
    wanted, at = name.encode(), text.find(name.encode())
    while at >= 0 and len(out) < _MOST_LINES:
        start = text.rfind(b"\n", 0, at) + 1
        end = text.find(b"\n", at)
        end = len(text) if end < 0 else end
        line = text[start:end].decode("utf-8", "replace").strip()
        if not line.startswith(("#", "//", "*", "import ", "from ")):
            if line.endswith(("(", "[", "{")):
                line += text[end : end + _LONGEST].decode("utf-8", "replace")
                line = " ".join(line.split())
            out.append(line[:_LONGEST])
        at = text.find(wanted, end)
    return out


def _agreement(mine: list[str], line: list[str]) -> float:
    """How many of the last tokens before the cursor stand in a line in the same order, with something after them; names
    count more."""
    best = 0.0
    for end in range(1, len(line)):
        if line[end - 1] != mine[-1]:
            continue
        score = 0.0
        for back in range(min(len(mine), end)):
            if mine[-1 - back] != line[end - 1 - back]:
                break
            score += 1.0 if _NAME.match(mine[-1 - back]) else 0.4
        best = max(best, score)
    return best
