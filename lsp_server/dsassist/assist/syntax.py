"""What the syntax tree around a cursor says: what the cursor is in, and whether a suggestion leaves the code as whole
as it was.

A window around the cursor is parsed. One that begins in the middle of a file may hold errors of its own, and so may
code that is being written; only errors that the suggestion adds count.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal

from tree_sitter import Node, Parser, Tree

from dsassist.assist.site import SUFFIX_WINDOW, Site, indent_of
from dsassist.index.languages import language_of
from dsassist.index.languages.base import count_errors

__all__ = ["Surroundings", "breaks_syntax", "completed", "open_brackets", "open_quote", "surroundings"]

WINDOW = 6_000
"""Code points of each side that are parsed: a few milliseconds."""
MOST_ERRORS = 20
"""A window with so many errors is in a language or a state that the parser says nothing useful about."""
MOST_BRACKETS = 6
"""A suggestion that leaves more open is not completed."""

_NEEDS_MORE = ("@", "#[", "try", "template", "do ", "do{", "switch", "match ")
"""Beginnings of lines that are not whole by themselves, whatever closes them."""
_HEADERS = re.compile(
    r"\s*(?:async\s+)?(?:def|class|if|elif|else|for|while|with|except|finally|case|function|func|fn|impl|struct|enum|trait|"
    r"interface|namespace|catch|export|public|private|protected|static)\b"
)
"""Beginnings of lines that have a body."""
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_QUOTES = "\"'`"
_BEFORE_STRING = frozenset(" \t([{,=:+!?frbuFRBU")
"""An apostrophe behind one of these begins a string."""
_LONG_QUOTE = '"""'


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a cursor is in."""

    kind: Literal["code", "comment", "docstring", "string"] = "code"
    empty_function: bool = False
    """In a function that has no statement yet."""
    errors: int = 0
    """In the window as it is."""
    errors_without_line: int = 0
    """In the window without the cursor's line."""


_UNKNOWN = Surroundings()


@functools.lru_cache(maxsize=8)
def surroundings(site: Site) -> Surroundings:
    """What the cursor of ``site`` is in; code of which nothing is known where its language has no parser."""
    language = language_of(site.path)
    if language is None or len(site.line_before) + len(site.line_after) > WINDOW:
        return _UNKNOWN
    parser = language.parser(site.path)
    before, after = _window(site)
    tree = _parsed(parser, before + after)
    errors = count_errors(tree.root_node, MOST_ERRORS)
    without = errors
    if errors and not site.on_blank_line:
        above = before[: len(before) - len(site.line_before)]
        without = count_errors(_parsed(parser, above + after[len(site.line_after) :]).root_node, MOST_ERRORS)
    kind, empty = _place(tree, len(before.encode("utf-8", "replace")))
    if language.name == "python" and site.on_blank_line and not empty:
        empty = _only_header(tree, len(before.rstrip().encode("utf-8", "replace")), site)
    if kind == "code" and language.name == "python" and before.count('"""') % 2 and errors:
        kind = "docstring"  # being written: the parser takes the rest of the file for it
    return Surroundings(kind, empty and kind == "code", errors, min(errors, without))


def _place(tree: Tree, cursor: int) -> tuple[Literal["code", "comment", "docstring", "string"], bool]:
    node: Node | None = tree.root_node.descendant_for_byte_range(max(cursor - 1, 0), cursor)
    kind: Literal["code", "comment", "docstring", "string"] = "code"
    while node is not None:
        inside = node.start_byte < cursor < node.end_byte
        name = node.type
        if "comment" in name and (inside or (cursor == node.end_byte and not name.startswith("block"))):
            kind = "comment"
        elif name in ("string", "template_string") or "string_literal" in name:
            if inside and kind == "code":
                statement = name == "string" and node.parent is not None and node.parent.type == "expression_statement"
                kind = "docstring" if statement else "string"
        elif "function" in name or "method" in name or name == "constructor_declaration":
            body = node.child_by_field_name("body")
            if body is not None and "declarator" not in name:
                return kind, cursor >= body.start_byte and not any(
                    child.is_named and "comment" not in child.type for child in body.children
                )
        node = node.parent
    return kind, False


