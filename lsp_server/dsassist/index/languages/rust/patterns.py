"""Rust: statements that bind names, and their patterns."""

from __future__ import annotations

from tree_sitter import Node

from dsassist.index.languages.rust.uses import Uses
from dsassist.index.model import Kind, Op, ScopeKind

__all__ = ["Patterns"]


class Patterns(Uses):
    """See the module's docstring."""

    def on_let_declaration(self, node: Node) -> int:
        kind = self.maybe(self.field(node, "type"))
        value = self.maybe(self.field(node, "value"))
        pattern = self.field(node, "pattern")
        if pattern is not None:
            self.pattern(pattern, self.instance(kind) if kind >= 0 else value, Kind.VARIABLE, node, kind)
        self.maybe(self.field(node, "alternative"))
        return -1

    def on_let_condition(self, node: Node) -> int:
        value = self.maybe(self.field(node, "value"))
        pattern = self.field(node, "pattern")
        if pattern is not None:
            self.pattern(pattern, value, Kind.VARIABLE, node)
        return -1

    def on_if_expression(self, node: Node) -> int:
        self.builder.open(ScopeKind.BLOCK, node)
        self.parts(node)
        self.builder.close()
        return -1

    on_while_expression = on_if_expression

    def on_for_expression(self, node: Node) -> int:
        builder = self.builder
        builder.open(ScopeKind.BLOCK, node)
        value, pattern = self.field(node, "value"), self.field(node, "pattern")
        items = builder.on(Op.ITERATE, self.maybe(value))
        if pattern is not None:
            self.pattern(pattern, items, Kind.VARIABLE, node)
        self.maybe(self.field(node, "body"))
        builder.close()
        return -1

    def on_match_expression(self, node: Node) -> int:
        value = self.maybe(self.field(node, "value"))
        body = self.field(node, "body")
        for arm in body.named_children if body is not None else ():
            self.builder.open(ScopeKind.BLOCK, arm)
            pattern = self.field(arm, "pattern")
            if pattern is not None:
                inner = pattern.named_children
                if inner:
                    self.pattern(inner[0], value, Kind.VARIABLE, arm)
                    for child in inner[1:]:
                        self.x(child)
            self.maybe(self.field(arm, "value"))
            self.builder.close()
        return -1

    def held(self, value: int) -> int:
        """What an ``Option`` or ``Result`` holds. A container's method that gives one counts as giving that."""
        return -1 if value < 0 else self.builder.expr(Op.MEMO, self.builder.expr(Op.ITERATE, value), value)

    def pattern(self, node: Node, value: int, kind: Kind, whole: Node, annotation: int = -1) -> None:
        """Lower-case names are bound, others are read."""
        builder = self.builder
        what = node.type
        if what == "identifier":
            if builder.text(node)[:1].isupper():
                self.leaf(node)
            elif builder.text(node) != b"_":
                self.variable(node, kind, whole, annotation, value)
        elif what in ("mut_pattern", "ref_pattern", "reference_pattern", "or_pattern", "match_pattern"):
            for child in node.named_children:
                if child.type != "mutable_specifier":
                    self.pattern(child, value, kind, whole, annotation)
        elif what == "tuple_pattern":
            for index, child in enumerate(node.named_children):
                self.pattern(child, builder.on(Op.ITEM, value, index), kind, whole)
        elif what == "tuple_struct_pattern":
            head = self.field(node, "type")
            self.maybe(head)
            name = builder.text(head) if head is not None else b""
            inner = self.held(value) if name in (b"Some", b"Ok") else -1
            for child in node.named_children:
                if child != head:
                    self.pattern(child, inner, kind, whole)
        elif what == "struct_pattern":
            head = self.field(node, "type")
            made = self.instance(self.maybe(head))
            for child in node.named_children:
                if child.type != "field_pattern":
                    continue
                field, inner_pattern = self.field(child, "name"), self.field(child, "pattern")
                if field is None:
                    continue
                member = builder.on(Op.ATTR, made, builder.name(builder.text(field)))
                if inner_pattern is None:
                    builder.attribute(field, made)
                    self.variable(field, kind, whole, -1, member)
                else:
                    builder.attribute(field, made)
                    self.pattern(inner_pattern, member, kind, whole)
        elif what in ("slice_pattern", "captured_pattern"):
            for child in node.named_children:
                self.pattern(child, -1, kind, whole)
        else:
            self.x(node)
