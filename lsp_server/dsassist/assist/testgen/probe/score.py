"""Tests against mutants: in a child, the code of every live function made from the target is replaced, and the
tests run."""

from __future__ import annotations
import __future__

import ast
import gc
import os
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

from _dsassist_probe import fork
from _dsassist_probe.execute import Capture, Executor

__all__ = ["code_of", "fits", "flags_of", "functions", "matrix"]


def matrix(job: dict[str, Any], file: str, flags: int, executor: Executor) -> dict[str, Any]:
    """``killed``: mutant → positions of failing tests (a mutant that hangs or dies kills with the test it did so on).

    ``job``: ``tests`` (source of a module with functions ``case_0`` …), ``count``, ``mutants`` (sources of a module
    that holds
    the target alone), ``path`` (names from the module to the target's code), ``start``, ``seconds``.
    """
    budget = fork.Budget(job["seconds"])
    originals = functions(file, job["start"], job["path"][-1])
    tests = compile(job["tests"], "<tests>", "exec")
    namespace: dict[str, Any] = {"__name__": "dsassist_probe_score"}
    mutants: list[types.CodeType | None] = [None]
    for source in job["mutants"]:
        mutants.append(code_of(source, file, flags, job["path"]))

    pace = {"limit": job["limit"]}

    def run(position: int) -> dict[str, Any]:
        code = mutants[position]
        exec(tests, namespace)
        if code is not None:
            for function in originals:
                function.__code__ = code
        failed = []
        slow = 0
        limit = pace["limit"] if position else job["limit"]
        begun = time.monotonic()
        slowest = 0.0
        for number in range(job["count"]):
            before = time.monotonic()
            passed = _passes(namespace[f"case_{number}"], executor, limit)
            spent = time.monotonic() - before
            slowest = max(slowest, spent)
            if not passed:
                failed.append(number)
                slow += spent >= limit
                if slow >= 3:  # a loop that does not end any more: the others would only wait as well
                    break
        return {"outcome": "done", "failed": failed, "slowest": slowest, "spent": time.monotonic() - begun}

    usable = [
        position
        for position, code in enumerate(mutants)
        if position == 0 or (code is not None and fits(code, originals))
    ]
    limits = {"prepare": executor.prepare, "limit": job["limit"] * 4 + 2.0, "budget": budget, "batch": 1}
    answers = fork.in_children(usable[:1], run, **limits)
    if answers[0]["outcome"] == "done":
        pace["limit"] = min(job["limit"], max(0.2, 8 * answers[0]["slowest"]))
        answers += fork.in_children(usable[1:], run, **limits)
    killed: dict[str, list[int]] = {}
    broken: list[int] = []
    unrun = [position - 1 for position, answer in zip(usable, answers) if answer["outcome"] == "unrun"]  # noqa: B905
    for position, answer in zip(usable, answers):  # noqa: B905
        if position == 0:
            broken = answer.get("failed", []) if answer["outcome"] == "done" else list(range(job["count"]))
        elif answer["outcome"] == "done":
            killed[str(position - 1)] = answer["failed"]
        elif answer["outcome"] in ("hang", "died", "memory", "recursion"):
            killed[str(position - 1)] = list(range(job["count"]))
    return {"killed": killed, "broken": broken, "functions": len(originals), "unrun": unrun}


def functions(file: str, start: int, name: str) -> list[types.FunctionType]:
    """Live functions whose code begins at ``start`` (the first decorator's or the def's line) in ``file``."""
    return [
        item
        for item in gc.get_objects()
        if isinstance(item, types.FunctionType)
        and item.__code__.co_filename == file
        and item.__code__.co_name == name
        and item.__code__.co_firstlineno == start
    ]


def flags_of(tree: ast.Module) -> int:
    """Compiler flags of the module's ``from __future__`` imports."""
    flags = 0
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for alias in node.names:
                flags |= getattr(__future__, alias.name).compiler_flag
    return flags


def code_of(source: str, file: str, flags: int, path: list[str]) -> types.CodeType | None:
    """The code of the function at ``path`` in a module of the text ``source``; None where it does not compile."""
    try:
        code: types.CodeType = compile(source, file, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    for name in path:
        inner = [item for item in code.co_consts if isinstance(item, types.CodeType) and item.co_name == name]
        if not inner:
            return None
        code = inner[-1]
    return code


def fits(code: types.CodeType, live: list[types.FunctionType]) -> bool:
    """Whether ``code`` can take the place of that of all ``live`` functions."""
    return bool(live) and all(len(code.co_freevars) == len(function.__code__.co_freevars) for function in live)


def _passes(test: Any, executor: Executor, limit: float) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="case-", dir=executor.scratch))
    os.chdir(folder)
    arguments = [folder] if "tmp_path" in test.__code__.co_varnames[: test.__code__.co_argcount] else []
    saved, sys.stdout = sys.stdout, Capture()
    try:
        with fork.time_limit(limit):
            executor.guard.active = True
            test(*arguments)
    except BaseException:  # noqa: BLE001 - any way to fail is a failure
        return False
    finally:
        executor.guard.active = False
        sys.stdout = saved
    return True
