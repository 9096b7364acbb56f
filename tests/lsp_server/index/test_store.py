"""What can go wrong with files and databases."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dsassist.errors import IndexingError, WorkspaceError
from dsassist.index import Index, Limits

TWO = {"a.py": "def f(): ...\n", "b.py": "from a import f\nf()\n"}


def test_a_restart_finds_everything_and_does_nothing(workspace: Any, workspace_class: Any) -> None:
    workspace.write(TWO)
    assert workspace.index.update().extracted == 2
    workspace.index.close()
    again = workspace_class(workspace.root, workspace.cache)
    assert again.references("a.py", 1, "f") == ["a.py:1", "b.py:1", "b.py:2"]
    report = again.index.update()
    assert (report.extracted, report.linked, report.removed) == (0, 0, 0)
    again.index.close()


def test_changes_on_the_disk_are_seen(workspace: Any) -> None:
    workspace.write(TWO)
    workspace.index.update()
    workspace.write({"c.py": "from a import f\n", "b.py": "x = 1\n# longer\n"})
    workspace.index.update()
    assert workspace.references("a.py", 1, "f") == ["a.py:1", "c.py:1"]
    (workspace.root / "c.py").unlink()
    (workspace.root / "a.py").rename(workspace.root / "d.py")
    report = workspace.index.update()
    assert report.removed == 2
    assert workspace.references("d.py", 1, "f") == ["d.py:1"]


def test_a_file_that_appears_resolves_earlier_imports(workspace: Any) -> None:
    workspace.write({"main.py": "from late import thing\nthing.go()\n"})
    workspace.index.update()
    workspace.write({"late.py": "class T:\n    def go(self): ...\nthing = T()\n"})
    workspace.index.update()
    assert workspace.references("late.py", 2, "go") == ["late.py:2", "main.py:2"]


def test_same_size_with_clock_going_back_is_a_change(workspace: Any) -> None:
    workspace.write({"a.py": "aa = 1\n"})
    workspace.index.update()
    file = workspace.root / "a.py"
    file.write_text("bb = 1\n")
    os.utime(file, ns=(10**9, 10**9))
    assert workspace.index.update().extracted == 1
    assert [info.name for info in workspace.index.document_symbols("a.py")] == ["bb"]


def test_a_corrupt_database_is_set_aside(workspace: Any, workspace_class: Any) -> None:
    workspace.write(TWO)
    workspace.index.update()
    database = workspace.index.database
    workspace.index.close()
    database.write_bytes(b"not a database at all" * 500)
    again = workspace_class(workspace.root, workspace.cache)
    report = again.index.update()
    assert any("set aside" in notice for notice in report.notices)
    assert Path(f"{database}.broken").exists()
    assert again.references("a.py", 1, "f") == ["a.py:1", "b.py:1", "b.py:2"]
    again.index.close()


def test_a_damaged_blob_is_found_and_rebuilt(workspace: Any, workspace_class: Any) -> None:
    workspace.write(TWO)
    workspace.index.update()
    database = workspace.index.database
    workspace.index.close()
    with sqlite3.connect(database) as db:
        db.execute("UPDATE facts SET meaning = x'00112233', occurrences = x'4455'")
    db.close()
    again = workspace_class(workspace.root, workspace.cache)
    with pytest.raises(IndexingError, match="damaged"):
        again.references("a.py", 1, "f")
    again.index.update()
    assert again.references("a.py", 1, "f") == ["a.py:1", "b.py:1", "b.py:2"]
    again.index.close()


def test_another_version_is_built_anew(workspace: Any, workspace_class: Any) -> None:
    workspace.write(TWO)
    workspace.index.update()
    workspace.index._store.set_meta("version", "older")
    workspace.index.close()
    again = workspace_class(workspace.root, workspace.cache)
    assert again.index.update().extracted == 2
    again.index.close()


def test_two_programs_on_one_workspace(workspace: Any, workspace_class: Any) -> None:
    workspace.write(TWO)
    workspace.index.update()
    other = workspace_class(workspace.root, workspace.cache)
    workspace.write({"c.py": "from a import f\n"})
    other.index.update()
    assert workspace.references("a.py", 1, "f") == ["a.py:1", "b.py:1", "b.py:2", "c.py:1"]
    assert workspace.index.update().extracted == 0
    other.index.close()


def test_what_is_left_out(workspace: Any, workspace_class: Any) -> None:
    workspace.write({
        ".gitignore": "build/\n*.gen.py\n!keep.gen.py\n", "a.py": "x = 1\n", "build/b.py": "x = 1\n",
        "c.gen.py": "x = 1\n",
        "keep.gen.py": "x = 1\n", "node_modules/m/index.js": "var x\n", "env/pyvenv.cfg": "", "env/lib/z.py": "x = 1\n",
        "sub/.gitignore": "/only.py\n", "sub/only.py": "x = 1\n", "sub/in/only.py": "x = 1\n",
        "mine/skip.py": "x = 1\n",
        "big.py": "x = 1\n" * 1000,
    })  # fmt: skip
    (workspace.root / "loop").symlink_to(workspace.root, target_is_directory=True)
    limited = workspace_class(
        workspace.root, workspace.cache / "other", Limits(exclude=("mine/",), max_file_bytes=3000)
    )
    report = limited.index.update()
    assert limited.index.paths() == ("a.py", "keep.gen.py", "sub/in/only.py")
    assert any("big.py" in notice for notice in report.notices)
    limited.index.close()
    capped = workspace_class(workspace.root, workspace.cache / "capped", Limits(max_files=2))
    assert any("first 2 files" in notice for notice in capped.index.update().notices)
    capped.index.close()


def test_bytes_that_are_no_text_and_names_that_are_not_ascii(workspace: Any) -> None:
    (workspace.root / "a.py").write_bytes(
        b"s = '\xff\xfe'; ok = 1\n# \xf0\x9f\x98\x80 wide\nn\xc3\xa4me = '\xf0\x9f\x98\x80'; after = n\xc3\xa4me\n"
    )
    workspace.index.update()
    path = workspace.index
    names = {info.name: info.location for info in path.document_symbols("a.py")}
    assert (names["after"].line, names["after"].column) == (2, 12)
    utf16 = Index.open(workspace.root, workspace.cache, encoding="utf-16")
    utf16.update()
    found = {info.name: info.location.column for info in utf16.document_symbols("a.py")}
    assert found["after"] == 13
    assert [item.location.column for item in utf16.references("a.py", 2, 0).references] == [0, 21]
    utf16.close()


def test_a_generated_million_line_file_and_a_huge_line(workspace: Any, workspace_class: Any) -> None:
    (workspace.root / "long.py").write_text("x = [" + "1," * 60_000 + "]\n")
    deep = "y = " + "(" * 3000 + "1" + ")" * 3000 + "\nz = " + " + ".join(["a"] * 5000) + "\n"
    (workspace.root / "deep.py").write_text(deep)
    (workspace.root / "ok.py").write_text("def f(): ...\nf()\n")
    workspace.index.update()
    assert workspace.references("ok.py", 1, "f") == ["ok.py:1", "ok.py:2"]


def test_a_folder_that_cannot_be_read_is_told(workspace: Any) -> None:
    workspace.write({"a.py": "x = 1\n", "secret/b.py": "x = 1\n"})
    folder = workspace.root / "secret"
    folder.chmod(0)
    try:
        report = workspace.index.update()
    finally:
        folder.chmod(0o700)
    if os.geteuid() != 0:
        assert any("secret" in notice for notice in report.notices)
    assert "a.py" in workspace.index.paths()


def test_no_such_folder() -> None:
    with pytest.raises(WorkspaceError, match="cannot be opened"):
        Index.open(Path("/nonexistent/folder"), Path("/tmp"))


def test_questions_about_unknown_files(workspace: Any) -> None:
    workspace.index.update()
    with pytest.raises(WorkspaceError, match="not in the index"):
        workspace.index.references("nope.py", 0, 0)


def test_a_cancelled_build_goes_on_later(workspace: Any) -> None:
    workspace.write({f"m{number}.py": f"def f{number}(): ...\n" for number in range(30)})
    seen: list[str] = []

    def progress(stage: str, done: int, total: int) -> None:
        seen.append(stage)

    report = workspace.index.update(progress, lambda: "files" in seen)
    assert not report.complete
    assert workspace.index.update().complete
    assert len(workspace.index.paths()) == 30


def test_worker_processes_give_the_same_index(workspace: Any, workspace_class: Any) -> None:
    workspace.write(
        {f"p/m{number}.py": f"from p.m{(number + 1) % 60} import f\ndef f(): f()\n" for number in range(60)}
    )
    report = workspace.index.update()
    assert (report.extracted, report.linked) == (60, 60)
    other = workspace_class(workspace.root, workspace.cache / "other", Limits(workers=1))
    for number in range(60):
        other.index.refresh([f"p/m{number}.py"])
    other.index.settle()
    assert other.index.dump() == workspace.index.dump()
    other.index.close()
