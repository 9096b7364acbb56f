"""Python: annotations, and strings that are types."""

from __future__ import annotations

from tree_sitter import Node, Parser, Range

from dsassist.index.languages.python.known import GRAMMAR, Known
from dsassist.index.model import Kind, Op, Role, ScopeKind

__all__ = ["Types"]


class Types(Known):
    """See the module's docstring."""

    def string(self, node: Node) -> int:
        if self.in_type:
            return self.forward_reference(node)
        for child in node.named_children:
            if child.type == "interpolation":
                self.generic(child)
        return self.builder.expr(Op.BUILTIN, "str", ())

    def strings(self, node: Node) -> int:
        for child in node.named_children:
            self.x(child)
        return self.builder.expr(Op.BUILTIN, "str", ())

    def forward_reference(self, node: Node) -> int:
        """A string in an annotation is an expression of its own."""
        content = [child for child in node.named_children if child.type == "string_content"]
        if len(content) != 1 or content[0].named_children or content[0].end_byte - content[0].start_byte > 500:
            return -1
        inner = content[0]
        span = Range(inner.start_point, inner.end_point, inner.start_byte, inner.end_byte)
        root = Parser(GRAMMAR, included_ranges=[span]).parse(self.builder.source).root_node
        statements = root.named_children
        if root.has_error or len(statements) != 1 or statements[0].type != "expression_statement":
            return -1
        before = len(self.builder.occurrences)
        result = self.paren(statements[0])
        rows = self.builder.occurrences
        for at in range(before, len(rows)):
            start, name, role, ref, scope = rows[at]
            rows[at] = (start, name, role | Role.STRING, ref, scope)
        return result

    def own_type(self, imported: bytes) -> int:
        """``Self``, as ``typing`` has it: the class that the code is in, at any depth. -1 where it is another's."""
        builder = self.builder
        scope = builder.scope
        while scope >= 0 and builder.scope_kinds[scope] != ScopeKind.CLASS:
            scope = builder.scope_parents[scope]
        if scope < 0 or builder.module_kind(imported) != Kind.IMPORT:
            return -1
        return builder.expr(Op.SELF, scope)

    def annotation(self, node: Node) -> int:
        """A type annotation: the expression of the type, not of an instance."""
        return self.type_x(node.named_children[0] if node.type == "type" and node.named_children else node)

    def type_x(self, node: Node) -> int:
        """Walk an expression that names a type."""
        was, self.in_type = self.in_type, True
        flow, self.flow = self.flow, {}
        result = self.x(node)
        self.in_type, self.flow = was, flow
        return result

    def generic_type(self, node: Node) -> int:
        """``name[parameters]`` where the grammar knows it for a type."""
        builder = self.builder
        parts = node.named_children
        if len(parts) != 2:
            self.generic(node)
            return -1
        base = self.x(parts[0])
        name = builder.text(parts[0])
        if name == b"Literal":
            return -1
        arguments = [self.annotation(child) if index == 0 or name != b"Annotated" else self.value_of(child)
                     for index, child in enumerate(parts[1].named_children)]  # fmt: skip
        if name == b"Annotated" and arguments:
            return arguments[0]
        inner = arguments[0] if len(arguments) == 1 else builder.expr(Op.TUPLE, tuple(arguments))
        return builder.on(Op.SUBSCRIPT, base, inner)

    def value_of(self, node: Node) -> int:
        """An ordinary expression inside a type."""
        was, self.in_type = self.in_type, False
        result = self.x(node.named_children[0] if node.type == "type" and node.named_children else node)
        self.in_type = was
        return result

    def type_parameters(self, node: Node) -> None:
        """``[T: Bound]``."""
        for child in node.named_children:
            inner = child.named_children[0] if child.named_children else child
            names = inner.named_children if inner.named_children else [inner]
            if inner.type == "constrained_type" and len(names) == 2:
                head = names[0].named_children[0] if names[0].named_children else names[0]
                symbol = self.builder.define(head, Kind.TYPE_PARAMETER)
                self.builder.drafts[symbol].annotation = self.annotation(names[1])
            elif inner.kind_id == self.k_identifier:
                self.builder.define(inner, Kind.TYPE_PARAMETER)
            else:
                self.x(inner)
