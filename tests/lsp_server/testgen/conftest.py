"""Small projects to make tests for, and a way to make them."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from dsassist.assist import testgen


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """``project(source)`` writes a module ``subject.py`` in a workspace and returns its path."""

    def make(source: str, **others: str) -> Path:
        root = tmp_path / "workspace"
        root.mkdir(exist_ok=True)
        (root / "pyproject.toml").write_text('[project]\nname = "subject"\nversion = "1"\n')
        for name, text in {"subject.py": source, **others}.items():
            path = root / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        return root / "subject.py"

    return make


@pytest.fixture
def generate() -> Callable[..., testgen.FileReport]:
    """``generate(path, name)`` makes tests with this interpreter and checks that the workspace stays byte-identical."""

    def run(path: Path, name: str = "", **options: object) -> testgen.FileReport:
        before = snapshot(path.parent)
        settings = testgen.Options(**{"seconds": 8.0, "rounds": 2, **options})  # type: ignore[arg-type]
        report = asyncio.run(
            testgen.generate(
                path, testgen.select(path, name), workspace=path.parent, python=Path(sys.executable), options=settings
            )
        )
        assert snapshot(path.parent) == before
        return report

    return run


def snapshot(folder: Path) -> dict[str, str]:
    """Relative path → hash of every file."""
    return {
        str(item.relative_to(folder)): hashlib.sha256(item.read_bytes()).hexdigest()
        for item in sorted(folder.rglob("*"))
        if item.is_file()
    }
