"""TypeScript and JavaScript: functions, classes and patterns."""

from __future__ import annotations

from tree_sitter import Node

from dsassist.index.builder import Builder
from dsassist.index.languages.ecma.types import Types, documentation
from dsassist.index.model import Kind, Op, ScopeKind, SymbolFlag

__all__ = ["FUNCTIONS", "Functions"]

FUNCTIONS = frozenset({"arrow_function", "function_expression", "generator_function", "function"})


class Functions(Types):
    """See the module's docstring."""

    def __init__(self, builder: Builder, typed: bool) -> None:
        super().__init__(builder)
        self.typed = typed
        self.function_symbol = -1
        self.this_scope = -1
        """The class scope that ``this`` is of, or -1."""
        self.this_object = -1
        """Outside a class: the object whose function the code is in."""
        self.pending_exports: list[tuple[str, int]] = []
        """Exported names and what they are called here, looked up when the walk is over."""
        self.handed_this = -1
        """What ``this`` is in the function that is walked next."""
        self.wanted = -1
        """What the function that is walked should return, where that is known from outside."""

    def statement(self, node: Node) -> int:
        """Walk a statement; ``EcmaWalk`` has it."""
        raise NotImplementedError

    def statements(self, node: Node) -> None:
        """Walk a block; ``EcmaWalk`` has it."""
        raise NotImplementedError

    def generic(self, node: Node) -> int:
        """Walk the parts; ``Expressions`` has it."""
        raise NotImplementedError

    def given(self, node: Node, expected: int) -> int:
        """Walk an expression where a value of a known type is expected; ``Expressions`` has it."""
        raise NotImplementedError

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
            function = value is not None and value.type in FUNCTIONS
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
