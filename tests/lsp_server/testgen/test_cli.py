"""The command, in a project under git."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dsassist.assist.testgen import FileReport
from dsassist.cli.testgen import with_revision, write_report


def run(folder: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-m", "dsassist", "testgen", *arguments]
    env = {**os.environ, "DSASSIST_HOME": str(home), "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=env, stdin=subprocess.DEVNULL
    )


@pytest.mark.slow
def test_consent_then_a_diff_then_nothing_to_add(project: Callable[..., Path], tmp_path: Path) -> None:
    path = project("def old(n: int) -> int:\n    return n\n")
    root, home = path.parent, tmp_path / "home"
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.email=a@b", "-c", "user.name=n", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    path.write_text(path.read_text() + "\n\ndef new(n: int) -> int:\n    return n * 2 if n > 3 else 0\n")
    refused = run(root, home, "--diff", "HEAD")
    assert refused.returncode != 0 and "--trust" in refused.stderr
    shown = run(root, home, "--diff", "--trust", "--json")
    report = json.loads(shown.stdout)[0]
    assert [target["target"] for target in report["targets"]] == ["new"]
    assert report["targets"][0]["killed"] == report["targets"][0]["mutants"] > 0
    assert not (root / "tests").exists()
    written = run(root, home, "subject.py::new", "--write")
    assert "planted bugs caught" in written.stdout and "Wrote" in written.stdout
    again = run(root, home, "subject.py::new")
    assert again.returncode == 1
    assert "the tests that are there reach every line and notice every planted bug" in again.stdout


def test_a_diff_without_a_revision_is_since_head() -> None:
    assert with_revision(["testgen", "--diff", "--write"]) == ["testgen", "--diff", "HEAD", "--write"]
    assert with_revision(["testgen", "--diff"]) == ["testgen", "--diff", "HEAD"]
    assert with_revision(["testgen", "--diff", "main"]) == ["testgen", "--diff", "main"]
    assert with_revision(["refs", "--diff"]) == ["refs", "--diff"]


def test_an_existing_file_keeps_its_line_ends_and_encoding(tmp_path: Path) -> None:
    path = tmp_path / "test_a.py"
    path.write_bytes("# coding: latin-1\r\nNAME = 'é'\r\n".encode("latin-1"))
    text = "# coding: latin-1\nNAME = 'é'\n\n\ndef test_new():\n    assert NAME\n"
    write_report(FileReport(tmp_path / "a.py", path, "pytest", [], "", "", text=text))
    assert path.read_bytes() == text.replace("\n", "\r\n").encode("latin-1")
    fresh = tmp_path / "tests" / "test_b.py"
    write_report(FileReport(tmp_path / "b.py", fresh, "pytest", [], "", "", text="x = 'é'\n"))
    assert fresh.read_bytes() == "x = 'é'\n".encode()
