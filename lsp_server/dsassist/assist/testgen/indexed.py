"""Call sites as the index knows them: by what a name means, not by how it is spelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from dsassist.assist.testgen.target import Target
from dsassist.errors import DsassistError
from dsassist.index import Index

__all__ = ["callers_in"]


def callers_in(index: Index) -> Callable[[Target], Mapping[Path, frozenset[int]] | None]:
    """A function for ``generate``: file → lines (from 1) that call a target; None where the index does not know it."""
    root = index.root.resolve()

    def find(target: Target) -> Mapping[Path, frozenset[int]] | None:
        try:
            relative = target.path.resolve().relative_to(root).as_posix()
            name = target.owner if target.name == "__init__" else target.qualname
            if index.symbol((relative, name)) is None:
                return None
            calls = index.callers([(relative, name)])
        except (ValueError, DsassistError):
            return None
        found: dict[Path, set[int]] = {}
        for call in calls:
            for site in call.sites:
                found.setdefault(root / site.path, set()).add(site.line + 1)
        return {path: frozenset(lines) for path, lines in found.items() if path.suffix == ".py"}

    return find
