"""What the model should read from other files: the definitions that matter most where the cursor is, and how they are
used.

The graph has symbols as nodes and resolved occurrences as edges: a symbol points to what its definition mentions. From
the occurrences near the cursor, personalised PageRank by forward push (Andersen, Chung and Lang, 2006) spreads weight
over a few dozen nodes. Each symbol's edges are worked out once and kept until something changes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from dsassist.index.fuzzy import NameList
from dsassist.index.model import CALLABLE_KINDS, TYPE_KINDS, Kind, Role, SymbolInfo
from dsassist.index.module import Module
from dsassist.index.queries import Queries
from dsassist.index.resolve import Target

__all__ = ["ContextPiece", "Rank", "overlap"]

_STOP = 0.25
"""Share of a node's weight that stays with it; the rest goes along its edges."""
_PUSHES = 48
_NEAR_LINES = 25.0
_FAR_LINES = 150
"""What is mentioned farther from the line counts for nothing."""
_WHOLE_BYTES = 900
"""A definition up to this size is given whole, a larger one as its head."""


@dataclass(frozen=True, slots=True)
class ContextPiece:
    """A piece of another file. ``text`` is code; ``lines`` are its first and last line, from 0."""

    path: str
    name: str
    text: str
    score: float
    lines: tuple[int, int]
    is_usage: bool = False


