"""Who waits for an index that is being built, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsassist.index import Index
from dsassist.server import indexes
from dsassist.server.indexes import Folder


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    root = tmp_path / "w"
    root.mkdir()
    (root / "a.py").write_text("class Greeter: ...\n")
    (root / "b.py").write_text("from a import Greeter\n\nGreeter()\n")
    index = Index.open(root, tmp_path)
    yield index
    index.close()


async def places(folder: Folder) -> list[tuple[str, int]]:
    found = await folder.references("a.py", 0, 6)
    return [(item.location.path, item.location.line) for item in found.references if not item.is_definition]


async def test_the_first_question_in_a_new_workspace_gets_the_whole_answer(index: Index) -> None:
    folder = Folder(index.root, index)
    folder.scanned.set()
    assert not folder.is_current
    answer = asyncio.create_task(places(folder))
    definitions = asyncio.create_task(folder.ask(index.definitions, "b.py", 2, 0))
    await asyncio.sleep(0.05)
    assert not answer.done() and not definitions.done()
    index.update()
    folder.built()
    assert await answer == [("b.py", 0), ("b.py", 2)]
    assert len(await definitions) == 1
    assert folder.is_current


async def test_a_large_workspace_is_answered_before_it_is_whole(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "FIRST_SECONDS", 0.05)
    index.set_overlay("a.py", "class Greeter: ...\n\n\nGreeter()\n")
    folder = Folder(index.root, index)
    folder.scanned.set()
    assert await places(folder) == [("a.py", 3)]


async def test_a_known_workspace_answers_while_it_is_brought_up_to_date(index: Index) -> None:
    index.update()
    folder = Folder(index.root, index)
    folder.scanned.set()
    assert folder.is_current
    assert await places(folder) == [("b.py", 0), ("b.py", 2)]