def _only_header(tree: Tree, end: int, site: Site) -> bool:
    """Whether the last text above is a function's header, or the documentation below it, and the cursor is inside."""
    node: Node | None = tree.root_node.descendant_for_byte_range(max(end - 1, 0), end)
    while node is not None and node.type != "function_definition":
        if node.type in ("block", "class_definition") and any(
            child.type != "expression_statement" for child in node.children
        ):
            return False
        node = node.parent
    if node is None or len(site.line_before.expandtabs(4)) <= node.start_point.column:
        return False
    body = node.child_by_field_name("body")
    said = [child for child in body.named_children if child.type != "comment"] if body is not None else []
    return not said or (len(said) == 1 and said[0].end_byte <= end and said[0].named_child(0).type == "string")


def breaks_syntax(site: Site, text: str, *, whole: bool = True) -> bool:
    """Whether inserting ``text`` at ``site`` adds syntax errors that going on cannot mend. False for a language without
    a parser, and for a text that was cut where the model had more to say (not ``whole``)."""
    language = language_of(site.path)
    if language is None or not whole or len(site.line_before) + len(site.line_after) > WINDOW:
        return False
    last = (site.line_before + text).rpartition("\n")[2].strip()
    if text.rstrip().endswith("\\") or last.startswith(_NEEDS_MORE):
        return False
    around = surroundings(site)
    if around.kind == "docstring" and _LONG_QUOTE not in text:
        return False  # prose, in documentation that may not be closed yet
    # where the line goes on behind the cursor, it is not the suggestion that has to make it whole
    base = around.errors if site.line_after.strip() else around.errors_without_line
    if base >= MOST_ERRORS:
        return False
    parser = language.parser(site.path)
    before, after = _window(site)

    def errors(inserted: str) -> int:
        return count_errors(_parsed(parser, before + inserted + after).root_node, MOST_ERRORS)

    if errors(text) <= base:
        return False
    if any(errors(text + ending) <= base for ending in _endings(site, text, language.name)):
        return False
    quote = open_quote(site.line_before + text + site.line_after)
    if not quote or quote != open_quote(site.line_before):
        return True
    # a string that was begun before the cursor ends with the line, behind what stands there
    line = text + site.line_after + quote
    return count_errors(_parsed(parser, before + line + after[len(site.line_after) :]).root_node, MOST_ERRORS) > base


def _endings(site: Site, text: str, language: str) -> list[str]:
    """What may make a beginning whole: an operand, closed brackets that nothing behind the cursor closes, the end of a
    statement or of one item of many, and a body for what announces one."""
    code = site.line_before + text
    opened = open_brackets(code)
    if len(opened) > MOST_BRACKETS:
        return []
    closers = "".join(_PAIRS[bracket] for bracket in reversed(opened))
    behind = sum(character in _PAIRS.values() for character in site.line_after)
    closed = {closers, closers[: max(len(closers) - behind, 0)]}
    last = code.rpartition("\n")[2]
    if language == "python":
        bodies = [""]
        if _HEADERS.match(last):
            body = "\n" + indent_of(last) + "    pass"
            bodies = [body] if last.rstrip().endswith(":") else ["", ":" + body]
        elif last.lstrip().startswith("from "):
            bodies = [" import x"]
    else:
        bodies = ["", *([] if language == "typescript" else [";"]), *([" {}"] if _HEADERS.match(last) else [])]
    endings = [operand + close + body for body in bodies for close in sorted(closed) for operand in ("", " x")]
    if not code.rstrip().endswith(",") or closers:
        # one of several, in brackets that were opened above
        endings += [operand + close + "," for close in sorted(closed) for operand in ("", " x")]
    return [ending for ending in endings if ending]


