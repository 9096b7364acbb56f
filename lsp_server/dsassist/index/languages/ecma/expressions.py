"""TypeScript and JavaScript: what has a value."""

from __future__ import annotations

from tree_sitter import Node

from dsassist.index.languages.ecma.functions import FUNCTIONS
from dsassist.index.languages.ecma.modules import Modules
from dsassist.index.languages.ecma.types import documentation, literal_of
from dsassist.index.model import Kind, Op, Role, ScopeKind, SymbolFlag

__all__ = ["Expressions"]

_ELEMENT_CALLBACKS = frozenset(
    {b"map", b"forEach", b"filter", b"find", b"some", b"every", b"flatMap", b"findIndex", b"findLast", b"sort", b"then"}
)


class Expressions(Modules):
    """The middle of the walk: what has a value."""

    def generic(self, node: Node) -> int:
        """Walk the parts of something with no value of its own."""
        for child in node.named_children:
            self.x(child)
        return -1

    def x(self, node: Node) -> int:
        """Walk an expression; its value."""
        handler = getattr(self, f"x_{node.type}", None)
        if handler is None:
            return self.other(node)
        result: int = handler(node)
        return result

    def other(self, node: Node) -> int:
        """Node kinds that share their handling."""
        builder = self.builder
        kind = node.type
        if kind in ("string", "template_string", "number", "true", "false", "regex"):
            self.generic(node)
            return builder.expr(Op.BUILTIN, "string" if kind.endswith("string") else kind, ())
        if kind in FUNCTIONS:
            return self.x_function(node)
        if kind in ("as_expression", "satisfies_expression"):
            value = self.x(node.named_children[0])
            types = [self.t(child) for child in node.named_children[1:]]
            known = next((item for item in types if item >= 0), -1)
            return builder.on(Op.INSTANCE, known) if known >= 0 and kind == "as_expression" else value
        if kind in (
            "type_annotation",
            "type_arguments",
            "type_identifier",
            "generic_type",
            "object_type",
            "union_type",
            "nested_type_identifier",
        ):
            self.t(node)
            return -1
        if kind in ("parenthesized_expression", "non_null_expression", "sequence_expression"):
            result = -1
            for child in node.named_children:
                result = self.x(child)
            return result
        if kind in ("class", "class_declaration"):
            symbol = self.class_(node)
            return builder.name_expr(builder.drafts[symbol].name, builder.drafts[symbol].scope) if symbol >= 0 else -1
        if kind in ("statement_block", "lexical_declaration", "variable_declaration", "function_declaration"):
            self.statement(node)
            return -1
        if kind in ("jsx_opening_element", "jsx_self_closing_element", "jsx_closing_element"):
            return self.jsx(node)
        return self.generic(node)

    def x_identifier(self, node: Node) -> int:
        builder = self.builder
        builder.read(node)
        return builder.name_expr(builder.name(builder.text(node)))

    def x_shorthand_property_identifier(self, node: Node) -> int:
        return self.x_identifier(node)

    def x_undefined(self, node: Node) -> int:
        return -1

    def x_comment(self, node: Node) -> int:
        return -1

    def x_this(self, node: Node) -> int:
        return self.builder.expr(Op.SELF, self.this_scope) if self.this_scope >= 0 else self.this_object

    def x_this_type(self, node: Node) -> int:
        return self.x_this(node)

    def x_super(self, node: Node) -> int:
        return self.builder.expr(Op.SUPER, self.this_scope, 0) if self.this_scope >= 0 else -1

    def x_member_expression(self, node: Node) -> int:
        builder = self.builder
        base, name = node.child_by_field_name("object"), node.child_by_field_name("property")
        if base is None or name is None:
            return self.generic(node)
        receiver = self.x(base)
        builder.attribute(name, receiver)
        return builder.on(Op.ATTR, receiver, builder.name(builder.text(name)))

    def x_call_expression(self, node: Node, expected: int = -1) -> int:
        builder = self.builder
        function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        if function is None:
            return self.generic(node)
        module = self.require_of(node)
        if module is not None:
            return builder.expr(Op.IMPORT, builder.imports_entry(module))
        callee = self.x(function)
        self.mark_call(function)
        types = node.child_by_field_name("type_arguments")
        if types is not None:
            self.t(types)
        items = -1
        method = b""
        if function.type == "member_expression":
            name = function.child_by_field_name("property")
            method = builder.text(name) if name is not None else b""
            if method in _ELEMENT_CALLBACKS and callee >= 0:
                receiver = builder.exprs[callee][1]
                items = receiver if method == b"then" else builder.expr(Op.ITERATE, receiver)
        values: list[int] = []
        wanted = builder.expr(Op.EXPECTING, callee, expected) if callee >= 0 and expected >= 0 else callee
        for number, child in enumerate(arguments.named_children if arguments is not None else ()):
            if items >= 0 and not values and child.type in FUNCTIONS:
                values.append(self.x_function(child, items))
            elif child.type in FUNCTIONS and number < 15:
                known = (
                    builder.expr(Op.APPLIED, wanted, values[0]) if wanted >= 0 and values and values[0] >= 0 else wanted
                )
                values.append(self.x_function(child, context=(known, number)))
            else:
                values.append(self.given(child, builder.on(Op.ARGUMENT, wanted, number)))
        if (
            items >= 0
            and method in (b"map", b"then")
            and values
            and values[0] >= 0
            and builder.exprs[values[0]][0] == Op.FUNCTION
        ):
            result = builder.exprs[values[0]][1]
            return result if method == b"then" else builder.expr(Op.BUILTIN, "Array", (result,))
        return builder.on(Op.CALL, callee, values[0] if values else -1)

    def mark_call(self, function: Node) -> None:
        """The last name reported is what is called."""
        rows = self.builder.occurrences
        if rows and function.type in ("identifier", "member_expression", "type_identifier"):
            start, name, role, ref, scope = rows[-1]
            rows[-1] = (start, name, role | Role.CALL, ref, scope)

    def x_new_expression(self, node: Node) -> int:
        builder = self.builder
        constructor = node.child_by_field_name("constructor")
        if constructor is None:
            return self.generic(node)
        base = self.x(constructor)
        self.mark_call(constructor)
        types = node.child_by_field_name("type_arguments")
        if types is not None:
            items = [self.t(child) for child in types.named_children]
            base = builder.on(Op.SUBSCRIPT, base, items[0] if len(items) == 1 else builder.expr(Op.TUPLE, tuple(items)))
        arguments = node.child_by_field_name("arguments")
        for number, child in enumerate(arguments.named_children if arguments is not None else ()):
            if child.type in FUNCTIONS and number < 15:
                self.x_function(child, context=(base, number))
            else:
                self.given(child, builder.on(Op.ARGUMENT, base, number))
        return builder.on(Op.NEW, base)

    def x_subscript_expression(self, node: Node) -> int:
        base, index = node.child_by_field_name("object"), node.child_by_field_name("index")
        value = self.x(base) if base is not None else -1
        return self.named_member(index, value, self.x) if index is not None else -1

    def x_await_expression(self, node: Node) -> int:
        return self.builder.on(Op.AWAIT, self.x(node.named_children[-1])) if node.named_children else -1

    def x_ternary_expression(self, node: Node) -> int:
        parts = [self.x(child) for child in node.named_children]
        return self.builder.union(parts[1:])

    def x_binary_expression(self, node: Node) -> int:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        values = [self.x(part) for part in (left, right) if part is not None]
        operator = node.child_by_field_name("operator")
        text = operator.type if operator is not None else ""
        if text in ("??", "||"):
            return self.builder.union(values)
        return values[-1] if text == "&&" and values else -1

    def x_assignment_expression(self, node: Node) -> int:
        builder = self.builder
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if self.typed and left is not None and right is not None and left.type == "member_expression":
            base, name = left.child_by_field_name("object"), left.child_by_field_name("property")
            if base is not None and name is not None:
                receiver = self.x(base)
                builder.attribute(name, receiver, Role.WRITE)
                return self.given(right, builder.on(Op.ATTR, receiver, builder.name(builder.text(name))))
        holder = self.expando(left) if left is not None and right is not None else -1
        if holder >= 0 and right is not None and right.type in FUNCTIONS:
            self.handed_this = builder.expr(Op.OBJECT, holder)
        value = self.x(right) if right is not None else -1
        if left is None:
            return value
        if left.type == "member_expression":
            base, name = left.child_by_field_name("object"), left.child_by_field_name("property")
            if base is not None and name is not None:
                if base.type == "this" and self.this_scope >= 0 and not self.typed:
                    symbol = builder.define_member(name, self.x(base), self.this_scope, Kind.FIELD, SymbolFlag.INSTANCE)
                    builder.extent(symbol, node)
                    builder.value(symbol, value)
                    return value
                if self.common_js(base, name, right, value, node):
                    return value
                if holder >= 0 and right is not None:
                    kind = Kind.METHOD if right.type in FUNCTIONS else Kind.FIELD
                    symbol = builder.define_member(name, self.x(base), holder, kind)
                    builder.extent(symbol, node, doc=documentation(node.parent or node))
                    builder.value(symbol, value)
                    return value
                builder.attribute(name, self.x(base), Role.WRITE)
                return value
        elif left.type == "identifier":
            builder.read(left, Role.WRITE)
            name_id = builder.name(builder.text(left))
            scope = builder.scope
            while scope >= 0:
                symbol_at = builder.bound.get((scope, name_id))
                if symbol_at is not None:
                    builder.value(symbol_at, value)
                    break
                scope = builder.scope_parents[scope]
            return value
        self.x(left)
        return value

    def x_array(self, node: Node) -> int:
        builder = self.builder
        items = [self.x(child) for child in node.named_children]
        return builder.expr(Op.BUILTIN, "Array", (builder.union(items[:8]),))

    def x_object(self, node: Node, expected: int = -1) -> int:
        """An object literal: its members are in a scope of their own, and are those of the expected type."""
        builder = self.builder
        outer = builder.scope
        scope = builder.open(ScopeKind.CLASS, node)
        builder.scope = outer
        made = builder.expr(Op.OBJECT, scope)
        expected = self.narrowed(node, expected)
        receiver = builder.expr(Op.MEMO, expected, made) if expected >= 0 else made
        for child in node.named_children:
            kind = child.type
            key = child.child_by_field_name("key" if kind == "pair" else "name")
            plain = key is not None and key.type == "property_identifier"
            if kind in ("pair", "method_definition") and plain and key is not None:
                value = child.child_by_field_name("value") if kind == "pair" else child
                function = value is not None and (value.type in FUNCTIONS or kind == "method_definition")
                what = Kind.METHOD if function else Kind.FIELD
                if expected >= 0:
                    symbol = builder.bind(builder.name(builder.text(key)), what, scope)
                    builder.attribute(key, receiver, Role.WRITE)
                else:
                    builder.scope = scope
                    symbol = builder.define(key, what)
                    builder.scope = outer
                builder.extent(symbol, child)
                if value is not None and function:
                    self.handed_this = receiver
                    inner = builder.on(Op.ATTR, expected, builder.name(builder.text(key)))
                    self.function(value, symbol, context=(inner, 15))
                elif value is not None:
                    inner = builder.on(Op.ATTR, expected, builder.name(builder.text(key)))
                    builder.value(symbol, self.given(value, inner))
            elif kind == "shorthand_property_identifier":
                symbol = builder.bind(builder.name(builder.text(child)), Kind.FIELD, scope)
                builder.extent(symbol, child)
                builder.value(symbol, self.x_identifier(child))
                if expected >= 0:
                    builder.attribute(child, receiver, Role.WRITE)
            elif kind == "method_definition":
                self.function(child, -1)
            elif kind == "pair":
                self.generic(child)
            else:
                self.x(child)
        return made

    def narrowed(self, node: Node, expected: int) -> int:
        """Of what is expected of an object literal, what its literal members agree with."""
        pairs = []
        for child in node.named_children if expected >= 0 else ():
            key, value = child.child_by_field_name("key"), child.child_by_field_name("value")
            text = literal_of(value, self.builder.text(value)) if child.type == "pair" and value is not None else None
            if key is not None and text is not None and key.type == "property_identifier":
                pairs.append((self.builder.text(key).decode("utf-8", "replace"), text))
        return self.builder.expr(Op.MATCHING, expected, tuple(pairs)) if pairs else expected

    def given(self, node: Node, expected: int) -> int:
        """Walk an expression where a value of a known type is expected."""
        if expected >= 0 and node.type == "object":
            return self.x_object(node, expected)
        if expected >= 0 and node.type == "call_expression":
            return self.x_call_expression(node, expected)
        if expected >= 0 and node.type in FUNCTIONS:
            return self.x_function(node, context=(expected, 15))
        if expected >= 0 and node.type == "parenthesized_expression" and len(node.named_children) == 1:
            return self.given(node.named_children[0], expected)
        if expected >= 0 and node.type == "array":
            items = [self.given(child, self.builder.expr(Op.ITERATE, expected)) for child in node.named_children]
            return self.builder.expr(Op.BUILTIN, "Array", (self.builder.union(items[:8]),))
        return self.x(node)

    def x_arrow_function(self, node: Node) -> int:
        return self.x_function(node)

    def x_function(self, node: Node, first: int = -1, context: tuple[int, int] = (-1, 0)) -> int:
        """A function without a name; its first parameter is ``first`` where that is known. For ``context`` see
        ``Op.GIVEN``."""
        result = self.function(node, -1, first, context)
        return self.builder.expr(Op.FUNCTION, result)

    def jsx(self, node: Node) -> int:
        """An element: lower-case names are the browser's."""
        builder = self.builder
        name = node.child_by_field_name("name")
        for child in node.named_children:
            if child != name:
                for part in child.named_children if child.type == "jsx_attribute" else (child,):
                    if part.type != "property_identifier":
                        self.x(part)
            elif child.type == "identifier":
                if not builder.text(child)[:1].islower():
                    self.x(child)
            elif child.type != "jsx_namespace_name":
                self.x(child)
        return -1
