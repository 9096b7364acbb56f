"""Import and call graphs as Mermaid, DOT or SVG text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dsassist.index.hierarchy import Hierarchy
from dsassist.index.resolve import Target
from dsassist.index.syntax import Syntax

__all__ = ["Graph", "GraphMaker", "to_dot", "to_mermaid", "to_svg"]


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by name with edges and how many occurrences each stands for."""

    nodes: tuple[str, ...]
    edges: tuple[tuple[str, str, int], ...]
    dropped: int = 0
    """Nodes left out because there were too many; the best connected ones stay."""


class GraphMaker(Hierarchy, Syntax):
    """See the module's docstring."""

    def import_graph(self, under: str = "", most: int = 80) -> Graph:
        """Which files use which, below a folder."""
        with self._reading():
            edges: dict[tuple[str, str], int] = {}
            prefix = f"{under.rstrip('/')}/" if under and under != "." else ""
            for path in sorted(self._rows):
                if not prefix or path.startswith(prefix) or path == under:
                    edges.update({(path, other): count for other, count in self._uses(path).items()})
            return _cut(edges, most)

    def files_around(self, path: str, depth: int = 1, most: int = 40) -> Graph:
        """Which files the file uses and which use it, ``depth`` steps far, with every edge between those.

        The nearest stay where there are more than ``most``, and among them those that share the most places.

        Raises:
            WorkspaceError: the file is not in the index.
        """
        with self._reading():
            self._known(path)
            uses: dict[str, dict[str, int]] = {}

            def used_by(file: str) -> dict[str, int]:
                if file not in uses:
                    uses[file] = self._uses(file)
                return uses[file]

            kept, level, dropped = {path}, [path], set[str]()
            for _ in range(depth):
                weight: dict[str, int] = {}
                for file in level:
                    near = dict(used_by(file))
                    for other in (self._dependents(file) | self._overlays.keys()) - {file}:
                        near[other] = near.get(other, 0) + used_by(other).get(file, 0)
                    for other, count in near.items():
                        if count and other not in kept:
                            weight[other] = weight.get(other, 0) + count
                ranked = sorted(weight, key=lambda name: (-weight[name], name))
                level = ranked[: max(0, most - len(kept))]
                kept.update(level)
                dropped.update(ranked[len(level) :])
            edges = [
                (file, other, count)
                for file in sorted(kept)
                for other, count in sorted(used_by(file).items())
                if other in kept
            ]
            return Graph(tuple(sorted(kept)), tuple(edges), len(dropped - kept))

    def _uses(self, path: str) -> dict[str, int]:
        """Other files that a file uses something of, and in how many places."""
        view = self._view(path)
        found: dict[str, int] = {}
        if view is None:
            return found
        for index in range(len(view.occurrences.ref)):
            answer = self._answer(path, view, index)
            for target in answer.targets if answer is not None else ():
                if target[0] and target[0] != path and not target[0].endswith("/"):
                    found[target[0]] = found.get(target[0], 0) + 1
        return found

    def call_graph(self, targets: Sequence[Target], depth: int = 2, most: int = 80) -> Graph:
        """What functions call, and what that calls, ``depth`` steps far."""
        edges: dict[tuple[str, str], int] = {}
        seen: set[Target] = set(targets)
        level = list(targets)
        for _ in range(depth):
            following: list[Target] = []
            for target in level:
                for call in self.callees(target):
                    other = (call.symbol.location.path, call.symbol.qualified_name)
                    edges[(_label(target), _label(other))] = len(call.sites)
                    if other not in seen:
                        seen.add(other)
                        following.append(other)
            level = following
        if not edges:
            return Graph(tuple(_label(target) for target in targets), ())
        return _cut(edges, most)


def _label(target: Target) -> str:
    return f"{target[0]}:{target[1]}" if target[1] else target[0]


