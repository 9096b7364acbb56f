"""How others wrote what is being written: the lines of other files that use a member of the receiver at a cursor, or
call what is called there.

A signature tells what may be written, a use what usually is: which member stands behind such a receiver in such a
statement, and what its arguments are called. The lines are found by name, so a member of another class that has the
name is found too; the likeness of the lines around puts it behind.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, islice
from operator import itemgetter
from typing import TypeVar

from dsassist.index.chain import Chain, OpenCall
from dsassist.index.nearby import (
    BLOCK_LINES,
    COMMON,
    LARGEST,
    NEAR_LINES,
    WORD_SIGN,
    Nearby,
    likeness,
    member_places,
    names_near,
    places,
)
from dsassist.index.outline import Outline

__all__ = ["Echo", "Use"]

MOST_USES = 6
_MOST_FILES = 24
_MOST_COUNTED = 4_000
"""Files, over all names: the commonest names say little about where to look."""
_MOST_SEARCHED = 48 << 20
"""Bytes, over all files and names: some ten milliseconds."""
_HITS_A_FILE = 8
"""Of one name."""
_PLACES_A_FILE = 24
"""Of a receiver, or of what is called."""
_MOST_HITS = 500
_MOST_OF_A_NAME = 2
"""Uses of one name that are given: the others serve other names."""
_SHORTEST = 4
"""A shorter name is no help where nothing is known of what it names."""
_LONGEST_LINE = 160
_MOST_LINES = 4
_MOST_CHARACTERS = 260
_FAR, _NEAR, _NEXT = 32, 8, 3
"""Lines before and after a use that are compared with those around the cursor, in three circles."""
_FAR_WEIGHT = 4.8
_LOOKED_AT = 40
"""Of the uses that begin their line like the cursor's, so many are compared by what is around them."""
_LEAST, _LEAST_OF_BEST = 6.5, 0.55
"""What is less like the cursor's place, or so much less than the best, misleads more often than it helps: of the lines
below the first bound one in six has the name that is wanted, and one in thirty goes on as wanted."""
_COMMENTS = ("#", "//", "*", "/*")
_MERGE_MARKS = ("<<<<<<<", "=======", ">>>>>>>")
_ASKED = 400
"""Characters before the cursor that tell one question from another."""
_DEEP = 150
"""Lines above a use in which its function begins, if that plays a part."""

_NAME = re.compile(rb"[^\W\d]\w*")
_TOKEN = re.compile(rb"\w+|[^\w\s]")
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_STEM = 5
_BEFORE_MEMBER = (b".", b"->", b"::")
_DOTS_ALONE = (".py", ".pyi", ".js", ".jsx", ".mjs", ".ts", ".tsx", ".java", ".go")
_THEN_MEMBER = re.compile(rb"(?:\(\))?(?:\.|->|::)([^\W\d]\w*)")
_DECLARES = re.compile(rb"\b(?:def|class|function|func|fn|interface|struct)\s+\Z")
_MAKES = re.compile(rb"(?:self|this)\.\w+\s*(?::[^=\n]*)?=(?!=)")
"""A field that a class gives itself: that is how it is made, not how it is used."""
_OWNER = re.compile(rb"\s*(?:[a-z]+\s+){0,3}?(?:def|class|function|func|fn|impl|interface)\s+(\w+)")
_ITSELF = ([b"self"], [b"this"], [b"cls"])
_OPENED, _CLOSED = "([{", ")]}"
_T = TypeVar("_T")


_Hit = tuple[str, bytes, str, int]
"""Path, text, name, and where in the text the name stands."""


def _place(hit: _Hit) -> tuple[str, int]:
    return hit[0], hit[3]


@dataclass(frozen=True, slots=True)
class Use:
    """A use of ``name`` in another file. ``lines`` are what stands there, without the indentation they share."""

    path: str
    name: str
    lines: tuple[str, ...]


