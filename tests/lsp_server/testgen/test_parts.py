from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from dsassist.assist.testgen import Consent, changed_lines, mutate, project, repair, select
from dsassist.assist.testgen.case import double_quoted, import_lines, wrapped
from dsassist.assist.testgen.render import extend
from dsassist.assist.testgen.sandbox import Limits, Sandbox
from dsassist.assist.testgen.sources import Facts
from dsassist.assist.testgen.sources.docstring import examples
from dsassist.assist.testgen.sources.inputs import parameter_hints
from dsassist.errors import TestGenerationError


def facts(tmp_path: Path, source: str, name: str = "f") -> Facts:
    path = tmp_path / "m.py"
    path.write_text(source)
    return Facts(select(path, name)[0], source, ast.parse(source), "m")


def test_declarations_are_no_targets(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(
        "class A:\n    def a(self): ...\n    def b(self):\n        raise NotImplementedError()\n"
        "    def c(self):\n        return 1\n"
    )
    assert [item.qualname for item in select(path)] == ["A.c"]
    assert [item.qualname for item in select(path, line=6)] == ["A.c"]
    with pytest.raises(TestGenerationError, match="no function or class nothing"):
        select(path, "nothing")


def test_what_another_system_defines_is_no_target(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(
        "import sys\nif sys.platform == 'win32':\n    def f():\n        return 1\n"
        "else:\n    def g():\n        return 2\n"
        "if sys.version_info > (3, 8):\n    def h():\n        return 3\n"
    )
    assert [item.qualname for item in select(path)] == ["g", "h"]


def test_changed_lines_of_a_diff() -> None:
    diff = (
        "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,3 @@\n a\n+b\n c\n@@ -9,0 +11 @@\n+z\n--- a/gone.py\n"
        "+++ /dev/null\n@@ -1 +0,0 @@\n-q\n"
    )
    assert changed_lines(diff) == {"x.py": {2, 11}}


def test_hints_come_from_conditions_and_use(tmp_path: Path) -> None:
    source = (
        'import re\n\n\ndef f(text, n, mode):\n    if text.startswith("ab"):\n'
        '        return re.match(r"x\\d+", text)\n    if n > 10:\n'
        '        return mode in ("fast", "slow")\n'
    )
    hints = parameter_hints(facts(tmp_path, source))
    assert (
        "str" in hints["text"]["kinds"]
        and "'ababc'" in hints["text"]["literals"]
        and hints["text"]["regexes"] == ["x\\d+"]
    )
    assert {"10", "11", "9"} <= set(hints["n"]["literals"])
    assert {"'fast'", "'slow'"} <= set(hints["mode"]["literals"])


def test_examples_in_sessions_and_in_running_text(tmp_path: Path) -> None:
    source = (
        'def f(a):\n    """Do.\n\n    >>> x = 2\n    >>> f(x)\n    4\n    >>> f(-1)\n'
        "    Traceback (most recent call last):\n    ValueError: no\n\n"
        '    For example ``f(3)`` -> ``9``.\n    """\n    return a * a\n'
    )
    found = examples(facts(tmp_path, source))
    assert [(seed.setup, seed.act, seed.expected, seed.raises) for seed in found] == [
        (("x = 2",), "result = f(x)", "4", ""),
        (("x = 2",), "result = f(-1)", "", "ValueError"),
        ((), "result = f(3)", "9", ""),
    ]


def test_mutants_change_one_thing_and_keep_the_class_around_the_method(tmp_path: Path) -> None:
    source = "class A:\n    def f(self, n):\n        if n < 3:\n            return n + 1\n        return None\n"
    made = mutate.mutants(facts(tmp_path, source, "A.f").target)
    assert {"compare with LtE", "Add → Sub", "negate the condition", "return None", "3 → 4"} <= {
        item.change for item in made
    }
    assert all(item.source.startswith("class A:") for item in made)
    assert len({item.source for item in made}) == len(made)
    assert mutate.mutants(facts(tmp_path, source, "A.f").target, limit=2, seed=3) == mutate.mutants(
        facts(tmp_path, source, "A.f").target, limit=2, seed=3
    )


def test_repair_keeps_what_parses() -> None:
    assert [ast.unparse(item) for item in repair.statements("f(1) == 2\n    assert f(3)\n    assert f(")] == [
        "f(1) == 2",
        "assert f(3)",
    ]
    assert repair.statements("```\n???") == []


def test_consent_is_remembered_and_a_damaged_file_means_no(tmp_path: Path) -> None:
    consent = Consent(tmp_path / "config" / "trusted.json")
    assert not consent.given(tmp_path)
    consent.give(tmp_path)
    assert consent.given(tmp_path / "inner") and not consent.given(tmp_path.parent)
    consent.path.write_text("{broken")
    assert not consent.given(tmp_path)


def test_import_names_and_test_places(tmp_path: Path) -> None:
    package = tmp_path / "src" / "app" / "core"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    path = package / "text.py"
    path.touch()
    assert project.import_names(path, tmp_path)[0] == project.ImportName(tmp_path / "src", "app.core.text")
    assert project.test_file(path, tmp_path, has_pytest=True) == (tmp_path / "tests" / "test_text.py", "pytest")
    (tmp_path / "tests" / "core").mkdir(parents=True)
    assert project.test_file(path, tmp_path, has_pytest=True)[0] == tmp_path / "tests" / "core" / "test_text.py"
    assert project.test_file(path, tmp_path, has_pytest=False)[1] == "unittest"


def test_quotes_and_imports_are_written_plainly() -> None:
    assert double_quoted("f('a', 'it\"s', \"b\")\n") == 'f("a", \'it"s\', "b")\n'
    assert import_lines({"b": ("a", "b"), "os": ("os", ""), "j": ("json", "")}) == [
        "from a import b",
        "import json as j",
        "import os",
    ]
    assert extend("", [], "pytest", "x") == "\n"
    assert double_quoted("f('a\u200bé', r'\u200b')\n") == 'f("a\\u200bé", r"\u200b")\n'


def test_long_lines_are_split_where_they_are_longest_and_keep_their_meaning() -> None:
    long = ", ".join(f'"{letter * 20}"' for letter in "abcd")
    assert wrapped(f'    assert f("x", 2) == [{long}]') == (
        '    assert f("x", 2) == [\n' + "".join(f'        "{letter * 20}",\n' for letter in "abcd") + "    ]"
    )
    raises = f'    with pytest.raises(ValueError, match="{"m" * 80}"):'
    assert wrapped(raises) == f'    with pytest.raises(\n        ValueError,\n        match="{"m" * 80}",\n    ):'
    for line in (
        f'x = g({{"k": [{long}], **rest}})',
        f"y = all(a in ({long}) for a in b)",
        f'assert repr(a) == "{"z" * 120}"',
    ):
        assert ast.dump(ast.parse(wrapped(line))) == ast.dump(ast.parse(line))


def test_the_sandbox_limits_time_output_and_writes(tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    workspace.mkdir()
    (workspace / "a.txt").write_text("a")
    with Sandbox(workspace, limits=Limits(output_bytes=1000)) as box:
        assert (box.work / "a.txt").read_text() == "a"
        slow = box.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.5)
        assert slow.timed_out
        loud = box.run([sys.executable, "-c", "while True: print('x' * 1000)"], timeout=10)
        assert loud.truncated and len(loud.output) < 200_000
        target = tmp_path / "outside"
        code = f"try:\n    open({str(target)!r}, 'w')\nexcept OSError:\n    print('refused')"
        if box.confinement.writes:
            assert "refused" in box.run([sys.executable, "-c", code], timeout=10).output
            assert not target.exists()
        root = box.root
    assert not root.exists()


def test_a_fork_bomb_leaves_nothing_running(tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    workspace.mkdir()
    with Sandbox(workspace) as box:
        if not box.confinement.processes:
            pytest.skip("this system grants no process namespace")
        code = "import os\ntry:\n    os.fork()\nexcept OSError:\n    print('refused')"
        assert "refused" in box.run([sys.executable, "-c", code], timeout=10).output
