"""What other files can see of a file, as a digest. While it stays the same, their links stay right."""

from __future__ import annotations

import hashlib
from typing import Any

from dsassist.index.builder import children
from dsassist.index.facts import Facts
from dsassist.index.model import Kind, Op
from dsassist.index.module import Module

__all__ = ["interface"]


def interface(facts: Facts) -> bytes:
    """A digest of the symbols of modules and classes, the parameters of functions, and all that their types depend
    on."""
    module = Module("", facts)
    scopes = facts.scopes
    memo: dict[int, str] = {}
    lines = [repr((facts.language, facts.imports, facts.stars, _exports(module), sorted(facts.extra.items(), key=str)))]
    for index, symbol in enumerate(facts.symbols):
        if scopes[symbol.scope].kind <= 1 or symbol.kind == Kind.PARAMETER:
            bases = [_render(module, base, memo, ()) for body in symbol.bodies for base in scopes[body].bases]
            lines.append(
                repr(
                    (
                        module.qualified(index),
                        symbol.kind,
                        symbol.flags,
                        _render(module, symbol.annotation, memo, ()),
                        [_render(module, value, memo, ()) for value in symbol.values],
                        [module.name(parameter) for parameter in symbol.parameters],
                        bases,
                        [module.scope_path(body) for body in symbol.bodies],
                    )
                )
            )
    return hashlib.blake2b("\n".join(sorted(lines)).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _exports(module: Module) -> Any:
    exports = module.facts.exports
    if exports is None:
        return None
    return sorted(
        (name, module.qualified(symbol) if symbol >= 0 else "", entry) for name, (symbol, entry) in exports.items()
    )


def _render(module: Module, expr: int, memo: dict[int, str], active: tuple[int, ...]) -> str:
    """An expression in terms that survive a renumbering."""
    if expr < 0:
        return "?"
    found = memo.get(expr)
    if found is not None:
        return found
    if expr in active or len(active) > 60:
        return "…"
    op, a, b = module.facts.expressions[expr]
    active = (*active, expr)
    if op == Op.NAME:
        symbol = module.symbols[a]
        local = module.facts.scopes[symbol.scope].kind > 1
        inner = [_render(module, part, memo, active) for part in (symbol.annotation, *symbol.values)] if local else []
        text = f"{module.qualified(a)}{inner}"
    elif op == Op.GLOBAL:
        text = f"global {module.names[a]} {module.scope_path(module.enclosing_class(b))}"
    elif op == Op.IMPORT:
        text = f"import {tuple(module.facts.imports[a])}"
    elif op in (Op.SELF, Op.CLASS_OF_SCOPE, Op.SUPER, Op.OBJECT):
        text = f"{op} {module.scope_path(a)} {b}"
    else:
        detail: Any = (
            module.names[b] if op == Op.ATTR else a if op == Op.BUILTIN else b if op in (Op.ITEM, Op.ARGUMENT) else ""
        )
        text = f"{op} {detail} {[_render(module, part, memo, active) for part in children((op, a, b))]}"
    if len(active) == 1:
        memo[expr] = text
    return text
