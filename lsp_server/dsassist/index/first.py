"""The part of an index that a session's first questions take: what is stored, open buffers, references.

Loading the rest takes longer than these answers do, so ``Index`` is made of this when it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from dsassist.index.editing import Editing
from dsassist.index.uses import Uses

if TYPE_CHECKING:
    from dsassist.index.whole import Index

__all__ = ["First"]


class First(Uses, Editing):
    """See the module's docstring."""

    def close(self) -> None:
        """Close the database. The index cannot be used afterwards."""
        with self._lock:
            self._store.close()

    def whole(self) -> Index:
        """The same index, from now on with all that can be asked of one. Nobody may be asking meanwhile."""
        from dsassist.index.whole import Index

        self.__class__ = Index
        return cast("Index", self)
