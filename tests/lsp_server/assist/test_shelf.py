"""The order that the prompts of a workspace share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsassist.assist.shelf import Shelf
from dsassist.backend.types import ContextFile


def files(*names: str, size: int = 10) -> list[ContextFile]:
    return [ContextFile(f"{name}.py", name * size) for name in names]


def names(laid: tuple[ContextFile, ...]) -> str:
    return "".join(file.path[0] for file in laid)


def test_prompts_of_other_documents_begin_alike() -> None:
    shelf = Shelf(100)
    assert names(shelf.lay(files("b", "a"), "x.py")) == "ba"
    assert names(shelf.lay(files("c", "a"), "y.py")) == "bac"
    assert names(shelf.lay(files("d"), "x.py")) == "bacd"


def test_the_open_document_is_left_out_but_stays_for_others() -> None:
    shelf = Shelf(100)
    shelf.lay(files("a", "b"), "x.py")
    assert names(shelf.lay(files("c", "a"), "a.py")) == "bc"
    assert names(shelf.lay([], "x.py")) == "abc"


def test_a_changed_text_moves_to_the_end() -> None:
    shelf = Shelf(100)
    shelf.lay(files("a", "b"), "x.py")
    laid = shelf.lay([ContextFile("a.py", "new")], "x.py")
    assert [file.text for file in laid] == ["b" * 10, "new"]
    shelf.forget("b.py")
    assert names(shelf.lay([], "x.py")) == "a"


def test_a_full_shelf_loses_what_was_used_longest_ago_at_once() -> None:
    shelf = Shelf(60)
    shelf.lay(files("a", "b", "c", "d"), "x.py")
    shelf.lay(files("b"), "x.py")
    assert names(shelf.lay(files("e", "f", "g"), "x.py")) == "efg"
    assert names(shelf.lay(files("h", size=61), "x.py")) == "efg"


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=4), max_size=12), st.integers(20, 70))
def test_what_is_asked_for_is_there_and_nothing_is_too_much(asked: list[list[str]], budget: int) -> None:
    shelf = Shelf(budget)
    for wanted in asked:
        laid = shelf.lay(files(*wanted), "x.py")
        assert sum(len(file.text) for file in laid) <= budget
        if len(set(wanted)) * 10 <= budget:
            assert set(wanted) <= set(names(laid))
