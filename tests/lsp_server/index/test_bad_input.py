"""Disks that fill, processes that are killed, files that change while they are read: nothing lost, nothing stale."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dsassist.errors import IndexingError
from dsassist.index import Index, Limits

FILES = {"a.py": "class A:\n    def go(self): ...\n", "b.py": "from a import A\n\nA().go()\n"}
BUILD = """
import os, signal, sys
from pathlib import Path
from dsassist.index import Index, Limits
left = int(sys.argv[3])
def progress(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
index = Index.open(Path(sys.argv[1]), Path(sys.argv[2]), Limits(workers=1))
index.update(progress)
index.close()
"""


def fresh(root: Path, cache: Path) -> list[Any]:
    index = Index.open(root, cache, Limits())
    index.update()
    found = index.dump()
    index.close()
    return found


def test_a_disk_that_fills_loses_nothing(workspace: Any, tmp_path: Path) -> None:
    workspace.write(FILES)
    workspace.index.update()
    before = workspace.index.dump()
    database = workspace.index._store.db
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    workspace.write({f"more{number}.py": "from a import A\n" + f"x = {number}\n" * 4000 for number in range(8)})
    with pytest.raises(IndexingError, match=r"Free some space|full"):
        workspace.index.update()
    assert workspace.references("a.py", 1, "A") == ["a.py:1", "b.py:1", "b.py:3"]
    assert workspace.index.dump() == before
    database.execute("PRAGMA max_page_count = 1000000")
    workspace.index.update()
    assert workspace.index.dump() == fresh(workspace.root, tmp_path / "other")


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_a_process_that_is_killed_at_any_moment_leaves_an_index_that_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    for number in range(60):
        (root / f"m{number}.py").write_text(f"from m{(number + 1) % 60} import *\ndef f{number}(): f{number - 1}()\n")
    expected = fresh(root, tmp_path / "other")
    cache = tmp_path / "cache"
    for moment in (1, 2, 4, 6, 7):
        command = [sys.executable, "-c", BUILD, str(root), str(cache), str(moment)]
        run = subprocess.run(command, check=False, capture_output=True, text=True)
        assert run.returncode in (-signal.SIGKILL, 0), run.stderr
    assert fresh(root, cache) == expected


def test_a_file_that_is_replaced_while_it_is_read(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import dsassist.index.work as work

    workspace.write(FILES)
    read = work.read

    def reading(root: Path, path: str) -> Any:
        found = read(root, path)
        if path == "a.py":
            (root / path).write_text("class A:\n    def stop(self): ...\n    def go(self): ...\n")
        return found

    monkeypatch.setattr(work, "read", reading)
    workspace.index.update()
    monkeypatch.undo()
    # What was read is consistent; what came since is a change that the next look sees.
    assert workspace.references("b.py", 3, "go") == ["a.py:2", "b.py:3"]
    workspace.index.update()
    assert workspace.references("b.py", 3, "go") == ["a.py:3", "b.py:3"]


def test_files_that_go_or_are_renamed_between_the_scan_and_the_reading(workspace: Any) -> None:
    workspace.write({**FILES, "c.py": "import a\n", "d.py": "import a\n"})

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "scan" and done and (workspace.root / "c.py").exists():
            (workspace.root / "c.py").unlink()
            (workspace.root / "d.py").rename(workspace.root / "e.py")

    assert workspace.index.update(progress).complete
    assert workspace.index.paths() == ("a.py", "b.py")
    workspace.index.update()
    assert workspace.index.paths() == ("a.py", "b.py", "e.py")


def test_links_that_go_in_circles_and_devices_are_left_alone(workspace: Any) -> None:
    workspace.write(FILES)
    (workspace.root / "loop").symlink_to(workspace.root)
    (workspace.root / "self.py").symlink_to(workspace.root / "self.py")
    (workspace.root / "null.py").symlink_to("/dev/zero")
    assert workspace.index.update().complete
    assert workspace.index.paths() == ("a.py", "b.py")
