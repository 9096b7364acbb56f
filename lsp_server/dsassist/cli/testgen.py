"""``dsassist testgen``: verified unit tests for a function, a file, or what a diff changed."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table

from dsassist.assist import testgen
from dsassist.backend import create
from dsassist.cli.common import console, error_console, user_settings
from dsassist.errors import DsassistError, TestGenerationError, WorkspaceError
from dsassist_model import paths

if TYPE_CHECKING:
    from dsassist.index import Index

__all__ = ["register", "with_revision", "write_report"]

_MARKS = {"stable": "same twice", "raises_coverage": "raise coverage", "kills_mutant": "kill a bug"}


def register(app: typer.Typer) -> None:
    """Attach the command."""

    @app.command("testgen")
    def command(
        place: Annotated[
            str, typer.Argument(metavar="[FILE[::NAME]]", help="A file, or a function, method or class of it.")
        ] = "",
        diff: Annotated[
            str | None,
            typer.Option(
                "--diff", metavar="[REV]", help="Everything that changed since REV; without REV, what is not committed."
            ),
        ] = None,
        write: Annotated[
            bool, typer.Option("--write", help="Write the test file; without it, it is only shown.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON object for scripts.")] = False,
        model: Annotated[
            bool, typer.Option("--model/--no-model", help="Ask the model for inputs, too, when it runs.")
        ] = False,
        python: Annotated[str, typer.Option(help="The project's Python; found when not given.")] = "",
        seconds: Annotated[float, typer.Option(help="Time budget for one function.")] = 0.0,
        seed: Annotated[int, typer.Option(help="Draws other inputs.")] = 0,
        trust: Annotated[
            bool, typer.Option("--trust", help="Agree, once for this workspace, that its code is run in the sandbox.")
        ] = False,
    ) -> None:
        """Generate unit tests that ran, passed repeatedly, raised coverage and caught a planted bug before you see
        them."""
        settings = user_settings().testgen
        wanted = _wanted(place, diff)
        if not wanted:
            console.print("Nothing to test: no function changed.")
            return
        workspace = testgen.find_workspace(wanted[0][0])
        _consent(workspace, trust)
        options = testgen.Options(seconds=seconds or settings.seconds, seed=seed)
        interpreter = python or settings.python
        reports = []
        for path, targets in wanted:
            reports.append(_one(path, targets, workspace, interpreter, options, model, quiet=as_json))
            if write and reports[-1].text:
                write_report(reports[-1])
        if as_json:
            typer.echo(json.dumps([report.as_json() for report in reports], indent=1))
        else:
            for report in reports:
                _show(report, written=write)
        if not any(report.text for report in reports):
            raise typer.Exit(1)


def with_revision(arguments: list[str]) -> list[str]:
    """Command-line ``arguments`` with HEAD after a ``--diff`` of ``testgen`` that names no revision."""
    if arguments[:1] != ["testgen"] or "--diff" not in arguments:
        return arguments
    after = arguments.index("--diff") + 1
    if after < len(arguments) and not arguments[after].startswith("-"):
        return arguments
    return [*arguments[:after], "HEAD", *arguments[after:]]


def _wanted(place: str, diff: str | None) -> list[tuple[Path, Sequence[testgen.AnyTarget]]]:
    if diff is None:
        if not place:
            raise TestGenerationError(
                "Name a file, or use --diff.", remedy="For example: dsassist testgen src/app/text.py::slugify"
            )
        name, _, inner = place.partition("::")
        path = Path(name)
        if not path.is_file():
            raise WorkspaceError(f"There is no file {path}.")
        targets = testgen.targets_of(path, inner.replace("::", "."))
        if not targets:
            raise TestGenerationError(f"{path} has no function with something to execute.")
        return [(path, targets)]
    folder = Path(place or ".")
    root = Path(_git(folder, "rev-parse", "--show-toplevel").strip())
    endings = [f"*{ending}" for ending in testgen.SUFFIXES]
    changed = testgen.changed_lines(
        _git(folder, "diff", "--unified=0", "--no-color", "--no-ext-diff", diff, "--", *endings)
    )
    found = []
    for relative, lines in sorted(changed.items()):
        path = root / relative
        if path.is_file() and not testgen.is_test(path):
            targets = testgen.targets_of(path, lines=lines)
            if targets:
                found.append((path, targets))
    return found


def _git(folder: Path, *arguments: str) -> str:
    where = folder if folder.is_dir() else folder.parent
    try:
        done = subprocess.run(["git", *arguments], cwd=where, capture_output=True, text=True, check=False)
    except OSError as error:
        raise WorkspaceError(f"git cannot be run: {error}.") from error
    if done.returncode:
        raise WorkspaceError(
            f"git {arguments[0]}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'failed'}."
        )
    return done.stdout


def _consent(workspace: Path, trust: bool) -> None:
    consent = testgen.Consent(paths.config_dir() / "trusted.json")
    if consent.given(workspace):
        return
    if not trust:
        if not sys.stdin.isatty():
            raise TestGenerationError(
                f"Generating tests runs the code of {workspace}.", remedy="Agree once with --trust."
            )
        error_console.print(
            f"Generating tests [bold]runs the code[/] of {escape(str(workspace))}, "
            "in a sandbox: a copy, no network, limits."
        )
        if not typer.confirm("Do you trust this workspace?", err=True):
            raise TestGenerationError("Nothing was run.")
    consent.give(workspace)


def _one(
    path: Path,
    targets: Sequence[testgen.AnyTarget],
    workspace: Path,
    python: str,
    options: testgen.Options,
    model: bool,
    *,
    quiet: bool,
) -> testgen.FileReport:
    latest: dict[str, testgen.Progress] = {}

    def table() -> Table:
        grid = Table(box=None, padding=(0, 2, 0, 0))
        for title in ("function", "now", "tried", "pass", "same twice", "kill a bug", "kept"):
            grid.add_column(title, justify="left" if title in ("function", "now") else "right")
        for progress in list(latest.values())[-12:]:
            counts = progress.report.funnel
            numbers = [str(counts[stage]) for stage in ("generated", "passes", "stable", "kills_mutant", "kept")]
            grid.add_row(
                escape(progress.target),
                "[green]done[/]" if progress.stage == "done" else f"[dim]{progress.stage}[/]",
                *numbers,
            )
        return grid

    async def run() -> testgen.FileReport:
        backend = create(user_settings()) if model else None
        helpers = [testgen.ModelSource(backend, seed=options.seed)] if backend is not None else []
        try:
            with _index(workspace) as index:
                report = await testgen.make(
                    path,
                    targets,
                    workspace=workspace,
                    python=python,
                    options=options,
                    helpers=helpers,
                    callers=testgen.callers_in(index) if index is not None else None,
                    on_progress=lambda progress: show(progress),
                )
        finally:
            if backend is not None:
                await backend.close()
        for helper in helpers:
            if helper.problem:
                error_console.print(f"The model: {helper.problem}", style="yellow", markup=False)
        return report

    if quiet or not error_console.is_terminal:

        def show(progress: testgen.Progress) -> None:
            latest[progress.target] = progress

        return asyncio.run(run())
    with Live(table(), console=error_console, refresh_per_second=8, transient=True) as live:

        def show(progress: testgen.Progress) -> None:
            latest[progress.target] = progress
            live.update(table())

        return asyncio.run(run())


@contextlib.contextmanager
def _index(workspace: Path) -> Iterator[Index | None]:
    """The workspace's index, brought up to date; None where it cannot be had: then calls are found by name."""
    from dsassist.index import Index, Limits

    settings = user_settings().index
    try:
        limits = Limits(settings.exclude, settings.max_files, settings.max_file_kilobytes * 1024)
        index = Index.open(workspace, paths.cache_dir(), limits)
    except DsassistError:
        yield None
        return
    try:
        with (
            error_console.status("Looking for who calls it …")
            if error_console.is_terminal
            else contextlib.nullcontext()
        ):
            index.update()
        yield index
    finally:
        index.close()


