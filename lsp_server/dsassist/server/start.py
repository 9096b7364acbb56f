"""The language server's start: what can be answered at once first (``early``), then everything."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dsassist.server.early import Early

if TYPE_CHECKING:
    from dsassist.server.app import Server

__all__ = ["serve"]


_COLLECT = (10_000, 10, 20)


def serve(*, log_file: Path | None = None, verbose: bool = False) -> None:
    """Serve on stdin and stdout until the client says exit or closes stdin.

    Whatever prints goes to stderr from here on: one stray line on stdout would break the protocol.
    """
    channel = _own_stdout()
    made: list[Server] = []
    # Thousands of classes are made while the protocol's types are loaded: nothing there is garbage.
    gc.disable()
    handover = Early(sys.stdin.buffer, channel, lambda: _load(made)).run()
    if handover.finished:
        for index in handover.indexes.values():
            index.close()
        return
    from dsassist.server.app import create_server
    from dsassist.server.main import run

    server = made[0] if made else create_server()
    gc.enable()
    gc.freeze()
    # Syntax trees and facts are many small objects, next to none of them in circles.
    gc.set_threshold(*_COLLECT)
    run(server, channel, handover, log_file=log_file, verbose=verbose)


def _own_stdout() -> BinaryIO:
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return channel


def _load(made: list[Server]) -> None:
    """Import and make the server. A failure shows when it is tried again."""
    with contextlib.suppress(Exception):
        import dsassist.server.main  # noqa: F401
        from dsassist.server.app import create_server

        made.append(create_server())
