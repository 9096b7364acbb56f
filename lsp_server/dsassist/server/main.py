"""``dsassist lsp``: the server on stdin and stdout."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from dsassist.server.app import create_server

__all__ = ["run"]


def run(*, log_file: Path | None = None, verbose: bool = False) -> None:
    """Serve until the client says exit or closes stdin.

    Whatever prints goes to stderr from here on: one stray line on stdout would break the protocol.
    """
    _log_to(log_file, verbose)
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    create_server().start_io(stdin=sys.stdin.buffer, stdout=channel)


def _log_to(file: Path | None, verbose: bool) -> None:
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(file, encoding="utf-8")
    logging.basicConfig(
        handlers=[handler],
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    if not verbose:
        # At INFO pygls writes out every message, the user's code included.
        for noisy in ("pygls", "httpx", "httpcore", "asyncio"):
            logging.getLogger(noisy).setLevel(logging.ERROR if noisy == "pygls" else logging.WARNING)
