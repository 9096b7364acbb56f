"""What walks of languages with braces share: every name is read unless a language says that it is something else.

A language's walk is a subclass with a method ``on_KIND`` for each kind of node that binds, selects or calls; it returns
the expression of the node's value or type, or -1. Values and types share one expression language: where a type is
written, ``INSTANCE`` of it is a value of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tree_sitter import Node

from dsassist.index.builder import Builder
from dsassist.index.model import Kind, Op, Role, ScopeKind

__all__ = ["Braces", "comment_above"]

_WORD = re.compile(rb"\w+")
_ELEMENT_CALLBACKS = frozenset(
    {
        b"all", b"allMatch", b"and_then", b"any", b"anyMatch", b"filter", b"filter_map", b"find", b"flatMap",
        b"flat_map", b"forEach", b"for_each", b"ifPresent", b"inspect", b"is_some_and", b"map", b"max_by_key",
        b"min_by_key", b"noneMatch", b"peek", b"position", b"removeIf", b"retain", b"skip_while", b"sort_by_key",
        b"takeWhile", b"take_while",
    }
)  # fmt: skip
"""Methods that call their argument with an element of what they are called on."""


_MOST_COMMENTS = 100
"""That are taken for one documentation: finding the one before another takes as long as there are any before it."""


def comment_above(node: Node) -> tuple[int, int]:
    """The run of comments that ends on the line above, or its end, where it is very long."""
    above = node.prev_named_sibling
    line = node.start_point[0]
    start, end, left = 0, 0, _MOST_COMMENTS
    while above is not None and left and "comment" in above.type and above.end_point[0] >= line - 1:
        start, end = above.start_byte, end or above.end_byte
        line = above.start_point[0]
        left -= 1
        above = above.prev_named_sibling
    return start, end


class Braces:
    """The shared walk."""

    leaves = frozenset({"identifier", "type_identifier"})
    blocks = frozenset({"block"})
    bodies: frozenset[str] = frozenset()
    """Kinds of bodies of classes that are more than their parts."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.function_symbol = -1
        self.this = -1
        """Expression of the type that the code is in."""
        self.handed = -1
        """What a function literal among the arguments gets first, or -1."""
        self._handlers: dict[str, Callable[[Node], int] | None] = {}

    def module(self, root: Node) -> None:
        """Walk the whole file."""
        self.builder.open(ScopeKind.MODULE, root)
        self.parts(root)
        self.builder.close()

    def x(self, node: Node) -> int:
        """Walk a node."""
        kind = node.type
        if kind not in self._handlers:
            self._handlers[kind] = getattr(self, f"on_{kind}", None)
        handler = self._handlers[kind]
        if handler is not None:
            return handler(node)
        if kind in self.leaves:
            return self.leaf(node)
        if kind in self.blocks:
            self.builder.open(ScopeKind.BLOCK, node)
            self.parts(node)
            self.builder.close()
            return -1
        return self.parts(node)

    def parts(self, node: Node) -> int:
        """Walk the parts; the value of the only one."""
        result = -1
        children = node.named_children
        for child in children:
            result = self.x(child)
        return result if len(children) == 1 else -1

    def leaf(self, node: Node) -> int:
        """A name that is looked up."""
        builder = self.builder
        builder.read(node)
        return builder.name_expr(builder.name(builder.text(node)))

    def field(self, node: Node, name: str) -> Node | None:
        """A child by field."""
        return node.child_by_field_name(name)

    def maybe(self, node: Node | None) -> int:
        """Walk a node that may not be there."""
        return -1 if node is None else self.x(node)

    def member(self, base: Node, name: Node, role: int = 0) -> int:
        """``base.name``."""
        return self.select(self.x(base), name, role)

    def select(self, receiver: int, name: Node, role: int = 0) -> int:
        """A member of an expression."""
        builder = self.builder
        builder.attribute(name, receiver, role)
        return builder.on(Op.ATTR, receiver, builder.name(builder.text(name)))

    def call(self, callee: int, arguments: Node | None) -> int:
        """The last name reported is called."""
        rows = self.builder.occurrences
        if rows and callee >= 0:
            start, name, role, ref, scope = rows[-1]
            rows[-1] = (start, name, role | Role.CALL, ref, scope)
        if arguments is not None:
            op, receiver, _ = self.builder.exprs[callee] if callee >= 0 else (-1, -1, -1)
            outer, self.handed = self.handed, -1
            if op == Op.ATTR and rows:
                start = rows[-1][0]
                called = _WORD.match(self.builder.source, start, start + 40)
                if called is not None and called[0] in _ELEMENT_CALLBACKS:
                    self.handed = self.builder.expr(Op.ITERATE, receiver)
            self.parts(arguments)
            self.handed = outer
        return self.builder.on(Op.CALL, callee)

    def first_parameter(self) -> int:
        """What a function without types gets first, where it is handed to a method that calls it with elements."""
        found, self.handed = self.handed, -1
        return found

    def container(
        self, node: Node, kind: Kind, head_end: int, bases: list[int], body: Node | None, types: Node | None = None
    ) -> int:
        """A class or the like, whose name is in the field ``name``; members are walked by ``x``."""
        builder = self.builder
        name = self.field(node, "name")
        if name is None:
            return self.parts(node)
        symbol = builder.define(name, kind)
        builder.extent(symbol, node, head_end, comment_above(node))
        builder.open(ScopeKind.CLASS, node, symbol)
        self.maybe(types)
        builder.scope_bases[builder.scope] = tuple(base for base in bases if base >= 0)
        this, self.this = self.this, builder.name_expr(builder.drafts[symbol].name, builder.drafts[symbol].scope)
        function, self.function_symbol = self.function_symbol, -1
        if body is not None:
            (self.x if body.type in self.bodies else self.parts)(body)
        self.this, self.function_symbol = this, function
        builder.close()
        return symbol

    def function(
        self,
        node: Node,
        symbol: int,
        parameters: Node | None,
        body: Node | None,
        result: int = -1,
        types: Node | None = None,
    ) -> None:
        """Parameters and body in a scope of their own; ``result`` is the declared type."""
        builder = self.builder
        head = body.start_byte if body is not None else node.end_byte
        if symbol >= 0:
            draft = builder.extent(symbol, node, head, comment_above(node))
            if draft.annotation < 0:
                draft.annotation = result
        fresh = symbol >= 0 and not builder.drafts[symbol].bodies
        builder.open(ScopeKind.FUNCTION, node, symbol)
        self.maybe(types)
        before = len(builder.drafts)
        self.maybe(parameters)
        if fresh:
            builder.drafts[symbol].parameters = [
                at for at in range(before, len(builder.drafts)) if builder.drafts[at].kind == Kind.PARAMETER
            ]
        function, self.function_symbol = self.function_symbol, symbol
        if body is not None:
            self.parts(body)
        self.function_symbol = function
        builder.close()

    def variable(
        self, name: Node, kind: Kind, whole: Node, annotation: int = -1, value: int = -1, scope: int | None = None
    ) -> int:
        """Bind a name with a declared type, or a value, or both."""
        builder = self.builder
        symbol = builder.define(name, kind, scope)
        draft = builder.extent(symbol, whole, doc=comment_above(whole))
        if draft.annotation < 0:
            draft.annotation = annotation
        builder.value(symbol, value)
        return symbol

    def instance(self, type_expr: int) -> int:
        """A value of a type."""
        return self.builder.on(Op.INSTANCE, type_expr)

    def listed(self, type_expr: int, name: str = "list") -> int:
        """The type of sequences of a type."""
        return self.builder.expr(Op.BUILTIN, name, (self.instance(type_expr),))

    def generic(self, base: int, arguments: list[int]) -> int:
        """A type with type arguments."""
        if not arguments:
            return base
        builder = self.builder
        return builder.on(
            Op.SUBSCRIPT, base, arguments[0] if len(arguments) == 1 else builder.expr(Op.TUPLE, tuple(arguments))
        )

    def types_of(self, node: Node | None) -> list[int]:
        """Each type of a list."""
        return (
            [self.x(child) for child in node.named_children if "comment" not in child.type] if node is not None else []
        )

    def returned(self, node: Node) -> int:
        """A return statement: what the function gives, where its type is not declared."""
        value = self.parts(node)
        if self.function_symbol >= 0 and self.builder.drafts[self.function_symbol].annotation < 0:
            self.builder.value(self.function_symbol, value)
        return -1

    def on_return_statement(self, node: Node) -> int:
        """See ``returned``."""
        return self.returned(node)

    def on_parenthesized_expression(self, node: Node) -> int:
        """The inner value."""
        return self.parts(node)
