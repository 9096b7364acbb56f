"""What the model reads from other files, for a site.

Two kinds. Pieces of other files (passages like the text at the cursor, definitions) stand at the front of the prompt. A
piece more or less there makes the engine read everything after it anew, which costs more than a slightly better piece
gains; so a choice holds until the cursor has moved on or names came that it does not serve. What the index knows at the
very cursor (members of the receiver, signatures of open calls) is asked with every key and stands right above the
cursor's line (see ``hints``).
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dsassist.assist.hints import Around, around_for, hints_for, is_secret, names_for
from dsassist.assist.shelf import Shelf
from dsassist.assist.site import Site
from dsassist.backend.types import ContextFile

if TYPE_CHECKING:
    from dsassist.index import AtCursor, ContextPiece

__all__ = ["IMPORTS", "NOTHING", "Context", "Gatherer", "apart", "context_of", "lay_out"]

logger = logging.getLogger(__name__)

IMPORTS = r"(?:from|import|use|#include|export|require|const .*require)\b"
"""How lines that import begin, as a regular expression."""

BUDGET_SECONDS = 0.03
"""How long a keystroke waits for the index. A choice that comes later serves the next one."""
BUDGET_BYTES = 2450
"""Of other files in a prompt of ordinary size."""
LARGE_TOKENS = 8192
"""Prompts from here on have room for many files, in an order that all documents share (see ``shelf``)."""
LARGE_SHARE = 1.1
"""Characters of other files for each token of such a prompt: about a third of it."""
NEAR_LINES = 12
"""A cursor that stays within so many lines of where the choice was made keeps it."""
AROUND_LINES = 6
"""So many lines are written below what was gathered around a line before it is gathered anew."""
LONGEST_HOLD_SECONDS = 60.0

Pieces = Callable[[Site, int], Awaitable["Sequence[ContextPiece]"]]
Known = Callable[[Site], Awaitable["AtCursor"]]


@dataclass(frozen=True, slots=True)
class Context:
    """What a request gets besides the open file."""

    files: tuple[ContextFile, ...] = ()
    """The most useful last, next to the prompt."""
    hints: tuple[str, ...] = ()
    """Lines for a comment above the cursor's line."""
    around: Around | None = None
    """Lines for a comment above an earlier line, or this one."""
    names: tuple[str, ...] = ()
    """What the answer has to begin with, where the index knows all that it may be."""
    likely: tuple[str, ...] = ()
    """What it probably begins with, where the index knows some of it."""


NOTHING = Context()


@dataclass(slots=True)
class _Choice:
    line: int
    at: float
    head: str
    """Import lines of the document when the choice was made: a new import is a new name to serve."""
    files: tuple[ContextFile, ...]


