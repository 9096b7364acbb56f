"""TypeScript and JavaScript: declarations and statements."""

from __future__ import annotations

from tree_sitter import Node

from dsassist.index.languages.ecma.expressions import Expressions
from dsassist.index.languages.ecma.types import documentation
from dsassist.index.model import Kind, Op, Role, ScopeKind, SymbolFlag

__all__ = ["EcmaWalk"]

_FUNCTIONS = frozenset({"function_declaration", "generator_function_declaration"})
_CLASSES = frozenset({"class_declaration", "abstract_class_declaration", "class"})


class EcmaWalk(Expressions):
    """Statements."""

    def module(self, root: Node) -> None:
        """Walk the whole file."""
        builder = self.builder
        builder.open(ScopeKind.MODULE, root)
        builder.exports = {}
        self.statements(root)
        for exported, name in self.pending_exports:
            symbol = builder.bound.get((0, name))
            if symbol is not None:
                builder.exports[exported] = (symbol, -1)
        builder.close()

    def statements(self, node: Node) -> None:
        """The statements of a block."""
        for child in node.named_children:
            self.statement(child)

    def statement(self, node: Node) -> int:
        """One statement; the symbol it declares, or -1."""
        kind = node.type
        if kind in _FUNCTIONS:
            return self.function_declaration(node)
        if kind in _CLASSES:
            return self.class_(node)
        if kind in ("lexical_declaration", "variable_declaration"):
            self.variables(node)
        elif kind == "interface_declaration":
            return self.interface(node)
        elif kind == "type_alias_declaration":
            return self.alias(node)
        elif kind == "enum_declaration":
            return self.enum(node)
        elif kind == "import_statement":
            self.import_(node)
        elif kind == "export_statement":
            self.export(node)
        elif kind in ("internal_module", "module"):
            return self.namespace(node)
        elif kind == "ambient_declaration":
            for child in node.named_children:
                self.statement(child)
        elif kind == "function_signature":
            name = node.child_by_field_name("name")
            if name is not None:
                symbol = self.builder.define(name, Kind.FUNCTION)
                self.bodyless(symbol, node)
                return symbol
        elif kind in ("statement_block", "class_static_block", "switch_body"):
            self.block(node)
        elif kind in ("for_statement", "for_in_statement"):
            self.for_(node)
        elif kind == "catch_clause":
            self.builder.open(ScopeKind.BLOCK, node)
            parameter = node.child_by_field_name("parameter")
            if parameter is not None:
                self.pattern(parameter, -1, Kind.VARIABLE, node)
            for child in node.named_children:
                if child != parameter:
                    self.statement(child)
            self.builder.close()
        elif (
            kind == "expression_statement" and node.named_children and node.named_children[0].type == "internal_module"
        ):
            return self.namespace(node.named_children[0])
        elif kind == "return_statement":
            for child in node.named_children:
                value = self.given(child, self.result_of(self.function_symbol))
                if self.function_symbol >= 0:
                    self.builder.value(self.function_symbol, value)
        elif kind in _NESTING:
            for child in node.named_children:
                self.statement(child)
        else:
            self.x(node)
        return -1

    def block(self, node: Node) -> None:
        """Braces: a scope of its own."""
        self.builder.open(ScopeKind.BLOCK, node)
        self.statements(node)
        self.builder.close()

    def for_(self, node: Node) -> None:
        builder = self.builder
        builder.open(ScopeKind.BLOCK, node)
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if left is not None and right is not None:
            source = self.x(right)
            over = any(child.type == "of" for child in node.children)
            value = builder.on(Op.ITERATE, source) if over else builder.expr(Op.BUILTIN, "string", ())
            if any(child.type in ("const", "let", "var") for child in node.children):
                self.pattern(left, value, Kind.VARIABLE, node)
            else:
                self.x(left)
            body = node.child_by_field_name("body")
            if body is not None:
                self.statement(body)
        else:
            for child in node.named_children:
                self.statement(child)
        builder.close()

    # Declarations

    def function_declaration(self, node: Node) -> int:
        name = node.child_by_field_name("name")
        if name is None:
            self.function(node, -1)
            return -1
        symbol = self.builder.define(name, Kind.FUNCTION)
        self.function(node, symbol)
        return symbol

    def interface(self, node: Node) -> int:
        builder = self.builder
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is None or body is None:
            return -1
        symbol = builder.define(name, Kind.INTERFACE, role=Role.TYPE)
        draft = builder.extent(symbol, node, body.start_byte, documentation(node))
        if draft.kind != Kind.CLASS:
            draft.kind = Kind.INTERFACE
        builder.open(ScopeKind.CLASS, node, symbol)
        self.type_parameters(node.child_by_field_name("type_parameters"))
        bases = [
            self.t(part)
            for child in node.named_children
            if child.type in ("extends_type_clause", "extends_clause")
            for part in child.named_children
        ]
        builder.scope_bases[builder.scope] = tuple(base for base in bases if base >= 0)
        self.type_members(body)
        builder.close()
        return symbol

    def alias(self, node: Node) -> int:
        builder = self.builder
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is None or value is None:
            return -1
        symbol = builder.define(name, Kind.TYPE, role=Role.TYPE)
        builder.extent(symbol, node, doc=documentation(node))
        builder.open(ScopeKind.BLOCK, node)
        self.type_parameters(node.child_by_field_name("type_parameters"))
        builder.drafts[symbol].annotation = self.t(value)
        builder.close()
        return symbol

    def enum(self, node: Node) -> int:
        builder = self.builder
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is None or body is None:
            return -1
        symbol = builder.define(name, Kind.ENUM)
        builder.extent(symbol, node, body.start_byte, documentation(node))
        builder.open(ScopeKind.CLASS, node, symbol)
        for child in body.named_children:
            member = child.child_by_field_name("name") if child.type == "enum_assignment" else child
            if member is not None and member.type in ("property_identifier", "string"):
                at = builder.define(member, Kind.ENUM_MEMBER)
                builder.extent(at, child)
            value = child.child_by_field_name("value")
            if value is not None:
                self.x(value)
        builder.close()
        return symbol

    def namespace(self, node: Node) -> int:
        builder = self.builder
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is None or body is None:
            return -1
        if name.type == "string":
            builder.open(ScopeKind.BLOCK, node)
            self.statements(body)
            builder.close()
            return -1
        if name.type != "identifier":
            name = name.named_children[0]
        symbol = builder.define(name, Kind.NAMESPACE)
        draft = builder.extent(symbol, node, body.start_byte, documentation(node))
        # Its names are members and are also seen bare inside: a block whose owner answers for them.
        scope = builder.open(ScopeKind.BLOCK, node, symbol)
        self.statements(body)
        builder.close()
        if draft.kind == Kind.NAMESPACE:
            builder.value(symbol, builder.expr(Op.OBJECT, scope))
        return symbol

    def variables(self, node: Node) -> None:
        builder = self.builder
        constant = node.children[0].type == "const"
        for child in node.named_children:
            if child.type != "variable_declarator":
                continue
            name, value, kind = (child.child_by_field_name(field) for field in ("name", "value", "type"))
            if name is None:
                continue
            annotation = self.annotation(kind)
            if self.required(name, value):
                continue
            scope = builder.scope
            if node.type == "variable_declaration":
                while builder.scope_kinds[scope] == ScopeKind.BLOCK and builder.scope_parents[scope] >= 0:
                    scope = builder.scope_parents[scope]
            what = Kind.CONSTANT if constant and builder.scope == 0 else Kind.VARIABLE
            if name.type == "identifier":
                function = value is not None and value.type in ("arrow_function", "function_expression", "function")
                symbol = builder.define(name, Kind.FUNCTION if function else what, scope)
                builder.extent(
                    symbol,
                    node if builder.scope == 0 else child,
                    value.start_byte if value is not None and not function else -1,
                    documentation(node),
                )
                if function and value is not None:
                    body = value.child_by_field_name("body")
                    builder.drafts[symbol].head_end = body.start_byte if body is not None else value.end_byte
                    self.function(value, symbol, context=(builder.on(Op.INSTANCE, annotation), 15))
                elif value is not None:
                    builder.value(symbol, self.given(value, builder.on(Op.INSTANCE, annotation)))
                if annotation >= 0 and not function:
                    builder.drafts[symbol].annotation = annotation
            else:
                source = self.x(value) if value is not None else -1
                self.pattern(
                    name, builder.on(Op.INSTANCE, annotation) if annotation >= 0 else source, what, child, scope
                )

    def required(self, name: Node, value: Node | None) -> bool:
        """``const x = require('m')`` and ``const { a } = require('m')``: imports."""
        builder = self.builder
        module = self.require_of(value)
        if module is None or value is None:
            return False
        self.x(value)
        if name.type == "identifier":
            symbol = builder.define(name, Kind.IMPORT)
            builder.extent(symbol, name)
            builder.value(symbol, builder.expr(Op.IMPORT, builder.imports_entry(module)))
        elif name.type == "object_pattern":
            for child in name.named_children:
                key = (
                    child if child.type == "shorthand_property_identifier_pattern" else child.child_by_field_name("key")
                )
                bound = child if key == child else child.child_by_field_name("value")
                if (
                    key is None
                    or bound is None
                    or bound.type not in ("identifier", "shorthand_property_identifier_pattern")
                ):
                    continue
                text = builder.text(key)
                entry = builder.imports_entry(module, 0, text.decode("utf-8", "replace"))
                if bound != key:
                    builder.imported(key.start_byte, text, entry)
                symbol = builder.define(bound, Kind.IMPORT)
                builder.extent(symbol, name)
                builder.value(symbol, builder.expr(Op.IMPORT, entry))
        else:
            self.pattern(name, -1, Kind.VARIABLE, name)
        return True

    # Modules

    def import_(self, node: Node) -> None:
        builder = self.builder
        source = node.child_by_field_name("source")
        module = self.literal(source)
        for clause in node.named_children:
            if clause.type == "import_require_clause":
                bound, inner = clause.named_children[0], clause.child_by_field_name("source")
                symbol = builder.define(bound, Kind.IMPORT)
                builder.extent(symbol, node)
                builder.value(symbol, builder.expr(Op.IMPORT, builder.imports_entry(self.literal(inner), 0, "=")))
            if clause.type != "import_clause":
                continue
            for child in clause.named_children:
                if child.type == "identifier":
                    self.bind_import(child, builder.imports_entry(module, 0, "default"), node)
                elif child.type == "namespace_import":
                    self.bind_import(child.named_children[0], builder.imports_entry(module), node)
                elif child.type == "named_imports":
                    for item in child.named_children:
                        name, alias = item.child_by_field_name("name"), item.child_by_field_name("alias")
                        if name is None:
                            continue
                        text = builder.text(name)
                        entry = builder.imports_entry(module, 0, text.decode("utf-8", "replace"))
                        if alias is not None:
                            builder.imported(name.start_byte, text, entry)
                        self.bind_import(alias or name, entry, node)

    def bind_import(self, name: Node, entry: int, whole: Node) -> None:
        builder = self.builder
        symbol = builder.define(name, Kind.IMPORT)
        builder.extent(symbol, whole)
        builder.value(symbol, builder.expr(Op.IMPORT, entry))

    def export(self, node: Node) -> None:
        builder = self.builder
        assert builder.exports is not None
        source = node.child_by_field_name("source")
        declaration = node.child_by_field_name("declaration")
        default = any(child.type == "default" for child in node.children)
        for child in node.named_children:
            if child.type == "decorator":
                self.x(child)
        if source is not None:
            self.reexport(node, self.literal(source))
        elif declaration is not None:
            before = len(builder.drafts)
            symbol = self.statement(declaration)
            if default:
                if symbol >= 0:
                    builder.exports["default"] = (symbol, -1)
                    builder.drafts[symbol].flags |= SymbolFlag.DEFAULT_EXPORT
                return
            names = list(builder.name_ids)
            fresh = (
                [symbol]
                if symbol >= 0
                else [at for at in range(before, len(builder.drafts)) if builder.drafts[at].scope == builder.scope]
            )
            for at in fresh:
                draft = builder.drafts[at]
                draft.flags |= SymbolFlag.EXPORTED
                if builder.scope == 0:
                    builder.exports[names[draft.name].decode("utf-8", "replace")] = (at, -1)
        elif default:
            value = node.child_by_field_name("value")
            if value is not None and value.type == "identifier":
                builder.read(value)
                self.pending_exports.append(("default", builder.name(builder.text(value))))
            elif value is not None:
                expr = self.x(value)
                symbol = builder.bind(builder.name(b"default"), Kind.VARIABLE, 0)
                builder.value(symbol, expr)
                builder.exports["default"] = (symbol, -1)
        else:
            for child in node.named_children:
                if child.type == "export_clause":
                    for item in child.named_children:
                        name, alias = item.child_by_field_name("name"), item.child_by_field_name("alias")
                        if name is not None:
                            builder.read(name)
                            exported = builder.text(alias or name).decode("utf-8", "replace")
                            self.pending_exports.append((exported, builder.name(builder.text(name))))
                elif child.type == "identifier":  # export = name
                    builder.read(child)
                    self.pending_exports.append(("=", builder.name(builder.text(child))))
                elif child.type != "decorator":
                    self.statement(child)

    def reexport(self, node: Node, module: str) -> None:
        builder = self.builder
        assert builder.exports is not None
        clause = next(
            (child for child in node.named_children if child.type in ("export_clause", "namespace_export")), None
        )
        if clause is None:
            builder.stars.append(builder.imports_entry(module, 0, "*"))
        elif clause.type == "namespace_export":
            whole = builder.text(clause.named_children[0]).decode("utf-8", "replace")
            builder.exports[whole] = (-1, builder.imports_entry(module))
        else:
            for item in clause.named_children:
                name, alias = item.child_by_field_name("name"), item.child_by_field_name("alias")
                if name is None:
                    continue
                text = builder.text(name)
                entry = builder.imports_entry(module, 0, text.decode("utf-8", "replace"))
                builder.imported(name.start_byte, text, entry)
                if alias is not None and alias.type == "identifier" and builder.text(alias) != b"default":
                    builder.imported(alias.start_byte, builder.text(alias), entry)
                builder.exports[builder.text(alias or name).decode("utf-8", "replace")] = (-1, entry)


_NESTING = frozenset(
    {
        "if_statement", "else_clause", "while_statement", "do_statement", "try_statement", "finally_clause",
        "switch_statement",
        "switch_case", "switch_default", "labeled_statement", "with_statement",
    }
)  # fmt: skip
