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
import testgen_peer

from dsassist.assist import testgen
from dsassist.backend import create
from dsassist.errors import DsassistError
from dsassist.settings import Settings

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
PEER_MODULES = ("inflection", "humanize.filesize", "packaging._structures")
PUBLISHED = {"builds": 0.75, "passes": 0.57, "raises_coverage": 0.25}
"""TestGen-LLM (arXiv:2402.09171): test cases that build, pass, and raise coverage."""


def environment(cache: Path) -> Path:
    """A virtual environment with the packages, pytest and coverage.py; made once."""
    python = cache / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(cache)], check=True)
        names = [name.replace("_", "-") for name in PACKAGES]
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", "pytest", "coverage", "hypothesis", "pyyaml", *names],
            check=True,
        )
    return python


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
    """A throwaway workspace that holds the target's package."""
    folder = next(item for item in folders if target.path.is_relative_to(item) or target.path == item)
    root = base / folder.stem
    if not root.exists():
        root.mkdir(parents=True)
        if folder.is_dir():
            shutil.copytree(folder, root / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
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
    target: testgen.Target, root: Path, file: Path, python: Path, sources: list[Any], seconds: float
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
                file, chosen, workspace=root, python=python, options=testgen.Options(seconds=seconds), sources=sources
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, help="folder that holds one folder (or module) a package")
    parser.add_argument("--python", type=Path, help="interpreter that has pytest, coverage and what the packages need")
    parser.add_argument("--limit", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--runs", type=int, default=20, help="fresh runs that a delivered suite must pass")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--model", action="store_true", help="ask the local engine for inputs, too")
    parser.add_argument("--planted", action="store_true", help="also: bugs planted in forty functions of ours")
    parser.add_argument("--pynguin", type=Path, help="also: beside this pynguin program, on small modules")
    parser.add_argument("--pynguin-modules", nargs="*", default=list(PEER_MODULES), help="dotted names")
    parser.add_argument(
        "--rows", type=Path, help="append one JSON line a target; targets that are there already are not run again"
    )
    parser.add_argument("--stop-after", type=float, default=1e9, help="seconds after which no further target is begun")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.limit, arguments.runs = min(arguments.limit, 6), min(arguments.runs, 3)
    cache = Path(os.environ.get("DSASSIST_BENCH_CACHE", Path.home() / ".cache" / "dsassist-bench")) / "testgen-packages"
    python = arguments.python or (Path(sys.executable) if arguments.source else environment(cache))
    if arguments.source:
        folders = sorted(
            item
            for item in arguments.source.iterdir()
            if (item.is_dir() and any(item.glob("*.py"))) or item.suffix == ".py"
        )
    else:
        site = Path(
            subprocess.run(
                [str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
        )
        folders = [site / name if (site / name).is_dir() else site / f"{name}.py" for name in PACKAGES]
    for tool in ("pytest", "coverage"):
        if subprocess.run([str(python), "-c", f"import {tool}"], capture_output=True, check=False).returncode:
            sys.exit(f"{python} has no {tool}: install it there, or name another interpreter with --python")
    sources: list[Any] = []
    if arguments.model:
        sources = [_model()]
    rows: list[dict[str, Any]] = []
    known = {}
    if arguments.rows and arguments.rows.exists():
        known = {(row["target"]): row for row in map(json.loads, arguments.rows.read_text().splitlines())}
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as base:
        for target in sample(folders, arguments.limit, arguments.seed):
            root = workspace_of(target, folders, Path(base))
            folder = next(item for item in folders if target.path.is_relative_to(item) or target.path == item)
            file = root / target.path.relative_to(folder.parent)
            row = known.get(f"{file.relative_to(root)}::{target.qualname}")
            if row is None:
                if time.monotonic() - begun > arguments.stop_after:
                    break
                row = measure(target, root, file, python, sources, arguments.seconds)
                if arguments.rows:
                    with arguments.rows.open("a") as out:
                        out.write(json.dumps(row) + "\n")
                print(
                    f"{row['target']:60} {row['delivered']:2} tests  {row['seconds']:5.1f} s  "
                    f"{row.get('share') or 0:.0%} lines  "
                    f"{row.get('killed', 0)}/{row.get('mutants', 0)} mutants  {row.get('problem', '')[:90]}",
                    flush=True,
                )
            rows.append(row)
        for root in sorted(Path(base).iterdir()):
            own = [row for row in rows if row["delivered"] and row["package"] == root.name]
            if own:
                fresh_runs(python, root, own, arguments.runs)
    figures = figures_of(rows, arguments.runs)
    if arguments.planted:
        figures |= testgen_peer.planted(python, arguments.pynguin, 8.0)
    if arguments.pynguin:
        known_folders = {folder.stem: folder for folder in folders}
        modules = [(known_folders[name.partition(".")[0]], name) for name in arguments.pynguin_modules]
        figures |= testgen_peer.against_pynguin(arguments.pynguin, python, modules, arguments.seconds, 40)
    inputs = {
        "packages": [folder.stem for folder in folders],
        "targets": len(rows),
        "seed": arguments.seed,
        "model": bool(arguments.model),
    }
    _common.report(
        "testgen", inputs=inputs, figures=figures, ratios=ratios_of(figures), packages=("coverage", "pytest")
    )


def _model() -> Any:
    return testgen.ModelSource(create(Settings()), seconds=30.0)


if __name__ == "__main__":
    main()
