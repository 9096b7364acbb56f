"""Where candidate calls come from, behind one protocol."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dsassist.assist.testgen.target import Target

__all__ = ["Facts", "Gaps", "Helper", "Seed", "Source", "Usage", "observing", "watched"]


@dataclass(frozen=True, slots=True)
class Usage:
    """A file's text. ``module``: the name it is imported by, "" where it has none; ``lines`` (1-based): where the index
    knows a call of the target to be, None where only its name was found."""

    text: str
    module: str = ""
    lines: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a source may read about a target."""

    target: Target
    source: str
    tree: ast.Module
    module: str
    usages: tuple[Usage, ...] = ()
    """Other files of the project that call the target."""


@dataclass(frozen=True, slots=True)
class Seed:
    """A candidate from outside the search: lines of set-up, then one statement that binds ``result``.

    ``expected`` is code of the value that the docstring states, "" where nothing is stated; ``raises`` the exception
    it states.
    """

    setup: tuple[str, ...]
    act: str
    source: str
    expected: str = ""
    raises: str = ""
    watch: tuple[str, ...] = ()
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)

    def as_job(self) -> dict[str, Any]:
        """The form that the probe reads."""
        return {
            "setup": list(self.setup),
            "act": self.act,
            "source": self.source,
            "expected": self.expected,
            "raises": self.raises,
            "watch": list(self.watch),
            "imports": {name: list(origin) for name, origin in self.imports.items()},
        }


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is still open: lines that nothing executes, planted bugs that nothing notices (``line: change``), and calls
    that were tried and failed (code, error). ``known``: bodies of some tests that pass."""

    missed: tuple[int, ...] = ()
    survivors: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    known: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether another call could add anything."""
        return bool(self.missed or self.survivors)


class Source(Protocol):
    """Gives seeds for a target; an empty list when it has none."""

    async def seeds(self, facts: Facts) -> list[Seed]:
        """Seeds, the most promising first."""
        ...


class Helper(Protocol):
    """Asked once the others are done, for what they left open."""

    async def help(self, facts: Facts, gaps: Gaps) -> list[Seed]:
        """Seeds, the most promising first."""
        ...


def watched(setup: Sequence[str], act: str) -> tuple[str, ...]:
    """Names that ``setup`` binds and ``act`` uses: what the call may change."""
    try:
        bound = {
            node.id
            for node in ast.walk(ast.parse("\n".join(setup)))
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        used = [node.id for node in ast.walk(ast.parse(act)) if isinstance(node, ast.Name)]
    except SyntaxError:
        return ()
    return tuple(dict.fromkeys(name for name in used if name in bound))


def observing(expression: ast.expr, target: Target) -> str | None:
    """``result = …`` for an expression that calls the target, None for one that does not."""
    for node in ast.walk(expression):
        if isinstance(node, ast.Call):
            called = node.func
            name = (
                called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
            )
            owner = target.owner.rpartition(".")[2]
            if name == target.name or (
                target.name in ("__init__", "__new__", "__post_init__", "__call__") and name == owner
            ):
                return f"result = {ast.unparse(expression)}"
    if (
        any(isinstance(node, ast.Attribute) and node.attr == target.name for node in ast.walk(expression))
        and target.owner
    ):
        return f"result = {ast.unparse(expression)}"
    return None
