"""Rust: items, expressions and types. Read it as a table: one method a kind of node."""

from __future__ import annotations

from tree_sitter import Node

from dsassist.index.languages.braces import comment_above
from dsassist.index.languages.rust.patterns import Patterns
from dsassist.index.model import Kind, Op, Role, ScopeKind, SymbolFlag

__all__ = ["RustWalk"]


_HOLDING = frozenset({b"Some", b"Ok", b"Box::new", b"Rc::new", b"Arc::new", b"RefCell::new", b"Mutex::new"})
_UNWRAPPING = frozenset(
    {b"unwrap", b"expect", b"unwrap_or", b"unwrap_or_else", b"unwrap_or_default", b"cloned", b"copied"}
)


class RustWalk(Patterns):
    """See the module's docstring."""

    leaves = frozenset({"identifier", "type_identifier"})
    blocks = frozenset({"block"})
    bodies = frozenset({"ordered_field_declaration_list"})

    # Items

    def on_function_item(self, node: Node) -> int:
        builder = self.builder
        name = self.field(node, "name")
        if name is None:
            return self.parts(node)
        method = builder.scope_kinds[builder.scope] == ScopeKind.CLASS
        symbol = builder.define(name, Kind.METHOD if method else Kind.FUNCTION)
        body, parameters = self.field(node, "body"), self.field(node, "parameters")
        has_self = parameters is not None and any(child.type == "self_parameter" for child in parameters.named_children)
        if method and not has_self:
            builder.drafts[symbol].flags |= SymbolFlag.STATIC
        draft = builder.extent(symbol, node, body.start_byte if body is not None else -1, comment_above(node))
        builder.open(ScopeKind.FUNCTION, node, symbol)
        self.maybe(self.field(node, "type_parameters"))
        before = len(builder.drafts)
        self.maybe(parameters)
        draft.parameters = list(range(before, len(builder.drafts)))
        result = self.maybe(self.field(node, "return_type"))
        if draft.annotation < 0:
            draft.annotation = result
        for child in node.named_children:
            if child.type == "where_clause":
                self.x(child)
        function, self.function_symbol = self.function_symbol, symbol
        if body is not None:
            self.parts(body)
        self.function_symbol = function
        builder.close()
        return -1

    on_function_signature_item = on_function_item

    def on_self_parameter(self, node: Node) -> int:
        for child in node.named_children:
            if child.type == "self":
                self.variable(child, Kind.PARAMETER, node, self.this)
        return -1

    def on_self(self, node: Node) -> int:
        self.builder.read(node)
        return self.instance(self.this)

    def on_parameter(self, node: Node) -> int:
        kind, pattern = self.maybe(self.field(node, "type")), self.field(node, "pattern")
        if pattern is not None:
            self.pattern(pattern, self.instance(kind), Kind.PARAMETER, node, kind)
        return -1

    def on_struct_item(self, node: Node) -> int:
        body = self.field(node, "body")
        self.container(
            node,
            Kind.STRUCT,
            body.start_byte if body is not None else -1,
            [],
            body,
            self.field(node, "type_parameters"),
        )
        return -1

    on_union_item = on_struct_item

    def on_enum_item(self, node: Node) -> int:
        body = self.field(node, "body")
        self.container(
            node, Kind.ENUM, body.start_byte if body is not None else -1, [], body, self.field(node, "type_parameters")
        )
        return -1

    def on_enum_variant(self, node: Node) -> int:
        name, body = self.field(node, "name"), self.field(node, "body")
        if name is not None:
            self.variable(name, Kind.ENUM_MEMBER, node)
        if body is not None:
            self.builder.open(ScopeKind.CLASS, body)
            self.parts(body)
            self.builder.close()
        self.maybe(self.field(node, "value"))
        return -1

    def on_ordered_field_declaration_list(self, node: Node) -> int:
        """``struct Pair(A, B)``: fields by number."""
        builder = self.builder
        types = [child for child in node.named_children if child.type not in ("visibility_modifier", "attribute_item")]
        for number, child in enumerate(types):
            kind = self.x(child)
            if builder.scope_kinds[builder.scope] == ScopeKind.CLASS and kind >= 0:
                field = builder.bind(builder.name(b"%d" % number), Kind.FIELD)
                builder.drafts[field].annotation = kind
        return -1

    def on_field_declaration(self, node: Node) -> int:
        name = self.field(node, "name")
        kind = self.maybe(self.field(node, "type"))
        if name is not None:
            self.variable(name, Kind.FIELD, node, kind)
        return -1

    def on_trait_item(self, node: Node) -> int:
        body, bounds = self.field(node, "body"), self.field(node, "bounds")
        bases = self.types_of(bounds)
        self.container(
            node,
            Kind.TRAIT,
            body.start_byte if body is not None else -1,
            bases,
            body,
            self.field(node, "type_parameters"),
        )
        return -1

    def on_impl_item(self, node: Node) -> int:
        builder = self.builder
        kind, trait, body = self.field(node, "type"), self.field(node, "trait"), self.field(node, "body")
        scope = builder.open(ScopeKind.CLASS, node)
        self.maybe(self.field(node, "type_parameters"))
        base = self.maybe(kind)
        if trait is not None:
            self.x(trait)
        for child in node.named_children:
            if child.type == "where_clause":
                self.x(child)
        name = kind
        while name is not None and name.type in ("generic_type", "scoped_type_identifier", "reference_type"):
            name = self.field(name, "type") or self.field(name, "name")
        if name is not None:
            methods = builder.extra.setdefault("methods", {})
            text = builder.text(name).decode("utf-8", "replace")
            methods[text] = (*methods.get(text, ()), scope)
        this, self.this = self.this, base
        if body is not None:
            self.parts(body)
        self.this = this
        builder.close()
        return -1

    def on_const_item(self, node: Node) -> int:
        name = self.field(node, "name")
        kind = self.maybe(self.field(node, "type"))
        value = self.maybe(self.field(node, "value"))
        if name is not None:
            self.variable(name, Kind.CONSTANT, node, kind, value)
        return -1

    on_static_item = on_const_item

    def on_type_item(self, node: Node) -> int:
        builder = self.builder
        name = self.field(node, "name")
        if name is None:
            return self.parts(node)
        symbol = builder.define(name, Kind.TYPE)
        builder.extent(symbol, node, doc=comment_above(node))
        builder.open(ScopeKind.BLOCK, node)
        self.maybe(self.field(node, "type_parameters"))
        builder.drafts[symbol].annotation = self.maybe(self.field(node, "type"))
        builder.close()
        return -1

    def on_associated_type(self, node: Node) -> int:
        name = self.field(node, "name")
        if name is not None:
            self.variable(name, Kind.TYPE, node)
        return -1

    def on_macro_definition(self, node: Node) -> int:
        name = self.field(node, "name")
        if name is not None:
            self.variable(name, Kind.MACRO, node)
        return -1

    def on_type_parameter(self, node: Node) -> int:
        name = self.field(node, "name") or (node.named_children[0] if node.named_children else None)
        if name is not None and name.type == "type_identifier":
            symbol = self.builder.define(name, Kind.TYPE_PARAMETER)
            bounds = self.field(node, "bounds")
            kinds = self.types_of(bounds)
            self.builder.drafts[symbol].annotation = kinds[0] if kinds else -1
        return -1

    def on_where_predicate(self, node: Node) -> int:
        """``where T: Trait``: a bound of a type parameter, as if it stood with the parameter."""
        builder = self.builder
        left, bounds = self.field(node, "left"), self.field(node, "bounds")
        self.maybe(left)
        kinds = [kind for kind in self.types_of(bounds) if kind >= 0]
        if left is not None and left.type == "type_identifier" and kinds:
            symbol = builder.bound.get((builder.scope, builder.name(builder.text(left))))
            if symbol is not None and builder.drafts[symbol].annotation < 0:
                builder.drafts[symbol].annotation = kinds[0]
        return -1

    def on_constrained_type_parameter(self, node: Node) -> int:
        left = self.field(node, "left")
        if left is not None and left.type == "type_identifier":
            self.builder.define(left, Kind.TYPE_PARAMETER)
        self.maybe(self.field(node, "bounds"))
        return -1

    def on_closure_expression(self, node: Node) -> int:
        builder = self.builder
        builder.open(ScopeKind.FUNCTION, node)
        parameters = self.field(node, "parameters")
        for child in parameters.named_children if parameters is not None else ():
            given = self.first_parameter()
            if child.type == "parameter":
                self.x(child)
            else:
                self.pattern(child, given, Kind.PARAMETER, node)
        function, self.function_symbol = self.function_symbol, -1
        value = self.maybe(self.field(node, "body"))
        self.function_symbol = function
        builder.close()
        return builder.on(Op.FUNCTION, value)

    # Expressions and types

    def on_field_expression(self, node: Node) -> int:
        base, name = self.field(node, "value"), self.field(node, "field")
        if base is None or name is None:
            return self.parts(node)
        if name.type == "field_identifier":
            return self.member(base, name)
        return self.builder.on(Op.ATTR, self.x(base), self.builder.name(self.builder.text(name)))

    def on_scoped_identifier(self, node: Node) -> int:
        base, name = self.field(node, "path"), self.field(node, "name")
        if base is None or name is None:
            return self.parts(node)
        text = self.builder.text(base)
        if text in (b"crate", b"super", b"self"):
            path = self.builder.text(node).decode("utf-8", "replace")
            entry = self.entry(path)
            self.builder.imported(name.start_byte, self.builder.text(name), entry)
            return self.builder.expr(Op.IMPORT, entry)
        return self.select(self.x(base), name)

    on_scoped_type_identifier = on_scoped_identifier

    def on_call_expression(self, node: Node) -> int:
        function, arguments = self.field(node, "function"), self.field(node, "arguments")
        if function is None:
            return self.parts(node)
        text = self.builder.text(function)
        if b"::".join(text.split(b"::")[-2:]) in _HOLDING and arguments is not None:
            self.x(function)
            values = [self.x(child) for child in arguments.named_children]
            return self.builder.expr(Op.BUILTIN, "Box", (values[0],)) if values else -1
        callee = self.x(function)
        result = self.call(callee, arguments)
        op, receiver, _ = self.builder.exprs[callee] if callee >= 0 else (-1, -1, -1)
        if op == Op.ATTR and text.rpartition(b".")[2] in _UNWRAPPING:
            return self.builder.expr(Op.MEMO, result, receiver)  # see ``held``
        return result

    def on_generic_function(self, node: Node) -> int:
        function = self.field(node, "function")
        result = self.maybe(function)
        rows = len(self.builder.occurrences)
        last = self.builder.occurrences[rows - 1] if rows else None
        self.maybe(self.field(node, "type_arguments"))
        if last is not None and len(self.builder.occurrences) > rows:
            # Keep the called name last, for ``call``.
            self.builder.occurrences.remove(last)
            self.builder.occurrences.append(last)
        return result

    def on_struct_expression(self, node: Node) -> int:
        builder = self.builder
        kind, body = self.maybe(self.field(node, "name")), self.field(node, "body")
        made = self.instance(kind)
        for child in body.named_children if body is not None else ():
            if child.type == "field_initializer":
                name, value = self.field(child, "field") or self.field(child, "name"), self.field(child, "value")
                if name is not None:
                    builder.attribute(name, made, Role.WRITE)
                self.maybe(value)
            elif child.type == "shorthand_field_initializer" and child.named_children:
                name = child.named_children[-1]
                builder.attribute(name, made, Role.WRITE)
                self.leaf(name)
            else:
                self.x(child)
        return made

    def on_generic_type(self, node: Node) -> int:
        kind, arguments = self.maybe(self.field(node, "type")), self.field(node, "type_arguments")
        parts = arguments.named_children if arguments is not None else ()
        return self.generic(kind, [self.x(part) for part in parts if part.type not in ("lifetime", "line_comment")])

    on_generic_type_with_turbofish = on_generic_type

    def on_type_identifier(self, node: Node) -> int:
        if self.builder.text(node) == b"Self" and self.this >= 0:
            return self.this
        return self.leaf(node)

    def on_identifier(self, node: Node) -> int:
        if self.builder.text(node) == b"Self" and self.this >= 0:
            return self.this
        return self.leaf(node)

    def on_type_binding(self, node: Node) -> int:
        """``Item = T``: the type, as ``T`` alone would be."""
        return self.maybe(self.field(node, "type"))

    def on_reference_type(self, node: Node) -> int:
        return self.maybe(self.field(node, "type"))

    def on_reference_expression(self, node: Node) -> int:
        return self.maybe(self.field(node, "value"))

    def on_array_type(self, node: Node) -> int:
        self.maybe(self.field(node, "length"))
        return self.listed(self.maybe(self.field(node, "element")))

    def on_dynamic_type(self, node: Node) -> int:
        return self.parts(node)

    on_abstract_type = on_dynamic_type
    on_await_expression = on_dynamic_type
    on_unary_expression = on_dynamic_type

    def on_try_expression(self, node: Node) -> int:
        return self.held(self.parts(node))

    def on_index_expression(self, node: Node) -> int:
        values = [self.x(child) for child in node.named_children]
        return self.builder.on(Op.SUBSCRIPT, values[0]) if values else -1

    def on_macro_invocation(self, node: Node) -> int:
        self.maybe(self.field(node, "macro"))
        for child in node.named_children:
            if child.type == "token_tree":
                self.tokens(child)
        return -1

    def tokens(self, node: Node) -> None:
        """Inside a macro there is no syntax: names are read, and ``a::b.c(…)`` is taken for what it looks like."""
        before, value = "", -1
        for child in node.children:
            kind = child.type
            if kind == "token_tree":
                called = value if before == "identifier" and child.children[0].type == "(" else -1
                rows = self.builder.occurrences
                if called >= 0:
                    start, name, role, ref, scope = rows[-1]
                    rows[-1] = (start, name, role | Role.CALL, ref, scope)
                self.tokens(child)
                value = self.builder.on(Op.CALL, called)
            elif kind == "identifier":
                value = self.select(value, child) if before in (".", "::") else self.on_identifier(child)
            elif kind == "self":
                value = self.on_self(child)
            elif kind not in (".", "::"):
                value = -1
            before = kind

    def on_lifetime(self, node: Node) -> int:
        return -1

    on_label = on_lifetime
    on_attribute_item = on_lifetime

    def on_string_literal(self, node: Node) -> int:
        return self.builder.expr(Op.BUILTIN, "str", ())
