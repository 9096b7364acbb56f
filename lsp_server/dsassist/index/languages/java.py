"""Java. Files of a package share a scope; members are seen bare inside their class."""

from __future__ import annotations

from collections.abc import Sequence

import tree_sitter
import tree_sitter_java
from tree_sitter import Node, Parser, Tree

from dsassist.index.builder import Builder
from dsassist.index.facts import OF_CLASS, Facts, Import
from dsassist.index.languages.base import FileSet, Found, count_errors, make_parser
from dsassist.index.languages.braces import Braces
from dsassist.index.model import Kind, Op, ScopeKind, SymbolFlag

__all__ = ["Java"]

_GRAMMAR = tree_sitter.Language(tree_sitter_java.language())
_BUILTINS = frozenset(
    """Object String Integer Long Double Float Boolean Byte Short Character Number Math System Thread Runnable Exception
    RuntimeException Error Throwable Iterable Comparable CharSequence StringBuilder StringBuffer Class Enum Record
    Void Override
    Deprecated SuppressWarnings FunctionalInterface SafeVarargs IllegalArgumentException IllegalStateException
    NullPointerException IndexOutOfBoundsException UnsupportedOperationException ArithmeticException ClassCastException
    InterruptedException CloneNotSupportedException AutoCloseable Cloneable Process ProcessBuilder
    ClassLoader""".split()
)


