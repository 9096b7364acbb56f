"""Commands that ask the index: ``index``, ``refs``, ``defs``, ``callers``, ``symbols``, ``graph``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from dsassist.cli.common import console, error_console, print_note, user_settings
from dsassist.errors import PositionError, WorkspaceError
from dsassist_model import paths

if TYPE_CHECKING:
    from dsassist.index import Index, Location, Reference, Report, SymbolInfo, Target

__all__ = ["register"]

_ROOT_SIGNS = (
    ".git",
    ".hg",
    "pyproject.toml",
    "setup.py",
    "package.json",
    "go.mod",
    "Cargo.toml",
    "pom.xml",
    "build.gradle",
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Root = Annotated[
    Path | None, typer.Option("--root", help="Folder to index. Default: the project that holds the current folder.")
]
Where = Annotated[
    str, typer.Argument(metavar="FILE:LINE:COL|SYMBOL", help="A place (from 1), or a name such as Class.method.")
]


class Format(StrEnum):
    """Of a graph."""

    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("index")(index)
    app.command("refs")(refs)
    app.command("defs")(defs)
    app.command("callers")(callers)
    app.command("symbols")(symbols)
    app.command("graph")(graph)


def index(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder to index. Default: the project that holds the current folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Build or refresh the index of a folder. Editors and the other commands do this by themselves."""
    with _opened(folder) as (opened, report):
        size = opened.database.stat().st_size
        values = {
            "root": str(opened.root),
            "files": report.files,
            "lines": report.lines,
            "indexed": report.extracted,
            "linked": report.linked,
            "removed": report.removed,
            "seconds": round(report.seconds, 3),
            "database": str(opened.database),
            "bytes": size,
            "notices": list(report.notices),
        }
        if as_json:
            _print_json(values)
            return
        console.print(
            f"[bold]{report.files:,}[/] files, [bold]{report.lines:,}[/] lines in {report.seconds:.2f} s", end=""
        )
        console.print(f" ({report.extracted:,} indexed, {report.linked:,} linked, {report.removed:,} removed)")
        console.print(Text(f"{opened.database}  {size / 1e6:.1f} MB", style="dim"), soft_wrap=True)
        for notice in report.notices:
            print_note(notice)


def refs(
    where: Where,
    root: Root = None,
    possible: Annotated[bool, typer.Option("--possible", help="Also list what has the name and may be it.")] = False,
    as_json: Json = False,
) -> None:
    """Where a symbol is used, in every file, with how sure each answer is."""
    with _opened(root, where) as (opened, _):
        targets = _targets(opened, where)
        found = opened.references_to(targets)
        symbols = [info for target in targets if (info := opened.symbol(target)) is not None]
        if as_json:
            _print_json({
                "symbols": [_symbol(info) for info in symbols],
                "references": [_reference(item) for item in found.references],
                "possible": [_reference(item) for item in found.possible],
            })  # fmt: skip
            return
        _print_heads(symbols)
        lines = _Lines(opened.root)
        _print_places(((item.location, item.level.label) for item in found.references), lines)
        _summary(len(found.references), {item.location.path for item in found.references})
        if found.possible and possible:
            console.print("\n[yellow]possible[/]: the same name, and nothing says what its receiver is")
            _print_places(((item.location, item.level.label) for item in found.possible), lines)
        elif found.possible:
            console.print(f"[dim]{len(found.possible)} possible ones of the same name: --possible[/]")


def defs(where: Where, root: Root = None, as_json: Json = False) -> None:
    """What a name is defined as, with signature and documentation."""
    with _opened(root, where) as (opened, _):
        infos = [info for target in _targets(opened, where) if (info := opened.symbol(target)) is not None]
        if as_json:
            _print_json({"symbols": [_symbol(info) for info in infos]})
            return
        for info in infos:
            console.print(Text.assemble((f"{info.kind.label} ", "cyan"), (info.qualified_name or info.name, "bold")))
            if not info.location.path:
                console.print("  outside the workspace", style="dim")
                continue
            console.print(Text(f"  {_place(info.location)}", style="magenta"), soft_wrap=True)
            if info.signature:
                console.print(Text(f"  {info.signature}"), soft_wrap=True)
            for line in info.documentation.splitlines()[:6]:
                console.print(Text(f"    {line}", style="dim"), soft_wrap=True)


