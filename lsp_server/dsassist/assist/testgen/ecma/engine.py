"""From exported functions to verified tests: try, try again elsewhere, plant bugs, minimise, render, run."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dsassist.assist.testgen import minimise
from dsassist.assist.testgen.case import Case
from dsassist.assist.testgen.ecma import change, inputs
from dsassist.assist.testgen.ecma.probe import probe_source
from dsassist.assist.testgen.ecma.render import Call, extend, place_of_tests, specifier, written
from dsassist.assist.testgen.ecma.runner import Runner, link_modules
from dsassist.assist.testgen.ecma.source import EcmaTarget
from dsassist.assist.testgen.progress import Options, Progress
from dsassist.assist.testgen.report import FileReport, Kept, TargetReport
from dsassist.assist.testgen.sandbox import Limits, Sandbox
from dsassist.errors import TestGenerationError

__all__ = ["generate"]

_LIMITS = Limits(memory_bytes=64 << 30, data_bytes=2 << 30)  # Node reserves address space that it never uses
_AHEAD = (500 * 24 + 7) * 3_600_000
"""Milliseconds: another year, month, day, weekday and hour."""


def _silent(_: Progress) -> None:
    pass


async def generate(
    path: Path,
    targets: Sequence[EcmaTarget],
    *,
    workspace: Path,
    options: Options | None = None,
    on_progress: Callable[[Progress], None] = _silent,
) -> FileReport:
    """Tests for ``targets``, all of ``path``. Cancelling the awaiting task ends every process of the run.

    Raises:
        TestGenerationError: nothing here can run the file.
        WorkspaceError: the workspace cannot be read.
    """
    run = _Run(path.resolve(), workspace.resolve(), options or Options(), on_progress)
    try:
        return await run.generate(targets)
    finally:
        await asyncio.to_thread(run.close)


class _Run:
    def __init__(self, path: Path, workspace: Path, options: Options, on_progress: Callable[[Progress], None]) -> None:
        self.path, self.workspace, self.options, self.on_progress = path, workspace, options, on_progress
        self.runner = Runner.find(path, workspace)
        self.test = place_of_tests(path, self.runner)
        self.box: Sandbox | None = None
        self.text = path.read_text(encoding="utf-8")
        self.count = self.done = self.total = self.hung = self.ended = 0

    def close(self) -> None:
        if self.box is not None:
            self.box.close()

    def _say(self, report: TargetReport, stage: str) -> None:
        self.on_progress(Progress(report.target, stage, self.done, self.total, report))

    def _copy(self, path: Path) -> Path:
        assert self.box is not None
        return self.box.work / path.relative_to(self.workspace)

    async def generate(self, targets: Sequence[EcmaTarget]) -> FileReport:
        self.box = box = await asyncio.to_thread(
            lambda: Sandbox(self.workspace, limits=_LIMITS, needed=[self.path.parent])
        )
        await asyncio.to_thread(link_modules, box)
        self.total = len(targets)
        existing = self.test.read_text(encoding="utf-8") if self.test.exists() else ""
        label = f"{self.runner.node} ({self.runner.label})"
        file = FileReport(self.path, self.test, self.runner.kind, [], str(box.confinement), label, existing=existing)
        taken = set(re.findall(r"(?:test|it)\(\s*[\"'`](.*?)[\"'`]", existing))
        made: list[tuple[EcmaTarget, TargetReport, list[tuple[str, str]], list[Case]]] = []
        for target in targets:
            started = time.monotonic()
            report = TargetReport(target.qualname, target.line)
            file.targets.append(report)
            try:
                kept, lines, wrong = await self._kept(target, report)
                tests = written(target, [case.job["call"] for case in kept], self.runner, taken)
                made.append((target, report, tests, kept))
                report.missed = sorted(lines - {line for case in kept for _, line in case.arcs})
                dead = set().union(*(case.kills for case in kept), frozenset())
                report.survivors = [f"{line}: {change}" for n, (line, change, _) in enumerate(wrong) if n not in dead]
                report.killed, report.covered_after = len(dead), report.lines - len(report.missed)
            except TestGenerationError as error:
                report.problem = str(error)
            report.seconds = time.monotonic() - started
            self.done += 1
        await self._verify(made, specifier(self.path, self.test, self.runner, existing))
        for _, report, tests, kept in made:
            report.funnel["kept"] = len(tests)
            for (name, _), case in zip(tests, kept, strict=False):
                report.kept.append(Kept(name, "inputs", False, len(case.arcs), len(case.kills), 1))
            if not tests:
                report.killed = report.covered_after = 0
            self._say(report, "done")
        codes = [(target, code) for target, _, tests, _ in made for _, code in tests]
        if codes:
            file.text = extend(existing, codes, self.runner, specifier(self.path, self.test, self.runner, existing))
        return file

    async def _kept(
        self, target: EcmaTarget, report: TargetReport
    ) -> tuple[list[Case], set[int], list[tuple[int, str, str]]]:
        arguments = inputs.calls(target, seed=self.options.seed)
        counted, lines = change.instrumented(target, self.text)
        report.lines = len(lines)
        everything = list(range(len(arguments)))
        self._say(report, "calling it")
        first = await self._observe(target, arguments, [(0, counted, everything)], "UTC")
        seen = _by_number(first, 0)
        if not seen and not self.hung + self.ended:
            raise TestGenerationError(_why(first, self.runner, self.path))
        report.funnel["generated"] = report.funnel["parses"] = len(seen) + self.hung + self.ended
        report.funnel["collects"] = len(seen)
        report.drop("hangs", self.hung)
        report.drop("ends the interpreter", self.ended)
        self._say(report, "observing again")
        elsewhere: list[dict[int, dict[str, Any]]] = []
        for zone in ("Asia/Tokyo", "America/New_York") if seen else ():
            again = await self._observe(target, arguments, [(0, counted, sorted(seen))], zone, _AHEAD)
            elsewhere.append(_by_number(again, 0))
        # that nothing comes back says something only where something could
        answers = any(entry.get("value", "") not in ("", "undefined") for entry in seen.values())
        fine = {number: entry for number, entry in seen.items() if _usable(entry, answers)}
        report.funnel["passes"] = len(fine)
        report.drop(
            "raises by accident", sum(entry["outcome"] == "raise" and not entry["purpose"] for entry in seen.values())
        )
        stable = {
            number: entry for number, entry in fine.items() if _settle(entry, [one.get(number) for one in elsewhere])
        }
        report.funnel["stable"] = len(stable)
        report.drop("differs from run to run", len(fine) - len(stable))
        cases = {number: _case(arguments[number], entry, number // 8) for number, entry in stable.items()}
        short = minimise.shortlist(list(cases.values()), 40)
        chosen = [number for number, case in cases.items() if case in short]
        wrong = change.mutants(target, self.text, seed=self.options.seed, limit=self.options.mutants)
        report.mutants = len(wrong)
        self._say(report, "planting bugs")
        variants = [(number + 1, text, chosen) for number, (_, _, text) in enumerate(wrong)]
        scored = await self._observe(target, arguments, variants, "UTC") if chosen else []
        for place in range(len(wrong)):
            changed = _by_number(scored, place + 1)
            for number in chosen:
                if not _same(stable[number], changed.get(number)):
                    cases[number].kills |= {place}
        kept, raising, killing = minimise.smallest([cases[number] for number in chosen])
        report.funnel["raises_coverage"], report.funnel["kills_mutant"] = raising, killing
        report.drop("kills no planted bug", raising - killing)
        report.drop("redundant", killing - len(kept))
        return sorted(kept, key=lambda case: case.outcome == "raise"), lines, wrong

    async def _observe(
        self,
        target: EcmaTarget,
        arguments: Sequence[Sequence[str]],
        variants: Sequence[tuple[int, str, Sequence[int]]],
        zone: str,
        ahead: int = 0,
    ) -> list[dict[str, Any]]:
        """What each variant (number, text of the file, calls) did. One that hangs is ended, and the rest goes on."""
        assert self.box is not None
        box = self.box
        self.count += 1
        folder = self._copy(self.path).parent
        out = box.scratch / f"observed-{self.count}.jsonl"
        probe = (
            self._copy(self.test.parent) / f"dsassist_probe_{self.count}.test{_probe_suffix(self.path, self.runner)}"
        )
        probe.parent.mkdir(parents=True, exist_ok=True)
        loads: list[tuple[int, str, Sequence[int]]] = []
        for number, text, calls in variants:
            file = folder / f"{self.path.stem}.dsassist{self.count}_{number}{self.path.suffix}"
            file.write_text(text, encoding="utf-8")
            loads.append((number, specifier(file, probe, Runner("node", folder, "", False)), calls))
        raises = sorted(set(re.findall(r"new (\w+(?:Error|Exception))\b", self.text)))
        entries: list[dict[str, Any]] = []
        deadline = time.monotonic() + self.options.seconds / 2
        patience = 3.0 if self.runner.kind == "node" else 15.0
        self.hung = self.ended = 0
        while loads and time.monotonic() < deadline:
            path = target.qualname.split(".") if not target.default else ["default", *target.qualname.split(".")[1:]]
            code = probe_source(self.runner.kind, self.runner.commonjs, path, arguments, loads, out, raises)
            probe.write_text(code, encoding="utf-8")
            out.unlink(missing_ok=True)
            command = self.runner.command(box, probe, test=self.runner.kind != "node")
            environment = self.runner.environment({"TZ": zone, "DSASSIST_AHEAD": str(ahead)})
            done = await asyncio.to_thread(
                lambda command=command, environment=environment: box.run(  # type: ignore[misc]
                    command,
                    timeout=min(patience, deadline - time.monotonic() + 1),
                    environment=environment,
                    processes=True,
                )
            )
            written = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
            found = [json.loads(line) for line in written if line.endswith("}")]
            entries += [item for item in found if "begun" not in item]
            if not found or "begun" not in found[-1]:
                break
            hung = found[-1]  # the call that was begun last did not end
            self.hung += done.timed_out
            self.ended += not done.timed_out
            place = next(number for number, item in enumerate(loads) if item[0] == hung["variant"])
            number, name, calls = loads[place]
            rest = list(calls)[list(calls).index(hung["begun"]) + 1 :] if number == 0 else []
            loads = [*([(number, name, rest)] if rest else []), *loads[place + 1 :]]
        for file in folder.glob(f"{self.path.stem}.dsassist{self.count}_*"):
            file.unlink()
        probe.unlink(missing_ok=True)
        return entries

    async def _verify(
        self, made: list[tuple[EcmaTarget, TargetReport, list[tuple[str, str]], list[Case]]], module: str
    ) -> None:
        """Leave tests that pass every fresh run of the project's runner."""
        assert self.box is not None
        file = self._copy(self.test).with_name(f"dsassist_generated.test{_probe_suffix(self.path, self.runner)}")
        file.parent.mkdir(parents=True, exist_ok=True)
        for number in range(self.options.rounds):
            codes = [(target, code) for target, _, tests, _ in made for _, code in tests]
            if not codes:
                return
            self._say(made[0][1], f"fresh run {number + 1} of {self.options.rounds}")
            shuffled = codes[number % len(codes) :] + codes[: number % len(codes)]
            file.write_text(extend("", shuffled, self.runner, module), encoding="utf-8")
            zone = ("UTC", "America/New_York", "Asia/Kolkata")[number % 3]
            done = await asyncio.to_thread(
                lambda zone=zone: self.box.run(  # type: ignore[misc]
                    self.runner.command(self.box, file, test=True),
                    timeout=60.0,
                    environment=self.runner.environment({"TZ": zone}),
                    processes=True,
                )
            )
            if done.code == 0:
                continue
            failed = _failed(done.output, self.runner.kind)
            for _, report, tests, kept in made:
                good = [place for place, (name, _) in enumerate(tests) if failed and name not in failed]
                report.drop("fails in a fresh run", len(tests) - len(good))
                if not failed:
                    report.problem = f"{self.runner.label} broke down: {_last_line(done.output)}"
                tests[:], kept[:] = [tests[place] for place in good], [kept[place] for place in good]


