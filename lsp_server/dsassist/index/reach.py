"""What the index knows about the very place of a cursor: the members of the receiver before it, the signatures of the
calls that are open around it, and what an argument or a value there has to be.

The text at a cursor is being written and seldom parses, so the expression is read backwards from the text (``chain``)
and evaluated with the facts of the file as it was last understood. Nothing is parsed anew, which keeps an answer to a
few milliseconds whatever the file's size.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate

from dsassist.index.chain import (
    Chain,
    columns,
    inside_text,
    lines_around,
    narrowed,
    open_calls,
    read_chain,
    receiver_before,
)
from dsassist.index.echo import Echo, Use
from dsassist.index.facts import Import, Occurrences
from dsassist.index.keywords import NO_KEYWORDS, Keywords, KeywordsAt, passed_parameters
from dsassist.index.model import Kind, Mode, Op, Role
from dsassist.index.module import Module
from dsassist.index.outline import Outline
from dsassist.index.state import View
from dsassist.index.types import Type, Types, join

__all__ = ["AtCursor", "Reach"]

_IMPORTING = re.compile(r"^[ \t]*from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]+\(?([\w\s,]*)\Z", re.MULTILINE)
_WORD_END = re.compile(r"\w*\Z")
_WORDS = re.compile(r"\w+(?=\s*,)")
_AROUND_LINES = 12
_MOST_AROUND = 4
_MOST_READ = 60_000
"""Occurrences of a file, beyond which it is not read as a whole for a key."""


@dataclass(frozen=True, slots=True)
class AtCursor:
    """See the module's docstring."""

    typed: str = ""
    """The part of a name that stands before the cursor."""
    receiver: str = ""
    """The expression whose member is being written, empty where none is."""
    members: tuple[Outline, ...] = ()
    """Of the receiver; several where it may be several things."""
    calls: tuple[Outline, ...] = ()
    """What is being called, the innermost first. A class has its constructor's parameters or its fields as members."""
    expected: tuple[Outline, ...] = ()
    """Types that the argument at the cursor has to have, where they have few known values (enumerations)."""
    unused: tuple[Outline, ...] = ()
    """What the file imports and does not use yet: likely to be what is being written."""
    around: tuple[tuple[str, Outline], ...] = ()
    """Values in reach with what they are, the nearest first: variables that nothing has read yet before all."""
    used: tuple[Use, ...] = ()
    """Lines of other files that use such a member, or call what is being called, the most alike first."""
    keywords: KeywordsAt = NO_KEYWORDS
    """What the argument at the cursor has to be given by, where it cannot be given by its place."""