class _Walk(Braces):
    blocks = frozenset({"block", "constructor_body", "switch_block_statement_group", "for_statement", "switch_rule"})
    switched = -1
    """What the innermost ``switch`` looks at."""

    def on_package_declaration(self, node: Node) -> int:
        self.builder.extra["package"] = self.builder.text(node.named_children[-1]).decode("utf-8", "replace")
        return -1

    def on_import_declaration(self, node: Node) -> int:
        builder = self.builder
        path = next((child for child in node.named_children if child.type in ("scoped_identifier", "identifier")), None)
        if path is None:
            return -1
        text = builder.text(path).decode("utf-8", "replace")
        # A class inside a class is imported as a static member is; packages are written small.
        outer = text if any(child.type == "asterisk" for child in node.named_children) else text.rpartition(".")[0]
        static = any(child.type == "static" for child in node.children) or outer.rpartition(".")[2][:1].isupper()
        if any(child.type == "asterisk" for child in node.named_children):
            builder.stars.append(builder.imports_entry(text, OF_CLASS if static else 0, "*"))
            return -1
        name = self.field(path, "name") or path
        holder, _, last = text.rpartition(".")
        module, member = (holder, last) if static else (text, last)
        entry = builder.imports_entry(module, OF_CLASS if static else 0, member)
        symbol = builder.define(name, Kind.IMPORT)
        builder.extent(symbol, node)
        builder.value(symbol, builder.expr(Op.IMPORT, entry))
        return -1

    def type_declaration(self, node: Node, kind: Kind) -> int:
        bases: list[int] = []
        for heritage in ("superclass", "interfaces"):
            part = self.field(node, heritage)
            if part is not None:
                bases += self.type_list(part)
        for child in node.named_children:
            if child.type == "extends_interfaces":
                bases += self.type_list(child)
            elif child.type == "modifiers":
                self.x(child)
        body = self.field(node, "body")
        symbol = self.container(node, kind, body.start_byte if body is not None else -1, bases, None, None)
        if symbol < 0 or body is None:
            return -1
        builder = self.builder
        scope = builder.drafts[symbol].bodies[-1]
        outer, builder.scope = builder.scope, scope
        this, self.this = self.this, builder.name_expr(builder.drafts[symbol].name, builder.drafts[symbol].scope)
        self.maybe(self.field(node, "type_parameters"))
        parameters = self.field(node, "parameters")
        for child in parameters.named_children if parameters is not None else ():
            name = self.field(child, "name")
            if name is not None:
                self.variable(name, Kind.FIELD, child, self.maybe(self.field(child, "type")))
        self.parts(body)
        self.this = this
        builder.scope = outer
        return -1

    def type_list(self, node: Node) -> list[int]:
        """The types under ``extends`` or ``implements``."""
        out = []
        for child in node.named_children:
            out += self.type_list(child) if child.type in ("type_list", "interface_type_list") else [self.x(child)]
        return out

    def on_class_declaration(self, node: Node) -> int:
        return self.type_declaration(node, Kind.CLASS)

    on_record_declaration = on_class_declaration

    def on_interface_declaration(self, node: Node) -> int:
        return self.type_declaration(node, Kind.INTERFACE)

    on_annotation_type_declaration = on_interface_declaration

    def on_enum_declaration(self, node: Node) -> int:
        return self.type_declaration(node, Kind.ENUM)

    def on_enum_constant(self, node: Node) -> int:
        name = self.field(node, "name")
        if name is not None:
            self.variable(name, Kind.ENUM_MEMBER, node)
        self.maybe(self.field(node, "arguments"))
        self.maybe(self.field(node, "body"))
        return -1

    def on_type_parameter(self, node: Node) -> int:
        for index, child in enumerate(node.named_children):
            if index == 0:
                self.builder.define(child, Kind.TYPE_PARAMETER)
            else:
                self.x(child)
        return -1

    def on_method_declaration(self, node: Node) -> int:
        builder = self.builder
        name = self.field(node, "name")
        if name is None:
            return self.parts(node)
        constructor = node.type in ("constructor_declaration", "compact_constructor_declaration")
        flags = (
            SymbolFlag.STATIC
            if any(
                child.type == "modifiers" and b"static" in builder.text(child).split() for child in node.named_children
            )
            else 0
        )
        for child in node.named_children:
            if child.type in ("modifiers", "throws"):
                self.x(child)
        kind = Kind.CONSTRUCTOR if constructor else Kind.METHOD
        if constructor:
            # The class's own name: a constructor is what the class is called as.
            builder.read(name)
            symbol = builder.bind(builder.name(b"<init>"), kind)
        else:
            symbol = builder.define(name, kind, flags=flags)
        result = self.field(node, "type")
        types = self.field(node, "type_parameters")
        annotation = -1
        if result is not None and types is None:
            annotation = self.x(result)
        self.function(node, symbol, self.field(node, "parameters"), self.field(node, "body"), annotation, types)
        if result is not None and types is not None:
            outer, builder.scope = builder.scope, builder.drafts[symbol].bodies[-1]
            annotation = self.x(result)
            builder.scope = outer
            if builder.drafts[symbol].annotation < 0:
                builder.drafts[symbol].annotation = annotation
        return -1

    on_constructor_declaration = on_method_declaration
    on_compact_constructor_declaration = on_method_declaration
    on_annotation_type_element_declaration = on_method_declaration

    def on_formal_parameter(self, node: Node) -> int:
        kind = self.maybe(self.field(node, "type"))
        name = self.field(node, "name")
        if name is None:
            for child in node.named_children:
                inner = self.field(child, "name") if child.type == "variable_declarator" else None
                if inner is not None:
                    self.variable(inner, Kind.PARAMETER, node, self.listed(kind))
        else:
            self.variable(name, Kind.PARAMETER, node, kind)
        for child in node.named_children:
            if child.type == "modifiers":
                self.x(child)
        return -1

    def on_spread_parameter(self, node: Node) -> int:
        parts = [child for child in node.named_children if child.type != "modifiers"]
        kind = self.x(parts[0]) if parts else -1
        name = self.field(parts[-1], "name") if parts else None
        if name is not None:
            self.variable(name, Kind.PARAMETER, node, self.listed(kind))
        return -1

    def on_field_declaration(self, node: Node) -> int:
        field = node.type in ("field_declaration", "constant_declaration")
        builder = self.builder
        for child in node.named_children:
            if child.type == "modifiers":
                self.x(child)
        kind_node = self.field(node, "type")
        kind = self.maybe(kind_node)
        inferred = kind_node is not None and builder.text(kind_node) == b"var"
        for child in node.children_by_field_name("declarator"):
            name, value = self.field(child, "name"), self.field(child, "value")
            given = self.maybe(value)
            if name is not None:
                self.variable(name, Kind.FIELD if field else Kind.VARIABLE, node, -1 if inferred else kind, given)
        return -1

    on_local_variable_declaration = on_field_declaration
    on_constant_declaration = on_field_declaration

    def on_enhanced_for_statement(self, node: Node) -> int:
        builder = self.builder
        builder.open(ScopeKind.BLOCK, node)
        kind_node, name = self.field(node, "type"), self.field(node, "name")
        kind = self.maybe(kind_node)
        value = builder.on(Op.ITERATE, self.maybe(self.field(node, "value")))
        if name is not None:
            inferred = kind_node is not None and builder.text(kind_node) == b"var"
            self.variable(name, Kind.VARIABLE, node, -1 if inferred else kind, value)
        self.maybe(self.field(node, "body"))
        builder.close()
        return -1

    def on_catch_clause(self, node: Node) -> int:
        self.builder.open(ScopeKind.BLOCK, node)
        self.parts(node)
        self.builder.close()
        return -1

    on_try_with_resources_statement = on_catch_clause

    def on_catch_formal_parameter(self, node: Node) -> int:
        name = self.field(node, "name")
        kinds = [
            self.x(item) for child in node.named_children if child.type == "catch_type" for item in child.named_children
        ]
        if name is not None:
            self.variable(name, Kind.PARAMETER, node, self.builder.union(kinds))
        return -1

    def on_resource(self, node: Node) -> int:
        name = self.field(node, "name")
        if name is None:
            return self.parts(node)
        kind = self.maybe(self.field(node, "type"))
        self.variable(name, Kind.VARIABLE, node, kind, self.maybe(self.field(node, "value")))
        return -1

    def on_instanceof_expression(self, node: Node) -> int:
        self.maybe(self.field(node, "left"))
        kind = self.maybe(self.field(node, "right"))
        name = self.field(node, "name")
        if name is not None:
            scope = self.builder.scope
            self.variable(name, Kind.VARIABLE, node, kind, scope=scope)
        for child in node.named_children:
            if child.type.endswith("pattern"):
                self.x(child)
        return -1

    def on_type_pattern(self, node: Node) -> int:
        parts = node.named_children
        if len(parts) == 2 and parts[1].type == "identifier":
            self.variable(parts[1], Kind.VARIABLE, node, self.x(parts[0]))
            return -1
        return self.parts(node)

    def on_switch_expression(self, node: Node) -> int:
        outer = self.switched
        self.switched = self.maybe(self.field(node, "condition"))
        self.maybe(self.field(node, "body"))
        self.switched = outer
        return -1

    def on_switch_label(self, node: Node) -> int:
        """In ``case ON`` the constants of what is switched on are seen."""
        builder = self.builder
        names = node.named_children
        if self.switched < 0 or not names or any(child.type != "identifier" for child in names):
            return self.parts(node)
        scope = builder.open(ScopeKind.BLOCK, node)
        builder.extra.setdefault("labels", {})[scope] = ((self.switched, ""),)
        for child in names:
            builder.read(child)
        builder.close()
        return -1

    def on_lambda_expression(self, node: Node) -> int:
        builder = self.builder
        builder.open(ScopeKind.FUNCTION, node)
        parameters, body = self.field(node, "parameters"), self.field(node, "body")
        function, self.function_symbol = self.function_symbol, -1
        if parameters is not None:
            if parameters.type in ("identifier", "inferred_parameters"):
                for child in parameters.named_children or [parameters]:
                    builder.value(builder.define(child, Kind.PARAMETER), self.first_parameter())
            else:
                self.x(parameters)
        value = self.maybe(body)
        self.function_symbol = function
        builder.close()
        return builder.on(Op.FUNCTION, value)

    def on_method_invocation(self, node: Node) -> int:
        builder = self.builder
        base, name, arguments = self.field(node, "object"), self.field(node, "name"), self.field(node, "arguments")
        self.maybe(self.field(node, "type_arguments"))
        if name is None:
            return self.parts(node)
        callee = self.member(base, name) if base is not None else self.leaf(name)
        return (
            self.call(callee if callee >= 0 else builder.name_expr(builder.name(b"")), arguments)
            if callee >= 0
            else self._unknown_call(arguments)
        )

    def _unknown_call(self, arguments: Node | None) -> int:
        rows = self.builder.occurrences
        start, name, role, ref, scope = rows[-1]
        rows[-1] = (start, name, role | 32, ref, scope)
        self.maybe(arguments)
        return -1

    def on_field_access(self, node: Node) -> int:
        base, name = self.field(node, "object"), self.field(node, "field")
        return (
            self.member(base, name)
            if base is not None and name is not None and name.type == "identifier"
            else self.parts(node)
        )

    def on_scoped_identifier(self, node: Node) -> int:
        base, name = self.field(node, "scope"), self.field(node, "name")
        return self.member(base, name) if base is not None and name is not None else self.parts(node)

    def on_scoped_type_identifier(self, node: Node) -> int:
        parts = [
            child
            for child in node.named_children
            if child.type in ("type_identifier", "scoped_type_identifier", "generic_type")
        ]
        return self.member(parts[0], parts[-1]) if len(parts) == 2 else self.parts(node)

    def on_method_reference(self, node: Node) -> int:
        parts = node.named_children
        if len(parts) == 2 and parts[1].type == "identifier":
            return self.member(parts[0], parts[1])
        return self.parts(node)

    def on_object_creation_expression(self, node: Node) -> int:
        kind_node, arguments = self.field(node, "type"), self.field(node, "arguments")
        kind = self.maybe(kind_node)
        rows = self.builder.occurrences
        if kind_node is not None and kind_node.type == "type_identifier" and rows:
            start, name, role, ref, scope = rows[-1]
            rows[-1] = (start, name, role | 32, ref, scope)
        self.maybe(arguments)
        for child in node.named_children:
            if child.type == "class_body":
                self.builder.open(ScopeKind.CLASS, child, -1, (kind,) if kind >= 0 else ())
                self.parts(child)
                self.builder.close()
        return self.instance(kind)

    def on_this(self, node: Node) -> int:
        return self.instance(self.this)

    def on_super(self, node: Node) -> int:
        builder = self.builder
        scope = builder.scope
        while scope >= 0 and builder.scope_kinds[scope] != ScopeKind.CLASS:
            scope = builder.scope_parents[scope]
        return builder.expr(Op.SUPER, scope, 0) if scope >= 0 and builder.scope_owners[scope] >= 0 else -1

    def on_generic_type(self, node: Node) -> int:
        parts = node.named_children
        return self.generic(self.x(parts[0]), self.types_of(parts[1]) if len(parts) > 1 else [])

    def on_array_type(self, node: Node) -> int:
        return self.listed(self.maybe(self.field(node, "element")))

    def on_array_access(self, node: Node) -> int:
        base = self.maybe(self.field(node, "array"))
        self.maybe(self.field(node, "index"))
        return self.builder.on(Op.SUBSCRIPT, base)

    def on_cast_expression(self, node: Node) -> int:
        kind = self.maybe(self.field(node, "type"))
        self.maybe(self.field(node, "value"))
        return self.instance(kind)

    def on_ternary_expression(self, node: Node) -> int:
        parts = [self.x(child) for child in node.named_children]
        return self.builder.union(parts[1:])

    def on_element_value_pair(self, node: Node) -> int:
        return self.maybe(self.field(node, "value"))

    def on_string_literal(self, node: Node) -> int:
        return self.builder.expr(Op.BUILTIN, "String", ())

    def on_labeled_statement(self, node: Node) -> int:
        for child in node.named_children[1:]:
            self.x(child)
        return -1

    def on_break_statement(self, node: Node) -> int:
        return -1

    on_continue_statement = on_break_statement


