"""Python: expressions, targets and annotations.

``x`` walks an expression, reports every name in it, and returns what is known about its value (-1: nothing).
Long, because it is one method a kind of node; read it as a table.
"""

from __future__ import annotations

from collections.abc import Callable

from tree_sitter import Node

from dsassist.index.languages.base import by_kind
from dsassist.index.languages.python.known import GRAMMAR
from dsassist.index.languages.python.targets import Targets
from dsassist.index.model import Kind, Op, Role, ScopeKind, SymbolFlag

__all__ = ["Expressions"]

_CLASS, _ATTR, _CALL = int(ScopeKind.CLASS), int(Op.ATTR), int(Op.CALL)
_LISTS = frozenset({b"list", b"set", b"tuple", b"sorted", b"reversed", b"frozenset", b"iter"})
_TYPING = frozenset(
    {
        b"Union", b"Optional", b"List", b"Dict", b"Tuple", b"Callable", b"Type", b"Sequence", b"Iterable", b"Mapping",
        b"Iterator", b"Set", b"FrozenSet", b"Awaitable", b"Coroutine", b"Generator", b"AsyncIterator",
        b"MutableMapping",
    }
)  # fmt: skip
_FIRST = frozenset({b"next", b"max", b"min"})
_LITERALS = {
    "integer": "int", "float": "float", "true": "bool", "false": "bool", "comparison_operator": "bool",
    "not_operator": "bool",
}  # fmt: skip


