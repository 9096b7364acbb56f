"""The server process: one a user, model and device. It holds a lock while it lives and leaves when nobody asks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout

from dsassist_model import store
from dsassist_model.errors import ModelError
from dsassist_model.paths import EngineFiles, engine_files
from dsassist_model.serve.app import create_app
from dsassist_model.serve.priority import give_way
from dsassist_model.serve.state import EngineOptions, EngineState

__all__ = ["ServeOptions", "run"]


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where the server listens and when it leaves."""

    engine: EngineOptions
    tcp: bool = False
    port: int = 0
    """With ``tcp``; 0 takes a free one."""
    idle_minutes: float = 15.0
    """0 stays for ever."""


def run(options: ServeOptions, announce: Callable[[str], None]) -> None:
    """Serve until idle or told to stop. ``announce`` gets the address once the server listens.

    Raises:
        ModelError: the model is not here, or an engine for it runs already.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    place = store.resolve(options.engine.model)
    store.require_source(place)
    files = engine_files(options.engine.model, options.engine.device)
    _own_folder(files.lock.parent)
    lock = FileLock(files.lock, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise ModelError(
            f"An engine for {options.engine.model} runs already.", remedy=f"Its socket is {files.socket}."
        ) from error
    try:
        give_way()
        with _listening(options, files) as (listener, hosts, token, address):
            state = EngineState(options.engine)
            app = create_app(state, hosts=hosts, token=token)
            config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=5)
            server = _Server(config)
            announce(address)
            state.start()
            asyncio.run(_serve(server, listener, state, options.idle_minutes))
            if state.engine is not None:
                state.engine.stop()
    finally:
        lock.release()


class _Server(uvicorn.Server):
    """Leaves by returning. Uvicorn's own raises the signal again at the end, which would skip our tidying up."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ask to leave on the usual signals while serving."""
        kinds = (signal.SIGINT, signal.SIGTERM)
        before = {kind: signal.signal(kind, lambda *_: setattr(self, "should_exit", True)) for kind in kinds}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)


async def _serve(server: uvicorn.Server, listener: socket.socket, state: EngineState, idle_minutes: float) -> None:
    async def leave_when_idle() -> None:
        while not server.should_exit:
            await asyncio.sleep(min(1.0, max(0.05, idle_minutes * 6)))
            if idle_minutes > 0 and state.idle_seconds > idle_minutes * 60:
                server.should_exit = True

    async def watch_memory() -> None:
        while not server.should_exit:
            await asyncio.sleep(2.0)
            state.look_at_memory()

    watchers = [asyncio.create_task(leave_when_idle()), asyncio.create_task(watch_memory())]
    try:
        await server.serve(sockets=[listener])
    finally:
        for watcher in watchers:
            watcher.cancel()


@contextlib.contextmanager
def _listening(options: ServeOptions, files: EngineFiles) -> Iterator[tuple[socket.socket, frozenset[str], str, str]]:
    """The listening socket, allowed hosts, token and printable address; files are taken away at the end."""
    if options.tcp or not hasattr(socket, "AF_UNIX"):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", options.port))
        except OSError as error:
            listener.close()
            raise ModelError(
                f"Port {options.port} cannot be used: {error.strerror}.", remedy="Choose another."
            ) from error
        listener.listen(128)
        port, token = listener.getsockname()[1], secrets.token_urlsafe(32)
        url = f"http://127.0.0.1:{port}"
        _write_private(files.address, json.dumps({"url": url, "token": token}))
        hosts, path, address = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"}), files.address, url
    else:
        files.address.unlink(missing_ok=True)
        files.socket.unlink(missing_ok=True)  # of an engine that was killed: the lock is ours
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listener.bind(str(files.socket))
        except OSError as error:
            listener.close()
            raise ModelError(
                f"{files.socket} cannot be made: {error.strerror or error}.",
                remedy="A socket's path holds about 100 bytes: set DSASSIST_HOME to a shorter folder.",
            ) from error
        finally:
            os.umask(before)
        listener.listen(128)
        hosts, token, path, address = frozenset({"localhost"}), "", files.socket, str(files.socket)
    try:
        yield listener, hosts, token, address
    finally:
        listener.close()
        path.unlink(missing_ok=True)


def _own_folder(folder: Path) -> None:
    """Make the runtime folder, and refuse one that others can write into.

    Raises:
        ModelError: it belongs to somebody else.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not hasattr(os, "getuid"):
        return
    found = folder.stat()
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise ModelError(
            f"{folder} can be written by others.", remedy="Make it yours with mode 700, or set DSASSIST_HOME."
        )


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
