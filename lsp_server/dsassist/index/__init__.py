"""The index of a workspace: where every name is defined and used, across files and languages.

Open one, bring it up to date, ask::

    index = Index.open(root, cache_dir)
    index.update(progress=lambda stage, done, total: ...)      # scan, facts, links; fast when little changed
    index.set_overlay("pkg/mod.py", text)                      # an open buffer counts instead of the disk
    index.references("pkg/mod.py", line, column)               # References: symbols, references, possible, pending
    index.definitions("pkg/mod.py", line, column)              # SymbolInfo with signature and documentation
    index.document_symbols("pkg/mod.py"); index.symbols("query")
    index.callers([("pkg/mod.py", "Class.method")])            # targets are (path, path inside the file)
    index.context_for("pkg/mod.py", line, column, budget_bytes=6000)
    index.at_cursor("pkg/mod.py", line, text_before)           # members of the receiver, signatures of open calls
    index.missing_member("pkg/mod.py", line, column)           # known not to exist on its resolved receiver
    index.close()

Paths are relative to the root, with ``/``. Lines and columns count from 0; columns count what ``encoding`` says (UTF-8
bytes, UTF-16 units, or code points), and ``Index.position`` makes them from byte offsets. All methods may be called
from
any thread; ``update`` in one thread leaves queries in others their turn. Nothing here knows LSP, and the folder for the
database is always passed in.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsassist.index.answer import Target
    from dsassist.index.build import Progress, Report
    from dsassist.index.echo import Use
    from dsassist.index.graph import Graph, to_dot, to_mermaid, to_svg
    from dsassist.index.model import Call, Encoding, Kind, Level, Location, Reference, References, Role, SymbolInfo
    from dsassist.index.outline import Outline
    from dsassist.index.rank import ContextPiece
    from dsassist.index.reach import AtCursor
    from dsassist.index.rename import RenamePlan
    from dsassist.index.state import Limits
    from dsassist.index.syntax import Fold
    from dsassist.index.whole import Index

__all__ = [
    "AtCursor",
    "Call",
    "ContextPiece",
    "Encoding",
    "Fold",
    "Graph",
    "Index",
    "Kind",
    "Level",
    "Limits",
    "Location",
    "Outline",
    "Progress",
    "Reference",
    "References",
    "RenamePlan",
    "Report",
    "Role",
    "SymbolInfo",
    "Target",
    "Use",
    "to_dot",
    "to_mermaid",
    "to_svg",
]

_MODULES = {
    "answer": ("Target",),
    "build": ("Progress", "Report"),
    "echo": ("Use",),
    "graph": ("Graph", "to_dot", "to_mermaid", "to_svg"),
    "model": ("Call", "Encoding", "Kind", "Level", "Location", "Reference", "References", "Role", "SymbolInfo"),
    "outline": ("Outline",),
    "rank": ("ContextPiece",),
    "reach": ("AtCursor",),
    "rename": ("RenamePlan",),
    "state": ("Limits",),
    "syntax": ("Fold",),
    "whole": ("Index",),
}
"""Where each name is. A module is loaded when somebody asks for what is in it: a session's first answers take few."""
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found
