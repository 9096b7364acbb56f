"""Messages over stdin and stdout, taken straight off the pipe by the event loop.

pygls reads each line of a head in a thread: four hand-overs a message, which cost more than most of
our answers. Where stdin is no pipe (a terminal, a file, Windows) one thread reads it, with one hand-over a message.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from typing import BinaryIO

from dsassist.server.wire import Cutter, is_own_pipe

__all__ = ["Frames", "listen"]


class Frames(asyncio.Protocol):
    """Cuts what comes in into messages. ``receive`` gets each one's body; ``ended`` is set when no more will come."""

    def __init__(self, receive: Callable[[bytes], None]) -> None:
        self._cutter = Cutter(receive)
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """More bytes: hand on every message that is whole."""
        self._cutter.add(data)

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone."""
        self.ended.set()


async def listen(
    stdin: BinaryIO, stdout: BinaryIO, receive: Callable[[bytes], None], before: Sequence[bytes] = (), rest: bytes = b""
) -> None:
    """Hand every message to ``receive`` on the running loop, until stdin ends.

    ``before``: messages that were taken off stdin already; ``rest``: bytes that were.
    """
    frames = Frames(receive)
    for body in before:
        receive(body)
    if rest:
        frames.data_received(rest)
    if is_own_pipe(stdin, stdout):
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: frames, stdin)
        try:
            await frames.ended.wait()
        finally:
            transport.close()
        return
    threading.Thread(target=_read, args=(stdin, frames, asyncio.get_running_loop()), daemon=True).start()
    await frames.ended.wait()


def _read(stdin: BinaryIO, frames: Frames, loop: asyncio.AbstractEventLoop) -> None:
    try:
        while data := os.read(stdin.fileno(), 1 << 16):
            loop.call_soon_threadsafe(frames.data_received, data)
        loop.call_soon_threadsafe(frames.connection_lost, None)
    except (OSError, RuntimeError):  # stdin or the loop is closed: nobody is left to tell
        return
