"""Which files of a workspace belong in its index."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dsassist.index.languages import is_source

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

__all__ = ["CONFIGURATION", "Files", "Scan", "scan", "takes"]

_LEFT_OUT = frozenset(
    {
        ".git", ".hg", ".svn", "node_modules", "bower_components", "__pycache__", ".tox", ".nox", ".mypy_cache",
        ".ruff_cache", ".pytest_cache", ".hypothesis", ".gradle", ".idea", ".vscode", ".eggs", ".venv", "venv", ".next",
        ".nuxt", ".cache", ".terraform", "site-packages",
    }
)  # fmt: skip

CONFIGURATION = frozenset({"go.mod", "tsconfig.json", "jsconfig.json", "package.json", "Cargo.toml"})
"""Files that decide what imports mean, though they are not indexed."""


class Scan:
    """What is on the disk."""

    __slots__ = ("configuration", "files", "notices")

    def __init__(self) -> None:
        self.files: dict[str, tuple[int, int]] = {}
        """Path → (time of change in ns, size)."""
        self.configuration: dict[str, tuple[int, int]] = {}
        self.notices: list[str] = []
        """What was left out that a person may miss."""


def scan(
    root: Path,
    *,
    exclude: Sequence[str] = (),
    max_files: int = 50_000,
    max_bytes: int = 1 << 20,
    cancelled: Callable[[], bool] = lambda: False,
) -> Scan:
    """Walk the workspace. Ignored, linked, unreadable and oversized things are left out; the last two are told."""
    result = Scan()
    spec = _spec(exclude) if exclude else None
    large: list[str] = []
    unreadable: list[str] = []
    stack: list[tuple[str, tuple[tuple[str, GitIgnoreSpec], ...]]] = [("", ())]
    capped = False
    while stack and not cancelled():
        folder, ignores = stack.pop()
        try:
            with os.scandir(root / folder if folder else root) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            unreadable.append(folder or ".")
            continue
        own = next((entry for entry in found if entry.name == ".gitignore"), None)
        if own is not None:
            ignores = (*ignores, *_ignore_file(Path(own.path), folder))
        if folder and any(entry.name == "pyvenv.cfg" for entry in found):
            continue
        folders = []
        for entry in found:
            path = f"{folder}/{entry.name}" if folder else entry.name
            try:
                if entry.is_symlink():
                    continue
                is_folder = entry.is_dir()
            except OSError:
                continue
            if is_folder:
                if entry.name not in _LEFT_OUT and not _ignored(path + "/", ignores, spec):
                    folders.append((path, ignores))
                continue
            known = entry.name in CONFIGURATION
            if not known and not is_source(entry.name):
                continue
            if _ignored(path, ignores, spec):
                continue
            try:
                status = entry.stat()
            except OSError:
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            if known:
                result.configuration[path] = (status.st_mtime_ns, status.st_size)
            elif entry.name.endswith((".min.js", ".min.mjs")):
                continue
            elif status.st_size > max_bytes:
                large.append(path)
            elif len(result.files) >= max_files:
                capped = True
            else:
                result.files[path] = (status.st_mtime_ns, status.st_size)
        stack.extend(reversed(folders))
    if capped:
        result.notices.append(f"Only the first {max_files} files are indexed; raise index.maxFiles or exclude folders.")
    if large:
        result.notices.append(f"{_some(large)} left out: larger than {max_bytes // 1024} kB.")
    if unreadable:
        result.notices.append(f"{_some(unreadable)} cannot be read.")
    return result


def _some(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - 2} more" if len(paths) > 2 else ""
    return ", ".join(paths[:2]) + more


def _spec(lines: Sequence[str]) -> GitIgnoreSpec:
    """Patterns as in ``.gitignore``. Loaded where there are some: a start without any need not wait for it."""
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(lines)


def _ignore_file(path: Path, folder: str) -> list[tuple[str, GitIgnoreSpec]]:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
        return [(f"{folder}/" if folder else "", _spec(lines))]
    except (OSError, ValueError):
        return []


def _ignored(path: str, ignores: Sequence[tuple[str, GitIgnoreSpec]], spec: GitIgnoreSpec | None) -> bool:
    if spec is not None and spec.match_file(path):
        return True
    for prefix, item in reversed(ignores):
        result = item.check_file(path[len(prefix) :])
        if result.include is not None:
            return bool(result.include)
    return False


class Files:
    """The indexed files, as languages ask for them (``FileSet``)."""

    def __init__(
        self,
        root: Path,
        paths: Mapping[str, object] | set[str],
        configuration: Mapping[str, object] | set[str],
        users: Callable[[str], Sequence[str]] = lambda _: (),
    ) -> None:
        """``users`` gives the files that have a name, as the store keeps them."""
        self.root = root
        self._users = users
        self.paths = frozenset(paths)
        self.configuration = frozenset(configuration)
        self._texts: dict[str, str | None] = {}

    @cached_property
    def _folders(self) -> dict[str, list[str]]:
        """Files by folder; every folder above a file is a key."""
        table: dict[str, list[str]] = {}
        for path in sorted(self.paths):
            folder = path.rpartition("/")[0]
            table.setdefault(folder, []).append(path)
            while folder:
                folder = folder.rpartition("/")[0]
                if folder in table:
                    break
                table[folder] = []
        return table

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        table: dict[str, list[str]] = {}
        for path in sorted(self.paths):
            table.setdefault(path.rpartition("/")[2], []).append(path)
        return table

    def has(self, path: str) -> bool:
        """See ``FileSet``."""
        return path in self.paths

    def is_folder(self, path: str) -> bool:
        """See ``FileSet``."""
        return path in self._folders

    def in_folder(self, path: str, suffixes: tuple[str, ...]) -> Sequence[str]:
        """See ``FileSet``."""
        return [item for item in self._folders.get(path, ()) if item.endswith(suffixes)]

    def named(self, name: str) -> Sequence[str]:
        """See ``FileSet``."""
        return self._names.get(name, ())

    def text(self, path: str) -> str | None:
        """See ``FileSet``."""
        if path not in self._texts:
            content: str | None = None
            if path in self.configuration:
                try:
                    content = (self.root / path).read_text("utf-8", "replace")
                except OSError:
                    content = None
            self._texts[path] = content
        return self._texts[path]

    def includers(self, header: str) -> Sequence[str]:
        """See ``FileSet``."""
        return self._users(f"#{header}")

    def folders_with(self, name: str) -> Sequence[str]:
        """See ``FileSet``."""
        found = [path.rpartition("/")[0] for path in self.configuration if path.rpartition("/")[2] == name]
        return sorted(found, key=lambda folder: (-folder.count("/") - bool(folder), folder))


def takes(root: Path, path: str, exclude: Sequence[str]) -> bool:
    """Would a scan take this file, going by its name and its folders?"""
    parts = path.split("/")
    if any(part in _LEFT_OUT for part in parts[:-1]):
        return False
    ignores: tuple[tuple[str, GitIgnoreSpec], ...] = ()
    spec = _spec(exclude) if exclude else None
    for depth in range(len(parts)):
        folder = "/".join(parts[:depth])
        ignores = (*ignores, *_ignore_file(root / folder / ".gitignore", folder))
        if depth and (root / folder / "pyvenv.cfg").exists():
            return False
        here = "/".join(parts[: depth + 1]) + ("/" if depth + 1 < len(parts) else "")
        if _ignored(here, ignores, spec) or (root / here.rstrip("/")).is_symlink():
            return False
    return True
