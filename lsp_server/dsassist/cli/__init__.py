"""The ``dsassist`` command: one file a group of commands, and the only place that prints.

Each file has ``register(app)``. Nothing heavy is imported before a command runs: ``dsassist --help`` stays quick.
"""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from dsassist import __version__
from dsassist.cli import complete, demo, doctor, evaluate, index, lsp, model, serve, testgen
from dsassist.cli.common import print_error
from dsassist.errors import DsassistError
from dsassist_model.errors import ModelError

__all__ = ["build", "main"]

GROUPS = (demo, complete, doctor, model, lsp, serve, index, testgen, evaluate)
"""In the order of ``dsassist --help``."""


def build() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        name="dsassist",
        no_args_is_help=True,
        pretty_exceptions_show_locals=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def root(
        version: Annotated[
            bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
        ] = False,
    ) -> None:
        """A code assistant on your own machine: completion, verified unit tests, cross-file references."""

    for group in GROUPS:
        group.register(app)
    return app


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"dsassist {__version__}")
        raise typer.Exit


def main() -> NoReturn:
    """Run the command of ``sys.argv``. An error of ours is a red line, the remedy below it, and its exit code."""
    try:
        build()(args=testgen.with_revision(sys.argv[1:]))
    except (DsassistError, ModelError) as error:
        print_error(error.message, error.remedy)
        sys.exit(error.exit_code)
    sys.exit(0)
