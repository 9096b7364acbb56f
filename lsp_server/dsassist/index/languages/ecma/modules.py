"""JavaScript: ``require``, ``module.exports``, and members that are assigned to objects."""

from __future__ import annotations

from tree_sitter import Node

from dsassist.index.languages.ecma.functions import FUNCTIONS, Functions
from dsassist.index.model import Kind, Op, Role

__all__ = ["Modules"]


class Modules(Functions):
    """See the module's docstring."""

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
            symbol = builder.define(name, Kind.FUNCTION if right.type in FUNCTIONS else Kind.VARIABLE, 0)
            builder.extent(symbol, node)
            builder.value(symbol, value)
            builder.exports[exported] = (symbol, -1)
            return True
        return False
