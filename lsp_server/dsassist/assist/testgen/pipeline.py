"""One target: gather, explore, observe twice, score; look again at what went unnoticed; choose the fewest."""

from __future__ import annotations

import asyncio
import re
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
from dsassist.assist.testgen.sources import Facts, Gaps, Helper, Seed, Source
from dsassist.assist.testgen.sources.inputs import parameter_hints
from dsassist.assist.testgen.sources.properties import properties
from dsassist.errors import TestGenerationError

__all__ = ["BLOCKED", "Pipeline"]

BLOCKED = {
    "network": "reaches for the network",
    "processes": "starts processes",
    "writes": "writes outside its scratch folder",
    "environment": "reads files of this machine",
    "input": "reads standard input",
}
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
_SHORTLIST, _POOL = 48, 240


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
        return sorted(kept, key=lambda case: (case.outcome == "raise", bool(case.invariant), not case.stated))

    # --- stages ------------------------------------------------------------------------------------------------

    async def _explore(self, seeds: list[Seed]) -> list[Case]:
        report, target = self.report, self.facts.target
        found = await self._ask(
            0,
            {
                "op": "explore",
                "qualname": target.qualname,
                "hints": parameter_hints(self.facts),
                "seeds": [seed.as_job() for seed in seeds],
                "seconds": max(2.0, min(14.0, self.options.seconds / 4)),
                "seed": self.options.seed,
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
        good = [case for case in everything if _usable(case)]
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
        return [case for case, again in zip(chosen, answer.get("answers", []), strict=False) if _settle(case, again)]

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
        retried = [case for number, case in enumerate(cases) if number in broken and again and _about_result(case)]
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
                "seconds": 6.0,
                "limit": 3.0,
            },
        )
        self._count(answer["counts"])
        tried = [Case.of(item) for item in answer["candidates"]]
        self.report.suspicions += oracle.broken_invariants(self.facts.target, tried)
        fine = [case for case in tried if case.outcome == "return" and _usable(case)]
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
        """Ask for what is still open; what fails is repaired by rules, then asked about once more, with the error."""
        for turn in range(2):
            gaps = self.gaps()
            if not gaps.open or self._left < 5 or (turn and not self.failed):
                return
            self.say("asking the model")
            seeds = await helper.help(self.facts, gaps)
            failed = await self._attempt(seeds)
            known = {"\n".join([*seed.setup, seed.act]): seed for seed in seeds}
            fixed = {code: repaired(known[code], error, self.facts) for code, error in failed if code in known}
            again = await self._attempt([seed for seed in fixed.values() if seed is not None])
            self.failed = [item for item in failed if fixed.get(item[0]) is None] + again

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
        )


def _usable(case: Case) -> bool:
    if set(case.job.get("flags", ())) & set(BLOCKED) or not case.job.get("good", True):
        return False
    if case.outcome == "return":
        return bool(case.facts)
    # what a stand-in makes standard functions raise says nothing about the target
    return case.outcome == "raise" and bool(case.exception) and bool(case.arcs) and (case.purpose or not case.mocks)


def _about_result(case: Case) -> bool:
    """Leave the facts about the result; whether that is fewer, and any."""
    about = [fact for fact in case.facts if re.search(r"\bresult\b", fact[0])]
    fewer = 0 < len(about) < len(case.facts)
    case.facts = about or case.facts
    return fewer


def _settle(case: Case, again: dict[str, object]) -> bool:
    """Keep the facts that hold in the second process as well."""
    if again.get("outcome") != case.outcome or again.get("kind") != case.kind:
        return False
    if case.outcome == "raise":
        if again.get("match", "") != case.match:
            case.match = ""
        return True
    other = again.get("facts")
    known = {tuple(fact) for fact in other} if isinstance(other, list) else set()
    case.facts = [fact for fact in case.facts if tuple(fact) in known]
    if (
        all(fact[1] == "isinstance" for fact in case.facts)
        and case.job.get("facts")
        and len(case.facts) < len(case.job["facts"])
    ):
        return False  # all that was specific was bound to the run
    return bool(case.facts)
