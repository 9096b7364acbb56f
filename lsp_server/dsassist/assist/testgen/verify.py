"""The generated file, run by the project's own test runner in fresh processes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from dsassist.assist.testgen.project import Style
from dsassist.assist.testgen.sandbox import Sandbox

__all__ = ["Runner"]

_SHUFFLE = '''"""Runs tests in an order drawn from the environment, and tells how each went."""
import os, random, re

LEFT_OUT = r"(-n|--numprocesses|--dist|--maxprocesses|--cov|--no-cov|--reruns|--timeout|--maxfail|--exitfirst$|-x$)"
WITH_VALUE = r"-n|--(numprocesses|dist|maxprocesses|cov(-report|-config|-fail-under)?|reruns(-delay)?|timeout|maxfail)"


def pytest_load_initial_conftests(early_config, parser, args):
    # what measures coverage, starts workers or stops early is not for a run in the sandbox
    kept, skip = [], False
    for argument in args:
        if skip and not argument.startswith("-"):
            skip = False
        elif re.match(LEFT_OUT, argument):
            skip = re.fullmatch(WITH_VALUE, argument)
        else:
            kept, skip = [*kept, argument], False
    args[:] = kept


def pytest_collection_modifyitems(items):
    random.Random(int(os.environ["DSASSIST_ORDER"])).shuffle(items)


def pytest_runtest_logreport(report):
    if report.failed:
        os.write(1, f"\\nDSASSIST-FAILED {report.nodeid}\\n".encode())


def pytest_sessionfinish(session):
    os.write(1, f"\\nDSASSIST-RAN {session.testscollected}\\n".encode())
'''

_UNITTEST = '''"""Runs a test file with unittest, in an order drawn from the environment."""
import importlib.util, os, random, sys, unittest

spec = importlib.util.spec_from_file_location("generated_tests", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)


def flat(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flat(item)
        else:
            yield item


tests = list(flat(unittest.defaultTestLoader.loadTestsFromModule(module)))
random.Random(int(os.environ["DSASSIST_ORDER"])).shuffle(tests)
with open(os.devnull, "w") as null:
    result = unittest.TextTestRunner(stream=null).run(unittest.TestSuite(tests))
for test, _ in [*result.failures, *result.errors]:
    name = getattr(test, "test_case", test).id().rpartition(".")[2]
    print(f"DSASSIST-FAILED {name}", flush=True)
print(f"DSASSIST-RAN {len(tests)}", flush=True)
'''


class Runner:
    """Runs one test file of the copy."""

    def __init__(self, sandbox: Sandbox, python: Path, style: Style, roots: list[Path]) -> None:
        self.sandbox, self.python, self.style = sandbox, python, style
        tools = sandbox.root / "tools"
        tools.mkdir(exist_ok=True)
        (tools / "_dsassist_shuffle.py").write_text(_SHUFFLE, encoding="utf-8")
        (tools / "_dsassist_unittest.py").write_text(_UNITTEST, encoding="utf-8")
        self.tools = tools
        self.path = os.pathsep.join(map(str, [*roots, tools]))
        self.plain = False
        """Whether the project's own ``addopts`` are left out, because a run with them breaks down in the sandbox."""

    def failures(self, file: Path, order: int, *, timeout: float) -> tuple[set[str], str]:
        """Names of tests that fail in one fresh process, {"*"} when the run itself does, and the output.

        The project's ``addopts`` are in force: a plugin that they name may change what tests see.
        """
        failed, output = self._failures(file, order, timeout)
        if "*" in failed and self.style == "pytest" and not self.plain:
            self.plain = True
            failed, output = self._failures(file, order, timeout)
        return failed, output

    def _failures(self, file: Path, order: int, timeout: float) -> tuple[set[str], str]:
        environment = {
            "PYTHONPATH": self.path,
            "DSASSIST_ORDER": str(order),
            "PYTHONHASHSEED": str(order * 7919 % 4_000_000_000),
            "TZ": ("UTC", "America/New_York", "Asia/Kolkata")[order % 3],
        }
        if self.style == "pytest":
            command = [
                str(self.python),
                "-m",
                "pytest",
                "-q",
                "--no-header",
                "-p",
                "no:cacheprovider",
                "-p",
                "no:xdist",
                "-p",
                "no:pytest_cov",
                "-p",
                "no:randomly",
                "-p",
                "no:rerunfailures",
                "-p",
                "_dsassist_shuffle",
                *(["-o", "addopts="] if self.plain else []),
                "--tb=line",
                str(file),
            ]
        else:
            command = [str(self.python), str(self.tools / "_dsassist_unittest.py"), str(file)]
        done = self.sandbox.run(command, timeout=timeout, environment=environment)
        failed = {
            line.rpartition("::")[2].partition("[")[0].strip()
            for line in re.findall(r"DSASSIST-FAILED (.+)", done.output)
        }
        if "DSASSIST-RAN" not in done.output or (done.code not in (0, 1) and not failed):
            return {"*"}, done.output
        return {name.rpartition(" ")[2] for name in failed}, done.output

    def stable(
        self, file: Path, names: set[str], rounds: int, *, timeout: float, on_round: Callable[[int], None]
    ) -> tuple[set[str], set[str], str]:
        """(tests that pass the first run, tests that pass all ``rounds`` in random orders, output of a run that
        broke down)."""
        passed: set[str] = set(names)
        first: set[str] = set(names)
        for order in range(1, rounds + 1):
            failed, output = self.failures(file, order, timeout=timeout)
            if failed - names:  # the run itself, or something that is no test of ours
                return (set() if order == 1 else first), set(), output
            passed -= failed
            if order == 1:
                first = set(passed)
            on_round(order)
        return first, passed, ""
