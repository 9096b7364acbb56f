"""Starting the engine of this machine: detached, at most one a user, model and device, whoever asks first.

The engine itself holds ``engine-KEY.lock`` while it lives, so a second one leaves at once. On top of that the clients
agree, through ``engine-KEY.start``, on who starts it, so that opening three editors does not load the model three
times.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from filelock import FileLock, Timeout

from dsassist.backend.types import BackendStatus
from dsassist.errors import BackendError, BackendUnavailable, NoModel
from dsassist.settings import EngineSettings
from dsassist_model.paths import EngineFiles

__all__ = ["command", "start"]

POLL_SECONDS = 0.05
PATIENCE_SECONDS = 600.0
"""A first start converts the model, which takes a minute on a slow disk. A dead engine is noticed at once."""

_CHILDREN: list[subprocess.Popen[bytes]] = []
"""Engines that this process started. They outlive it; while it lives, it is the one who must collect the dead."""

_ERROR_LINE = re.compile(r"^error: (?P<message>.*)$", re.MULTILINE)
_REMEDY_LINE = re.compile(r"^\s*→ (?P<remedy>.*)$", re.MULTILINE)


def command(engine: EngineSettings) -> list[str]:
    """How the engine is started. ``-I``: a workspace's own ``random.py`` must not shadow Python's."""
    return [
        *(sys.executable, "-I", "-m", "dsassist", "serve"),
        *("--model", engine.model),
        *("--device", engine.device),
        *("--idle-minutes", f"{engine.idle_minutes:g}"),
        *("--cache-megabytes", str(max(1, engine.cache_megabytes))),
        *("--cache-type", engine.cache_type),
        *(("--threads", str(engine.threads)) if engine.threads else ()),
    ]


async def start(
    engine: EngineSettings,
    files: EngineFiles,
    status: Callable[[], Awaitable[BackendStatus]],
    arguments: list[str] | None = None,
) -> None:
    """Return once an engine answers that it is ready, starting one if nobody has.

    Raises:
        NoModel: the engine says that the model is not on this machine.
        BackendUnavailable: the engine ended before it was ready; the message is what it said last.
        BackendError: it stays up and says that it cannot serve.
    """
    files.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    turn = FileLock(files.lock.with_suffix(".start"), timeout=0)
    process: subprocess.Popen[bytes] | None = None
    waited = 0.0
    try:
        while True:
            now = await status()
            if now.state == "ready":
                return
            if now.state == "error":
                raise BackendError(now.message, remedy=now.remedy)
            if now.state != "loading" and process is None:
                try:
                    turn.acquire()
                    process = _spawn(arguments or command(engine), files.log)
                except Timeout:
                    pass  # another client is starting it: wait with it
            if process is not None and process.poll() is not None and now.state != "loading":
                raise _last_words(files.log, process.returncode)
            if waited > PATIENCE_SECONDS:
                raise BackendUnavailable("The engine did not become ready.", remedy=f"Its log is {files.log}.")
            await asyncio.sleep(POLL_SECONDS)
            waited += POLL_SECONDS
    finally:
        turn.release()


def _spawn(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    # Opened anew each time, so the log holds one life of the engine and cannot grow for ever.
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _CHILDREN[:] = [child for child in _CHILDREN if child.poll() is None]
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd=log.parent,
            start_new_session=True,
            # on Windows; elsewhere the engine lowers its priority by itself
            creationflags=getattr(subprocess, "DETACHED_PROCESS", 0)
            | getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
        )
        _CHILDREN.append(process)
        return process
    except OSError as error:
        raise BackendUnavailable(f"The engine cannot be started: {error.strerror} ({arguments[0]}).") from error
    finally:
        os.close(descriptor)


def _last_words(log: Path, code: int) -> BackendError:
    """What an engine that ended said: the error line and remedy it printed, in the shape every command of ours
    prints."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    message, remedy = _ERROR_LINE.search(text), _REMEDY_LINE.search(text)
    if message is None:
        return BackendUnavailable(f"The engine ended while starting (exit code {code}).", remedy=f"Its log is {log}.")
    kind = NoModel if remedy and "model pull" in remedy["remedy"] else BackendUnavailable
    return kind(message["message"], remedy=remedy["remedy"] if remedy else f"Its log is {log}.")
