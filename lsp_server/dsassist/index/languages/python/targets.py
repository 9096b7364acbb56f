"""Python: parameters, and what assignments bind."""

from __future__ import annotations

from tree_sitter import Node

from dsassist.index.languages.python.types import Types
from dsassist.index.model import Kind, Op, Role, ScopeKind, SymbolFlag

__all__ = ["Targets"]

_CHILD_A = frozenset(
    {Op.ATTR, Op.CALL, Op.SUBSCRIPT, Op.ITERATE, Op.ITEM, Op.AWAIT, Op.INSTANCE, Op.ENTER, Op.FUNCTION, Op.MEMO}
)


class Targets(Types):
    """See the module's docstring."""

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