def _cut(edges: Mapping[tuple[str, str], int], most: int) -> Graph:
    weight: dict[str, int] = {}
    for (source, sink), count in edges.items():
        weight[source] = weight.get(source, 0) + count
        weight[sink] = weight.get(sink, 0) + count
    kept = set(sorted(weight, key=lambda name: (-weight[name], name))[:most])
    rows = tuple(
        (source, sink, count) for (source, sink), count in sorted(edges.items()) if source in kept and sink in kept
    )
    return Graph(tuple(sorted(kept)), rows, len(weight) - len(kept))


def to_mermaid(graph: Graph) -> str:
    """A Mermaid flowchart."""
    numbers = {name: index for index, name in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    lines += [f'  n{index}["{name.replace(chr(34), "#quot;")}"]' for name, index in numbers.items()]
    lines += [f"  n{numbers[source]} -->|{count}| n{numbers[sink]}" for source, sink, count in graph.edges]
    return "\n".join(lines) + "\n"


def to_dot(graph: Graph) -> str:
    """A Graphviz digraph."""

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines = ["digraph dsassist {", "  rankdir=LR; node [shape=box, fontname=sans-serif];"]
    lines += [f"  {quoted(name)};" for name in graph.nodes]
    lines += [f"  {quoted(source)} -> {quoted(sink)} [label={count}];" for source, sink, count in graph.edges]
    return "\n".join([*lines, "}"]) + "\n"


def to_svg(graph: Graph) -> str:
    """An SVG picture: columns by distance from nodes that nothing points to."""
    from html import escape  # for pictures only: its table of entities is large

    column = _columns(graph)
    rows: dict[int, list[str]] = {}
    for name in graph.nodes:
        rows.setdefault(column[name], []).append(name)
    widths = {number: 24 + 7 * max(len(name) for name in names) for number, names in rows.items()}
    left, at = {}, 20
    for number in sorted(rows):
        left[number] = at
        at += widths[number] + 70
    place = {
        name: (left[number], 20 + 40 * index) for number, names in rows.items() for index, name in enumerate(names)
    }
    height = 40 + 40 * max((len(names) for names in rows.values()), default=1)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{max(at - 50, 100)}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        '<defs><marker id="a" markerWidth="8" markerHeight="8" refX="7" refY="3" orient="auto">'
        '<path d="M0,0 L7,3 L0,6 z" fill="#777"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for source, sink, count in graph.edges:
        (x1, y1), (x2, y2) = place[source], place[sink]
        x1, y1, y2 = x1 + widths[column[source]], y1 + 13, y2 + 13
        middle = (x1 + x2) / 2
        wide = min(1 + count / 10, 4)
        out.append(
            f'<path d="M{x1},{y1} C{middle},{y1} {middle},{y2} {x2},{y2}" fill="none" stroke="#999" '
            f'stroke-width="{wide:.1f}" marker-end="url(#a)"/>'
        )
    for name, (x, y) in place.items():
        out.append(
            f'<rect x="{x}" y="{y}" width="{widths[column[name]]}" height="26" rx="4" fill="#eef3fb" stroke="#5b7db1"/>'
        )
        out.append(f'<text x="{x + 12}" y="{y + 17}">{escape(name)}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def _columns(graph: Graph) -> dict[str, int]:
    """Longest distance from a start; what lies on a circle keeps the distance it was first given."""
    sinks: dict[str, list[str]] = {}
    incoming = dict.fromkeys(graph.nodes, 0)
    for source, sink, _ in graph.edges:
        if source != sink:
            sinks.setdefault(source, []).append(sink)
            incoming[sink] += 1
    column = dict.fromkeys(graph.nodes, 0)
    todo = [name for name in graph.nodes if not incoming[name]]
    left = set(graph.nodes)
    while left:
        if not todo:
            todo = [min(left, key=lambda name: (incoming[name], name))]
        name = todo.pop()
        if name not in left:
            continue
        left.discard(name)
        for sink in sinks.get(name, ()):
            if sink in left:
                column[sink] = max(column[sink], column[name] + 1)
                incoming[sink] -= 1
                if incoming[sink] == 0:
                    todo.append(sink)
    return column
