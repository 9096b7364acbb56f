from __future__ import annotations

import ast
import datetime
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dsassist.assist import testgen

Make = Callable[..., Path]
Generate = Callable[..., testgen.FileReport]

SHOP = '''
    import asyncio
    import contextlib
    from dataclasses import dataclass


    @dataclass
    class Item:
        name: str
        price: float


    class Basket:
        def __init__(self, owner: str):
            self.owner = owner
            self.items = []

        def add(self, item: Item) -> None:
            self.items.append(item)

        @property
        def total(self) -> float:
            return sum(item.price for item in self.items)


    def discount(total: float, code: str) -> float:
        """Apply a code.

        >>> discount(100.0, "HALF")
        50.0
        """
        if total < 0:
            raise ValueError("total must not be negative")
        if code == "HALF":
            return total / 2
        return total


    async def squares(n: int):
        await asyncio.sleep(0)
        return [i * i for i in range(n)]


    def countdown(n: int):
        while n > 0:
            yield n
            n -= 1


    @contextlib.contextmanager
    def tagged(name: str):
        yield f"<{name}>"
'''


def test_every_kind_of_target_gets_tests_that_its_own_runner_passes(
    project: Make, generate: Generate, tmp_path: Path
) -> None:
    path = project(SHOP)
    report = generate(path)
    kept = {target.target for target in report.targets if target.kept}
    assert kept == {"Basket.__init__", "Basket.add", "Basket.total", "discount", "squares", "countdown", "tagged"}
    assert report.text is not None
    tests = path.parent / "test_check.py"
    tests.write_text(report.text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", str(tests)],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "# Stated by the docstring." in report.text
    assert "# Characterises today's behaviour." in report.text
    assert 'pytest.raises(ValueError, match="^total must not be negative$")' in report.text
    funnel = report.funnel
    assert funnel["generated"] >= funnel["collects"] >= funnel["passes"] >= funnel["kept"] > 0


def test_a_docstring_that_the_code_contradicts_is_a_suspected_bug_and_no_test(
    project: Make, generate: Generate
) -> None:
    path = project('''
        def double(n: int) -> int:
            """Twice n.

            >>> double(4)
            8
            """
            return n * 3


        def root(n: int) -> int:
            """Raises ValueError if n is negative."""
            return abs(n) // 2
    ''')  # fmt: skip
    report = generate(path)
    double, root = report.targets
    assert [item.confidence for item in double.suspicions] == ["stated"]
    assert "8" in double.suspicions[0].why and "12" in double.suspicions[0].why
    assert report.text is None or "double(4)" not in report.text
    assert any("ValueError" in item.why for item in root.suspicions)


def test_values_bound_to_the_run_are_not_asserted(project: Make, generate: Generate) -> None:
    path = project('''
        import os, random, time, uuid


        def stamp(n: int) -> dict:
            return {"n": n, "at": time.time(), "id": str(uuid.uuid4()), "r": random.random()}


        def names(words: list[str]):
            return list(set(words))
    ''')  # fmt: skip
    report = generate(path)
    text = report.text or ""
    assert "'at'" not in text.replace('"', "'").replace("sorted(result) == ['at', 'id', 'n', 'r']", "")
    for line in text.splitlines():
        assert "uuid" not in line


def test_what_is_about_today_is_not_pinned(project: Make, generate: Generate) -> None:
    path = project('''
        import datetime
        import time
        from datetime import date


        def year(offset: int) -> int:
            return datetime.datetime.now().year + offset


        def label(prefix: str) -> str:
            return f"{prefix} {date.today().isoformat()}"


        def stamp(n: int) -> str:
            return time.strftime("%Y") * n


        def next_day(moment: datetime.datetime) -> datetime.datetime:
            if not isinstance(moment, date):
                raise TypeError("no moment")
            return moment + datetime.timedelta(days=1)
    ''')  # fmt: skip
    report = generate(path, seconds=4.0)
    text = report.text or ""
    assert "assert isinstance(year(3), int)" in text and "Another value in every run" in text
    assert str(datetime.datetime.now().year) not in text
    assert "== datetime.datetime(" in text and "TypeError" in text and "MagicMock" not in text


def test_an_existing_file_is_extended_and_not_reordered(project: Make, generate: Generate) -> None:
    old = '"""Mine."""\nimport subject\n\n\ndef test_mine():\n    assert subject.inc(1) == 2\n'
    source = "def inc(n: int) -> int:\n    return n + 1\n\n\ndef dec(n: int) -> int:\n    return n - 1\n"
    path = project(source, **{"tests__test_subject.py": old})
    report = generate(path)
    assert report.test_path == path.parent / "tests" / "test_subject.py"
    assert report.text is not None
    assert report.text.startswith('"""Mine."""\nimport subject\n')
    names = [node.name for node in ast.parse(report.text).body if isinstance(node, ast.FunctionDef)]
    assert names[0] == "test_mine" and len(names) > 1 and len(set(names)) == len(names)
    assert not report.targets[0].kept  # what is there runs it and notices every bug planted in it


def test_unittest_style_is_kept(project: Make, generate: Generate) -> None:
    other = "import unittest\n\n\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertTrue(True)\n"
    path = project(
        'def inc(n: int) -> int:\n    if n < 0:\n        raise ValueError("negative")\n    return n + 1\n',
        **{"tests__test_other.py": other},
    )
    report = generate(path)
    assert report.style == "unittest"
    assert report.text is not None and "unittest.TestCase" in report.text and "pytest" not in report.text
    assert report.targets[0].kept


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("while True:\n        pass", "runs too long"),
        ("import os\n    os._exit(3)", "ends the interpreter"),
        ("return input()", "reads standard input"),
        ("import os\n    os.fork()\n    return 1", "starts processes"),
        ("import subprocess\n    return subprocess.check_output(['true'])", "starts processes"),
        ("import socket\n    return socket.create_connection(('127.0.0.1', 9))", "reaches for the network"),
        ("import os\n    os.remove(__file__)", "writes outside its scratch folder"),
        ("open(__file__, 'w').write('gone')", "writes outside its scratch folder"),
        ("while True:\n        print('x' * 100000)", "prints without end"),
        ("return len(bytearray(1 << 40))", "needs too much memory"),
    ],
)  # fmt: skip
def test_dangerous_code_is_contained_and_reported(project: Make, generate: Generate, body: str, reason: str) -> None:
    report = generate(project(f"def target():\n    {body}\n"))
    target = report.targets[0]
    assert not target.kept
    assert reason in target.dropped


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import not_there_at_all\n", "not_there_at_all"),
        ("raise RuntimeError('at import')\n", "at import"),
        ("import os\nos._exit(0)\n", "ended during importing"),
    ],
)
def test_a_module_that_cannot_be_imported_says_why(project: Make, generate: Generate, source: str, words: str) -> None:
    path = project(f"{source}\n\ndef f(n):\n    return n\n")
    with pytest.raises(testgen_error(), match=words):
        generate(path)


