"""What the model reads from other files, for a site.

The index ranks: definitions of the names in reach of the cursor and places that use them. This module keeps the choice
still. A piece more or less at the front of the prompt makes the engine read everything after it anew, which costs more
than a slightly better piece gains; so a choice holds until the cursor has moved on or names came that it does not
serve.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from dsassist.assist.site import Site
from dsassist.backend.types import ContextFile
from dsassist.index.rank import ContextPiece

__all__ = ["Gatherer", "lay_out"]

BUDGET_SECONDS = 0.03
"""How long a keystroke waits for the index. A choice that comes later serves the next one."""
BUDGET_BYTES = 2600
NEAR_LINES = 12
"""A cursor that stays within so many lines of where the choice was made keeps it."""
LONGEST_HOLD_SECONDS = 60.0

Ask = Callable[[Site, int], Awaitable[Sequence[ContextPiece]]]

_SECRET_FILE = re.compile(
    r"(^|/)(\.env[^/]*|[^/]*\.(pem|key|p12|pfx)|id_[a-z0-9]+|credentials[^/]*|secrets?[^/]*)$", re.I
)


@dataclass(slots=True)
class _Choice:
    line: int
    at: float
    head: str
    """Import lines of the document when the choice was made: a new import is a new name to serve."""
    files: tuple[ContextFile, ...]


class Gatherer:
    """Gathers for one editor. ``ask`` gives the pieces for a site, best first, within a budget in bytes;
    it is waited for up to ``patience`` seconds."""

    def __init__(self, ask: Ask, patience: float = BUDGET_SECONDS) -> None:
        self._ask = ask
        self._patience = patience
        self._choices: dict[str, _Choice] = {}
        self._pending: dict[str, asyncio.Task[None]] = {}

    async def __call__(self, site: Site) -> tuple[ContextFile, ...]:
        """Pieces for ``site``, the most useful last, next to the prompt. Empty where the index knows nothing."""
        choice = self._choices.get(site.document)
        if choice is not None and self._holds(choice, site):
            return choice.files
        task = self._pending.get(site.document)
        if task is None or task.done():
            task = self._pending[site.document] = asyncio.create_task(self._choose(site))
        await asyncio.wait({task}, timeout=self._patience)
        choice = self._choices.get(site.document)
        return choice.files if choice is not None else ()

    def _holds(self, choice: _Choice, site: Site) -> bool:
        near = abs(choice.line - site.line) <= NEAR_LINES
        return near and choice.head == _imports(site) and time.monotonic() - choice.at < LONGEST_HOLD_SECONDS

    async def _choose(self, site: Site) -> None:
        pieces = await self._ask(site, BUDGET_BYTES)
        self._choices[site.document] = _Choice(site.line, time.monotonic(), _imports(site), lay_out(pieces, site))

    def forget(self, document: str) -> None:
        """The document was closed."""
        self._choices.pop(document, None)
        if task := self._pending.pop(document, None):
            task.cancel()


def lay_out(pieces: Sequence[ContextPiece], site: Site) -> tuple[ContextFile, ...]:
    """One text a file, files and pieces in the order of the least useful first; nothing that the prompt shows
    already."""
    files: dict[str, list[ContextPiece]] = {}
    for piece in pieces:
        if _SECRET_FILE.search(piece.path) or piece.text.strip() in site.prefix or piece.text.strip() in site.suffix:
            continue
        files.setdefault(piece.path, []).append(piece)
    ordered = sorted(files.items(), key=lambda item: max(piece.score for piece in item[1]))
    return tuple(
        ContextFile(path, "\n".join(p.text.rstrip("\n") for p in sorted(found, key=lambda p: p.lines)) + "\n")
        for path, found in ordered
    )


_IMPORT = re.compile(r"^[ \t]*(?:from|import|use|#include|export|require|const .*require)\b.*$", re.MULTILINE)


def _imports(site: Site) -> str:
    # the cursor's own line is being written, perhaps as an import: it counts once it is finished
    above = site.prefix[: site.prefix.rfind("\n") + 1]
    return "\n".join(_IMPORT.findall(above))
