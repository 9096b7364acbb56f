"""``dsassist lsp``: the language server on stdin and stdout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("lsp")
    def lsp(
        log: Annotated[Path | None, typer.Option(help="Write the log to this file instead of stderr.")] = None,
        verbose: Annotated[bool, typer.Option("--verbose", help="Log every message too.")] = False,
    ) -> None:
        """Run the language server on stdin and stdout. Editors start this."""
        from dsassist.server.start import serve

        serve(log_file=log, verbose=verbose)