class Java:
    """The Java language."""

    name = "java"
    extensions = (".java",)
    class_names_nest = True
    wide_references = False

    def version(self) -> str:
        """See ``Language``."""
        return f"{_GRAMMAR.abi_version}.{_GRAMMAR.node_kind_count}"

    def parser(self, path: str) -> Parser:
        """See ``Language``."""
        return make_parser(_GRAMMAR)

    def extract(self, path: str, source: bytes, tree: Tree) -> Facts:
        """See ``Language``."""
        builder = Builder(self.name, source, class_names_nest=True)
        builder.errors = count_errors(tree.root_node)
        _Walk(builder).module(tree.root_node)
        return builder.finish()

    def find_import(self, path: str, entry: Import, files: FileSet) -> Found:
        """See ``Language``. A class is a file of its name in a folder of its package, wherever the source root is."""
        place = entry.module.replace(".", "/")
        if entry.name == "*" and entry.level != OF_CLASS:
            folder = next((item.rpartition("/")[0] for item in _all_java(place, files)), "")
            found = tuple(files.in_folder(folder, (".java",))) if folder else ()
            return Found(files=found) if found else Found(external=entry.module)
        last = place.rpartition("/")[2]
        for candidate in files.named(f"{last}.java"):
            if candidate == f"{place}.java" or candidate.endswith(f"/{place}.java"):
                return Found(files=(candidate,))
        return Found(external=entry.module.rpartition(".")[0] or entry.module)

    def submodule(self, entry: Import) -> str | None:
        """See ``Language``."""
        return None

    def siblings(self, path: str, facts: Facts, files: FileSet) -> Sequence[str]:
        """See ``Language``."""
        return files.in_folder(path.rpartition("/")[0], (".java",))

    def builtin(self, name: str) -> bool:
        """See ``Language``."""
        return name in _BUILTINS


def _all_java(place: str, files: FileSet) -> list[str]:
    """A file in the folder of a package, under any source root."""
    for root in ("", "src/main/java/", "src/test/java/", "src/"):
        found = files.in_folder(f"{root}{place}", (".java",))
        if found:
            return list(found)
    for root in files.folders_with("pom.xml"):
        for inner in ("src/main/java", "src"):
            found = files.in_folder(f"{root}/{inner}/{place}", (".java",))
            if found:
                return list(found)
    return []
