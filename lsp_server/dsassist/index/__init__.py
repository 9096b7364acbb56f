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

from pathlib import Path

from dsassist.index.alike import Alike
from dsassist.index.build import Progress, Report
from dsassist.index.echo import Use
from dsassist.index.editing import Editing
from dsassist.index.graph import Graph, GraphMaker, to_dot, to_mermaid, to_svg
from dsassist.index.model import Call, Encoding, Kind, Level, Location, Reference, References, Role, SymbolInfo
from dsassist.index.outline import Outline
from dsassist.index.rank import ContextPiece
from dsassist.index.reach import AtCursor
from dsassist.index.rename import RenamePlan
from dsassist.index.resolve import Target
from dsassist.index.state import Limits
from dsassist.index.syntax import Fold

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


class Index(Alike, GraphMaker, Editing):
    """An open index. See the module's docstring."""

    @classmethod
    def open(cls, root: Path, cache_dir: Path, limits: Limits | None = None, *, encoding: Encoding = "utf-32") -> Index:
        """Open or make the index of a workspace; what an earlier run stored is there at once.

        Raises:
            WorkspaceError: ``root`` is no folder that can be read.
            IndexingError: the database can neither be opened nor made.
        """
        return cls(root, cache_dir, limits or Limits(), encoding)

    def close(self) -> None:
        """Close the database. The index cannot be used afterwards."""
        with self._lock:
            self._store.close()

    @property
    def database(self) -> Path:
        """The file that the index is kept in."""
        return self._store.path
