"""C and C++. What a file includes is visible in it; a definition and its declaration in a header are one thing."""

from __future__ import annotations

from collections.abc import Sequence

import tree_sitter
import tree_sitter_c
import tree_sitter_cpp
from tree_sitter import Node, Parser, Tree

from dsassist.index.builder import Builder
from dsassist.index.facts import Facts, Import
from dsassist.index.languages.base import FileSet, Found, count_errors, make_parser
from dsassist.index.languages.braces import Braces, comment_above
from dsassist.index.model import Kind, Op, Role, ScopeKind, SymbolFlag

__all__ = ["C", "Cpp"]

_C = tree_sitter.Language(tree_sitter_c.language())
_CPP = tree_sitter.Language(tree_sitter_cpp.language())
_BUILTINS = frozenset(
    """NULL size_t ssize_t int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t uintptr_t intptr_t
    ptrdiff_t FILE
    printf fprintf sprintf snprintf malloc calloc realloc free memcpy memset memmove memcmp strlen strcmp strncmp
    strcpy strncpy
    strcat strchr strrchr strstr strdup exit abort assert stdin stdout stderr errno va_list va_start va_end va_arg std
    nullptr
    bool true false string vector map set unique_ptr shared_ptr move forward make_unique make_shared override final
    cout cerr
    endl wchar_t time_t offsetof defined __FILE__ __LINE__ __func__""".split()
)
_DECLARATORS = frozenset(
    {
        "pointer_declarator", "reference_declarator", "array_declarator", "function_declarator",
        "parenthesized_declarator",
        "init_declarator", "attributed_declarator", "bitfield_clause",
    }
)  # fmt: skip


