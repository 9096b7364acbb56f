"""Asked once a workspace: may its code be run?"""

from __future__ import annotations

import json
from pathlib import Path

from dsassist.errors import WorkspaceError

__all__ = ["Consent"]


class Consent:
    """Kept in ``path``, a JSON list of folders. A folder inside a trusted one is trusted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _folders(self) -> list[str]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except (OSError, ValueError):
            return []  # a damaged file means that nobody agreed
        return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []

    def given(self, workspace: Path) -> bool:
        """Whether the user agreed for ``workspace``."""
        wanted = workspace.resolve()
        return any(wanted.is_relative_to(folder) for folder in self._folders())

    def give(self, workspace: Path) -> None:
        """Remember that the user agreed.

        Raises:
            WorkspaceError: it cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(
                json.dumps(sorted({*self._folders(), str(workspace.resolve())}), indent=1), encoding="utf-8"
            )
        except OSError as error:
            raise WorkspaceError(f"{self.path} cannot be written: {error.strerror}.") from error
