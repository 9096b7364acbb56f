"""Renaming a symbol everywhere, or saying why not."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from dataclasses import dataclass

from dsassist.index.languages import language_of
from dsassist.index.model import CALLABLE_KINDS, Kind, Location, Reference, SymbolFlag
from dsassist.index.module import Module
from dsassist.index.rank import Rank
from dsassist.index.resolve import Target

__all__ = ["Rename", "RenamePlan"]

_MOST_PARSED = 40
"""Files that are parsed to see whether a name stands inside a string."""
_TEXTS = frozenset({"string_content", "string_fragment"})
_WORDS = {
    "typescript": """break case catch class const continue debugger default delete do else enum export extends false
    finally for
        function if import in instanceof new null return super switch this throw true try typeof var void while with
        yield let
        static await""",
    "go": """break case chan const continue default defer else fallthrough for func go goto if import interface map
    package range
        return select struct switch type var""",
    "rust": """as async await break const continue crate dyn else enum extern false fn for if impl in let loop match
    mod move mut
        pub ref return self Self static struct super trait true type unsafe use where while""",
    "java": """abstract assert boolean break byte case catch char class const continue default do double else enum
    extends final
        finally float for goto if implements import instanceof int interface long native new package private protected
        public
        return short static strictfp super switch synchronized this throw throws transient try void volatile while""",
    "c": """auto break case char const continue default do double else enum extern float for goto if inline int long
    register
        return short signed sizeof static struct switch typedef union unsigned void volatile while class namespace
        template
        public private protected virtual operator new delete this using typename""",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RenamePlan:
    """Where to put the new name, or why that would not be safe. Exactly one of the two is there."""

    edits: tuple[Location, ...] = ()
    refused: str = ""


class Rename(Rank):
    """See the module's docstring."""

    def prepare_rename(self, path: str, line: int, column: int) -> tuple[Location | None, str]:
        """The name under the cursor if it can be renamed at all, else why not."""
        with self._reading():
            view, index = self._at(path, line, column)
            if index < 0:
                return None, "There is no name here."
            targets, _, _ = self._targets_at(path, line, column)
            reason = self._fixed(targets)
            return (None, reason) if reason else (self._location(path, view.occurrences, index), "")

    def rename(self, path: str, line: int, column: int, new_name: str) -> RenamePlan:
        """All places that a rename changes; refused where one might be missed or another thing would be hit.

        Raises:
            WorkspaceError: the file is not in the index.
        """
        with self._reading():
            view, index = self._at(path, line, column)
            if index < 0:
                return RenamePlan(refused="There is no name here.")
            name = view.occurrences.names[view.occurrences.name[index]]
            targets, _, _ = self._targets_at(path, line, column)
            reason = self._fixed(targets) or self._bad_name(path, new_name)
            if not reason and name != self._last_name(targets):
                # Under an alias (``import a as b``) only this file's own name changes.
                return self._rename_alias(path, name, index, new_name)
            if reason:
                return RenamePlan(refused=reason)
            if self._pending or self._store.unlinked():
                return RenamePlan(refused="The index is still being built.")
            family, reason = self._family(targets)
            if reason:
                return RenamePlan(refused=reason)
            found = self._references(tuple(sorted(family)), set(), True)
            if found.possible:
                first = found.possible[0].location
                more = f" and {len(found.possible) - 1} more" if len(found.possible) > 1 else ""
                return RenamePlan(
                    refused=f"{first.path}:{first.line + 1}{more} may also mean {name}: the receiver is unknown."
                )
            # Where it goes by an alias (``import { a as b }``) the alias stays.
            spelled = {
                place for home in {item.location.path for item in found.references} for place in self._of(home, name)
            }
            places = sorted(
                {item.location for item in found.references} & spelled | {m.location for m in found.mentions}
            )
            reason = self._shorthand(name, places)
            if reason:
                return RenamePlan(refused=reason)
            reason = self._collision(family, {place.path for place in places}, new_name) or self._in_strings(
                name, family, found.mentions
            )
            return RenamePlan(refused=reason) if reason else RenamePlan(tuple(places))

    def _of(self, path: str, name: str) -> list[Location]:
        """The occurrences in a file that are written like that."""
        view = self._view(path)
        return [] if view is None else [self._location(path, view.occurrences, at) for at in view.positions(name)]

    def _shorthand(self, name: str, places: list[Location]) -> str:
        """A place that is two things at once (``{ name }``) would need more than another name."""
        for path in sorted({place.path for place in places}):
            view = self._view(path)
            if view is None:
                continue
            occurrences = view.occurrences
            seen = [(occurrences.line[at], occurrences.column[at]) for at in view.positions(name)]
            twice = (
                next((place for place in seen if seen.count(place) > 1), None) if len(set(seen)) < len(seen) else None
            )
            if twice is not None:
                return f"{path}:{twice[0] + 1} uses {name} as a member and as a variable at once."
        return ""

    def _last_name(self, targets: tuple[Target, ...]) -> str:
        info = self._info(targets[0], texts=False)
        return info.name if info is not None else ""

    def _fixed(self, targets: tuple[Target, ...]) -> str:
        """Why the targets cannot be renamed, empty where they can."""
        if not targets:
            return "Nothing is known about this name."
        for target in targets:
            if not target[0]:
                return f"{target[1]} is defined outside the workspace."
            if not target[1] or target[0].endswith("/"):
                return f"{target[0]} is a file: rename it on the disk."
            info = self._info(target, texts=False)
            if info is None:
                return "The symbol is gone."
            if info.name.startswith("__") and info.name.endswith("__"):
                return f"{info.name} has a meaning for the language."
        if len({self._last_name((target,)) for target in targets}) > 1:
            return "The name stands for several things."
        return ""

    def _bad_name(self, path: str, name: str) -> str:
        module = self._module(path)
        assert module is not None
        words = set(_WORDS.get(module.facts.language, "").split()) | (
            set(keyword.kwlist) if module.facts.language == "python" else set()
        )
        if not re.fullmatch(r"[^\W\d]\w*", name) and not (
            module.facts.language == "typescript" and re.fullmatch(r"[\w$]+", name)
        ):
            return f"{name!r} is no name."
        return f"{name} is a word of the language." if name in words else ""

    def _rename_alias(self, path: str, name: str, index: int, new_name: str) -> RenamePlan:
        view, module = self._view(path), self._module(path)
        assert view is not None and module is not None
        ref = view.occurrences.ref[index]
        if view.occurrences.role[index] & 7 or ref < 0:
            return RenamePlan(refused=f"{name} is an alias that this file does not define.")
        if new_name in module.members(module.symbols[ref].scope):
            return RenamePlan(refused=f"{new_name} is already defined in {path}.")
        occurrences = view.occurrences
        places = [
            self._location(path, occurrences, at)
            for at in view.positions(name)
            if not occurrences.role[at] & 7 and occurrences.ref[at] == ref
        ]
        return RenamePlan(tuple(sorted(places)))

    def _family(self, targets: tuple[Target, ...]) -> tuple[set[Target], str]:
        """The targets with all that they override and are overridden by, and why that cannot be told."""
        family = set(targets)
        for target in targets:
            module = self._module(target[0])
            symbol = module.by_qualified(target[1]) if module is not None else -1
            if module is None or symbol < 0:
                continue
            sym = module.symbols[symbol]
            owner = module.facts.scopes[sym.scope].owner if module.facts.scopes[sym.scope].kind == 1 else -1
            if sym.kind == Kind.PARAMETER:
                family.update(self._of_every_signature(module, symbol))
                reason = self._parameter_of_family(module.path, symbol)
                if reason:
                    return family, reason
            if owner < 0 or sym.kind not in (*CALLABLE_KINDS, Kind.FIELD, Kind.VARIABLE):
                continue
            name = module.name(symbol)
            members, complete = self._resolver.member_family(target[0], owner, name, self._all_subtypes)
            if not complete and not name.startswith("_"):
                return (
                    family,
                    f"A base class of {module.qualified(owner)} is outside the workspace and may define {name}.",
                )
            family.update(self._own_target(*member) for member in members)
        return family, ""

    def _of_every_signature(self, module: Module, symbol: int) -> set[Target]:
        """The same parameter in every overload of its function."""
        function = module.facts.scopes[module.symbols[symbol].scope].owner
        bodies = module.symbols[function].bodies if function >= 0 else ()
        same = (module.members(body).get(module.name(symbol), -1) for body in bodies)
        return {
            self._own_target(module.path, at) for at in same if at >= 0 and module.symbols[at].kind == Kind.PARAMETER
        }

    def _parameter_of_family(self, path: str, symbol: int) -> str:
        """A parameter of a method that overrides or is overridden can be named by callers of the other."""
        module = self._module(path)
        assert module is not None
        sym = module.symbols[symbol]
        if sym.flags & (SymbolFlag.VARIADIC | SymbolFlag.KEYWORDS):
            return ""
        function = module.facts.scopes[sym.scope].owner
        if function < 0:
            return ""
        holder = module.facts.scopes[module.symbols[function].scope]
        if holder.kind != 1 or holder.owner < 0:
            return ""
        members, _ = self._resolver.member_family(path, holder.owner, module.name(function), self._all_subtypes)
        others = [member for member in members if member != (path, function)]
        return (
            f"{module.qualified(function)} is overridden or overrides: callers may name its parameters."
            if others
            else ""
        )

    def _collision(self, family: set[Target], paths: set[str], new_name: str) -> str:
        for path, qualified in sorted(family):
            module = self._module(path)
            symbol = module.by_qualified(qualified) if module is not None else -1
            if module is not None and symbol >= 0 and new_name in module.members(module.symbols[symbol].scope):
                return f"{new_name} is already defined in {path}."
        for path in sorted(paths):
            module = self._module(path)
            if module is not None and new_name in module.names:
                return f"{path} already uses the name {new_name}."
        return ""

    def _put_together(self, name: str, path: str, text: bytes) -> str:
        """Where a name is made of a beginning and something else, as in ``getattr(self, f"visit_{kind}")``."""
        for at in (index for index, char in enumerate(name) if char == "_" and index > 1):
            head = name[: at + 1].encode()
            made = re.search(rb"['\"`]" + re.escape(head) + rb"(\$?\{|%s|['\"]\s*[+%])", text) if head in text else None
            if made is not None:
                line = text[: made.start()].count(b"\n") + 1
                return f"{path}:{line} makes names that begin with {head.decode()}."
        return ""

    def _in_strings(self, name: str, family: set[Target], mentions: tuple[Reference, ...]) -> str:
        """Where the bare name is the whole of a string, it may be looked up at run time."""
        if all(self._is_local(target) for target in family):
            return ""
        pattern = re.compile(rb"(?<![\w])(['\"])" + re.escape(name.encode()) + rb"\1")
        listed: Counter[str] = Counter(item.location.path for item in mentions)
        members = any("." in target[1] for target in family)
        # A template or code in a string; a formatted string's own code is code, and its names are known.
        within = re.compile(rb"['\"](?:[^'\"\n{]|\{[{%])*\w\." + re.escape(name.encode()) + rb"(?!\w)[^'\"\n]*['\"]")
        looks = _MOST_PARSED
        for path in sorted(self._rows.keys() | self._overlays.keys()):
            text = self._text(path)
            reason = self._put_together(name, path, text)
            if not reason and members and looks and name.encode() in text and within.search(text):
                looks -= 1
                reason = _inside_a_string(path, text, name)
            if reason:
                return reason
            if name.encode() in text and len(pattern.findall(text)) > listed.get(path, 0):
                line = text[: next(match.start() for match in pattern.finditer(text))].count(b"\n") + 1
                return f'{path}:{line} has "{name}" as a string, which may mean this symbol.'
        return ""


def _inside_a_string(path: str, text: bytes, name: str) -> str:
    """Where ``.name`` stands in a string that is no documentation: a template, or code that is made."""
    language = language_of(path)
    if language is None:
        return ""
    wanted = re.compile(rb"\w\." + re.escape(name.encode()) + rb"(?!\w)")
    stack = [language.parser(path).parse(text).root_node]
    while stack:
        node = stack.pop()
        if node.type in _TEXTS:
            whole = node.parent
            statement = whole.parent if whole is not None else None
            documents = statement is not None and statement.type == "expression_statement"
            if not documents and wanted.search(text, node.start_byte, node.end_byte):
                return f"{path}:{node.start_point[0] + 1} has .{name} inside a string, which may mean this symbol."
        stack.extend(node.children)
    return ""
