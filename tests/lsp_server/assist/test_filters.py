"""What keeps a suggestion from being shown, in every language of the index, and how much is suggested where."""

from __future__ import annotations

import pytest

from dsassist.assist.members import used_members
from dsassist.assist.postprocess import REASONS, judge
from dsassist.assist.shape import FUNCTION_LINES, MIDDLE_LINES, enough, shape_at
from dsassist.assist.site import Site
from dsassist.assist.syntax import breaks_syntax, completed, open_brackets, surroundings
from dsassist.index import Index


def site(marked, **options):
    """A site at the ``|``."""
    before, _, after = marked.partition("|")
    return Site.at(before + after, len(before), **options)


WHOLE = {
    "a.py": ("def f(a):\n    b = |\n    return b\n", "a + 1", "a + 1)"),
    "a.js": ("function f(a) {\n  const b = |\n  return b;\n}\n", "g(a);", "g(a)) {;"),
    "a.ts": ("class A {\n  f(a: number): number {\n    |\n  }\n}\n", "return a as number;", "return a as number);"),
    "a.go": ("package a\n\nfunc f(a int) int {\n\t|\n}\n", "return a + 1", "return a + 1)"),
    "a.rs": ("fn f(a: i32) -> i32 {\n    |\n}\n", "let b = a + 1;", "let b = = 1;"),
    "a.java": ("class A {\n  int f(int a) {\n    |\n  }\n}\n", "return a + 1;", "return a +) 1;"),
    "a.c": ("int f(int a) {\n  |\n}\n", "return a + 1;", "return a + 1);"),
    "a.cpp": (
        "int A::f(int a) {\n  |\n}\n",
        "auto b = [a](int c) { return a + c; };",
        "auto b = [a](int c) { return; });",
    ),
}


@pytest.mark.parametrize("path", WHOLE)
def test_only_what_breaks_the_code_is_held_back(path):
    marked, right, wrong = WHOLE[path]
    here = site(marked, path=path)
    assert not breaks_syntax(here, right)
    assert breaks_syntax(here, wrong)
    assert not breaks_syntax(here, wrong, whole=False)


@pytest.mark.parametrize(
    ("marked", "text", "breaks"),
    [
        # a line that is not whole yet is measured by the code without it
        ("x = 1\ny = |\nz = 3\n", "f(2))", True),
        ("x = 1\ny = |\nz = 3\n", "f(2)", False),
        # beginnings are whole once they are closed
        ("def f(a):\n    |\n    return 1\n", "if a:", False),
        ("def f(a):\n    |\n    return 1\n", "if a)):", True),
        ("x = f(|)\n", "a, g(b", False),
        ("def f(|)\n\n\ny = 1\n", "a, b", False),
        ("x = f(|)\n", "a, b))", True),
        ("|\n", "@decorated", False),
        ("from |\n", "os", False),
        ("x = |\n", "a +", False),
        ("x = f(\n    a,\n    |\n)\n", "},", True),
        ("def f(a):\n    |\n    return 1\n", "def g(b", False),
        # only what is added counts
        ("x = )\ny = |\n", "f(2)", False),
    ],
)
def test_what_can_be_gone_on_with_is_not_broken(marked, text, breaks):
    assert breaks_syntax(site(marked, path="a.py"), text) is breaks


@pytest.mark.parametrize("path", WHOLE)
def test_an_empty_function_is_seen_in_every_language(path):
    empty = {
        "a.py": 'def f(a):\n    """Doc."""\n    |\n\nx = 1\n',
        "a.js": "function f(a) {\n  |\n}\n",
        "a.ts": "class A {\n  f(a: number): void {\n    |\n  }\n}\n",
        "a.go": "package a\n\nfunc f() {\n\t|\n}\n",
        "a.rs": "fn f() {\n    |\n}\n",
        "a.java": "class A {\n  void f() {\n    |\n  }\n}\n",
        "a.c": "int f() {\n  |\n}\n",
        "a.cpp": "int A::f() {\n  |\n}\n",
    }[path]
    assert surroundings(site(empty, path=path)).empty_function
    shape = shape_at(site(empty, path=path))
    assert (shape.kind, shape.lines) == ("function", FUNCTION_LINES)


def test_how_much_is_suggested_follows_the_place():
    assert shape_at(site("def f(a):\n    x = |\n", path="a.py")).kind == "line"
    between = shape_at(site("def f(a):\n    x = 1\n    |\n    return x\n", path="a.py"))
    assert (between.kind, between.lines, between.below) == ("block", MIDDLE_LINES, "    return x")
    assert shape_at(site('def f(a):\n    """Say\n    |\n    """\n', path="a.py")).kind == "text"
    assert shape_at(site("# what follows: |\n", path="a.py")).kind == "line"
    assert surroundings(site('def f():\n    """Not closed yet: |\n\nx = 1\n', path="a.py")).kind == "docstring"
    assert surroundings(site("x = 'in |side'\n", path="a.py")).kind == "string"


