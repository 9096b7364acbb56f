"""A text that a regular expression matches, from the standard library's own parse of it."""

from __future__ import annotations

import re
import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    try:
        from re import _constants as constants  # type: ignore[attr-defined,unused-ignore]
        from re import _parser as parser  # type: ignore[attr-defined,unused-ignore]
    except ImportError:  # Python 3.10
        import sre_constants as constants  # type: ignore[no-redef,unused-ignore]
        import sre_parse as parser  # type: ignore[no-redef,unused-ignore]

__all__ = ["matching"]


def matching(pattern: str, flags: int = 0) -> list[str]:
    """Up to two texts that match ``pattern``: the shortest plain one and one with every optional part."""
    texts = []
    for optional in (False, True):
        try:
            text = _text(parser.parse(pattern, flags), optional, {})
            if re.search(pattern, text, flags) and text not in texts:
                texts.append(text)
        except (re.error, RecursionError, KeyError, ValueError, OverflowError):
            continue
    return texts


def _text(parsed: Any, optional: bool, groups: dict[int, str]) -> str:
    return "".join(_one(operator, argument, optional, groups) for operator, argument in parsed)


def _one(operator: Any, argument: Any, optional: bool, groups: dict[int, str]) -> str:
    if operator is constants.LITERAL:
        return chr(argument)
    if operator is constants.NOT_LITERAL:
        return "a" if argument != ord("a") else "b"
    if operator is constants.ANY:
        return "a"
    if operator is constants.IN:
        return _member(argument)
    if operator is constants.BRANCH:
        return _text(argument[1][-1 if optional else 0], optional, groups)
    if operator is constants.SUBPATTERN:
        text = _text(argument[-1], optional, groups)
        if argument[0] is not None:
            groups[argument[0]] = text
        return text
    if operator in (constants.MAX_REPEAT, constants.MIN_REPEAT, getattr(constants, "POSSESSIVE_REPEAT", None)):
        low, high, inner = argument
        count = max(low, 1) if optional and high else low
        return "".join(_text(inner, optional, groups) for _ in range(min(count, 50)))
    if operator is constants.GROUPREF:
        return groups[argument]
    if operator is constants.CATEGORY:
        return _category(argument)
    if operator is getattr(constants, "ATOMIC_GROUP", None):
        return _text(argument, optional, groups)
    return ""  # anchors and look-around


def _category(category: Any) -> str:
    return {
        constants.CATEGORY_DIGIT: "1",
        constants.CATEGORY_SPACE: " ",
        constants.CATEGORY_WORD: "a",
        constants.CATEGORY_NOT_DIGIT: "a",
        constants.CATEGORY_NOT_SPACE: "a",
        constants.CATEGORY_NOT_WORD: " ",
    }[category]


def _member(items: Any) -> str:
    if items[0][0] is constants.NEGATE:
        for letter in "ab1 -_.,:":
            try:
                if re.fullmatch("[^" + "".join(_as_class(item) for item in items[1:]) + "]", letter):
                    return letter
            except (re.error, KeyError):
                return "a"
        return "z"
    operator, argument = items[0]
    if operator is constants.RANGE:
        return chr(argument[0])
    return chr(argument) if operator is constants.LITERAL else _category(argument)


def _as_class(item: Any) -> str:
    operator, argument = item
    if operator is constants.LITERAL:
        return re.escape(chr(argument))
    if operator is constants.RANGE:
        return f"{re.escape(chr(argument[0]))}-{re.escape(chr(argument[1]))}"
    return {
        constants.CATEGORY_DIGIT: r"\d",
        constants.CATEGORY_SPACE: r"\s",
        constants.CATEGORY_WORD: r"\w",
        constants.CATEGORY_NOT_DIGIT: r"\D",
        constants.CATEGORY_NOT_SPACE: r"\S",
        constants.CATEGORY_NOT_WORD: r"\W",
    }[argument]
