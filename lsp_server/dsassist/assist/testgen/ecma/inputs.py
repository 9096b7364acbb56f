"""Arguments for a parameter: by its type, its default, its name, and the literals in the function."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

from dsassist.assist.testgen.ecma.source import EcmaTarget, Parameter, examples, literals, shapes

__all__ = ["calls"]

_BY_TYPE: dict[str, tuple[str, ...]] = {
    "string": ('"hello"', '""', '"Hello World"', '"a,b"', '"  x  "', '"123"', '"foo_bar"', '"a b c"', '"https://example.com/a?x=1"', '"é"'),
    "number": ("3", "0", "1", "-1", "1.5", "10", "100", "NaN", "Infinity"),
    "boolean": ("true", "false"),
    "bigint": ("3n", "0n"),
    "null": ("null",),
    "undefined": ("undefined",),
    "object": ("{ a: 1 }", "{}", '{ a: { b: "x" } }', "null"),
    "Date": ("new Date(2024, 0, 15, 10, 30)", "new Date(2023, 11, 31)", "new Date(NaN)", 'new Date("2024-01-15T10:30:00Z")', "new Date(2024, 1, 29, 23, 59, 59, 999)"),
    "RegExp": ("/a+/", "/(\\d+)/g"),
    "Map": ('new Map([["a", 1]])', "new Map()"),
    "Set": ("new Set([1, 2])", "new Set()"),
    "function": ("(value) => value", "() => undefined", "(value) => Boolean(value)"),
    "array": ("[1, 2, 3]", "[]", '["a", "b", "a"]', "[3, 1, 2]", "[[1, 2], [3]]"),
    "any": ('"hello"', "3", "[1, 2]", "{ a: 1 }", "null", "undefined", "true", '""', "0", "[]"),
}  # fmt: skip
_BY_NAME = (
    (r"^(is|has|should|allow|use|enable|strict|verbose|force|reverse)[A-Z_]?", "boolean"),
    (r"^(n|i|j|k|x|y|count|num|size|length|width|height|depth|level|index|limit|max|min|start|end|step|total|price|amount|seconds|ms)$", "number"),
    (r"(count|size|length|index|limit|width|height|max|min)$", "number"),
    (r"(fn|func|callback|cb|predicate|iteratee|comparator|handler|mapper|reducer)$", "function"),
    (r"(array|arr|list|items|values|elements|numbers|words|rows|nodes|parts|keys|ids|lines)$", "array"),
    (r"(date|time|timestamp)$", "Date"),
    (r"(obj|object|options|opts|config|settings|props|params|record|map|attrs|headers)$", "object"),
    (r"(str|string|text|name|word|label|message|prefix|suffix|separator|delimiter|url|path|key|title|slug|code|input|source|char|token)$", "string"),
)  # fmt: skip


_OPTIONS = re.compile(r"^(options|opts|config|settings|context|thisArg|guard|flags|loose)$")
"""What JavaScript calls leave out, whatever the signature says."""

_WORDS = {
    "email": '"user@example.com"', "mail": '"user@example.com"', "url": '"https://example.com/a?x=1"', "uri": '"https://example.com/a?x=1"',
    "ip": '"10.0.0.1"', "uuid": '"12345678-1234-4678-9234-567812345678"', "date": '"2024-01-15"', "iso": '"2024-01-15T10:30:00Z"',
    "time": '"10:30"', "version": '"1.2.3"', "semver": '"1.2.3"', "color": '"#ff8800"', "hex": '"ff8800"', "json": '"{\\"a\\": 1}"',
    "phone": '"+15550100123"', "html": '"<p class=\'a\'>x &amp; y</p>"', "path": '"/a/b.txt"', "query": '"a=1&b=2"', "mime": '"text/html"',
    "base": '"aGVsbG8="', "locale": '"en-US"', "camel": '"fooBar"', "kebab": '"foo-bar"', "snake": '"foo_bar"', "range": '">=1.2.3 <2.0.0"',
}  # fmt: skip
"""Texts that a word in the name of a function or a parameter calls for."""

_BY_USE = (
    (r"(?<![\w.]){name}(\?\.)?\(", "function"),
    (r"(?<![\w.]){name}\??\.(toLowerCase|toUpperCase|split|trim|startsWith|endsWith|charCodeAt|charAt|replace|replaceAll|padStart|match|codePointAt)\b", "string"),
    (r"(?<![\w.]){name}\??\.(map|forEach|filter|reduce|push|pop|join|sort|some|every|find|findIndex|flatMap|splice|at)\b|\bof {name}\b|\.\.\.{name}\b", "array"),
    (r"(?<![\w.]){name}\??\.(getTime|toISOString|getFullYear|getMonth|getDate)\b", "Date"),
    (r"(?<![\w.]){name}\??\.test\(|\.(match|search)\({name}\)", "RegExp"),
    (r"Object\.(keys|values|entries|assign)\({name}\b|\bin {name}\b", "object"),
    (r"(?<![\w.]){name} ?(-|\*|/|%|<|>)|(-|\*|/|%|<|>)=? ?{name}\b|Math\.\w+\({name}\b", "number"),
)  # fmt: skip


def by_use(name: str, body: str) -> str:
    """What the body does with a parameter tells its kind; "" where nothing does."""
    escaped = re.escape(name)
    return next((kind for pattern, kind in _BY_USE if re.search(pattern.replace("{name}", escaped), body)), "")


def values(parameter: Parameter, body: str = "", known: Mapping[str, str] | None = None) -> list[str]:
    """Code of values, the most ordinary first. ``body``: the function's text; ``known``: types of the file."""
    made = by_type(parameter.kind, known=known or {}) if parameter.kind else []
    if parameter.default and not made:
        first = parameter.default[0]
        kind = "string" if first in "\"'`" else "number" if first.isdigit() or first == "-" else ""
        kind = kind or {"true": "boolean", "false": "boolean"}.get(
            parameter.default, "array" if first == "[" else "object"
        )
        made = [parameter.default, *_BY_TYPE[kind]]
    if not made and (used := by_use(parameter.name, body)):
        made = [*_BY_TYPE[used], *_BY_TYPE["any"]]
    if not made:
        kind = next((kind for pattern, kind in _BY_NAME if re.search(pattern, parameter.name, re.IGNORECASE)), "any")
        made = [*_BY_TYPE[kind], *(_BY_TYPE["any"] if kind != "any" else ())]
    return list(dict.fromkeys(made))


