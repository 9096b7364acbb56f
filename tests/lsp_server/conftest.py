"""A mock engine with queued answers, as a real HTTP server in the test's own event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Answer:
    """What the engine says to one request: pieces of text, one event each."""

    pieces: list[str]
    finish: str = "stop"
    pause: float = 0.0
    """Seconds before each piece."""
    die_after: int | None = None
    """Break the connection after so many pieces."""
    status: int = 200
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    logprob: float = -0.1
    greedy: bool | None = None
    """Whether this answers only the greedy request of several at once, or only the others; they come in any order."""


class MockEngine:
    """Speaks the contract of ARCHITECTURE.md. ``requests`` are payloads; ``dropped`` counts clients that went away."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.default: Answer | Callable[[dict[str, Any]], Answer] = Answer([""])
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.tokens: list[str] = []
        self.dropped = 0
        self.pieces_sent = 0
        self.health: dict[str, Any] = {"status": "ready", "model": "mock", "version": "0", "pid": 0}
        self.url = ""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def answer(self, *pieces: str, **options: Any) -> None:
        """Queue the next answer to a request for text."""
        self.answers.append(Answer(list(pieces), **options))

    @property
    def completions(self) -> list[dict[str, Any]]:
        """Requests for text, without warm-ups."""
        return [request for request in self.requests if request.get("max_tokens", request.get("n_predict", 1))]

    async def listen(self, socket: Path | None = None) -> MockEngine:
        if socket is not None:
            socket.parent.mkdir(parents=True, exist_ok=True)
            socket.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, path=str(socket))
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while line := await reader.readline():
                method, path, _ = line.decode().split(" ", 2)
                headers = {}
                while (header := (await reader.readline()).decode().strip()) != "":
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.paths.append(f"{method} {path}")
                self.tokens.append(headers.get("authorization", ""))
                if method == "GET":
                    self._get(path, writer)
                else:
                    await self._post(path, json.loads(body), reader, writer)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    def _get(self, path: str, writer: asyncio.StreamWriter) -> None:
        body = {"data": [{"id": "mock"}]} if path.endswith("models") else self.health
        _plain(writer, 200, body, {})

    async def _post(
        self, path: str, payload: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.requests.append(payload)
        if payload.get("max_tokens", payload.get("n_predict", 1)) == 0:
            answer = Answer([""], finish="length")
        elif fitting := next((a for a in self.answers if a.greedy in (None, not payload.get("temperature"))), None):
            self.answers.remove(fitting)
            answer = fitting
        else:
            answer = self.default(payload) if callable(self.default) else self.default
        if answer.status != 200:
            _plain(writer, answer.status, answer.body or {}, answer.headers)
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        gone = asyncio.create_task(reader.read(1))
        try:
            for number, piece in enumerate(answer.pieces):
                if answer.die_after == number:
                    writer.transport.abort()
                    raise ConnectionResetError
                done, _ = await asyncio.wait({gone}, timeout=answer.pause)
                if done:
                    self.dropped += 1
                    raise ConnectionResetError
                last = number == len(answer.pieces) - 1
                self.pieces_sent += 1
                _event(writer, _chunk(path, piece, answer.finish if last else None, answer.logprob))
                await writer.drain()
            if not path.endswith("infill"):
                _write_chunk(writer, b"data: [DONE]\n\n")
            writer.write(b"0\r\n\r\n")
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)


def _chunk(path: str, text: str, finish: str | None, logprob: float) -> dict[str, Any]:
    if path.endswith("infill"):
        stop = {"stop": True, "stop_type": "limit" if finish == "length" else "eos", "tokens_predicted": 3}
        return {"content": text, **(stop if finish else {"stop": False})}
    choice = {"index": 0, "text": text, "finish_reason": finish, "logprobs": {"token_logprobs": [logprob]}}
    extra = {"usage": {"completion_tokens": 1}, "dsassist": {"prompt_tokens_cached": 0}} if finish else {}
    return {"object": "text_completion", "choices": [choice], **extra}


def _event(writer: asyncio.StreamWriter, value: dict[str, Any]) -> None:
    _write_chunk(writer, f"data: {json.dumps(value)}\n\n".encode())


def _write_chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def _plain(writer: asyncio.StreamWriter, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
    data = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Mock", "Content-Type: application/json", f"Content-Length: {len(data)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)


@pytest.fixture
async def engine() -> AsyncIterator[MockEngine]:
    """A mock engine on a loopback port."""
    mock = await MockEngine().listen()
    yield mock
    await mock.close()


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All user state in a folder of the test's own, with a path short enough for a socket."""
    path = tmp_path_factory.mktemp("h")
    monkeypatch.setenv("DSASSIST_HOME", str(path))
    return path


@pytest.fixture
def new_engine() -> type[MockEngine]:
    """The class, for tests that place the engine themselves."""
    return MockEngine
