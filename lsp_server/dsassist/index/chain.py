"""The expression that ends at a cursor, read from the text alone.

What is being written seldom parses, so what stands before the cursor is read backwards here: the receiver of a member
(``await self.store(x).items[0].``) as a chain of steps, and the calls whose brackets are still open. Works for every
language in which members follow a dot, ``->``, ``::`` or ``?.``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = [
    "Chain",
    "OpenCall",
    "columns",
    "inside_text",
    "lines_around",
    "narrowed",
    "open_calls",
    "read_chain",
    "receiver_before",
]

_WORD = re.compile(r"[^\W\d]\w*\Z")
_PARTIAL = re.compile(r"\w*\Z")
_SEPARATOR = re.compile(r"(?:\?\.|!\.|\.|->|::)[ \t]*\Z")
_OPEN = {")": "(", "]": "[", "}": "{"}
_FARTHEST = 4_000
"""Characters before the cursor that are looked at."""
_NOT_CALLED = frozenset(
    {
        "if", "elif", "while", "for", "return", "and", "or", "not", "in", "is", "await", "yield", "with",
        "lambda", "assert", "del", "raise", "except", "match", "case", "switch", "catch", "new", "else", "typeof",
        "void", "throw", "import", "from",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chain:
    """``base`` is a name, and each step (kind, text) follows it: ``attribute`` with a name, ``call`` and ``subscript``
    with what stands in the brackets."""

    base: str
    steps: tuple[tuple[str, str], ...] = ()
    text: str = ""
    """As written, on one line."""


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call whose bracket is open at the cursor, the innermost first."""

    callee: Chain
    position: int
    """Which argument is being written, from 0, keyword arguments counted."""
    keyword: str
    """Its name where it is given by name."""
    begun: str = ""
    """What of it stands before the cursor."""
    given: tuple[str, ...] = ()
    """The names of those before it that are given by name."""
    spread: bool = False
    """Whether one before it stands for several (``*items``)."""


def receiver_before(before: str) -> tuple[Chain | None, str]:
    """The receiver whose member is written at the end of ``before``, and what of the member's name is there already.

    None where no member is being written, or the receiver is no chain of names, calls and subscripts.
    """
    before = before[-_FARTHEST:]
    partial = _PARTIAL.search(before)
    word = partial[0] if partial else ""
    head = before[: len(before) - len(word)]
    dot = _SEPARATOR.search(head)
    if dot is None or word[:1].isdigit():
        return None, word
    return _chain(head[: dot.start()]), word


def _chain(text: str) -> Chain | None:
    """The chain that ``text`` ends with."""
    whole = text.rstrip()
    steps: list[tuple[str, str]] = []
    text = whole
    while True:
        text = text.rstrip()
        last = text[-1:]
        if last in (")", "]"):
            start = _opening(text)
            if start < 0:
                return None
            inner, text = text[start + 1 : -1], text[:start].rstrip()
            word = _WORD.search(text)
            if (word is None or word[0] in _NOT_CALLED) and text[-1:] not in (")", "]"):
                # brackets around an expression: what is in them is what counts
                if last == "]":
                    return None
                held = _chain(re.sub(r"^\s*(?:await|yield)\b", "", inner))
                if held is None or len(held.text) < len(re.sub(r"^\s*(?:await|yield)\s+|\s", "", inner)):
                    return None
                return Chain(held.base, (*held.steps, *reversed(steps)), _flat(whole[start:]))
            steps.append(("call" if last == ")" else "subscript", inner))
            continue
        word = _WORD.search(text)
        if word is None:
            return None
        name, text = word[0], text[: word.start()]
        # on the name's own line: the full stop of a comment above is no separator
        dot = _SEPARATOR.search(text.rstrip(" \t"))
        if dot is None:
            if name in _NOT_CALLED:
                return None
            return Chain(name, tuple(reversed(steps)), _flat(whole[word.start() :]))
        steps.append(("attribute", name))
        text = text[: dot.start()]