def test_a_suggestion_ends_where_it_meets_what_follows():
    here = site("def f(a):\n    x = 1\n    |\n    return x + a\n", path="a.py")
    raw = "y = 2\n    return x + a\n    z = 3\n"
    assert raw[: enough(shape_at(here), raw)] == "y = 2"


def test_documentation_ends_with_its_quotes():
    here = site('def f(a):\n    """Say\n    |\n', path="a.py")
    raw = 'something of a.\n    """\n    return a\n'
    assert raw[: enough(shape_at(here), raw)] == 'something of a.\n    """'


def test_documentation_may_begin_on_the_next_line():
    raw = '\n    Say something.\n\n    a: of it.\n    """\n    return a\n'
    here = site('def f(a):\n    """|\n    return a\n', path="a.py")
    assert raw[: enough(shape_at(here), raw)] == "\n    Say something."
    closed = '\n    Say something.\n    """\n    return a\n'
    assert closed[: enough(shape_at(here), closed)] == '\n    Say something.\n    """'
    for marked in (
        'def f(a):\n    """|"""\n    return a\n',
        'def f(a):\n    """Say.""" |\n    return a\n',
        'x = "|"\n',
    ):
        assert shape_at(site(marked, path="a.py")).kind == "line"


@pytest.mark.parametrize(
    ("marked", "raw", "reason"),
    [
        ("def f():\n\tif a:\n\t\t|\n", "x = 1\n        y = 2", "other_indentation"),
        ("def f():\n    if a:\n        |\n", "x = 1\n\t\ty = 2", "other_indentation"),
        ("def f():\n    |\n", "call_it(1)\n    call_it(1)\n    call_it(1)\n    call_it(1)", "none"),
        ("x = f(g(|))", "))", "closes_twice"),
        ("a = 1\n|\n", "<<<<<<< HEAD\nb = 2", "nothing_to_add"),
    ],
)
def test_what_is_held_back(marked, raw, reason):
    here = site(marked, path="a.py")
    assert judge(here, shape_at(here), raw).reason == reason
    assert reason in REASONS


@pytest.mark.parametrize(
    ("marked", "raw", "text"),
    [
        ("x = f(|)\n", "a, b,", "a, b"),
        ("x = f(g(|))\n", "a, b),", "a, b"),
        ("x = [|]\n", "a, b,", "a, b"),
        ("x = {|}\n", "a: b,", "a: b,"),
        ("x = f(|\n", "a, b,", "a, b,"),
        ("x = f(|)\n", "a, g(b, c)", "a, g(b, c)"),
    ],
)
def test_no_comma_comes_before_a_bracket_that_is_there(marked, raw, text):
    here = site(marked, path="a.py")
    assert judge(here, shape_at(here), raw).text == text


@pytest.mark.parametrize(
    ("marked", "raw", "text"),
    [
        ('raise ValueError("is req|)\n', 'uired")', 'uired"'),
        ("raise ValueError('is req|)\n", "uired (always)')", "uired (always)'"),
        ('x = a.get("ref|)\n', 'usal", ""),', 'usal", ""'),
        ('x = a.get("ref", |)\n', '"x)"),', '"x)"'),
        ("x = f(don't(|)\n", "a))", "a"),
        ('    """Say (it|)\n', "self) at once.", "self"),
        ('x = f"{a.|}\n', 'b}"', "b"),
    ],
)
def test_brackets_behind_a_string_that_was_begun_are_not_closed_twice(marked, raw, text):
    here = site(marked, path="a.py")
    assert judge(here, shape_at(here), raw).text == text


def test_code_within_a_string_that_is_not_closed_breaks_nothing():
    here = site(
        'def f(a):\n    if a:\n        raise E(\n            f"no: {a.|}\n        )\n    return 1\n', path="a.py"
    )
    assert not breaks_syntax(here, "code")


def test_prose_in_documentation_that_is_not_closed_breaks_nothing():
    here = site(
        'class A:\n    def f(self):\n        """Say it\n        in |\n        return self.a\n\n    b = 1\n', path="a.py"
    )
    assert surroundings(here).kind == "docstring"
    assert not breaks_syntax(here, "the approval item's (only) order.")


def test_a_block_is_completed_to_balance():
    here = site("function f(a) {\n  |\n", path="a.js")
    assert completed(here, "if (a) {\n    g(a);") == "if (a) {\n    g(a);\n  }"
    assert completed(here, "g(a);\n  h(a);") == "g(a);\n  h(a);"
    closed = site("function f(a) {\n  if (a) {|\n  }\n}\n", path="a.js")
    assert completed(closed, "\n    g({\n      b: 1,") == "\n    g({\n      b: 1,"
    assert open_brackets("f('(', [a") == ["(", "["]


