"""Python, walked for a question about calls: every call with its arguments, containers by their keys, lambdas by their
parameters. What comes of it is used for that question and not stored."""

from __future__ import annotations

from collections.abc import Callable

from tree_sitter import Node

from dsassist.index.builder import Builder
from dsassist.index.languages.base import by_kind
from dsassist.index.languages.python.known import GRAMMAR
from dsassist.index.languages.python.walk import PythonWalk
from dsassist.index.model import Kind, Op, ScopeKind

__all__ = ["CallWalk"]

_ADDING = frozenset({b"append", b"add", b"insert", b"appendleft", b"put"})
_CALLING = frozenset({b"map", b"filter", b"sorted", b"max", b"min", b"reduce", b"functools.reduce"})
"""Built-in functions that call their first argument, or the one named ``key``."""
_JOINING = frozenset({b"update", b"extend"})


class CallWalk(PythonWalk):
    """As ``PythonWalk``, telling more."""

    def __init__(self, builder: Builder) -> None:
        super().__init__(builder)
        self.values: dict[tuple[int, int], int] = {}
        """The value of each expression that was walked, by its bytes."""

    def x(self, node: Node) -> int:
        handler = _OWN.get(node.kind_id)
        value = handler(self, node) if handler is not None else super().x(node)
        self.values[(node.start_byte, node.end_byte)] = value
        return value

    def statement(self, node: Node) -> None:
        handler = _OWN_STATEMENTS.get(node.kind_id)
        if handler is not None:
            handler(self, node)
        else:
            super().statement(node)

    def implied(self, node: Node, value: int, name: bytes) -> None:
        """The language itself calls a method of ``value`` here."""
        if value >= 0:
            builder = self.builder
            builder.calls.append((node.start_byte, builder.on(Op.ATTR, value, builder.name(name)), (), ()))

    # Statements

    def decorated_function(self, node: Node) -> None:
        builder = self.builder
        definition = node.child_by_field_name("definition")
        name = definition.child_by_field_name("name") if definition is not None else None
        self.decorated(node)
        if name is None:
            return
        own = builder.bound.get((builder.scope, builder.name(builder.text(name))))
        if own is None:
            return
        value = bare = builder.expr(Op.LAMBDA, -1, ("symbol", own))
        for child in reversed([child for child in node.named_children if child.kind_id == self.k_decorator]):
            inner = child.named_children[0]
            callee = self.again(inner)
            builder.calls.append((inner.start_byte, callee, (value,), ()))
            value = builder.on(Op.CALL, callee, value)
        if value >= 0 and value != bare and definition is not None and definition.kind_id == self.k_function:
            builder.decorated[own] = value

    def again(self, node: Node) -> int:
        """The value of an expression that was walked already."""
        return self.values.get((node.start_byte, node.end_byte), -1)

    def raised(self, node: Node) -> None:
        for child in node.named_children:
            value = self.x(child)
            if child.kind_id in (self.k_identifier, self.k_attribute) and value >= 0:
                self.builder.calls.append((child.start_byte, value, (), ()))

    def for_loop(self, node: Node) -> None:
        self.loop(node)
        right = node.child_by_field_name("right")
        if right is not None:
            self.iteration(right)

    def iteration(self, right: Node) -> None:
        """``for … in right``."""
        value = self.again(right)
        asked = self.builder.on(Op.ATTR, value, self.builder.name(b"__iter__"))
        self.implied(right, value, b"__iter__")
        self.implied(right, self.builder.on(Op.CALL, asked), b"__next__")

    def with_block(self, node: Node) -> None:
        self.with_(node)
        clause = node.named_children[0] if node.named_children else node
        for item in clause.named_children:
            inner = item.named_children[0] if item.named_children else item
            if inner.kind_id == self.k_as_pattern:
                inner = inner.named_children[0]
            value = self.again(inner)
            self.implied(inner, value, b"__enter__")
            self.implied(inner, value, b"__exit__")

    # Expressions

    def any_call(self, node: Node) -> int:
        builder = self.builder
        function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        result = super().x(node)
        if function is None or arguments is None:
            return result
        callee = self.again(function)
        values: list[int] = []
        named: list[tuple[str, int]] = []
        for child in arguments.named_children if arguments.type == "argument_list" else (arguments,):
            if child.kind_id == self.k_keyword:
                name, value = child.child_by_field_name("name"), child.child_by_field_name("value")
                if name is not None and value is not None:
                    named.append((builder.text(name).decode("utf-8", "replace"), self.again(value)))
            elif child.type == "list_splat" and child.named_children:
                held = self.again(child.named_children[0])
                values += [builder.on(Op.ITEM, held, at) for at in range(4)]
            elif child.type == "dictionary_splat" and child.named_children:
                named.append(("**", self.again(child.named_children[0])))
            elif child.kind_id != self.k_comment:
                values.append(self.again(child))
        self.grown(function, values)
        if builder.text(function) in _CALLING:
            for handed in (*values[:1], *(value for name, value in named if name == "key")):
                if handed >= 0:
                    builder.calls.append((function.start_byte, handed, (), ()))
        if callee >= 0:
            builder.calls.append((_last(function).start_byte, callee, tuple(values), tuple(named)))
        text = builder.text(function)
        if text == b"getattr" and len(values) > 1 and builder.exprs[values[1]][0] == Op.LITERAL:
            return builder.on(Op.ATTR, values[0], builder.name(builder.exprs[values[1]][1].encode()))
        if text.rpartition(b".")[2] == b"partial" and values:
            return values[0]
        return result

    def grown(self, function: Node, values: list[int]) -> None:
        """``list.append(value)`` and ``dict.update(other)``: one more value of the variable."""
        builder = self.builder
        if function.kind_id != self.k_attribute or not values:
            return
        base, name = function.child_by_field_name("object"), function.child_by_field_name("attribute")
        if base is None or name is None:
            return
        method = builder.text(name)
        if method in _ADDING:
            self.also(base, builder.expr(Op.BUILTIN, "list", (values[-1],)))
        elif method in _JOINING:
            self.also(base, values[0])

    def also(self, base: Node, value: int) -> None:
        """The variable, or the member of the receiver, that ``base`` names may have this value, too."""
        builder = self.builder
        if base.kind_id == self.k_identifier:
            name, scope = builder.name(builder.text(base)), builder.scope
            while scope >= 0 and (scope, name) not in builder.bound:
                scope = builder.scope_parents[scope]
            if scope >= 0:
                builder.value(builder.bound[(scope, name)], value)
        elif base.kind_id == self.k_attribute:
            owner, attribute = base.child_by_field_name("object"), base.child_by_field_name("attribute")
            held = self.receiver_scope(owner) if owner is not None and owner.kind_id == self.k_identifier else None
            if held is not None and attribute is not None:
                builder.value(builder.bind(builder.name(builder.text(attribute)), Kind.FIELD, held[0]), value)
        elif base.type == "subscript":
            inner, index = base.child_by_field_name("value"), base.child_by_field_name("subscript")
            if inner is not None and index is not None:
                self.also(inner, self.entry(index, value))

    def entry(self, index: Node, value: int) -> int:
        """A mapping with one key."""
        builder = self.builder
        key = self.literal(index)
        whole = builder.expr(Op.BUILTIN, "dict", (-1, value))
        return whole if key is None else builder.expr(Op.RECORD, (key,), (value, whole))

    def target(self, node: Node, value: int, right: Node | None, annotation: int, whole: Node) -> None:
        super().target(node, value, right, annotation, whole)
        if node.kind_id in self.k_targets and value >= 0:
            parts = [child for child in node.named_children if child.kind_id != self.k_comment]
            star = next((at for at, part in enumerate(parts) if part.type == "list_splat_pattern"), len(parts))
            for at, part in enumerate(parts[star:], star):
                after = len(parts) - at - 1
                if at == star and part.named_children:
                    self.also(part.named_children[0], self.entries(value, at, after))
                elif at > star and (items := self.items(value)) and len(items) > after:
                    self.also(part, items[-1 - after])
        if node.type == "subscript" and value >= 0:
            inner, index = node.child_by_field_name("value"), node.child_by_field_name("subscript")
            if inner is not None and index is not None:
                self.also(inner, self.entry(index, value))

    def items(self, value: int) -> tuple[int, ...]:
        """The parts of a tuple or list that is written out."""
        op, a, b = self.builder.exprs[value] if value >= 0 else (-1, (), ())
        return tuple(a) if op == Op.TUPLE else tuple(b[:-1]) if op == Op.RECORD else ()

    def entries(self, value: int, start: int, after: int) -> int:
        """What ``*rest`` gets of a tuple or list, with ``after`` targets behind it."""
        builder = self.builder
        items = self.items(value)
        held = items[start : len(items) - after]
        if not held:
            return -1
        whole = builder.expr(Op.BUILTIN, "list", (builder.union(list(held)),))
        return builder.expr(Op.RECORD, tuple(map(str, range(len(held)))), (*held, whole))

    def literal(self, node: Node) -> str | None:
        """The key that a literal is."""
        text = self.builder.text(node)
        if node.type == "integer":
            return text.decode()
        content = [child for child in node.named_children if child.type == "string_content"]
        if node.type == "string" and len(content) == 1 and len(node.named_children) == 3:
            return repr(self.builder.text(content[0]).decode("utf-8", "replace"))
        return None

    def text(self, node: Node) -> int:
        key = self.literal(node) if not self.in_type else None
        result = super().x(node)
        return result if key is None else self.builder.expr(Op.LITERAL, key.strip("'\""), key)

    def number(self, node: Node) -> int:
        return self.builder.expr(Op.LITERAL, "", self.builder.text(node).decode())

    def mapping(self, node: Node) -> int:
        builder = self.builder
        whole = super().x(node)
        keys: list[str] = []
        values: list[int] = []
        for child in node.named_children:
            if child.type == "pair":
                key, value = child.child_by_field_name("key"), child.child_by_field_name("value")
                name = self.literal(key) if key is not None else None
                if name is not None and value is not None:
                    keys.append(name)
                    values.append(self.again(value))
        return builder.expr(Op.RECORD, tuple(keys), (*values, whole)) if keys else whole

    def listing(self, node: Node) -> int:
        builder = self.builder
        whole = super().x(node)
        parts = [child for child in node.named_children if child.kind_id != self.k_comment]
        if not parts or len(parts) > 40 or any(child.type == "list_splat" for child in parts):
            return whole
        values = tuple(self.again(child) for child in parts)
        return builder.expr(Op.RECORD, tuple(str(at) for at in range(len(parts))), (*values, whole))

    def indexed(self, node: Node) -> int:
        result = super().x(node)
        base, index = node.child_by_field_name("value"), node.child_by_field_name("subscript")
        if self.in_type or base is None or index is None or index.type == "slice":
            return result
        return self.builder.on(Op.KEY, self.again(base), self.again(index))

    def anonymous(self, node: Node) -> int:
        builder = self.builder
        first = len(builder.drafts)
        super().x(node)
        scopes = [at for at, span in enumerate(builder.scope_ranges) if span == (node.start_byte, node.end_byte)]
        held = [at for at in range(first, len(builder.drafts)) if builder.drafts[at].scope in scopes]
        parameters = tuple(at for at in held if builder.drafts[at].kind == Kind.PARAMETER)
        body = node.child_by_field_name("body")
        result = -1
        if body is not None:
            result = self.again(body)
        return builder.expr(Op.LAMBDA, result, parameters)

    def loops(self, node: Node) -> int:
        """A comprehension: its first source is looped over."""
        result = super().x(node)
        clause = next((child for child in node.named_children if child.type == "for_in_clause"), None)
        rights = clause.children_by_field_name("right") if clause is not None else []
        if rights and self.builder.scope_kinds[self.builder.scope] != ScopeKind.CLASS:
            self.iteration(rights[0])
        return result


