"""Python: the state of the walk, and what is known about names at a point of it."""

from __future__ import annotations

import tree_sitter
import tree_sitter_python
from tree_sitter import Node

from dsassist.index.builder import Builder
from dsassist.index.model import Op, ScopeKind

__all__ = ["GRAMMAR", "Known"]

GRAMMAR = tree_sitter.Language(tree_sitter_python.language())


def _kind(name: str) -> int:
    return GRAMMAR.id_for_node_kind(name, True) or -1


class Known:
    """What the parts of the walk share."""

    k_identifier = _kind("identifier")
    k_attribute = _kind("attribute")
    k_keyword = _kind("keyword_argument")
    k_comment = _kind("comment")
    k_call = _kind("call")
    k_function = _kind("function_definition")
    k_decorator = _kind("decorator")
    k_block = _kind("block")
    k_elif = _kind("elif_clause")
    k_else = _kind("else_clause")
    k_as_pattern = _kind("as_pattern")
    k_case_pattern = _kind("case_pattern")
    k_string = _kind("string")
    k_not = _kind("not_operator")
    k_boolean = _kind("boolean_operator")
    k_paren = _kind("parenthesized_expression")
    k_tuple = _kind("tuple")
    k_list = _kind("list")
    k_expression_list = _kind("expression_list")
    k_targets = frozenset(
        map(_kind, ("pattern_list", "tuple_pattern", "list_pattern", "expression_list", "tuple", "list"))
    )
    k_leaving = frozenset(map(_kind, ("return_statement", "raise_statement", "continue_statement", "break_statement")))

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.flow: dict[int, int] = {}
        """Expression → what it surely is at this point of the walk."""
        self.touched: set[int] = set()
        self.function_symbol = -1
        self.receivers: dict[int, tuple[int, bool]] = {}
        """Symbol of a method's first parameter → (class scope, is it the class itself)."""
        self.in_type = False

    def x(self, node: Node) -> int:
        """Walk an expression; ``Expressions`` has it."""
        raise NotImplementedError

    def generic(self, node: Node) -> None:
        """Walk the parts of something with no value of its own; ``Expressions`` has it."""
        raise NotImplementedError

    def paren(self, node: Node) -> int:
        """Walk what is in brackets; ``Expressions`` has it."""
        raise NotImplementedError

    def root_of(self, expr: int) -> int:
        """The name at the start of ``a.b.c``."""
        exprs = self.builder.exprs
        while exprs[expr][0] == Op.ATTR:
            expr = exprs[expr][1]
        return expr

    def forget(self, expr: int) -> None:
        """A name or member got another value: what was known about it and its members is void."""
        self.touched.add(expr)
        if self.flow:
            exprs = self.builder.exprs
            for key in [
                key for key in self.flow if key == expr or (exprs[key][0] == Op.ATTR and self.under(key, expr))
            ]:
                del self.flow[key]

    def under(self, expr: int, root: int) -> bool:
        """Is ``expr`` a member of ``root``, at any depth?"""
        exprs = self.builder.exprs
        while exprs[expr][0] == Op.ATTR:
            expr = exprs[expr][1]
            if expr == root:
                return True
        return False

    def learn(self, expr: int, value: int) -> None:
        """From here on ``expr`` is ``value``."""
        self.forget(expr)
        if self.builder.scope_kinds[self.builder.scope] == ScopeKind.FUNCTION:
            self.flow[expr] = value

    def plain(self, node: Node) -> int:
        """``a`` or ``a.b`` as an expression, reporting nothing; -1 for anything else."""
        if node.kind_id == self.k_identifier:
            return self.builder.name_expr(self.builder.name(self.builder.text(node)), self.function_scope())
        if node.kind_id == self.k_attribute:
            base, name = node.child_by_field_name("object"), node.child_by_field_name("attribute")
            if base is not None and name is not None:
                return self.builder.on(Op.ATTR, self.plain(base), self.builder.name(self.builder.text(name)))
        return -1

    def function_scope(self) -> int:
        """The scope from which names are keyed: comprehensions share their function's."""
        return self.builder.scope

    def narrowings(self, condition: Node) -> tuple[dict[int, int], dict[int, int]]:
        """What holds where the condition is true, and where it is false."""
        kind = condition.kind_id
        if kind == self.k_paren and condition.named_children:
            return self.narrowings(condition.named_children[0])
        if kind == self.k_not and condition.named_children:
            positive, negative = self.narrowings(condition.named_children[-1])
            return negative, positive
        if kind == self.k_boolean:
            left, right = condition.child_by_field_name("left"), condition.child_by_field_name("right")
            if left is None or right is None:
                return {}, {}
            first, second = self.narrowings(left), self.narrowings(right)
            if any(child.type == "and" for child in condition.children):
                return {**first[0], **second[0]}, {}
            return {}, {**first[1], **second[1]}
        if kind == self.k_call:
            function, arguments = condition.child_by_field_name("function"), condition.child_by_field_name("arguments")
            if (
                function is None
                or arguments is None
                or self.builder.text(function) not in (b"isinstance", b"issubclass")
            ):
                return {}, {}
            parts = arguments.named_children
            if len(parts) != 2:
                return {}, {}
            subject = self.plain(parts[0])
            classes = parts[1].named_children if parts[1].kind_id == self.k_tuple else [parts[1]]
            op = Op.INSTANCE if self.builder.text(function) == b"isinstance" else -1
            plain = [self.plain(item) for item in classes]
            if subject >= 0 and all(item >= 0 for item in plain):
                made = [self.builder.expr(op, item) for item in plain] if op >= 0 else plain
                return {subject: self.builder.expr(Op.MEMO, self.builder.union(made), subject)}, {}
        return {}, {}
