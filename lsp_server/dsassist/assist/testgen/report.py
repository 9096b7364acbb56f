"""What came of it: counts by stage, what was kept and why, suspicions. Plain data; the edges show it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsassist.assist.testgen.oracle import Suspicion

__all__ = ["STAGES", "FileReport", "Kept", "TargetReport"]

STAGES = ("generated", "parses", "collects", "passes", "stable", "raises_coverage", "kills_mutant", "kept")
"""The funnel, in order. ``collects``: set-up and imports work; ``stable``: same in other processes, orders, hash
seeds and time zones."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A delivered test and why."""

    name: str
    source: str
    stated: bool
    lines: int
    kills: int
    cases: int


@dataclass(slots=True)
class TargetReport:
    """One function. Lines and mutants are counts; ``before`` is what the project's own
    tests execute and notice, ``covered_after`` and ``killed`` what they and the kept tests do together."""

    target: str
    line: int
    kept: list[Kept] = field(default_factory=list)
    funnel: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    dropped: dict[str, int] = field(default_factory=dict)
    lines: int = 0
    covered_before: int = 0
    covered_after: int = 0
    mutants: int = 0
    killed_before: int = 0
    killed: int = 0
    survivors: list[str] = field(default_factory=list)
    """Planted bugs that no delivered test notices, as ``line N: what was changed``."""
    missed: list[int] = field(default_factory=list)
    """Lines that no delivered test executes."""
    suspicions: list[Suspicion] = field(default_factory=list)
    problem: str = ""
    seconds: float = 0.0

    def drop(self, why: str, count: int = 1) -> None:
        """Note ``count`` candidates dropped because of ``why``."""
        if count:
            self.dropped[why] = self.dropped.get(why, 0) + count


@dataclass(slots=True)
class FileReport:
    """One run. ``text`` is the whole new test file; None when nothing is delivered."""

    source: Path
    test_path: Path
    style: str
    targets: list[TargetReport]
    confinement: str
    python: str
    text: str | None = None
    existing: str = ""
    """What the test file held before, "" when it is new."""

    @property
    def funnel(self) -> dict[str, int]:
        """Counts over all targets."""
        return {stage: sum(target.funnel[stage] for target in self.targets) for stage in STAGES}

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        found = dataclasses.asdict(self)
        found["source"], found["test_path"] = str(self.source), str(self.test_path)
        found["funnel"] = self.funnel
        found.pop("existing")
        return found
