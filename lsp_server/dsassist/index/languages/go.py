"""Go. A package is a folder: its files share one scope, and methods are written outside their types."""

from __future__ import annotations

import re
from collections.abc import Sequence

import tree_sitter
import tree_sitter_go
from tree_sitter import Node, Parser, Tree

from dsassist.index.builder import Builder
from dsassist.index.facts import Facts, Import
from dsassist.index.languages.base import FileSet, Found, count_errors, make_parser
from dsassist.index.languages.braces import Braces, comment_above
from dsassist.index.model import Kind, Op, ScopeKind

__all__ = ["Go"]

_GRAMMAR = tree_sitter.Language(tree_sitter_go.language())
_BUILTINS = frozenset(
    """append cap clear close complex copy delete imag len make max min new panic print println real recover bool byte
    complex64
    complex128 error float32 float64 int int8 int16 int32 int64 rune string uint uint8 uint16 uint32 uint64 uintptr any
    comparable true false nil iota _""".split()
)


class _Walk(Braces):
    leaves = frozenset({"identifier", "type_identifier", "package_identifier"})

    def on_package_clause(self, node: Node) -> int:
        self.builder.extra["package"] = (
            self.builder.text(node.named_children[0]).decode("utf-8", "replace") if node.named_children else ""
        )
        return -1

    def on_import_spec(self, node: Node) -> int:
        builder = self.builder
        path, name = self.field(node, "path"), self.field(node, "name")
        if path is None:
            return -1
        module = builder.text(path).strip(b'"`').decode("utf-8", "replace")
        entry = builder.imports_entry(module)
        if name is not None and name.type == "dot":
            builder.stars.append(builder.imports_entry(module, 0, "*"))
        elif name is not None and name.type == "package_identifier":
            symbol = builder.define(name, Kind.IMPORT)
            builder.extent(symbol, node)
            builder.value(symbol, builder.expr(Op.IMPORT, entry))
        elif name is None:
            parts = module.split("/")
            last = parts[-2] if len(parts) > 1 and re.fullmatch(r"v\d+", parts[-1]) else parts[-1]
            bound = builder.bind(builder.name(last.encode().partition(b".")[0].replace(b"-", b"_")), Kind.IMPORT)
            builder.extent(bound, node)
            builder.value(bound, builder.expr(Op.IMPORT, entry))
        return -1

    def on_function_declaration(self, node: Node) -> int:
        name = self.field(node, "name")
        if name is None:
            return self.parts(node)
        symbol = self.builder.define(name, Kind.FUNCTION)
        self.signature(node, symbol)
        return -1

    def signature(self, node: Node, symbol: int) -> None:
        """Results are walked in the function's scope, where its type parameters are."""
        builder = self.builder
        body = self.field(node, "body")
        fresh = symbol >= 0 and not builder.drafts[symbol].bodies
        if symbol >= 0:
            builder.extent(symbol, node, body.start_byte if body is not None else -1, comment_above(node))
        builder.open(ScopeKind.FUNCTION, node, symbol)
        self.maybe(self.field(node, "type_parameters"))
        before = len(builder.drafts)
        self.maybe(self.field(node, "parameters"))
        if fresh:
            builder.drafts[symbol].parameters = list(range(before, len(builder.drafts)))
        result = self.field(node, "result")
        if result is not None:
            if result.type == "parameter_list":
                kinds = [self.x(child) for child in result.named_children]
                annotation = (
                    builder.expr(Op.TUPLE, tuple(self.instance(kind) for kind in kinds))
                    if len(kinds) > 1
                    else kinds[0]
                    if kinds
                    else -1
                )
            else:
                annotation = self.x(result)
            if symbol >= 0:
                builder.drafts[symbol].annotation = annotation
        function, self.function_symbol = self.function_symbol, symbol
        if body is not None:
            self.parts(body)
        self.function_symbol = function
        builder.close()

    def on_method_declaration(self, node: Node) -> int:
        builder = self.builder
        receiver, name = self.field(node, "receiver"), self.field(node, "name")
        if receiver is None or name is None:
            return self.parts(node)
        base = _base_type(receiver)
        scope = builder.open(ScopeKind.CLASS, node)
        if base is not None:
            methods = builder.extra.setdefault("methods", {})
            text = builder.text(base).decode("utf-8", "replace")
            methods[text] = (*methods.get(text, ()), scope)
        symbol = builder.define(name, Kind.METHOD)
        builder.open(ScopeKind.BLOCK, node)
        self.x(receiver)
        self.signature(node, symbol)
        builder.close()
        builder.close()
        return -1

    def on_func_literal(self, node: Node) -> int:
        self.signature(node, -1)
        return -1

    def on_parameter_declaration(self, node: Node) -> int:
        kind = self.maybe(self.field(node, "type"))
        for name in node.children_by_field_name("name"):
            self.variable(name, Kind.PARAMETER, node, kind)
        return kind

    def on_variadic_parameter_declaration(self, node: Node) -> int:
        kind = self.listed(self.maybe(self.field(node, "type")))
        for name in node.children_by_field_name("name"):
            self.variable(name, Kind.PARAMETER, node, kind)
        return kind

    def on_type_parameter_declaration(self, node: Node) -> int:
        self.maybe(self.field(node, "type"))
        for name in node.children_by_field_name("name"):
            self.builder.define(name, Kind.TYPE_PARAMETER)
        return -1

    def on_type_spec(self, node: Node) -> int:
        builder = self.builder
        kind = self.field(node, "type")
        types = self.field(node, "type_parameters")
        if kind is not None and kind.type in ("struct_type", "interface_type"):
            what = Kind.STRUCT if kind.type == "struct_type" else Kind.INTERFACE
            return self.container(node, what, kind.start_byte, [], kind, types)
        name = self.field(node, "name")
        if name is None:
            return self.parts(node)
        symbol = builder.define(name, Kind.TYPE if node.type == "type_alias" else Kind.STRUCT)
        builder.extent(symbol, node, doc=comment_above(node))
        scope = builder.open(ScopeKind.CLASS, node, symbol)
        self.maybe(types)
        base = self.maybe(kind)
        builder.close()
        if node.type == "type_alias":
            builder.drafts[symbol].annotation = base
        elif base >= 0 and builder.exprs[base][0] != Op.BUILTIN:
            builder.scope_bases[scope] = (base,)
        return -1

    on_type_alias = on_type_spec

    def on_field_declaration(self, node: Node) -> int:
        builder = self.builder
        names = node.children_by_field_name("name")
        kind = self.maybe(self.field(node, "type"))
        for name in names:
            self.variable(name, Kind.FIELD, node, kind)
        if not names:
            builder.scope_bases[builder.scope] = (
                (*builder.scope_bases[builder.scope], kind) if kind >= 0 else builder.scope_bases[builder.scope]
            )
        return -1

    def on_method_elem(self, node: Node) -> int:
        name = self.field(node, "name")
        if name is None:
            return self.parts(node)
        self.signature(node, self.builder.define(name, Kind.METHOD))
        return -1

    def on_type_elem(self, node: Node) -> int:
        builder = self.builder
        for child in node.named_children:
            kind = self.x(child)
            if kind >= 0 and builder.scope_kinds[builder.scope] == ScopeKind.CLASS:
                builder.scope_bases[builder.scope] = (*builder.scope_bases[builder.scope], kind)
        return -1

    def on_const_spec(self, node: Node) -> int:
        constant = node.type == "const_spec"
        what = Kind.CONSTANT if constant else Kind.VARIABLE
        kind = self.maybe(self.field(node, "type"))
        value = self.field(node, "value")
        values = [self.x(child) for child in value.named_children] if value is not None else []
        names = node.children_by_field_name("name")
        self.assign([name for name in names if name.type == "identifier"], values, what, node, kind)
        return -1

    on_var_spec = on_const_spec

    def assign(self, names: list[Node], values: list[int], what: Kind, whole: Node, kind: int = -1) -> None:
        """Names to values, or all of them to the parts of one."""
        for index, name in enumerate(names):
            value = (
                values[index]
                if len(values) == len(names)
                else self.builder.on(Op.ITEM, values[0], index)
                if values
                else -1
            )
            if name.type == "identifier" and self.builder.text(name) != b"_":
                self.variable(name, what, whole, kind, value)
            elif name.type != "identifier":
                self.x(name)

    def on_short_var_declaration(self, node: Node) -> int:
        left, right = self.field(node, "left"), self.field(node, "right")
        values = [self.x(child) for child in right.named_children] if right is not None else []
        if left is not None:
            self.assign(left.named_children, values, Kind.VARIABLE, node)
        return -1

    def on_range_clause(self, node: Node) -> int:
        left, right = self.field(node, "left"), self.field(node, "right")
        source = self.maybe(right)
        if left is not None:
            if any(child.type == ":=" for child in node.children):
                items = [-1, self.builder.on(Op.SUBSCRIPT, source)]
                self.assign(left.named_children, items[: len(left.named_children)], Kind.VARIABLE, node)
            else:
                self.x(left)
        return -1

    def on_type_switch_statement(self, node: Node) -> int:
        builder = self.builder
        builder.open(ScopeKind.BLOCK, node)
        alias, value = self.field(node, "alias"), self.field(node, "value")
        inner = self.maybe(value)
        names = alias.named_children if alias is not None else []
        for child in node.named_children:
            if child in (alias, value):
                continue
            builder.open(ScopeKind.BLOCK, child)
            kinds = child.children_by_field_name("type") if child.type == "type_case" else []
            exprs = [self.x(item) for item in kinds]
            for name in names:
                symbol = builder.bind(builder.name(builder.text(name)), Kind.VARIABLE)
                builder.value(symbol, self.instance(exprs[0]) if len(exprs) == 1 else inner)
                if builder.drafts[symbol].occurrence < 0 and child == node.named_children[-1]:
                    builder.define(name, Kind.VARIABLE)
            for item in child.named_children:
                if item not in kinds:
                    self.x(item)
            builder.close()
        builder.close()
        return -1

    def on_for_statement(self, node: Node) -> int:
        self.builder.open(ScopeKind.BLOCK, node)
        self.parts(node)
        self.builder.close()
        return -1

    on_if_statement = on_for_statement
    on_expression_case = on_for_statement
    on_communication_case = on_for_statement

    def on_selector_expression(self, node: Node) -> int:
        base, name = self.field(node, "operand"), self.field(node, "field")
        return self.member(base, name) if base is not None and name is not None else self.parts(node)

    def on_qualified_type(self, node: Node) -> int:
        base, name = self.field(node, "package"), self.field(node, "name")
        return self.member(base, name) if base is not None and name is not None else self.parts(node)

    def on_call_expression(self, node: Node) -> int:
        function, arguments = self.field(node, "function"), self.field(node, "arguments")
        if function is None:
            return self.parts(node)
        text = self.builder.text(function)
        if text in (b"new", b"make") and arguments is not None and arguments.named_children:
            self.builder.read(function)
            kinds = [self.x(child) for child in arguments.named_children]
            return self.instance(kinds[0])
        if text == b"append" and arguments is not None and arguments.named_children:
            self.builder.read(function)
            values = [self.x(child) for child in arguments.named_children]
            return values[0]
        return self.call(self.x(function), arguments)

    def on_type_conversion_expression(self, node: Node) -> int:
        kind = self.maybe(self.field(node, "type"))
        self.maybe(self.field(node, "operand"))
        return self.instance(kind)

    def on_composite_literal(self, node: Node) -> int:
        kind = self.maybe(self.field(node, "type"))
        made = self.instance(kind)
        body = self.field(node, "body")
        if body is not None:
            self.elements(body, made)
        return made

    def elements(self, body: Node, made: int) -> None:
        """Keys of a composite literal are fields where they are plain names and the type has them."""
        inner = self.builder.on(Op.ITERATE, made)
        for child in body.named_children:
            if child.type == "keyed_element" and len(child.named_children) == 2:
                key, value = child.named_children
                name = key.named_children[0] if key.named_children else key
                if (
                    name.type == "identifier"
                    and made >= 0
                    and self.builder.exprs[self.builder.exprs[made][1]][0] != Op.BUILTIN
                ):
                    self.builder.attribute(name, made)
                    expected = self.builder.on(Op.ATTR, made, self.builder.name(self.builder.text(name)))
                else:
                    self.x(key)
                    expected = inner
                self.element(value, expected)
            else:
                self.element(child, inner)

    def element(self, node: Node, expected: int) -> None:
        held = node.named_children[0] if node.type == "literal_element" and node.named_children else node
        if held.type == "literal_value":
            self.elements(held, expected)
        else:
            self.x(held)

    def on_unary_expression(self, node: Node) -> int:
        value = self.maybe(self.field(node, "operand"))
        return self.builder.on(Op.ITERATE, value) if node.children[0].type == "<-" else value

    def on_pointer_type(self, node: Node) -> int:
        return self.parts(node)

    def on_slice_type(self, node: Node) -> int:
        return self.listed(self.maybe(self.field(node, "element")))

    def on_array_type(self, node: Node) -> int:
        self.maybe(self.field(node, "length"))
        return self.listed(self.maybe(self.field(node, "element")))

    def on_channel_type(self, node: Node) -> int:
        return self.listed(self.maybe(self.field(node, "value")))

    def on_map_type(self, node: Node) -> int:
        key, value = self.maybe(self.field(node, "key")), self.maybe(self.field(node, "value"))
        return self.builder.expr(Op.BUILTIN, "map", (self.instance(key), self.instance(value)))

    def on_generic_type(self, node: Node) -> int:
        return self.generic(self.maybe(self.field(node, "type")), self.types_of(self.field(node, "type_arguments")))

    def on_function_type(self, node: Node) -> int:
        self.signature(node, -1)
        return -1

    def on_type_assertion_expression(self, node: Node) -> int:
        self.maybe(self.field(node, "operand"))
        return self.instance(self.maybe(self.field(node, "type")))

    def on_index_expression(self, node: Node) -> int:
        base = self.maybe(self.field(node, "operand"))
        self.maybe(self.field(node, "index"))
        return self.builder.on(Op.SUBSCRIPT, base)

    def on_slice_expression(self, node: Node) -> int:
        base = self.maybe(self.field(node, "operand"))
        for child in node.named_children[1:]:
            self.x(child)
        return base

    def on_interpreted_string_literal(self, node: Node) -> int:
        return self.builder.expr(Op.BUILTIN, "string", ())

    def on_label_name(self, node: Node) -> int:
        return -1


