"""Rust. A file is a module; ``impl`` blocks give methods to types written elsewhere.

Long, because it is one method a kind of node; read it as a table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import tree_sitter
import tree_sitter_rust
from tree_sitter import Node, Parser, Tree

from dsassist.index.builder import Builder
from dsassist.index.facts import Facts, Import
from dsassist.index.languages.base import FileSet, Found, count_errors, make_parser
from dsassist.index.languages.braces import Braces, comment_above
from dsassist.index.model import Kind, Op, Role, ScopeKind, SymbolFlag

__all__ = ["Rust"]

_GRAMMAR = tree_sitter.Language(tree_sitter_rust.language())
_BUILTINS = frozenset(
    """Some None Ok Err Option Result Vec String Box Rc Arc Iterator IntoIterator Clone Copy Debug Default Drop Eq Fn
    FnMut FnOnce
    From Into Ord PartialEq PartialOrd Send Sync Sized ToString ToOwned AsRef AsMut bool char f32 f64 i8 i16 i32 i64
    i128 isize
    str u8 u16 u32 u64 u128 usize println print eprintln eprint format vec panic assert assert_eq assert_ne
    debug_assert todo
    unimplemented unreachable write writeln matches dbg include_str std core alloc self super crate Hash Display
    TryFrom TryInto
    Extend DoubleEndedIterator ExactSizeIterator""".split()
)


class _Walk(Braces):
    leaves = frozenset({"identifier", "type_identifier"})
    blocks = frozenset({"block"})

    # Items

    def on_mod_item(self, node: Node) -> int:
        builder = self.builder
        name, body = self.field(node, "name"), self.field(node, "body")
        if name is None:
            return self.parts(node)
        if body is None:
            symbol = builder.define(name, Kind.IMPORT)
            builder.extent(symbol, node)
            text = builder.text(name).decode("utf-8", "replace")
            builder.value(symbol, builder.expr(Op.IMPORT, builder.imports_entry(f"self::{text}")))
            return -1
        symbol = builder.define(name, Kind.NAMESPACE)
        builder.extent(symbol, node, body.start_byte, comment_above(node))
        scope = builder.open(ScopeKind.BLOCK, node, symbol)
        self.parts(body)
        builder.close()
        builder.value(symbol, builder.expr(Op.OBJECT, scope))
        return -1

    def on_use_declaration(self, node: Node) -> int:
        argument = self.field(node, "argument")
        if argument is not None:
            self.use(argument, "", node)
        return -1

    def use(self, node: Node, prefix: str, whole: Node) -> None:
        """One branch of a use tree below ``prefix``."""
        builder = self.builder
        kind = node.type
        text = builder.text(node).decode("utf-8", "replace")
        if kind == "use_list":
            for child in node.named_children:
                self.use(child, prefix, whole)
        elif kind == "scoped_use_list":
            path, items = self.field(node, "path"), self.field(node, "list")
            head = prefix
            if path is not None:
                head = _path(prefix, builder.text(path).decode("utf-8", "replace"))
                self.pieces(path, prefix)
            if items is not None:
                self.use(items, head, whole)
        elif kind == "use_wildcard":
            path = node.named_children[0] if node.named_children else None
            head = _path(prefix, builder.text(path).decode("utf-8", "replace")) if path is not None else prefix
            if path is not None:
                self.pieces(path, prefix)
            builder.stars.append(builder.imports_entry(head, 0, "*"))
        elif kind == "use_as_clause":
            path, alias = self.field(node, "path"), self.field(node, "alias")
            if path is not None and alias is not None:
                self.pieces(path, prefix)
                self.bind(alias, _path(prefix, builder.text(path).decode("utf-8", "replace")), whole)
        elif kind in ("identifier", "scoped_identifier", "crate"):
            last = self.field(node, "name") if kind == "scoped_identifier" else node
            holder = self.field(node, "path") if kind == "scoped_identifier" else None
            if holder is not None:
                self.pieces(holder, prefix)
            if last is not None and last.type == "identifier":
                self.bind(last, _path(prefix, text), whole)
        elif kind == "self" and prefix:
            name = prefix.rpartition("::")[2].encode()
            symbol = builder.bind(builder.name(name), Kind.IMPORT)
            builder.value(symbol, builder.expr(Op.IMPORT, self.entry(prefix)))

    def entry(self, path: str) -> int:
        """The import entry of a path: its last part may be a module or an item."""
        head, _, last = path.rpartition("::")
        return self.builder.imports_entry(head, 0, last) if head else self.builder.imports_entry(path)

    def bind(self, name: Node, path: str, whole: Node) -> None:
        builder = self.builder
        symbol = builder.define(name, Kind.IMPORT)
        builder.extent(symbol, whole)
        builder.value(symbol, builder.expr(Op.IMPORT, self.entry(path)))

    def pieces(self, node: Node, prefix: str) -> None:
        """Report the parts of a path as what they mean."""
        builder = self.builder
        if node.type == "scoped_identifier":
            inner, last = self.field(node, "path"), self.field(node, "name")
            if inner is not None:
                self.pieces(inner, prefix)
            if last is not None and last.type == "identifier":
                builder.imported(
                    last.start_byte,
                    builder.text(last),
                    self.entry(_path(prefix, builder.text(node).decode("utf-8", "replace"))),
                )
        elif node.type == "identifier":
            builder.imported(
                node.start_byte,
                builder.text(node),
                self.entry(_path(prefix, builder.text(node).decode("utf-8", "replace"))),
            )

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

    def on_constrained_type_parameter(self, node: Node) -> int:
        left = self.field(node, "left")
        if left is not None and left.type == "type_identifier":
            self.builder.define(left, Kind.TYPE_PARAMETER)
        self.maybe(self.field(node, "bounds"))
        return -1

    # Statements and patterns

    def on_let_declaration(self, node: Node) -> int:
        kind = self.maybe(self.field(node, "type"))
        value = self.maybe(self.field(node, "value"))
        pattern = self.field(node, "pattern")
        if pattern is not None:
            self.pattern(pattern, self.instance(kind) if kind >= 0 else value, Kind.VARIABLE, node, kind)
        self.maybe(self.field(node, "alternative"))
        return -1

    def on_let_condition(self, node: Node) -> int:
        value = self.maybe(self.field(node, "value"))
        pattern = self.field(node, "pattern")
        if pattern is not None:
            self.pattern(pattern, value, Kind.VARIABLE, node)
        return -1

    def on_if_expression(self, node: Node) -> int:
        self.builder.open(ScopeKind.BLOCK, node)
        self.parts(node)
        self.builder.close()
        return -1

    on_while_expression = on_if_expression

    def on_for_expression(self, node: Node) -> int:
        builder = self.builder
        builder.open(ScopeKind.BLOCK, node)
        value, pattern = self.field(node, "value"), self.field(node, "pattern")
        items = builder.on(Op.ITERATE, self.maybe(value))
        if pattern is not None:
            self.pattern(pattern, items, Kind.VARIABLE, node)
        self.maybe(self.field(node, "body"))
        builder.close()
        return -1

    def on_match_expression(self, node: Node) -> int:
        value = self.maybe(self.field(node, "value"))
        body = self.field(node, "body")
        for arm in body.named_children if body is not None else ():
            self.builder.open(ScopeKind.BLOCK, arm)
            pattern = self.field(arm, "pattern")
            if pattern is not None:
                inner = pattern.named_children
                if inner:
                    self.pattern(inner[0], value, Kind.VARIABLE, arm)
                    for child in inner[1:]:
                        self.x(child)
            self.maybe(self.field(arm, "value"))
            self.builder.close()
        return -1

    def pattern(self, node: Node, value: int, kind: Kind, whole: Node, annotation: int = -1) -> None:
        """Lower-case names are bound, others are read."""
        builder = self.builder
        what = node.type
        if what == "identifier":
            if builder.text(node)[:1].isupper():
                self.leaf(node)
            elif builder.text(node) != b"_":
                self.variable(node, kind, whole, annotation, value)
        elif what in ("mut_pattern", "ref_pattern", "reference_pattern", "or_pattern", "match_pattern"):
            for child in node.named_children:
                if child.type != "mutable_specifier":
                    self.pattern(child, value, kind, whole, annotation)
        elif what == "tuple_pattern":
            for index, child in enumerate(node.named_children):
                self.pattern(child, builder.on(Op.ITEM, value, index), kind, whole)
        elif what == "tuple_struct_pattern":
            head = self.field(node, "type")
            self.maybe(head)
            name = builder.text(head) if head is not None else b""
            inner = builder.on(Op.ITERATE, value) if name in (b"Some", b"Ok") else -1
            for child in node.named_children:
                if child != head:
                    self.pattern(child, inner, kind, whole)
        elif what == "struct_pattern":
            head = self.field(node, "type")
            made = self.instance(self.maybe(head))
            for child in node.named_children:
                if child.type != "field_pattern":
                    continue
                field, inner_pattern = self.field(child, "name"), self.field(child, "pattern")
                if field is None:
                    continue
                member = builder.on(Op.ATTR, made, builder.name(builder.text(field)))
                if inner_pattern is None:
                    builder.attribute(field, made)
                    self.variable(field, kind, whole, -1, member)
                else:
                    builder.attribute(field, made)
                    self.pattern(inner_pattern, member, kind, whole)
        elif what in ("slice_pattern", "captured_pattern"):
            for child in node.named_children:
                self.pattern(child, -1, kind, whole)
        else:
            self.x(node)

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
        return (
            self.member(base, name)
            if base is not None and name is not None and name.type == "field_identifier"
            else self.parts(node)
        )

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
        if (
            text in (b"Some", b"Ok", b"Box::new", b"Rc::new", b"Arc::new", b"RefCell::new", b"Mutex::new")
            and arguments is not None
        ):
            self.x(function)
            values = [self.x(child) for child in arguments.named_children]
            return self.builder.expr(Op.BUILTIN, "Box", (values[0],)) if values else -1
        return self.call(self.x(function), arguments)

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
        return self.generic(self.maybe(self.field(node, "type")), self.types_of(self.field(node, "type_arguments")))

    on_generic_type_with_turbofish = on_generic_type

    def on_type_identifier(self, node: Node) -> int:
        if self.builder.text(node) == b"Self" and self.this >= 0:
            return self.this
        return self.leaf(node)

    def on_identifier(self, node: Node) -> int:
        if self.builder.text(node) == b"Self" and self.this >= 0:
            return self.this
        return self.leaf(node)

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
        value = self.parts(node)
        return self.builder.union([self.builder.on(Op.ITERATE, value)])

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
        """Inside a macro there is no syntax: names are read, and ``a.b.c`` is taken for what it looks like."""
        before, value = "", -1
        for child in node.children:
            if child.type == "token_tree":
                self.tokens(child)
                value = -1
            elif child.type == "identifier":
                value = self.select(value, child) if before == "." else self.leaf(child)
            elif child.type == "self":
                value = self.on_self(child)
            elif child.type != ".":
                value = -1
            before = child.type

    def on_lifetime(self, node: Node) -> int:
        return -1

    on_label = on_lifetime
    on_attribute_item = on_lifetime

    def on_string_literal(self, node: Node) -> int:
        return self.builder.expr(Op.BUILTIN, "str", ())


def _path(prefix: str, rest: str) -> str:
    return f"{prefix}::{rest}" if prefix else rest


class Rust:
    """The Rust language."""

    name = "rust"
    extensions = (".rs",)
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
        """See ``Language``. ``crate``, ``self``, ``super``, sibling modules, and crates of the workspace."""
        parts = [part for part in entry.module.split("::") if part]
        if not parts:
            return Found()
        here = _folder_of_children(path)
        head = parts[0]
        if head == "crate":
            return _walk_down(_crate_root(path, files), parts[1:], files)
        if head == "self":
            return _walk_down(here, parts[1:], files, path)
        if head == "super":
            count = len(parts) - len(parts[next((i for i, part in enumerate(parts) if part != "super"), len(parts)) :])
            folder = here
            for _ in range(count):
                folder = folder.rpartition("/")[0]
            return _walk_down(folder, parts[count:], files)
        for folder in files.folders_with("Cargo.toml"):
            text = files.text(f"{folder}/Cargo.toml" if folder else "Cargo.toml") or ""
            match = re.search(r'^\s*name\s*=\s*"([^"]+)"', text, re.M)
            if match is not None and match.group(1).replace("-", "_") == head:
                return _walk_down(f"{folder}/src" if folder else "src", parts[1:], files)
        inner = _walk_down(here, parts, files, path)
        return inner if inner.files else Found(external=".".join(parts))

    def submodule(self, entry: Import) -> str | None:
        """See ``Language``."""
        return f"{entry.module}::{entry.name}" if entry.module else entry.name

    def siblings(self, path: str, facts: Facts, files: FileSet) -> Sequence[str]:
        """See ``Language``."""
        return ()

    def builtin(self, name: str) -> bool:
        """See ``Language``."""
        return name in _BUILTINS


def _folder_of_children(path: str) -> str:
    """Where the modules that a file declares are."""
    folder, _, name = path.rpartition("/")
    if name in ("mod.rs", "lib.rs", "main.rs"):
        return folder
    stem = name.removesuffix(".rs")
    return f"{folder}/{stem}" if folder else stem


def _crate_root(path: str, files: FileSet) -> str:
    folder = path.rpartition("/")[0]
    while True:
        for name in ("lib.rs", "main.rs"):
            if files.has(f"{folder}/{name}" if folder else name):
                return folder
        if not folder:
            return path.rpartition("/")[0]
        folder = folder.rpartition("/")[0]


def _own_file(folder: str, files: FileSet) -> str:
    candidates = [f"{folder}/{name}" if folder else name for name in ("lib.rs", "mod.rs", "main.rs")]
    return next((item for item in (*candidates, f"{folder}.rs") if item.lstrip("/") and files.has(item)), "")


def _walk_down(folder: str, parts: Sequence[str], files: FileSet, start: str = "") -> Found:
    """The file of a module path below a folder."""
    for part in parts:
        folder = f"{folder}/{part}" if folder else part
        if not (files.has(f"{folder}.rs") or files.has(f"{folder}/mod.rs")):
            return Found()
    if not parts and start:
        return Found(files=(start,))
    found = next((item for item in (f"{folder}.rs", f"{folder}/mod.rs") if parts and files.has(item)), "") or _own_file(
        folder, files
    )
    return Found(files=(found,)) if found else Found()