def _probe_suffix(path: Path, runner: Runner) -> str:
    if runner.kind == "node":
        return ".cjs" if runner.commonjs else ".mjs"
    return path.suffix


def _by_number(entries: list[dict[str, Any]], variant: int) -> dict[int, dict[str, Any]]:
    return {entry["number"]: entry for entry in entries if entry["variant"] == variant and "number" in entry}


def _usable(entry: dict[str, Any], answers: bool) -> bool:
    if entry["outcome"] == "raise":
        return bool(entry["purpose"])
    said = bool(entry.get("value")) and (entry["value"] != "undefined" or "changed" in entry or answers)
    return entry["outcome"] == "return" and said


def _settle(entry: dict[str, Any], others: list[dict[str, Any] | None]) -> bool:
    """Whether other processes, in other time zones, saw the same; moments by the wall clock where that agrees."""
    if all(_same(entry, other) for other in others):
        return True
    entry["wall"], value, entry["value"] = True, entry.get("value"), entry.get("local", "")
    if entry["value"] and all(_same(entry, other) for other in others):
        return True
    del entry["wall"]
    entry["value"] = value
    return False


def _same(one: dict[str, Any], other: dict[str, Any] | None) -> bool:
    keys = ("outcome", "kind", "value", "message", "changed", "awaited")
    if other is not None and "wall" in one and "local" in other:
        other = {**other, "value": other["local"]}
    return other is not None and all(one.get(key) == other.get(key) for key in keys)


