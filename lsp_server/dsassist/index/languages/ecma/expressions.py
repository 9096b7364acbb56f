"""TypeScript and JavaScript: expressions, functions, classes and patterns."""

from __future__ import annotations

from tree_sitter import Node

from dsassist.index.builder import Builder
from dsassist.index.languages.ecma.types import Types, documentation
from dsassist.index.model import Kind, Op, Role, ScopeKind, SymbolFlag

__all__ = ["Expressions"]

_ELEMENT_CALLBACKS = frozenset(
    {b"map", b"forEach", b"filter", b"find", b"some", b"every", b"flatMap", b"findIndex", b"findLast", b"sort", b"then"}
)
_FUNCTIONS = frozenset({"arrow_function", "function_expression", "generator_function", "function"})


class Expressions(Types):
    """The middle of the walk: what has a value."""

    def __init__(self, builder: Builder, typed: bool) -> None:
        super().__init__(builder)
        self.typed = typed
        self.function_symbol = -1
        self.this_scope = -1
        self.this_object = -1
        """Outside a class: the object whose function the code is in."""
        self.pending_exports: list[tuple[str, int]] = []
        """Exported names and what they are called here, looked up when the walk is over."""
        self.handed_this = -1
        """What ``this`` is in the function that is walked next."""
        """The class (or object) scope that ``this`` is of, or -1."""
        self.wanted = -1
        """What the function that is walked should return, where that is known from outside."""

    def statement(self, node: Node) -> int:
        """Walk a statement; ``EcmaWalk`` has it."""
        raise NotImplementedError

    def statements(self, node: Node) -> None:
        """Walk a block; ``EcmaWalk`` has it."""
        raise NotImplementedError

    def generic(self, node: Node) -> int:
        """Walk the parts of something with no value of its own."""
        for child in node.named_children:
            self.x(child)
        return -1

    def literal(self, node: Node | None) -> str:
        """The content of a string."""
        return self.builder.text(node)[1:-1].decode("utf-8", "replace") if node is not None else ""

    def require_of(self, node: Node | None) -> str | None:
        """The module of ``require('m')``."""
        if node is None or node.type != "call_expression":
            return None
        function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        if function is None or arguments is None or self.builder.text(function) != b"require":
            return None
        parts = arguments.named_children
        return self.literal(parts[0]) if len(parts) == 1 and parts[0].type == "string" else None

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
        if kind in _FUNCTIONS:
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
            if items >= 0 and not values and child.type in _FUNCTIONS:
                values.append(self.x_function(child, items))
            elif child.type in _FUNCTIONS and number < 15:
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
            if child.type in _FUNCTIONS and number < 15:
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
        if holder >= 0 and right is not None and right.type in _FUNCTIONS:
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
                    kind = Kind.METHOD if right.type in _FUNCTIONS else Kind.FIELD
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

    def expando(self, left: Node) -> int:
        """``object.name = …`` where the variable holds an object literal: the scope of its members, else -1."""
        builder = self.builder
        base = left.child_by_field_name("object") if left.type == "member_expression" else None
        if self.typed or base is None or base.type != "identifier":
            return -1
        name, scope = builder.name(builder.text(base)), builder.scope
        while scope >= 0 and (scope, name) not in builder.bound:
            scope = builder.scope_parents[scope]
        values = builder.drafts[builder.bound[(scope, name)]].values if scope >= 0 else ()
        return next((builder.exprs[value][1] for value in values if builder.exprs[value][0] == Op.OBJECT), -1)

    def common_js(self, base: Node, name: Node, right: Node | None, value: int, node: Node) -> bool:
        """``module.exports = …``, ``exports.name = …``, ``module.exports.name = …``."""
        builder = self.builder
        text, member = builder.text(base), builder.text(name)
        if self.typed or builder.exports is None or right is None:
            return False
        if text == b"module" and member == b"exports":
            symbol = builder.bind(builder.name(b"="), Kind.VARIABLE, 0)
            builder.value(symbol, value)
            builder.exports["="] = (symbol, -1)
            if right.type == "identifier":
                self.pending_exports.append(("=", builder.name(builder.text(right))))
            if right.type == "object":
                for child in right.named_children:
                    key = child if child.type == "shorthand_property_identifier" else child.child_by_field_name("key")
                    held = child if key == child else child.child_by_field_name("value")
                    if (
                        key is not None
                        and held is not None
                        and held.type in ("identifier", "shorthand_property_identifier")
                    ):
                        at = builder.bound.get((0, builder.name(builder.text(held))))
                        if at is not None:
                            builder.exports[builder.text(key).decode("utf-8", "replace")] = (at, -1)
            builder.attribute(name, -1, Role.WRITE)
            return True
        if text in (b"exports", b"module.exports"):
            exported = member.decode("utf-8", "replace")
            if right.type == "identifier":
                at = builder.bound.get((0, builder.name(builder.text(right))))
                if at is not None:
                    builder.exports[exported] = (at, -1)
                    builder.attribute(name, -1, Role.WRITE)
                    return True
            symbol = builder.define(name, Kind.FUNCTION if right.type in _FUNCTIONS else Kind.VARIABLE, 0)
            builder.extent(symbol, node)
            builder.value(symbol, value)
            builder.exports[exported] = (symbol, -1)
            return True
        return False

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
        receiver = builder.expr(Op.MEMO, expected, made) if expected >= 0 else made
        for child in node.named_children:
            kind = child.type
            key = child.child_by_field_name("key" if kind == "pair" else "name")
            plain = key is not None and key.type == "property_identifier"
            if kind in ("pair", "method_definition") and plain and key is not None:
                value = child.child_by_field_name("value") if kind == "pair" else child
                function = value is not None and (value.type in _FUNCTIONS or kind == "method_definition")
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

    def given(self, node: Node, expected: int) -> int:
        """Walk an expression where a value of a known type is expected."""
        if expected >= 0 and node.type == "object":
            return self.x_object(node, expected)
        if expected >= 0 and node.type == "call_expression":
            return self.x_call_expression(node, expected)
        if expected >= 0 and node.type in _FUNCTIONS:
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

    # Functions, classes, patterns

    def function(self, node: Node, symbol: int, first: int = -1, context: tuple[int, int] = (-1, 0)) -> int:
        """Walk a function's parameters and body; what it returns."""
        builder = self.builder
        parameters = node.child_by_field_name("parameters") or node.child_by_field_name("parameter")
        result, body = node.child_by_field_name("return_type"), node.child_by_field_name("body")
        fresh = symbol >= 0 and not builder.drafts[symbol].parameters
        if symbol >= 0:
            builder.extent(symbol, node, body.start_byte if body is not None else -1, documentation(node))
        builder.open(ScopeKind.FUNCTION, node, symbol)
        this, function, wanted = self.this_scope, self.function_symbol, self.wanted
        this_object, handed, self.handed_this = self.this_object, self.handed_this, -1
        self.wanted = builder.on(Op.CALL, context[0]) if context[1] == 15 else -1
        if node.type in (
            "function_expression",
            "function_declaration",
            "generator_function",
            "function",
            "generator_function_declaration",
        ) or (node.type == "method_definition" and handed >= 0):
            self.this_scope, self.this_object = -1, handed
        holder = symbol if symbol >= 0 else builder.bind(builder.name(b"=>"), Kind.LABEL)
        self.function_symbol = holder
        self.type_parameters(node.child_by_field_name("type_parameters"))
        own_name = node.child_by_field_name("name") if node.type in ("function_expression", "function") else None
        if own_name is not None and symbol < 0:
            builder.define(own_name, Kind.FUNCTION)
        if parameters is not None:
            parts = parameters.named_children if parameters.type == "formal_parameters" else [parameters]
            for number, child in enumerate(parts):
                known = builder.on(Op.GIVEN, context[0], context[1] * 16 + number) if number < 16 else -1
                self.parameter(child, symbol if fresh else -1, first if first >= 0 else known)
                first = -1
        draft = builder.drafts[holder]
        if result is not None:
            annotation = self.annotation(result)
            draft.annotation = annotation if draft.annotation < 0 else draft.annotation
        if body is not None:
            if body.type == "statement_block":
                self.statements(body)
            else:
                builder.value(holder, self.given(body, self.result_of(holder)))
        value = (
            builder.on(Op.INSTANCE, draft.annotation) if draft.annotation >= 0 else builder.union(list(draft.values))
        )
        self.this_scope, self.function_symbol, self.wanted = this, function, wanted
        self.this_object = this_object
        builder.close()
        return value

    def result_of(self, function: int) -> int:
        """What a function should return: as it declares, else as its place asks."""
        declared = self.builder.drafts[function].annotation if function >= 0 else -1
        return self.builder.on(Op.INSTANCE, declared) if declared >= 0 else self.wanted

    def parameter(self, node: Node, symbol: int, known: int) -> None:
        """One parameter: a name or a pattern, with type and default."""
        builder = self.builder
        pattern = node.child_by_field_name("pattern") or node
        annotation = self.annotation(node.child_by_field_name("type"))
        value = node.child_by_field_name("value") or (
            node.child_by_field_name("right") if node.type == "assignment_pattern" else None
        )
        default = self.x(value) if value is not None else -1
        for child in node.named_children:
            if child.type == "decorator":
                self.x(child)
        if pattern.type == "assignment_pattern":
            pattern = pattern.child_by_field_name("left") or pattern
        if pattern.type == "rest_pattern" and pattern.named_children:
            pattern = pattern.named_children[0]
        if pattern.type == "this":
            return
        if pattern.type == "identifier":
            modifiers = any(
                child.type in ("accessibility_modifier", "override_modifier", "readonly") for child in node.children
            )
            if modifiers and self.this_scope >= 0:
                # ``constructor(private x: T)`` declares a field, and the parameter is the same thing.
                name = builder.name(builder.text(pattern))
                builder.redirects[(builder.scope, name)] = self.this_scope
                at = builder.define(pattern, Kind.FIELD, self.this_scope)
            else:
                at = builder.define(pattern, Kind.PARAMETER)
            builder.extent(at, node)
            builder.drafts[at].annotation = annotation
            builder.value(at, default)
            builder.value(at, known)
            if symbol >= 0:
                builder.drafts[symbol].parameters.append(at)
        else:
            source = builder.on(Op.INSTANCE, annotation) if annotation >= 0 else known if known >= 0 else default
            self.pattern(pattern, source, Kind.PARAMETER, node)

    def class_(self, node: Node) -> int:
        """A class declaration or expression."""
        builder = self.builder
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        for child in node.named_children:
            if child.type == "decorator":
                self.x(child)
        if body is None:
            return -1
        symbol = -1
        if name is not None:
            symbol = builder.define(name, Kind.CLASS)
            draft = builder.extent(symbol, node, body.start_byte, documentation(node))
            draft.kind = Kind.CLASS
        else:
            symbol = builder.bind(builder.name(b"default"), Kind.CLASS)
            builder.extent(symbol, node, body.start_byte)
        bases: list[int] = []
        scope = builder.open(ScopeKind.CLASS, node, symbol)
        self.type_parameters(node.child_by_field_name("type_parameters"))
        for heritage in node.named_children:
            if heritage.type != "class_heritage":
                continue
            for clause in heritage.named_children:
                if clause.type == "extends_clause":
                    value = clause.child_by_field_name("value")
                    base = self.x(value) if value is not None else -1
                    arguments = clause.child_by_field_name("type_arguments")
                    if arguments is not None:
                        items = [self.t(child) for child in arguments.named_children]
                        base = builder.on(
                            Op.SUBSCRIPT, base, items[0] if len(items) == 1 else builder.expr(Op.TUPLE, tuple(items))
                        )
                    bases.append(base)
                elif clause.type == "implements_clause":
                    bases.extend(self.t(child) for child in clause.named_children)
                else:
                    bases.append(self.x(clause))
        builder.scope_bases[scope] = tuple(base for base in bases if base >= 0)
        this, function = self.this_scope, self.function_symbol
        self.this_scope, self.function_symbol = scope, -1
        for child in body.named_children:
            self.member(child)
        self.this_scope, self.function_symbol = this, function
        builder.close()
        return symbol

    def member(self, node: Node) -> None:
        """A member of a class."""
        builder = self.builder
        kind = node.type
        name = node.child_by_field_name("name") or node.child_by_field_name("property")
        plain = name is not None and name.type in ("property_identifier", "private_property_identifier", "identifier")
        static = SymbolFlag.STATIC if any(child.type == "static" for child in node.children) else 0
        for child in node.named_children:
            if child.type == "decorator":
                self.x(child)
        if kind == "method_definition":
            if not plain or name is None:
                if name is not None:
                    self.x(name)
                self.function(node, -1)
                return
            accessor = any(child.type in ("get", "set") for child in node.children)
            what = (
                Kind.PROPERTY if accessor else Kind.CONSTRUCTOR if builder.text(name) == b"constructor" else Kind.METHOD
            )
            self.function(node, builder.define(name, what, flags=static))
        elif kind in ("public_field_definition", "field_definition"):
            annotation = self.annotation(node.child_by_field_name("type"))
            value = node.child_by_field_name("value")
            if not plain or name is None:
                self.generic(node)
                return
            function = value is not None and value.type in _FUNCTIONS
            symbol = builder.define(name, Kind.METHOD if function else Kind.FIELD, flags=static)
            builder.extent(symbol, node, doc=documentation(node))
            builder.drafts[symbol].annotation = annotation
            if value is not None:
                if function and annotation < 0:
                    self.function(value, symbol)
                else:
                    builder.value(symbol, self.given(value, builder.on(Op.INSTANCE, annotation)))
        elif kind in ("abstract_method_signature", "method_signature") and plain and name is not None:
            self.bodyless(builder.define(name, Kind.METHOD, flags=SymbolFlag.ABSTRACT), node)
        elif kind == "class_static_block":
            self.statement(node)
        elif kind in ("index_signature", "comment", "decorator"):
            pass
        else:
            self.generic(node)

    def pattern(self, node: Node, value: int, kind: Kind, whole: Node, scope: int | None = None) -> None:
        """Bind the names of a destructuring pattern to parts of ``value``."""
        builder = self.builder
        what = node.type
        if what in ("identifier", "shorthand_property_identifier_pattern"):
            symbol = builder.define(node, kind, scope)
            builder.extent(symbol, whole)
            if what != "identifier":
                builder.attribute(node, value)
                value = builder.on(Op.ATTR, value, builder.name(builder.text(node)))
            builder.value(symbol, value)
        elif what == "object_pattern":
            for child in node.named_children:
                if child.type == "pair_pattern":
                    key, inner = child.child_by_field_name("key"), child.child_by_field_name("value")
                    if key is None or inner is None:
                        continue
                    member = -1
                    if key.type == "property_identifier":
                        builder.attribute(key, value)
                        member = builder.on(Op.ATTR, value, builder.name(builder.text(key)))
                    else:
                        self.x(key)
                    self.pattern(inner, member, kind, whole, scope)
                elif child.type == "object_assignment_pattern":
                    left, right = child.child_by_field_name("left"), child.child_by_field_name("right")
                    if right is not None:
                        self.x(right)
                    if left is not None:
                        self.pattern(left, value, kind, whole, scope)
                elif child.type == "rest_pattern":
                    self.pattern(child, -1, kind, whole, scope)
                else:
                    self.pattern(child, value, kind, whole, scope)
        elif what == "array_pattern":
            for index, child in enumerate(node.named_children):
                item = builder.on(Op.ITEM, value, index)
                self.pattern(child, -1 if child.type == "rest_pattern" else item, kind, whole, scope)
        elif what == "assignment_pattern":
            left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
            default = self.x(right) if right is not None else -1
            if left is not None:
                self.pattern(left, value if value >= 0 else default, kind, whole, scope)
        elif what == "rest_pattern":
            for child in node.named_children:
                self.pattern(child, -1, kind, whole, scope)
        else:
            self.x(node)
