"""Small workspaces on the disk, and questions asked by name instead of by position."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsassist.index import Index, Limits, References


class Workspace:
    """A folder with an index. Places are written ``file:line`` with lines from 1."""

    def __init__(self, root: Path, cache: Path, limits: Limits | None = None) -> None:
        self.root = root
        self.cache = cache
        self.index = Index.open(root, cache, limits)

    def write(self, files: dict[str, str]) -> None:
        for path, text in files.items():
            file = self.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text).lstrip("\n"))

    def place(self, path: str, line: int, name: str) -> tuple[str, int, int]:
        """The first occurrence of a whole name in a line (from 1), as the index wants it."""
        overlay = self.index._overlays.get(path)
        text = overlay.source.decode() if overlay is not None else (self.root / path).read_text()
        found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text.split("\n")[line - 1])
        assert found is not None
        return path, line - 1, found.start()

    def references(self, path: str, line: int, name: str) -> list[str]:
        return self.lines(self.index.references(*self.place(path, line, name)))

    def possible(self, path: str, line: int, name: str) -> list[str]:
        found = self.index.references(*self.place(path, line, name))
        return [f"{item.location.path}:{item.location.line + 1}" for item in found.possible]

    def definitions(self, path: str, line: int, name: str) -> list[str]:
        found = self.index.definitions(*self.place(path, line, name))
        return [f"{info.location.path}:{info.location.line + 1} {info.qualified_name}" for info in found]

    @staticmethod
    def lines(found: References) -> list[str]:
        return [f"{item.location.path}:{item.location.line + 1}" for item in found.references]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    root = tmp_path / "project"
    root.mkdir()
    made = Workspace(root, tmp_path / "cache")
    yield made
    made.index.close()


@pytest.fixture
def workspace_class() -> type[Workspace]:
    return Workspace
