"""What other tools say is wrong near the cursor, as a part of the prompt."""

from __future__ import annotations

import asyncio

from dsassist.assist.context import Gatherer
from dsassist.assist.diagnostics import Diagnostic, Diagnostics
from dsassist.assist.prompt import request_for
from dsassist.assist.shape import Shape
from dsassist.assist.site import Site
from dsassist.index import AtCursor, ContextPiece
from dsassist.settings import Settings

UNKNOWN = Diagnostic(30, '"Basket" is not defined')


def site(line: int, text: str = "") -> Site:
    before = "x = 1\n" * line + text
    return Site.at(before, len(before), path="a.py", document="a", language="python")


def test_what_is_said_nearby_errors_first_and_no_more_than_two() -> None:
    known = Diagnostics()
    said = [Diagnostic(9, "unused", warning=True), Diagnostic(10, "bad type\n  because"), Diagnostic(2, "far"), UNKNOWN]
    known.note("a", said)
    assert known.near(site(12)) == ("warning: unused", "error: bad type")
    assert known.near(site(60)) == ()
    known.forget("a")
    assert known.near(site(12)) == ()


def test_a_line_that_imports_is_told_which_names_the_file_lacks() -> None:
    known = Diagnostics()
    known.note("a", [UNKNOWN, Diagnostic(31, "Incompatible types"), Diagnostic(32, "undefined: Cart")])
    assert known.near(site(2, "from shop import ")) == ("error: undefined: Cart", 'error: "Basket" is not defined')
    assert known.near(site(2, "y = ")) == ()


def test_a_line_that_is_written_is_not_called_wrong_for_it() -> None:
    known = Diagnostics()
    known.note("a", [Diagnostic(5, "argument missing")])
    known.edited("a", 5, 5, 1)
    known.note("a", [Diagnostic(5, "expected expression")])
    assert known.near(site(5, "y = f(")) == ("error: argument missing",)
    known.edited("a", 5, 5, 1)
    assert known.near(site(5, "y = f(1")) == ("error: argument missing",)
    # finished, and left: what is said of it counts
    assert known.near(site(6)) == ("error: expected expression",)
    known.edited("a", 5, 5, 2)
    assert known.near(site(6)) == ("error: expected expression",)


def test_what_is_said_moves_with_the_text() -> None:
    known = Diagnostics()
    known.note("a", [Diagnostic(3, "above"), Diagnostic(20, "below")])
    known.edited("a", 5, 5, 21)
    assert known.near(site(38)) == ("error: below",)
    known.edited("a", 4, 26, 1)
    assert known.near(site(18)) == ("error: below",)


def test_it_stands_as_a_comment_and_stays_while_lines_are_written() -> None:
    async def run() -> None:
        async def pieces(_: Site, budget: int) -> list[ContextPiece]:
            return []

        async def nothing(_: Site) -> AtCursor:
            return AtCursor()

        known = Diagnostics()
        known.note("a", [Diagnostic(12, "Missing return"), UNKNOWN])
        gather = Gatherer(pieces, nothing, told=known.near)
        prompts = []
        for line, text in ((10, "    "), (10, "    y"), (11, "    ")):
            here = site(line, text)
            prompts.append(request_for(here, Shape("line"), Settings(), await gather(here)).prompt)
            known.note("a", [Diagnostic(line, "expected expression")])
        assert prompts[0].endswith("x = 1\n    # error: Missing return\n    ")
        assert prompts[1] == prompts[0] + "y"
        assert prompts[2].endswith("# error: Missing return\nx = 1\n    ")

    asyncio.run(run())
