"""One way in for every language: by the ending of the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from dsassist.assist.testgen import ecma, engine, target
from dsassist.assist.testgen.progress import Options, Progress
from dsassist.assist.testgen.project import find_python
from dsassist.assist.testgen.report import FileReport
from dsassist.assist.testgen.sources import Helper
from dsassist.errors import TestGenerationError

__all__ = ["SUFFIXES", "AnyTarget", "is_test", "make", "targets_of"]

SUFFIXES = (".py", *ecma.SUFFIXES)
AnyTarget = target.Target | ecma.EcmaTarget


def is_test(path: Path) -> bool:
    """Whether ``path`` is itself a file of tests, by its name."""
    return bool(re.match(r"test_.*\.py$|.*_test\.py$|.*[._-](test|spec)\.\w+$", path.name))


def targets_of(
    path: Path, name: str = "", *, line: int | None = None, lines: set[int] | None = None
) -> Sequence[AnyTarget]:
    """What of ``path`` tests can be made for: by dotted ``name``, by a 1-based ``line``, or what touches ``lines``.

    Raises:
        TestGenerationError: nothing there to test, or no language that tests are made for.
        WorkspaceError: the file cannot be read.
    """
    if path.suffix in ecma.SUFFIXES:
        return ecma.select(path, name, line=line, lines=lines)
    if path.suffix != ".py":
        raise TestGenerationError(
            f"Tests are not generated for {path.name}.", remedy="They are for Python, JavaScript and TypeScript."
        )
    return target.select(path, name, line=line, lines=lines)


async def make(
    path: Path,
    targets: Sequence[AnyTarget],
    *,
    workspace: Path,
    python: str = "",
    options: Options | None = None,
    helpers: Sequence[Helper] = (),
    callers: engine.Callers | None = None,
    on_progress: Callable[[Progress], None],
) -> FileReport:
    """Tests for ``targets`` of ``path``; see ``engine.generate``. ``python``: the setting, "" to find the project's."""
    if path.suffix in ecma.SUFFIXES:
        chosen: Any = targets
        return await ecma.generate(path, chosen, workspace=workspace, options=options, on_progress=on_progress)
    return await engine.generate(
        path,
        cast("Sequence[target.Target]", targets),
        workspace=workspace,
        python=find_python(workspace, python),
        options=options,
        helpers=helpers,
        callers=callers,
        on_progress=on_progress,
    )
