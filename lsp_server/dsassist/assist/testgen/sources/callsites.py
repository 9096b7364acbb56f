"""Calls that the project itself makes, with the lines before them that make their arguments."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from dsassist.assist.testgen.sources import Facts, Seed, Usage, watched

__all__ = ["CallSiteSource"]

_MOST, _LINES = 12, 8
_SPECIAL = ("__init__", "__new__", "__post_init__", "__call__")


class CallSiteSource:
    """Reads ``Facts.source`` and ``Facts.usages``. What a call site needs and no import gives ends it as a seed."""

    async def seeds(self, facts: Facts) -> list[Seed]:
        """Calls of the target with arguments that are literal, imported or made by earlier lines; at most twelve."""
        found: dict[str, Seed] = {}
        for usage in (Usage(facts.source, facts.module), *facts.usages):
            try:
                tree = ast.parse(usage.text)
            except (SyntaxError, ValueError):
                continue
            reader = _Reader(tree, usage, facts)
            for seed in reader.seeds():
                found.setdefault("\n".join([*seed.setup, seed.act]), seed)
                if len(found) >= _MOST:
                    return list(found.values())
        return list(found.values())


class _Reader:
    def __init__(self, tree: ast.Module, usage: Usage, facts: Facts) -> None:
        self.tree, self.usage, self.facts = tree, usage, facts
        self.name = facts.target.name
        self.owner = facts.target.owner.rpartition(".")[2]
        self.imports = dict(_imports(tree, usage.module))
        self.constants = [node for node in tree.body if isinstance(node, ast.Assign)]
        if usage.module:  # what the file itself defines can be imported from it
            for node in tree.body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    self.imports.setdefault(node.name, (usage.module, node.name))

    def seeds(self) -> Iterator[Seed]:
        """One seed a call that can stand alone."""
        yield from self._block(self.tree.body, [], frozenset())

    def _block(self, body: list[ast.stmt], before: list[ast.stmt], unknown: frozenset[str]) -> Iterator[Seed]:
        """``before``: the statements that ran earlier; ``unknown``: names that only a caller or a loop can fill."""
        earlier = list(before)
        for statement in body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                arguments = statement.args if not isinstance(statement, ast.ClassDef) else None
                hidden = {node.arg for node in ast.walk(arguments) if isinstance(node, ast.arg)} if arguments else set()
                yield from self._block(statement.body, [], unknown | hidden)
                continue
            inner = [part for part in _bodies(statement) if part]
            if inner:
                bound = {
                    node.id
                    for node in ast.walk(statement)
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
                }
                looped = bound if isinstance(statement, ast.For | ast.With | ast.AsyncFor | ast.AsyncWith) else set()
                for part in inner:
                    yield from self._block(part, earlier, unknown | frozenset(looped))
                unknown |= frozenset(bound)
                continue
            for node in ast.walk(statement):
                if isinstance(node, ast.Call) and self._is_call(node):
                    seed = self._seed(node, earlier, unknown)
                    if seed is not None:
                        yield seed
            earlier.append(statement)

    def _is_call(self, node: ast.Call) -> bool:
        if self.usage.lines is not None and not self.usage.lines & set(
            range(node.lineno, (node.end_lineno or node.lineno) + 1)
        ):
            return False
        called = node.func
        if isinstance(called, ast.Attribute):
            return called.attr == self.name or (self.name in _SPECIAL and called.attr == self.owner)
        if isinstance(called, ast.Name):
            if self.owner:
                return self.name in _SPECIAL and called.id == self.owner
            return called.id == self.name
        return False

    def _seed(self, call: ast.Call, earlier: list[ast.stmt], unknown: frozenset[str]) -> Seed | None:
        if not self.owner and isinstance(call.func, ast.Attribute):
            # module.function(…): the function is imported by its own name
            call = ast.Call(ast.Name(self.name, ast.Load()), call.args, call.keywords)
        needed = {node.id for node in ast.walk(call) if isinstance(node, ast.Name)}
        imports: dict[str, tuple[str, str]] = {}
        setup: list[str] = []
        for statement in reversed([*(item for item in self.constants if item not in earlier), *earlier]):
            stored = {
                node.id
                for node in ast.walk(statement)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
            changes = stored & needed or _calls_on(statement, needed)
            if isinstance(statement, ast.Import | ast.ImportFrom) or not changes:
                continue
            if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr):
                return None
            setup.insert(0, ast.unparse(statement))
            needed |= {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
            if len(setup) > _LINES:
                return None
        defined = {
            node.id
            for line in setup
            for node in ast.walk(ast.parse(line))
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        bound = {
            node.arg if isinstance(node, ast.arg) else node.id
            for node in ast.walk(call)
            if isinstance(node, ast.arg) or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        }
        for name in needed - defined - bound:
            if name in unknown:
                return None
            if name in self.imports:
                imports[name] = self.imports[name]
            elif name == self.name and not self.owner:
                imports[name] = (self.facts.module, name)
            elif not hasattr(builtins, name):
                return None
        act = f"result = {ast.unparse(call)}"
        return Seed(tuple(setup), act, "callsites", watch=watched(setup, act), imports=imports)


def _calls_on(statement: ast.stmt, names: set[str]) -> bool:
    """``stack.push(1)``: a call that may change what one of ``names`` holds."""
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return False
    called: ast.expr = statement.value.func
    if not isinstance(called, ast.Attribute):
        return False
    while isinstance(called, ast.Attribute):
        called = called.value
    return isinstance(called, ast.Name) and called.id in names


def _bodies(statement: ast.stmt) -> list[list[ast.stmt]]:
    found = [getattr(statement, field, []) for field in ("body", "orelse", "finalbody")]
    handlers = getattr(statement, "handlers", []) or getattr(statement, "cases", [])
    return [*(part for part in found if isinstance(part, list)), *(item.body for item in handlers)]


def _imports(tree: ast.Module, module: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Name → (module, attribute), of every import in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    yield alias.asname, (alias.name, "")
                else:
                    top = alias.name.partition(".")[0]
                    yield top, (top, "")
        elif isinstance(node, ast.ImportFrom):
            package = node.module or ""
            if node.level:
                if not module:
                    continue
                parts = module.split(".")[: -node.level]
                package = ".".join([*parts, *([node.module] if node.module else [])])
                if not parts:
                    continue
            for alias in node.names:
                if alias.name != "*":
                    yield alias.asname or alias.name, (package, alias.name)
