"""The part of ``testgen.py`` that makes tests for exported functions of npm packages, run by Node's own test runner."""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import _common

from dsassist.assist import testgen
from dsassist.assist.testgen import ecma
from dsassist.errors import DsassistError

__all__ = ["measured"]

PACKAGES = ("lodash-es", "date-fns", "validator", "semver", "d3-array", "radash")
_LEFT_OUT = re.compile(
    r"(^|/)(node_modules|test|tests|__tests__|docs|umd|cjs|fp|locale|_lib)/|\.min\.|\.d\.|\.test\.|\.spec\."
)


def installed(cache: Path) -> Path:
    """A folder with the packages below ``node_modules``; made once, whole or not at all."""
    complete = cache / "complete.txt"
    if not complete.exists() or complete.read_text(encoding="utf-8") != " ".join(PACKAGES):
        _common.say(f"installing {', '.join(PACKAGES)} into {cache}")
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(parents=True)
        (cache / "package.json").write_text('{"private": true}\n', encoding="utf-8")
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
        subprocess.run(command, cwd=cache, check=True)
        complete.write_text(" ".join(PACKAGES), encoding="utf-8")
    return cache / "node_modules"


def sample(folders: list[Path], limit: int, seed: int) -> list[tuple[Path, ecma.EcmaTarget]]:
    """(package, exported function), as evenly from the packages as their sizes allow, drawn by ``seed``."""
    generator = random.Random(seed)
    queues = []
    for folder in folders:
        found: dict[str, ecma.EcmaTarget] = {}
        described = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        bundled = described.get("type") != "module"
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder).as_posix()
            if path.suffix not in ecma.SUFFIXES or _LEFT_OUT.search(relative) or path.stat().st_size > 200_000:
                continue
            if (
                bundled
                and path.suffix == ".js"
                and re.search(r"^(export|import) ", path.read_text(encoding="utf-8"), re.M)
            ):
                continue  # modules for bundlers, which Node does not run
            try:
                for target in ecma.in_file(path):
                    found.setdefault(target.qualname, target)  # a package may bring the same code twice
            except DsassistError:
                continue
        queue = list(found.values())
        generator.shuffle(queue)
        queues.append((folder, queue))
    chosen: list[tuple[Path, ecma.EcmaTarget]] = []
    while len(chosen) < limit and any(queue for _, queue in queues):
        for folder, queue in queues:
            if queue and len(chosen) < limit:
                chosen.append((folder, queue.pop()))
    return chosen


def _covered(root: Path, file: Path, test: Path, target: ecma.EcmaTarget) -> float | None:
    """Share of the target's lines that Node's own coverage counts as executed; None where it does not say."""
    with tempfile.NamedTemporaryFile(suffix=".lcov") as out:
        options = ["--experimental-test-coverage", "--test-reporter=lcov", f"--test-reporter-destination={out.name}"]
        command = ["node", *options, "--test", str(test)]
        subprocess.run(command, cwd=root, capture_output=True, timeout=60, check=False)
        text = Path(out.name).read_text(encoding="utf-8")
    for part in text.split("end_of_record"):
        name = re.search(r"^SF:(.+)$", part, re.MULTILINE)
        if name and (root / name.group(1)).resolve() == file.resolve():
            counts = [(int(line), int(hits)) for line, hits in re.findall(r"^DA:(\d+),(\d+)", part, re.MULTILINE)]
            own = [hits for line, hits in counts if target.line <= line <= target.end]
            return sum(hits > 0 for hits in own) / len(own) if own else None
    return None


def _one(root: Path, file: Path, target: ecma.EcmaTarget, seconds: float, runs: int) -> dict[str, Any]:
    started = time.monotonic()
    row: dict[str, Any] = {"target": f"{root.name}/{file.relative_to(root)}::{target.qualname}", "delivered": 0}
    try:
        options = testgen.Options(seconds=seconds)
        report = asyncio.run(ecma.generate(file, [target], workspace=root, options=options))
    except DsassistError as error:
        return {**row, "seconds": time.monotonic() - started, "problem": str(error)}
    one = report.targets[0]
    row |= {
        "seconds": time.monotonic() - started,
        "delivered": len(one.kept),
        "mutants": one.mutants,
        "killed": one.killed,
        "problem": one.problem,
        "dropped": one.dropped,
        "survivors": one.survivors,
        "passed": 0,
    }
    if report.text and one.kept:
        row["text"] = report.text
        report.test_path.parent.mkdir(parents=True, exist_ok=True)
        report.test_path.write_text(report.text, encoding="utf-8")
        for _ in range(runs):
            command = ["node", "--test", str(report.test_path)]
            row["passed"] += not subprocess.run(command, cwd=root, capture_output=True, check=False).returncode
        row["share"] = _covered(root, file, report.test_path, target)
        report.test_path.unlink()
    return row


def measured(
    cache: Path, source: Path | None, limit: int, seed: int, seconds: float, runs: int, rows_file: Path | None = None
) -> dict[str, Any]:
    """Figures over ``limit`` functions. ``source``: a folder with one folder a package, in the default ones' place."""
    modules = source.resolve() if source else installed(cache)
    names = [item.name for item in sorted(modules.iterdir()) if item.is_dir()] if source else list(PACKAGES)
    rows: list[dict[str, Any]] = []
    known: dict[str, dict[str, Any]] = {}
    if rows_file is not None and rows_file.exists():
        known = {row["target"]: row for row in map(json.loads, rows_file.read_text(encoding="utf-8").splitlines())}
    with tempfile.TemporaryDirectory() as base:
        for folder, target in sample([modules / name for name in names], limit, seed):
            root = Path(base).resolve() / folder.name
            if not root.exists():
                shutil.copytree(folder, root, ignore=shutil.ignore_patterns("node_modules"))
                (root / "node_modules").symlink_to(modules)
            file = root / target.path.relative_to(folder)
            label = f"{root.name}/{file.relative_to(root)}::{target.qualname}"
            row = known.get(label)
            if row is None:
                chosen = next(item for item in ecma.in_file(file) if item.qualname == target.qualname)
                row = _one(root, file, chosen, seconds, runs)
                if rows_file is not None:
                    with rows_file.open("a", encoding="utf-8") as out:
                        out.write(json.dumps(row) + "\n")
            rows.append(row)
            _common.say(
                f"{row['target']:60} {row['delivered']:2} tests  {row['seconds']:5.1f} s  {row.get('share') or 0:4.0%} "
                f"{row.get('killed', 0)}/{row.get('mutants', 0)} mutants  {row.get('problem', '')[:90]}"
            )
    delivered = [row for row in rows if row["delivered"]]
    shares = [row["share"] for row in delivered if row.get("share") is not None]
    found = {
        "packages": len({row["target"].partition("/")[0] for row in rows}),
        "targets": len(rows),
        "delivered_share": len(delivered) / max(1, len(rows)),
        "pass_20_of_20_share": sum(row["passed"] == runs for row in delivered) / max(1, len(delivered)),
        "median_line_coverage": statistics.median(shares) if shares else 0.0,
        "mutation_score": sum(row["killed"] for row in delivered) / max(1, sum(row["mutants"] for row in delivered)),
        "median_s": statistics.median(row["seconds"] for row in rows) if rows else 0.0,
    }
    return {f"javascript_{key}": round(value, 4) for key, value in found.items()}
