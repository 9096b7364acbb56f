"""What an occurrence denotes, as queries and stored links say it. Resolution itself is loaded where it is needed."""

from __future__ import annotations

from typing import NamedTuple

from dsassist.index.model import Level

__all__ = ["EXTERNAL", "UNKNOWN", "Answer", "Target"]

Target = tuple[str, str]
"""A file and a symbol's path in it. Things outside the workspace have an empty file and a dotted name."""


class Answer(NamedTuple):
    """What an occurrence denotes. No targets and not ``known``: nothing rules out that it is any member of that
    name."""

    targets: tuple[Target, ...]
    level: int
    known: bool = True


UNKNOWN = Answer((), Level.POSSIBLE, False)
EXTERNAL = Answer((), Level.IMPORT, True)
