"""A plain client for language servers: requests in order, notifications drained, nothing hidden."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

__all__ = ["Client", "Place", "uri"]

Place = tuple[str, int, int]
"""A file relative to the root, a line and a UTF-16 column, from 0."""


def uri(path: Path) -> str:
    """A file as LSP names it."""
    return path.as_uri()


class Client:
    """One server process on one workspace. ``settings`` answers ``workspace/configuration`` by section."""

    def __init__(
        self,
        command: Sequence[str],
        root: Path,
        *,
        settings: dict[str, Any] | None = None,
        options: Any = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.root = root
        self.settings = settings or {}
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=root,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
        self.answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.notifications: list[tuple[str, Any]] = []
        self.busy: set[str] = set()
        self.was_busy = False
        self.number = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()
        self.capabilities = self.request(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": uri(root),
                "rootPath": str(root),
                "workspaceFolders": [{"uri": uri(root), "name": root.name}],
                "initializationOptions": options,
                "capabilities": {
                    "general": {"positionEncodings": ["utf-16"]},
                    "workspace": {"configuration": True, "workspaceFolders": True, "symbol": {}},
                    "window": {"workDoneProgress": True},
                    "textDocument": {
                        "references": {},
                        "definition": {},
                        "rename": {"prepareSupport": True},
                        "publishDiagnostics": {},
                        "synchronization": {"didSave": True},
                    },
                },
            },
            timeout=120,
        )
        self.notify("initialized", {})

    def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        while True:
            length = 0
            while line := stream.readline():
                if line in (b"\r\n", b"\n"):
                    break
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            else:
                self.answers.put({"id": None, "error": "server ended"})
                return
            message = json.loads(stream.read(length))
            if "method" in message and "id" in message:
                self._serve(message)
            elif "method" in message:
                self._progress(message)
            else:
                self.answers.put(message)

    def _progress(self, message: dict[str, Any]) -> None:
        if message["method"] == "$/progress":
            token, value = str(message["params"]["token"]), message["params"]["value"]
            if value.get("kind") == "begin":
                self.busy.add(token)
                self.was_busy = True
            elif value.get("kind") == "end":
                self.busy.discard(token)
        else:
            self.notifications.append((message["method"], message.get("params")))

    def _serve(self, message: dict[str, Any]) -> None:
        result: Any = None
        if message["method"] == "workspace/configuration":
            result = [self._section(item.get("section", "")) for item in message["params"]["items"]]
        self._send({"jsonrpc": "2.0", "id": message["id"], "result": result})

    def _section(self, section: str) -> Any:
        value: Any = self.settings
        for part in section.split(".") if section else ():
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode()
        assert self.process.stdin is not None
        with self._lock:
            self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
            self.process.stdin.flush()

    def notify(self, method: str, params: Any) -> None:
        """Send a notification."""
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def request(self, method: str, params: Any, timeout: float = 120.0) -> Any:
        """Send a request and wait for its answer.

        Raises:
            RuntimeError: the server answered with an error or ended.
            queue.Empty: no answer in time.
        """
        self.number += 1
        number = self.number
        self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        end = time.perf_counter() + timeout
        while True:
            answer = self.answers.get(timeout=max(0.01, end - time.perf_counter()))
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer.get("result")
            if answer.get("id") is None:
                raise RuntimeError(f"{method}: {answer.get('error')}")

    def open(self, path: str, language: str = "python") -> None:
        """Open a file as it is on the disk."""
        text = (self.root / path).read_bytes().decode("utf-8", "replace")
        self.notify(
            "textDocument/didOpen",
            {"textDocument": {"uri": uri(self.root / path), "languageId": language, "version": 1, "text": text}},
        )

    def close_file(self, path: str) -> None:
        """Close it."""
        self.notify("textDocument/didClose", {"textDocument": {"uri": uri(self.root / path)}})

    def place(self, item: dict[str, Any]) -> Place | None:
        """An LSP location as a place, None outside the root."""
        path = Path(unquote(urlparse(item["uri"]).path))
        try:
            relative = path.relative_to(self.root).as_posix()
        except ValueError:
            return None
        start = item["range"]["start"]
        return relative, start["line"], start["character"]

    def references(self, place: Place, timeout: float = 120.0) -> set[Place]:
        """References with the declaration."""
        path, line, character = place
        result = self.request(
            "textDocument/references",
            {
                "textDocument": {"uri": uri(self.root / path)},
                "position": {"line": line, "character": character},
                "context": {"includeDeclaration": True},
            },
            timeout,
        )
        return {found for item in result or () if (found := self.place(item)) is not None}

    def wait_idle(self, seconds: float = 60.0, quiet: float = 0.5) -> None:
        """Wait until no progress is shown for ``quiet`` seconds."""
        end, since = time.perf_counter() + seconds, time.perf_counter()
        while time.perf_counter() < end:
            if self.busy:
                since = time.perf_counter()
            elif time.perf_counter() - since > quiet:
                return
            time.sleep(0.02)

    def memory_peak(self) -> int:
        """Peak resident bytes of the process, 0 where the system does not tell."""
        try:
            text = Path(f"/proc/{self.process.pid}/status").read_text()
            return int(text.split("VmHWM:")[1].split()[0]) * 1024
        except (OSError, IndexError, ValueError):
            return 0

    def stop(self) -> None:
        """Shut the server down."""
        try:
            self.request("shutdown", None, 5)
            self.notify("exit", None)
        except (RuntimeError, queue.Empty, OSError):
            pass
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