def callers(where: Where, root: Root = None, as_json: Json = False) -> None:
    """Which functions call a function."""
    with _opened(root, where) as (opened, _):
        calls = opened.callers(_targets(opened, where))
        if as_json:
            rows = [{**_symbol(call.symbol), "sites": [_location(site) for site in call.sites]} for call in calls]
            _print_json({"callers": rows})
            return
        lines = _Lines(opened.root)
        for call in calls:
            console.print(
                Text.assemble(
                    (f"{call.symbol.kind.label} ", "cyan"),
                    (call.symbol.qualified_name or call.symbol.location.path, "bold"),
                )
            )
            _print_places(((site, "") for site in call.sites), lines)
        if not calls:
            console.print("Nothing in the workspace calls it.")


def symbols(
    query: Annotated[str, typer.Argument(help="Part of a name; letters may be left out.")],
    root: Root = None,
    limit: Annotated[int, typer.Option(min=1, help="The most answers.")] = 30,
    as_json: Json = False,
) -> None:
    """Find symbols of the whole workspace by fuzzy name."""
    with _opened(root) as (opened, _):
        found = opened.symbols(query, limit)
        if as_json:
            _print_json({"symbols": [_symbol(info) for _, info in found]})
            return
        table = Table(box=None, show_header=False, pad_edge=False)
        for _, info in found:
            table.add_row(
                Text(info.kind.label, style="cyan"),
                Text(info.qualified_name, style="bold"),
                Text(_place(info.location), style="magenta"),
            )
        console.print(table if found else "No symbol has such a name.")


def graph(
    where: Annotated[
        str,
        typer.Argument(
            metavar="[FOLDER|FILE|FILE:LINE:COL|SYMBOL]",
            help="A folder or file for imports, else a function for calls.",
        ),
    ] = ".",
    root: Root = None,
    form: Annotated[Format, typer.Option("--format", "-f", help="Of the output.")] = Format.MERMAID,
    depth: Annotated[int, typer.Option(min=1, max=8, help="Steps to follow from a function or file.")] = 2,
    nodes: Annotated[int, typer.Option(min=2, help="The most nodes; the best connected stay.")] = 60,
    as_json: Json = False,
) -> None:
    """The import graph of a folder or around a file, or the call graph of a function, as Mermaid, DOT or SVG."""
    from dsassist.index import to_dot, to_mermaid, to_svg

    is_folder = Path(where).is_dir()
    with _opened(root, where) as (opened, _):
        if is_folder:
            folder = Path(where).resolve()
            under = folder.relative_to(opened.root).as_posix() if folder.is_relative_to(opened.root) else ""
            made = opened.import_graph("" if under == "." else under, nodes)
        elif Path(where).is_file():
            made = opened.files_around(Path(where).resolve().relative_to(opened.root).as_posix(), depth, nodes)
        else:
            made = opened.call_graph(_targets(opened, where), depth, nodes)
    if as_json:
        _print_json({"nodes": list(made.nodes), "edges": [list(edge) for edge in made.edges], "dropped": made.dropped})
        return
    if made.dropped:
        print_note(f"{made.dropped} more nodes are left out: --nodes")
    sys.stdout.write({Format.MERMAID: to_mermaid, Format.DOT: to_dot, Format.SVG: to_svg}[form](made))


# Opening


@contextmanager
def _opened(folder: Path | None, where: str = "") -> Iterator[tuple[Index, Report]]:
    """The index of the project, brought up to date with a progress bar on stderr."""
    from dsassist.index import Index, Limits

    settings = user_settings().index
    limits = Limits(settings.exclude, settings.max_files, settings.max_file_kilobytes * 1024)
    opened = Index.open(_root(folder, where), paths.cache_dir(), limits)
    try:
        yield opened, _updated(opened)
    finally:
        opened.close()


def _root(folder: Path | None, where: str) -> Path:
    if folder is not None:
        return folder
    start = Path.cwd()
    file = Path(where.partition(":")[0]) if where else None
    if file is not None and file.exists() and not file.resolve().is_relative_to(start):
        start = file.resolve() if file.is_dir() else file.resolve().parent
    for candidate in (start, *start.parents):
        if any((candidate / sign).exists() for sign in _ROOT_SIGNS):
            return candidate
    return start


