"""What the project's own tests already execute and notice of a target: a generated test has to add to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dsassist.assist.testgen.project import Style
from dsassist.assist.testgen.sandbox import Sandbox
from dsassist.assist.testgen.target import Target

__all__ = ["Baseline", "ExistingTests"]


@dataclass(frozen=True, slots=True)
class Baseline:
    """``arcs``: jumps between lines of the target; ``killed``: numbers of planted bugs; ``tests``: how many run it."""

    arcs: frozenset[tuple[int, int]] = frozenset()
    killed: frozenset[int] = frozenset()
    tests: int = 0

    @property
    def lines(self) -> set[int]:
        """Lines of the target that the existing tests execute."""
        return {line for arc in self.arcs for line in arc if line > 0}


@dataclass(slots=True)
class ExistingTests:
    """``files`` and ``roots`` are paths in the sandbox's copy. Tests that fail today count for nothing."""

    sandbox: Sandbox
    python: Path
    style: Style
    roots: list[Path]
    files: Sequence[Path]
    module: str
    source: Path
    count: int = 0

    async def measure(self, target: Target, mutants: Sequence[str], *, seconds: float) -> Baseline:
        """Run them once under a tracer and once for each of ``mutants``; nothing where they do not run."""
        if not self.files:
            return Baseline()
        self.count += 1
        job, out = (self.sandbox.scratch / f"baseline-{self.count}-{part}.json" for part in ("job", "out"))
        described = {
            "roots": list(map(str, self.roots)),
            "files": list(map(str, self.files)),
            "module": self.module,
            "source": str(self.source),
            "scratch": str(self.sandbox.scratch),
            "start": target.start,
            "end": target.end,
            "path": target.qualname.split("."),
            "mutants": list(mutants),
            "pytest": self.style == "pytest",
            "seconds": seconds,
            "out": str(out),
        }
        job.write_text(json.dumps(described), encoding="utf-8")
        script = self.sandbox.root / "probe" / "_dsassist_probe" / "baseline.py"
        command = [str(self.python), "-B", str(script), str(job)]
        await asyncio.to_thread(self.sandbox.run, command, timeout=seconds * 2 + 10, processes=True)
        try:
            found = json.loads(out.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # the tests that are there do not run: there is no baseline
            return Baseline()
        arcs = frozenset((first, last) for first, last in found["arcs"])
        return Baseline(arcs, frozenset(found["killed"]), found["tests"])