class _Walk(Braces):
    leaves = frozenset({"identifier", "type_identifier", "namespace_identifier"})
    blocks = frozenset({"compound_statement", "for_statement", "for_range_loop", "catch_clause", "lambda_expression"})

    # The preprocessor

    def on_preproc_include(self, node: Node) -> int:
        path = self.field(node, "path")
        if path is not None:
            text = self.builder.text(path).strip(b'"<>').decode("utf-8", "replace")
            self.builder.stars.append(
                self.builder.imports_entry(text, 1 if path.type == "system_lib_string" else 0, "*")
            )
        return -1

    def on_preproc_def(self, node: Node) -> int:
        name = self.field(node, "name")
        if name is not None:
            self.variable(name, Kind.MACRO, node, scope=0)
        return -1

    def on_preproc_function_def(self, node: Node) -> int:
        return self.on_preproc_def(node)

    # Declarations

    def on_function_definition(self, node: Node) -> int:
        builder = self.builder
        declarator, body = self.field(node, "declarator"), self.field(node, "body")
        kind = self.maybe(self.field(node, "type"))
        head = _function_of(declarator)
        name = self.field(head, "declarator") if head is not None else None
        if head is None or name is None:
            return self.parts(node)
        static = any(
            child.type == "storage_class_specifier" and builder.text(child) == b"static"
            for child in node.named_children
        )
        if name.type == "qualified_identifier":
            self.member_definition(node, name, head, body, kind)
            return -1
        if name.type not in ("identifier", "field_identifier", "destructor_name", "operator_name"):
            return self.parts(node)
        in_class = builder.scope_kinds[builder.scope] == ScopeKind.CLASS
        symbol = builder.define(
            name, Kind.METHOD if in_class else Kind.FUNCTION, flags=SymbolFlag.PRIVATE if static else 0
        )
        self.declared_elsewhere(symbol, name, static or in_class)
        self.function(node, symbol, self.field(head, "parameters"), body, kind)
        return -1

    def declared_elsewhere(self, symbol: int, name: Node, local: bool) -> None:
        """What a header that this file includes declares under the name is the same thing."""
        builder = self.builder
        if not local and builder.scope == 0:
            entry = builder.imports_entry("", -1, builder.text(name).decode("utf-8", "replace"))
            builder.value(symbol, builder.expr(Op.IMPORT, entry))

    def member_definition(self, node: Node, name: Node, head: Node, body: Node | None, kind: int) -> None:
        """``void Class::method() {}``: the name is a member of the class."""
        builder = self.builder
        holder, last = self.field(name, "scope"), self.field(name, "name")
        base = self.maybe(holder)
        while last is not None and last.type == "qualified_identifier":
            holder, inner = self.field(last, "scope"), self.field(last, "name")
            if holder is not None:
                base = self.select(base, holder)
            last = inner
        scope = builder.open(ScopeKind.CLASS, node)
        if holder is not None:
            methods = builder.extra.setdefault("methods", {})
            text = builder.text(holder).decode("utf-8", "replace")
            methods[text] = (*methods.get(text, ()), scope)
            if base >= 0:
                builder.extra.setdefault("receivers", {})[scope] = base
        if last is not None and last.type in ("identifier", "field_identifier", "destructor_name", "operator_name"):
            builder.attribute(last, self.instance(base), Role.DEFINITION)
        this, self.this = self.this, base
        self.function(node, -1, self.field(head, "parameters"), body, kind)
        self.this = this
        builder.close()

    def on_declaration(self, node: Node) -> int:
        builder = self.builder
        kind_node = self.field(node, "type")
        kind = self.maybe(kind_node)
        inferred = kind_node is not None and kind_node.type == "placeholder_type_specifier"
        in_class = builder.scope_kinds[builder.scope] == ScopeKind.CLASS
        words = {builder.text(child) for child in node.named_children if child.type == "storage_class_specifier"}
        for declarator in node.children_by_field_name("declarator"):
            value = -1
            held = declarator
            if declarator.type == "init_declarator":
                value = self.maybe(self.field(declarator, "value"))
                held = self.field(declarator, "declarator") or declarator
            head = _function_of(held)
            name = _name_of(held)
            if name is None:
                self.x(held)
                continue
            if head is not None and _name_of(self.field(head, "declarator")) == name and not _is_pointer(head):
                what = Kind.METHOD if in_class else Kind.FUNCTION
                symbol = builder.define(name, what, flags=SymbolFlag.DECLARATION)
                if what == Kind.FUNCTION:
                    self.declared_elsewhere(symbol, name, b"static" in words)
                self.function(node, symbol, self.field(head, "parameters"), None, kind)
                continue
            if name.type == "qualified_identifier":
                self.x(name)
                continue
            what = Kind.FIELD if in_class else Kind.VARIABLE
            annotation = -1 if inferred else self.listed(kind) if held.type == "array_declarator" else kind
            symbol = self.variable(name, what, node, annotation, value)
            if builder.scope == 0:
                self.declared_elsewhere(symbol, name, b"static" in words)
            self.sizes(held)
        return -1

    on_field_declaration = on_declaration

    def sizes(self, node: Node) -> None:
        """Names in array bounds and parameters of function pointers."""
        for child in node.named_children:
            if child.type in _DECLARATORS:
                self.sizes(child)
            elif child.type == "parameter_list" or (
                node.type == "array_declarator" and child == self.field(node, "size")
            ):
                self.x(child)

    def on_parameter_declaration(self, node: Node) -> int:
        kind = self.maybe(self.field(node, "type"))
        declarator = self.field(node, "declarator")
        name = _name_of(declarator)
        self.maybe(self.field(node, "default_value"))
        if name is not None and name.type == "identifier":
            self.variable(name, Kind.PARAMETER, node, kind)
        return -1

    on_optional_parameter_declaration = on_parameter_declaration

    def on_type_definition(self, node: Node) -> int:
        builder = self.builder
        kind = self.maybe(self.field(node, "type"))
        for declarator in node.children_by_field_name("declarator"):
            name = _name_of(declarator)
            if name is not None:
                symbol = builder.bind(builder.name(builder.text(name)), Kind.TYPE)
                same = builder.drafts[symbol].kind in (Kind.STRUCT, Kind.CLASS, Kind.ENUM)
                builder.define(name, Kind.TYPE)
                builder.extent(symbol, node, doc=comment_above(node))
                if not same:
                    builder.drafts[symbol].annotation = kind
            self.sizes(declarator)
        return -1

    def on_alias_declaration(self, node: Node) -> int:
        kind = self.maybe(self.field(node, "type"))
        name = self.field(node, "name")
        if name is not None:
            self.builder.drafts[self.variable(name, Kind.TYPE, node)].annotation = kind
        return -1

    def on_type_descriptor(self, node: Node) -> int:
        return self.maybe(self.field(node, "type"))

    def aggregate(self, node: Node, kind: Kind) -> int:
        builder = self.builder
        name, body = self.field(node, "name"), self.field(node, "body")
        if body is None:
            return self.maybe(name)
        bases: list[int] = []
        for child in node.named_children:
            if child.type == "base_class_clause":
                bases += [self.x(part) for part in child.named_children if part.type != "access_specifier"]
        if name is None or name.type not in ("type_identifier", "identifier"):
            self.maybe(name)
            scope = builder.open(ScopeKind.CLASS, node)
            self.parts(body)
            builder.close()
            return builder.expr(Op.OBJECT, scope)
        symbol = self.container(node, kind, body.start_byte, bases, body)
        draft = builder.drafts[symbol]
        draft.kind = kind
        return builder.name_expr(draft.name, draft.scope)

    def on_struct_specifier(self, node: Node) -> int:
        return self.aggregate(node, Kind.STRUCT)

    on_union_specifier = on_struct_specifier

    def on_class_specifier(self, node: Node) -> int:
        return self.aggregate(node, Kind.CLASS)

    def on_enum_specifier(self, node: Node) -> int:
        builder = self.builder
        name, body = self.field(node, "name"), self.field(node, "body")
        if body is None:
            return self.maybe(name)
        scoped = any(child.type in ("class", "struct") for child in node.children)
        symbol = -1
        if name is not None and name.type == "type_identifier":
            symbol = builder.define(name, Kind.ENUM)
            builder.extent(symbol, node, body.start_byte, comment_above(node))
            builder.drafts[symbol].kind = Kind.ENUM
        # Enumerators of a plain enum are names of the enclosing scope; a scoped one has them as members.
        outer = builder.scope
        scope = builder.open(ScopeKind.CLASS, node, symbol)
        for child in body.named_children:
            member, value = self.field(child, "name"), self.field(child, "value")
            if member is not None:
                at = builder.define(member, Kind.ENUM_MEMBER, scope if scoped else outer)
                builder.extent(at, child)
            self.maybe(value)
        builder.close()
        return builder.name_expr(builder.drafts[symbol].name, outer) if symbol >= 0 else -1

    def on_namespace_definition(self, node: Node) -> int:
        builder = self.builder
        name, body = self.field(node, "name"), self.field(node, "body")
        if body is None:
            return -1
        if name is None or name.type != "namespace_identifier":
            return self.parts(body)
        symbol = builder.define(name, Kind.NAMESPACE)
        builder.extent(symbol, node, body.start_byte)
        known = builder.drafts[symbol].bodies
        if known:
            outer, builder.scope = builder.scope, known[0]
            self.parts(body)
            builder.scope = outer
        else:
            scope = builder.open(ScopeKind.BLOCK, node, symbol)
            self.parts(body)
            builder.close()
            builder.value(symbol, builder.expr(Op.OBJECT, scope))
            self.declared_elsewhere(symbol, name, False)
        return -1

    def on_using_declaration(self, node: Node) -> int:
        """``using namespace a::b;`` and ``using a::b::Name;``: names that are seen here without the rest."""
        builder = self.builder
        whole = any(child.type == "namespace" for child in node.children)
        target = node.named_children[-1] if node.named_children else None
        if target is None:
            return -1
        value = self.x(target)
        if builder.scope_kinds[builder.scope] == ScopeKind.CLASS:
            return -1  # a base's member, which is one of this class already
        op, base, _ = builder.exprs[value] if value >= 0 else (-1, -1, -1)
        if (whole and value >= 0) or op == Op.ATTR:
            only = "" if whole else builder.text(target).rpartition(b"::")[2].decode("utf-8", "replace")
            used = builder.extra.setdefault("used", {})
            used[builder.scope] = (*used.get(builder.scope, ()), (value if whole else base, only))
        return -1

    def on_template_declaration(self, node: Node) -> int:
        builder = self.builder
        for child in node.named_children:
            if child.type == "template_parameter_list":
                for item in child.named_children:
                    inner = next((part for part in item.named_children if part.type == "type_identifier"), None)
                    if inner is not None and item.type.startswith(("type_parameter", "variadic_type", "optional_type")):
                        builder.define(inner, Kind.TYPE_PARAMETER)
                        self.maybe(self.field(item, "default_type"))
                    else:
                        self.x(item)
            else:
                self.x(child)
        return -1

    # Expressions

    def on_field_expression(self, node: Node) -> int:
        base, name = self.field(node, "argument"), self.field(node, "field")
        if base is None or name is None:
            return self.parts(node)
        if name.type == "template_method":
            name = self.field(name, "name") or name
        return self.member(base, name)

    def on_qualified_identifier(self, node: Node) -> int:
        base, name = self.field(node, "scope"), self.field(node, "name")
        if base is None or name is None:
            return self.parts(node)
        return self.qualified(self.x(base), name)

    def qualified(self, base: int, name: Node) -> int:
        """The rest of ``a::b::c``."""
        if name.type == "qualified_identifier":
            inner, last = self.field(name, "scope"), self.field(name, "name")
            if inner is not None and last is not None:
                return self.qualified(self.select(base, inner), last)
        if name.type in ("template_type", "template_function"):
            held = self.field(name, "name")
            result = self.select(base, held) if held is not None else -1
            return self.generic(result, self.types_of(self.field(name, "arguments")))
        return self.select(base, name)

    def on_template_type(self, node: Node) -> int:
        return self.generic(self.maybe(self.field(node, "name")), self.types_of(self.field(node, "arguments")))

    on_template_function = on_template_type

    def on_call_expression(self, node: Node) -> int:
        function, arguments = self.field(node, "function"), self.field(node, "arguments")
        if function is None:
            return self.parts(node)
        callee = self.x(function)
        return self.call(callee, arguments)

    def on_new_expression(self, node: Node) -> int:
        kind = self.maybe(self.field(node, "type"))
        self.maybe(self.field(node, "arguments"))
        return self.instance(kind)

    def on_this(self, node: Node) -> int:
        return self.instance(self.this)

    def on_pointer_expression(self, node: Node) -> int:
        return self.maybe(self.field(node, "argument"))

    def on_subscript_expression(self, node: Node) -> int:
        values = [self.x(child) for child in node.named_children]
        return self.builder.on(Op.SUBSCRIPT, values[0]) if values else -1

    def on_cast_expression(self, node: Node) -> int:
        kind = self.maybe(self.field(node, "type"))
        self.maybe(self.field(node, "value"))
        return self.instance(kind)

    def on_compound_literal_expression(self, node: Node) -> int:
        kind = self.maybe(self.field(node, "type"))
        made = self.instance(kind)
        body = self.field(node, "value")
        for child in body.named_children if body is not None else ():
            if child.type == "initializer_pair":
                for part in child.named_children:
                    if part.type == "field_designator" and part.named_children:
                        self.builder.attribute(part.named_children[0], made, Role.WRITE)
                    else:
                        self.x(part)
            else:
                self.x(child)
        return made

    def on_field_designator(self, node: Node) -> int:
        for child in node.named_children:
            self.builder.attribute(child, -1, Role.WRITE)
        return -1

    def on_for_range_loop(self, node: Node) -> int:
        builder = self.builder
        builder.open(ScopeKind.BLOCK, node)
        kind_node = self.field(node, "type")
        kind = self.maybe(kind_node)
        items = builder.on(Op.ITERATE, self.maybe(self.field(node, "right")))
        name = _name_of(self.field(node, "declarator"))
        if name is not None and name.type == "identifier":
            inferred = kind_node is not None and kind_node.type == "placeholder_type_specifier"
            self.variable(name, Kind.VARIABLE, node, -1 if inferred else kind, items)
        self.maybe(self.field(node, "body"))
        builder.close()
        return -1

    def on_labeled_statement(self, node: Node) -> int:
        for child in node.named_children[1:]:
            self.x(child)
        return -1

    def on_goto_statement(self, node: Node) -> int:
        return -1


