"""Messages over stdin and stdout, taken straight off the pipe by the event loop.

pygls reads each line of a head in a thread: four hand-overs a message, which cost more than most of
our answers. Where stdin is no pipe (a terminal, a file, Windows) one thread reads it, with one hand-over a message.
"""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import threading
from collections.abc import Callable
from typing import BinaryIO

__all__ = ["Frames", "listen"]


class Frames(asyncio.Protocol):
    """Cuts what comes in into messages. ``receive`` gets each one's body; ``ended`` is set when no more will come."""

    def __init__(self, receive: Callable[[bytes], None]) -> None:
        self._receive = receive
        self._buffer = bytearray()
        self._length = -1
        """Of the body that is awaited, -1 while the head is read."""
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """More bytes: hand on every message that is whole."""
        buffer = self._buffer
        buffer += data
        while True:
            if self._length < 0:
                end = buffer.find(b"\r\n\r\n")
                if end < 0:
                    return
                self._length = _length(bytes(buffer[:end]))
                del buffer[: end + 4]
                if self._length < 0:
                    continue  # a head without a length: look for the next one
            if len(buffer) < self._length:
                return
            body = bytes(buffer[: self._length])
            del buffer[: self._length]
            self._length = -1
            self._receive(body)

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone."""
        self.ended.set()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return -1


async def listen(stdin: BinaryIO, stdout: BinaryIO, receive: Callable[[bytes], None]) -> None:
    """Hand every message to ``receive`` on the running loop, until stdin ends."""
    frames = Frames(receive)
    if _is_own_pipe(stdin, stdout):
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: frames, stdin)
        try:
            await frames.ended.wait()
        finally:
            transport.close()
        return
    threading.Thread(target=_read, args=(stdin, frames, asyncio.get_running_loop()), daemon=True).start()
    await frames.ended.wait()


def _is_own_pipe(stdin: BinaryIO, stdout: BinaryIO) -> bool:
    """A pipe or socket that stdout does not share: reading without blocking would make writing so, too."""
    if sys.platform == "win32":
        return False
    try:
        ours, theirs = os.fstat(stdin.fileno()), os.fstat(stdout.fileno())
    except (OSError, ValueError):
        return False
    kind = stat.S_IFMT(ours.st_mode)
    return kind in (stat.S_IFIFO, stat.S_IFSOCK) and (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino)


def _read(stdin: BinaryIO, frames: Frames, loop: asyncio.AbstractEventLoop) -> None:
    try:
        while data := os.read(stdin.fileno(), 1 << 16):
            loop.call_soon_threadsafe(frames.data_received, data)
        loop.call_soon_threadsafe(frames.connection_lost, None)
    except (OSError, RuntimeError):  # stdin or the loop is closed: nobody is left to tell
        return
