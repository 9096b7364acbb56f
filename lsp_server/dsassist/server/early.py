"""Answers "where is this used" from the stored index while the rest of the server is still being loaded.

LSP's types alone take longer to import than such an answer takes to find. So the first messages of a session are read
here, with nothing but the index: ``initialize`` is answered with what the server said the last time to a client that
can do the same, documents are opened, the disk is compared with the index, and references are given. The rest loads in
a thread meanwhile. Whatever else comes, and everything that was read here, is handed over: the server sees the same
messages in the same order, only that answers which were given are not given again.

Nothing is answered that the server would not answer alike: the index has to be there, made by the same rules under the
same settings (the client is asked for them), and as new as the disk.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from dsassist.errors import DsassistError
from dsassist.index.hashing import blake2b
from dsassist.server.texts import Encoding, Lines, join_surrogates
from dsassist.server.wire import Addresses, Cutter, Question, frame, is_own_pipe, path_of, references_text, reply
from dsassist_model import paths

__all__ = ["Early", "Handover", "remember"]

TURN_SECONDS = 0.03
"""How long a look at the pipe lasts."""
QUIET_TURNS = 16
"""Of no message, before the rest is loaded unasked. A message that needs it begins that at once."""
SWITCH_SECONDS = 0.0005
"""How long the thread that loads may hold the interpreter while questions come."""
MOST_CHANGED = 24
"""Files that may have changed since the last session. More than these are indexed with progress, by the server."""
MOST_SILENT = 30
"""Turns that a client may take to say its settings."""
_KEPT = 16
"""Handshakes that are remembered."""


class Handover:
    """What the server goes on from."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        """To be read first."""
        self.rest = b""
        """Bytes of a message that has not come in full."""
        self.initialized_as: Any = None
        """The id of the ``initialize`` among the messages that was answered."""
        self.indexes: dict[Path, Any] = {}
        """Open indexes, by root; as new as the disk was a moment ago."""
        self.limits: Any = None
        """With which they were opened."""
        self.finished = False
        """The client has said goodbye already."""


def _file_for(params: Mapping[str, Any]) -> Path:
    """Where the answer to an ``initialize`` like this one is kept: it depends on the server's code and on what the
    client can do."""
    mark = blake2b(digest_size=12)
    here = Path(__file__).parent
    for file in sorted([*here.glob("*.py"), *here.glob("features/*.py"), here.parent / "__init__.py"]):
        status = file.stat()
        mark.update(f"{file.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    asked = {key: params.get(key) for key in ("capabilities", "initializationOptions", "trace")}
    mark.update(json.dumps(asked, sort_keys=True).encode())
    return paths.cache_dir() / "handshakes" / f"{mark.hexdigest()}.json"


def remember(params: Mapping[str, Any], result: Any) -> None:
    """Keep the server's answer to an ``initialize`` for the next session. A disk that cannot take it is no matter."""
    try:
        file = _file_for(params)
        text = json.dumps(result)
        if file.exists() and file.read_text("utf-8") == text:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(f".{os.getpid()}")
        fresh.write_text(text, "utf-8")
        fresh.replace(file)
        others = sorted(file.parent.glob("*.json"), key=lambda item: item.stat().st_mtime_ns)
        for old in others[:-_KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        return


def changed(text: str, changes: Sequence[Mapping[str, Any]], encoding: Encoding) -> str:
    """A document's text after ``contentChanges``.

    Raises:
        KeyError, TypeError: they are not as LSP has them.
    """
    for change in changes:
        where, text_now = change.get("range"), change["text"]
        if not isinstance(text_now, str):
            raise TypeError
        if where is not None:
            lines = Lines(text, encoding)
            ends = [lines.at(int(at["line"]), int(at["character"])) for at in (where["start"], where["end"])]
            text_now = text[: min(ends)] + text_now + text[max(ends) :]
        text = join_surrogates(text_now)
    return text


def _is_request(body: bytes) -> bool:
    try:
        data = json.loads(body)
    except ValueError:
        return False
    return isinstance(data, dict) and "id" in data and "method" in data and data["method"] != "shutdown"


class _Look(threading.Thread):
    """A look at a folder, begun before the settings are known. It counts where they leave out what is left out by
    default."""

    def __init__(self, root: Path) -> None:
        super().__init__(name="look", daemon=True)
        self._root = root
        self._found: Any = None
        self.start()

    def run(self) -> None:
        from dsassist.index.scan import scan

        self._found = scan(self._root)

    def found(self) -> Any:
        """What there is, once it is known."""
        self.join()
        return self._found


class _Shown(NamedTuple):
    """A document and its text."""

    uri: str
    text: str


class _Asked(NamedTuple):
    """A question, its request's id and the message as it came."""

    number: Any
    question: Question
    body: bytes


class Early:
    """One session's beginning. ``load`` imports and makes the rest; it is called once, in a thread."""

    def __init__(self, source: BinaryIO, sink: BinaryIO, load: Callable[[], object]) -> None:
        self.source = source
        self.sink = sink
        self.handover = Handover()
        self._cutter = Cutter(self._take)
        self._left = False
        """Some message waits for the server."""
        self._loader = threading.Thread(target=load, name="load", daemon=True)
        self._loading = False
        self._going = True
        self._encoding: Encoding = "utf-16"
        self._roots: list[Path] = []
        self._addresses: dict[Path, Addresses] = {}
        self._looks: dict[Path, _Look] = {}
        self._places: dict[str, tuple[Path, str] | None] = {}
        self._options: Any = None
        self._asks = False
        self._configuration: tuple[Any] | None = None
        """What the client said its settings are, once it has."""
        self._texts: dict[str, str] = {}
        """Open documents."""
        self._todo: list[_Shown | _Asked] = []
        """What the indexes have not been told or asked yet. An answer is about the texts as they were at its question.
        """
        self._initialized = False

    def run(self) -> Handover:
        """Serve until the rest is loaded or needed, or the client is gone."""
        if not is_own_pipe(self.source, self.sink):
            return self.handover
        number = self.source.fileno()
        quiet, interval = 0, sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        while self._going and not (self._loading and not self._loader.is_alive()):
            ready, _, _ = select.select([number], [], [], TURN_SECONDS)
            quiet = 0 if ready else quiet + 1
            if ready:
                data = os.read(number, 1 << 16)
                if not data:
                    break
                self._cutter.add(data)
            if self._initialized and (self._configuration is not None or not self._asks):
                if self._todo or self._going:
                    self._going = self._work() and self._going
                if quiet >= QUIET_TURNS:
                    self._load()
            elif self._initialized:
                self._going = quiet < MOST_SILENT
        if not self.handover.finished:
            self._load()
            self._loader.join()
        sys.setswitchinterval(interval)
        self.handover.rest = self._cutter.rest()
        return self.handover

    def _load(self) -> None:
        if not self._loading:
            self._loading = True
            self._loader.start()

    # Messages

    def _take(self, body: bytes) -> None:
        """A message. Requests for others can wait while references are given; a notification that only the server
        understands may change what is true, so that everything after it is the server's."""
        if not self._going or not self._message(body):
            self._going = self._going and self.handover.initialized_as is not None and _is_request(body)
            self._left = True
            self.handover.messages.append(body)
            if self._going:
                self._load()

    def _message(self, body: bytes) -> bool:
        """Handle one here, if it can be."""
        try:
            data = json.loads(body)
        except ValueError:
            return False
        if not isinstance(data, dict):
            return False
        method, params, number = data.get("method"), data.get("params"), data.get("id")
        if method == "initialize" and number is not None and isinstance(params, dict):
            return self._initialize(number, params, body)
        if self.handover.initialized_as is None:
            return False
        if method == "initialized":
            self._initialized = True
            if self._asks:
                question = {"items": [{"section": "dsassist"}]}
                self._send({"id": "early", "method": "workspace/configuration", "params": question})
        elif method is None and number == "early":
            result = data.get("result")
            first = result[0] if isinstance(result, list) and result else None
            self._configuration = (first,)
            return True  # the server asks again
        elif method == "textDocument/didOpen":
            try:
                document = data["params"]["textDocument"]
                self._shown(document["uri"], document["text"])
            except (KeyError, TypeError):
                return False
        elif method == "textDocument/didChange":
            try:
                document, changes = data["params"]["textDocument"]["uri"], data["params"]["contentChanges"]
                self._shown(document, changed(self._texts[document], changes, self._encoding))
            except (KeyError, TypeError):
                return False
        elif method == "textDocument/references":
            question_asked = Question.of(params)
            if question_asked is None or number is None:
                return False
            self._todo.append(_Asked(number, question_asked, body))
        elif method == "shutdown" and not self._left and not any(isinstance(item, _Asked) for item in self._todo):
            self._send({"id": number, "result": None})
            return True
        elif method == "exit" and not self._left:
            self.handover.finished, self._going = True, False
        elif method != "$/setTrace":
            return False
        self.handover.messages.append(body)
        return True

    def _shown(self, uri: str, text: str) -> None:
        """A document's text, from now on."""
        if not isinstance(uri, str) or not isinstance(text, str):
            raise TypeError
        self._texts[uri] = text = join_surrogates(text)
        last = self._todo[-1] if self._todo else None
        if isinstance(last, _Shown) and last.uri == uri:
            self._todo.pop()
        self._todo.append(_Shown(uri, text))

    def _send(self, message: dict[str, Any]) -> None:
        self.sink.write(frame(json.dumps({"jsonrpc": "2.0", **message})))
        self.sink.flush()

    def _initialize(self, number: Any, params: dict[str, Any], body: bytes) -> bool:
        try:
            result = json.loads(_file_for(params).read_text("utf-8"))
            self._encoding = result["capabilities"].get("positionEncoding") or "utf-16"
            folders = params.get("workspaceFolders") or []
            uris = [folder["uri"] for folder in folders] or [params.get("rootUri")]
            roots = [path_of(uri) for uri in uris if uri]
            self._asks = bool((params["capabilities"].get("workspace") or {}).get("configuration"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False
        self._roots = [root for root in roots if root is not None]
        self._addresses = {root: Addresses(root) for root in self._roots}
        self._options = params.get("initializationOptions")
        if not self._roots or len(self._roots) != len(roots):
            return False
        self._send({"id": number, "result": result})
        self.handover.initialized_as = number
        self.handover.messages.append(body)
        # While the client makes up its next message:
        self._looks = {root: _Look(root) for root in self._roots}
        import dsassist.index.first  # noqa: F401

        return True

    # Answers

    def _work(self) -> bool:
        """Do what is waiting. False where the server has to."""
        try:
            if not self.handover.indexes and not self._open():
                return False
            while self._todo:
                item = self._todo[0]
                if isinstance(item, _Shown):
                    place = self._place(item.uri)
                    if place is not None:
                        self.handover.indexes[place[0]].set_overlay(place[1], item.text)
                else:
                    answer = self._answer(item.question)
                    if answer is None:
                        return False
                    self.sink.write(reply(item.number, answer))
                    self.sink.flush()
                    self.handover.messages.remove(item.body)
                del self._todo[0]
        except DsassistError:
            return False
        return True

    def _open(self) -> bool:
        """Open the indexes and compare them with the disk."""
        from dsassist.index import Limits
        from dsassist.index.first import First

        limits = self.handover.limits = self._limits()
        if limits is None:
            return False
        usual = limits == Limits()
        for root in self._roots:
            made = self.handover.indexes[root] = First(root, paths.cache_dir(), limits, self._encoding)
            if not made.catch_up(MOST_CHANGED, self._looks[root].found() if usual else None):
                return False
        return True

    def _limits(self) -> Any:
        """What the settings say of the index; None where it must not answer. Settings are read where there are any."""
        from dsassist.index import Limits

        file = paths.config_dir() / "config.toml"
        said = [source for source in (self._options, *(self._configuration or ())) if source]
        if not said and not file.exists():
            return Limits()
        from dsassist.settings import load, read_file

        settings, problems = load(read_file(file), *(source for source in said if isinstance(source, Mapping)))
        index = settings.index
        if problems or not index.enabled or not settings.navigation.references:
            return None
        return Limits(index.exclude, index.max_files, index.max_file_kilobytes * 1024)

    def _place(self, uri: str) -> tuple[Path, str] | None:
        """The innermost root of a document, and its path there."""
        if uri not in self._places:
            self._places[uri] = self._find_place(uri)
        return self._places[uri]

    def _find_place(self, uri: str) -> tuple[Path, str] | None:
        from dsassist.index.languages import is_source

        file = path_of(uri)
        if file is None or not is_source(file.name):
            return None
        inside = [root for root in self._roots if file.is_relative_to(root)]
        if not inside:
            return None
        root = max(inside, key=lambda item: len(item.parts))
        return root, file.relative_to(root).as_posix()

    def _answer(self, question: Question) -> str | None:
        place = self._place(question.uri)
        if place is None:
            return None
        root, path = place
        found = self.handover.indexes[root].references(
            path, question.line, question.character, include_possible=False, described=False
        )
        if found.pending:
            return None
        return references_text(found.references, question.declared, self._addresses[root])