def _last(node: Node) -> Node:
    """The name that is called in ``a.b.c``."""
    return node.child_by_field_name("attribute") or node


_OWN: dict[int, Callable[[CallWalk, Node], int]] = {}
_OWN_STATEMENTS: dict[int, Callable[[CallWalk, Node], None]] = {}
for _name, _handler in (
    ("call", CallWalk.any_call),
    ("dictionary", CallWalk.mapping),
    ("list", CallWalk.listing),
    ("subscript", CallWalk.indexed),
    ("string", CallWalk.text),
    ("integer", CallWalk.number),
    ("lambda", CallWalk.anonymous),
    ("list_comprehension", CallWalk.loops),
    ("set_comprehension", CallWalk.loops),
    ("dictionary_comprehension", CallWalk.loops),
    ("generator_expression", CallWalk.loops),
):
    _OWN.update(dict.fromkeys(by_kind(GRAMMAR, [_name]), _handler))
for _name, _statement in (
    ("decorated_definition", CallWalk.decorated_function),
    ("raise_statement", CallWalk.raised),
    ("for_statement", CallWalk.for_loop),
    ("with_statement", CallWalk.with_block),
):
    _OWN_STATEMENTS.update(dict.fromkeys(by_kind(GRAMMAR, [_name]), _statement))