def test_merge_marks_are_neither_a_hindrance_nor_suggested():
    text = "import a\n<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> other\n\ndef f():\n    |\n"
    here = site(text, path="a.py")
    assert not breaks_syntax(here, "return x")
    raw = "return x\n<<<<<<< HEAD\n    return 2\n"
    assert judge(here, shape_at(here), raw).text == "return x"


@pytest.mark.parametrize("path", ["a.cobol", "Makefile", "notes", "a.py"])
def test_a_giant_file_costs_no_more_than_a_small_one(path):
    text = "".join(f"value_{n} = f(({n}))\n" for n in range(200_000))
    here = Site.at(text, len(text) // 2, path=path)
    assert len(here.prefix) <= 16_384
    assert not breaks_syntax(here, "x")
    assert shape_at(here).kind in ("line", "block")
    line = "x" * 2_000_000
    assert shape_at(Site.at(line, 1_000_000, path=path)).kind == "line"


@pytest.mark.parametrize(
    ("marked", "text", "used"),
    [
        ("x = |", "a.go(b.run)", [("a", "go"), ("b", "run")]),
        ("x = a.|", "go()", [("a", "go")]),
        ("x = a.g|", "o()", [("a", "go")]),
        ("|", "self.new = 1", []),
        ("|", "self.new: int = 1", []),
        ("|", "for a in x: a.go()", [("x", "y")][:0]),
        ("|", "with f() as a: a.go()", []),
        ("x = '|", "a.b'", []),
        ("# see |", "a.b", []),
        ("x = f().|", "go", []),
        ("x = a.b.|", "go", []),
    ],
)
def test_which_members_a_suggestion_uses(marked, text, used):
    assert list(used_members(site(marked, path="a.py"), text)) == used


def test_the_index_says_only_what_it_knows(tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "a.py").write_text(
        "class A:\n    def __init__(self, n: int):\n        self.n = n\n\n    def go(self):\n        return self.n\n"
        "class Loose:\n    def __getattr__(self, name):\n        return 1\n"
    )
    (tmp_path / "w" / "b.py").write_text(
        "import a\nimport os\nfrom a import A, Loose\n\n\ndef f(x: A, y, loose: Loose):\n    z = A(1)\n    \n\n\n"
        "def g(x):\n    \n"
    )
    index = Index.open(tmp_path / "w", tmp_path / "cache")
    index.update()
    lacks = {
        (7, "x", "go"): False, (7, "x", "stop"): True, (7, "z", "stop"): True, (7, "z", "n"): False,
        (7, "y", "stop"): False, (7, "loose", "stop"): False, (7, "a", "B"): True, (7, "a", "A"): False,
        (7, "os", "nothing_such"): False, (7, "A", "stop"): True, (11, "x", "stop"): False, (7, "unheard", "of"): False,
        (999, "A", "stop"): True, (7, "x", "__len__"): False,
    }  # fmt: skip
    assert {key: index.lacks_member("b.py", *key) for key in lacks} == lacks
    assert index.lacks_member("no.py", 1, "x", "y") is False
    index.close()


def test_a_large_file_is_entered_outside_of_its_docstrings():
    doc = '"""\nWhat it is.\n\n' + "It has many words.\n" * 300 + '"""\n\n'
    body = "def f(a):\n" + "    a += 1\n" * 300 + "    |\n    return a\n"
    tail = "\n\ndef g():\n" + "    x = 1\n" * 250 + '    """\n' + "    text\n" * 400 + '    """\n'
    here = site(doc + body + tail, path="a.py")
    assert not breaks_syntax(here, "a -= 1")
    assert breaks_syntax(here, "except ValueError")


def test_one_of_several_in_brackets_above_need_not_end_with_its_comma() -> None:
    parameter = "def f(\n    a,\n    b: int | None = |\n    c: int = 0,\n) -> None:\n    return None\n"
    assert not breaks_syntax(site(parameter, path="a.py"), "None")
    assert breaks_syntax(site(parameter, path="a.py"), "None)):")
    argument = "x = f(\n    a=1,\n    b=None if a else g(self.|)\n    # more\n    c=2,\n)\n"
    assert not breaks_syntax(site(argument, path="a.py"), "d")


def test_a_window_that_begins_in_a_docstring_is_read_as_what_it_is() -> None:
    method = (
        '    def m{0}(self):\n        """Gives what it\'s worth, of {0} things; see\n\n'
        '        the others.\n        """\n'
        "        return self.n + {0}\n\n"
    )
    text = "class A:\n" + "".join(method.format(number) for number in range(400))
    here = "        from re|\n"
    for cut in range(0, 200, 25):
        whole = ('x = """' + "y" * cut + '"""\n') + text + "    def last(self):\n" + here + method.format(9)
        at = site(whole, path="a.py")
        assert surroundings(at).kind == "code"
        assert breaks_syntax(at, " =")
        assert not breaks_syntax(at, " import sub")