def _base_type(receiver: Node) -> Node | None:
    stack = [receiver]
    while stack:
        node = stack.pop()
        if node.type == "type_identifier":
            return node
        stack.extend(
            reversed([child for child in node.named_children if child.type not in ("identifier", "type_arguments")])
        )
    return None


class Go:
    """The Go language."""

    name = "go"
    extensions = (".go",)
    class_names_nest = False
    wide_references = False

    def version(self) -> str:
        """See ``Language``."""
        return f"{_GRAMMAR.abi_version}.{_GRAMMAR.node_kind_count}"

    def parser(self, path: str) -> Parser:
        """See ``Language``."""
        return make_parser(_GRAMMAR)

    def extract(self, path: str, source: bytes, tree: Tree) -> Facts:
        """See ``Language``."""
        builder = Builder(self.name, source)
        builder.errors = count_errors(tree.root_node)
        _Walk(builder).module(tree.root_node)
        return builder.finish()

    def find_import(self, path: str, entry: Import, files: FileSet) -> Found:
        """See ``Language``. Modules of the workspace by their ``go.mod``."""
        for folder in files.folders_with("go.mod"):
            text = files.text(f"{folder}/go.mod" if folder else "go.mod") or ""
            match = re.search(r'^\s*module\s+"?([^\s"]+)', text, re.M)
            if match is None:
                continue
            module = match.group(1)
            if entry.module == module or entry.module.startswith(f"{module}/"):
                inner = "/".join(part for part in (folder, entry.module[len(module) + 1 :]) if part)
                found = tuple(item for item in files.in_folder(inner, (".go",)) if not item.endswith("_test.go"))
                return Found(files=found) if found else Found()
        return Found(external=entry.module.replace("/", "."))

    def submodule(self, entry: Import) -> str | None:
        """See ``Language``."""
        return None

    def siblings(self, path: str, facts: Facts, files: FileSet) -> Sequence[str]:
        """See ``Language``."""
        return files.in_folder(path.rpartition("/")[0], (".go",))

    def builtin(self, name: str) -> bool:
        """See ``Language``."""
        return name in _BUILTINS
