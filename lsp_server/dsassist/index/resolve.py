"""From occurrences to what they denote.

``Resolver.links`` answers for every occurrence of a file whose meaning lies, or may lie, elsewhere; these answers are
what
is stored. ``Resolver.one`` answers for a single occurrence, from the same rules.
"""

from __future__ import annotations

from dsassist.index.answer import EXTERNAL, UNKNOWN, Answer, Target
from dsassist.index.evaluate import Entity, Evaluator, Member
from dsassist.index.model import Kind, Level, Mode, Op, Role, SymbolFlag
from dsassist.index.module import Module
from dsassist.index.types import Type

__all__ = ["EXTERNAL", "UNKNOWN", "Answer", "Resolver", "Target", "linkable"]

_LOOKED_AT = 7 | Role.CALL
"""What of a role decides what an occurrence denotes."""


def linkable(role: int, ref: int, imported: set[int]) -> bool:
    """Does the occurrence's meaning take more than its own file's scopes?"""
    return bool(role & 7) or ref < 0 or ref in imported


class Resolver(Evaluator):
    """Resolution of occurrences on top of evaluation of types."""

    def imported(self, module: Module) -> set[int]:
        """Symbols of a file that an import may have bound."""
        expressions = module.facts.expressions
        return {
            index
            for index, symbol in enumerate(module.symbols)
            if symbol.values and any(expressions[value][0] == Op.IMPORT for value in symbol.values)
        }

    def links(self, module: Module) -> tuple[list[Answer], int]:
        """One answer for each linkable occurrence, in order, and what they were read from (see ``Memo``)."""
        return self.memo.tracked(lambda: self._links(module))

    def _links(self, module: Module) -> list[Answer]:
        occurrences = module.facts.occurrences
        imported = self.imported(module)
        seen: dict[tuple[int, int, int], Answer] = {}
        out: list[Answer] = []
        for name, role, ref in zip(occurrences.name, occurrences.role, occurrences.ref, strict=True):
            mode = role & 7
            if mode or ref < 0 or ref in imported:
                key = (name, role & _LOOKED_AT, ref)
                answer = seen.get(key)
                if answer is None:
                    answer = seen[key] = self.resolve(module, name, role, ref)
                out.append(answer)
        return out

    def one(self, module: Module, index: int) -> Answer:
        """What the occurrence with that number denotes."""
        occurrences = module.facts.occurrences
        return self.resolve(module, occurrences.name[index], occurrences.role[index], occurrences.ref[index])

    def resolve(self, module: Module, name: int, role: int, ref: int) -> Answer:
        """By the role's mode; see ``Mode`` for what ``ref`` is."""
        mode = role & 7
        if mode == Mode.ATTRIBUTE:
            return self._attribute(module, module.names[name], ref, bool(role & Role.CALL))
        if mode == Mode.NAME:
            if ref >= 0:
                return self._answer(self.follow(module.path, ref), Level.LEXICAL, module.path)
            entities = self.global_entities(module, module.names[name], -1 - ref)
            level = Level.MEMBER if any(self._is_member(entity) for entity in entities) else Level.IMPORT
            return self._answer(entities, level, module.path)
        if mode == Mode.KEYWORD:
            return self._keyword(module, module.names[name], ref)
        return self._answer(self.entities(module.path, ref), Level.IMPORT, module.path)

    def _is_member(self, entity: Entity) -> bool:
        """Is it bound in a class?"""
        module = self._load(entity[1]) if entity[0] == "s" else None
        return module is not None and module.facts.scopes[module.symbols[entity[2]].scope].kind == 1

    def target(self, entity: Entity) -> Target:
        """The stable name of an entity."""
        tag = entity[0]
        if tag == "s":
            module = self._load(entity[1])
            assert module is not None
            return (entity[1], module.qualified(entity[2]))
        if tag == "m":
            return (entity[1][0], "") if entity[1] else (f"{entity[2]}/", "")
        return ("", entity[1])

    def _answer(self, entities: tuple[Entity, ...], level: int, path: str) -> Answer:
        if not entities:
            return UNKNOWN
        targets = sorted({self.target(entity) for entity in entities})
        if targets[0][0] == "" and targets[0][1].startswith("builtins."):
            return EXTERNAL
        if level == Level.LEXICAL and any(target[0] != path for target in targets):
            level = Level.IMPORT
        return Answer(tuple(targets), level)

    def _attribute(self, module: Module, name: str, ref: int, called: bool) -> Answer:
        if ref < 0:
            return UNKNOWN
        types = self.evaluate(module, ref)
        if not types:
            return UNKNOWN
        entities: list[Entity] = []
        known = True
        level = Level.INFERRED
        for item in types:
            tag = item[0]
            if tag == "m":
                entities.extend(self.module_member(item, name, module.path))
                level = Level.IMPORT
            elif tag == "x":
                entities.append(("x", f"{item[1]}.{name}", ()))
                level = Level.IMPORT
            else:
                members = self._of_use(self.lookup(item, name, module.path), called)
                entities.extend(entity for path, symbol in members for entity in self.follow(path, symbol))
                if tag in ("S", "Z", "U"):
                    level = Level.MEMBER
                if not members:
                    known = known and self.surely_not(item)
        inside = [entity for entity in entities if entity[0] != "x"]
        if inside or entities:
            return self._answer(tuple(inside or entities), level, module.path)
        return EXTERNAL if known else UNKNOWN

    def _of_use(self, members: tuple[Member, ...], called: bool) -> tuple[Member, ...]:
        """Of a field and a method with one name, the one that is meant: what is called is the method."""
        if len(members) < 2:
            return members
        kinds = [held.symbols[at].kind if (held := self.module(path)) is not None else -1 for path, at in members]
        if Kind.FIELD not in kinds or Kind.METHOD not in kinds:
            return members
        wanted = Kind.METHOD if called else Kind.FIELD
        return tuple(member for member, kind in zip(members, kinds, strict=True) if kind == wanted)

    def surely_not(self, item: Type) -> bool:
        """Is every member of the type known, so that one that is not found does not exist in the workspace?"""
        tag = item[0]
        if tag in ("b", "t", "f", "l", "B"):
            return True
        if tag in ("i", "c", "S", "Z", "U"):
            return self.ancestors(item[1], item[2])[1]
        return False

    def _keyword(self, module: Module, name: str, ref: int) -> Answer:
        if ref < 0:
            return UNKNOWN
        entities: list[Entity] = []
        types = self.evaluate(module, ref)
        known = bool(types)
        for item in types:
            tag = item[0]
            if tag == "f":
                found = self.parameter(item[1], item[2], name)
                entities.extend(found)
            elif tag in ("c", "Z"):
                entities.extend(self.constructor_parameter(item, name))
            elif tag in ("i", "S"):
                for path, symbol in self.class_member(item[1], item[2], "__call__"):
                    entities.extend(self.parameter(path, symbol, name))
            elif tag not in ("x", "B", "b"):
                known = False
        if entities:
            return self._answer(tuple(entities), Level.INFERRED, module.path)
        return EXTERNAL if known else UNKNOWN

    def parameter(self, path: str, symbol: int, name: str) -> tuple[Entity, ...]:
        """A function's parameter by name."""
        module = self.module(path)
        if module is None:
            return ()
        for body in module.symbols[symbol].bodies:
            found = module.members(body).get(name)
            if found is not None:
                sym = module.symbols[found]
                if sym.kind == Kind.PARAMETER and not sym.flags & (SymbolFlag.KEYWORDS | SymbolFlag.VARIADIC):
                    return (("s", path, found),)
        return ()

    def constructor_parameter(self, item: Type, name: str) -> tuple[Entity, ...]:
        """A keyword of a class's call: a parameter of its constructor, or a field where fields are parameters."""
        order, _ = self.ancestors(item[1], item[2])
        for path, owner in order:
            module = self.module(path)
            if module is None:
                continue
            for body in module.symbols[owner].bodies:
                members = module.members(body)
                for method in ("__init__", "__new__"):
                    if method in members:
                        return self.parameter(path, members[method], name)
                if name in members and module.symbols[members[name]].annotation >= 0:
                    return (("s", path, members[name]),)
        return ()
