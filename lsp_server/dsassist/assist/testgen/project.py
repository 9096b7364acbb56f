"""What the project is like: its interpreter, how a file is imported, where tests live and how they are written."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dsassist.assist.testgen.sources import Usage
from dsassist.assist.testgen.target import Target
from dsassist.errors import TestGenerationError, WorkspaceError

__all__ = [
    "ImportName",
    "Style",
    "conftests",
    "find_python",
    "find_workspace",
    "import_names",
    "related_tests",
    "test_file",
    "usages",
]

Style = Literal["pytest", "unittest"]
_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg", "pytest.ini", "tox.ini")
_MAX_FILES = 4000


@dataclass(frozen=True, slots=True)
class ImportName:
    """``name`` imports the file when ``root`` is on the path."""

    root: Path
    name: str


def find_workspace(path: Path) -> Path:
    """The nearest folder above ``path`` that looks like a project's root, else the folder above its outermost package.

    Raises:
        WorkspaceError: there is no such file.
    """
    if not path.exists():
        raise WorkspaceError(f"There is no file {path}.")
    resolved = path.resolve()
    for folder in resolved.parents:
        if any((folder / mark).exists() for mark in _MARKS):
            return folder
    return _package_root(resolved)


def _package_root(path: Path) -> Path:
    folder = path.parent
    while (folder / "__init__.py").exists() and folder.parent != folder:
        folder = folder.parent
    return folder


def import_names(path: Path, workspace: Path) -> list[ImportName]:
    """Ways to import ``path``, the likeliest first: by its outermost regular package, then by namespace packages
    above it."""
    path, workspace = path.resolve(), workspace.resolve()
    root = _package_root(path)
    roots = [root]
    while root != workspace and root.is_relative_to(workspace):
        root = root.parent
        roots.append(root)
    found = []
    for place in roots:
        parts = list(path.relative_to(place).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        if parts and all(part.isidentifier() for part in parts):
            found.append(ImportName(place, ".".join(parts)))
    return found


def find_python(workspace: Path, setting: str = "") -> Path:
    """The interpreter of the project: the setting, its virtual environment, the active one, else ours.

    Raises:
        TestGenerationError: the setting names no interpreter.
    """
    if setting:
        found = shutil.which(setting) or shutil.which(str(workspace / setting))
        if not found:
            raise TestGenerationError(
                f"testgen.python names {setting}, which is no interpreter.",
                remedy="Correct the setting or leave it empty.",
            )
        return Path(os.path.abspath(found))  # noqa: PTH100 - a virtual environment's python is a link that must not be followed
    places = [workspace / name for name in (".venv", "venv", "env", ".env")]
    if active := os.environ.get("VIRTUAL_ENV"):
        places.append(Path(active))
    for place in places:
        for tail in ("bin/python", "Scripts/python.exe"):
            if (place / tail).exists():
                return place / tail
    return Path(sys.executable)


def _python_files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, names, files in os.walk(folder):
        names[:] = sorted(
            name
            for name in names
            if not name.startswith(".")
            and name not in ("node_modules", "__pycache__", "venv", "env", "build", "dist")
            and not (Path(place, name) / "pyvenv.cfg").exists()
        )
        found += [Path(place, name) for name in sorted(files) if name.endswith(".py")]
        if len(found) > _MAX_FILES:
            break
    return found


def _is_test(path: Path) -> bool:
    return bool(re.match(r"(test_.*|.*_test)\.py$", path.name))


def test_file(path: Path, workspace: Path, *, has_pytest: bool) -> tuple[Path, Style]:
    """The test file that belongs to ``path`` (it may not exist yet) and the project's style."""
    tests = [item for item in _python_files(workspace) if _is_test(item)]
    stem = path.stem if path.stem != "__init__" else path.parent.name
    own = [
        item
        for item in tests
        if item.stem in (f"test_{stem}", f"{stem}_test", f"test{stem}", f"test_{stem.strip('_')}")
    ]
    parts = set(path.relative_to(workspace).parts[:-1]) if path.is_relative_to(workspace) else set()
    own.sort(key=lambda item: (-len(parts & set(item.parts)), len(item.parts), str(item)))
    if own:
        return own[0], _style(own, has_pytest)
    style = _style(tests[:40], has_pytest)
    name = f"test_{stem.strip('_') or 'module'}.py"
    folder = next(
        (workspace / place for place in ("tests", "test") if (workspace / place).is_dir()), workspace / "tests"
    )
    if path.is_relative_to(workspace):
        inner = path.relative_to(workspace).parts[:-1]
        for skip in range(len(inner)):
            mirrored = folder.joinpath(*inner[skip:])
            if mirrored.is_dir():
                return mirrored / name, style
    return folder / name, style


def _style(tests: list[Path], has_pytest: bool) -> Style:
    if not has_pytest:
        return "unittest"
    classes = functions = 0
    for path in tests:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        classes += len(re.findall(r"^class \w+\(.*TestCase\)", text, re.MULTILINE))
        functions += len(re.findall(r"^(?:async )?def test_|^import pytest|^from pytest", text, re.MULTILINE))
    return "unittest" if classes and not functions else "pytest"


def usages(
    target: Target, workspace: Path, known: Mapping[Path, frozenset[int]] | None = None, *, limit: int = 12
) -> tuple[Usage, ...]:
    """Other Python files that call ``target``, tests first: those of ``known`` (from the index: file → lines of calls,
    from 1), else those in which its name stands before a parenthesis."""
    special = target.name in ("__init__", "__new__", "__post_init__", "__call__")
    word = re.compile(rf"\b{re.escape(target.owner.rpartition('.')[2] if special else target.name)}\(")
    if known is None and re.fullmatch(r"__\w+__", target.name) and not special:
        return ()
    files = list(known) if known is not None else _python_files(workspace)[:800]
    found: list[Usage] = []
    for path in sorted(files, key=lambda item: (not _is_test(item), item)):
        if path.resolve() == target.path.resolve() or len(found) >= limit:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if len(text) < 200_000 and (known is not None or word.search(text)):
            inside = path.resolve().is_relative_to(workspace.resolve())
            names = import_names(path, workspace) if inside and not _is_test(path) else []
            lines = known[path] if known is not None else None
            found.append(Usage(text, names[0].name if names else "", lines))
    return tuple(found)


def conftests(workspace: Path) -> list[Path]:
    """What pytest would run before the tests of the workspace's usual places, the outermost first."""
    places = [workspace, *(workspace / name for name in ("tests", "test"))]
    return [place / "conftest.py" for place in places if (place / "conftest.py").is_file()]


def related_tests(path: Path, workspace: Path, names: set[str], *, limit: int = 12) -> list[Path]:
    """Test files of the project that mention the module or one of ``names``, the module's own first."""
    stem = path.stem if path.stem != "__init__" else path.parent.name
    word = re.compile(rf"\b({'|'.join(map(re.escape, sorted({stem, *names})))})\b")
    found = []
    for item in _python_files(workspace):
        if _is_test(item):
            try:
                text = item.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            if word.search(text):
                found.append(item)
    found.sort(key=lambda item: (stem not in item.stem, len(item.parts), str(item)))
    return found[:limit]