def testgen_error() -> type[Exception]:
    from dsassist.errors import TestGenerationError

    return TestGenerationError


testgen_error.__test__ = False  # type: ignore[attr-defined]


def test_import_side_effects_stay_in_the_sandbox(project: Make, generate: Generate, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    path = project(
        f"try:\n    open({str(outside)!r}, 'w').write('x')\nexcept OSError:\n    pass\n\n\n"
        f"def f(n: int) -> int:\n    return n + 1\n"
    )
    report = generate(path)
    assert not outside.exists()
    assert report.targets[0].kept


def test_evident_invariants_become_property_tests(project: Make, generate: Generate) -> None:
    path = project('''
        def escape(text: str) -> str:
            return text.replace("%", "%25").replace(",", "%2C")


        def unescape(text: str) -> str:
            return text.replace("%2C", ",").replace("%25", "%")


        def encode(n: int) -> str:
            return str(n)


        def decode(text: str) -> int:
            """The inverse of encode."""
            return abs(int(text))
    ''')  # fmt: skip
    report = generate(path, seconds=25.0)
    assert report.text is not None
    assert "@given(text=st.text())" in report.text and "assert unescape(escape(text)) == text" in report.text
    assert "escape(unescape(text)) == text" not in report.text.replace("unescape(escape", "")
    decode = report.targets[3]
    assert [item.confidence for item in decode.suspicions] == ["stated"]
    assert "decode(encode(n)) == n" in decode.suspicions[0].why


def test_a_test_must_add_to_those_that_are_there(project: Make, generate: Generate) -> None:
    source = (
        "def grade(n: int) -> str:\n    if n > 89:\n        return 'a'\n    if n > 49:\n"
        "        return 'b'\n    return 'c'\n"
    )
    there = (
        "import subject\n\n\ndef test_high():\n    assert subject.grade(90) == 'a'\n"
        "    assert subject.grade(89) == 'b'\n\n\ndef test_wrong():\n    assert subject.grade(0) == 'z'\n"
    )
    report = generate(project(source, **{"tests__test_subject.py": there}))
    target = report.targets[0]
    assert target.covered_before == 4 and target.lines == 5 and target.killed_before > 0
    assert target.covered_after == 5 and target.killed > target.killed_before
    assert "existing tests do the same" in target.dropped
    assert report.text is not None and "grade(90)" not in report.text.partition("def test_wrong")[2]


def test_variables_of_the_module_and_standard_error_are_observed_and_given_back(
    project: Make, generate: Generate
) -> None:
    path = project('''
        import sys

        _names = {}
        _count = 0


        def register(name: str, value: int) -> None:
            global _count
            _names[name] = value
            _count += 1


        def complain(text: str) -> None:
            print(f"error: {text}", file=sys.stderr)
    ''')  # fmt: skip
    report = generate(path)
    assert all(target.kept for target in report.targets)
    text = report.text or ""
    assert 'patch.object(subject, "_names", {})' in text and 'patch.object(subject, "_count", 0)' in text
    assert "redirect_stderr" in text and 'errors.getvalue() == "error: ' in text


def test_what_depends_on_the_place_and_names_like_tests_are_handled(project: Make, generate: Generate) -> None:
    path = project('''
        from pathlib import Path


        def here(n: int) -> Path:
            return Path(__file__).parent


        def letters(n: int) -> int:
            return len(str(Path(__file__).resolve())) + n


        def test_even(n: int) -> bool:
            """Whether n is even: test_even(4) is True."""
            return n % 2 == 0
    ''')  # fmt: skip
    report = generate(path)
    here, letters, even = report.targets
    assert not here.kept and not letters.kept and even.kept
    text = report.text or ""
    assert "dsassist-testgen" not in text
    assert "from subject import test_even as _test_even" in text and "_test_even(" in text