def read_chain(text: str) -> Chain | None:
    """``text`` as a chain, None where it is none."""
    found = _chain(text)
    return found if found is not None and found.text == _flat(text) else None


def columns(line: str) -> int:
    """How far a line is indented, a tab being four."""
    wide = line.expandtabs(4)
    return len(wide) - len(wide.lstrip())


def lines_around(before: str) -> Iterator[int]:
    """How far above the end of ``before`` its lines are, 0 for the last, of those that are in a block with it or around
    it."""
    *lines, here = _last_lines(before)
    indent = columns(here)
    yield 0
    for back, line in enumerate(reversed(lines), 1):
        if line.strip() and columns(line) <= indent:
            indent = columns(line)
            yield back


def _last_lines(before: str) -> list[str]:
    """The line that ``before`` ends in and those above it, as many as are looked at: most of a long file is not."""
    return before.rsplit("\n", _MOST_LINES + 1)[-_MOST_LINES - 1 :]


def narrowed(before: str, name: str) -> tuple[str, ...]:
    """The classes that ``name`` was found to be one of where ``before`` ends, as written: by the conditions around the
    cursor (``if isinstance(name, A):``, ``name instanceof A``), and by those that were left where it is none of them
    (``if not isinstance(name, A): return``). Blocks are told by their indentation."""
    bare = re.escape(name)
    test = re.compile(
        rf"(?P<no>not\s+|!\s*\(\s*)?(?:(?<![\w.])isinstance\(\s*{bare}\s*,\s*(?P<py>\([^()]*\)|[\w.| ]+)\)"
        rf"|(?<![\w.]){bare}\s+instanceof\s+(?P<js>[\w.]+))"
    )
    bound = re.compile(rf"^\s*(?:for\s+)?(?:const\s+|let\s+|var\s+)?{bare}\s*(?::[^=]+)?=(?!=)|\b(?:for|as)\s+{bare}\b")
    *lines, here = _last_lines(before)
    for found in test.finditer(here):
        if not found["no"] and re.search(r"\band\b|&&", here[found.end() :]) and not _OR.search(here[found.end() :]):
            return _classes(found)
    indent, inner = columns(here), ""
    for line in reversed(lines):
        text = line.strip()
        if not text:
            continue
        if bound.search(line):
            return ()
        column = columns(line)
        checked = test.search(text) if column <= indent and _CONDITION.match(text) else None
        if checked is not None and not _OR.search(text):
            leaves = column == indent and _LEAVES.match(inner) is not None
            if (column < indent and not checked["no"]) or (leaves and checked["no"] and not _AND.search(text)):
                return _classes(checked)
        if column < indent and _DEFINITION.match(text):
            return ()
        indent = min(indent, column)
        # of a block beside the cursor's, the last line
        inner = (inner or text) if column > indent else ""
    return ()


def _classes(found: re.Match[str]) -> tuple[str, ...]:
    written = found["js"] or found["py"].strip("() ")
    return tuple(filter(None, map(str.strip, re.split(r"[,|]", written))))


_MOST_LINES = 200
_CONDITION = re.compile(r"(?:if|elif|while|\}?\s*else\s+if)\b")
_LEAVES = re.compile(r"(?:return|raise|throw|continue|break)\b")
_DEFINITION = re.compile(r"(?:async\s+)?(?:def|class|function)\b")
_OR = re.compile(r"\bor\b|\|\|")
_AND = re.compile(r"\band\b|&&")


def _opening(text: str) -> int:
    """Where the bracket was opened that ``text`` ends with, -1 where it was not."""
    stack: list[str] = []
    at = len(text) - 1
    while at >= 0:
        letter = text[at]
        if letter in _OPEN:
            stack.append(_OPEN[letter])
        elif letter in "([{":
            if not stack or stack.pop() != letter:
                return -1
            if not stack:
                return at
        elif letter in "\"'`":
            at = text.rfind(letter, 0, at)
            if at < 0:
                return -1
        at -= 1
    return -1


