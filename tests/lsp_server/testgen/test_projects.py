"""Projects as they are: modules that misbehave on import, settings of pytest, fixtures, encodings, broken tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dsassist.assist import testgen
from dsassist.errors import TestGenerationError as GenerationError
from dsassist.errors import WorkspaceError

Make = Callable[..., Path]
Generate = Callable[..., testgen.FileReport]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("while True:\n    pass\n", "importing the module did not end"),
        ("value = input()\n", "EOF"),
        ("import socket\nsocket.create_connection(('127.0.0.1', 9))\n", "network"),
        ("import os\nos.remove(__file__)\n", "writes"),
        ("import subprocess\nsubprocess.run(['true'], check=True)\n", "processes"),
        ("import sys\nsys.exit(2)\n", "SystemExit: 2"),
        ("x = bytearray(1 << 40)\n", "MemoryError"),
        ("def broken(:\n", "not valid Python"),
    ],
)
def test_what_misbehaves_on_import_is_contained_and_named(
    project: Make, generate: Generate, source: str, words: str
) -> None:
    path = project(f"{source}\n\ndef f(n):\n    return n\n")
    with pytest.raises(GenerationError, match=words) as caught:
        generate(path, seconds=4.0)
    assert caught.value.remedy


def test_a_module_that_waits_for_the_projects_conftest(project: Make, generate: Generate) -> None:
    path = project(
        "import settings\n\nif settings.RATE is None:\n    raise RuntimeError('not configured')\n\n\n"
        "def price(n: int) -> int:\n    return n * settings.RATE\n",
        **{"settings.py": "RATE = None\n", "conftest.py": "import settings\n\nsettings.RATE = 3\n"},
    )
    report = generate(path)
    assert report.targets[0].kept and "== 9" in (report.text or "")


def test_a_plugin_that_the_project_names_is_there_in_the_fresh_runs(project: Make, generate: Generate) -> None:
    plugin = (
        "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef strict(monkeypatch):\n    import subject\n\n"
        "    monkeypatch.setattr(subject, 'RATE', 2)\n"
    )
    path = project(
        "RATE = 1\n\n\ndef price(n: int) -> int:\n    if n < 0:\n        raise ValueError('negative')\n"
        "    return n * RATE\n",
        **{
            "rates_plugin.py": plugin,
            "pytest.ini": "[pytest]\naddopts = -p rates_plugin --maxfail=1 --strict-markers\n",
        },
    )
    report = generate(path)
    assert "ValueError" in (report.text or "")
    assert "price(3) == 3" not in (report.text or "")  # it holds without the plugin only


def test_tests_are_not_added_to_a_file_that_is_broken(project: Make, generate: Generate) -> None:
    path = project("def f(n: int) -> int:\n    return n + 1\n", **{"tests__test_subject.py": "def test_(:\n"})
    with pytest.raises(GenerationError, match=r"test_subject\.py is not valid Python"):
        generate(path)


def test_a_coding_line_and_a_byte_order_mark_are_heeded(tmp_path: Path) -> None:
    latin = tmp_path / "latin.py"
    latin.write_bytes("# -*- coding: latin-1 -*-\ndef f(n):\n    return 'é' * n\n".encode("latin-1"))
    marked = tmp_path / "marked.py"
    marked.write_bytes(b"\xef\xbb\xbfdef f(n):\r\n    return n\r\n")
    assert [target.qualname for path in (latin, marked) for target in testgen.in_file(path)] == ["f", "f"]
    wrong = tmp_path / "wrong.py"
    wrong.write_bytes(b"def f(n):\n    return '\xff'\n")
    with pytest.raises(WorkspaceError, match="cannot be read"):
        testgen.in_file(wrong)


def test_functions_that_come_back_are_called_and_sessions_show_changes(project: Make, generate: Generate) -> None:
    path = project('''
        def keyed(reverse: bool):
            """A key for sort.

            >>> words = ["bb", "a"]
            >>> unrelated = 1
            >>> words.sort(key=keyed(False))
            >>> words
            ['a', 'bb']
            """
            def key(value):
                if reverse:
                    return -len(value)
                return len(value)

            return key
    ''')  # fmt: skip
    report = generate(path)
    target, text = report.targets[0], report.text or ""
    assert not target.missed and target.killed >= target.mutants - 1
    assert "keyed(True)(" in text and "unrelated" not in text


def test_an_example_of_the_docstring_is_where_the_search_starts(project: Make, generate: Generate) -> None:
    path = project('''
        def total(order: str) -> int:
            """Sum of an order.

            >>> total("tea:2|milk:3")
            5
            """
            amount = 0
            for part in order.split("|"):
                name, mark, count = part.partition(":")
                if not mark or not count.isdigit():
                    raise ValueError(f"what is {part}?")
                if int(count) > 9 and name != "tea":
                    return -1
                amount += int(count)
            return amount
    ''')  # fmt: skip
    report = generate(path, seconds=40.0)  # it ends when nothing is missing; a busy machine may take long
    assert not report.targets[0].missed


def test_objects_whose_own_methods_raise_are_no_obstacle(project: Make, generate: Generate) -> None:
    path = project('''
        class Shy:
            def __init__(self, size: int):
                self.size = size

            def __repr__(self):
                raise NotImplementedError

            def __eq__(self, other):
                raise RuntimeError("not now")

            def grow(self, by: int) -> int:
                if by < 0:
                    raise ValueError("smaller")
                self.size += by
                return self.size
    ''')  # fmt: skip
    report = generate(path)
    grow = next(target for target in report.targets if target.target == "Shy.grow")
    assert grow.kept and not grow.missed and "ends the interpreter" not in grow.dropped


def test_objects_that_hold_their_like_are_linked(project: Make, generate: Generate) -> None:
    path = project('''
        class Node:
            def __init__(self, name, parent=None):
                self.name = name
                self.parent = parent

            @property
            def depth(self):
                depth, node = 0, self
                while node.parent is not None:
                    depth += 1
                    node = node.parent
                return depth
    ''')  # fmt: skip
    report = generate(path)
    assert not report.targets[1].missed


def test_what_a_call_does_to_files_is_asserted_and_only_below_its_own_folder(project: Make, generate: Generate) -> None:
    path = project('''
        from pathlib import Path


        def save(path, text):
            path = Path(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            return path.stat().st_size


        def wipe(folder):
            for item in Path(folder).iterdir():
                item.unlink()
    ''')  # fmt: skip
    report = generate(path)
    text = report.text or ""
    assert all(target.kept for target in report.targets)
    assert '.read_text(encoding="utf-8") == "' in text
    assert "assert sorted(item.name for item in tmp_path.iterdir()) == []" in text
    assert 'save("' not in text  # it would write into the project


def test_annotations_of_names_that_only_type_checkers_import(project: Make, generate: Generate) -> None:
    path = project('''
        from __future__ import annotations

        from typing import TYPE_CHECKING

        if TYPE_CHECKING:
            import datetime as dt


        def quarter(value: dt.date) -> int:
            return (value.month - 1) // 3 + 1
    ''')  # fmt: skip
    text = generate(path).text or ""
    assert "datetime.date(" in text and "Mock" not in text
