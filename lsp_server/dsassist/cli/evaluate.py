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
from dsassist.cli.trend import Chapter, page, read_results, svg
from dsassist.errors import DsassistError

__all__ = ["SUITES", "Suite", "find_checkout", "register"]

MISSING_PEER = 3
"""Exit status of a script that has nothing to compare with."""
LAST_LINES = 5
"""Of what a suite said, shown when it failed."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One quality suite: its script, what it says, and the figures that matter most, as (key, label)."""

    script: str
    about: str
    figures: tuple[tuple[str, str], ...]
    more: tuple[tuple[str, str], ...] = ()
    """What is said of the last run besides."""
    limit: str = "--limit"
    """The script's option for the number of inputs."""
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
        (
            ("n", "gaps"),
            ("reused_pass_at_1", "pass@1 with a suffix that is taken over while one types"),
            ("ours_seconds_per_task", "seconds a gap"),
            ("peer_seconds_per_task", "seconds a gap, llama.cpp"),
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
        (
            ("n", "lines"),
            ("only_ours_and_only_in_file", "right with us only, with the file alone only"),
            ("only_ours_and_only_ring", "right with us only, with similar chunks only"),
            ("gather_p50_ms", "gathering, median"),
            ("gather_p95_ms", "gathering, 95 of 100"),
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
        (
            ("pauses", "pauses"),
            ("shown", "shown"),
            ("accepted", "accepted"),
            ("shown_per_minute", "shown a minute"),
            ("retained", "of what is accepted stays"),
            ("acceptance_ratio_low", "acceptance to that without filters: nine of ten such samples give at least"),
            ("acceptance_ratio_high", "… and at most"),
            ("characters_kept_low", "characters saved to those without filters: at least"),
            ("characters_kept_high", "… and at most"),
            ("filter_unsure_dropped", "dropped by the accept model"),
            ("filter_unsure_wrong_share", "… rightly"),
            ("filter_breaks_syntax_dropped", "dropped for the syntax"),
            ("filter_breaks_syntax_wrong_share", "… rightly"),
            ("filter_unknown_member_dropped", "dropped for an unknown member"),
            ("filter_unknown_member_wrong_share", "… rightly"),
            ("filter_unknown_name_dropped", "dropped for a name that is nowhere in the file"),
            ("filter_unknown_name_wrong_share", "… rightly"),
            ("filter_closes_twice_dropped", "dropped for closing twice"),
            ("filter_closes_twice_wrong_share", "… rightly"),
            ("filter_repeats_next_lines_dropped", "dropped for repeating what follows"),
            ("filter_repeats_next_lines_wrong_share", "… rightly"),
        ),
        takes_source=True,
    ),
    "latency": Suite(
        "keystrokes.py",
        "From the last key to the suggestion while real edits are typed; the peer is llama.cpp's server",
        (
            ("p50_ms", "median"),
            ("peer_p50_ms", "… llama.cpp"),
            ("p95_ms", "95th percentile"),
            ("peer_p95_ms", "… llama.cpp"),
            ("within_300ms", "within 300 ms"),
        ),
        (
            ("tokens_computed_per_suggestion", "tokens computed for a suggestion"),
            ("peer_tokens_computed_per_suggestion", "tokens computed, llama.cpp"),
        ),
        limit="--pauses",
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
        note: Annotated[str, typer.Option(help="A sentence about the run, kept with its result.")] = "",
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
            _show(name, printed)
            printed |= {"note": note} if note else {}
            _keep(root, name, printed, datetime.datetime.fromtimestamp(file.stat().st_mtime, datetime.UTC))
        for name in [] if trend or add else wanted:
            result = _run(root, name, quick=quick, seed=seed, source=source, limit=limit)
            if result is None:
                failed.append(name)
                continue
            _show(name, result)
            if not quick:
                result |= {"note": note} if note else {}
                _keep(root, name, result)
        if add or trend or not quick:
            _write_page(root)
        if trend:
            for name in wanted:
                _show_trend(root, name)
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
        command += [suite.limit, str(limit)]
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
        if code == MISSING_PEER:
            error_console.print(f"  [dim]→[/] benchmarks/README.md says how to get what {name} is compared with.")
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


def _show(name: str, result: Mapping[str, Any]) -> None:
    suite = SUITES[name]
    console.print(f"[bold]{name}[/] · {suite.about}")
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(justify="right")
    for key, label in suite.figures:
        if key in result["figures"]:
            table.add_row(label, shown(key, result["figures"][key]))
    for key, value in result.get("ratios", {}).items():
        table.add_row(f"[dim]{escape(key)}, ours to peer[/]", f"[dim]{value:.2f}×[/]")
    console.print(table)


_SUFFIXES = {
    "_low": "{:.2f}×",
    "_high": "{:.2f}×",
    "_ms": "{:.0f} ms",
    "_per_minute": "{:.1f}",
    "_per_task": "{:.1f} s",
}
_COUNTS = ("_dropped", "_per_suggestion", "pauses", "shown", "accepted", "n")


def shown(key: str, value: Any) -> str:
    """A figure as people read it: counts as they are, times in milliseconds, ratios with a cross, shares in percent."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if not isinstance(value, int | float):
        return str(value)
    for suffix, form in _SUFFIXES.items():
        if key.endswith(suffix):
            return form.format(value)
    return f"{value:.0f}" if key.endswith(_COUNTS[:2]) or key in _COUNTS else f"{100 * value:.1f}%"


def _keep(root: Path, name: str, result: Mapping[str, Any], when: datetime.datetime | None = None) -> None:
    folder = root / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    now = when or datetime.datetime.now(datetime.UTC)
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
        chapters.append(Chapter(name, suite.script, suite.about, suite.figures, suite.more, results[name]))
    (root / "docs" / "quality.md").write_text(page(chapters, shown), encoding="utf-8")
    console.print("[dim]docs/quality.md shows the trend[/]")


def _show_trend(root: Path, name: str) -> None:
    suite = SUITES[name]
    results = _results(root)[name]
    if not results:
        return
    console.print(f"[bold]{name}[/] · {suite.about}")
    table = Table(box=None, padding=(0, 1))
    for title in ("date", "commit"):
        table.add_column(title, no_wrap=True)
    for _, label in suite.figures:
        table.add_column(label, justify="right")
    for result in results:
        figures = [shown(key, result["figures"].get(key, "–")) for key, _ in suite.figures]
        table.add_row(result["date"][:10], result.get("commit", "")[:7], *figures)
    console.print(table)