class Expressions(Targets):
    """The lower half of the walk; ``PythonWalk`` adds statements."""

    def x(self, node: Node) -> int:
        """Walk an expression."""
        handler = _EXPRESSIONS.get(node.kind_id)
        if handler is None:
            self.generic(node)
            return -1
        return handler(self, node)

    def generic(self, node: Node) -> None:
        """Walk the parts of something with no value of its own."""
        for child in node.named_children:
            self.x(child)

    def nothing(self, node: Node) -> int:
        """A leaf without names."""
        name = _LITERALS.get(node.type)
        return -1 if name is None else self.builder.expr(Op.BUILTIN, name, ())

    def identifier(self, node: Node) -> int:
        builder = self.builder
        scope = builder.scope
        name = builder.name(builder.source[node.start_byte : node.end_byte])
        # In a class body a name is the enclosing scope's until the class has bound it (``Error = Error``).
        if builder.scope_kinds[scope] == _CLASS and (scope, name) not in builder.bound:
            scope = builder.scope_parents[scope]
        builder.read(node, Role.TYPE if self.in_type else 0, scope)
        if self.in_type and builder.text(node) == b"Self" and (own := self.own_type(b"Self")) >= 0:
            return own
        expr = builder.name_expr(name, scope)
        return self.flow.get(expr, expr) if self.flow else expr

    def attribute(self, node: Node) -> int:
        builder = self.builder
        base, name = node.child_by_field_name("object"), node.child_by_field_name("attribute")
        if base is None or name is None:
            self.generic(node)
            return -1
        receiver = self.x(base)
        builder.attribute(name, receiver, Role.TYPE if self.in_type else 0)
        if self.in_type and base.kind_id == self.k_identifier and builder.text(name) == b"Self":
            own = self.own_type(builder.text(base))
            if own >= 0:
                return own
        if self.flow:
            key = self.plain(node)
            if key in self.flow:
                return self.flow[key]
        return builder.on(_ATTR, receiver, builder.name(builder.text(name)))

    def call(self, node: Node) -> int:
        builder = self.builder
        function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        if function is None or arguments is None:
            self.generic(node)
            return -1
        callee = self.x(function)
        if function.kind_id == self.k_identifier or function.kind_id == self.k_attribute:
            self.mark_call(function)
        text = builder.text(function) if function.kind_id == self.k_identifier else b""
        values: list[int] = []
        bound = -1
        for child in arguments.named_children if arguments.type == "argument_list" else [arguments]:
            if child.kind_id == self.k_keyword:
                name_node, value = child.child_by_field_name("name"), child.child_by_field_name("value")
                if name_node is not None:
                    # ``partial(f, key=value)``: a parameter of what is held back.
                    held = function.kind_id in (self.k_identifier, self.k_attribute) and values
                    partial = held and builder.text(function).rpartition(b".")[2] == b"partial"
                    builder.keyword(name_node, values[0] if partial else callee)
                if value is not None and text == b"TypeVar":
                    limit = self.type_x(value)
                    bound = limit if name_node is not None and builder.text(name_node) == b"bound" else bound
                elif value is not None:
                    self.x(value)
            elif text == b"cast" and not values:
                values.append(self.annotation(child))
            else:
                values.append(self.x(child))
        first = values[0] if values else -1
        if text == b"TypeVar" and bound >= 0:
            return builder.expr(Op.BUILTIN, "TypeVar", (builder.expr(Op.INSTANCE, bound),))
        if text:
            special = self.special(text, values, arguments)
            if special is not None:
                return special
        return builder.on(_CALL, callee, first)

    def mark_call(self, callee: Node) -> None:
        """The last name reported, if it is one of ``callee``'s, is what is called."""
        rows = self.builder.occurrences
        if rows and rows[-1][0] >= callee.start_byte:
            start, name, role, ref, scope = rows[-1]
            rows[-1] = (start, name, role | Role.CALL, ref, scope)

    def special(self, text: bytes, values: list[int], arguments: Node) -> int | None:
        """Built-in calls whose result follows from their arguments; None for all others."""
        builder = self.builder
        if text == b"super":
            scope = builder.scope
            while scope >= 0 and builder.scope_kinds[scope] != ScopeKind.CLASS:
                scope = builder.scope_parents[scope]
            if scope < 0:
                return -1
            is_class = self.function_symbol >= 0 and bool(
                builder.drafts[self.function_symbol].flags & SymbolFlag.CLASSMETHOD
            )
            return builder.expr(Op.SUPER, scope, int(is_class))
        if not values or self.shadowed(text):
            return None
        item = builder.on(Op.ITERATE, values[0])
        if text in _LISTS and len(values) == 1:
            return builder.expr(Op.BUILTIN, "list", (item,))
        if text in _FIRST and len(arguments.named_children) <= 2:
            return item
        if text == b"enumerate":
            return builder.expr(Op.BUILTIN, "list", (builder.expr(Op.TUPLE, (-1, item)),))
        if text == b"zip":
            items = tuple(builder.on(Op.ITERATE, value) for value in values)
            return builder.expr(Op.BUILTIN, "list", (builder.expr(Op.TUPLE, items),))
        if text == b"filter" and len(values) == 2:
            return builder.expr(Op.BUILTIN, "list", (builder.on(Op.ITERATE, values[1]),))
        if text == b"map" and len(values) == 2:
            return builder.expr(Op.BUILTIN, "list", (builder.on(Op.CALL, values[0]),))
        if text == b"type" and len(values) == 1:
            return builder.on(Op.ATTR, values[0], builder.name(b"__class__"))
        if text == b"cast" and len(values) == 2:
            return builder.on(Op.INSTANCE, values[0])
        return None

    def shadowed(self, text: bytes) -> bool:
        """Has the module given a built-in's name another meaning? ``cast`` is never a built-in."""
        return text != b"cast" and self.builder.module_kind(text) is not None

    def subscript(self, node: Node) -> int:
        builder = self.builder
        value = node.child_by_field_name("value")
        if value is None:
            self.generic(node)
            return -1
        base = self.x(value)
        was = self.in_type
        if self.in_type and builder.text(value).rpartition(b".")[2] in (b"Literal", b"Annotated"):
            self.in_type = False
            annotated = builder.text(value).endswith(b"Annotated")
            items = [
                self.type_x(child) if annotated and index == 0 else self.x(child)
                for index, child in enumerate(node.children_by_field_name("subscript"))
            ]
            self.in_type = was
            if builder.text(value).endswith(b"Annotated") and items:
                return items[0]
            return -1
        parts = node.children_by_field_name("subscript")
        # ``Alias = Union[str, "Style"]``: a type, though not in an annotation.
        typed = not was and builder.text(value).rpartition(b".")[2] in _TYPING
        items = [self.type_x(child) if typed else self.x(child) for child in parts]
        if len(items) == 1:
            if not was and items[0] >= 0 and builder.exprs[items[0]][0] == Op.BUILTIN:
                number = builder.text(parts[0])
                if number.isdigit() and len(number) < 4:
                    return builder.on(Op.ITEM, base, int(number))
            return builder.on(Op.SUBSCRIPT, base, items[0])
        return builder.on(Op.SUBSCRIPT, base, builder.expr(Op.TUPLE, tuple(items)))

    def slice(self, node: Node) -> int:
        self.generic(node)
        return self.builder.expr(Op.BUILTIN, "slice", ())

    def paren(self, node: Node) -> int:
        result = -1
        for child in node.named_children:
            if child.kind_id != self.k_comment:
                result = self.x(child)
        return result

    def await_(self, node: Node) -> int:
        return self.builder.on(Op.AWAIT, self.paren(node))

    def yield_(self, node: Node) -> int:
        builder = self.builder
        value = self.paren(node)
        if self.function_symbol >= 0:
            draft = builder.drafts[self.function_symbol]
            if not draft.flags & SymbolFlag.GENERATOR:
                draft.flags |= SymbolFlag.GENERATOR
                draft.values = []
            if any(child.type == "from" for child in node.children):
                value = builder.on(Op.ITERATE, value)
            builder.value(self.function_symbol, value)
        return -1

    def conditional(self, node: Node) -> int:
        parts = [child for child in node.named_children if child.kind_id != self.k_comment]
        if len(parts) != 3:
            self.generic(node)
            return -1
        before = self.flow
        self.x(parts[1])
        positive, negative = self.narrowings(parts[1])
        self.flow = {**before, **positive}
        first = self.x(parts[0])
        self.flow = {**before, **negative}
        second = self.x(parts[2])
        self.flow = before
        return self.builder.union([first, second])

    def boolean(self, node: Node) -> int:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if left is None or right is None:
            self.generic(node)
            return -1
        first = self.x(left)
        before = self.flow
        is_and = any(child.type == "and" for child in node.children)
        self.flow = {**before, **self.narrowings(left)[0 if is_and else 1]}
        second = self.x(right)
        self.flow = before
        return second if is_and else self.builder.union([first, second])

    def binary(self, node: Node) -> int:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if left is None or right is None:
            self.generic(node)
            return -1
        first, second = self.x(left), self.x(right)
        if self.in_type:
            return self.builder.union([first, second])
        # An operator's result: known only for a text that is formatted or joined.
        known = [self.builder.exprs[e] for e in (first, second) if e >= 0]
        return self.builder.expr(Op.BUILTIN, "str", ()) if any(e[:2] == (Op.BUILTIN, "str") for e in known) else -1

    def collection(self, node: Node) -> int:
        builder = self.builder
        items = [self.x(child) for child in node.named_children if child.kind_id != self.k_comment]
        if node.kind_id == self.k_tuple or node.kind_id == self.k_expression_list:
            return builder.expr(Op.TUPLE, tuple(items)) if len(items) <= 12 else -1
        return builder.expr(Op.BUILTIN, "list", (builder.union(items[:12]),))

    def dictionary(self, node: Node) -> int:
        builder = self.builder
        keys, values = [], []
        for child in node.named_children:
            if child.type == "pair":
                key, value = child.child_by_field_name("key"), child.child_by_field_name("value")
                keys.append(self.x(key) if key is not None else -1)
                values.append(self.x(value) if value is not None else -1)
            else:
                self.x(child)
        return builder.expr(Op.BUILTIN, "dict", (builder.union(keys[:8]), builder.union(values[:8])))

    def comprehension(self, node: Node) -> int:
        builder = self.builder
        clauses = node.named_children
        body = node.child_by_field_name("body")
        first = next((child for child in clauses if child.type == "for_in_clause"), None)
        source = -1
        if first is not None:
            rights = first.children_by_field_name("right")
            source = self.x(rights[0]) if rights else -1
        flow, self.flow = self.flow, dict(self.flow)
        outer_scope = builder.scope
        builder.open(ScopeKind.BLOCK, node)
        # Names of the enclosing function are known by that function's scope.
        if flow:
            for key, value in flow.items():
                moved = self.moved(key, outer_scope, builder.scope)
                if moved >= 0:
                    self.flow[moved] = value
        for clause in clauses:
            if clause.type == "for_in_clause":
                left, rights = clause.child_by_field_name("left"), clause.children_by_field_name("right")
                value = source if clause == first else (self.x(rights[0]) if rights else -1)
                if left is not None:
                    self.target(left, builder.on(Op.ITERATE, value), None, -1, clause)
            elif clause.type == "if_clause":
                for child in clause.named_children:
                    self.x(child)
                    self.flow.update(self.narrowings(child)[0])
        result: tuple[int, ...] = (-1,)
        if body is not None:
            if body.type == "pair":
                key_node, value_node = body.child_by_field_name("key"), body.child_by_field_name("value")
                result = (
                    self.x(key_node) if key_node is not None else -1,
                    self.x(value_node) if value_node is not None else -1,
                )
            else:
                result = (self.x(body),)
        builder.close()
        self.flow = flow
        return builder.expr(Op.BUILTIN, "dict" if len(result) == 2 else "list", result)

    def moved(self, expr: int, outer: int, inner: int) -> int:
        """The same name or member as seen from an inner scope."""
        op, a, b = self.builder.exprs[expr]
        if op == Op.NAME:
            return self.builder.name_expr(b, inner) if a == outer else -1
        if op == Op.ATTR:
            return self.builder.on(Op.ATTR, self.moved(a, outer, inner), b)
        return -1

    def lambda_(self, node: Node) -> int:
        builder = self.builder
        parameters, body = node.child_by_field_name("parameters"), node.child_by_field_name("body")
        builder.open(ScopeKind.FUNCTION, node)
        flow, self.flow = self.flow, {}
        if parameters is not None:
            self.parameters(parameters, -1, -1, False)
        result = self.x(body) if body is not None else -1
        self.flow = flow
        builder.close()
        return builder.on(Op.FUNCTION, result)

    def named(self, node: Node) -> int:
        builder = self.builder
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        expr = self.x(value) if value is not None else -1
        if name is not None:
            scope = builder.scope
            while builder.scope_kinds[scope] == ScopeKind.BLOCK:
                scope = builder.scope_parents[scope]
            symbol = builder.define(name, Kind.VARIABLE, scope, role=Role.WRITE)
            builder.extent(symbol, node)
            builder.value(symbol, expr)
            self.forget(builder.name_expr(builder.name(builder.text(name))))
        return expr


