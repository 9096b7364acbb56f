"""Examples that a docstring shows: ``>>>`` sessions, and ``f(2) -> 4`` or ``f(2) == 4`` in running text."""

from __future__ import annotations

import ast
import doctest
import re

from dsassist.assist.testgen.sources import Facts, Seed, observing, watched

__all__ = ["DocstringSource", "examples"]

_INLINE = re.compile(
    r"`{0,2}([A-Za-z_][\w.]*\([^\n`]*?\))`{0,2}\s*(?:->|→|==|=>|returns?|gives?|yields?|is|becomes)\s*`{0,2}([^\n`]+?)`{0,2}(?:[.;]?\s*$|[.;]\s|,\s+and\b)",
    re.MULTILINE,
)


class DocstringSource:
    """Stated expectations, the strongest kind."""

    async def seeds(self, facts: Facts) -> list[Seed]:
        """See ``examples``."""
        return examples(facts)


def examples(facts: Facts) -> list[Seed]:
    """Every example of the target's docstring, and of its class's for a method, that calls the target."""
    texts = [facts.target.docstring]
    for node in facts.tree.body:
        if isinstance(node, ast.ClassDef) and node.name == facts.target.owner:
            texts.append(ast.get_docstring(node) or "")
    found: list[Seed] = []
    for text in filter(None, texts):
        found += _sessions(text, facts)
        found += _inline(text, facts)
    return found[:24]


def _sessions(text: str, facts: Facts) -> list[Seed]:
    try:
        parsed = doctest.DocTestParser().get_examples(text)
    except ValueError:  # an inconsistent session is no example
        return []
    setup: list[str] = []
    imports: dict[str, tuple[str, str]] = {}
    seeds: list[Seed] = []
    for place, example in enumerate(parsed):
        try:
            body = ast.parse(example.source).body
        except SyntaxError:
            continue
        if example.options.get(doctest.SKIP):
            continue
        act = (
            observing(body[-1].value, facts.target)
            if len(body) == 1 and isinstance(body[-1], ast.Expr | ast.Assign)
            else None
        )
        if act is not None:
            want = example.want.strip()
            raises = example.exc_msg.split(":")[0].strip() if example.exc_msg else ""
            shown = parsed[place + 1] if place + 1 < len(parsed) and not want else None
            watch = watched(setup, act)
            if shown is not None and shown.source.strip() in watch:
                # it changes something, and the session shows what came of it
                act, want = f"{act.removeprefix('result = ')}\nresult = {shown.source.strip()}", shown.want.strip()
                watch = ()
            exact = want and not example.options.get(doctest.ELLIPSIS) and "..." not in want
            expected = _code(want) if exact and not raises else ""
            seeds.append(Seed(tuple(setup), act, "docstring", expected, raises, watch, dict(imports)))
        for statement in body if not isinstance(body[-1], ast.Expr) else ():
            named = imported(statement)
            imports |= named
            setup += [] if named else [ast.unparse(statement)]
    return seeds


def imported(statement: ast.stmt) -> dict[str, tuple[str, str]]:
    """Name → (module, attribute) that ``statement`` binds; empty where it is no plain import."""
    if isinstance(statement, ast.Import):
        plain = all(alias.asname or "." not in alias.name for alias in statement.names)
        return {alias.asname or alias.name: (alias.name, "") for alias in statement.names} if plain else {}
    if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
        names = {alias.asname or alias.name: (statement.module, alias.name) for alias in statement.names}
        return names if "*" not in names else {}
    return {}


def _inline(text: str, facts: Facts) -> list[Seed]:
    seeds: list[Seed] = []
    for match in _INLINE.finditer(text):
        try:
            call = ast.parse(match.group(1), mode="eval").body
        except SyntaxError:
            continue
        act = observing(call, facts.target)
        expected = _code(match.group(2).strip().rstrip("."))
        if act and expected and not _names(call):
            seeds.append(Seed((), act, "docstring", expected))
    return seeds


def _names(call: ast.expr) -> set[str]:
    """Names used as arguments: running text calls with parameters' names, which is no example."""
    functions = {
        node.func.id for node in ast.walk(call) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    return {node.id for node in ast.walk(call) if isinstance(node, ast.Name)} - functions - {"None", "True", "False"}


def _code(want: str) -> str:
    """``want`` when it is a literal that can stand on the right of an assertion."""
    try:
        value = ast.literal_eval(want)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ""
    return repr(value)