def completed(site: Site, text: str) -> str:
    """``text`` with the blocks closed that it opened and did not close, as far as nothing below the cursor closes them.

    A bracket that was left open in the middle of a line cannot be completed: the text is given back as it is.
    """
    opened = open_brackets(text)
    if "\n" not in text or not opened or set(opened) != {"{"} or len(opened) > MOST_BRACKETS:
        return text
    if site.line_after.strip() or any(line.strip() in ("}", "};", "})") for line in site.lines_below[:1]):
        return text
    lines = (site.line_before + text).split("\n")
    indents = [indent_of(line) for line in lines if line.rstrip().endswith("{")]
    if len(indents) < len(opened):
        return text
    whole = text.rstrip() + "".join("\n" + indent + "}" for indent in reversed(indents[-len(opened) :]))
    # only where that is what was missing: a brace may stand in a text or a pattern
    return text if breaks_syntax(site, whole) else whole


def open_brackets(text: str) -> list[str]:
    """Brackets that ``text`` opens and does not close, the innermost last. Those in strings do not count."""
    stack: list[str] = []
    quote = ""
    for place, character in enumerate(text):
        if quote:
            if (character == "\n" and quote != "`") or (character == quote and text[place - 1 : place] != "\\"):
                quote = ""
        elif character in _QUOTES:
            quote = character
        elif character in _PAIRS:
            stack.append(character)
        elif stack and character == _PAIRS[stack[-1]]:
            stack.pop()
    return stack


def _begins_inside(site: Site) -> bool:
    """Whether the text that is known of a Python file begins in a long string."""
    if site.position <= len(site.prefix) or _LONG_QUOTE not in site.prefix[:WINDOW]:
        return False
    return _looks_inside(site.prefix[:WINDOW], site.path)


@functools.lru_cache(maxsize=8)
def _looks_inside(head: str, path: str) -> bool:
    """Whether what stands between long quotes reads as code, and what is left as text."""
    language = language_of(path)
    if language is None:
        return False
    parts, parser = head.split(_LONG_QUOTE), language.parser(path)
    outside, inside = (count_errors(_parsed(parser, '""'.join(parts[turn::2])).root_node) for turn in (0, 1))
    return inside < outside


def open_quote(before: str) -> str:
    """The quote of the string that a line's beginning ends in, empty if none, as in documentation, whose brackets are
    the editor's. An apostrophe behind a letter begins none, and neither does that of a lifetime."""
    if _LONG_QUOTE in before:
        return ""
    quote = ""
    for index, character in enumerate(before):
        if quote:
            if character == quote and before[index - 1] != "\\":
                quote = ""
        elif character in '"`' or (character == "'" and before[:index][-1:] in _BEFORE_STRING):
            quote = character
    return quote


def _parsed(parser: Parser, text: str) -> Tree:
    return parser.parse(text.encode("utf-8", "replace"))


def _window(site: Site) -> tuple[str, str]:
    """Whole lines: from a line that is not indented, so that no statement is entered in its middle, and from outside to
    outside of Python's long strings."""
    before, after = site.prefix, site.suffix
    python = site.path.endswith((".py", ".pyi"))
    if len(before) > WINDOW:
        start = len(before) - WINDOW
        inside = python and (before.count(_LONG_QUOTE, 0, start) + _begins_inside(site)) % 2 == 1
        if inside and (end := before.find(_LONG_QUOTE, start)) >= 0:
            start = end + len(_LONG_QUOTE)
        while True:
            line = before.find("\n", start) + 1
            if not line:
                # one class as long as all that is known: from where that is code
                before = (
                    before[before.find(_LONG_QUOTE) + len(_LONG_QUOTE) :] if python and _begins_inside(site) else before
                )
                break
            if before[line : line + 1].strip() and before[line] not in ")]}":
                before = before[line:]
                break
            start = line
    if len(after) > WINDOW:
        after = after[: after.rfind("\n", 0, WINDOW) + 1]
    cut = len(after) >= SUFFIX_WINDOW // 2
    if python and cut and (before.count(_LONG_QUOTE) + after.count(_LONG_QUOTE)) % 2:
        after = after[: after.rfind("\n", 0, max(after.rfind(_LONG_QUOTE), 0)) + 1]
    return before, after