class Reach(Echo, Keywords):
    """See the module's docstring."""

    def at_cursor(self, path: str, line: int, before: str) -> AtCursor:
        """What is known at a cursor in ``line``, behind the text ``before`` (of the file, or its end).

        Unknown files give nothing.
        """
        with self._reading():
            module = self._module(path)
            if module is None:
                return AtCursor()
            scope = self._scope_at(module, line, before)
            if self._inside_text(module, line, before):
                return AtCursor()
            if (statement := _IMPORTING.search(before)) is not None and module.language.name == "python":
                return self._importing(module, *statement.groups())
            chain, typed = receiver_before(before)
            members: tuple[Outline, ...] = ()
            if chain is not None:
                members = self._outlines(self._receiver_types(module, scope, line, before, chain), path)
            calls: list[Outline] = []
            expected: tuple[Outline, ...] = ()
            keywords = NO_KEYWORDS
            opened = open_calls(before)
            for number, call in enumerate(opened):
                callees = self._chain_types(module, scope, call.callee)
                calls += self._callables(callees)
                if not number and chain is None:
                    expected = self._expected(callees, call.position, call.keyword, path)
                    keywords = self._keywords_at(callees, call)
            once = tuple(dict.fromkeys(calls))
            used = self._uses_like(path, line, before, typed, chain, members, opened)
            if chain is not None:
                return AtCursor(typed, chain.text, members, once, expected, used=used)
            around = self._around(module, scope, line)
            return AtCursor(typed, "", (), once, expected, self._unused(module), around, used, keywords)

    def _inside_text(self, module: Module, line: int, before: str) -> bool:
        """Is the cursor in a comment or a string, where names mean nothing?"""
        above, _, here = before.rpartition("\n")
        if above.count("\n") + 1 < line:
            # the text that came with the question begins in the middle of the file
            above = "\n".join(self._text(module.path).decode("utf-8", "replace").split("\n", line)[:line])
        return inside_text(above, here, module.language.name)

    # Scopes and chains

    def _scope_at(self, module: Module, line: int, before: str) -> int:
        """The innermost scope of the facts that a line belongs to. Where functions end by indentation, a line that is
        being written may lie behind the end of its own."""
        scopes, lengths = module.facts.scopes, module.facts.line_lengths
        starts = list(accumulate(lengths, initial=0))
        texts = before.split("\n")
        indent = columns(texts[-1])
        for back in range(len(texts)):
            text = texts[-1 - back]
            number = line - back
            if not 0 <= number < len(lengths) or (back and not text.strip()):
                continue
            column = columns(text)
            if back and column > indent:
                continue
            if not back and not text.strip():
                continue
            at = starts[number] + len(text) - len(text.lstrip())
            inside = [index for index, scope in enumerate(scopes) if scope.start <= at < scope.end]
            if back == 0 and not inside[1:]:
                # perhaps behind the end of its function
                continue
            best = max(inside, key=lambda index: (scopes[index].start, -scopes[index].end), default=0)
            if back and column < indent:
                return best
            if back and column == indent and scopes[best].start == at and scopes[best].owner >= 0:
                # a definition beside the cursor's line, not around it
                return scopes[best].parent
            return best
        return 0

    def _symbol_named(self, module: Module, scope: int, name: str) -> int:
        """The symbol that a name denotes in a scope, -1 where the file binds none."""
        scopes = module.facts.scopes
        first = True
        while scope >= 0:
            if first or scopes[scope].kind != 1 or module.language.class_names_nest:
                found = module.members(scope).get(name)
                if found is not None:
                    return found
            first = False
            scope = scopes[scope].parent
        return -1

    def _chain_types(self, module: Module, scope: int, chain: Chain) -> Types:
        resolver = self._resolver
        symbol = self._symbol_named(module, scope, chain.base)
        if symbol >= 0:
            types = resolver.name_types(module, symbol)
        elif chain.base in ("this", "self", "super"):
            owner = module.enclosing_class(scope)
            holder = module.facts.scopes[owner].owner if owner >= 0 else -1
            if holder < 0:
                return ()
            types = (("U", module.path, holder, False),) if chain.base == "super" else (("S", module.path, holder),)
            if chain.base == "super" and chain.steps and chain.steps[0][0] == "call":
                chain = Chain(chain.base, chain.steps[1:])
        else:
            types = resolver.as_types(resolver.global_entities(module, chain.base, scope))
        for kind, text in chain.steps:
            if not types:
                return ()
            if kind == "attribute":
                types = resolver.member_types(types, text, module.path)
            elif kind == "call":
                types = resolver.called(types, module, -1)
            elif ":" not in text:
                types = resolver.subscript(types, module, -1)
        return types

    def _receiver_types(self, module: Module, scope: int, line: int, before: str, chain: Chain) -> Types:
        classes = narrowed(before, chain.text)
        if classes:
            chains = [read_chain(name) for name in classes]
            found = [self._chain_types(module, scope, each) for each in chains if each is not None]
            return self._resolver.called(join(found), module, -1)
        return self._chain_types(module, scope, chain) or self._seen_before(module, line, before, chain)

    def _seen_before(self, module: Module, line: int, before: str, chain: Chain) -> Types:
        """What the same receiver was where its member was last used above, in the cursor's block or one around it: that
        use may have been narrowed."""
        if chain.steps:
            return ()
        view = self._view(module.path)
        if view is None:
            return ()
        occurrences = view.occurrences
        number = bisect_right(occurrences.line, line) - 1
        reaching = {line - back for back in lines_around(before)}
        for index in range(number, max(-1, number - 400), -1):
            if occurrences.line[index] not in reaching:
                continue
            if occurrences.role[index] & 7 != Mode.ATTRIBUTE or occurrences.ref[index] < 0 or not index:
                continue
            holder = index - 1
            name = occurrences.names[occurrences.name[holder]]
            if name == chain.base and occurrences.line[holder] == occurrences.line[index]:
                gap = occurrences.column[index] - occurrences.column[holder] - len(name)
                if gap == 1:
                    return self._resolver.evaluate(module, occurrences.ref[index])
        return ()

    def _importing(self, module: Module, dots: str, name: str, listed: str) -> AtCursor:
        """What can be imported from a module."""
        entry = Import(name or "", len(dots), "")
        found = module.language.find_import(module.path, entry, self._files)
        typed = _WORD_END.search(listed)
        outline = self._module_outline(("m", found.files, found.folder), module.path) if found.files else None
        taken = set(_WORDS.findall(listed))
        if outline is None:
            return AtCursor()
        members = tuple(pair for pair in outline.members if pair[0] not in taken)
        return AtCursor(typed[0] if typed else "", dots + name, (replace(outline, members=members),))

    def _unused(self, module: Module) -> tuple[Outline, ...]:
        """Imports of other files of the workspace that nothing in the file names."""
        if module.facts.exports is not None or module.path.endswith(("__init__.py", "index.ts", "index.js")):
            exported = module.facts.exports or {}
            if not exported or module.path.endswith("__init__.py"):
                return ()
        occurrences, expressions = module.facts.occurrences, module.facts.expressions
        if len(occurrences.role) > _MOST_READ:
            return ()
        used = {
            occurrences.name[index]
            for index, role in enumerate(occurrences.role)
            if not role & Role.DEFINITION and role & 7 != Mode.IMPORT
        }
        found: list[Outline] = []
        for symbol, sym in enumerate(module.symbols):
            if sym.name in used or not any(expressions[value][0] == Op.IMPORT for value in sym.values):
                continue
            for entity in self._resolver.follow(module.path, symbol):
                if entity[0] == "s" and entity[1] != module.path:
                    found += self._presented(entity[1], entity[2], module.name(symbol))
        return tuple(dict.fromkeys(found))

    def _around(self, module: Module, scope: int, line: int) -> tuple[tuple[str, Outline], ...]:
        """Variables of the enclosing functions, and receivers of members near a line, whose classes other files
        define."""
        view = self._view(module.path)
        if view is None:
            return ()
        occurrences, scopes = view.occurrences, module.facts.scopes
        held: dict[int, list[int]] = {}
        first, last = bisect_left(occurrences.line, line - _AROUND_LINES), len(occurrences.line)
        scored: dict[Type, tuple[float, str]] = {}

        def note(types: Types, score: float, text: str) -> None:
            for item in types[:3]:
                if item[0] in ("i", "S", "c") and item[1] != module.path:
                    kind = ("i", *item[1:]) if item[0] == "i" else item
                    if kind not in scored or scored[kind][0] > score:
                        scored[kind] = (score, text)

        for index in range(first, last):
            if occurrences.line[index] > line + _AROUND_LINES:
                break
            role, ref = occurrences.role[index], occurrences.ref[index]
            away = abs(occurrences.line[index] - line) * (1.0 if occurrences.line[index] <= line else 1.5)
            if role & 7 == Mode.ATTRIBUTE and ref >= 0:
                note(self._resolver.evaluate(module, ref), 1.0 + away, _receiver_text(view, index))
        for index in self._within_function(module, scope, occurrences):
            if occurrences.role[index] & 7 == Mode.NAME and (ref := occurrences.ref[index]) >= 0:
                held.setdefault(ref, []).append(index)
        while scope > 0 and scopes[scope].kind != 1:
            for name, symbol in module.members(scope).items():
                uses = held.get(symbol, [])
                if not uses or module.symbols[symbol].kind not in (Kind.VARIABLE, Kind.PARAMETER, Kind.CONSTANT):
                    continue
                unread = all(occurrences.role[index] & Role.DEFINITION for index in uses)
                near = min(abs(occurrences.line[index] - line) for index in uses)
                note(self._resolver.name_types(module, symbol), near / 4 if unread else 1.0 + near, name)
            scope = scopes[scope].parent
        found: dict[tuple[str, str], tuple[str, Outline]] = {}
        for kind, (_, text) in sorted(scored.items(), key=lambda pair: pair[1])[:_MOST_AROUND]:
            outline = self._outline(kind, module.path)
            if outline is not None and outline.members:
                found.setdefault((outline.path, outline.name), (text, outline))
        return tuple(found.values())

    @staticmethod
    def _within_function(module: Module, scope: int, occurrences: Occurrences) -> range:
        """Occurrences of the outermost function around a scope."""
        scopes, outermost = module.facts.scopes, scope
        while scope > 0 and scopes[scope].kind != 1:
            outermost, scope = scope, scopes[scope].parent
        starts = module.starts
        first = bisect_right(starts, scopes[outermost].start) - 1
        last = bisect_right(starts, scopes[outermost].end)
        return range(bisect_left(occurrences.line, first), bisect_right(occurrences.line, last))[:_MOST_READ]

    def _expected(self, callees: Types, position: int, keyword: str, path: str) -> tuple[Outline, ...]:
        """Enumerations that the argument is declared to be."""
        found: list[Outline] = []
        resolver = self._resolver
        for item in resolver.functions(callees):
            entities: Iterable[tuple[str, int]] = ()
            is_class = item[0] in ("c", "Z")
            if keyword:
                named = (
                    resolver.parameter(item[1], item[2], keyword)
                    if item[0] == "f"
                    else resolver.constructor_parameter(item, keyword)
                    if is_class
                    else ()
                )
                entities = [(entity[1], entity[2]) for entity in named]
            elif item[0] == "f" or is_class:
                made = resolver.class_member(item[1], item[2], "__init__") if is_class else ((item[1], item[2]),)
                entities = [
                    (where, number)
                    for where, function in made
                    for number in self._parameter_at(where, function, position, is_class or item[3] is not None)
                ]
            for where, symbol in entities:
                for kind in resolver.symbol_types(where, symbol):
                    if kind[0] == "i" and resolver.is_enum(kind[1], kind[2]):
                        outline = self._outline(kind, path)
                        if outline is not None:
                            found.append(outline)
        return tuple(dict.fromkeys(found))[:2]

    def _parameter_at(self, path: str, function: int, position: int, bound: bool) -> tuple[int, ...]:
        module = self._module(path)
        parameters = passed_parameters(module, function, bound=bound) if module is not None else ()
        return parameters[position : position + 1]


def _receiver_text(view: View, index: int) -> str:
    """The name before a member, where it stands right before it."""
    occurrences = view.occurrences
    if index and occurrences.line[index - 1] == occurrences.line[index]:
        name = occurrences.names[occurrences.name[index - 1]]
        if occurrences.column[index - 1] + len(name) + 1 == occurrences.column[index]:
            return name
    return ""
