"""TypeScript types: every name in them is reported, the result is the expression of the type."""

from __future__ import annotations

from collections.abc import Callable

from tree_sitter import Node

from dsassist.index.builder import Builder
from dsassist.index.model import Kind, Op, Role, ScopeKind

__all__ = ["Types", "literal_of"]


class Types:
    """The part of the walk that reads types."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder

    def x(self, node: Node) -> int:
        """Walk an expression; ``EcmaWalk`` has it."""
        raise NotImplementedError

    def annotation(self, node: Node | None) -> int:
        """``: T`` as the expression of T."""
        if node is None:
            return -1
        parts = node.named_children
        return (
            self.t(parts[0]) if node.type in ("type_annotation", "opting_type_annotation") and parts else self.t(node)
        )

    def instance(self, node: Node | None) -> int:
        """A value of the type."""
        return self.builder.on(Op.INSTANCE, self.annotation(node))

    def t(self, node: Node) -> int:
        """Walk a type."""
        builder = self.builder
        kind = node.type
        if kind in ("type_identifier", "identifier"):
            builder.read(node, Role.TYPE)
            return builder.name_expr(builder.name(builder.text(node)))
        if kind in ("nested_type_identifier", "nested_identifier", "member_expression"):
            base = node.child_by_field_name("module") or node.child_by_field_name("object")
            name = node.child_by_field_name("name") or node.child_by_field_name("property")
            if base is None or name is None:
                return self.inside(node)
            receiver = self.t(base)
            builder.attribute(name, receiver, Role.TYPE)
            return builder.on(Op.ATTR, receiver, builder.name(builder.text(name)))
        if kind == "generic_type":
            name = node.child_by_field_name("name") or node.named_children[0]
            base_expr = self.t(name)
            arguments = node.child_by_field_name("type_arguments")
            items = [self.t(child) for child in arguments.named_children] if arguments is not None else []
            if not items:
                return base_expr
            return builder.on(
                Op.SUBSCRIPT, base_expr, items[0] if len(items) == 1 else builder.expr(Op.TUPLE, tuple(items))
            )
        if kind in ("union_type", "intersection_type", "parenthesized_type", "readonly_type"):
            return builder.union([self.t(child) for child in node.named_children])
        if kind == "array_type":
            inner = builder.union([self.t(child) for child in node.named_children])
            return builder.expr(Op.BUILTIN, "list", (builder.on(Op.INSTANCE, inner),))
        if kind == "tuple_type":
            items = [builder.on(Op.INSTANCE, self.t(child)) for child in node.named_children]
            return builder.expr(Op.TUPLE, tuple(items[:12]))
        if (
            kind == "object_type"
            and len(node.named_children) == 1
            and (held := self.mapped(node.named_children[0])) >= 0
        ):
            return held
        if kind in ("object_type", "interface_body"):
            scope = builder.open(ScopeKind.CLASS, node)
            self.type_members(node)
            builder.close()
            return builder.expr(Op.OBJECT, scope)
        if kind in ("function_type", "constructor_type"):
            builder.open(ScopeKind.FUNCTION, node)
            self.type_parameters(node.child_by_field_name("type_parameters"))
            parameters = node.child_by_field_name("parameters")
            types = self.signature(parameters) if parameters is not None else []
            result = self.instance(node.child_by_field_name("return_type") or node.child_by_field_name("type"))
            builder.close()
            return builder.expr(Op.SIGNATURE, result, tuple(builder.drafts[at].annotation for at in types))
        if kind == "type_query":
            return builder.union([self.x(child) for child in node.named_children])
        if kind == "lookup_type" and len(node.named_children) == 2:
            base = node.named_children[0]
            held = builder.on(Op.INSTANCE, self.t(base))
            return self.named_member(node.named_children[1], held, self.t)
        if kind == "conditional_type":
            values = [self.t(child) for child in node.named_children]
            return builder.union(values[-2:])
        if kind == "predefined_type":
            return builder.expr(Op.BUILTIN, builder.text(node).decode("utf-8", "replace"), ())
        if kind == "this_type":
            return self.x(node)
        if kind == "infer_type" and node.named_children:
            builder.define(node.named_children[0], Kind.TYPE_PARAMETER)
            return -1
        if kind == "mapped_type_clause":
            name = node.child_by_field_name("name")
            if name is not None:
                builder.define(name, Kind.TYPE_PARAMETER)
            for child in node.named_children:
                if child != name:
                    self.t(child)
            return -1
        if kind == "literal_type":
            said = node.named_children[0] if node.named_children else node
            text = literal_of(said, builder.text(said))
            return -1 if text is None else builder.expr(Op.LITERAL, text)
        if kind in ("string", "number", "template_string", "comment"):
            return -1
        return self.inside(node)

    def named_member(self, index: Node, receiver: int, other: Callable[[Node], int]) -> int:
        """``T["member"]`` and ``value["member"]``; anything else in the brackets is walked by ``other``."""
        builder = self.builder
        text = index.named_children[0] if index.type == "literal_type" and index.named_children else index
        if (
            receiver >= 0
            and text.type == "string"
            and len(text.named_children) == 1
            and text.named_children[0].type == "string_fragment"
        ):
            part = text.named_children[0]
            builder.attribute_at(part.start_byte, builder.text(part), receiver, Role.TYPE | Role.STRING)
            return builder.on(Op.ATTR, receiver, builder.name(builder.text(part)))
        other(index)
        return builder.on(Op.SUBSCRIPT, receiver)

    def mapped(self, node: Node) -> int:
        """``{ [K in keyof T]: … }`` has the members of T; -1 for anything else."""
        clause = next((child for child in node.named_children if child.type == "mapped_type_clause"), None)
        over = clause.child_by_field_name("type") if clause is not None else None
        if clause is None or over is None or over.type != "index_type_query" or not over.named_children:
            return -1
        builder = self.builder
        builder.open(ScopeKind.BLOCK, node)
        result = self.t(over.named_children[0])
        name = clause.child_by_field_name("name")
        if name is not None:
            builder.define(name, Kind.TYPE_PARAMETER)
        for child in (*clause.named_children, *node.named_children):
            if child not in (clause, name, over):
                self.t(child)
        builder.close()
        return result

    def inside(self, node: Node) -> int:
        """A type whose value is not known: read the names."""
        for child in node.named_children:
            self.t(child)
        return -1

    def type_parameters(self, node: Node | None) -> None:
        """``<T extends Bound = Default>``."""
        for child in node.named_children if node is not None else ():
            name = child.child_by_field_name("name")
            if name is None:
                continue
            symbol = self.builder.define(name, Kind.TYPE_PARAMETER)
            for part in child.named_children:
                if part != name:
                    bound = (
                        self.t(part.named_children[0])
                        if part.type in ("constraint", "default_type") and part.named_children
                        else self.t(part)
                    )
                    if self.builder.drafts[symbol].annotation < 0:
                        self.builder.drafts[symbol].annotation = bound
                    if part.type == "default_type":
                        self.builder.value(symbol, self.builder.on(Op.INSTANCE, bound))

    def signature(self, parameters: Node) -> list[int]:
        """Parameters of a type without a body: their symbols."""
        found = []
        for child in parameters.named_children:
            pattern = child.child_by_field_name("pattern")
            if pattern is not None and pattern.type == "identifier":
                symbol = self.builder.define(pattern, Kind.PARAMETER)
                self.builder.extent(symbol, child)
                self.builder.drafts[symbol].annotation = self.annotation(child.child_by_field_name("type"))
                found.append(symbol)
            elif child.child_by_field_name("type") is not None:
                self.annotation(child.child_by_field_name("type"))
        return found

    def type_members(self, body: Node) -> None:
        """Members of an interface or object type, bound in the current scope."""
        builder = self.builder
        for child in body.named_children:
            name = child.child_by_field_name("name")
            if child.type in ("property_signature", "public_field_definition") and name is not None:
                if name.type == "computed_property_name":
                    self.x(name)
                    continue
                symbol = builder.define(name, Kind.FIELD)
                builder.extent(symbol, child, doc=documentation(child))
                builder.drafts[symbol].annotation = self.annotation(child.child_by_field_name("type"))
            elif (
                child.type in ("method_signature", "abstract_method_signature", "function_signature")
                and name is not None
            ):
                symbol = builder.define(name, Kind.METHOD)
                self.bodyless(symbol, child)
            elif child.type == "call_signature":
                self.bodyless(builder.bind(builder.name(b"()"), Kind.METHOD), child)
            else:
                builder.open(ScopeKind.FUNCTION, child)
                parameters = child.child_by_field_name("parameters")
                if parameters is not None:
                    self.signature(parameters)
                    self.annotation(child.child_by_field_name("return_type"))
                else:
                    index = child.child_by_field_name("name")
                    if index is not None and child.type == "index_signature":
                        builder.define(index, Kind.PARAMETER)
                    for part in child.named_children:
                        if part != index:
                            self.t(part)
                builder.close()

    def bodyless(self, symbol: int, node: Node) -> None:
        """A method or function that is only declared."""
        builder = self.builder
        draft = builder.extent(symbol, node, doc=documentation(node))
        fresh = not draft.parameters
        builder.open(ScopeKind.FUNCTION, node, symbol)
        self.type_parameters(node.child_by_field_name("type_parameters"))
        parameters = node.child_by_field_name("parameters")
        if parameters is not None:
            found = self.signature(parameters)
            draft.parameters = found if fresh else draft.parameters
        result = self.annotation(node.child_by_field_name("return_type"))
        draft.annotation = result if draft.annotation < 0 else draft.annotation
        builder.close()


def documentation(node: Node) -> tuple[int, int]:
    """The comment right above a declaration."""
    above = node.prev_sibling
    if (
        above is None and node.parent is not None and node.parent.type in ("export_statement", "ambient_declaration")
    ) or (above is not None and above.type in ("export", "default", "declare") and node.parent is not None):
        above = node.parent.prev_sibling
    if above is not None and above.type == "comment":
        return above.start_byte, above.end_byte
    return 0, 0


def literal_of(node: Node, text: bytes) -> str | None:
    """What a literal says that tells the parts of a union apart: a text, true or false."""
    if node.type in ("true", "false"):
        return node.type
    return text[1:-1].decode("utf-8", "replace") if node.type == "string" else None