def _function_of(node: Node | None) -> Node | None:
    """The function declarator inside pointers and references."""
    while node is not None and node.type != "function_declarator":
        if node.type not in (
            "pointer_declarator",
            "reference_declarator",
            "attributed_declarator",
            "parenthesized_declarator",
        ):
            return None
        node = node.child_by_field_name("declarator") or (node.named_children[-1] if node.named_children else None)
    return node


def _is_pointer(head: Node) -> bool:
    """``(*name)(…)``: a variable that points to a function."""
    inner = head.child_by_field_name("declarator")
    return inner is not None and inner.type == "parenthesized_declarator"


def _name_of(node: Node | None) -> Node | None:
    """The name inside a declarator."""
    while node is not None and node.type in _DECLARATORS:
        node = node.child_by_field_name("declarator") or next(
            (child for child in node.named_children if child.type != "type_qualifier"), None
        )
    wanted = (
        "identifier",
        "field_identifier",
        "type_identifier",
        "qualified_identifier",
        "destructor_name",
        "operator_name",
    )
    return node if node is not None and node.type in wanted else None


class C:
    """The C language."""

    name = "c"
    extensions: tuple[str, ...] = (".c",)
    class_names_nest = True
    wide_references = False
    grammar = _C

    def version(self) -> str:
        """See ``Language``."""
        return f"{self.grammar.abi_version}.{self.grammar.node_kind_count}"

    def parser(self, path: str) -> Parser:
        """See ``Language``."""
        return make_parser(self.grammar)

    def extract(self, path: str, source: bytes, tree: Tree) -> Facts:
        """See ``Language``."""
        builder = Builder(self.name, source, class_names_nest=True)
        builder.errors = count_errors(tree.root_node)
        _Walk(builder).module(tree.root_node)
        return builder.finish()

    def find_import(self, path: str, entry: Import, files: FileSet) -> Found:
        """See ``Language``. Beside the file, from the root, below an include folder, or the only file with that end."""
        name = entry.module
        folder = path.rpartition("/")[0]
        if not entry.level:
            parts = [part for part in folder.split("/") if part]
            rest = name.split("/")
            while rest and rest[0] in ("..", "."):
                if rest.pop(0) == ".." and parts:
                    parts.pop()
            beside = "/".join([*parts, *rest])
            if files.has(beside):
                return Found(files=(beside,))
        for root in ("", "include/", "src/"):
            if files.has(root + name):
                return Found(files=(root + name,))
        last = name.rpartition("/")[2]
        matches = [item for item in files.named(last) if item.endswith(f"/{name}")]
        if matches:
            # The candidate that shares most of its path with the file.
            best = max(matches, key=lambda item: (_shared(item, path), -len(item)))
            return Found(files=(best,))
        return Found(external=name)

    def submodule(self, entry: Import) -> str | None:
        """See ``Language``."""
        return None

    def siblings(self, path: str, facts: Facts, files: FileSet) -> Sequence[str]:
        """See ``Language``."""
        return ()

    def builtin(self, name: str) -> bool:
        """See ``Language``."""
        return name in _BUILTINS


class Cpp(C):
    """The C++ language. Headers are read as C++, which nearly all C headers are too."""

    name = "cpp"
    extensions = (".cpp", ".cc", ".cxx", ".c++", ".hpp", ".hh", ".hxx", ".h++", ".h", ".ipp", ".inl")
    grammar = _CPP


def _shared(a: str, b: str) -> int:
    count = 0
    for left, right in zip(a.split("/"), b.split("/"), strict=False):
        if left != right:
            break
        count += 1
    return count
