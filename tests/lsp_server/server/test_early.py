"""What is answered before the server is loaded, and that nobody can tell by the answers."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

from dsassist.index import Index, Limits
from dsassist.server.early import Early, Handover, remember
from dsassist.server.wire import Cutter, frame
from dsassist_model import paths

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there the server starts without it")

FILES = {"a.py": "class Greeter: ...\n", "b.py": "from a import Greeter\n\nGreeter()\n"}
CAPABILITIES = {"workspace": {"configuration": False}}
SAID = {"capabilities": {"positionEncoding": "utf-16", "referencesProvider": True}, "serverInfo": {"name": "dsassist"}}


class Session:
    """A client's side of one early session, messages as plain objects."""

    def __init__(self, root: Path, load: Callable[[], object] = lambda: None) -> None:
        self.root = root
        theirs, self._out = os.pipe()
        self._in, ours = os.pipe()
        self.source, self.sink = os.fdopen(theirs, "rb", buffering=0), os.fdopen(ours, "wb")
        self.answers: list[Any] = []
        self.loaded = 0
        self._load = load
        self.early = Early(self.source, self.sink, self._loads)

    def _loads(self) -> None:
        self.loaded += 1
        self._load()

    def send(self, method: str, params: Any = None, number: Any = None) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        os.write(self._out, frame(json.dumps(message if number is None else {"id": number, **message})))

    def reply(self, number: Any, result: Any) -> None:
        os.write(self._out, frame(json.dumps({"jsonrpc": "2.0", "id": number, "result": result})))

    def begin(self, capabilities: Any = None) -> None:
        params = {"capabilities": capabilities or CAPABILITIES, "rootUri": self.root.as_uri()}
        self.send("initialize", params, 1)
        self.send("initialized", {})

    def ask(self, number: int, path: str = "a.py", line: int = 0, character: int = 6) -> None:
        self.send(
            "textDocument/references",
            {
                "textDocument": {"uri": (self.root / path).as_uri()},
                "position": {"line": line, "character": character},
                "context": {"includeDeclaration": True},
            },
            number,
        )

    def open(self, path: str, text: str) -> None:
        document = {"uri": (self.root / path).as_uri(), "languageId": "python", "version": 1, "text": text}
        self.send("textDocument/didOpen", {"textDocument": document})

    def run(self) -> Handover:
        """To the end of the early session; what it wrote is in ``answers``."""
        handover = self.early.run()
        for index in handover.indexes.values():
            index.close()
        self.sink.close()
        with os.fdopen(self._in, "rb") as written:
            Cutter(lambda body: self.answers.append(json.loads(body))).add(written.read())
        os.close(self._out)
        self.source.close()
        return handover

    @property
    def places(self) -> dict[Any, list[tuple[str, int]]]:
        """The references that were given, by the question's number."""
        return {
            answer["id"]: [(Path(item["uri"]).name, item["range"]["start"]["line"]) for item in answer["result"]]
            for answer in self.answers
            if isinstance(answer.get("result"), list)
        }


@pytest.fixture
def root(tmp_path: Path, home: Path) -> Path:
    """An indexed workspace, known to an earlier session."""
    folder = tmp_path / "w"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    indexed(folder)
    remember({"capabilities": CAPABILITIES}, SAID)
    return folder


def indexed(folder: Path) -> None:
    index = Index.open(folder, paths.cache_dir(), Limits(), encoding="utf-16")
    index.update()
    index.close()


def methods(handover: Handover) -> list[str]:
    return [json.loads(body)["method"] for body in handover.messages]


def test_references_come_before_the_server_is_loaded(root: Path) -> None:
    held = threading.Event()
    session = Session(root, lambda: held.wait(10))
    session.begin()
    session.open("a.py", FILES["a.py"])
    session.ask(2)
    session.send("textDocument/hover", {}, 3)
    threading.Timer(0.2, held.set).start()
    handover = session.run()
    assert session.answers[0] == {"jsonrpc": "2.0", "id": 1, "result": SAID}
    assert session.places == {2: [("a.py", 0), ("b.py", 0), ("b.py", 2)]}
    assert session.loaded == 1
    # The server reads everything but the question that was answered, in the same order.
    assert methods(handover) == ["initialize", "initialized", "textDocument/didOpen", "textDocument/hover"]
    assert handover.initialized_as == 1 and not handover.finished


def test_the_rest_is_loaded_when_it_is_quiet_and_questions_are_answered_meanwhile(root: Path) -> None:
    loading = threading.Event()
    session = Session(root, loading.wait)
    session.begin()
    answered: list[float] = []

    def later() -> None:
        while not session.loaded:
            time.sleep(0.01)
        session.ask(2)
        time.sleep(0.2)
        loading.set()
        answered.append(1)

    thread = threading.Thread(target=later)
    thread.start()
    session.run()
    thread.join()
    assert session.places == {2: [("a.py", 0), ("b.py", 0), ("b.py", 2)]}


def test_what_changed_on_the_disk_is_seen(root: Path) -> None:
    (root / "b.py").write_text("import a\n\n\n\na.Greeter\n")
    (root / "c.py").write_text("from a import Greeter\n")
    session = Session(root)
    session.begin()
    session.ask(2)
    session.send("exit")
    handover = session.run()
    assert session.places == {2: [("a.py", 0), ("b.py", 4), ("c.py", 0)]}
    assert handover.finished


def test_the_open_buffer_counts_and_not_the_disk(root: Path) -> None:
    session = Session(root)
    session.begin()
    session.open("b.py", "import a\n\n\na.Greeter()\n")
    session.ask(2)
    session.send("exit")
    session.run()
    assert session.places == {2: [("a.py", 0), ("b.py", 3)]}