def _table() -> dict[int, Callable[[Expressions, Node], int]]:
    handlers: dict[str, Callable[[Expressions, Node], int]] = {
        "identifier": Expressions.identifier,
        "attribute": Expressions.attribute,
        "call": Expressions.call,
        "subscript": Expressions.subscript,
        "slice": Expressions.slice,
        "parenthesized_expression": Expressions.paren,
        "expression_statement": Expressions.paren,
        "type": Expressions.paren,
        "await": Expressions.await_,
        "yield": Expressions.yield_,
        "conditional_expression": Expressions.conditional,
        "boolean_operator": Expressions.boolean,
        "binary_operator": Expressions.binary,
        "list": Expressions.collection,
        "tuple": Expressions.collection,
        "set": Expressions.collection,
        "expression_list": Expressions.collection,
        "dictionary": Expressions.dictionary,
        "list_comprehension": Expressions.comprehension,
        "set_comprehension": Expressions.comprehension,
        "generator_expression": Expressions.comprehension,
        "dictionary_comprehension": Expressions.comprehension,
        "lambda": Expressions.lambda_,
        "named_expression": Expressions.named,
        "string": Expressions.string,
        "concatenated_string": Expressions.strings,
        "generic_type": Expressions.generic_type,
    }
    table = {kind: handlers[name] for kind, name in by_kind(GRAMMAR, handlers).items()}
    for name in (
        "integer",
        "float",
        "true",
        "false",
        "none",
        "comment",
        "ellipsis",
        "pass_statement",
        "break_statement",
        "continue_statement",
    ):
        kind = GRAMMAR.id_for_node_kind(name, True)
        if kind:
            table[kind] = Expressions.nothing
    # Assignments are expressions in this grammar; the statements' half of the walk has them.
    for name in ("assignment", "augmented_assignment"):
        kind = GRAMMAR.id_for_node_kind(name, True)
        if kind:
            method = "assignment" if name == "assignment" else "augmented"
            table[kind] = lambda walk, node, method=method: _as_expr(getattr(walk, method)(node))  # type: ignore[misc]
    return table


def _as_expr(value: int | None) -> int:
    return -1 if value is None else value


_EXPRESSIONS = _table()