def _updated(opened: Index) -> Report:
    if not error_console.is_terminal:
        return opened.update()
    columns = (TextColumn("[dim]{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn())
    with Progress(*columns, console=error_console, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int) -> None:
            if total < 100:
                return
            if stage not in tasks:
                tasks[stage] = bar.add_task(
                    {"files": "reading files", "links": "linking"}.get(stage, stage), total=total
                )
            bar.update(tasks[stage], completed=done, total=total)

        return opened.update(show)


def _targets(opened: Index, where: str) -> tuple[Target, ...]:
    """What a place or a name denotes.

    Raises:
        PositionError: no such place, or no name there.
        WorkspaceError: no such symbol.
    """
    head, _, tail = where.rpartition(":")
    file, _, line = head.rpartition(":")
    if file and line.isdigit() and tail.isdigit():
        full = Path(file).resolve()
        if not full.is_relative_to(opened.root):
            raise PositionError(f"{file} is not below {opened.root}.", remedy="Name the folder with --root.")
        path = full.relative_to(opened.root).as_posix()
        if int(line) < 1 or int(tail) < 1:
            raise PositionError(f"{where}: lines and columns count from 1.")
        targets, _, name = opened.targets_at(path, int(line) - 1, int(tail) - 1)
        if not targets:
            said = f"Nothing is known about {name}" if name else "There is no name"
            raise PositionError(f"{said} at {where}.")
        return targets
    found = opened.find_symbols(where)
    if not found:
        near = [info.qualified_name for _, info in opened.symbols(where, 3)]
        raise WorkspaceError(f"No symbol is called {where}.", remedy=f"Near: {', '.join(near)}." if near else "")
    return tuple(target for target, _ in found)


# Printing


class _Lines:
    """Source lines, each file read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[str, list[str]] = {}

    def __call__(self, path: str, line: int) -> str:
        if path not in self._files:
            try:
                self._files[path] = (self.root / path).read_bytes().decode("utf-8", "replace").split("\n")
            except OSError:
                self._files[path] = []
        lines = self._files[path]
        return lines[line].rstrip("\r") if line < len(lines) else ""


def _print_places(places: Iterable[tuple[Location, str]], lines: _Lines) -> None:
    """One row a place: where, how sure, and the line with the name marked."""
    terminal = console.is_terminal
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    rows = 0
    for place, level in places:
        line = lines(place.path, place.line)
        indent = len(line) - len(line.lstrip())
        text = Text(line.strip())
        text.stylize("bold green", place.column - indent, place.end_column - indent)
        where = f"{place.path}:{place.line + 1}:{place.column + 1}"
        if not terminal:
            print("\t".join(filter(None, (where, level, line.strip()))))
            continue
        rows += 1
        table.add_row(Text(where, style="magenta"), Text(level, style="dim"), text)
    if rows:
        console.print(table)


def _print_heads(infos: Iterable[SymbolInfo]) -> None:
    if console.is_terminal:
        for info in infos:
            console.print(Text.assemble((f"{info.kind.label} ", "cyan"), (info.qualified_name or info.name, "bold")))


def _summary(count: int, files: set[str]) -> None:
    if console.is_terminal:
        console.print(f"[dim]{count} in {len(files)} file{'s' if len(files) != 1 else ''}[/]")


def _place(place: Location) -> str:
    return f"{place.path}:{place.line + 1}:{place.column + 1}"


def _location(place: Location) -> dict[str, Any]:
    return {
        "path": place.path,
        "line": place.line + 1,
        "column": place.column + 1,
        "end_line": place.end_line + 1,
        "end_column": place.end_column + 1,
    }


def _reference(item: Reference) -> dict[str, Any]:
    return {
        **_location(item.location),
        "level": item.level.label,
        "definition": item.is_definition,
        "write": item.is_write,
        "call": item.is_call,
    }


def _symbol(info: SymbolInfo) -> dict[str, Any]:
    fields = info._asdict()
    kept = ("name", "qualified_name", "container", "signature", "documentation")
    return {**{name: fields[name] for name in kept}, "kind": info.kind.label, **_location(info.location)}


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
