"""The commands, as a user runs them."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dsassist.cli import build
from dsassist.errors import PositionError, WorkspaceError


@pytest.fixture
def project(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "pyproject.toml").write_text("")
    (root / "a.py").write_text(
        textwrap.dedent('''
        def greet(name):
            """Say hello."""
            return name
        ''').lstrip()
    )
    (root / "b.py").write_text("from a import greet\n\ndef main():\n    greet('x')\n    thing.greet()\n")
    monkeypatch.chdir(root)
    return root


def run(*arguments: str) -> Any:
    return CliRunner().invoke(build(), list(arguments), catch_exceptions=False)


def test_index_reports_what_it_did(project: Path) -> None:
    first = json.loads(run("index", "--json").stdout)
    assert (first["files"], first["indexed"], first["linked"]) == (2, 2, 2)
    assert json.loads(run("index", "--json").stdout)["indexed"] == 0
    assert "2 files" in run("index").stdout


def test_refs_by_place_and_by_name(project: Path) -> None:
    by_place = run("refs", "b.py:4:5").stdout
    assert by_place == run("refs", "greet").stdout
    assert [line.split("\t")[:2] for line in by_place.splitlines()[:3]] == [
        ["a.py:1:5", "lexical"], ["b.py:1:15", "import"], ["b.py:4:5", "import"],
    ]  # fmt: skip
    assert "--possible" in by_place
    assert "b.py:5:11\tpossible" in run("refs", "greet", "--possible").stdout
    found = json.loads(run("refs", "a.greet", "--json").stdout)
    assert [item["call"] for item in found["references"]] == [False, False, True]
    assert len(found["possible"]) == 1


def test_defs_callers_symbols_and_graph(project: Path) -> None:
    assert "def greet(name)" in run("defs", "b.py:4:5").stdout
    assert json.loads(run("callers", "greet", "--json").stdout)["callers"][0]["name"] == "main"
    assert json.loads(run("symbols", "grt", "--json").stdout)["symbols"][0]["qualified_name"] == "greet"
    assert '"b.py" -> "a.py"' in run("graph", ".", "--format", "dot").stdout
    assert "b.py" in run("graph", "a.py").stdout
    assert run("graph", "main").stdout.startswith("flowchart")
    assert run("graph", "--format", "svg").stdout.startswith("<svg")


def test_what_cannot_be_answered_is_said(project: Path) -> None:
    with pytest.raises(WorkspaceError, match="No symbol is called nope"):
        run("refs", "nope")
    with pytest.raises(PositionError, match="no name"):
        run("refs", "a.py:2:1")
    with pytest.raises(PositionError, match="not below"):
        run("refs", "/etc/passwd.py:1:1")
    with pytest.raises(WorkspaceError, match="not in the index"):
        run("refs", "missing.py:1:1")