class Rank(Queries):
    """Context and workspace-wide search."""

    _name_list: NameList | None = None
    _edges: dict[Target, dict[Target, float]] | None = None

    def _derived_changed(self) -> None:
        self._edges = None
        super()._derived_changed()

    def _invalidate(self, *paths: str) -> None:
        # what a definition mentions changes with its own file's links only
        kept = self._edges or {}
        super()._invalidate(*paths)
        self._edges = {target: edges for target, edges in kept.items() if target[0] not in paths}

    def _names_added(self, names: Iterable[str]) -> None:
        if self._name_list is not None:
            self._name_list.add(names)

    def symbols(self, query: str, limit: int = 60) -> tuple[tuple[Target, SymbolInfo], ...]:
        """Symbols of the workspace by fuzzy name, best first. A dotted query names containers too
        (``Class.method``)."""
        container, _, last = query.replace("::", ".").rpartition(".")
        with self._reading():
            if self._name_list is None:
                self._name_list = NameList(self._store.defined_names())
            for overlay in self._overlays.values():
                self._name_list.add(overlay.definitions)
            found: list[tuple[float, Target, SymbolInfo]] = []
            for score, name in self._name_list.search(last, limit):
                for target, info in self._defined(name):
                    if container and container.lower() not in f"{target[0]}.{info.container}".lower().replace("/", "."):
                        continue
                    found.append(
                        (
                            score + (0.01 if info.kind in TYPE_KINDS else 0.0) - (0.02 if "test" in target[0] else 0.0),
                            target,
                            info,
                        )
                    )
                if len(found) >= limit:
                    break
            found.sort(key=lambda item: (-item[0], len(item[2].name), item[1]))
            return tuple((target, info) for _, target, info in found[:limit])

    def _defined(self, name: str, most: int = 12) -> list[tuple[Target, SymbolInfo]]:
        paths = [self._paths[file] for file in self._store.files_with(name, defined=True) if file in self._paths]
        paths += [path for path, overlay in self._overlays.items() if name in overlay.definitions and path not in paths]
        out = []
        for path in paths[:most]:
            module = self._module(path)
            if module is None or name not in module.names:
                continue
            for index in module.named(name):
                sym = module.symbols[index]
                if sym.kind not in (Kind.IMPORT, Kind.PARAMETER) and module.facts.scopes[sym.scope].kind <= 1:
                    out.append(((path, module.qualified(index)), self._symbol_info(module, index, texts=False)))
        return out

    def warm_up(self) -> None:
        """Load what the first search and the first query need."""
        with self._reading():
            if self._name_list is None:
                self._name_list = NameList(self._store.defined_names())

    def context_for(self, path: str, line: int, column: int, budget_bytes: int = 6000) -> tuple[ContextPiece, ...]:
        """The most useful pieces of other files for someone who writes at a position, best first, within a budget.

        Unknown files give nothing. ``column`` only breaks ties and may be 0.
        """
        with self._reading():
            view, module = self._view(path), self._module(path)
            if view is None or module is None:
                return ()
            seeds = self._seeds(path, module, line)
            weights = self._spread(seeds)
            pieces: list[ContextPiece] = []
            left = budget_bytes
            seen: set[Target] = set()
            for target, weight in sorted(weights.items(), key=lambda item: (-item[1], item[0])):
                if (
                    target[0] == path
                    or not target[0]
                    or not target[1]
                    or target in seen
                    or left < 60
                    or len(pieces) >= 24
                ):
                    continue
                # A member stands for itself; its class follows with its own weight.
                piece = self._piece(target, weight)
                if piece is None or any(
                    piece.path == other.path and overlap(piece.lines, other.lines) for other in pieces
                ):
                    continue
                size = len(piece.text.encode("utf-8", "replace"))
                if size <= left:
                    seen.add(target)
                    pieces.append(piece)
                    left -= size
            if left > 200:
                pieces += self._usages(path, [target for target in seeds if target in seen][:3], left)
            return tuple(pieces)

    def _seeds(self, path: str, module: Module, line: int) -> dict[Target, float]:
        """What the file mentions, the nearer to the line the heavier."""
        view = self._view(path)
        assert view is not None
        occurrences = view.occurrences
        found: dict[Target, float] = {}
        first, last = (
            bisect_left(occurrences.line, line - _FAR_LINES),
            bisect_right(occurrences.line, line + _FAR_LINES),
        )
        for index in range(first, last):
            answer = self._answer(path, view, index)
            if answer is None or not answer.targets:
                continue
            distance = abs(occurrences.line[index] - line)
            weight = 1.0 / (1.0 + distance / _NEAR_LINES)
            for target in answer.targets:
                if target[0] and target[1] and target[0] != path:
                    found[target] = found.get(target, 0.0) * 0.5 + weight if target in found else weight
        total = sum(found.values()) or 1.0
        return {
            target: weight / total
            for target, weight in sorted(found.items(), key=lambda item: (-item[1], item[0]))[:64]
        }

    def _spread(self, seeds: dict[Target, float]) -> dict[Target, float]:
        """Personalised PageRank from the seeds, by forward push."""
        rest = dict(seeds)
        rank: dict[Target, float] = {}
        for _ in range(_PUSHES):
            if not rest:
                break
            target = max(rest, key=lambda item: (rest[item], item))
            weight = rest.pop(target)
            if weight < 1e-3:
                rank[target] = rank.get(target, 0.0) + weight
                break
            rank[target] = rank.get(target, 0.0) + _STOP * weight
            edges = self._out(target)
            total = sum(edges.values())
            for other, share in edges.items():
                rest[other] = rest.get(other, 0.0) + (1 - _STOP) * weight * share / total
        for target, weight in rest.items():
            rank[target] = rank.get(target, 0.0) + weight * _STOP
        return rank

    def _out(self, target: Target) -> dict[Target, float]:
        """What a symbol's definition mentions, with how often; its head counts more than its body."""
        if self._edges is None:
            self._edges = {}
        known = self._edges.get(target)
        if known is not None:
            return known
        edges: dict[Target, float] = {}
        module = self._module(target[0]) if target[0] else None
        symbol = module.by_qualified(target[1]) if module is not None else -1
        view = self._view(target[0]) if symbol >= 0 else None
        if module is not None and view is not None and symbol >= 0:
            sym = module.symbols[symbol]
            starts = module.starts
            occurrences = view.occurrences
            first, last = _line(starts, sym.start), _line(starts, sym.end)
            for index in range(bisect_left(occurrences.line, first), bisect_right(occurrences.line, last)):
                at = starts[occurrences.line[index]] + occurrences.column[index]
                if at < sym.start or at >= sym.end or occurrences.role[index] & Role.DEFINITION:
                    continue
                answer = self._answer(target[0], view, index)
                if answer is not None:
                    for other in answer.targets:
                        if other[0] and other[1] and other != target:
                            edges[other] = edges.get(other, 0.0) + (3.0 if at < sym.head_end else 1.0)
                if len(edges) >= 40:
                    break
            owner = module.facts.scopes[sym.scope].owner
            if owner >= 0:
                edges[(target[0], module.qualified(owner))] = 2.0
        if len(self._edges) > 20_000:
            self._edges.clear()
        self._edges[target] = edges
        return edges

    def _piece(self, target: Target, score: float) -> ContextPiece | None:
        """The code of a definition: whole where it is short, else its head and, of a class, its members' heads."""
        module = self._module(target[0])
        symbol = module.by_qualified(target[1]) if module is not None else -1
        if module is None or symbol < 0:
            return None
        sym = module.symbols[symbol]
        if not sym.end or sym.kind in (Kind.IMPORT, Kind.PARAMETER):
            return None
        source = self._text(target[0])
        starts = module.starts
        first = _line(starts, sym.start)
        begin = starts[first]
        if sym.end - begin <= _WHOLE_BYTES:
            text, last = source[begin : sym.end], _line(starts, sym.end)
        elif sym.kind in TYPE_KINDS:
            text, last = self._class_outline(module, symbol, source, starts), first
        elif sym.kind in CALLABLE_KINDS:
            cut = _end_of_line(source, max(sym.head_end, sym.doc_end if 0 < sym.doc_end - sym.doc_start < 400 else 0))
            text, last = source[begin:cut] + b"\n    ...", _line(starts, cut)
        else:
            text, last = source[begin : _end_of_line(source, sym.start)], first
        decoded = text.decode("utf-8", "replace").rstrip()
        return ContextPiece(target[0], target[1], decoded, score, (first, last)) if decoded else None

    def _class_outline(self, module: Module, symbol: int, source: bytes, starts: list[int]) -> bytes:
        sym = module.symbols[symbol]
        lines = [source[starts[_line(starts, sym.start)] : _end_of_line(source, sym.head_end)]]
        size = len(lines[0])
        for body in sym.bodies:
            members = sorted(module.members(body).values(), key=lambda item: module.symbols[item].start)
            for member in members:
                item = module.symbols[member]
                if not item.end or item.kind == Kind.IMPORT or size > 1200:
                    continue
                head = source[
                    starts[_line(starts, item.start)] : _end_of_line(
                        source, max(item.head_end if item.kind in CALLABLE_KINDS else item.start, item.start)
                    )
                ]
                lines.append(head[:300])
                size += len(lines[-1])
        return b"\n".join(lines)

    def _usages(self, path: str, targets: list[Target], budget: int) -> list[ContextPiece]:
        """One call of each target from a third file, with the lines around it."""
        out: list[ContextPiece] = []
        for target in targets:
            for reference in self._references((target,), set(), False).references:
                place = reference.location
                if not reference.is_call or place.path in (path, target[0]):
                    continue
                lines = self._text(place.path).split(b"\n")
                first, last = max(0, place.line - 2), min(len(lines), place.line + 3)
                text = b"\n".join(lines[first:last]).decode("utf-8", "replace").rstrip()
                if len(text.encode("utf-8", "replace")) <= budget:
                    budget -= len(text)
                    out.append(ContextPiece(place.path, target[1], text, 0.0, (first, last - 1), is_usage=True))
                break
        return out


def _line(starts: list[int], at: int) -> int:
    return min(bisect_right(starts, at) - 1, len(starts) - 2)


def _end_of_line(source: bytes, at: int) -> int:
    end = source.find(b"\n", at)
    return len(source) if end < 0 else end


def overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Do two pieces, each given by its first and last line, share a line?"""
    return a[0] <= b[1] and b[0] <= a[1]