def _case(arguments: Sequence[str], entry: dict[str, Any], rank: int) -> Case:
    call = Call(
        tuple(arguments),
        entry["outcome"],
        entry["kind"],
        entry.get("value", ""),
        entry.get("message", ""),
        tuple(entry.get("changed", ())),
        bool(entry.get("awaited")),
        bool(entry.get("iterated")),
    )
    lines = entry["lines"]
    arcs = frozenset(zip([0, *lines], lines, strict=False))
    act = ", ".join(arguments)
    case = Case((), act, entry["outcome"], [("result", "==", call.value)], {}, "inputs", arcs, kind=entry["kind"])
    case.job = {"call": call, "rank": rank + len(act) // 8}
    return case


def _why(entries: list[dict[str, Any]], runner: Runner, path: Path) -> str:
    failed = next((str(entry["failed"]) for entry in entries if "failed" in entry), "")
    if (
        path.suffix in (".ts", ".mts", ".cts")
        and runner.kind == "node"
        and re.search(r"extension|SyntaxError", failed or "SyntaxError")
    ):
        return f"{path.name} needs Node 22.18 or newer, or vitest or jest in the project, to run as TypeScript."
    return f"{path.name} cannot be run: {failed or f'{runner.label} gave no answer'}"


def _failed(output: str, kind: str) -> set[str]:
    """Names of tests that failed; empty where the run itself did."""
    if kind == "node":
        return {
            re.sub(r"\\(.)", r"\1", name.strip())
            for name in re.findall(r"^not ok \d+ - (.*?)(?: # .*)?$", output, re.MULTILINE)
        }
    start = output.find('{"num')
    try:
        found = json.JSONDecoder().raw_decode(output[start:])[0] if start >= 0 else {}
    except ValueError:
        return set()
    return {
        test.get("fullName") or test.get("title") or ""
        for suite in found.get("testResults", ())
        for test in suite.get("assertionResults", ())
        if test.get("status") == "failed"
    }


def _last_line(output: str) -> str:
    lines = [line for line in output.strip().splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no output"
