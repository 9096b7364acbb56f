"""What a caller may ask for, and what it hears on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from dsassist.assist.testgen.report import TargetReport
from dsassist.assist.testgen.sandbox import Limits

__all__ = ["Options", "Progress"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the run is: ``stage`` in words, the target, and its report so far."""

    target: str
    stage: str
    done: int
    total: int
    report: TargetReport


@dataclass(frozen=True, slots=True)
class Options:
    """``seconds`` is the time budget of one function; ``rounds`` the fresh runs that every test must pass."""

    seconds: float = 60.0
    seed: int = 0
    rounds: int = 5
    mutants: int = 40
    limits: Limits = field(default_factory=Limits)