def by_type(kind: str, depth: int = 0, known: Mapping[str, str] | None = None) -> list[str]:
    """Values of a TypeScript type; those of ``any`` where it is defined in another file."""
    kind, known = kind.strip(), known or {}
    if kind in known and depth < 4:
        return by_type(known[kind], depth + 1, known)
    if kind.startswith("(") and kind.endswith(")") and "=>" not in kind:
        return by_type(kind[1:-1], depth, known)
    parts = _split(kind, "|")
    if len(parts) > 1:
        groups = [by_type(part, depth, known) for part in parts if part]
        longest = max(map(len, groups), default=0)
        return [group[place] for place in range(longest) for group in groups if place < len(group)]
    if kind[:1] in "\"'`" or re.fullmatch(r"-?[\d.]+|true|false", kind):
        return [kind]
    if "=>" in kind:
        return list(_BY_TYPE["function"])
    if kind.startswith("readonly "):
        return by_type(kind.removeprefix("readonly "), depth, known)
    inner = kind[:-2] if kind.endswith("[]") else ""
    if match := re.fullmatch(r"(?:Readonly)?Array<(.+)>|Iterable<(.+)>", kind):
        inner = match.group(1) or match.group(2)
    if inner:
        items = by_type(inner, depth + 1, known)
        return [
            f"[{', '.join(items[:2])}]",
            "[]",
            f"[{items[0]}]",
            f"[{', '.join(items[:4])}]",
            f"[{items[0]}, {items[0]}]",
        ]
    if kind.startswith("[") and kind.endswith("]"):
        columns = [by_type(part, depth + 1, known) for part in _split(kind[1:-1], ",")]
        return [f"[{', '.join(column[min(row, len(column) - 1)] for column in columns)}]" for row in range(3)]
    if match := re.fullmatch(r"(?:Partial<)?Record<([^,]+),\s*(.+?)>?>", kind):
        items = by_type(match.group(2), depth + 1, known)
        return [f"{{ a: {items[0]} }}", "{}", f"{{ a: {items[0]}, b: {items[-1]} }}"]
    if kind.startswith("{") and kind.endswith("}"):
        return _objects(kind, depth, known)
    return list(_BY_TYPE.get(kind, _BY_TYPE["any"]))


