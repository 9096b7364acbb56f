"""``dsassist complete``: one completion in the terminal."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.text import Text

from dsassist.assist.changes import CHANGED_SHARE, changed_places, pieces_near
from dsassist.assist.completion import Completer, Outcome, Suggestion
from dsassist.assist.context import BUDGET_BYTES, Context, apart, context_of, lay_out
from dsassist.assist.site import Site
from dsassist.assist.worktree import uncommitted
from dsassist.backend import create
from dsassist.cli.common import console, error_console, print_error, user_settings
from dsassist.errors import BackendError, PositionError, WorkspaceError
from dsassist.index import Index, Limits
from dsassist.index.languages import language_of
from dsassist.settings import Settings
from dsassist_model import paths

__all__ = ["Place", "read_place", "register"]

_PLACE = re.compile(r"(?P<file>.+?):(?P<line>\d+):(?P<column>\d+)")
_LINE_END = re.compile(r"\r\n|\n|\r")
_LANGUAGES = {
    "python": ".py .pyi .pyw",
    "javascript": ".js .mjs .cjs",
    "javascriptreact": ".jsx",
    "typescript": ".ts .mts .cts",
    "typescriptreact": ".tsx",
    "go": ".go",
    "rust": ".rs",
    "java": ".java",
    "c": ".c .h",
    "cpp": ".cpp .cc .cxx .c++ .hpp .hh .hxx .h++ .ipp .inl",
}
"""LSP's identifiers and the endings of their files."""
SHOWN_LINES = 6


@dataclass(frozen=True, slots=True)
class Place:
    """A file and a cursor in it, in code points of its text."""

    file: Path
    text: str
    offset: int

    @property
    def language(self) -> str:
        """LSP's language identifier, empty if unknown."""
        return next((name for name, endings in _LANGUAGES.items() if self.file.suffix in endings.split()), "")


def read_place(where: str) -> Place:
    """Read ``FILE:LINE:COLUMN``, both from 1; a column counts characters.

    Raises:
        PositionError: not of that form, or outside the file.
        WorkspaceError: the file cannot be read.
    """
    found = _PLACE.fullmatch(where)
    if found is None:
        raise PositionError(f"{where!r} is not a place.", remedy="Write FILE:LINE:COLUMN, such as src/app.py:12:9.")
    file, line, column = Path(found["file"]), int(found["line"]), int(found["column"])
    try:
        text = file.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise WorkspaceError(f"{file} cannot be read: {error.strerror}.") from error
    starts = [0, *(match.end() for match in _LINE_END.finditer(text))]
    if not 1 <= line <= len(starts):
        raise PositionError(f"{file} has {len(starts)} lines; there is no line {line}.")
    start = starts[line - 1]
    length = len(_LINE_END.sub("", text[start : starts[line] if line < len(starts) else len(text)]))
    if not 1 <= column <= length + 1:
        raise PositionError(f"Line {line} of {file} has {length} characters; there is no column {column}.")
    return Place(file, text, start + column - 1)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("complete")
    def complete(
        where: Annotated[str, typer.Argument(metavar="FILE:LINE:COLUMN", help="The cursor; both numbers from 1.")],
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        """Complete the code at a place in a file. Starts the engine if it is not running."""
        place = read_place(where)
        settings = user_settings()
        began = time.perf_counter()
        suggestions, outcome = asyncio.run(_ask(place, settings))
        seconds = time.perf_counter() - began
        if as_json:
            answer = {
                "file": str(place.file),
                "offset": place.offset,
                "suggestions": [{"text": s.text, "probability": s.probability} for s in suggestions],
                "reason": outcome.reason,
                "message": outcome.message,
                "seconds": round(seconds, 3),
            }
            sys.stdout.write(json.dumps(answer) + "\n")
            return
        if not suggestions:
            print_error(outcome.message) if outcome.reason == "error" else console.print(escape(outcome.message))
            raise typer.Exit(3 if outcome.reason in ("error", "no_model", "busy", "loading") else 1)
        _show(place, suggestions[0], seconds)


async def _ask(place: Place, settings: Settings) -> tuple[list[Suggestion], Outcome]:
    backend = create(settings)
    file = place.file.resolve()
    project = next((folder for folder in file.parents if (folder / ".git").exists()), None)
    root = project or file.parent
    index = _opened(project, file, settings)
    completer = Completer(backend, settings, _gathers(index, settings) if index else None, session="terminal")
    site = Site.at(
        place.text,
        place.offset,
        document=str(file),
        path=file.relative_to(root).as_posix(),
        language=place.language,
        repository=root.name,
        manual=True,
    )
    try:
        status = await backend.status()
        if status.state == "no_model":
            raise BackendError(status.message, remedy=status.remedy)
        if status.state == "ready":
            return await completer.suggest(site), completer.outcome
        with error_console.status("starting the engine…"):
            return await completer.suggest(site), completer.outcome
    finally:
        await completer.close()
        await backend.close()
        if index is not None:
            index.close()


def _opened(project: Path | None, file: Path, settings: Settings) -> Index | None:
    """The project's index, brought up to date; None where there is no project or the file is in no known language."""
    if (
        project is None
        or not settings.index.enabled
        or not settings.context.cross_file
        or language_of(file.name) is None
    ):
        return None
    chosen = settings.index
    limits = Limits(chosen.exclude, chosen.max_files, chosen.max_file_kilobytes * 1024)
    index = Index.open(project, paths.cache_dir(), limits)
    with error_console.status("reading the project…"):
        index.update()
    return index


def _gathers(index: Index, settings: Settings) -> Callable[[Site], Awaitable[Context]]:
    hunks = changed_places(uncommitted(index.root, settings.index.exclude)) if settings.context.git_diff else ()

    async def gather(site: Site) -> Context:
        changed = pieces_near(site, hunks, int(BUDGET_BYTES * CHANGED_SHARE))
        left = BUDGET_BYTES - sum(len(piece.text) for piece in changed)
        pieces = index.pieces_for(site.path, site.line, site.prefix, site.suffix, left)
        files = lay_out(apart([*pieces, *changed]), site)
        return context_of(files, index.at_cursor(site.path, site.line, site.prefix), site)

    return gather


def _show(place: Place, suggestion: Suggestion, seconds: float) -> None:
    """A few lines around the cursor with the suggestion in green; only the suggestion when piped."""
    if not console.is_terminal:
        sys.stdout.write(suggestion.text + "\n")
        return
    before = place.text[: place.offset].splitlines()[-SHOWN_LINES:]
    after = place.text[place.offset :].partition("\n")
    shown = Text("\n".join(before), style="dim")
    if place.text[: place.offset].endswith("\n"):
        shown.append("\n")
    shown.append(suggestion.text, style="bold green")
    shown.append(after[0], style="dim")
    console.print(shown)
    console.print(f"[dim]{seconds * 1000:.0f} ms[/]")
