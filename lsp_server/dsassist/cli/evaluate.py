"""``dsassist eval``: how good suggestions are on this machine, by the benchmarks of a checkout."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

import dsassist
from dsassist.cli.common import console, error_console, print_error, print_note
from dsassist.cli.trend import page, read_results, svg
from dsassist.errors import DsassistError

__all__ = ["SUITES", "Suite", "find_checkout", "register"]

LAST_LINES = 5
"""Of what a suite said, shown when it failed."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One quality suite: its script, what it says, and the figures that matter most, as (key, label)."""

    script: str
    about: str
    figures: tuple[tuple[str, str], ...]
    takes_source: bool = False


SUITES: Mapping[str, Suite] = {
    "infill": Suite(
        "infill.py",
        "Gaps in HumanEval's functions, filled; the peer is llama.cpp with the same file",
        (
            ("ours_exact_match", "exact match"),
            ("peer_exact_match", "… llama.cpp"),
            ("ours_pass_at_1", "pass@1"),
            ("peer_pass_at_1", "… llama.cpp"),
        ),
    ),
    "cross-file": Suite(
        "completion_quality.py",
        "Lines that need a name of another file; the peers read the file alone, or similar chunks",
        (
            ("exact_match_ours", "exact match"),
            ("exact_match_in_file", "… file alone"),
            ("exact_match_ring", "… similar chunks"),
            ("edit_similarity_ours", "edit similarity"),
        ),
        takes_source=True,
    ),
    "replay": Suite(
        "replay.py",
        "What was written between two releases, typed again; the peer is the model without filters",
        (
            ("acceptance", "acceptance"),
            ("acceptance_unfiltered", "… no filters"),
            ("characters_saved_share", "characters saved"),
            ("characters_saved_share_unfiltered", "… no filters"),
            ("syntax_breaking_share", "breaking syntax"),
        ),
        takes_source=True,
    ),
    "latency": Suite(
        "keystrokes.py",
        "From a key to the suggestion; the peer asks the same engine anew with every key",
        (
            ("p50_ms", "median ms"),
            ("p95_ms", "95th percentile ms"),
            ("peer_p95_ms", "… peer"),
            ("within_300ms", "within 300 ms"),
        ),
        takes_source=True,
    ),
}
"""In the order in which they run."""


class Name(StrEnum):
    """The suites as the command line takes them."""

    INFILL = "infill"
    CROSS_FILE = "cross-file"
    REPLAY = "replay"
    LATENCY = "latency"


def find_checkout(given: Path | None) -> Path:
    """The source checkout whose ``benchmarks/`` are run: ``given``, or the one around the working directory, or the one
    that dsassist was installed from in place.

    Raises:
        DsassistError: there is none; the benchmarks are not part of the installed package.
    """
    if given is not None:
        if _is_checkout(given):
            return given.resolve()
        raise DsassistError(
            f"{given} is not a checkout of dsassist.", remedy="It must hold benchmarks/replay.py and pyproject.toml."
        )
    here = Path.cwd()
    for folder in (here, *here.parents, Path(dsassist.__file__).resolve().parents[2]):
        if _is_checkout(folder):
            return folder
    raise DsassistError(
        "dsassist eval runs the benchmarks of a source checkout, which are not part of the installed package.",
        remedy="Clone the repository, run make setup in it, and run dsassist eval there, or name it with --checkout.",
    )


def _is_checkout(folder: Path) -> bool:
    return (folder / "benchmarks" / "replay.py").is_file() and (folder / "pyproject.toml").is_file()


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("eval")
    def evaluate(
        suites: Annotated[
            list[Name] | None,
            typer.Argument(metavar="[infill|cross-file|replay|latency]...", help="Which ones; all without any."),
        ] = None,
        quick: Annotated[bool, typer.Option("--quick", help="A minute a suite; shown, but not kept.")] = False,
        seed: Annotated[int, typer.Option(help="Draws other inputs.")] = 0,
        source: Annotated[Path | None, typer.Option(help="Other inputs: what --source is to the scripts.")] = None,
        limit: Annotated[int, typer.Option(min=0, help="Inputs in all; 0 is the scripts' own number.")] = 0,
        checkout: Annotated[Path | None, typer.Option(help="A source checkout of dsassist.")] = None,
        add: Annotated[
            list[Path] | None, typer.Option(help="Run nothing: keep the result that a script printed into this file.")
        ] = None,
        trend: Annotated[
            bool, typer.Option("--trend", help="Run nothing: show what was kept, write the page.")
        ] = False,
    ) -> None:
        """Measure suggestions: gaps, cross-file context, replayed edits, latency. Needs a source checkout.

        Results are kept as JSON in benchmarks/results/, and docs/quality.md shows their trend.
        """
        root = find_checkout(checkout)
        failed: list[str] = []
        wanted = [suite.value for suite in suites or Name]
        for file in add or []:
            name, printed = _printed(file)
            console.print(_table(name, printed))
            _keep(root, name, printed)
        for name in [] if trend or add else wanted:
            result = _run(root, name, quick=quick, seed=seed, source=source, limit=limit)
            if result is None:
                failed.append(name)
                continue
            console.print(_table(name, result))
            if not quick:
                _keep(root, name, result)
        if add or trend or not quick:
            _write_page(root)
        if trend:
            for name in wanted:
                console.print(_trend_table(root, name))
        if failed:
            print_error(f"{', '.join(failed)} did not finish; see above.")
            raise typer.Exit(1)


