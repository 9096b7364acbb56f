"""What is not committed, as a part of the prompt."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from dsassist.assist.changes import Version, changed_places, pieces_near
from dsassist.assist.context import lay_out
from dsassist.assist.site import Site
from dsassist.assist.worktree import uncommitted

BEFORE = "".join(f"def f{number}(a):\n    return a + {number}\n\n\n" for number in range(12))
AFTER = BEFORE.replace("def f5(a):\n    return a + 5\n", "def f5(a, *, cutoff=0):\n    return max(a + 5, cutoff)\n")


def git(root: Path, *arguments: str) -> None:
    identity = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@t",
        "-c",
        "init.defaultBranch=main",
        "-c",
        "commit.gpgsign=false",
    ]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q")
    return folder


def commit(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "add", "-A", "-f")
    git(root, "commit", "-q", "-m", "x")


def site(marked: str, path: str = "b.py", **more: Any) -> Site:
    before, _, after = marked.rpartition("|")
    return Site.at(before + after, len(before), path=path, document=path, language="python", **more)


def test_a_changed_place_is_shown_as_it_is_now_where_what_it_brought_is_spoken_of() -> None:
    hunks = changed_places([Version("a.py", BEFORE, AFTER)])
    [hunk] = hunks
    assert hunk.text == "\n\ndef f5(a, *, cutoff=0):\n    return max(a + 5, cutoff)\n\n\n"
    assert hunk.brought == {"cutoff", "max"}
    [piece] = pieces_near(site("cutoff = read()\nf5(1, |)\n"), hunks, 600)
    assert (piece.path, piece.text, piece.lines) == ("a.py", hunk.text, hunk.lines)
    assert AFTER.split("\n")[piece.lines[0] : piece.lines[1] + 1] == piece.text.split("\n")[:-1]
    assert pieces_near(site("nothing = 1\nf5(1, |)\n"), hunks, 600) == []
    assert pieces_near(site("cutoff = read()\nf5(1, |)\n"), hunks, 20) == []
    assert pieces_near(site("cutoff = read()\nf5(1, |)\n", path="a.py"), hunks, 600) == []


def test_the_line_that_is_written_moves_no_piece() -> None:
    hunks = changed_places([Version("a.py", BEFORE, AFTER)])
    lines = [site(f"cutoff = read()\n{typed}|\n") for typed in ("", "f5(", "f5(1, cutoff=cutoff)")]
    assert len({tuple(pieces_near(here, hunks, 600)) for here in lines}) == 1
    assert pieces_near(site("x = 1\ncutoff|\n"), hunks, 600) == []


def test_what_the_prompt_shows_already_is_not_shown_again() -> None:
    pieces = pieces_near(site("cutoff = 1\n|"), changed_places([Version("a.py", BEFORE, AFTER)]), 600)
    assert lay_out(pieces, site(AFTER + "cutoff = 1\n|")) == ()
    assert [file.path for file in lay_out(pieces, site("cutoff = 1\n|"))] == ["a.py"]


def test_white_space_line_ends_and_lines_that_went_are_no_change() -> None:
    indented = BEFORE.replace("    return", "\treturn")
    assert changed_places([Version("a.py", BEFORE, indented)]) == ()
    assert changed_places([Version("a.py", BEFORE, BEFORE.replace("\n", "\r\n"))]) == ()
    assert changed_places([Version("a.py", BEFORE, BEFORE.replace("def f5(a):\n", ""))]) == ()
    several = changed_places([Version("a.py", BEFORE, BEFORE.replace("+ 1\n", "- 1\n").replace("+ 9\n", "- 9\n"))])
    assert len(several) == 2


def test_a_file_that_is_another_one_now_takes_no_time() -> None:
    before = "".join(f"x{number} = {number}\n" for number in range(8000))
    now = "".join(f"y{number} = {number}\n" for number in range(8000))
    assert changed_places([Version("a.py", before, now)]) == ()


def test_what_differs_from_the_last_commit_staged_or_not(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(root, {"a.py": BEFORE, "b.py": "b = 1\n", "c.py": "c = 1\n", "sub/d.py": "d = 1\n", "gone.py": "g = 1\n"})
    assert uncommitted(root) == []
    (root / "a.py").write_text(AFTER)
    (root / "b.py").write_text("b = 2\n")
    git(root, "add", "b.py")
    (root / "b.py").write_text("b = 3\n")
    (root / "sub/d.py").write_text("d = 2\n")
    (root / "gone.py").unlink()
    (root / "new.py").write_text("n = 1\n")
    found = {version.path: version for version in uncommitted(root, buffers={"sub/d.py": "d = 3\n"})}
    assert found == {
        "a.py": Version("a.py", BEFORE, AFTER),
        "b.py": Version("b.py", "b = 1\n", "b = 3\n"),
        "sub/d.py": Version("sub/d.py", "d = 1\n", "d = 3\n"),
    }
    monkeypatch.setenv("GIT_DIR", str(root / "nowhere"))
    assert len(uncommitted(root)) == 3
    # a folder of the repository is a workspace too
    assert uncommitted(root / "sub") == [Version("d.py", "d = 1\n", "d = 2\n")]


def test_secrets_ignored_files_links_and_other_texts_are_left_out(root: Path) -> None:
    names = ["a.py", "secrets.py", "hidden.py", "notes.txt", "node_modules/m.js", "link.py"]
    commit(root, dict.fromkeys(names, "x = 1\n"))
    (root / ".gitignore").write_text("hidden.py\n")
    for name in names[:-1]:
        (root / name).write_text("x = 'hunter2'\n")
    (root / "link.py").unlink()
    (root / "link.py").symlink_to(root / "secrets.py")
    assert [version.path for version in uncommitted(root)] == ["a.py"]
    assert uncommitted(root, exclude=("a.py",)) == []


def test_no_git_no_repository_no_commit(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert uncommitted(root) == []
    (root / "a.py").write_text("a = 1\n")
    git(root, "add", "a.py")
    (root / "a.py").write_text("a = 2\n")
    assert uncommitted(root) == [Version("a.py", "a = 1\n", "a = 2\n")]
    plain = tmp_path / "plain"
    plain.mkdir()
    assert uncommitted(plain) == []
    monkeypatch.setenv("PATH", str(plain))
    assert uncommitted(root) == []


def test_in_the_middle_of_a_merge_only_what_is_written_on_top_counts(root: Path) -> None:
    commit(root, {"a.py": "a = 1\n", "b.py": "b = 1\n", "c.py": "c = 1\n"})
    git(root, "checkout", "-q", "-b", "other")
    commit(root, {"a.py": "a = 2\n", "b.py": "b = 2\n"})
    git(root, "checkout", "-q", "main")
    commit(root, {"a.py": "a = 3\n"})
    with pytest.raises(subprocess.CalledProcessError):
        git(root, "merge", "other")
    (root / "c.py").write_text("c = 2\n")
    # neither the conflict nor what the others wrote
    assert [version.path for version in uncommitted(root)] == ["c.py"]


def test_a_repository_does_not_decide_which_programs_run(root: Path, tmp_path: Path) -> None:
    commit(root, {"a.py": "a = 1\n", ".gitattributes": "*.py filter=evil diff=evil\n"})
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    trap.chmod(0o755)
    for name in ("filter.evil.clean", "filter.evil.smudge", "diff.evil.textconv", "diff.external", "core.fsmonitor"):
        git(root, "config", name, str(trap))
    (root / "a.py").write_text("a = 2\n")
    (tmp_path / "ran").unlink(missing_ok=True)
    assert uncommitted(root) == [Version("a.py", "a = 1\n", "a = 2\n")]
    assert not (tmp_path / "ran").exists()
    git(root, "config", "filter.e=v.clean", str(trap))
    (tmp_path / "ran").unlink(missing_ok=True)
    assert uncommitted(root) == []
    assert not (tmp_path / "ran").exists()