class Echo(Nearby):
    """See the module's docstring."""

    _echoed: tuple[tuple[str, int, str], tuple[Use, ...]] = (("", -1, ""), ())

    def _invalidate(self, *paths: str) -> None:
        if any(path != self._echoed[0][0] for path in paths):
            self._echoed = (("", -1, ""), ())
        super()._invalidate(*paths)

    def _uses_like(
        self,
        path: str,
        line: int,
        before: str,
        typed: str,
        chain: Chain | None,
        members: Sequence[Outline],
        calls: Sequence[OpenCall],
    ) -> tuple[Use, ...]:
        """The best first. While a name is typed the answer stays: what is asked is what stands before it."""
        head = before[: len(before) - len(typed)]
        asked = (path, line, head[-_ASKED:])
        if self._echoed[0] == asked:
            return self._echoed[1]
        cursor = self._cursor(path, line, head)
        found: list[_Hit] = []
        if chain is not None:
            names = {name for outline in members for name, _ in outline.members}
            if names:
                found = list(islice(self._members_used(cursor, names), _MOST_HITS))
            elif (last := _last_name(chain)) and len(last) >= _SHORTEST:
                found = list(self._receiver_used(cursor, last))
        elif calls and (callee := _last_name(calls[0].callee)) and len(callee) >= _SHORTEST:
            found = list(self._called(cursor, callee))
        if chain is not None or calls:
            found += self._begun_alike(cursor)
        uses = self._best(cursor, found)
        self._echoed = (asked, uses)
        return uses

    def _cursor(self, path: str, line: int, head: str) -> _Cursor:
        above = head.encode("utf-8", "replace").split(b"\n")
        rest, *below = self._text(path).split(b"\n", line + _FAR + 1)[line : line + 1 + _FAR] or [b""]
        here = above[-1]
        near = names_near([*above[-NEAR_LINES:], rest[len(here) :] if rest.startswith(here) else b"", *below[:-1]])
        return _Cursor(path, above, below, near)

    def _best(self, cursor: _Cursor, found: Sequence[_Hit]) -> tuple[Use, ...]:
        """The uses that are most like the cursor's place. What files around it are like is known for the passages that
        are most like it, and counts before the places themselves are compared."""
        if not found:
            return ()
        hits = dict.fromkeys(found)
        around = self._around_hits(cursor, hits)
        ordered = sorted(
            hits, key=lambda hit: (-cursor.begins_like(hit) - _FAR_WEIGHT * around.get(hit, 0.0), hit[0], hit[3])
        )
        scored = sorted(
            ((cursor.likeness(hit), hit) for hit in ordered[:_LOOKED_AT]),
            key=lambda item: (-item[0], item[1][0], item[1][3]),
        )
        least = max(_LEAST, _LEAST_OF_BEST * scored[0][0])
        uses: list[Use] = []
        seen: set[str] = set()
        count: dict[str, int] = {}
        for score, (other, text, name, at) in scored:
            if score < least or len(uses) == MOST_USES:
                break
            lines = _statement(text, at)
            if count.get(name, 0) >= _MOST_OF_A_NAME or lines[0] in seen or lines[0].startswith(_COMMENTS):
                continue
            if any(line.startswith(_MERGE_MARKS) for line in lines):
                continue
            seen.add(lines[0])
            count[name] = count.get(name, 0) + 1
            uses.append(Use(other, name, lines))
        return tuple(uses)

    def _around_hits(self, cursor: _Cursor, hits: Iterable[_Hit]) -> dict[_Hit, float]:
        """How like the text around the cursor the passages are that uses are in, in the files most like it."""
        alike = frozenset(self._files_like(cursor.path, cursor.near))
        found: dict[_Hit, float] = {}
        for path, of_file in groupby(sorted((hit for hit in hits if hit[0] in alike), key=_place), key=itemgetter(0)):
            known = self._passages_of(path)
            line = last = 0
            compared: dict[int, float] = {}
            for hit in of_file:
                line += hit[1].count(b"\n", last, hit[3])
                last = hit[3]
                # the passage in whose middle it stands
                number = min(max(line - BLOCK_LINES // 2, 0) // BLOCK_LINES, len(known) - 1)
                if number not in compared:
                    compared[number] = likeness(cursor.near, known[number])
                found[hit] = compared[number]
        return found

    # Where the names are

    def _begun_alike(self, cursor: _Cursor) -> Iterator[_Hit]:
        """Lines that begin as all of the cursor's line does, in the files that are most like what is around it."""
        begun = cursor.line.strip()
        if len(_NAME.findall(begun)) < 2:
            return
        for other in self._files_like(cursor.path, cursor.near):
            text = self._text(other)
            for at in islice(places(text, begun), _PLACES_A_FILE) if len(text) <= LARGEST else ():
                named = _NAME.match(text, at + len(begun))
                if named and not text[text.rfind(b"\n", 0, at) + 1 : at].strip():
                    yield other, text, named[0].decode("utf-8", "replace"), named.start()

    def _members_used(self, cursor: _Cursor, names: Collection[str]) -> Iterator[_Hit]:
        """Uses of some of the names as members."""
        left = _MOST_SEARCHED
        for other, named in self._files_using(cursor, names).items():
            text = self._text(other)
            left -= len(text) * len(named)
            if len(text) > LARGEST or left < 0:
                continue
            signs = (b".",) if other.endswith(_DOTS_ALONE) else _BEFORE_MEMBER
            for name in named:
                for at in islice(member_places(text, name.encode(), signs), _HITS_A_FILE):
                    if not _MAKES.match(text, max(at - 5, 0)):
                        yield other, text, name, at

    def _receiver_used(self, cursor: _Cursor, receiver: str) -> Iterator[_Hit]:
        """Members of what has the receiver's name elsewhere."""
        word = receiver.encode()
        for other in self._files_using(cursor, [receiver]):
            text = self._text(other)
            for at in _word_places(text, word):
                if match := _THEN_MEMBER.match(text, at + len(word)):
                    yield other, text, match[1].decode("utf-8", "replace"), match.start(1)

    def _called(self, cursor: _Cursor, callee: str) -> Iterator[_Hit]:
        word = callee.encode() + b"("
        for other in self._files_using(cursor, [callee]):
            text = self._text(other)
            for at in _word_places(text, word):
                if not _DECLARES.search(text, max(at - 16, 0), at):
                    yield other, text, callee, at

    def _files_using(self, cursor: _Cursor, names: Collection[str]) -> dict[str, list[str]]:
        """Other files that use the names, and which of them each one uses: those most like the text around the cursor
        first, then those that use the most, a rare name counting more."""
        path = cursor.path
        weights: dict[str, float] = {}
        named: dict[str, list[str]] = {}
        common: list[str] = []
        counted = 0
        for name, ids in sorted(self._store.files_with_each(sorted(names)), key=lambda found: len(found[1])):
            counted += len(ids)
            if len(ids) > COMMON or counted > _MOST_COUNTED:
                common.append(name)
                continue
            for number in ids:
                other = self._paths.get(number)
                if other is not None and other != path:
                    weights[other] = weights.get(other, 0.0) + 1.0 / len(ids)
                    named.setdefault(other, []).append(name)
        folder = path.rpartition("/")[0]
        for other in weights:
            weights[other] *= 1 + (other.rpartition("/")[0] == folder)
        alike = [other for other in self._files_like(path, cursor.near) if other in weights]
        best = dict.fromkeys((*alike, *sorted(weights, key=lambda other: (-weights[other], other))))
        # what an editor holds may say more than the index has stored of it
        return {
            other: sorted(names) if other in self._overlays else sorted(named[other] + common)
            for other in islice(best, _MOST_FILES)
        }


def _word_places(text: bytes, word: bytes) -> Iterator[int]:
    """Where a word that nothing lengthens to the left stands, the first few places."""
    if len(text) <= LARGEST:
        found = (at for at in places(text, word) if not WORD_SIGN.match(text, max(at - 1, 0), at))
        yield from islice(found, _PLACES_A_FILE)


class _Cursor:
    """What uses are compared with. The weights are a logistic fit to 440 lines of four packages, rounded."""

    def __init__(self, path: str, above: list[bytes], below: list[bytes], near: frozenset[bytes]) -> None:
        self.path, self.line, self.near = path, above[-1], near
        self._folder = path.rpartition("/")[0]
        self._tokens = _TOKEN.findall(above[-1])
        self._circles = [_names(above[-size - 1 :] + below[:size]) for size in (_FAR, _NEAR, _NEXT)]
        self._known = _names(above[-_FAR:] + below[: _FAR // 2])
        self._parts = _parts(b"\n".join([*above[-_NEAR:], *below[: _NEAR // 2]]).decode("utf-8", "replace"))
        self._beside = _names([_last(above[:-1])]), _names([_last(below[:_NEXT][::-1])])
        self._owner = _owner(above[:-1], _indent(above[-1]))
        self._begins: dict[tuple[str, int], float] = {}

    def begins_like(self, hit: _Hit) -> float:
        """How far the line of a use is like the cursor's up to the name, and the name like the words nearby."""
        path, text, name, at = hit
        before = _TOKEN.findall(text, text.rfind(b"\n", 0, at) + 1, at)
        mine, same = self._tokens, 0
        while same < min(len(before), len(mine)) and before[-1 - same] == mine[-1 - same]:
            same += 1
        parts = _parts_of_name(name)
        score = (
            0.36 * min(same, 8)
            + 1.0 * (same == len(before) == len(mine))
            + 1.2 * (same >= 2)
            + 1.4 * (bool(before) and before[:1] == mine[:1])
            # what a class does with itself is not what others do with it
            - 1.5 * ((before[-2:-1] in _ITSELF) != (mine[-2:-1] in _ITSELF))
            + 1.2 * len(parts & self._parts) / max(len(parts), 1)
            + 0.6 * (path.rpartition("/")[0] == self._folder)
        )
        self._begins[path, at] = score
        return score

    def likeness(self, hit: _Hit) -> float:
        """Of a use as a whole: its line, the lines beside it and around it, and the function it is in."""
        path, text, _, at = hit
        above = text[max(text.rfind(b"\n", 0, at) - 8_000, 0) : at].split(b"\n")[-_DEEP - 1 :]
        rest, *below = text[at : at + 4_000].split(b"\n")[: _FAR + 1]
        line = above[-1] + rest
        arguments = _NAME.findall(rest)[1:]
        known = (sum(word in self._known for word in arguments) + 0.5) / (len(arguments) + 1)
        owner = _owner(above[:-1], _indent(line))
        far, near, beside = self._circles
        return (
            self._begins[path, at]
            + _FAR_WEIGHT * _shared(_names([*above[-_FAR - 1 : -1], line, *below]), far)
            + 4.2 * _shared(_names([*above[-_NEAR - 1 : -1], line, *below[:_NEAR]]), near)
            + 5.0 * _shared(_names([*above[-_NEXT - 1 : -1], *below[:_NEXT]]), beside)
            + 1.2 * _shared(_names([_last(above[-_NEXT - 1 : -1])]), self._beside[0])
            + 1.6 * _shared(_names([_last(below[:_NEXT][::-1])]), self._beside[1])
            + 0.8 * (bool(owner) and owner == self._owner)
            + 1.2 * _shared(_parts_of_name(owner), _parts_of_name(self._owner))
            + 0.8 * known
            + 0.018 * min(len(rest), 100)
        )


def _names(lines: Sequence[bytes]) -> frozenset[bytes]:
    return frozenset(_NAME.findall(b"\n".join(lines)))


def _shared(one: frozenset[_T], other: frozenset[_T]) -> float:
    """The Jaccard index."""
    both = len(one & other)
    return both / max(len(one) + len(other) - both, 1)


def _last(lines: Sequence[bytes]) -> bytes:
    """The last line that is not blank."""
    return next((line for line in reversed(lines) if line.strip()), b"")


def _indent(line: bytes) -> int:
    return len(line) - len(line.lstrip())


def _owner(above: Sequence[bytes], indent: int) -> str:
    """The name of the function or class that a line with such an indentation is in."""
    for line in reversed(above):
        if line[:indent].strip() and (found := _OWNER.match(line)):
            return found[1].decode("utf-8", "replace")
    return ""


def _last_name(chain: Chain) -> str:
    named = [text for kind, text in chain.steps if kind == "attribute"]
    return named[-1] if named else chain.base


def _parts(text: str) -> frozenset[str]:
    """Words that names are made of, each cut to what its forms share."""
    return frozenset(part.lower()[:_STEM] for part in _PART.findall(text) if len(part) > 2)


@lru_cache(maxsize=4096)
def _parts_of_name(name: str) -> frozenset[str]:
    return _parts(name)


def _statement(text: bytes, at: int) -> tuple[str, ...]:
    """The line of a place, and the next ones while its brackets are open."""
    start = text.rfind(b"\n", 0, at) + 1
    lines = text[start : start + 2 * _MOST_CHARACTERS].decode("utf-8", "replace").split("\n")[:_MOST_LINES]
    indent = len(lines[0]) - len(lines[0].lstrip())
    found: list[str] = []
    depth = size = 0
    for line in lines:
        bare = (line[indent:] if not line[:indent].strip() else line.strip()).rstrip()[:_LONGEST_LINE]
        if found and size + len(bare) > _MOST_CHARACTERS:
            break
        found.append(bare)
        size += len(bare)
        depth += sum(line.count(c) for c in _OPENED) - sum(line.count(c) for c in _CLOSED)
        if depth <= 0:
            break
    return tuple(found)
