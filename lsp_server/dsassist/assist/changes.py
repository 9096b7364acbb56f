"""The change in progress: places that differ from the last commit, for a prompt of another file.

Who adds a parameter in one file goes on in those that call it. What the change brought (names that its file did not
have) is what the rest of it is about, so a changed place is shown where the text around the cursor has such a name, or
much of the place's vocabulary. It is shown as it is now, as code and not as a diff: a small model goes on in the form
that it reads.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dsassist.assist.site import Site
from dsassist.index import ContextPiece

__all__ = ["CHANGED_SHARE", "Hunk", "Version", "changed_places", "pieces_near"]

AROUND_LINES = 2
"""Unchanged lines shown with a changed place."""
LONGEST_LINES = 24
"""Of a place; of a longer one its beginning."""
MOST_CELLS = 2_000_000
"""Lines before times lines now, between what both begin and end with. More is no edit of somebody's but a new file."""
NEAR_LINES = 32
LEAST_SHARE = 0.3
"""Of a place's names, to be shown without a name that the change brought."""
LEAST_NAMES = 3
CHANGED_SHARE = 0.25
"""Of the context from other files, for changed places and places that were edited lately together."""
SCORE = 0.5
"""More than places edited lately, less than passages like the text at the cursor."""

_NAME = re.compile(r"[^\W\d]\w{2,}")


@dataclass(frozen=True, slots=True)
class Version:
    """A file before the change and now."""

    path: str
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class Hunk:
    """A changed place. ``lines`` are its first and last line now, from 0."""

    path: str
    text: str
    lines: tuple[int, int]
    names: frozenset[str]
    """In the lines that are new."""
    brought: frozenset[str]
    """Those of them that the file did not have."""


def changed_places(versions: Iterable[Version]) -> tuple[Hunk, ...]:
    """The changed places of all files, in their order. What differs in white space only is no change, and of lines that
    only went nothing can be shown."""
    return tuple(hunk for version in versions for hunk in _places(version))


def _places(version: Version) -> Iterator[Hunk]:
    before, now = version.before.splitlines(), version.now.splitlines()
    known = frozenset(_NAME.findall(version.before))
    for first, last in _joined(_runs(before, now)):
        new = frozenset(_NAME.findall("\n".join(now[first:last])))
        start, end = max(first - AROUND_LINES, 0), min(last + AROUND_LINES, len(now))
        shown = now[start : min(end, start + LONGEST_LINES)]
        if any(line.strip() for line in shown):
            yield Hunk(version.path, "\n".join(shown) + "\n", (start, start + len(shown) - 1), new, new - known)


def _runs(before: Sequence[str], now: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Lines of ``now`` that are new: first, and one past the last."""
    old, new = [line.strip() for line in before], [line.strip() for line in now]
    head, most = 0, min(len(old), len(new))
    while head < most and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < most - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    old, new = old[head : len(old) - tail], new[head : len(new) - tail]
    if len(old) * len(new) > MOST_CELLS:
        return
    for kind, _, _, first, last in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind in ("replace", "insert"):
            yield head + first, head + last


def _joined(runs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Runs that are so near that what is shown of them would overlap are one place."""
    held: tuple[int, int] | None = None
    for first, last in runs:
        if held is not None and first - held[1] <= 2 * AROUND_LINES:
            held = (held[0], last)
            continue
        if held is not None:
            yield held
        held = (first, last)
    if held is not None:
        yield held


def pieces_near(site: Site, hunks: Iterable[Hunk], budget: int) -> list[ContextPiece]:
    """Changed places of other files that the text around the cursor speaks of, at most ``budget`` characters, the best
    first. They follow from the lines around the cursor without its own, so they stay while it is written."""
    text = "\n".join((*site.lines_above[-NEAR_LINES:], *site.lines_below[:NEAR_LINES]))
    near = frozenset(_NAME.findall(text))
    rated: list[tuple[int, float, int, Hunk]] = []
    for number, hunk in enumerate(hunks):
        if hunk.path == site.path or not hunk.names:
            continue
        brought, shared = len(hunk.brought & near), len(hunk.names & near)
        share = shared / len(hunk.names)
        if brought or (shared >= LEAST_NAMES and share >= LEAST_SHARE):
            rated.append((-brought, -share, number, hunk))
    found: list[ContextPiece] = []
    for *_, hunk in sorted(rated, key=lambda item: item[:3]):
        if len(hunk.text) <= budget:
            budget -= len(hunk.text)
            found.append(ContextPiece(hunk.path, "", hunk.text, SCORE - len(found) / 1000, hunk.lines, is_usage=True))
    return found