def _run(root: Path, name: str, *, quick: bool, seed: int, source: Path | None, limit: int) -> dict[str, Any] | None:
    """One suite's result, None where it failed, which is told."""
    suite = SUITES[name]
    command = [sys.executable, str(root / "benchmarks" / suite.script), "--seed", str(seed)]
    command += ["--quick"] if quick else []
    if source is not None:
        if suite.takes_source:
            command += ["--source", str(source)]
        else:
            print_note(f"{name} has inputs of its own; --source does not change them.")
    if limit:
        command += ["--lines" if name == "latency" else "--limit", str(limit)]
    said: list[str] = []
    with error_console.status(f"{name}: starting…") as status:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stderr is not None
            for line in process.stderr:
                said.append(line.rstrip())
                status.update(f"{name}: {escape(said[-1][:100])}")
            lines = process.stdout.read().strip().splitlines()
        code = process.returncode
    try:
        result = json.loads(lines[-1]) if code == 0 and lines else None
    except ValueError:
        result = None
    if not isinstance(result, dict) or "figures" not in result:
        print_error(f"{name}: benchmarks/{suite.script} ended with {code}.")
        for line in said[-LAST_LINES:]:
            error_console.print(f"  [dim]{escape(line)}[/]", soft_wrap=True)
        if any("No module named" in line for line in said):
            error_console.print(f"  [dim]→[/] The peers are installed by: pip install -e '{root}[[bench]'")
        return None
    return result


def _printed(file: Path) -> tuple[str, dict[str, Any]]:
    """The suite and the result in what a script printed: its last line.

    Raises:
        DsassistError: there is none of a suite.
    """
    try:
        result = json.loads(file.read_text(encoding="utf-8").strip().rpartition("\n")[2])
        name = next(name for name, suite in SUITES.items() if suite.script == f"{result['name']}.py")
        result["figures"], result["inputs"]
    except OSError as error:
        raise DsassistError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise DsassistError(f"{file} does not end with the result of a quality suite.") from error
    return name, result


def _table(name: str, result: Mapping[str, Any]) -> Table:
    suite = SUITES[name]
    table = Table(title=f"{name} · {suite.about}", title_justify="left", show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for key, label in suite.figures:
        if key in result["figures"]:
            table.add_row(label, shown(key, result["figures"][key]))
    for key, value in result.get("ratios", {}).items():
        table.add_row(f"[dim]{escape(key)}, ours to peer[/]", f"[dim]{value:.2f}×[/]")
    return table


def shown(key: str, value: Any) -> str:
    """A figure as people read it: shares in percent, times in milliseconds."""
    if not isinstance(value, int | float):
        return str(value)
    return f"{value:.0f} ms" if key.endswith("_ms") else f"{100 * value:.1f}%"


def _keep(root: Path, name: str, result: Mapping[str, Any]) -> None:
    folder = root / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)
    kept = {**result, "suite": name, "date": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
    commit = str(result.get("commit") or "no-commit").replace("+", "-changed")
    file = folder / f"{now:%Y%m%d-%H%M%S}-{name}-{commit}.json"
    file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    console.print(f"[dim]kept as {file.relative_to(root)}[/]")


def _results(root: Path) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    found, problems = read_results(root / "benchmarks" / "results")
    for problem in problems:
        print_note(problem)
    return {name: [result for result in found if result["suite"] == name] for name in SUITES}


def _write_page(root: Path) -> None:
    results = _results(root)
    images = root / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    chapters = []
    for name, suite in SUITES.items():
        if not results[name]:
            continue
        image = images / f"quality-{name}.svg"
        image.write_text(svg(suite.figures, results[name]), encoding="utf-8")
        chapters.append((name, suite.about, suite.figures, results[name]))
    (root / "docs" / "quality.md").write_text(page(chapters, shown), encoding="utf-8")
    console.print("[dim]docs/quality.md shows the trend[/]")


def _trend_table(root: Path, name: str) -> Table:
    suite = SUITES[name]
    table = Table(title=f"{name} · {suite.about}", title_justify="left")
    table.add_column("date")
    table.add_column("commit")
    table.add_column("model")
    for _, label in suite.figures:
        table.add_column(label, justify="right")
    for result in _results(root)[name]:
        figures = [shown(key, result["figures"].get(key, "–")) for key, _ in suite.figures]
        table.add_row(result["date"][:10], result.get("commit", ""), result["inputs"].get("model", ""), *figures)
    return table
