"""The parts of ``testgen.py`` that measure Pynguin beside us, and bugs planted in functions of our own."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _common

from dsassist.assist import testgen
from dsassist.assist.testgen import mutate

__all__ = ["against_pynguin", "environment", "planted", "pynguin_program"]

PYNGUIN = "pynguin==0.48.0"

PLANTED = Path(__file__).parent / "data" / "planted_bugs.py"


def environment(folder: Path, packages: list[str]) -> Path:
    """The interpreter of a virtual environment with ``packages``; made once, whole or not at all."""
    python, complete = folder / "bin" / "python", folder / "complete.txt"
    wanted = "\n".join(packages)
    if not complete.exists() or complete.read_text(encoding="utf-8") != wanted:
        _common.say(f"installing {', '.join(packages)} into {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True)
        complete.write_text(wanted, encoding="utf-8")
    return python


def pynguin_program(cache: Path) -> Path:
    """Pynguin in an environment of its own: it pins what the packages under test need newer."""
    return environment(cache, [PYNGUIN]).with_name("pynguin")


def pynguin(program: Path, root: Path, module: str, seconds: float, out: Path) -> str:
    """Run Pynguin on ``module`` and return the test file that it writes, "" when it writes none."""
    out.mkdir(parents=True)
    command = [str(program), "--project-path", str(root), "--module-name", module, "--output-path", str(out)]
    command += ["--maximum-search-time", str(int(seconds)), "--seed", "1", "--report-dir", str(out)]
    env = {**os.environ, "PYNGUIN_DANGER_AWARE": "1", "PYTHONHASHSEED": "0"}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, start_new_session=True
    )
    try:
        process.wait(seconds * 3 + 60)
    except subprocess.TimeoutExpired:
        _common.say(f"Pynguin did not end on {module}: it counts with what it wrote, if anything")
        os.killpg(process.pid, signal.SIGKILL)  # it works in a process of its own
        process.wait()
    files = sorted(out.glob("test_*.py"))
    return files[0].read_text(encoding="utf-8") if files else ""


def passing(python: Path, root: Path, text: str) -> bool:
    """Whether the suite passes in a fresh process."""
    return _run(python, root, text).returncode == 0


def _run(python: Path, root: Path, text: str) -> subprocess.CompletedProcess[str]:
    test = root / "test_measured.py"
    test.write_text(text, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(python), "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=no", str(test)]
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False, env=env)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", "")
    finally:
        test.unlink()


def without_failing(python: Path, root: Path, text: str) -> str:
    """The suite without the tests that fail in a fresh process: what is left can still notice something."""
    test = root / "test_measured.py"
    test.write_text(text, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", "-rfE", str(test)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=False, env=env)
    test.unlink()
    failed = set(re.findall(r"(?:FAILED|ERROR) \S*::(\w+)", done.stdout))
    tree = ast.parse(text)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            node.body = [item for item in node.body if getattr(item, "name", "") not in failed] or [ast.Pass()]
    tree.body = [item for item in tree.body if getattr(item, "name", "") not in failed]
    return ast.unparse(tree)


def coverage_of(python: Path, root: Path, file: Path, text: str, wanted: set[int]) -> float:
    """Share of the statement lines ``wanted`` that the suite executes, by coverage.py."""
    test = root / "test_measured.py"
    test.write_text(text, encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder, "data"), Path(folder, "out.json")
        env = {**os.environ, "PYTHONPATH": str(root)}
        base = [str(python), "-m", "coverage"]
        run = [*base, "run", f"--data-file={data}", f"--include={file}", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        subprocess.run([*run, str(test)], cwd=root, capture_output=True, timeout=120, check=False, env=env)
        subprocess.run([*base, "json", f"--data-file={data}", "-o", str(out), "-q"], cwd=root, check=False, env=env)
        found = next(iter(json.loads(out.read_text())["files"].values()), None) if out.exists() else None
    test.unlink()
    if found is None:
        return 0.0
    executed, missing = set(found["executed_lines"]) & wanted, set(found["missing_lines"]) & wanted
    return len(executed) / max(1, len(executed) + len(missing))


def mutation_score(python: Path, root: Path, file: Path, text: str, targets: list[testgen.Target], most: int) -> float:
    """Share of mutants (the same for every suite) on which the suite fails; each is a changed file and a fresh run."""
    original = file.read_text(encoding="utf-8")
    lines = original.splitlines(keepends=True)
    drawn = [(target, item) for target in targets for item in mutate.mutants(target)]
    drawn = random.Random(1).sample(drawn, min(most, len(drawn)))
    killed = 0
    for target, item in drawn:
        function = ast.parse(item.source)
        while not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            function = function.body[0]  # type: ignore[attr-defined]
        indent = " " * target.node.col_offset
        changed = [indent + line + "\n" for line in ast.unparse(function).splitlines()]
        file.write_text("".join([*lines[: target.line - 1], *changed, *lines[target.end :]]), encoding="utf-8")
        killed += _run(python, root, text).returncode != 0
    file.write_text(original, encoding="utf-8")
    return killed / max(1, len(drawn))


def _body_lines(targets: list[testgen.Target]) -> set[int]:
    return {
        node.lineno
        for target in targets
        for item in target.node.body
        for node in ast.walk(item)
        if hasattr(node, "lineno")
    }


def ours(root: Path, file: Path, python: Path, seconds: float) -> tuple[str, list[testgen.TargetReport]]:
    """Our suite for a whole file within the same time."""
    targets = testgen.in_file(file)
    options = testgen.Options(seconds=max(4.0, seconds / max(1, len(targets))))
    report = asyncio.run(testgen.generate(file, targets, workspace=root, python=python, options=options))
    return report.text or "", report.targets


def against_pynguin(
    program: Path, python: Path, modules: list[tuple[Path, str]], seconds: float, most: int, keep: Path | None = None
) -> dict[str, Any]:
    """Figures of both on the same modules. ``modules``: (file or package folder, dotted module name). ``keep``: a
    folder for both suites of each."""
    rows = []
    for source, module in modules:
        with tempfile.TemporaryDirectory() as base:
            root = Path(base).resolve() / "work"
            root.mkdir()
            if source.is_dir():
                shutil.copytree(
                    source, root / source.name, ignore=shutil.ignore_patterns("__pycache__", "tests", "test")
                )
            else:
                shutil.copy(source, root / source.name)
            file = root / (module.replace(".", "/") + ".py")
            file = file if file.exists() else file.with_suffix("") / "__init__.py"
            targets = testgen.in_file(file)
            row: dict[str, Any] = {"module": module, "targets": len(targets)}
            started = time.monotonic()
            mine, _ = ours(root, file, python, seconds)
            row["ours_s"] = time.monotonic() - started
            started = time.monotonic()
            theirs = pynguin(program, root, module, seconds, Path(base) / "out")
            row["pynguin_s"] = time.monotonic() - started
            for name, text in (("ours", mine), ("pynguin", theirs)):
                row[f"{name}_tests"] = len(re.findall(r"^ *def test_", text, re.MULTILINE))
                row[f"{name}_passes"] = bool(text) and passing(python, root, text)
                row[f"{name}_coverage"] = coverage_of(python, root, file, text, _body_lines(targets)) if text else 0.0
                good = text if row[f"{name}_passes"] or not text else without_failing(python, root, text)
                row[f"{name}_mutation"] = mutation_score(python, root, file, good, targets, most) if good else 0.0
                if keep is not None and text:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{module}_{name}.py").write_text(text, encoding="utf-8")
            rows.append(row)
            _common.say(", ".join(f"{key} {value}" for key, value in row.items()))
    count = max(1, len(rows))
    keys = ("ours_coverage", "pynguin_coverage", "ours_mutation", "pynguin_mutation", "ours_s", "pynguin_s")
    return {f"peer_{key}": round(sum(row[key] for row in rows) / count, 4) for key in keys} | {
        "peer_modules": len(rows)
    }


def planted(python: Path, program: Path | None, seconds: float) -> dict[str, Any]:
    """How many of the planted bugs are flagged: by a suspicion of ours, by a test that Pynguin marks as failing."""
    with tempfile.TemporaryDirectory() as base:
        root = Path(base).resolve() / "work"
        root.mkdir()
        shutil.copy(PLANTED, root)
        _, reports = ours(root, root / PLANTED.name, python, seconds * 40)
        stated = {item.target for report in reports for item in report.suspicions if item.confidence == "stated"}
        flagged = {item.target for report in reports for item in report.suspicions}
        figures: dict[str, Any] = {
            "planted": len(reports),
            "planted_flagged": len(flagged),
            "planted_contradicts_docstring": len(stated),
        }
        if program is not None:
            text = pynguin(program, root, PLANTED.stem, min(180.0, seconds * 40), Path(base) / "out")
            names = {report.target for report in reports}
            marked = re.findall(r"@pytest\.mark\.xfail[^\n]*\n(def test_.*?)(?=\n\n\n|\Z)", text, re.DOTALL)
            figures["planted_flagged_pynguin"] = len(
                {name for name in names for body in marked if re.search(rf"\.{name}\(", body)}
            )
    return figures
