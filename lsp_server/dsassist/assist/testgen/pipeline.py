"""One target: gather, explore, observe twice, score; look again at what went unnoticed; choose the fewest."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dsassist.assist.testgen import minimise, mutate, oracle
from dsassist.assist.testgen.baseline import Baseline
from dsassist.assist.testgen.case import Case, bare_module
from dsassist.assist.testgen.probing import Probe
from dsassist.assist.testgen.repair import repaired
from dsassist.assist.testgen.report import TargetReport
from dsassist.assist.testgen.settle import BLOCKED, about_result, body, sees_the_same, settle, usable
from dsassist.assist.testgen.sources import Facts, Gaps, Helper, Seed, Source
from dsassist.assist.testgen.sources.inputs import parameter_hints
from dsassist.assist.testgen.sources.properties import properties
from dsassist.errors import TestGenerationError

__all__ = ["Pipeline"]

_USELESS = {
    "setup": "its set-up fails",
    "timeout": "runs too long",
    "hang": "hangs",
    "died": "ends the interpreter",
    "output": "prints without end",
    "memory": "needs too much memory",
    "recursion": "recurses too deep",
    "crash": "raises by accident",
}
_SHORTLIST, _POOL, _LINES = 48, 240, 8


class Settings(Protocol):
    """What of ``Options`` counts here."""

    @property
    def seconds(self) -> float: ...
    @property
    def seed(self) -> int: ...
    @property
    def mutants(self) -> int: ...


@dataclass(slots=True)
class Pipeline:
    """``probes``: the two processes. ``helpers`` are asked only for what rules left open (the model)."""

    facts: Facts
    report: TargetReport
    probes: list[Probe]
    options: Settings
    say: Callable[[str], None]
    sources: Sequence[Source]
    helpers: Sequence[Helper] = ()
    has_hypothesis: bool = False
    baseline: Callable[[Sequence[str]], Awaitable[Baseline]] | None = None
    wrong: list[mutate.Mutant] = field(default_factory=list)
    lines: set[int] = field(default_factory=set)
    pool: list[Case] = field(default_factory=list)
    stable: list[Case] = field(default_factory=list)
    before: Baseline = field(default_factory=Baseline)
    failed: list[tuple[str, str]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @property
    def _place(self) -> dict[str, Any]:
        return {"start": self.facts.target.start, "end": self.facts.target.end}

    @property
    def _left(self) -> float:
        return self.options.seconds - (time.monotonic() - self.started)

    @property
    def _dead(self) -> set[int]:
        return set(self.before.killed).union(*(case.kills for case in self.stable))

    async def _ask(self, probe: int, job: dict[str, Any], timeout: float = 0.0) -> dict[str, Any]:
        answer = await asyncio.to_thread(
            self.probes[probe].ask, {**self._place, **job}, timeout=timeout or self.options.seconds
        )
        if not answer["ok"]:
            raise TestGenerationError(f"{self.facts.target.qualname}: {answer['error']}")
        return answer

    async def cases(self) -> list[Case]:
        """Kept cases, in the order they are to be shown; the report is filled in on the way."""
        report = self.report
        self.say("gathering")
        seeds = [seed for source in self.sources for seed in await source.seeds(self.facts)]
        self.say("calling it")
        everything = await self._explore(seeds)
        self.wrong = mutate.mutants(self.facts.target, seed=self.options.seed, limit=self.options.mutants)
        report.mutants = len(self.wrong)
        if self.baseline is not None:
            self.say("running the tests that are there")
            self.before = await self.baseline([item.source for item in self.wrong])
            report.covered_before = len(self.before.lines & self.lines)
            report.killed_before = len(self.before.killed)
        good = self._judged(everything)
        chosen = minimise.shortlist(good, _SHORTLIST)
        self.pool = [case for case in minimise.shortlist(good, _POOL) if case not in chosen]
        observed = await self._replayed(chosen)
        share = len(observed) / len(chosen) if chosen else 0.0
        report.drop("differs from run to run", len(chosen) - len(observed))
        await self._score(observed, range(len(self.wrong)), 20.0)
        if self.has_hypothesis:
            await self._properties(good)
        await self._look_again()
        for helper in self.helpers:
            await self._help(helper)
        report.funnel["stable"] = max(round(report.funnel["passes"] * share), len(self.stable))
        kept, raising, killing = minimise.smallest(self.stable, self.before.arcs, dead=self.before.killed)
        report.funnel["raises_coverage"], report.funnel["kills_mutant"] = raising, killing
        report.drop("existing tests do the same", len(self.stable) - raising if self.before.arcs else 0)
        report.drop("kills no planted bug", raising - killing)
        report.drop("redundant", killing - len(kept))
        kept = await self._trimmed(kept)
        return sorted(kept, key=lambda case: (case.outcome == "raise", bool(case.invariant), not case.stated))

    # --- stages ------------------------------------------------------------------------------------------------

    async def _explore(self, seeds: list[Seed], seconds: float = 0.0, draw: int = 0) -> list[Case]:
        report, target = self.report, self.facts.target
        found = await self._ask(
            0,
            {
                "op": "explore",
                "qualname": target.qualname,
                "hints": parameter_hints(self.facts),
                "seeds": [seed.as_job() for seed in seeds],
                "seconds": seconds or max(2.0, min(14.0, self.options.seconds / 4)),
                "seed": self.options.seed + draw,
            },
        )
        self.lines = set(found["lines"])
        report.lines = len(self.lines)
        self._count(found["counts"])
        everything = [Case.of(item) for item in found["candidates"]]
        report.suspicions += oracle.crashes(target, everything)
        return everything

    def _count(self, counts: dict[str, int]) -> None:
        report = self.report
        tried, lost = counts["tried"], counts.get("setup", 0)
        for stage, number in (
            ("generated", tried),
            ("parses", tried),
            ("collects", tried - lost),
            ("passes", max(0, tried - sum(counts.get(key, 0) for key in _USELESS))),
        ):
            report.funnel[stage] += number
        for key, why in _USELESS.items():
            report.drop(why, counts.get(key, 0))
        for flag, why in BLOCKED.items():
            report.drop(why, counts.get(f"flag {flag}", 0))

    def _judged(self, everything: list[Case]) -> list[Case]:
        """Those that can become a test and do not contradict the docstring."""
        good = [case for case in everything if usable(case)]
        good, suspicions = oracle.judge_examples(self.facts.target, good)
        self.report.suspicions += suspicions
        self.report.suspicions += oracle.contradictions(self.facts.target, good)
        self.report.drop("contradicts the docstring", len(suspicions))
        return good

    async def _replayed(self, chosen: list[Case]) -> list[Case]:
        """Those that a process with another hash seed, home and time zone sees the same."""
        if not chosen:
            return []
        self.say("observing again")
        answer = await self._ask(
            1,
            {
                "op": "replay",
                "candidates": [case.job for case in chosen],
                "seconds": min(15.0, self.options.seconds / 4),
            },
        )
        return [case for case, again in zip(chosen, answer.get("answers", []), strict=False) if settle(case, again)]

    async def _trimmed(self, kept: list[Case]) -> list[Case]:
        """``kept`` without lines of set-up that change neither what is seen nor what is noticed."""
        short = {id(case): case for case in kept}
        for depth in range(_LINES):
            tried = []
            for case in kept:
                now, place = short[id(case)], len(case.setup) - 1 - depth
                if place >= 0 and len(case.setup) > 1 and not case.invariant and self._left > 3:
                    line = case.setup[place]
                    setup = tuple(item for item in now.setup if item is not line)
                    less = dataclasses.replace(now, setup=setup, job={**now.job, "setup": list(setup)})
                    tried.append((case, less))
            if not tried:
                continue
            jobs = [less.job for _, less in tried]
            answer = await self._ask(0, {"op": "replay", "candidates": jobs, "seconds": 4.0})
            for (case, less), again in zip(tried, answer.get("answers", []), strict=False):
                if sees_the_same(less, again):
                    short[id(case)] = less
        shorter = [less for case in kept if (less := short[id(case)]) is not case]
        known = {id(less): less.kills for less in shorter}
        for less in shorter:
            less.kills = frozenset()
        fine = await self._kills(shorter, range(len(self.wrong)), 8.0, again=False)
        good = {id(less) for less in fine if less.kills >= known[id(less)]}
        return [less if id(less := short[id(case)]) in good else case for case in kept]

    async def _kills(self, cases: list[Case], among: Sequence[int], seconds: float, again: bool = True) -> list[Case]:
        """``cases`` that pass on the true code, with ``kills`` set. One whose assertions about what a call changed do
        not hold when nobody looked before is tried once more with those about the result alone."""
        if not cases:
            return []
        self.say("planting bugs")
        scored = await self._ask(
            0,
            {
                "op": "score",
                "tests": bare_module(cases),
                "count": len(cases),
                "mutants": [self.wrong[number].source for number in among],
                "path": self.facts.target.qualname.split("."),
                "limit": 1.5,
                "seconds": min(seconds, self.options.seconds / 3),
            },
        )
        broken = set(scored["broken"])
        for number, case in enumerate(cases):
            noticed = {among[int(mutant)] for mutant, tests in scored["killed"].items() if number in tests}
            case.kills = case.kills | noticed
        fine = [case for number, case in enumerate(cases) if number not in broken]
        retried = [case for number, case in enumerate(cases) if number in broken and again and about_result(case)]
        return fine + await self._kills(retried, among, seconds / 2, again=False)

    async def _score(self, cases: list[Case], among: Sequence[int], seconds: float) -> None:
        self.stable += await self._kills(cases, among, seconds)

    async def _properties(self, good: list[Case]) -> None:
        proposed = properties(self.facts, good)
        if not proposed or self._left < 4:
            return
        self.say("trying invariants")
        answer = await self._ask(
            0,
            {
                "op": "attempt",
                "qualname": self.facts.target.qualname,
                "packages": ["hypothesis", "hypothesis.strategies"],
                "seeds": [item.as_job(self.facts.module) for item in proposed],
                "seconds": 10.0,
                "limit": 5.0,
            },
        )
        self._count(answer["counts"])
        tried = [Case.of(item) for item in answer["candidates"]]
        self.report.suspicions += oracle.broken_invariants(self.facts.target, tried)
        fine = [case for case in tried if case.outcome == "return" and usable(case)]
        for case in fine:
            case.stated = True
        # not replayed: sixty examples are no observation of one value, and the fresh runs have other seeds and zones
        await self._score(fine, range(len(self.wrong)), 10.0)

    async def _look_again(self) -> None:
        """Candidates that seemed to add nothing, against the planted bugs that are still alive."""
        alive = [number for number in range(len(self.wrong)) if number not in self._dead]
        if not alive or not self.pool or self._left < 3:
            return
        noticing = [case for case in await self._kills(self.pool, alive, 12.0) if case.kills]
        chosen, dead = [], set[int]()
        for case in sorted(noticing, key=lambda item: (-len(item.kills), item.cost)):
            if case.kills - dead:
                chosen.append(case)
                dead |= case.kills
        for case in chosen:
            case.kills = frozenset()
        await self._score(await self._replayed(chosen[:24]), alive, 8.0)

    async def _help(self, helper: Helper) -> None:
        """Ask for what is still open; what fails is repaired by rules, then asked about once more, with the error. What
        does not fail is where the search starts anew."""
        tried: list[Seed] = []
        for turn in range(2):
            gaps = self.gaps()
            if not gaps.open or self._left < 5 or (turn and not self.failed):
                break
            self.say("asking the model")
            seeds = await helper.help(self.facts, gaps)
            failed = await self._attempt(seeds)
            known = {"\n".join([*seed.setup, seed.act]): seed for seed in seeds}
            fixed = {code: repaired(known[code], error, self.facts) for code, error in failed if code in known}
            again = await self._attempt([seed for seed in fixed.values() if seed is not None])
            self.failed = [item for item in failed if fixed.get(item[0]) is None] + again
            lost = {code for code, _ in (*failed, *again)}
            tried += [
                seed
                for seed in (*seeds, *filter(None, fixed.values()))
                if "\n".join([*seed.setup, seed.act]) not in lost
            ]
        if self.gaps().open and self._left > 8:
            self.say("varying what the model wrote")
            good = self._judged(await self._explore(tried, seconds=5.0, draw=1))
            await self._score(await self._replayed(minimise.shortlist(good, _SHORTLIST)), range(len(self.wrong)), 12.0)

    async def _attempt(self, seeds: Sequence[Seed]) -> list[tuple[str, str]]:
        """Take ``seeds`` through every stage; those that failed, with the error."""
        if not seeds or self._left < 3:
            return []
        answer = await self._ask(
            0,
            {
                "op": "attempt",
                "qualname": self.facts.target.qualname,
                "seeds": [seed.as_job() for seed in seeds],
                "seconds": 6.0,
            },
        )
        self._count(answer["counts"])
        good = self._judged([Case.of(item) for item in answer["candidates"]])
        await self._score(await self._replayed(good[:24]), range(len(self.wrong)), 10.0)
        return [("\n".join(item["code"]), item["error"] or item["outcome"]) for item in answer["failed"]]

    def gaps(self) -> Gaps:
        """What no case so far reaches or notices."""
        covered = {line for case in self.stable if case.kills for arc in case.arcs for line in arc}
        dead = self._dead
        return Gaps(
            missed=tuple(sorted(self.lines - covered - self.before.lines)),
            survivors=tuple(f"{item.line}: {item.change}" for n, item in enumerate(self.wrong) if n not in dead),
            failed=tuple(self.failed),
            known=tuple(body(case) for case in minimise.smallest(self.stable, dead=self.before.killed)[0][:3]),
        )
