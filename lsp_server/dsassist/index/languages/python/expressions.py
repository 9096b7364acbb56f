"""Python: expressions, targets and annotations.

``x`` walks an expression, reports every name in it, and returns what is known about its value (-1: nothing).
Long, because it is one method a kind of node; read it as a table.
"""

from __future__ import annotations

from collections.abc import Callable

import tree_sitter
import tree_sitter_python
from tree_sitter import Node, Parser, Range

from dsassist.index.builder import Builder
from dsassist.index.languages.base import by_kind
from dsassist.index.model import Kind, Op, Role, ScopeKind, SymbolFlag

__all__ = ["GRAMMAR", "Expressions"]

GRAMMAR = tree_sitter.Language(tree_sitter_python.language())

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


def _kind(name: str) -> int:
    return GRAMMAR.id_for_node_kind(name, True) or -1


class Expressions:
    """The lower half of the walk; ``PythonWalk`` adds statements."""

    k_identifier = _kind("identifier")
    k_attribute = _kind("attribute")
    k_keyword = _kind("keyword_argument")
    k_comment = _kind("comment")
    k_call = _kind("call")
    k_function = _kind("function_definition")
    k_decorator = _kind("decorator")
    k_block = _kind("block")
    k_elif = _kind("elif_clause")
    k_else = _kind("else_clause")
    k_as_pattern = _kind("as_pattern")
    k_case_pattern = _kind("case_pattern")
    k_string = _kind("string")
    k_not = _kind("not_operator")
    k_boolean = _kind("boolean_operator")
    k_paren = _kind("parenthesized_expression")
    k_tuple = _kind("tuple")
    k_list = _kind("list")
    k_expression_list = _kind("expression_list")
    k_targets = frozenset(
        map(_kind, ("pattern_list", "tuple_pattern", "list_pattern", "expression_list", "tuple", "list"))
    )
    k_leaving = frozenset(map(_kind, ("return_statement", "raise_statement", "continue_statement", "break_statement")))

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.flow: dict[int, int] = {}
        """Expression → what it surely is at this point of the walk."""
        self.touched: set[int] = set()
        self.function_symbol = -1
        self.receivers: dict[int, tuple[int, bool]] = {}
        """Symbol of a method's first parameter → (class scope, is it the class itself)."""
        self.in_type = False

    # What is known at a point

    def root_of(self, expr: int) -> int:
        """The name at the start of ``a.b.c``."""
        exprs = self.builder.exprs
        while exprs[expr][0] == Op.ATTR:
            expr = exprs[expr][1]
        return expr

    def forget(self, expr: int) -> None:
        """A name or member got another value: what was known about it and its members is void."""
        self.touched.add(expr)
        if self.flow:
            exprs = self.builder.exprs
            for key in [
                key for key in self.flow if key == expr or (exprs[key][0] == Op.ATTR and self.under(key, expr))
            ]:
                del self.flow[key]

    def under(self, expr: int, root: int) -> bool:
        """Is ``expr`` a member of ``root``, at any depth?"""
        exprs = self.builder.exprs
        while exprs[expr][0] == Op.ATTR:
            expr = exprs[expr][1]
            if expr == root:
                return True
        return False

    def learn(self, expr: int, value: int) -> None:
        """From here on ``expr`` is ``value``."""
        self.forget(expr)
        if self.builder.scope_kinds[self.builder.scope] == ScopeKind.FUNCTION:
            self.flow[expr] = value

    def plain(self, node: Node) -> int:
        """``a`` or ``a.b`` as an expression, reporting nothing; -1 for anything else."""
        if node.kind_id == self.k_identifier:
            return self.builder.name_expr(self.builder.name(self.builder.text(node)), self.function_scope())
        if node.kind_id == self.k_attribute:
            base, name = node.child_by_field_name("object"), node.child_by_field_name("attribute")
            if base is not None and name is not None:
                return self.builder.on(Op.ATTR, self.plain(base), self.builder.name(self.builder.text(name)))
        return -1

    def function_scope(self) -> int:
        """The scope from which names are keyed: comprehensions share their function's."""
        return self.builder.scope

    def narrowings(self, condition: Node) -> tuple[dict[int, int], dict[int, int]]:
        """What holds where the condition is true, and where it is false."""
        kind = condition.kind_id
        if kind == self.k_paren and condition.named_children:
            return self.narrowings(condition.named_children[0])
        if kind == self.k_not and condition.named_children:
            positive, negative = self.narrowings(condition.named_children[-1])
            return negative, positive
        if kind == self.k_boolean:
            left, right = condition.child_by_field_name("left"), condition.child_by_field_name("right")
            if left is None or right is None:
                return {}, {}
            first, second = self.narrowings(left), self.narrowings(right)
            if any(child.type == "and" for child in condition.children):
                return {**first[0], **second[0]}, {}
            return {}, {**first[1], **second[1]}
        if kind == self.k_call:
            function, arguments = condition.child_by_field_name("function"), condition.child_by_field_name("arguments")
            if (
                function is None
                or arguments is None
                or self.builder.text(function) not in (b"isinstance", b"issubclass")
            ):
                return {}, {}
            parts = arguments.named_children
            if len(parts) != 2:
                return {}, {}
            subject = self.plain(parts[0])
            classes = parts[1].named_children if parts[1].kind_id == self.k_tuple else [parts[1]]
            op = Op.INSTANCE if self.builder.text(function) == b"isinstance" else -1
            plain = [self.plain(item) for item in classes]
            if subject >= 0 and all(item >= 0 for item in plain):
                made = [self.builder.expr(op, item) for item in plain] if op >= 0 else plain
                return {subject: self.builder.expr(Op.MEMO, self.builder.union(made), subject)}, {}
        return {}, {}

    # Expressions

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
        if builder.scope_kinds[scope] == ScopeKind.CLASS and (scope, name) not in builder.bound:
            scope = builder.scope_parents[scope]
        builder.read(node, Role.TYPE if self.in_type else 0, scope)
        if self.in_type and builder.text(node) == b"Self" and (own := self.own_type(name)) >= 0:
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
            own = self.own_type(builder.name(builder.text(base)))
            if own >= 0:
                return own
        if self.flow:
            key = self.plain(node)
            if key in self.flow:
                return self.flow[key]
        return builder.on(Op.ATTR, receiver, builder.name(builder.text(name)))

    def own_type(self, imported: int) -> int:
        """``Self``, as ``typing`` has it: the class that the code is in, at any depth. -1 where it is another's."""
        builder = self.builder
        at, scope = builder.bound.get((0, imported)), builder.scope
        while scope >= 0 and builder.scope_kinds[scope] != ScopeKind.CLASS:
            scope = builder.scope_parents[scope]
        if scope < 0 or at is None or builder.drafts[at].kind != Kind.IMPORT:
            return -1
        return builder.expr(Op.SELF, scope)

    def call(self, node: Node) -> int:
        builder = self.builder
        function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        if function is None or arguments is None:
            self.generic(node)
            return -1
        callee = self.x(function)
        if function.kind_id == self.k_identifier or function.kind_id == self.k_attribute:
            self.mark_call()
        text = builder.text(function) if function.kind_id == self.k_identifier else b""
        values: list[int] = []
        bound = -1
        for child in arguments.named_children if arguments.type == "argument_list" else [arguments]:
            if child.kind_id == self.k_keyword:
                name_node, value = child.child_by_field_name("name"), child.child_by_field_name("value")
                if name_node is not None:
                    builder.keyword(name_node, callee)
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
        return builder.on(Op.CALL, callee, first)

    def mark_call(self) -> None:
        """The last name reported is what is called."""
        rows = self.builder.occurrences
        if rows:
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
        return text != b"cast" and (0, self.builder.name(text)) in self.builder.bound

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

    # Types

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

    # Parameters and targets

    def parameters(self, node: Node, symbol: int, class_scope: int, first_is_class: bool) -> None:
        """Bind parameters in the current scope; annotations and defaults belong to the enclosing one."""
        builder = self.builder
        scope = builder.scope
        outer = builder.scope_parents[scope]
        first = True
        for child in node.named_children:
            kind = child.type
            name: Node | None = child
            annotation = value = -1
            flags = 0
            if kind in ("typed_parameter", "typed_default_parameter", "default_parameter"):
                name = child.child_by_field_name("name") or (child.named_children[0] if child.named_children else None)
                type_node, default = child.child_by_field_name("type"), child.child_by_field_name("value")
                typed_scope = (
                    scope
                    if any(d.kind == Kind.TYPE_PARAMETER and d.scope == scope for d in builder.drafts[-8:])
                    else outer
                )
                builder.scope = typed_scope
                annotation = self.annotation(type_node) if type_node is not None else -1
                builder.scope = outer
                value = self.x(default) if default is not None else -1
                builder.scope = scope
            if name is not None and name.type in ("list_splat_pattern", "dictionary_splat_pattern"):
                flags = SymbolFlag.VARIADIC if name.type == "list_splat_pattern" else SymbolFlag.KEYWORDS
                name = name.named_children[0] if name.named_children else None
            if name is None or name.kind_id != self.k_identifier:
                continue
            parameter = builder.define(name, Kind.PARAMETER, flags=flags)
            draft = builder.extent(parameter, child)
            if annotation >= 0 and flags:
                many = flags == SymbolFlag.VARIADIC
                held = builder.expr(Op.BUILTIN, "list" if many else "dict", ())
                inner = annotation if many else builder.expr(Op.TUPLE, (-1, annotation))
                annotation = builder.expr(Op.SUBSCRIPT, held, inner)
            draft.annotation = annotation
            builder.value(parameter, value)
            if first and class_scope >= 0:
                draft.flags |= SymbolFlag.FIRST_ARGUMENT
                self.receivers[parameter] = (class_scope, first_is_class)
                if annotation < 0:
                    builder.value(
                        parameter, builder.expr(Op.CLASS_OF_SCOPE if first_is_class else Op.SELF, class_scope)
                    )
            if symbol >= 0:
                builder.drafts[symbol].parameters.append(parameter)
            first = False

    def variable_kind(self) -> Kind:
        """What a plain assignment binds here."""
        return Kind.FIELD if self.builder.scope_kinds[self.builder.scope] == ScopeKind.CLASS else Kind.VARIABLE

    def receiver_scope(self, node: Node) -> tuple[int, bool] | None:
        """The class scope, where ``node`` is the first parameter of a method."""
        builder = self.builder
        name = builder.name(builder.text(node))
        scope = builder.scope
        while scope >= 0:
            symbol = builder.bound.get((scope, name))
            if symbol is not None and builder.scope_kinds[scope] != ScopeKind.CLASS:
                return self.receivers.get(symbol)
            scope = builder.scope_parents[scope]
        return None

    def target(self, node: Node, value: int, right: Node | None, annotation: int, whole: Node) -> None:
        """Bind what ``node`` names to ``value``."""
        builder = self.builder
        kind = node.kind_id
        if kind == self.k_identifier:
            symbol = builder.define(node, self.variable_kind(), role=Role.WRITE)
            draft = builder.extent(symbol, whole)
            if annotation >= 0:
                draft.annotation = annotation
            builder.value(symbol, value)
            key = builder.name_expr(builder.name(builder.text(node)))
            if draft.annotation >= 0 or builder.text(node) == b"_":
                self.forget(key)
            elif not self.mentions(value, key):
                self.learn(key, value)
            else:
                self.forget(key)
            if right is not None and builder.scope == 0 and builder.text(node) == b"__all__":
                self.exported(right)
        elif kind == self.k_attribute:
            base, name = node.child_by_field_name("object"), node.child_by_field_name("attribute")
            if base is None or name is None:
                return self.generic(node)
            receiver = self.x(base)
            own = self.receiver_scope(base) if base.kind_id == self.k_identifier else None
            if own is not None:
                symbol = builder.define_member(name, receiver, own[0], Kind.FIELD, 0 if own[1] else SymbolFlag.INSTANCE)
                draft = builder.extent(symbol, whole)
                if draft.kind == Kind.FIELD:
                    if annotation >= 0:
                        draft.annotation = annotation
                    builder.value(symbol, value)
            else:
                builder.attribute(name, receiver, Role.WRITE)
            key = self.plain(node)
            if key >= 0:
                if value >= 0 and annotation < 0 and not self.mentions(value, key):
                    self.learn(key, value)
                else:
                    self.forget(key)
        elif kind in self.k_targets:
            parts = [child for child in node.named_children if child.kind_id != self.k_comment]
            known: tuple[int, ...] | None = None
            if value >= 0 and builder.exprs[value][0] == Op.TUPLE and len(builder.exprs[value][1]) == len(parts):
                known = builder.exprs[value][1]
            for index, part in enumerate(parts):
                item = known[index] if known is not None else builder.on(Op.ITEM, value, index)
                if part.type in ("list_splat_pattern", "list_splat"):
                    item = -1
                self.target(part, item, None, -1, whole)
        elif node.type in ("list_splat_pattern", "parenthesized_expression", "list_splat"):
            for child in node.named_children:
                self.target(child, value if node.type == "parenthesized_expression" else -1, None, -1, whole)
        else:
            self.x(node)
        return None

    def mentions(self, value: int, key: int) -> bool:
        """Would a value that is kept under ``key`` refer to itself? Depth is bounded, as is what is kept."""
        if value < 0:
            return False
        exprs = self.builder.exprs
        stack, seen = [value], 0
        while stack:
            at = stack.pop()
            seen += 1
            if at == key or seen > 40:
                return True
            _, a, b = exprs[at]
            op = exprs[at][0]
            if op in _CHILD_A:
                stack.append(a)
            elif op in (Op.UNION, Op.TUPLE):
                stack.extend(item for item in a if item >= 0)
            elif op == Op.BUILTIN:
                stack.extend(item for item in b if item >= 0)
        return False

    def written(self, node: Node) -> set[int]:
        """Names that a target binds."""
        if node.kind_id == self.k_identifier:
            return {self.builder.name_expr(self.builder.name(self.builder.text(node)))}
        return {key for child in node.named_children for key in self.written(child)}

    def exported(self, right: Node) -> None:
        """The names of ``__all__``: read from the module, listed for star imports."""
        builder = self.builder
        listed = builder.extra.setdefault("all", [])
        if right.type not in ("list", "tuple"):
            builder.extra["all_open"] = True
            return
        for child in right.named_children:
            content = [part for part in child.named_children if part.type == "string_content"]
            if child.kind_id == self.k_string and len(content) == 1:
                text = builder.text(content[0])
                listed.append(text.decode("utf-8", "replace"))
                builder.read_at(content[0].start_byte, text, Role.STRING)
            elif child.kind_id != self.k_comment:
                builder.extra["all_open"] = True


_CHILD_A = frozenset(
    {Op.ATTR, Op.CALL, Op.SUBSCRIPT, Op.ITERATE, Op.ITEM, Op.AWAIT, Op.INSTANCE, Op.ENTER, Op.FUNCTION, Op.MEMO}
)


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
