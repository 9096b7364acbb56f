"""Runs the project's own tests: once under the tracer, then once for every planted bug, each time in a forked child.

Started as a script with the path of a job file; pytest (or unittest) collects once, in the parent.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import sys
import unittest
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120

from _dsassist_probe import fork, score
from _dsassist_probe.trace import Tracer, statement_lines

_MOST_TESTS = 60
Play = Callable[[Sequence[int], int], bool]


def measure(job: dict[str, Any], count: int, play: Play) -> None:
    """``play(order, index)`` runs test ``order[index]`` and says whether it passed. Writes ``job["out"]``."""
    importlib.import_module(job["module"])
    budget = fork.Budget(job["seconds"])
    tree = ast.parse(Path(job["source"]).read_bytes())
    statements = statement_lines(tree, job["start"], job["end"])
    file = os.path.realpath(job["source"])

    def prepare() -> None:
        os.chdir(job["scratch"])
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)

    def trace(_: object) -> dict[str, Any]:
        arcs: set[tuple[int, int]] = set()
        touching = []
        order = range(count)
        for index in order:
            tracer = Tracer(file, job["start"], job["end"], statements)
            with tracer:
                passed = play(order, index)
            if passed and tracer.arcs:
                arcs |= tracer.arcs
                touching.append(index)
            if budget.left < job["seconds"] / 2 or len(touching) >= _MOST_TESTS:
                break
        return {"outcome": "done", "arcs": sorted(arcs), "touching": touching}

    limits: dict[str, Any] = {"prepare": prepare, "budget": budget, "batch": 1}
    first = fork.in_children([None], trace, limit=job["seconds"], **limits)[0]
    found: dict[str, Any] = {"arcs": first.get("arcs", []), "killed": [], "tests": len(first.get("touching", ()))}
    if found["tests"]:
        originals = score.functions(file, job["start"], job["path"][-1])
        codes = [score.code_of(source, file, score.flags_of(tree), job["path"]) for source in job["mutants"]]
        usable = [number for number, code in enumerate(codes) if code is not None and score.fits(code, originals)]
        touching = first["touching"]

        def run(number: int) -> dict[str, Any]:
            for function in originals:
                function.__code__ = codes[number]
            return {"outcome": "done", "failed": not all(play(touching, index) for index in range(len(touching)))}

        answers = fork.in_children(usable, run, limit=5.0, **limits)
        for number, answer in zip(usable, answers):  # noqa: B905
            if answer.get("failed") or answer["outcome"] in ("hang", "died", "memory", "recursion"):
                found["killed"].append(number)
    Path(job["out"]).write_text(json.dumps(found), encoding="utf-8")


class Plugin:
    """Takes pytest's place once the tests are collected."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job

    def pytest_runtestloop(self, session: Any) -> bool:
        """Measure instead of run."""
        from _pytest.runner import runtestprotocol

        items = session.items

        def play(order: Sequence[int], index: int) -> bool:
            following = items[order[index + 1]] if index + 1 < len(order) else None
            reports = runtestprotocol(items[order[index]], nextitem=following, log=False)
            return all(report.passed for report in reports)

        measure(self.job, len(items), play)
        return True


def _flat(suite: Any) -> Iterator[Any]:
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from _flat(item)
        else:
            yield item


def _unittests(files: Sequence[str]) -> list[Any]:
    tests: list[Any] = []
    for number, file in enumerate(files):
        spec = importlib.util.spec_from_file_location(f"existing_tests_{number}", file)
        if spec is None or spec.loader is None:
            continue
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception:  # noqa: BLE001 - a test file that does not import counts for nothing
            continue
        tests += _flat(unittest.defaultTestLoader.loadTestsFromModule(module))
    return tests


def main() -> None:
    """Read the job, collect, measure."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.path[:0] = job["roots"]
    if job["pytest"]:
        import pytest

        options = "-q --no-header --tb=no -p no:cacheprovider -p no:xdist -p no:randomly -p no:cov -o addopts="
        pytest.main([*options.split(), *job["files"]], plugins=[Plugin(job)])
        return
    tests = _unittests(job["files"])

    def play(order: Sequence[int], index: int) -> bool:
        result = unittest.TestResult()
        unittest.TestSuite([tests[order[index]]]).run(result)
        return result.wasSuccessful() and not result.skipped

    measure(job, len(tests), play)


if __name__ == "__main__":
    main()
