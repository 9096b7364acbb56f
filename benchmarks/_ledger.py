"""What a replay counts: how often a suggestion was what was written next, what it saved, and what filters cost."""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePath

from _moments import SECONDS_A_KEY, Moment, Taken, saved_characters, taken

from dsassist.assist.syntax import open_brackets
from dsassist.index.languages import language_of
from dsassist.index.languages.base import count_errors

__all__ = ["Filters", "Ledger", "breaks"]


@dataclass
class Ledger:
    """Suggestions of one side, from the first key of the first hunk to the last."""

    shown: int = 0
    accepted: int = 0
    in_full: int = 0
    saved: int = 0
    """Characters that were not typed."""
    to_write: int = 0
    """Characters that would have been typed without any suggestion."""
    breaking: int = 0
    kept_characters: float = 0.0
    offered_characters: int = 0
    """Of suggestions that were accepted, in whole; those of them that stand in what was written are kept."""
    _lines: set[tuple[object, int]] = field(default_factory=set)
    _last: tuple[Moment, str] | None = None

    def line(self, moment: Moment, number: int) -> None:
        """A line that is written, by whoever."""
        hunk = moment.hunk
        if (id(hunk), number) not in self._lines:
            self._lines.add((id(hunk), number))
            self.to_write += len(hunk.lines[number][hunk.starts[number] :].rstrip())

    def see(self, moment: Moment, text: str) -> Taken | None:
        """``text`` is on the screen at ``moment``: what of it is taken. What was there before a key that agreed with it
        is not shown anew."""
        took = taken(moment, text)
        if not self._same_as_before(moment, text):
            self.shown += 1
            self.breaking += took is None and breaks(moment, text)
        self._last = (moment, text)
        if took is None:
            return None
        self.accepted += 1
        self.in_full += took.full
        self.saved += saved_characters(text[: took.characters])
        for number in range(moment.number, moment.number + took.lines + 1):
            self.line(moment, number)
        written = "\n".join([moment.rest, *moment.hunk.lines[moment.number + 1 :][: text.count("\n") + 1]])
        blocks = difflib.SequenceMatcher(None, text, written, autojunk=False).get_matching_blocks()
        self.kept_characters += sum(block.size for block in blocks)
        self.offered_characters += len(text)
        self._last = None
        return took

    def nothing(self) -> None:
        """Nothing is on the screen."""
        self._last = None

    def _same_as_before(self, moment: Moment, text: str) -> bool:
        if self._last is None:
            return False
        before, old = self._last
        if before.hunk is not moment.hunk or before.number != moment.number:
            return False
        typed = moment.hunk.lines[moment.number][before.column : moment.column]
        return old.startswith(typed) and old[len(typed) :] == text

    @property
    def acceptance(self) -> float:
        """Accepted of shown."""
        return self.accepted / max(self.shown, 1)

    @property
    def saved_share(self) -> float:
        """Characters saved of those to write."""
        return self.saved / max(self.to_write, 1)

    @property
    def minutes(self) -> float:
        """Of typing: the keys that were left, and one for each acceptance."""
        return (self.to_write - self.saved + self.accepted) * SECONDS_A_KEY / 60

    def figures(self, suffix: str = "") -> dict[str, float]:
        """By name."""
        return {
            f"acceptance{suffix}": self.acceptance,
            f"characters_saved_share{suffix}": self.saved_share,
            f"shown{suffix}": self.shown,
            f"accepted{suffix}": self.accepted,
            f"accepted_in_full{suffix}": self.in_full,
            f"shown_per_minute{suffix}": self.shown / max(self.minutes, 1e-9),
            f"retained{suffix}": self.kept_characters / max(self.offered_characters, 1),
            f"syntax_breaking_share{suffix}": self.breaking / max(self.shown, 1),
        }


@dataclass
class Filters:
    """How often each filter dropped something, and how often that was what was written next."""

    dropped: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, was_right: bool) -> None:
        """One answer that was not shown."""
        self.dropped[reason] += 1
        self.right[reason] += was_right

    def figures(self) -> dict[str, float]:
        """``filter_NAME_dropped``, and ``filter_NAME_wrong_share``: its precision."""
        out: dict[str, float] = {}
        for reason, count in sorted(self.dropped.items()):
            out[f"filter_{reason}_dropped"] = count
            out[f"filter_{reason}_wrong_share"] = 1 - self.right[reason] / count
        return out


def breaks(moment: Moment, text: str) -> bool:
    """Whether ``text`` puts errors into the whole file that no way of going on that we know of takes out again."""
    path = moment.hunk.path
    language = language_of(path)
    if language is None:
        return False
    parser = language.parser(path)

    def errors(before: str, after: str) -> int:
        return count_errors(parser.parse((before + after).encode("utf-8", "replace")).root_node)

    before, below = moment.before, moment.after[len(moment.closers) :]
    above, _, line = before.rpartition("\n")
    base = min(errors(before, moment.after), errors(above + "\n", below))
    if errors(before + text, moment.after) <= base:
        return False
    head = (line + text).rpartition("\n")[2]
    indent = head[: len(head) - len(head.lstrip())]
    opened = open_brackets(line + text)
    closing = "".join({"(": ")", "[": "]", "{": "}"}[bracket] for bracket in reversed(opened))
    closing = closing[: max(len(closing) - len(moment.closers), 0)] + moment.closers
    python = PurePath(path).suffix == ".py"
    bodies = (
        ("", ",", '"', ":", f"\n{indent}    pass", f":\n{indent}    pass", f"\n{indent}def x(): pass")
        if python
        else ("", ",", '"', "`", ";", " {}")
    )
    # strings and docstrings that the typist has begun
    ways = [text + '"""'] if python else []
    words = ("", " x", "x", " import x", '"', "'", '}"', "}'")
    ways += [text + word + close + body for word in words for close in {"", closing} for body in bodies]
    return all(errors(before + way, below) > base for way in ways)