def write_report(report: testgen.FileReport) -> None:
    """Write the test file of ``report``, which has a text.

    Raises:
        WorkspaceError: it cannot be written.
    """
    assert report.text is not None
    encoding, newline = "utf-8", "\n"
    try:
        if report.test_path.exists():  # in the encoding and with the line ends that it has
            data = report.test_path.read_bytes()
            newline = "\r\n" if b"\r\n" in data else "\n"
            if report.test_path.suffix == ".py":
                encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        report.test_path.parent.mkdir(parents=True, exist_ok=True)
        report.test_path.write_text(report.text, encoding=encoding, newline=newline)
    except OSError as error:
        raise WorkspaceError(f"{report.test_path} cannot be written: {error.strerror}.") from error


def _show(report: testgen.FileReport, *, written: bool) -> None:
    if report.text:
        shown = report.text[len(_kept_head(report)) :].strip("\n") if report.existing else report.text.rstrip("\n")
        if console.is_terminal:
            console.print(Syntax(shown, "python", theme="ansi_dark", word_wrap=True))
        else:
            console.print(shown, markup=False, soft_wrap=True)
        console.print()
    for target in report.targets:
        _show_target(target)
    funnel = report.funnel
    console.print(
        " → ".join(f"{funnel[stage]} {_MARKS.get(stage, stage)}" for stage in testgen.STAGES),
        style="dim",
        soft_wrap=True,
    )
    console.print(f"sandbox: {report.confinement}", style="dim", soft_wrap=True)
    if report.text:
        verb = "Extended" if report.existing else "Wrote"
        console.print(
            f"{verb} {report.test_path}" if written else f"For {report.test_path} (--write writes it)",
            soft_wrap=True,
            markup=False,
        )


