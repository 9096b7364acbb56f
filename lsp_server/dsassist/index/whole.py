"""An index with everything that can be asked of it."""

from __future__ import annotations

from pathlib import Path

from dsassist.index.alike import Alike
from dsassist.index.first import First
from dsassist.index.graph import GraphMaker
from dsassist.index.model import Encoding
from dsassist.index.state import Limits

__all__ = ["Index"]


class Index(Alike, GraphMaker, First):
    """An open index. See the package's docstring."""

    @classmethod
    def open(cls, root: Path, cache_dir: Path, limits: Limits | None = None, *, encoding: Encoding = "utf-32") -> Index:
        """Open or make the index of a workspace; what an earlier run stored is there at once.

        Raises:
            WorkspaceError: ``root`` is no folder that can be read.
            IndexingError: the database can neither be opened nor made.
        """
        return cls(root, cache_dir, limits or Limits(), encoding)

    @property
    def database(self) -> Path:
        """The file that the index is kept in."""
        return self._store.path
