"""Facts of an edited file that were made from those it had are those that a reading of the whole file gives."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from dsassist.index.algebra import children
from dsassist.index.editing import tell_edit
from dsassist.index.facts import Facts
from dsassist.index.languages import language_of
from dsassist.index.model import Mode, Op
from dsassist.index.splice import Edited, spliced
from dsassist.index.work import facts_of

TEXT = '''"""What a module may hold."""
from __future__ import annotations
import os, sys as system
from typing import Self, overload
from .other import *

__all__ = ["first", "Maker"]
LIMIT: int = 3
cache = {}

@overload
def first(item: int) -> int: ...
@overload
def first(item: str) -> str: ...
def first(item):
    return helper(item).value

# About the helper.
def helper(item, *more, key=LIMIT, **rest):
    global cache
    cache = [Maker(part) for part in item]
    def inner():
        nonlocal item
        item = key
        return cache
    return inner() or rest

class Base:
    shared: list[Base] = []

    def made(self) -> Self:
        return self

@system.register
class Maker(Base):
    """Makes."""

    def __init__(self, item: "Base"):
        self.item, self.value = item, {"a": LIMIT}
        if isinstance(item, Maker):
            item.made().item = self

    @property
    def prop(self):
        return super().made().prop

    @prop.setter
    def prop(self, new): self.item = new

    @classmethod
    def of(cls, *items): return [cls(item) for item in items]

if LIMIT:
    from os import path
else:
    path = None

try:
    größe = list(map(Maker.of, cache))
except (KeyError, ValueError) as error:
    print(error, "é")

def last(of=größe, *, then: Maker | None = None):
    with open(of) as file, then.made() as other:
        for line in file:
            yield other.item.made().prop, line
    match of:
        case Maker(item=held) if held: return held
        case [a, *b]: return lambda c: a + b + c

def quiet(): return first(LIMIT)

assert isinstance(größe, Maker)
result = largest = quiet()
result.value = Maker.of(1)[0].prop; largest = result
first.cache = result
'''
PIECES = (
    "", "\n", "\n\n\n", "    ", "x", "(", ")", ":", '"""', "'", "#", "é", "@", "return ", "if x:\n    ", "helper",
    "largest", "def fresh(a=LIMIT):\n    return a.value\n", "class Base(Maker):\n    other = 1\n", "@staticmethod\n",
    "fresh()\n", "first = None\n", "global LIMIT\n", "list = 1\n", "self.more = LIMIT\n", "import os\n",
    "__all__ = ['last']\n", "from a import fresh\n",
)  # fmt: skip
EDITS = st.lists(
    st.tuples(st.integers(0, len(TEXT)), st.sampled_from((0, 0, 0, 1, 2, 8, 40, 200)), st.sampled_from(PIECES)),
    min_size=1,
    max_size=8,
)


def meaning(facts: Facts) -> dict[str, Any]:
    """All that facts say, in terms that numbers of names, imports and expressions do not enter."""
    occurrences, names = facts.occurrences, facts.occurrences.names

    def expression(number: int) -> Any:
        if number < 0:
            return number
        op, a, b = facts.expressions[number]
        parts = tuple(expression(part) for part in children((op, a, b)))
        if op == Op.GLOBAL:
            return op, names[a], b
        if op == Op.IMPORT:
            return op, facts.imports[a]
        if op in (Op.NAME, Op.SELF, Op.CLASS_OF_SCOPE, Op.SUPER, Op.OBJECT):
            return op, a, b
        own = names[b] if op == Op.ATTR else a if op == Op.BUILTIN else b if op == Op.ITEM else None
        held = a if op in (Op.UNION, Op.TUPLE) else b if op == Op.BUILTIN else ()
        return op, own, tuple(part < 0 for part in held), parts

    def reference(role: int, ref: int) -> Any:
        mode = role & 7
        return ref if mode == Mode.NAME else facts.imports[ref] if mode == Mode.IMPORT else expression(ref)

    columns = (occurrences.line, occurrences.column, occurrences.name, occurrences.role, occurrences.ref)
    return {
        "occurrences": [
            (line, column, names[name], role, reference(role, ref))
            for line, column, name, role, ref in zip(*columns, strict=True)
        ],
        "symbols": [
            symbol._replace(
                name=names[symbol.name],
                annotation=expression(symbol.annotation),
                values=tuple(map(expression, symbol.values)),
            )
            for symbol in facts.symbols
        ],
        "scopes": [scope._replace(bases=tuple(map(expression, scope.bases))) for scope in facts.scopes],
        "wide": occurrences.wide,
        "lines": list(facts.line_lengths),
        "stars": [facts.imports[star] for star in facts.stars],
        "rest": (facts.language, facts.exports, facts.errors, facts.extra),
    }


def after(text: str, then: str) -> tuple[Facts | None, Facts]:
    """Spliced and whole facts of a text that took the place of another."""
    before, source = text.encode(), then.encode()
    facts, tree = facts_of("a.py", before)
    assert tree is not None
    start, end = tell_edit(tree, before, source)
    language = language_of("a.py")
    assert language is not None
    fresh = language.parser("a.py").parse(source, tree)
    made = spliced("a.py", facts, Edited(before, tree, source, fresh, start, end))
    return (None if made is None else made.facts), language.extract("a.py", source, fresh)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits=EDITS)
@example(edits=[(398, 1, ""), (0, 8, ""), (0, 200, ""), (208, 0, "    ")])
def test_spliced_facts_are_those_of_the_whole(edits: list[tuple[int, int, str]]) -> None:
    """After any sequence of edits, each made of the facts that the one before left."""
    language = language_of("a.py")
    assert language is not None
    source = TEXT.encode()
    facts, tree = facts_of("a.py", source)
    for place, size, piece in edits:
        assert tree is not None
        text = source.decode()
        at = place % (len(text) + 1)
        new = (text[:at] + piece + text[at + size :]).encode()
        start, end = tell_edit(tree, source, new)
        fresh = language.parser("a.py").parse(new, tree)
        made = spliced("a.py", facts, Edited(source, tree, new, fresh, start, end))
        whole = language.extract("a.py", new, fresh)
        event("spliced" if made is not None else "whole")
        if made is not None:
            assert meaning(made.facts) == meaning(whole)
        facts, tree, source = (made.facts if made is not None else whole), fresh, new


def test_an_edit_reads_only_the_statement_it_is_in() -> None:
    made, whole = after(TEXT, TEXT.replace("helper(item).value", "helper(item).other.value"))
    assert made is not None
    assert meaning(made) == meaning(whole)


def test_a_new_name_of_the_module_is_what_others_have_used_already() -> None:
    text = TEXT.replace("LIMIT: int = 3\n", "\n")
    made, whole = after(text, TEXT)
    assert made is not None
    assert meaning(made) == meaning(whole)


def test_what_the_rest_of_a_file_depends_on_makes_it_read_as_a_whole() -> None:
    for old, new in (
        ("import Self, overload", "import overload"),  # an import that annotations elsewhere go by
        ("cache = {}", "cache = map = {}"),  # a name that is built in
        ('"first", ', ""),  # what is exported
        ("LIMIT: int = 3\n", ""),  # a name that is used elsewhere
        ("# About", '"""# About'),  # all that follows is a string
    ):
        assert after(TEXT, TEXT.replace(old, new))[0] is None
