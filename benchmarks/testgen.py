"""Generated tests: how many functions of real packages get a verified one, what it covers and kills, beside Pynguin.

Targets are functions and methods drawn by ``--seed`` from installed packages (``--source DIR`` puts a folder a
package in their
place). Delivered tests are judged by tools that are not ours to bend: the project's pytest in fresh processes, and
coverage.py.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _common
import testgen_javascript
import testgen_model
import testgen_peer

from dsassist.assist import testgen
from dsassist.errors import DsassistError

PACKAGES = (
    "inflection",
    "humanize",
    "more_itertools",
    "toolz",
    "packaging",
    "click",
    "jinja2",
    "tomlkit",
    "boltons",
    "requests",
    "markdown",
    "sqlparse",
)
PEER_MODULES = ("inflection", "humanize.filesize", "packaging._structures", "boltons.mathutils", "markdown.util")
PUBLISHED = {"builds": 0.75, "passes": 0.57, "raises_coverage": 0.25}
"""TestGen-LLM (arXiv:2402.09171): test cases that build, pass, and raise coverage."""


def environment(cache: Path) -> Path:
    """A virtual environment with the packages, pytest, hypothesis and coverage.py; made once."""
    names = [name.replace("_", "-") for name in PACKAGES]
    return testgen_peer.environment(cache, ["pytest", "coverage", "hypothesis", "pyyaml", *names])


def sample(folders: list[Path], limit: int, seed: int) -> list[testgen.Target]:
    """``limit`` targets, as evenly from the packages as their sizes allow, drawn by ``seed``."""
    generator = random.Random(seed)
    queues = []
    for folder in folders:
        found = []
        for path in sorted(folder.rglob("*.py")) if folder.is_dir() else [folder]:
            if re.search(
                r"(^|/)(tests?|testing|_vendor|vendored|vendor)(/|$)|/(conftest|test_\w+|setup)\.py$|__main__\.py$",
                str(path.relative_to(folder.parent)),
            ):
                continue
            try:
                found += testgen.in_file(path)
            except DsassistError:
                continue
        generator.shuffle(found)
        queues.append(found)
    chosen: list[testgen.Target] = []
    while len(chosen) < limit and any(queues):
        for queue in queues:
            if queue and len(chosen) < limit:
                chosen.append(queue.pop())
    return chosen


def workspace_of(target: testgen.Target, folders: list[Path], base: Path) -> Path:
    """A throwaway workspace that holds the target's package, without tests that it brings along: a generated test
    would have to add to those."""
    folder = next(item for item in folders if target.path.is_relative_to(item) or target.path == item)
    root = base / folder.stem
    if not root.exists():
        root.mkdir(parents=True)
        if folder.is_dir():
            shutil.copytree(folder, root / folder.name, ignore=shutil.ignore_patterns("__pycache__", "tests", "test"))
        else:
            shutil.copy(folder, root / folder.name)
    return root


def covered_share(python: Path, root: Path, file: Path, test: Path, target: testgen.Target) -> float | None:
    """Lines of the target that coverage.py saw, as a share of those it counts."""
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder, "data"), Path(folder, "out.json")
        command = [
            str(python),
            "-m",
            "coverage",
            "run",
            "--branch",
            f"--data-file={data}",
            f"--include={file}",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            str(test),
        ]
        subprocess.run(
            command,
            cwd=root,
            capture_output=True,
            timeout=120,
            check=False,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        done = subprocess.run(
            [str(python), "-m", "coverage", "json", f"--data-file={data}", "-o", str(out), "-q"],
            cwd=root,
            capture_output=True,
            timeout=60,
            check=False,
        )
        if done.returncode or not out.exists():
            return None
        found = next(iter(json.loads(out.read_text())["files"].values()), None)
    if found is None:
        return None
    body = {node.lineno for statement in target.node.body for node in ast.walk(statement) if hasattr(node, "lineno")}
    lines = set(found["executed_lines"]) & body
    missing = set(found["missing_lines"]) & body
    return len(lines) / (len(lines) + len(missing)) if lines or missing else None


def fresh_runs(python: Path, root: Path, rows: list[dict[str, Any]], runs: int) -> None:
    """Run the delivered suites of one package ``runs`` times, each in a fresh process with another hash seed; sets
    ``passed``."""
    folder = root / "delivered_for_benchmark"
    folder.mkdir()
    for number, row in enumerate(rows):
        (folder / f"test_suite_{number}.py").write_text(row["text"], encoding="utf-8")
        row["passed"] = 0
    for run in range(runs):
        env = {**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": str(1000 + run)}
        command = [
            str(python),
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--import-mode=importlib",
            "--tb=no",
            "-rfE",
            str(folder),
        ]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=600, check=False, env=env)
        failed = {int(number) for number in re.findall(r"(?:FAILED|ERROR) \S*test_suite_(\d+)\.py", done.stdout)}
        for number, row in enumerate(rows):
            row["passed"] += number not in failed and done.returncode in (0, 1)
    shutil.rmtree(folder)


def measure(
    target: testgen.Target, root: Path, file: Path, python: Path, helpers: list[Any], seconds: float
) -> dict[str, Any]:
    """One target: generate, then judge what was delivered."""
    started = time.monotonic()
    row: dict[str, Any] = {
        "target": f"{file.relative_to(root)}::{target.qualname}",
        "package": root.name,
        "delivered": 0,
    }
    try:
        chosen = [item for item in testgen.in_file(file) if item.qualname == target.qualname]
        report = asyncio.run(
            testgen.generate(
                file, chosen, workspace=root, python=python, options=testgen.Options(seconds=seconds), helpers=helpers
            )
        )
    except DsassistError as error:
        return {**row, "problem": str(error), "seconds": time.monotonic() - started, "funnel": {}}
    one = report.targets[0]
    row |= {
        "seconds": time.monotonic() - started,
        "delivered": len(one.kept),
        "funnel": one.funnel,
        "mutants": one.mutants,
        "killed": one.killed,
        "lines": one.lines,
        "covered": one.covered_after,
        "problem": one.problem,
        "dropped": one.dropped,
        "survivors": one.survivors,
        "missed": one.missed,
        "suspicions": len(one.suspicions),
        "model_tests": sum(kept.source == "model" for kept in one.kept),
    }
    if report.text and one.kept:
        test = root / f"test_generated_{os.getpid()}.py"
        test.write_text(report.text, encoding="utf-8")
        row["text"] = report.text
        row["share"] = covered_share(python, root, file, test, target)
        test.unlink()
    return row


def figures_of(rows: list[dict[str, Any]], runs: int) -> dict[str, Any]:
    """The figures over all targets."""
    delivered = [row for row in rows if row["delivered"]]
    shares = [row["share"] for row in delivered if row.get("share") is not None]
    mutants = sum(row["mutants"] for row in delivered)
    funnel = {stage: sum(row["funnel"].get(stage, 0) for row in rows) for stage in testgen.STAGES}
    return {
        "targets": len(rows),
        "delivered_share": round(len(delivered) / len(rows), 4) if rows else 0.0,
        "pass_20_of_20_share": round(sum(row["passed"] == runs for row in delivered) / len(delivered), 4)
        if delivered
        else 0.0,
        "fresh_runs": runs,
        "median_line_coverage": round(statistics.median(shares), 4) if shares else 0.0,
        "mutation_score": round(sum(row["killed"] for row in delivered) / mutants, 4) if mutants else 0.0,
        "median_s": round(statistics.median(row["seconds"] for row in rows), 2) if rows else 0.0,
        "tests": sum(row["delivered"] for row in delivered),
        "funnel": funnel,
        "published_funnel": PUBLISHED,
    }


def ratios_of(figures: dict[str, Any]) -> dict[str, float]:
    """Ours over Pynguin's, where it was measured."""
    found = {}
    for name in ("coverage", "mutation"):
        if figures.get(f"peer_pynguin_{name}"):
            found[name] = figures[f"peer_ours_{name}"] / figures[f"peer_pynguin_{name}"]
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, help="folder that holds one folder (or module) a package")
    parser.add_argument("--python", type=Path, help="interpreter that has pytest, coverage and what the packages need")
    parser.add_argument("--limit", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="time budget of one function")
    parser.add_argument("--runs", type=int, default=20, help="fresh runs that a delivered suite must pass")
    parser.add_argument("--quick", action="store_true", help="5 targets, 3 fresh runs")
    parser.add_argument(
        "--model",
        nargs="*",
        metavar="MODEL",
        help="also: where rules leave gaps, once more with each of these (a name, a GGUF file; none: a second search)",
    )
    parser.add_argument("--model-limit", type=int, default=120, help="targets that are tried with a model")
    parser.add_argument("--model-only", action="store_true", help="no targets beyond those tried with a model")
    parser.add_argument("--planted", action="store_true", help="also: bugs planted in forty functions of ours")
    parser.add_argument("--javascript", action="store_true", help="also: exported functions of npm packages")
    parser.add_argument("--javascript-source", type=Path, help="folder that holds one folder a package")
    parser.add_argument("--javascript-limit", type=int, default=24)
    parser.add_argument("--javascript-rows", type=Path, help="as --rows")
    parser.add_argument(
        "--pynguin", nargs="?", const="install", help="also: beside Pynguin (a program; installed where none is named)"
    )
    parser.add_argument("--pynguin-modules", nargs="*", default=list(PEER_MODULES), help="dotted names")
    parser.add_argument("--keep", type=Path, help="folder for the suites of both")
    parser.add_argument(
        "--rows", type=Path, help="append one JSON line a target; targets that are there already are not run again"
    )
    parser.add_argument("--stop-after", type=float, default=1e9, help="seconds after which no further target is begun")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.limit, arguments.runs = min(arguments.limit, 5), min(arguments.runs, 3)
        arguments.javascript_limit = min(arguments.javascript_limit, 4)
    if arguments.model == []:
        arguments.model = ["qwen2.5-coder-0.5b"]
    return arguments


