"""Compiling our C: kept, shared, and never required."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsassist_kernels import native

SOURCE = '#include "native.h"\nint answer(void) { return 42; }\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(native, "_folder", tmp_path / "compiled")
    (tmp_path / "op").mkdir()
    (tmp_path / "op" / "cpu.c").write_text(SOURCE)
    return tmp_path


def test_compiles_once_and_keeps_it(folder: Path) -> None:
    library = native.library(folder / "op" / "cpu.c")
    if library is None:
        pytest.skip(native.status.sources["op"])
    assert library.answer() == 42
    (kept,) = (folder / "compiled").glob("*.so")
    before = kept.stat().st_mtime_ns
    native.library.cache_clear()
    assert native.library(folder / "op" / "cpu.c") is not None
    assert kept.stat().st_mtime_ns == before


def test_no_compiler_is_told_and_not_fatal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    native.library.cache_clear()
    assert native.library(folder / "op" / "cpu.c") is None
    assert native.status.sources["op"] == "no C compiler on PATH"
    native.library.cache_clear()


def test_a_compiler_that_fails_is_told(folder: Path) -> None:
    (folder / "op" / "cpu.c").write_text("this is not C\n")
    native.library.cache_clear()
    assert native.library(folder / "op" / "cpu.c") is None
    assert native.status.sources["op"] != "compiled"
    native.library.cache_clear()


def test_can_be_switched_off() -> None:
    assert native.enabled()
    asked = [sys.executable, "-c", "from dsassist_kernels import native; print(native.enabled())"]
    environment = {**os.environ, "DSASSIST_NATIVE": "0"}
    assert subprocess.run(asked, env=environment, capture_output=True, text=True, check=True).stdout == "False\n"
