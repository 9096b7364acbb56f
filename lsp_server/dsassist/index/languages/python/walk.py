"""Python: one walk over the syntax tree, from statements down to names."""

from __future__ import annotations

from collections.abc import Callable

from tree_sitter import Node

from dsassist.index.languages.base import by_kind
from dsassist.index.languages.python.expressions import Expressions
from dsassist.index.languages.python.known import GRAMMAR
from dsassist.index.model import Kind, Op, Role, ScopeKind, SymbolFlag

__all__ = ["PythonWalk"]

_DATACLASSES = frozenset(
    {b"dataclass", b"define", b"frozen", b"mutable", b"attrs", b"s", b"attributes", b"dataclass_transform"}
)
_PROPERTIES = frozenset(
    {
        b"property", b"cached_property", b"abstractproperty", b"lazyproperty", b"classproperty", b"hybrid_property",
        b"memoized_property", b"reify", b"memoized_attribute", b"ro_memoized_property", b"rw_hybridproperty",
        b"hybridproperty", b"non_memoized_property",
    }
)  # fmt: skip


class PythonWalk(Expressions):
    """Statements."""

    def module(self, root: Node) -> None:
        """Walk the whole file."""
        builder = self.builder
        builder.open(ScopeKind.MODULE, root)
        for child in root.named_children:
            # What one of the module's statements has checked is not held against the next: each can be read alone.
            self.flow: dict[int, int] = {}
            self.statement(child)
        builder.close()

    def block(self, node: Node) -> None:
        """The statements of a block."""
        for child in node.named_children:
            self.statement(child)

    def statement(self, node: Node) -> None:
        """One statement."""
        handler = _STATEMENTS.get(node.kind_id)
        if handler is None:
            self.x(node)
        else:
            handler(self, node)

    # Definitions

    def function(self, node: Node, decorators: tuple[bytes, ...] = (), outer: Node | None = None) -> None:
        builder = self.builder
        name = node.child_by_field_name("name")
        parameters = node.child_by_field_name("parameters")
        body = node.child_by_field_name("body")
        result = node.child_by_field_name("return_type")
        if name is None or body is None:
            return self.generic(node)
        in_class = builder.scope_kinds[builder.scope] == ScopeKind.CLASS
        class_scope = builder.scope
        flags = 0
        kind = Kind.METHOD if in_class else Kind.FUNCTION
        text = builder.text(name)
        first_is_class = text in (b"__new__", b"__init_subclass__", b"__class_getitem__")
        for decorator in decorators:
            last = decorator.rpartition(b".")[2]
            if last == b"staticmethod":
                flags |= SymbolFlag.STATIC
            elif last == b"classmethod":
                flags |= SymbolFlag.CLASSMETHOD
                first_is_class = True
            elif last in _PROPERTIES or (in_class and last.endswith(b"property")):
                kind = Kind.PROPERTY
                first_is_class = first_is_class or last == b"classproperty"
            elif last in (b"contextmanager", b"asynccontextmanager"):
                flags |= SymbolFlag.ENTERED
            elif last == b"abstractmethod":
                flags |= SymbolFlag.ABSTRACT
        if node.children[0].type == "async":
            flags |= SymbolFlag.ASYNC
        symbol = builder.define(name, kind, flags=flags)
        draft = builder.extent(symbol, outer or node, (result or parameters or name).end_byte, _docstring(body))
        if kind == Kind.PROPERTY:
            draft.kind = kind
        fresh = not draft.bodies
        types = node.child_by_field_name("type_parameters")
        scope = builder.open(ScopeKind.FUNCTION, node, symbol)
        if types is not None:
            self.type_parameters(types)
        if parameters is not None:
            self.parameters(
                parameters,
                symbol if fresh else -1,
                class_scope if in_class and not flags & SymbolFlag.STATIC else -1,
                first_is_class,
            )
        if result is not None:
            # Annotations see the enclosing scope, and the function's own type parameters.
            if types is None:
                builder.scope = class_scope
            annotation = self.annotation(result)
            builder.scope = scope
            if draft.annotation < 0 or kind != Kind.PROPERTY:
                draft.annotation = (
                    annotation if draft.annotation < 0 else self.builder.union([draft.annotation, annotation])
                )
        outer_flow, self.flow = self.flow, {}
        outer_function, self.function_symbol = self.function_symbol, symbol
        self.block(body)
        self.flow, self.function_symbol = outer_flow, outer_function
        builder.close()
        return None

    def class_(self, node: Node, decorators: tuple[bytes, ...] = (), outer: Node | None = None) -> None:
        builder = self.builder
        name = node.child_by_field_name("name")
        body = node.child_by_field_name("body")
        supers = node.child_by_field_name("superclasses")
        if name is None or body is None:
            return self.generic(node)
        flags = SymbolFlag.FIELDS if any(item.rpartition(b".")[2] in _DATACLASSES for item in decorators) else 0
        symbol = builder.define(name, Kind.CLASS, flags=flags)
        draft = builder.extent(symbol, outer or node, (supers or name).end_byte, _docstring(body))
        draft.kind = Kind.CLASS
        types = node.child_by_field_name("type_parameters")
        bases: list[int] = []
        if supers is not None:
            for base in supers.named_children:
                if base.kind_id == self.k_keyword:
                    value = base.child_by_field_name("value")
                    if value is not None:
                        self.x(value)
                elif base.kind_id != self.k_comment:
                    expr = self.type_x(base)
                    if expr >= 0:
                        bases.append(expr)
        builder.open(ScopeKind.CLASS, node, symbol, tuple(bases))
        if types is not None:
            self.type_parameters(types)
        outer_flow, self.flow = self.flow, {}
        outer_function, self.function_symbol = self.function_symbol, -1
        self.block(body)
        self.flow, self.function_symbol = outer_flow, outer_function
        builder.close()
        return None

    def decorated(self, node: Node) -> None:
        names = []
        for child in node.named_children:
            if child.kind_id == self.k_decorator:
                for inner in child.named_children:
                    target = inner.child_by_field_name("function") if inner.kind_id == self.k_call else inner
                    if target is not None:
                        names.append(self.builder.text(target))
                    self.x(inner)
                    if inner.kind_id != self.k_call:
                        self.mark_call(inner)
        definition = node.child_by_field_name("definition")
        if definition is not None:
            if definition.kind_id == self.k_function:
                self.function(definition, tuple(names), node)
            else:
                self.class_(definition, tuple(names), node)

    def type_alias(self, node: Node) -> None:
        parts = node.named_children
        if len(parts) == 2 and parts[0].named_children and parts[0].named_children[0].kind_id == self.k_identifier:
            symbol = self.builder.define(parts[0].named_children[0], Kind.TYPE)
            self.builder.extent(symbol, node)
            self.builder.value(symbol, self.annotation(parts[1]))
        else:
            self.generic(node)

    # Assignments

    def assignment(self, node: Node) -> int:
        left, right, kind = (node.child_by_field_name(name) for name in ("left", "right", "type"))
        annotation = -1 if kind is None else self.annotation(kind)
        value = -1
        if right is not None:
            value = self.x(right)
        if left is not None:
            self.target(left, value, right, annotation, node)
        return value

    def augmented(self, node: Node) -> None:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if right is not None:
            self.x(right)
        if left is not None:
            if left.kind_id == self.k_identifier:
                symbol = self.builder.define(left, self.variable_kind(), role=Role.WRITE)
                self.builder.extent(symbol, node)
                self.forget(self.builder.name_expr(self.builder.name(self.builder.text(left))))
                if right is not None and self.builder.scope == 0 and self.builder.text(left) == b"__all__":
                    self.exported(right)
            else:
                self.x(left)

    def delete(self, node: Node) -> None:
        self.generic(node)

    def return_(self, node: Node) -> None:
        for child in node.named_children:
            expr = self.x(child)
            if self.function_symbol >= 0 and not self.builder.drafts[self.function_symbol].flags & SymbolFlag.GENERATOR:
                self.builder.value(self.function_symbol, expr)

    def global_(self, node: Node) -> None:
        builder = self.builder
        for child in node.named_children:
            if child.kind_id == self.k_identifier:
                name = builder.name(builder.text(child))
                builder.redirects[(builder.scope, name)] = 0
                builder.bind(name, Kind.VARIABLE, 0)
                builder.read(child)

    def nonlocal_(self, node: Node) -> None:
        builder = self.builder
        for child in node.named_children:
            if child.kind_id == self.k_identifier:
                name = builder.name(builder.text(child))
                scope = builder.scope_parents[builder.scope]
                while scope > 0 and (
                    builder.scope_kinds[scope] == ScopeKind.CLASS or (scope, name) not in builder.bound
                ):
                    scope = builder.scope_parents[scope]
                builder.redirects[(builder.scope, name)] = max(scope, 0)
                builder.read(child)

    # Control flow: what an assignment or isinstance() tells is kept while it surely holds

    def branches(self, before: dict[int, int], after: list[dict[int, int]]) -> None:
        """Go on after branches: what every branch that can fall through agrees on."""
        if not after:
            self.flow = dict(before)
            return
        first = after[0]
        self.flow = {
            key: value if all(other.get(key, -2) == value for other in after[1:]) else self.merged(key, after)
            for key, value in first.items()
            if all(key in other for other in after[1:])
        }

    def merged(self, key: int, after: list[dict[int, int]]) -> int:
        """One value for several branches."""
        return self.builder.union([state[key] for state in after])

    def if_(self, node: Node) -> None:
        before = self.flow
        falling: list[dict[int, int]] = []
        has_else = False
        negative: dict[int, int] = {}
        for child in node.children:
            field = child.kind_id
            if field == self.k_elif or field == self.k_else:
                condition = child.child_by_field_name("condition")
                body = child.child_by_field_name("consequence") or child.child_by_field_name("body")
                has_else = has_else or field == self.k_else
            elif child.is_named and field == self.k_block:
                condition, body = node.child_by_field_name("condition"), child
            else:
                continue
            self.flow = {**before, **negative}
            if condition is not None:
                self.x(condition)
                positive, negatives = self.narrowings(condition)
                self.flow.update(positive)
                negative = {**negative, **negatives}
            if body is not None:
                self.block(body)
                if not self.leaves(body):
                    falling.append(self.flow)
        if not has_else:
            falling.append({**before, **negative})
        self.branches(before, falling)

    def loop(self, node: Node) -> None:
        before = self.flow
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        condition = node.child_by_field_name("condition")
        if right is not None:
            items = self.builder.on(Op.ITERATE, self.x(right))
            self.flow = {}
            if left is not None:
                self.target(left, items, None, -1, node)
        else:
            self.flow = {}
        if condition is not None:
            self.x(condition)
            self.flow.update(self.narrowings(condition)[0])
        touched = self.touched
        self.touched = set()
        if left is not None:
            self.touched.update(self.written(left))
        for name in ("body", "alternative"):
            body = node.child_by_field_name(name)
            if body is not None:
                self.block(body if name == "body" else body.child_by_field_name("body") or body)
        self.flow = {
            key: value
            for key, value in before.items()
            if self.root_of(key) not in self.touched and key not in self.touched
        }
        self.touched |= touched

    def try_(self, node: Node) -> None:
        before = dict(self.flow)
        touched = self.touched
        self.touched = set()
        for child in node.named_children:
            if child.kind_id == self.k_block:
                self.block(child)
            else:
                self.flow = {}
                if child.kind_id == self.k_comment:
                    continue
                self.clause(child)
        self.flow = {
            key: value
            for key, value in before.items()
            if self.root_of(key) not in self.touched and key not in self.touched
        }
        self.touched |= touched

    def clause(self, node: Node) -> None:
        """``except E as e:``, ``finally:``, ``else:``."""
        for child in node.named_children:
            if child.kind_id == self.k_block:
                self.block(child)
            elif child.kind_id == self.k_as_pattern:
                parts = child.named_children
                value = self.x(parts[0])
                if len(parts) > 1:
                    self.target(
                        _inner(parts[1]), self.builder.on(Op.INSTANCE, self.flat(parts[0], value)), None, -1, child
                    )
            else:
                self.x(child)

    def flat(self, node: Node, value: int) -> int:
        """Of ``except (A, B)`` either class."""
        if value >= 0 and self.builder.exprs[value][0] == Op.TUPLE:
            return self.builder.union(list(self.builder.exprs[value][1]))
        return value

    def with_(self, node: Node) -> None:
        for clause in node.named_children:
            if clause.kind_id == self.k_block:
                self.block(clause)
                continue
            for item in clause.named_children:
                inner = item.named_children[0] if item.named_children else item
                if inner.kind_id == self.k_as_pattern and len(inner.named_children) > 1:
                    value = self.builder.on(Op.ENTER, self.x(inner.named_children[0]))
                    self.target(_inner(inner.named_children[1]), value, None, -1, inner)
                else:
                    self.x(inner)

    def assert_(self, node: Node) -> None:
        for child in node.named_children:
            self.x(child)
        if node.named_children:
            self.flow.update(self.narrowings(node.named_children[0])[0])

    def match(self, node: Node) -> None:
        subject = node.child_by_field_name("subject")
        value = self.x(subject) if subject is not None else -1
        before = self.flow
        body = node.child_by_field_name("body")
        touched, self.touched = self.touched, set()
        for case in body.named_children if body is not None else ():
            self.flow = {}
            for child in case.named_children:
                if child.kind_id == self.k_block:
                    self.block(child)
                elif child.kind_id == self.k_case_pattern:
                    self.pattern(child, value)
                    self.flow.update(self.matched(subject, child))
                else:
                    self.x(child)
        self.flow = {
            key: value
            for key, value in before.items()
            if self.root_of(key) not in self.touched and key not in self.touched
        }
        self.touched |= touched

    def matched(self, subject: Node | None, case: Node) -> dict[int, int]:
        """What holds of the subject where ``case Class(…)`` fits."""
        key = self.plain(subject) if subject is not None else -1
        pattern = case.named_children[0] if case.named_children else case
        if pattern.type == "as_pattern" and pattern.named_children:
            pattern = pattern.named_children[0]
            pattern = pattern.named_children[0] if pattern.named_children else pattern
        if key < 0 or pattern.type != "class_pattern" or not pattern.named_children:
            return {}
        made = self.builder.expr(Op.INSTANCE, self.silent(pattern.named_children[0].named_children))
        return {key: self.builder.expr(Op.MEMO, made, key)}

    def pattern(self, node: Node, value: int) -> None:
        """A case pattern: bare names are bound, dotted ones and classes are read."""
        builder = self.builder
        kind = node.type
        if kind == "dotted_name":
            parts = node.named_children
            if len(parts) == 1:
                if builder.text(parts[0]) != b"_":
                    self.target(parts[0], value, None, -1, node)
            else:
                self.dotted(parts)
            return
        if kind == "class_pattern":
            parts = node.named_children
            if parts:
                made = builder.on(Op.INSTANCE, self.dotted(parts[0].named_children))
                for part in parts[1:]:
                    inner = part.named_children[0] if part.named_children else part
                    if inner.type == "keyword_pattern":
                        pieces = inner.named_children
                        builder.attribute(pieces[0], made)
                        member = builder.on(Op.ATTR, made, builder.name(builder.text(pieces[0])))
                        for piece in pieces[1:]:
                            self.pattern(piece, member)
                    else:
                        self.pattern(part, -1)
            return
        if kind == "as_pattern":
            parts = node.named_children
            self.pattern(parts[0], value)
            first = parts[0].named_children[0] if parts[0].named_children else parts[0]
            if first.type == "class_pattern":
                value = builder.on(Op.INSTANCE, self.silent(first.named_children[0].named_children))
            if len(parts) > 1:
                self.target(_inner(parts[-1]), value, None, -1, node)
            return
        if kind == "identifier":
            self.target(node, value, None, -1, node)
            return
        for child in node.named_children:
            self.pattern(child, value if kind in ("case_pattern", "union_pattern") else -1)

    def dotted(self, parts: list[Node]) -> int:
        """``a.b.c`` as reads."""
        builder = self.builder
        builder.read(parts[0])
        expr = builder.name_expr(builder.name(builder.text(parts[0])))
        for part in parts[1:]:
            builder.attribute(part, expr)
            expr = builder.on(Op.ATTR, expr, builder.name(builder.text(part)))
        return expr

    def silent(self, parts: list[Node]) -> int:
        """As ``dotted``, reporting nothing."""
        builder = self.builder
        expr = builder.name_expr(builder.name(builder.text(parts[0])))
        for part in parts[1:]:
            expr = builder.on(Op.ATTR, expr, builder.name(builder.text(part)))
        return expr

    def leaves(self, body: Node) -> bool:
        """Does the block end by leaving?"""
        children = body.named_children
        return bool(children) and children[-1].kind_id in self.k_leaving

    # Imports

    def import_(self, node: Node) -> None:
        builder = self.builder
        for child in node.named_children:
            alias = child.child_by_field_name("alias")
            dotted = child.child_by_field_name("name") if alias is not None else child
            if dotted is None:
                continue
            parts = dotted.named_children
            module = ""
            for index, part in enumerate(parts):
                text = builder.text(part)
                module = f"{module}.{text.decode('utf-8', 'replace')}" if module else text.decode("utf-8", "replace")
                entry = builder.imports_entry(module)
                if index == 0 and alias is None:
                    symbol = builder.define(part, Kind.IMPORT)
                    builder.extent(symbol, node)
                    builder.value(symbol, builder.expr(Op.IMPORT, entry))
                else:
                    builder.imported(part.start_byte, text, entry)
            if alias is not None and module:
                symbol = builder.define(alias, Kind.IMPORT)
                builder.extent(symbol, node)
                builder.value(symbol, builder.expr(Op.IMPORT, builder.imports_entry(module)))

    def import_from(self, node: Node) -> None:
        builder = self.builder
        source = node.child_by_field_name("module_name")
        level, module = 0, ""
        if source is None:
            return
        parts = source.named_children
        if source.type == "relative_import":
            level = builder.text(source).lstrip().partition(b"import")[0].count(b".") if not parts else 0
            for part in parts:
                if part.type == "import_prefix":
                    level = builder.text(part).count(b".")
            parts = [piece for part in parts if part.type == "dotted_name" for piece in part.named_children]
        for part in parts:
            text = builder.text(part)
            piece = text.decode("utf-8", "replace")
            module = f"{module}.{piece}" if module else piece
            builder.imported(part.start_byte, text, builder.imports_entry(module, level))
        for child in node.children_by_field_name("name"):
            alias = child.child_by_field_name("alias")
            dotted = child.child_by_field_name("name") if alias is not None else child
            if dotted is None or not dotted.named_children:
                continue
            part = dotted.named_children[0]
            text = builder.text(part)
            entry = builder.imports_entry(module, level, text.decode("utf-8", "replace"))
            value = builder.expr(Op.IMPORT, entry)
            if alias is not None:
                builder.imported(part.start_byte, text, entry)
                symbol = builder.define(alias, Kind.IMPORT)
            else:
                symbol = builder.define(part, Kind.IMPORT)
            builder.extent(symbol, node)
            builder.value(symbol, value)
            self.forget(builder.name_expr(builder.name(builder.text(alias or part))))
        if any(child.type == "wildcard_import" for child in node.named_children):
            builder.stars.append(builder.imports_entry(module, level, "*"))

    def future(self, node: Node) -> None:
        """``from __future__`` binds names nobody looks up."""