def _folders(arguments: argparse.Namespace, python: Path) -> list[Path]:
    if arguments.source:
        return sorted(
            item
            for item in arguments.source.resolve().iterdir()
            if (item.is_dir() and any(item.glob("*.py"))) or item.suffix == ".py"
        )
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    asked = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    site = Path(asked.stdout.strip())
    return [site / name if (site / name).is_dir() else site / f"{name}.py" for name in PACKAGES]


def rows_of(
    arguments: argparse.Namespace, folders: list[Path], base: Path, python: Path, models: dict[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """A row a target; and for each model a row a target, measured anew where rules left something open."""
    known: dict[str, dict[str, Any]] = {}
    if arguments.rows and arguments.rows.exists():
        for line in arguments.rows.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            known[row["target"] + row.get("model", "")] = row
    rows: list[dict[str, Any]] = []
    others: dict[str, list[dict[str, Any]]] = {name: [] for name in models}
    begun = time.monotonic()

    def row_of(target: testgen.Target, root: Path, file: Path, model: str) -> dict[str, Any] | None:
        row = known.get(f"{file.relative_to(root)}::{target.qualname}{model}")
        if row is not None or time.monotonic() - begun > arguments.stop_after:
            return row
        row = measure(target, root, file, python, [models[model]] if model else [], arguments.seconds)
        if model:
            row["model"] = model
        if arguments.rows:
            with arguments.rows.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
        _common.say(
            f"{row['target']:60} {row['delivered']:2} tests  {row['seconds']:5.1f} s  {row.get('share') or 0:4.0%} "
            f"{row.get('killed', 0)}/{row.get('mutants', 0)} mutants  {model} {row.get('problem', '')[:90]}"
        )
        return row

    for number, target in enumerate(sample(folders, arguments.limit, arguments.seed)):
        root = workspace_of(target, folders, base)
        folder = next(item for item in folders if target.path.is_relative_to(item) or target.path == item)
        file = root / target.path.relative_to(folder.parent)
        row = row_of(target, root, file, "")
        if row is None or (arguments.model_only and number >= arguments.model_limit):
            break
        rows.append(row)
        for name in models if number < arguments.model_limit else ():
            if len(others[name]) < number:
                continue  # the time is over: the rows with a model are those of the first targets
            # where nothing is left open the model is not asked: the row is the same
            again = row_of(target, root, file, name) if row.get("survivors") or row.get("missed") else row
            if again is not None:
                others[name].append(again)
    return rows, others


def main() -> None:
    arguments = _arguments()
    cache = Path(os.environ.get("DSASSIST_BENCH_CACHE", Path.home() / ".cache" / "dsassist-bench"))
    python = arguments.python or (Path(sys.executable) if arguments.source else environment(cache / "testgen-packages"))
    folders = _folders(arguments, python)
    for tool in ("pytest", "coverage"):
        if subprocess.run([str(python), "-c", f"import {tool}"], capture_output=True, check=False).returncode:
            sys.exit(f"{python} has no {tool}: install it there, or name another interpreter with --python")
    models = {name: testgen_model.source(name) for name in arguments.model or ()}
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder).resolve()
        rows, others = rows_of(arguments, folders, base, python, models)
        for root in sorted(base.iterdir()):
            own = [row for row in rows if row["delivered"] and row["package"] == root.name]
            if own:
                fresh_runs(python, root, own, arguments.runs)
    figures = figures_of(rows, arguments.runs)
    for name, with_model in others.items():
        figures |= testgen_model.figures(name, rows[: len(with_model)], with_model)
    program = None
    if arguments.pynguin:
        installed = arguments.pynguin == "install"
        program = testgen_peer.pynguin_program(cache / "testgen-pynguin") if installed else Path(arguments.pynguin)
    if arguments.javascript:
        figures |= testgen_javascript.measured(
            cache / "testgen-npm",
            arguments.javascript_source,
            arguments.javascript_limit,
            arguments.seed,
            arguments.seconds,
            arguments.runs,
            arguments.javascript_rows,
        )
    if arguments.planted:
        figures |= testgen_peer.planted(python, program, 8.0)
    if program is not None:
        known_folders = {folder.stem: folder for folder in folders}
        modules = [(known_folders[name.partition(".")[0]], name) for name in arguments.pynguin_modules]
        figures |= testgen_peer.against_pynguin(program, python, modules, arguments.seconds, 40, arguments.keep)
    inputs = {
        "packages": [folder.stem for folder in folders],
        "targets": len(rows),
        "seed": arguments.seed,
        "models": list(models),
    }
    _common.report(
        "testgen", inputs=inputs, figures=figures, ratios=ratios_of(figures), packages=("coverage", "pytest")
    )


if __name__ == "__main__":
    main()
