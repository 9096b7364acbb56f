"""What the commands share: the two consoles, the user's settings, and how an error looks."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape

from dsassist.settings import Settings, load, read_file
from dsassist_model import paths

__all__ = ["console", "error_console", "print_error", "print_note", "user_settings"]

console = Console(highlight=False, emoji=False)
"""Answers. Plain text when stdout is not a terminal."""

error_console = Console(stderr=True, highlight=False, emoji=False)
"""Notes, progress and errors: never mixed into what a script reads."""


def print_error(message: str, remedy: str = "") -> None:
    """One red line on stderr, the remedy below it."""
    error_console.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    if remedy:
        error_console.print(f"  [dim]→[/] {escape(remedy)}", soft_wrap=True)


def print_note(message: str) -> None:
    """A yellow line on stderr: something was not as asked, and the command goes on."""
    error_console.print(f"[yellow]note:[/] {escape(message)}", soft_wrap=True)


def user_settings(overrides: dict[str, Any] | None = None) -> Settings:
    """Settings of ``config.toml`` with ``overrides`` on top. A bad value becomes a note on stderr, its default is used.

    Raises:
        SettingsError: the file cannot be read at all.
    """
    path = paths.config_dir() / "config.toml"
    settings, problems = load(read_file(path), overrides)
    for problem in problems:
        print_note(f"{path}: {problem}")
    return settings
