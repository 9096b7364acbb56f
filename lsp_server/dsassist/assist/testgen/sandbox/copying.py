"""A throwaway copy of a workspace."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from dsassist.errors import WorkspaceError

__all__ = ["copy_workspace"]

SKIPPED = {
    ".git", ".hg", ".svn", ".venv", "venv", "env", "node_modules", "__pycache__", ".mypy_cache", ".ruff_cache",
    ".pytest_cache", ".tox", ".nox", ".eggs", ".hypothesis", ".idea", ".vscode", "htmlcov",
}  # fmt: skip
MAX_FILE_BYTES = 8 << 20
MAX_TOTAL_BYTES = 256 << 20
MAX_FILES = 30_000


def copy_workspace(source: Path, target: Path, *, needed: Sequence[Path] = ()) -> list[str]:
    """Copy ``source`` to ``target`` without version control, environments, caches and large files.

    In a workspace above the caps only ``needed`` (paths inside it) and the files at its root are copied.

    Returns:
        Relative paths of large files left out.

    Raises:
        WorkspaceError: even ``needed`` is above the caps, or a file cannot be read.
    """
    try:
        return _copy(source, target, [source])
    except _TooLargeError:
        shutil.rmtree(target)
    wanted = [path for path in [*needed, *(entry for entry in source.iterdir() if entry.is_file())] if path.exists()]
    try:
        return _copy(source, target, wanted)
    except _TooLargeError:
        raise WorkspaceError(
            f"{source} is too large to copy into the sandbox (over {MAX_TOTAL_BYTES >> 20} MB).",
            remedy="Open the package's own folder as the workspace.",
        ) from None


class _TooLargeError(Exception):
    pass


def _copy(source: Path, target: Path, roots: Sequence[Path]) -> list[str]:
    left_out: list[str] = []
    files = total = 0
    target.mkdir(parents=True)
    for root in roots:
        for folder, names, entries in os.walk(root) if root.is_dir() else [(str(root.parent), [], [root.name])]:
            names[:] = [
                name for name in names if name not in SKIPPED and not (Path(folder, name) / "pyvenv.cfg").exists()
            ]
            relative = Path(folder).relative_to(source)
            (target / relative).mkdir(parents=True, exist_ok=True)
            for name in entries:
                path = Path(folder, name)
                if path.is_symlink() and not path.resolve().is_relative_to(source.resolve()):
                    continue
                if not path.is_file():  # sockets, pipes, broken links
                    continue
                size = path.stat().st_size
                if size > MAX_FILE_BYTES:
                    left_out.append(str(relative / name))
                    continue
                files, total = files + 1, total + size
                if files > MAX_FILES or total > MAX_TOTAL_BYTES:
                    raise _TooLargeError
                try:
                    shutil.copy2(path, target / relative / name)
                except PermissionError:
                    left_out.append(str(relative / name))
    return left_out
