"""Rust: modules written in line, and ``use``."""

from __future__ import annotations

from tree_sitter import Node

from dsassist.index.facts import OF_CLASS
from dsassist.index.languages.braces import Braces, comment_above
from dsassist.index.model import Kind, Op, ScopeKind

__all__ = ["Uses"]


class Uses(Braces):
    """Module paths. ``depth`` is how many modules in line the walk is in: their ``super`` is no other file."""

    depth = 0

    def on_mod_item(self, node: Node) -> int:
        builder = self.builder
        name, body = self.field(node, "name"), self.field(node, "body")
        if name is None:
            return self.parts(node)
        if body is None:
            symbol = builder.define(name, Kind.IMPORT)
            builder.extent(symbol, node)
            text = builder.text(name).decode("utf-8", "replace")
            builder.value(symbol, builder.expr(Op.IMPORT, builder.imports_entry(f"self::{text}")))
            return -1
        symbol = builder.define(name, Kind.NAMESPACE)
        builder.extent(symbol, node, body.start_byte, comment_above(node))
        scope = builder.open(ScopeKind.BLOCK, node, symbol)
        self.depth += 1
        self.parts(body)
        self.depth -= 1
        builder.close()
        builder.value(symbol, builder.expr(Op.OBJECT, scope))
        return -1

    def on_use_declaration(self, node: Node) -> int:
        argument = self.field(node, "argument")
        if argument is not None:
            self.use(argument, "", node)
        return -1

    def use(self, node: Node, prefix: str, whole: Node) -> None:
        """One branch of a use tree below ``prefix``."""
        builder = self.builder
        kind = node.type
        text = builder.text(node).decode("utf-8", "replace")
        if kind == "use_list":
            for child in node.named_children:
                self.use(child, prefix, whole)
        elif kind == "scoped_use_list":
            path, items = self.field(node, "path"), self.field(node, "list")
            head = prefix
            if path is not None:
                head = _path(prefix, builder.text(path).decode("utf-8", "replace"))
                self.pieces(path, prefix)
            if items is not None:
                self.use(items, head, whole)
        elif kind == "use_wildcard":
            path = node.named_children[0] if node.named_children else None
            head = _path(prefix, builder.text(path).decode("utf-8", "replace")) if path is not None else prefix
            if path is not None:
                self.pieces(path, prefix)
            entry = self.entry(f"{head}::*")
            # What a module in line takes from the one around it is in its scope anyway.
            if head != "super" or not self.depth:
                builder.stars.append(entry)
        elif kind == "use_as_clause":
            path, alias = self.field(node, "path"), self.field(node, "alias")
            if path is not None and alias is not None:
                self.pieces(path, prefix)
                self.bind(alias, _path(prefix, builder.text(path).decode("utf-8", "replace")), whole)
        elif kind in ("identifier", "scoped_identifier", "crate"):
            last = self.field(node, "name") if kind == "scoped_identifier" else node
            holder = self.field(node, "path") if kind == "scoped_identifier" else None
            if holder is not None:
                self.pieces(holder, prefix)
            if last is not None and last.type == "identifier":
                self.bind(last, _path(prefix, text), whole)
        elif kind == "self" and prefix:
            name = prefix.rpartition("::")[2].encode()
            symbol = builder.bind(builder.name(name), Kind.IMPORT)
            builder.value(symbol, builder.expr(Op.IMPORT, self.entry(prefix)))

    def entry(self, path: str) -> int:
        """The import entry of a path: its last part may be a module or an item, or the variant of an enumeration."""
        head, _, last = self.from_file(path).rpartition("::")
        if not head:
            return self.builder.imports_entry(last)
        return self.builder.imports_entry(head, OF_CLASS if _is_type(head.rpartition("::")[2]) else 0, last)

    def from_file(self, path: str) -> str:
        """A path as the file itself would write it: ``super`` of a module in line is still the file."""
        parts = path.split("::")
        above = next((at for at, part in enumerate(parts) if part != "super"), len(parts))
        if not self.depth or above < self.depth:
            return path
        return "::".join(["super"] * (above - self.depth) + ([] if above > self.depth else ["self"]) + parts[above:])

    def bind(self, name: Node, path: str, whole: Node) -> None:
        builder = self.builder
        symbol = builder.define(name, Kind.IMPORT)
        builder.extent(symbol, whole)
        builder.value(symbol, builder.expr(Op.IMPORT, self.entry(path)))

    def pieces(self, node: Node, prefix: str) -> None:
        """Report the parts of a path as what they mean."""
        builder = self.builder
        if node.type == "scoped_identifier":
            inner, last = self.field(node, "path"), self.field(node, "name")
            if inner is not None:
                self.pieces(inner, prefix)
            if last is not None and last.type == "identifier":
                builder.imported(
                    last.start_byte,
                    builder.text(last),
                    self.entry(_path(prefix, builder.text(node).decode("utf-8", "replace"))),
                )
        elif node.type == "identifier":
            builder.imported(
                node.start_byte,
                builder.text(node),
                self.entry(_path(prefix, builder.text(node).decode("utf-8", "replace"))),
            )


def _is_type(name: str) -> bool:
    """By the naming that the compiler insists on: ``Kind``, not ``kind`` and not ``KIND``."""
    return name[:1].isupper() and (len(name) == 1 or not name.isupper())


def _path(prefix: str, rest: str) -> str:
    return f"{prefix}::{rest}" if prefix else rest
