"""Renames, symbols, context, graphs, syntax."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from dsassist.errors import WorkspaceError
from dsassist.index import to_dot, to_mermaid, to_svg

FILES = {
    "shop/cart.py": '''
        """Carts."""
        from shop.money import Money

        class Cart:
            """Holds things."""

            def __init__(self, owner: str):
                self.owner = owner
                self.lines: list[Money] = []

            def total(self) -> Money:
                """Sum of all lines."""
                result = Money(0)
                for line in self.lines:
                    result = result.plus(line)
                return result
        ''',
    "shop/money.py": """
        class Money:
            def __init__(self, cents: int):
                self.cents = cents

            def plus(self, other: "Money") -> "Money":
                return Money(self.cents + other.cents)

            def show(self) -> str: ...
        """,
    "shop/__init__.py": "",
    "app.py": """
        from shop.cart import Cart as Basket
        from shop.money import Money

        def checkout(basket: Basket, anything):
            anything.show()
            return basket.total()
        """,
}


@pytest.fixture
def shop(workspace: Any) -> Any:
    workspace.write(FILES)
    workspace.index.update()
    return workspace


def test_rename_changes_every_place(shop: Any) -> None:
    plan = shop.index.rename(*shop.place("shop/money.py", 5, "plus"), "added")
    assert not plan.refused
    assert [(place.path, place.line + 1) for place in plan.edits] == [("shop/cart.py", 15), ("shop/money.py", 5)]


@pytest.mark.parametrize(
    ("path", "line", "name", "new", "reason"),
    [
        ("shop/money.py", 8, "show", "display", "app.py:5 may also mean show"),
        ("shop/money.py", 1, "Money", "class", "word of the language"),
        ("shop/money.py", 1, "Money", "2x", "no name"),
        ("shop/money.py", 5, "plus", "show", "already defined"),
        ("shop/money.py", 2, "__init__", "start", "meaning for the language"),
        ("app.py", 1, "cart", "basket", "rename it on the disk"),
        ("shop/money.py", 8, "str", "text", "Nothing is known"),
    ],
)
def test_renames_are_refused_with_the_reason(shop: Any, path: str, line: int, name: str, new: str, reason: str) -> None:
    plan = shop.index.rename(*shop.place(path, line, name), new)
    assert plan.edits == ()
    assert reason in plan.refused


def test_rename_of_an_alias_stays_in_its_file(shop: Any) -> None:
    plan = shop.index.rename(*shop.place("app.py", 1, "Basket"), "Trolley")
    assert [(place.path, place.line + 1) for place in plan.edits] == [("app.py", 1), ("app.py", 4)]


def test_rename_takes_overrides_along(workspace: Any) -> None:
    workspace.write({
        "a.py": "class A:\n    def go(self): ...\nclass B(A):\n    def go(self): ...\n"
        "def f(a: A, b: B):\n    a.go(); b.go()\n",
        "b.py": "import abc\nclass C(abc.Strange):\n    def away(self): ...\n",
        "c.py": "def tag(): ...\nNAMES = ['tag']\n",
    })  # fmt: skip
    workspace.index.update()
    plan = workspace.index.rename(*workspace.place("a.py", 4, "go"), "walk")
    assert sorted(place.line + 1 for place in plan.edits) == [2, 4, 6, 6]
    assert "outside the workspace" in workspace.index.rename(*workspace.place("b.py", 3, "away"), "x1").refused
    assert "as a string" in workspace.index.rename(*workspace.place("c.py", 1, "tag"), "x1").refused


def test_symbols_are_found_by_parts_of_their_names(shop: Any) -> None:
    def names(query: str) -> list[str]:
        return [info.qualified_name for _, info in shop.index.symbols(query)]

    assert names("Cart")[0] == "Cart"
    assert names("tot") == ["Cart.total"]
    assert names("chkt") == ["checkout"]
    assert names("cart.own") == ["Cart.owner"]
    assert names("zzz") == []
    assert names("") == []


def test_outline_is_nested_by_qualified_name(shop: Any) -> None:
    found = [(info.qualified_name, info.kind.label) for info in shop.index.document_symbols("shop/cart.py")]
    assert found == [
        ("Cart", "class"), ("Cart.__init__", "method"), ("Cart.owner", "field"), ("Cart.lines", "field"),
        ("Cart.total", "method"),
    ]  # fmt: skip


def test_context_follows_edits_of_other_files(workspace: Any) -> None:
    workspace.write(
        {
            "parts.py": "def old_part():\n    return 1\n\n\ndef new_part():\n    return 2\n",
            "lib.py": "from parts import new_part, old_part\n\n\ndef make():\n    return old_part()\n",
            "app.py": "from lib import make\n\nmake()\n",
        }
    )
    workspace.index.update()

    def names() -> set[str]:
        return {piece.name for piece in workspace.index.context_for("app.py", 2, 0, 4000)}

    assert names() == {"make", "old_part"}
    workspace.index.set_overlay("lib.py", (workspace.root / "lib.py").read_text().replace("return old", "return new"))
    assert names() == {"make", "new_part"}
    workspace.index.set_overlay("app.py", "from lib import make\n\nmake()\n\n")
    assert names() == {"make", "new_part"}
    workspace.index.close_overlay("lib.py")
    assert names() == {"make", "old_part"}


def test_context_is_what_the_code_near_the_cursor_needs(shop: Any) -> None:
    pieces = shop.index.context_for("app.py", 5, 0, 4000)
    assert "Cart.total" in [piece.name for piece in pieces] or "Cart" in [piece.name for piece in pieces]
    assert all(piece.path != "app.py" for piece in pieces)
    assert sum(len(piece.text.encode()) for piece in shop.index.context_for("app.py", 5, 0, 300)) <= 300
    assert shop.index.context_for("unknown.py", 0, 0) == ()


def test_graphs_are_well_formed(shop: Any) -> None:
    graph = shop.index.import_graph()
    assert ("app.py", "shop/cart.py") in {edge[:2] for edge in graph.edges}
    assert to_mermaid(graph).startswith("flowchart LR\n")
    assert '"app.py" -> "shop/cart.py"' in to_dot(graph)
    ElementTree.fromstring(to_svg(graph))
    calls = shop.index.call_graph([("app.py", "checkout")])
    assert ("app.py:checkout", "shop/cart.py:Cart.total") in {edge[:2] for edge in calls.edges}


def test_files_around_one(shop: Any) -> None:
    one = shop.index.files_around("shop/cart.py")
    edges = {edge[:2]: edge[2] for edge in one.edges}
    assert edges[("app.py", "shop/cart.py")] >= 1
    assert {name for edge in edges for name in edge} <= set(one.nodes)
    assert len(shop.index.files_around("shop/cart.py", 3).nodes) >= len(one.nodes)
    few = shop.index.files_around("shop/cart.py", 3, 2)
    assert len(few.nodes) == 2 and few.dropped
    with pytest.raises(WorkspaceError, match="not in the index"):
        shop.index.files_around("unknown.py")


def test_files_around_one_sees_open_buffers(shop: Any) -> None:
    assert ("notes.py", "shop/cart.py") not in {edge[:2] for edge in shop.index.files_around("shop/cart.py").edges}
    shop.index.set_overlay("notes.py", "from shop.cart import Cart\n\nCart()\n")
    assert ("notes.py", "shop/cart.py", 3) in shop.index.files_around("shop/cart.py").edges


def test_folds_and_selections(shop: Any) -> None:
    folds = shop.index.folds("shop/cart.py")
    assert (3, 15) in {(fold.first, fold.last) for fold in folds}
    ranges = shop.index.selections("shop/cart.py", 14, 30)
    assert ranges[0].line == 14
    assert ranges[-1].line == 0
    assert len(ranges) == len(set(ranges))


def test_find_symbols_takes_dotted_names(shop: Any) -> None:
    assert [target for target, _ in shop.index.find_symbols("shop.cart.Cart.total")] == [("shop/cart.py", "Cart.total")]
    assert [target for target, _ in shop.index.find_symbols("Cart.total")] == [("shop/cart.py", "Cart.total")]
    assert shop.index.find_symbols("nothing") == ()


def test_implementations_and_types(workspace: Any) -> None:
    workspace.write(
        {"a.py": "class A:\n    def go(self): ...\nclass B(A):\n    def go(self): ...\nclass C(B): ...\nx = C()\n"}
    )
    workspace.index.update()
    names = [info.qualified_name for info in workspace.index.implementations(*workspace.place("a.py", 1, "A"))]
    assert names == ["B", "C"]
    assert [info.qualified_name for info in workspace.index.implementations(*workspace.place("a.py", 2, "go"))] == [
        "B.go"
    ]
    assert [info.qualified_name for info in workspace.index.type_definitions(*workspace.place("a.py", 6, "x"))] == ["C"]


RISKY = {
    "m.py": """
        from functools import partial
        class Node:
            def visit_name(self): return 1
            def cycle(self): return 2
            def plain(self): return f"{self.plain}"
            def go(self, kind): return getattr(self, f"visit_{kind}")()
        def make(size=1): return size
        def other(width=1): return width
        half = partial(make, size=2)
        TEMPLATE = "{{ node.cycle() }}"
    """,
    "test_m.py": "def test(factory):\n    factory(width=3)\n",
}


@pytest.mark.parametrize(
    ("line", "name", "reason"),
    [
        (3, "visit_name", "makes names that begin with visit_"),
        (4, "cycle", "inside a string"),
        (8, "width", "may also mean width"),
        (5, "plain", ""),
        (7, "size", ""),
    ],
)
def test_renames_that_something_else_may_name(workspace: Any, line: int, name: str, reason: str) -> None:
    workspace.write(RISKY)
    workspace.index.update()
    plan = workspace.index.rename(*workspace.place("m.py", line, name), "fresh")
    assert reason in plan.refused and bool(reason) == bool(plan.refused)
    if name == "size":
        assert [place.line + 1 for place in plan.edits] == [7, 7, 9]


def test_a_passage_like_the_text_at_the_cursor_comes_first(workspace: Any) -> None:
    handler = (
        "class {0}(Handler):\n    def handle(self, request):\n        return self.respond({0}Answer(request.body))\n"
    )
    start = "from base import Handler\n\n\n"
    workspace.write(
        {
            "base.py": "class Handler:\n    def respond(self, answer):\n        return answer\n",
            "first.py": start + handler.format("First"),
            "other.py": "def unrelated(number):\n    return number + 1\n",
            "app.py": start,
        }
    )
    workspace.index.update()
    before = start + "class Second(Handler):\n    def handle(self, request):\n        return "
    pieces = workspace.index.pieces_for("app.py", 5, before, "\n", 2000)
    assert (pieces[0].path, pieces[0].is_usage) == ("first.py", True)
    assert "FirstAnswer(request.body)" in pieces[0].text
    assert all(piece.path != "app.py" for piece in pieces)
    assert sum(len(piece.text.encode()) for piece in workspace.index.pieces_for("app.py", 5, before, "\n", 300)) <= 300
    assert workspace.index.pieces_for("unknown.py", 0, "", "", 2000) == ()