def _inner(node: Node) -> Node:
    """The target inside an ``as_pattern_target``."""
    return node.named_children[0] if node.type == "as_pattern_target" and node.named_children else node


def _docstring(body: Node) -> tuple[int, int]:
    for child in body.named_children:
        if child.type == "comment":
            continue
        if child.type == "expression_statement" and child.named_children and child.named_children[0].type == "string":
            inner = child.named_children[0]
            return inner.start_byte, inner.end_byte
        break
    return 0, 0


def _table(
    handlers: dict[str, Callable[[PythonWalk, Node], object]],
) -> dict[int, Callable[[PythonWalk, Node], object]]:
    return {kind: handlers[name] for kind, name in by_kind(GRAMMAR, handlers).items()}


_STATEMENTS = _table(
    {
        "function_definition": PythonWalk.function,
        "class_definition": PythonWalk.class_,
        "decorated_definition": PythonWalk.decorated,
        "type_alias_statement": PythonWalk.type_alias,
        "return_statement": PythonWalk.return_,
        "global_statement": PythonWalk.global_,
        "nonlocal_statement": PythonWalk.nonlocal_,
        "if_statement": PythonWalk.if_,
        "for_statement": PythonWalk.loop,
        "while_statement": PythonWalk.loop,
        "try_statement": PythonWalk.try_,
        "with_statement": PythonWalk.with_,
        "assert_statement": PythonWalk.assert_,
        "match_statement": PythonWalk.match,
        "import_statement": PythonWalk.import_,
        "import_from_statement": PythonWalk.import_from,
        "future_import_statement": PythonWalk.future,
    }
)
