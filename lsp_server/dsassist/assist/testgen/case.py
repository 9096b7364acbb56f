"""A candidate test as the probe describes it, and as code."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Case", "bare_module", "double_quoted", "import_lines", "indented", "redirected", "wrapped"]

Origin = tuple[str, str]


@dataclass(slots=True)
class Case:
    """One call of the target and what is asserted about it."""

    setup: tuple[str, ...]
    act: str
    outcome: str
    facts: list[tuple[str, str, str]]
    imports: dict[str, Origin]
    source: str
    arcs: frozenset[tuple[int, int]]
    jumps: frozenset[int] = frozenset()
    kind: str = ""
    exception: str = ""
    match: str = ""
    purpose: bool = True
    arguments: tuple[tuple[str, str], ...] = ()
    mocks: int = 0
    stated: bool = False
    kills: frozenset[int] = frozenset()
    job: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, found: dict[str, Any]) -> Case:
        """From the probe's answer."""
        return cls(
            setup=tuple(found["setup"]),
            act=found["act"],
            outcome=found["outcome"],
            facts=[(fact[0], fact[1], fact[2]) for fact in found.get("facts", ())],
            imports={name: (origin[0], origin[1]) for name, origin in found["imports"].items()},
            source=found["source"],
            arcs=frozenset((arc[0], arc[1]) for arc in found["arcs"]),
            jumps=frozenset(found.get("jumps", ())),
            kind=found.get("kind", ""),
            exception=found.get("type", "") if found["outcome"] == "raise" else "",
            match=found.get("match", ""),
            purpose=bool(found.get("purpose", True)),
            arguments=tuple((item[0], item[1]) for item in found.get("arguments", ())),
            mocks=found.get("mocks", 0),
            job=found,
        )

    @property
    def cost(self) -> tuple[int, int, int]:
        """Smaller is easier to read: no stand-ins, ordinary values, short."""
        return (
            self.mocks,
            self.job.get("rank", 0) // 3,
            sum(map(len, (*self.setup, self.act))) + sum(len(fact[2]) for fact in self.facts) // 4,
        )

    @property
    def weak(self) -> bool:
        """Whether only the type of the result is asserted, because the value is another one in every run."""
        return bool(self.job.get("weak"))

    @property
    def stumbles(self) -> bool:
        """Whether the call raises what the target did not mean to raise, on values that nobody promised: what a test
        should not pin where there is another. A look-up that finds nothing is meant."""
        looks_up = re.search(
            r"\b(pop|popitem|remove|index|first|last|peek|get|next|find|one|nth)\(|\]$|^del ", self.act
        )
        return (
            self.outcome == "raise"
            and not self.purpose
            and "Error" in self.exception
            and (self.mocks > 0 or (self.exception in ("KeyError", "IndexError") and not looks_up))
        )

    @property
    def invariant(self) -> str:
        """The kind of property that it checks for many values, "" for one call."""
        return str(self.job.get("property", ""))

    @property
    def streams(self) -> list[tuple[str, str]]:
        """(function of contextlib, name of the text) for standard output and standard error, where asserted."""
        known = (("redirect_stdout", "output"), ("redirect_stderr", "errors"))
        return [item for item in known if any(fact[0].startswith(f"{item[1]}.") for fact in self.facts)]


def redirected(act: str, streams: list[tuple[str, str]], contextlib: str = "contextlib", io: str = "io") -> str:
    """``act`` inside a with statement that catches ``streams``."""
    if not streams:
        return act
    heads = ", ".join(f"{contextlib}.{function}({io}.StringIO()) as {name}" for function, name in streams)
    return f"with {heads}:\n{indented(act)}"


def indented(code: str, by: int = 4) -> str:
    """``code`` moved right, lines of multi-line strings too (none are generated)."""
    return "\n".join(" " * by + line if line.strip() else line for line in code.splitlines())


def wrapped(code: str, width: int = 100) -> str:
    """Lines of ``code`` that are too long, with what their longest brackets hold one a line."""
    return "\n".join(_wrapped(line, width) for line in code.splitlines())


