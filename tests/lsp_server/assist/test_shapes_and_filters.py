"""What ends a suggestion and what is not shown."""

from __future__ import annotations

import pytest

from dsassist.assist.context import Context, lay_out
from dsassist.assist.generation import Anchor
from dsassist.assist.postprocess import REASONS, judge
from dsassist.assist.prompt import request_for
from dsassist.assist.shape import enough, shape_at
from dsassist.assist.site import Site, cut_prefix
from dsassist.assist.syntax import breaks_syntax
from dsassist.backend.types import ContextFile
from dsassist.index import ContextPiece
from dsassist.settings import ContextSettings, Settings


def site(marked, **options):
    """A site at the ``|``."""
    before, _, after = marked.partition("|")
    return Site.at(before + after, len(before), **options)


def shown(marked, raw):
    here = site(marked)
    return judge(here, shape_at(here), raw)


@pytest.mark.parametrize(
    ("marked", "raw", "text"),
    [
        ("x = f(|)", "a, b)", "a, b"),
        ("x = f(|)", "g(a), b)", "g(a), b"),
        ("x = f(|):", "a, (b)):", "a, (b)"),
        ('x = "|"', 'hello"', "hello"),
        ("x = |;", "f(a);", "f(a)"),
        ("x = |", "1  \ny = 2", "1"),
        ("def f(a):\n    |\n", "b = a\n    return b\n\ndef g():", "b = a\n    return b"),
        ("def f(a):\n    |\n\ndef g(): pass", "return a\ndef g(): pass", "return a"),
        ("if (x) {|\n}", "\n  y();\n}\nz();", "\n  y();"),
        ("def f(a):\n    |", '    """Doc."""\n    return a', '"""Doc."""\n    return a'),
        ("def f(a):\n    |", "    return a", "return a"),
        ("def f(a):\n    b = a\n    |", "    c = b\n    return c", "c = b\n    return c"),
        ("def f(a):\n    if a:\n    |", "    b = a\n    return b", "    b = a\n    return b"),
        ("def f(a):\n    return g(a,\n    |", "         b,\n    )", "         b,\n    )"),
        ("if a:\n|", "    b = a", "    b = a"),
    ],
)
def test_what_is_shown(marked, raw, text):
    verdict = shown(marked, raw)
    assert (verdict.text, verdict.reason) == (text, "none")


@pytest.mark.parametrize(
    ("marked", "raw", "reason"),
    [
        ("x = |", "   \n", "nothing_to_add"),
        ("x = f(|)", ")", "closes_twice"),
        ("a = 1\n|\nb = long_name(2)\n", "b = long_name(2)", "repeats_next_lines"),
        ("value = 1\n|", "value = 1", "repeats_line_above"),
    ],
)
def test_what_is_held_back(marked, raw, reason):
    verdict = shown(marked, raw)
    assert verdict.reason == reason
    assert verdict.text == ""
    assert reason in REASONS


def test_a_block_ends_where_its_indentation_does():
    here = site("class A:\n    def f(self):\n        |\n")
    raw = "x = 1\n        return x\n    def g(self):\n"
    assert raw[: enough(shape_at(here), raw)] == "x = 1\n        return x"


def test_a_loop_of_the_models_is_cut():
    here = site("def f():\n    |\n")
    raw = "print(value)\n" + "    print(value)\n" * 8
    assert judge(here, shape_at(here), raw).text.count("print") == 2


@pytest.mark.parametrize("length", [0, 1, 63, 1000, 16_384, 16_385, 50_000])
def test_the_cut_before_the_cursor_moves_rarely(length):
    text = "".join(f"line {number}\n" for number in range(10_000))[: length + 100]
    starts = {len(text[: length + more]) - len(cut_prefix(text[: length + more], 16_384)) for more in range(100)}
    assert len(starts) <= 2
    assert all(len(cut_prefix(text[: length + more], 16_384)) <= 16_384 for more in range(100))


def test_one_endless_line_is_cut_too():
    assert len(cut_prefix("x" * 100_000, 16_384)) <= 16_384


def test_a_prompt_keeps_to_its_budget_and_the_best_context():
    settings = Settings(context=ContextSettings(max_tokens=500))
    pieces = tuple(ContextFile(f"{n}.py", "y" * 300) for n in range(9))
    request = request_for(site("x" * 9000 + "|" + "z" * 9000), shape_at(site("x|")), settings, Context(pieces))
    size = len(request.prompt) + len(request.suffix) + sum(len(p.text) for p in request.context)
    assert size <= 500 * 3.2
    assert [piece.path for piece in request.context] == ["7.py", "8.py"]


def test_an_answer_fits_only_where_it_was_typed_on():
    before = site("def f(a):\n    |\n", document="d")
    anchor = Anchor(before, shape_at(before))
    assert anchor.typed_since(site("def f(a):\n    ret|\n", document="d")) == "ret"
    assert anchor.typed_since(site("def f(a):\n    g(|)\n", document="d")) == "g("
    assert anchor.typed_since(site("def f(b):\n    ret|\n", document="d")) is None
    assert anchor.typed_since(site("def f(a):\n    ret|\n", document="e")) is None
    assert anchor.typed_since(site("def f(a):\n  |\n", document="d")) is None


def test_context_is_without_secrets_and_without_what_the_prompt_shows():
    here = site("def known(): pass\nx = |\n")

    def piece(path, text, score):
        return ContextPiece(path, "n", text, score, (0, 0))

    files = lay_out(
        [
            piece("best.py", "def best(): ...", 3.0),
            piece("config/.env.local", "KEY = 1", 2.0),
            piece("keys/server.pem", "-----", 2.0),
            piece("same.py", "def known(): pass", 2.0),
            piece("other.py", "def other(): ...", 1.0),
        ],
        here,
    )
    assert [file.path for file in files] == ["other.py", "best.py"]


@pytest.mark.parametrize(
    ("path", "marked", "text", "breaks"),
    [
        ("a.py", "x = 1\n|\ny = 2\n", "z = )", True),
        ("a.py", "x = 1\n|\ny = 2\n", "z = f(1)", False),
        ("a.py", "x = |\n", "f(1)", False),
        ("a.py", "x = |\n", "f(", False),
        ("a.py", "|\n", "if x:", False),
        ("a.js", "f(1);\n|\n", "g(1));", True),
        ("a.go", "package a\n|\n", "func f() int { return 1 }", False),
        ("a.unknown", "x\n|\n", ")))", False),
    ],
)
def test_what_breaks_syntax(path, marked, text, breaks):
    assert breaks_syntax(site(marked, path=path), text) is breaks


def test_a_file_that_begins_in_the_middle_of_something_is_judged_by_what_changes():
    body = "\n".join(f"    value_{number} = {number}" for number in range(2000))
    here = site(f"def f():\n{body}\n    |\n", path="a.py")
    assert not breaks_syntax(here, "return 1")
    assert breaks_syntax(here, "return 1)")
