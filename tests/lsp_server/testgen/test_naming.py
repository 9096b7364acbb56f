"""Names of tests: what sets a case apart from the others, in words."""

from __future__ import annotations

import ast

import pytest

from dsassist.assist.testgen.case import Case
from dsassist.assist.testgen.naming import test_name as name_of
from dsassist.assist.testgen.situation import situations, words_of


@pytest.mark.parametrize(
    ("condition", "holds", "words"),
    [
        ("total < 0", True, "when_total_is_negative"),
        ("total < 0", False, "when_total_is_not_negative"),
        ("not text", True, "without_text"),
        ("self.is_open", False, "when_not_is_open"),
        ('code == "HALF"', True, "when_code_is_half"),
        ("n is None", False, "when_n_is_not_none"),
        ("len(items) > 3", True, "when_len_of_items_is_above_3"),
        ("isinstance(value, (list, tuple))", True, "when_value_is_list_or_tuple"),
        ('mode not in ("a", "b", "c")', True, "when_mode_is_unknown"),
        ('text.startswith("#")', True, "when_text_starts_with_hash"),
        ("a and b", True, "with_a_and_b"),
        ("a or b", True, ""),
        ("x + y == z * 3", True, ""),
    ],
)
def test_conditions_in_words(condition: str, holds: bool, words: str) -> None:
    assert words_of(ast.parse(condition, mode="eval").body, holds) == words


def case(arcs: list[tuple[int, int]], *arguments: tuple[str, str], outcome: str = "return", **more: str) -> Case:
    facts = [("result", "==", "1")] if outcome == "return" else []
    return Case((), "result = f()", outcome, facts, {}, "inputs", frozenset(arcs), arguments=arguments, **more)  # type: ignore[arg-type]


def test_a_case_is_named_after_the_branch_that_only_it_takes() -> None:
    source = (
        "def f(total, code):\n    if total < 0:\n        raise ValueError('no')\n    if code == 'HALF':\n"
        "        return total / 2\n    return total\n"
    )
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef)
    negative = case([(-1, 2), (2, 3)], outcome="raise", exception="ValueError")
    half = case([(-1, 2), (2, 4), (4, 5)])
    plain = case([(-1, 2), (2, 4), (4, 6)])
    told = situations(node, [negative, half, plain])
    assert told == ["when_total_is_negative", "when_code_is_half", "when_code_is_not_half"]
    taken: set[str] = set()
    names = [name_of("f", [one], taken, phrase) for one, phrase in zip([negative, half, plain], told, strict=True)]
    assert names == [
        "test_f_raises_value_error_when_total_is_negative",
        "test_f_when_code_is_half",
        "test_f_when_code_is_not_half",
    ]


def test_a_condition_that_went_both_ways_names_nothing() -> None:
    source = "def f(text, upper):\n    if upper:\n        return text\n    return f(text, True)\n"
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef)
    assert situations(node, [case([(-1, 2), (2, 4), (4, -1), (-1, 2), (2, 3)])]) == [""]
    assert situations(node, [case([(-1, 2), (2, 3)])]) == ["with_upper"]


def test_without_a_branch_the_arguments_tell() -> None:
    taken: set[str] = set()
    found = [
        name_of("Shop.price_of", [case([], ("", '"Tea Pot"'), ("", "0"))], taken, "", ["item", "count"]),
        name_of("Shop.price_of", [case([], ("", '""'), ("", "None"))], taken, "", ["item", "count"]),
        name_of("Shop.price_of", [case([], ("", "item"))], taken, "", ["item", "count"]),
        name_of("Shop.price_of", [case([], ("", "item"))], taken, "", ["item", "count"]),
    ]
    assert found == [
        "test_shop_price_of_for_item_tea_pot_and_count_zero",
        "test_shop_price_of_for_empty_item_and_count_none",
        "test_shop_price_of_returns",
        "test_shop_price_of_returns_2",
    ]