def test_what_is_typed_counts_at_once(root: Path) -> None:
    session = Session(root)
    session.begin()
    session.open("b.py", FILES["b.py"])
    uri = (root / "b.py").as_uri()

    def change(number: int, *changes: Any) -> None:
        document = {"uri": uri, "version": number}
        session.send("textDocument/didChange", {"textDocument": document, "contentChanges": changes})
        session.ask(number)

    def at(line: int, character: int) -> dict[str, int]:
        return {"line": line, "character": character}

    session.ask(2)
    change(3, {"range": {"start": at(1, 0), "end": at(1, 0)}, "text": "x = '\U0001f600'; Greeter\n"})
    change(4, {"range": {"start": at(1, 0), "end": at(1, 10)}, "text": ""}, {"text": "from a import Greeter\n"})
    change(5, {"range": {"start": at(9, 9), "end": at(9, 9)}, "text": "\nGreeter"})
    session.send("exit")
    handover = session.run()
    assert session.places == {
        2: [("a.py", 0), ("b.py", 0), ("b.py", 2)],
        3: [("a.py", 0), ("b.py", 0), ("b.py", 1), ("b.py", 3)],
        4: [("a.py", 0), ("b.py", 0)],
        5: [("a.py", 0), ("b.py", 0), ("b.py", 2)],
    }
    assert methods(handover)[2:] == ["textDocument/didOpen", *["textDocument/didChange"] * 3, "exit"]


@pytest.mark.parametrize("changes", [[{"range": {"start": 3}, "text": ""}], [{}], 4, [{"text": None}]])
def test_a_change_that_makes_no_sense_is_left_to_the_server(root: Path, changes: Any) -> None:
    session = Session(root)
    session.begin()
    session.open("a.py", FILES["a.py"])
    session.send(
        "textDocument/didChange", {"textDocument": {"uri": (root / "a.py").as_uri()}, "contentChanges": changes}
    )
    session.ask(2)
    handover = session.run()
    assert session.places == {}
    assert methods(handover)[-2:] == ["textDocument/didChange", "textDocument/references"]


def test_many_changes_are_left_to_the_server(root: Path) -> None:
    for number in range(30):
        (root / f"more{number}.py").write_text("from a import Greeter\n")
    session = Session(root)
    session.begin()
    session.ask(2)
    handover = session.run()
    assert session.places == {}
    assert methods(handover) == ["initialize", "initialized", "textDocument/references"]


def test_a_client_that_has_not_been_seen_is_left_to_the_server(root: Path) -> None:
    session = Session(root)
    session.begin({"workspace": {}})
    handover = session.run()
    assert session.answers == []
    assert handover.initialized_as is None
    assert methods(handover) == ["initialize", "initialized"]


@pytest.mark.parametrize("settings", [{"navigation": {"references": False}}, {"index": {"enabled": False}}])
def test_the_client_is_asked_for_its_settings_first(root: Path, settings: Any) -> None:
    capabilities = {"workspace": {"configuration": True}}
    remember({"capabilities": capabilities}, SAID)
    for said, answered in ((None, True), (settings, False)):
        session = Session(root)
        session.begin(capabilities)
        session.ask(2)
        session.reply("early", [said])
        session.send("exit")
        session.run()
        assert [answer["method"] for answer in session.answers if "method" in answer] == ["workspace/configuration"]
        assert bool(session.places) == answered


def test_a_client_that_does_not_say_its_settings_is_left_to_the_server(root: Path) -> None:
    capabilities = {"workspace": {"configuration": True}}
    remember({"capabilities": capabilities}, SAID)
    session = Session(root)
    session.begin(capabilities)
    session.ask(2)
    handover = session.run()
    assert session.places == {}
    assert methods(handover) == ["initialize", "initialized", "textDocument/references"]


@pytest.mark.parametrize("text", ["", "{", '{"capabilities": 3}', "[]"])
def test_a_damaged_memory_is_no_matter(root: Path, text: str) -> None:
    (kept,) = (paths.cache_dir() / "handshakes").glob("*.json")
    kept.write_text(text)
    session = Session(root)
    session.begin()
    handover = session.run()
    assert session.answers == []
    assert methods(handover) == ["initialize", "initialized"]


def test_messages_in_pieces_and_nonsense_are_handed_over_whole(root: Path) -> None:
    session = Session(root)
    session.begin()
    os.write(session._out, b"Content-Length: 3\r\n\r\n{{{Content-Length: 20\r\n\r\n{half")
    handover = session.run()
    assert handover.messages[-1] == b"{{{"
    assert handover.rest == b"Content-Length: 20\r\n\r\n{half"


async def test_a_second_session_cannot_be_told_from_the_first(tmp_path: Path, home: Path) -> None:
    from tests.lsp_server.server.conftest import Editor

    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    uri = (tmp_path / "a.py").as_uri()
    place: dict[str, Any] = {
        "text_document": types.TextDocumentIdentifier(uri),
        "position": types.Position(0, 6),
    }
    seen = []
    for _ in range(2):
        editor = await Editor().start(
            {"completion": {"enabled": False}}, root=tmp_path.as_uri(), configuration={"navigation": {"hover": True}}
        )
        editor.open(FILES["a.py"], uri)
        context = types.ReferenceContext(include_declaration=False)
        found = await editor.client.text_document_references_async(types.ReferenceParams(context, **place))
        hover = await editor.client.text_document_hover_async(types.HoverParams(**place))
        lines = [(Path(item.uri).name, item.range.start.line) for item in found or ()]
        seen.append((editor.result, lines, hover))
        await editor.stop()
    assert seen[0] == seen[1]
    assert seen[0][1] == [("b.py", 0), ("b.py", 2)]
    assert len(list((paths.cache_dir() / "handshakes").glob("*.json"))) == 1