def _wrapped(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    space = line[: len(line) - len(line.lstrip())]
    text = line.strip()
    try:
        tree = ast.parse(f"{text} pass" if text.endswith(":") else text.removesuffix(","))
    except SyntaxError:
        return line
    data = text.encode()
    found = [(node, spans) for node in _outermost(tree) if (spans := _spans(node, data))]
    if not found:
        return line
    node, spans = max(found, key=lambda item: (item[0].end_col_offset or 0) - item[0].col_offset)
    if (node.end_col_offset or 0) - node.col_offset < width // 3:
        return line  # what is long is a text beside it
    head, tail = data[: spans[0][0]].decode(), data[(node.end_col_offset or 0) - 1 :].decode()
    inner = [f"{space}    {data[first:last].decode()}," for first, last in spans]
    made = "\n".join([f"{space}{head.rstrip()}", *(_wrapped(item, width) for item in inner), space + tail])
    try:
        again = ast.parse(f"{made.strip()} pass" if text.endswith(":") else made.strip().removesuffix(","))
    except SyntaxError:
        return line
    return made if ast.dump(again) == ast.dump(tree) else line


_BRACKETS = ast.Call | ast.List | ast.Tuple | ast.Set | ast.Dict


def _outermost(tree: ast.AST) -> Iterator[_BRACKETS]:
    """Calls and displays that lie in no other that could be split."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, _BRACKETS):
            yield node
            if isinstance(node, ast.Call):
                yield from _outermost(node.func)
        elif not isinstance(node, ast.Lambda):
            yield from _outermost(node)


def _spans(node: Any, data: bytes) -> list[tuple[int, int]]:
    """(start, end) of what stands between the commas, in bytes; empty where it cannot be split."""
    if isinstance(node, ast.Call):
        parts: list[Any] = [*node.args, *node.keywords]
        if any(isinstance(item, ast.GeneratorExp) for item in parts):  # its place includes the call's own brackets
            return []
    elif isinstance(node, ast.Dict):
        if None in node.keys:
            return []
        pairs: Any = zip(node.keys, node.values, strict=True)
        return [(key.col_offset, value.end_col_offset) for key, value in pairs]
    elif isinstance(node, ast.Tuple) and data[node.col_offset : node.col_offset + 1] != b"(":
        return []
    else:
        parts = node.elts
    return [(item.col_offset, item.end_col_offset) for item in parts]


def double_quoted(code: str) -> str:
    """Plain single-quoted strings of ``code`` with double quotes, as every common formatter writes them; characters
    that cannot be seen are escaped."""
    edits: list[tuple[int, int, int, str]] = []
    lines = code.splitlines(keepends=True)
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.STRING and token.start[0] == token.end[0]:
                match = re.fullmatch(r"([rRbBuU]*)'((?:[^'\\\"]|\\[^'\"])*)'", token.string)
                plain = match and not token.string.endswith("'''")
                text = f'{match.group(1)}"{match.group(2)}"' if match and plain else token.string
                if not text.isascii() and text[0] not in "rR":
                    text = "".join(map(_visible, text))
                if text != token.string:
                    edits.append((token.start[0] - 1, token.start[1], token.end[1], text))
    except (tokenize.TokenError, SyntaxError, IndentationError):
        return code
    for row, start, end, text in reversed(edits):
        lines[row] = lines[row][:start] + text + lines[row][end:]
    return "".join(lines)


def _visible(character: str) -> str:
    if character.isascii() or unicodedata.category(character)[0] not in "MCZ":
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def import_lines(names: dict[str, Origin]) -> list[str]:
    """One statement a name: ``import a``, ``from a import b``, with ``as`` where the name differs."""
    lines = []
    for name, (module, attribute) in sorted(names.items(), key=lambda item: (item[1], item[0])):
        if attribute:
            lines.append(f"from {module} import {attribute}" + ("" if attribute == name else f" as {name}"))
        elif "." in module:
            package, _, last = module.rpartition(".")
            lines.append(f"from {package} import {last}" + ("" if last == name else f" as {name}"))
        else:
            lines.append(f"import {module}" + ("" if module == name else f" as {name}"))
    return lines


_APPROX = """
def _near(left, right):
    if isinstance(right, dict):
        return left.keys() == right.keys() and all(_near(left[key], right[key]) for key in right)
    if isinstance(right, (list, tuple)):
        return type(left) is type(right) and len(left) == len(right) and all(map(_near, left, right))
    return left == right or abs(left - right) <= max(1e-12, 1e-6 * abs(right))
"""


def _assertion(fact: tuple[str, str, str]) -> str:
    left, relation, right = fact
    return {
        "==": f"assert {left} == {right}",
        "is": f"assert {left} is {right}",
        "isinstance": f"assert isinstance({left}, {right})",
        "approx": f"assert _near({left}, {right})",
        "startswith": f"assert {left}.startswith({right})",
    }[relation]


def bare_module(cases: list[Case]) -> str:
    """A module with ``case_0`` … that needs no test library: what the mutants are run against."""
    names = {name: origin for case in cases for name, origin in case.imports.items()}
    parts = ["import contextlib as _contextlib, io as _io, re as _re", *import_lines(names), _APPROX]
    for number, case in enumerate(cases):
        body = list(case.setup)
        act = redirected(case.act, case.streams, "_contextlib", "_io")
        if case.outcome == "raise":
            check = f"assert _re.search({case.match}, str(error))" if case.match else "pass"
            body.append(
                f"try:\n{indented(act)}\nexcept {case.exception} as error:\n    {check}\n"
                "else:\n    raise AssertionError"
            )
        else:
            body += [act, *(_assertion(fact) for fact in case.facts if fact[1] != "holds")]
        parts.append(f"def case_{number}(tmp_path):\n" + indented("\n".join(body)))
    return "\n".join(parts) + "\n"