def open_calls(before: str, most: int = 3) -> tuple[OpenCall, ...]:
    """Calls that are open at the end of ``before``, the innermost first."""
    text = before[-_FARTHEST:]
    found: list[OpenCall] = []
    depth, end = 0, len(text)
    arguments: list[str] = []  # of the bracket that is looked for, the last first
    at = len(text) - 1
    while at >= 0 and len(found) < most:
        letter = text[at]
        if letter in ")]}":
            depth += 1
        elif letter in "([{":
            if depth:
                depth -= 1
            else:
                callee = _chain(text[:at]) if letter == "(" and _WORD.search(text[:at].rstrip()[-80:]) else None
                if callee is not None and not _defines(text[:at]):
                    begun, *earlier = *arguments, text[at + 1 : end]
                    given = tuple(filter(None, map(_keyword, reversed(earlier))))
                    spread = any(argument.lstrip().startswith("*") for argument in earlier)
                    found.append(OpenCall(callee, len(earlier), _keyword(begun), begun, given, spread))
                arguments, end = [], at
        elif letter == "," and not depth:
            arguments.append(text[at + 1 : end])
            end = at
        elif letter in "\"'`":
            at = text.rfind(letter, 0, at)
            if at < 0:
                break
        elif letter == "\n" and not depth and not arguments and _starts_statement(text[at + 1 :]):
            break
        at -= 1
    return tuple(found)


def inside_text(above: str, here: str, language: str) -> bool:
    """Does a line that has ``here`` before the cursor, with ``above`` before it in the file, stand inside a comment or
    a string there? What is put into a string (``f"{x}"``, ``${x}``) is code."""
    python = language == "python"
    if not python:
        if above.rfind("/*") > above.rfind("*/"):
            return True
        quotes = "\"'`" if language in ("javascript", "typescript", "tsx") else '"'
        return _ends_inside(here, quotes, "", "//")
    opened = ""
    for match in _TRIPLE.finditer(above):
        if not opened:
            opened = match[0]
        elif opened == match[0]:
            opened = ""
    return _ends_inside(here, "\"'", opened, "#")


_TRIPLE = re.compile(r"\"\"\"|'''")
_FORMATTED = re.compile(r"(?:\b[rR]?[fFtT][rR]?|\$)\Z")


def _ends_inside(line: str, quotes: str, quote: str, comment: str) -> bool:
    at, depth, formatted = 0, 0, bool(quote)
    while at < len(line):
        letter = line[at]
        if depth:
            depth += (letter == "{") - (letter == "}")
        elif quote:
            if letter == "\\":
                at += 1
            elif line.startswith(quote, at):
                at += len(quote) - 1
                quote = ""
            elif letter == "{" and formatted and (quote != "`" or line[at - 1] == "$"):
                depth = 1
        elif letter in quotes:
            triple = comment == "#" and line.startswith(letter * 3, at)
            quote = letter * 3 if triple else letter
            formatted = letter == "`" or _FORMATTED.search(line[:at]) is not None
            at += len(quote) - 1
        elif line.startswith(comment, at):
            return True
        at += 1
    return bool(quote) and not depth


_KEYWORD = re.compile(r"\s*([^\W\d]\w*)\s*[=:](?!=)")
_DEFINES = re.compile(r"\b(?:def|class|function|func|fn)\s+[\w.]+\Z")
_STATEMENT = re.compile(
    r"(?:def|class|if|for|while|return|with|try|except|import|from|raise|async def|elif|else|@\w|function|const|let|"
    r"var|func|fn|pub|static|[\w.\[\]]+\s*(?::\s*[\w.\[\], |]+)?\s=\s)\b"
)


def _keyword(argument: str) -> str:
    found = _KEYWORD.match(argument)
    return found[1] if found else ""


def _defines(head: str) -> bool:
    return _DEFINES.search(head.rstrip()[-120:]) is not None


def _starts_statement(text: str) -> bool:
    """Does a line begin with what no argument begins with? Then nothing before it is open."""
    return _STATEMENT.match(text.lstrip(" \t")) is not None and not text.lstrip(" \t").startswith(("for ", "if "))


def _flat(text: str) -> str:
    return " ".join(text.split())
