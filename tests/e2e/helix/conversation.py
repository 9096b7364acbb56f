"""Helix, in a terminal of its own, talks to the real server: completion, references, rename, code action.

Argument: the program. Environment: PROJECT, ANSWERS (a file that gets the answers as JSON). What is on the screen is
read from tmux, as a person would read it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROJECT = Path(os.environ["PROJECT"])
LETTER_SECONDS = 0.05
"""Between two keys: Helix takes letters that come all at once for pasted text."""


class Terminal:
    """A terminal of 140 columns and 45 lines in which one command runs."""

    def __init__(self, name: str, *command: str) -> None:
        self._name = name
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "140", "-y", "45", *command)

    def _tmux(self, *arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-L", self._name, *arguments], capture_output=True, text=True, check=True, timeout=30
        ).stdout

    def screen(self) -> str:
        """What a person sees."""
        return self._tmux("capture-pane", "-p")

    def keys(self, *keys: str) -> None:
        """Press keys by tmux's names, one after the other."""
        for key in keys:
            self._tmux("send-keys", key)
            time.sleep(LETTER_SECONDS)

    def type(self, text: str) -> None:
        """Type letters."""
        for letter in text:
            self._tmux("send-keys", "-l", letter)
            time.sleep(LETTER_SECONDS)

    def until(self, pattern: str, seconds: float, again: Callable[[], None] | None = None) -> str:
        """Wait for something on the screen; ``again`` is done every two seconds meanwhile. Raises TimeoutError."""
        end, next_time = time.monotonic() + seconds, time.monotonic() + 2.0
        while True:
            screen = self.screen()
            if re.search(pattern, screen):
                return screen
            if time.monotonic() > end:
                raise TimeoutError(f"waited {seconds:g} s for {pattern!r} on this screen:\n{screen}")
            if again is not None and time.monotonic() > next_time:
                again()
                next_time = time.monotonic() + 2.0
            time.sleep(0.1)

    def close(self) -> None:
        """End it, whatever it does."""
        subprocess.run(["tmux", "-L", self._name, "kill-server"], capture_output=True, check=False, timeout=30)


def converse(terminal: Terminal, answers: dict[str, Any]) -> None:
    """What a person would do with the sample project."""
    terminal.until(r'Prices and what changes them[^"]*"""', 30)

    # references of total(), once the index has the whole project
    terminal.keys("4", "g", "g", "f", "t")

    def references() -> None:
        terminal.keys("Escape", "g", "r")

    references()
    screen = terminal.until(r"\b6/6\b", 60, references)
    answers["references"] = re.findall(r"(?:\w+/)*(\w+\.py:\d+)", screen)
    terminal.keys("Escape")

    # rename discount() everywhere, by Helix's own command
    terminal.keys("1", "2", "g", "g", "f", "d", "Space", "r")
    terminal.until(r"rename-to:discount", 20)
    terminal.keys("C-u")
    terminal.type("reduced")
    terminal.keys("Enter")
    terminal.until(r"def reduced\(", 20)
    terminal.type(":write-all")
    terminal.keys("Enter")

    # code actions on average(). This Helix cannot be asked whether code may be run, so it is told where to agree
    terminal.keys("1", "9", "g", "g", "f", "a", "Space", "a")
    screen = terminal.until(r"Generate tests for \w+", 20)
    answers["actions"] = re.findall(r"Generate tests for \w+", screen)
    terminal.keys("Enter")
    answers["consent"] = terminal.until(r"(?i)dsassist testgen|generating tests", 20)
    agree()
    terminal.keys("Space", "a")
    terminal.until(r"Generate tests for \w+", 20)
    terminal.keys("Enter")
    # the edit opens a buffer of the test file; the picker of buffers tells when it is there
    terminal.until(r"test_prices\.py", 120, lambda: terminal.keys("Escape", "Space", "b"))
    terminal.keys("Escape")
    terminal.type(":write-all!")
    terminal.keys("Enter")
    tests = PROJECT / "tests" / "test_prices.py"
    end = time.monotonic() + 20
    while not tests.exists() and time.monotonic() < end:
        time.sleep(0.1)
    answers["tests"] = tests.read_text(encoding="utf-8")

    # a completion from the model, in the popup that opens while one types
    terminal.type(f":open {PROJECT}/shop/prices.py")
    terminal.keys("Enter")
    terminal.until(r"def reduced\(", 20)
    terminal.keys("g", "e", "o", "Enter", "Enter")
    terminal.keys("C-u")
    terminal.type("def cheapest(prices: list[float]) -> float:")
    terminal.keys("Enter")
    terminal.type('"""The lowest price."""')
    terminal.keys("Enter")
    terminal.type("return m")
    screen = terminal.until(r"return m.*\n.*\bmin\(", 120, lambda: terminal.keys("C-x"))
    answers["completion"] = re.findall(r"\bmin\([^│]*", screen)
    terminal.keys("C-n", "Enter")
    terminal.until(r"return min\(.*prices", 20)


def agree() -> None:
    """What the message says: once, in a terminal."""
    subprocess.run(
        ["python3", "-I", "-m", "dsassist", "testgen", "shop/report.py", "--trust"],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        check=False,
        timeout=180,
    )


def main() -> None:
    """Keep what was heard, and what went wrong, in ANSWERS."""
    answers: dict[str, Any] = {}
    terminal = Terminal(f"dsassist-e2e-{os.getpid()}", sys.argv[1], "shop/prices.py")
    try:
        converse(terminal, answers)
    except (TimeoutError, subprocess.SubprocessError, OSError) as error:
        answers["problem"] = str(error)
    finally:
        terminal.close()
    Path(os.environ["ANSWERS"]).write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main()