def _objects(kind: str, depth: int, known: Mapping[str, str]) -> list[str]:
    fields: dict[str, list[str]] = {}
    for part in re.split(r"[;,\n]", kind[1:-1]) if depth < 3 else ():
        if match := re.match(r"\s*(?:readonly\s+)?(\w+)\??\s*:\s*(.+)", part):
            fields[match.group(1)] = by_type(match.group(2), depth + 1, known)
    rows = [
        "{ " + ", ".join(f"{name}: {found[min(row, len(found) - 1)]}" for name, found in fields.items()) + " }"
        for row in range(4)
    ]
    return [*dict.fromkeys(rows), "{}"] if fields else ["{}"]


def _split(text: str, mark: str) -> list[str]:
    """Parts of ``text`` between ``mark`` outside brackets and quotes."""
    parts, level, current, quote = [], 0, "", ""
    for position, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'`":
            quote = letter
        elif letter in "([{<":
            level += 1
        elif letter in ")]}" or (letter == ">" and text[position - 1 : position] != "="):
            level -= 1
        if letter == mark and level == 0 and not quote:
            parts.append(current.strip())
            current = ""
        else:
            current += letter
    return [*parts, current.strip()] if current.strip() or parts else []


def _told(name: str) -> list[str]:
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return [_WORDS[word.lower()] for word in words if word.lower() in _WORDS]


def calls(target: EcmaTarget, *, seed: int = 0, most: int = 200) -> list[tuple[str, ...]]:
    """Arguments of calls: the ordinary one, every value once in its place, then combinations drawn by ``seed``."""
    generator = random.Random(seed)
    words, known = literals(target), shapes(target)
    whole = target.node.child_by_field_name("body")
    body = whole.text.decode() if whole is not None and whole.text is not None else ""
    slots = []
    for parameter in target.parameters:
        own = values(parameter, body, known)
        if own[0][0] in "\"'":
            name = f"{parameter.name} {target.qualname}"
            around = " ".join(target.path.parts[-4:-1])  # what the package is about
            own = list(dict.fromkeys([*_told(name), *own[:3], *_told(around), *own[3:]]))
        quoted = [word for word in words if word[0] in "\"'"]
        numbers = [word for word in words if word[0] not in "\"'"]
        fitting = [*(quoted if own[0][0] in "\"'" else ()), *(numbers if own[0][0].isdigit() else ())]
        fitting += [f'"a{word[1:-1]}b"' for word in quoted if own[0][0] in "\"'" and '"' not in word[1:-1]]
        slots.append(list(dict.fromkeys([*own[:2], *fitting, *own[2:]])))
    typed = target.path.suffix in (".ts", ".mts", ".cts")
    options = [
        not typed and place > 0 and bool(_OPTIONS.search(item.name)) for place, item in enumerate(target.parameters)
    ]
    given = [not (item.optional or left) for item, left in zip(target.parameters, options, strict=True)]
    needed = max((place + 1 for place, one in enumerate(given) if one), default=0)
    base = tuple(slot[0] for slot in slots[:needed])
    shown = [row for row in examples(target) if len(row) >= needed]
    made: dict[tuple[str, ...], None] = dict.fromkeys([*shown, base])
    for place, slot in enumerate(slots):
        for value in slot:
            for start in (base, *shown[:2]):
                row = [*start, *(other[0] for other in slots[len(start) : place + 1])]
                if place < len(row):
                    row[place] = value
                    made.setdefault(tuple(row))
    for _ in range(most * 3):
        if len(made) >= most or not slots:
            break
        size = generator.randint(needed, len(slots))
        made.setdefault(tuple(generator.choice(slot) for slot in slots[:size]))
    return list(made)[:most]