class Gatherer:
    """Gathers for one editor. ``pieces`` gives those for a site, best first, within a budget in bytes; ``known`` what
    the index knows at the cursor. Both are waited for up to ``patience`` seconds. ``tokens`` tells how long prompts may
    be, ``told`` what else is worth a comment near a site."""

    def __init__(
        self,
        pieces: Pieces,
        known: Known,
        patience: float = BUDGET_SECONDS,
        tokens: Callable[[], int] = lambda: 0,
        told: Callable[[Site], tuple[str, ...]] = lambda _: (),
    ) -> None:
        self._pieces, self._known, self._told = pieces, known, told
        self._patience, self._tokens = patience, tokens
        self._shelf = Shelf(0)
        self._choices: dict[str, _Choice] = {}
        self._pending: dict[str, asyncio.Task[None]] = {}
        self._arounds: dict[str, Around] = {}

    async def __call__(self, site: Site) -> Context:
        """The context of ``site``, empty where the index knows nothing."""
        asked = asyncio.ensure_future(self._known(site))
        waiting: set[asyncio.Future[Any]] = {asked}
        choice = self._choices.get(site.document)
        if choice is None or not self._holds(choice, site):
            task = self._pending.get(site.document)
            if task is None or task.done():
                task = self._pending[site.document] = asyncio.create_task(self._choose(site))
            waiting.add(task)
        await asyncio.wait(waiting, timeout=self._patience)
        choice = self._choices.get(site.document)
        files = choice.files if choice is not None else ()
        if not asked.done():
            # an answer about this very key is of no use to the next one
            asked.cancel()
            return Context(files, around=self._arounds.get(site.document))
        if (error := asked.exception()) is not None:
            logger.warning("no context: %s", error)
            return Context(files)
        context = context_of(files, asked.result(), site)
        held = self._arounds.get(site.document)
        if held is not None and 0 <= site.line - held.line < AROUND_LINES:
            return replace(context, around=held)
        assert context.around is not None
        around = replace(context.around, lines=(*context.around.lines, *self._told(site)))
        if around.lines:
            self._arounds[site.document] = around
        return replace(context, around=around)

    def _holds(self, choice: _Choice, site: Site) -> bool:
        near = abs(choice.line - site.line) <= NEAR_LINES
        return near and choice.head == _imports(site) and time.monotonic() - choice.at < LONGEST_HOLD_SECONDS

    async def _choose(self, site: Site) -> None:
        tokens = self._tokens()
        room = int(tokens * LARGE_SHARE) if tokens >= LARGE_TOKENS else 0
        # half a shelf for one site: what others asked for stays on it
        files = lay_out(await self._pieces(site, max(BUDGET_BYTES, room // 2)), site)
        if room:
            self._shelf.budget = room
            files = self._shelf.lay(files, site.path)
        self._choices[site.document] = _Choice(site.line, time.monotonic(), _imports(site), files)

    def forget(self, document: str) -> None:
        """The document was closed."""
        self._choices.pop(document, None)
        self._arounds.pop(document, None)
        if task := self._pending.pop(document, None):
            task.cancel()


def context_of(files: tuple[ContextFile, ...], known: AtCursor, site: Site) -> Context:
    """Pieces of other files with what is ``known`` at the cursor of ``site``."""
    names, sure = names_for(known, site)
    return Context(files, hints_for(known, site), around_for(known, site), names if sure else (), () if sure else names)


def lay_out(pieces: Sequence[ContextPiece], site: Site) -> tuple[ContextFile, ...]:
    """One text a file, files and pieces in the order of the least useful first; nothing that the prompt shows
    already, and nothing out of the middle of a merge, whose marks would be copied."""
    files: dict[str, list[ContextPiece]] = {}
    for piece in pieces:
        bare = piece.text.strip()
        if is_secret(piece.path) or _MERGE_MARK.search(piece.text) or bare in site.prefix or bare in site.suffix:
            continue
        files.setdefault(piece.path, []).append(piece)
    ordered = sorted(files.items(), key=lambda item: max(piece.score for piece in item[1]))
    return tuple(
        ContextFile(path, "\n".join(p.text.rstrip("\n") for p in sorted(found, key=lambda p: p.lines)) + "\n")
        for path, found in ordered
    )


def apart(pieces: Sequence[ContextPiece]) -> list[ContextPiece]:
    """``pieces`` without those that share lines with an earlier one."""
    kept: list[ContextPiece] = []
    for piece in pieces:
        first, last = piece.lines
        if not any(p.path == piece.path and p.lines[0] <= last and first <= p.lines[1] for p in kept):
            kept.append(piece)
    return kept


_MERGE_MARK = re.compile(r"^(?:<<<<<<<|>>>>>>>) ", re.MULTILINE)
_IMPORT = re.compile(rf"^[ \t]*{IMPORTS}.*$", re.MULTILINE)


def _imports(site: Site) -> str:
    # the cursor's own line is being written, perhaps as an import: it counts once it is finished
    above = site.prefix[: site.prefix.rfind("\n") + 1]
    return "\n".join(_IMPORT.findall(above))