def _kept_head(report: testgen.FileReport) -> str:
    """The common beginning of the old and the new file, in whole lines."""
    assert report.text is not None
    head = ""
    for old, new in zip(report.existing.splitlines(keepends=True), report.text.splitlines(keepends=True), strict=False):
        if old != new:
            break
        head += new
    return head


def _show_target(target: testgen.TargetReport) -> None:
    mark = "[green]✓[/]" if target.kept else "[yellow]–[/]"
    tests = f"{len(target.kept)} test{'' if len(target.kept) == 1 else 's'}"
    lines = f"{_from(target.covered_before)}{target.covered_after} of {target.lines} lines"
    caught = f"{_from(target.killed_before)}{target.killed} of {target.mutants} planted bugs caught"
    console.print(
        f"{mark} [bold]{escape(target.target)}[/]  {tests}; {lines}, {caught}, {target.seconds:.1f} s", soft_wrap=True
    )
    if target.problem:
        console.print(f"    {escape(target.problem)}", style="yellow", soft_wrap=True)
    if not target.kept and target.covered_before and not target.survivors and not target.missed:
        console.print("    the tests that are there reach every line and notice every planted bug", style="dim")
    elif not target.kept and target.dropped:
        reasons = ", ".join(
            f"{count} {why}" for why, count in sorted(target.dropped.items(), key=lambda item: -item[1])[:4]
        )
        console.print(f"    dropped: {escape(reasons)}", style="dim", soft_wrap=True)
    if target.kept and target.survivors:
        shown = "; ".join(f"line {item}" for item in target.survivors[:3])
        more = f" and {len(target.survivors) - 3} more" if len(target.survivors) > 3 else ""
        console.print(f"    unnoticed: {escape(shown)}{more}", style="dim", soft_wrap=True)
    for suspicion in target.suspicions:
        console.print(
            f"    [red]suspected bug[/] ({suspicion.confidence}): {escape(suspicion.call)}: {escape(suspicion.why)}",
            soft_wrap=True,
        )


def _from(before: int) -> str:
    """What the project's own tests did already."""
    return f"{before} → " if before else ""
