"""Small changes of a value's code: other literals, words that the code under test knows, longer and shorter containers."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterable
from typing import Any

from _dsassist_probe.plain import Value

__all__ = ["Words", "varied", "with_attribute"]

_MOST_CHARACTERS = 260
_BITS = (
    " ",
    "\n",
    "-",
    "_",
    ".",
    ",",
    "/",
    ":",
    "=",
    "1",
    "0",
    "a",
    "A",
    "'",
    '"',
    "#",
    "*",
    "(",
    ")",
    "[",
    "]",
    "\t",
    "\\",
    "é",
)


class Words:
    """Literals that the target and its module are written with: what it compares with, splits by and looks up."""

    def __init__(self, near: ast.AST, module: ast.Module, extra: Iterable[str | int] = ()) -> None:
        self.texts: list[str] = []
        self.numbers: list[int | float] = []
        self.bytes: list[bytes] = []
        self._read(near, 400)
        for item in extra:
            if isinstance(item, str):
                self.texts += [item] if len(item) < 60 else []
            elif not isinstance(item, bool):
                self.numbers.append(item)
        if len(self.texts) < 40:
            for node in module.body:
                if isinstance(node, ast.Assign | ast.AnnAssign) and len(self.texts) < 60:
                    self._read(node, 12)
        self.texts = list(dict.fromkeys(self.texts))
        self.numbers = list(dict.fromkeys(self.numbers)) or [0, 1, 2]

    def _read(self, tree: ast.AST, most: int) -> None:
        documented = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and id(node) not in documented and most > 0:
                most -= 1
                value = node.value
                if isinstance(value, str) and 0 < len(value) < 60:
                    self.texts.append(value)
                    self.texts += [word for word in re.findall(r"\w+", value) if 1 < len(word) < len(value)][:4]
                elif isinstance(value, bytes) and len(value) < 60:
                    self.bytes.append(value)
                elif isinstance(value, int | float) and not isinstance(value, bool):
                    self.numbers.append(value)
            elif isinstance(node, ast.keyword) and node.arg and most > 0:
                self.texts.append(node.arg)


def varied(value: Value, words: Words, generator: random.Random) -> Value:
    """``value`` with one literal or container of its code or set-up changed; itself where nothing can be."""
    lines = [*value.setup, value.code, *value.after]
    places: list[tuple[int, int]] = []
    for number, line in enumerate(lines):
        try:
            tree = ast.parse(line)
        except SyntaxError:
            continue
        inside = {id(item) for node in ast.walk(tree) if isinstance(node, ast.Lambda) for item in ast.walk(node)}
        places += [
            (number, position)
            for position, node in enumerate(ast.walk(tree))
            if _changeable(node) and id(node) not in inside
        ]
    if not places:
        return value
    number, position = generator.choice(places)
    tree = ast.parse(lines[number])
    node = list(ast.walk(tree))[position]
    _change(node, words, generator)
    try:
        alone = isinstance(tree.body[0], ast.Expr)  # a lone text would be taken for a docstring, and tripled its quotes
        made = ast.unparse(ast.fix_missing_locations(tree.body[0].value if alone else tree))
    except (ValueError, TypeError, AttributeError):
        return value
    if len(made) > _MOST_CHARACTERS:
        return value
    lines[number] = made
    first = len(value.setup)
    return value._replace(code=lines[first], setup=tuple(lines[:first]), after=tuple(lines[first + 1 :]), loose=True)


def with_attribute(
    value: Value, attributes: list[str], words: Words, generator: random.Random, fresh: str = ""
) -> Value:
    """``value`` with one of ``attributes`` set to something plain, or to another object like it: ``fresh`` is code that
    makes one."""
    plain = [repr(_literal(words, generator).value), "True", "False", "None", "[]", "{}", "0", "1", '""']
    texts = [repr(generator.choice(words.texts)) if words.texts else "'a'" for _ in range(2)]
    boxes = [f"[{texts[0]}, {texts[1]}]", f"{{{texts[0]}: {texts[1]}}}", f"[{generator.choice(words.numbers)}, 1]"]
    others = [fresh, f"[{fresh}]"] * 4 if fresh else []  # what holds its like: nodes, layers, parents
    line = f"{generator.choice(attributes)} = {generator.choice([*plain, *texts, *boxes, *others])}"
    before = [item for item in value.after if item.partition(" = ")[0] != line.partition(" = ")[0]]
    return value._replace(after=(*before[-2:], line), loose=True)


def _changeable(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str | bytes | int | float) or node.value is None
    return isinstance(node, ast.List | ast.Dict | ast.Set) or (
        isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load)
    )


def _change(node: Any, words: Words, generator: random.Random) -> None:
    if isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, bool):
            node.value = not value
        elif isinstance(value, str):
            node.value = _text(value, words.texts, generator)
        elif isinstance(value, bytes):
            other = generator.choice([*words.bytes, b"a", b"\n", b"\x00"])
            node.value = generator.choice([value + other, other + value, other, value[: len(value) // 2], b""])
        elif value is None:
            node.value = generator.choice([None, 1, "a", *words.texts[:2]])
        elif isinstance(value, int | float):
            node.value = _number(value, words.numbers, generator)
    elif isinstance(node, ast.Dict):
        _change_dict(node, words, generator)
    else:
        _change_items(node.elts, words, generator)
        if isinstance(node, ast.Set) and not node.elts:
            node.elts.append(ast.Constant(1))


def _number(value: int | float, known: list[int | float], generator: random.Random) -> int | float:
    near = generator.choice(known)
    choices = [value + 1, value - 1, -value, value * 2, 0, near, near + 1, near - 1, generator.randint(-3, 12)]
    made = generator.choice([*choices, generator.randint(0, 300), value * 1000])
    return float(made) if isinstance(value, float) else made


def _text(value: str, known: list[str], generator: random.Random) -> str:
    word = generator.choice(known) if known and generator.random() < 0.75 else generator.choice(_BITS)
    at = generator.randint(0, len(value))
    tokens = [match.span() for match in re.finditer(r"\w+|[^\w\s]+|\s+", value)]
    start, end = generator.choice(tokens) if tokens else (0, 0)
    return generator.choice(
        [
            word,
            value + word,
            word + value,
            value[:at] + word + value[at:],
            value[:start] + word + value[end:],
            value[:start] + word + value[end:],
            value[:start] + value[end:],
            word + value + word,
            value.swapcase(),
            value + value,
            word + generator.choice(known or ["a"]),
        ]
    )


def _literal(words: Words, generator: random.Random) -> ast.Constant:
    return ast.Constant(
        generator.choice(
            [*generator.sample(words.texts, min(3, len(words.texts))), generator.choice(words.numbers), "a"]
        )
    )


def _change_items(items: list[ast.expr], words: Words, generator: random.Random) -> None:
    move = generator.random()
    if items and move < 0.3:
        del items[generator.randrange(len(items))]
    elif items and move < 0.6:
        items.insert(generator.randint(0, len(items)), generator.choice(items))
    elif items and move < 0.75:
        generator.shuffle(items)
    else:
        items.insert(generator.randint(0, len(items)), _literal(words, generator))


def _change_dict(node: ast.Dict, words: Words, generator: random.Random) -> None:
    move = generator.random()
    if node.keys and move < 0.25:
        position = generator.randrange(len(node.keys))
        del node.keys[position], node.values[position]
    elif node.keys and move < 0.45:
        node.keys[generator.randrange(len(node.keys))] = _literal(words, generator)
    else:
        known = [value for value in node.values if isinstance(value, ast.Constant)]
        node.keys.append(ast.Constant(generator.choice(words.texts or ["a"])))
        node.values.append(generator.choice(known) if known and move < 0.6 else _literal(words, generator))
