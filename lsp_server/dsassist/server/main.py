"""``dsassist lsp``: the server on stdin and stdout, once it is loaded."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import BinaryIO

from dsassist.server.app import Server
from dsassist.server.early import Handover

__all__ = ["run"]


def run(
    server: Server, channel: BinaryIO, handover: Handover, *, log_file: Path | None = None, verbose: bool = False
) -> None:
    """Serve until the client says exit or closes stdin. ``handover``: what was read and answered before."""
    _log_to(log_file, verbose)
    server.start_io(stdin=sys.stdin.buffer, stdout=channel, handover=handover)


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
