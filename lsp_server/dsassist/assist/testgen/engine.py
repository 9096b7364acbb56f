"""From a target to verified tests: gather, explore, observe twice, score, minimise, render, run, report."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dsassist.assist.testgen import minimise, mutate, oracle, project
from dsassist.assist.testgen.case import Case, bare_module
from dsassist.assist.testgen.probing import Probe
from dsassist.assist.testgen.render import Rendered, extend, formatted, render
from dsassist.assist.testgen.report import FileReport, Kept, TargetReport
from dsassist.assist.testgen.sandbox import Limits, Sandbox
from dsassist.assist.testgen.sources import Facts, Source
from dsassist.assist.testgen.sources.callsites import CallSiteSource
from dsassist.assist.testgen.sources.docstring import DocstringSource
from dsassist.assist.testgen.sources.inputs import parameter_hints
from dsassist.assist.testgen.target import Target, read_tree
from dsassist.assist.testgen.verify import Runner
from dsassist.errors import DsassistError, TestGenerationError

__all__ = ["Options", "Progress", "generate"]

_BLOCKED = {
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


def _silent(_: Progress) -> None:
    pass


async def generate(
    path: Path,
    targets: Sequence[Target],
    *,
    workspace: Path,
    python: Path,
    options: Options | None = None,
    sources: Sequence[Source] = (),
    on_progress: Callable[[Progress], None] = _silent,
) -> FileReport:
    """Tests for ``targets``, all of ``path``. Cancelling the awaiting task ends every process of the run.

    Raises:
        TestGenerationError: the module cannot be imported, or the system cannot run the sandbox.
        WorkspaceError: the workspace cannot be read.
    """
    run = _Run(path.resolve(), workspace.resolve(), python, options or Options(), sources, on_progress)
    try:
        return await run.generate(targets)
    finally:
        await asyncio.to_thread(run.close)


class _Run:
    def __init__(
        self,
        path: Path,
        workspace: Path,
        python: Path,
        options: Options,
        sources: Sequence[Source],
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.path, self.workspace, self.python, self.options = path, workspace, python, options
        self.sources: list[Source] = [DocstringSource(), CallSiteSource(), *sources]
        self.on_progress = on_progress
        self.sandbox: Sandbox | None = None
        self.total = 0
        self.done = 0

    def close(self) -> None:
        if self.sandbox is not None:
            self.sandbox.close()

    def _say(self, report: TargetReport, stage: str) -> None:
        self.on_progress(Progress(report.target, stage, self.done, self.total, report))

    def _load(
        self, probe: Probe, names: Sequence[project.ImportName], known: dict[str, tuple[str, str]]
    ) -> dict[str, object]:
        box = probe.sandbox
        roots = [box.work / name.root.relative_to(self.workspace) for name in names]
        answer = probe.ask(
            {
                "op": "load",
                "scratch": str(probe.scratch),
                "work": str(box.work),
                "roots": [str(root) for root in roots],
                "file": str(box.work / self.path.relative_to(self.workspace)),
                "modules": [name.name for name in names],
                "names": known,
            },
            timeout=30.0,
        )
        if not answer["ok"]:
            raise TestGenerationError(
                f"{self.path.name} cannot be imported: {answer['error']}",
                remedy=_import_remedy(str(answer["error"]), self.python),
            )
        return answer

    async def generate(self, targets: Sequence[Target]) -> FileReport:
        source, tree = read_tree(self.path)
        names = project.import_names(self.path, self.workspace)
        if not names:
            raise TestGenerationError(
                f"{self.path.name} has no name under which Python could import it.",
                remedy="Rename it to a valid module name.",
            )
        self.total = len(targets)
        needed = [
            self.workspace / self.path.relative_to(self.workspace).parts[0],
            self.workspace / "tests",
            self.workspace / "test",
        ]
        self.sandbox = box = await asyncio.to_thread(
            lambda: Sandbox(self.workspace, limits=self.options.limits, needed=needed)
        )
        probes = [Probe(box, self.python, seed=0), Probe(box, self.python, seed=4242)]
        loaded = await asyncio.to_thread(self._load, probes[0], names, {})
        module = str(loaded["module"])
        has = loaded["has"]
        has_pytest = isinstance(has, dict) and bool(has.get("pytest"))
        test_path, style = project.test_file(self.path, self.workspace, has_pytest=has_pytest)
        existing = test_path.read_text(encoding="utf-8") if test_path.exists() else ""
        with contextlib.suppress(DsassistError):
            await asyncio.to_thread(self._load, probes[1], names, {})
        file = FileReport(self.path, test_path, style, [], str(box.confinement), str(self.python), existing=existing)
        rendered: list[Rendered] = []
        taken = _test_names(existing)
        for target in targets:
            started = time.monotonic()
            report = TargetReport(target.qualname, target.line)
            file.targets.append(report)
            try:
                facts = Facts(
                    target,
                    source,
                    tree,
                    module,
                    project.usages(target.name, self.workspace, self.path) if not target.owner else (),
                )
                cases = await self._cases(facts, report, probes)
                parameters = _parameters(target)
                made = render(target.qualname, cases, style, parameters, taken)
                made = await self._verified(made, report, style, [name.root for name in names], test_path, existing)
                rendered += made
                self._account(report, made)
            except TestGenerationError as error:
                report.problem = str(error)
                for position, probe in enumerate(probes):
                    if probe.process.poll() is not None:
                        probes[position] = Probe(box, self.python, seed=0 if position == 0 else 4242)
                        await asyncio.to_thread(self._load, probes[position], names, {})
            report.seconds = time.monotonic() - started
            self.done += 1
            self._say(report, "done")
        if rendered:
            stem = self.path.stem
            text = extend(existing, rendered, style, stem)
            file.text = formatted(text, self.workspace, test_path) if not existing else text
        return file

    async def _cases(self, facts: Facts, report: TargetReport, probes: list[Probe]) -> list[Case]:
        """Kept cases of one target, in the order they are to be shown."""
        target, budget = facts.target, self.options.seconds
        self._say(report, "gathering")
        seeds = [seed for source in self.sources for seed in await source.seeds(facts)]
        self._say(report, "calling it")
        place = {"start": target.start, "end": target.end}
        job = {
            "op": "explore",
            "qualname": target.qualname,
            **place,
            "hints": parameter_hints(facts),
            "seeds": [seed.as_job() for seed in seeds],
            "seconds": max(2.0, min(10.0, budget / 4)),
            "seed": self.options.seed,
        }
        found = await asyncio.to_thread(probes[0].ask, job, timeout=budget)
        if not found["ok"]:
            raise TestGenerationError(f"{target.qualname}: {found['error']}")
        report.lines = len(found["lines"])
        counts = found["counts"]
        report.funnel["generated"] = report.funnel["parses"] = counts["tried"]
        lost = counts.get("setup", 0)
        report.funnel["collects"] = counts["tried"] - lost
        for key, why in _USELESS.items():
            report.drop(why, counts.get(key, 0))
        for flag, why in _BLOCKED.items():
            report.drop(why, counts.get(f"flag {flag}", 0))
        report.funnel["passes"] = max(
            0, report.funnel["collects"] - sum(counts.get(key, 0) for key in _USELESS if key != "setup")
        )
        everything = [Case.of(item) for item in found["candidates"]]
        report.suspicions += oracle.crashes(target, everything)
        good = [case for case in everything if _usable(case)]
        good, suspicions = oracle.judge_examples(target, good)
        report.suspicions += suspicions
        report.suspicions += oracle.contradictions(target, good)
        if suspicions:
            report.drop("contradicts the docstring", len(suspicions))
        chosen = minimise.shortlist(good, 48)
        self._say(report, "observing again")
        answer = await asyncio.to_thread(
            probes[1].ask,
            {"op": "replay", **place, "candidates": [case.job for case in chosen], "seconds": min(15.0, budget / 4)},
            timeout=budget,
        )
        stable = [case for case, again in zip(chosen, answer.get("answers", []), strict=False) if _settle(case, again)]
        report.drop("differs from run to run", len(chosen) - len(stable))
        share = len(stable) / len(chosen) if chosen else 0.0
        report.funnel["stable"] = round(report.funnel["passes"] * share)
        self._say(report, "planting bugs")
        wrong = mutate.mutants(target, seed=self.options.seed, limit=self.options.mutants)
        report.mutants = len(wrong)
        if not stable:
            return []
        scored = await asyncio.to_thread(
            probes[0].ask,
            {
                "op": "score",
                **place,
                "tests": bare_module(stable),
                "count": len(stable),
                "mutants": [item.source for item in wrong],
                "path": target.qualname.split("."),
                "limit": 1.5,
                "seconds": min(20.0, budget / 3),
            },
            timeout=budget,
        )
        if not scored["ok"]:
            raise TestGenerationError(f"{target.qualname}: {scored['error']}")
        broken = set(scored["broken"])
        kills: dict[int, set[int]] = {}
        for mutant, tests in scored["killed"].items():
            for number in tests:
                kills.setdefault(number, set()).add(int(mutant))
        for number, case in enumerate(stable):
            case.kills = frozenset(kills.get(number, ()))
        stable = [case for number, case in enumerate(stable) if number not in broken]
        kept, raising, killing = minimise.smallest(stable)
        report.funnel["raises_coverage"], report.funnel["kills_mutant"] = raising, killing
        report.drop("kills no planted bug", raising - killing)
        report.drop("redundant", killing - len(kept))
        return sorted(kept, key=lambda case: (case.outcome == "raise", not case.stated))

    async def _verified(
        self,
        made: list[Rendered],
        report: TargetReport,
        style: project.Style,
        roots: list[Path],
        test_path: Path,
        existing: str,
    ) -> list[Rendered]:
        """Those that pass every one of ``options.rounds`` fresh runs of the project's test runner."""
        if not made:
            return made
        assert self.sandbox is not None
        box = self.sandbox
        runner = Runner(box, self.python, style, [box.work / root.relative_to(self.workspace) for root in roots])
        file = (
            box.work
            / (test_path.relative_to(self.workspace).parent if test_path.is_relative_to(self.workspace) else Path())
            / "test_dsassist_generated.py"
        )
        for _ in range(2):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(extend("", made, style, "generated"), encoding="utf-8")
            names = {item.name for item in made}
            _, passed, output = await asyncio.to_thread(
                lambda names=names: runner.stable(  # type: ignore[misc]
                    file,
                    names,
                    self.options.rounds,
                    timeout=max(20.0, self.options.seconds / 2),
                    on_round=lambda n: self._say(report, f"fresh run {n} of {self.options.rounds}"),
                )
            )
            if output:
                report.problem = f"The test runner broke down: {_last_line(output)}"
            fine = [item for item in made if item.name in passed]
            report.drop("fails in a fresh run", len(made) - len(fine))
            made = fine
            if passed == names or not made:
                break
        return made

    def _account(self, report: TargetReport, made: list[Rendered]) -> None:
        cases = [case for item in made for case in item.cases]
        report.funnel["kept"] = len(cases)
        covered = {line for case in cases for arc in case.arcs for line in arc if line > 0}
        report.covered_after = min(report.lines, len(covered))
        report.killed = len(set().union(*(case.kills for case in cases), frozenset()))
        for item in made:
            lines = {line for case in item.cases for arc in case.arcs for line in arc if line > 0}
            kills = set().union(*(case.kills for case in item.cases))
            report.kept.append(
                Kept(item.name, item.cases[0].source, item.cases[0].stated, len(lines), len(kills), len(item.cases))
            )


def _usable(case: Case) -> bool:
    if set(case.job.get("flags", ())) & set(_BLOCKED) or not case.job.get("good", True):
        return False
    if case.outcome == "return":
        return bool(case.facts)
    return case.outcome == "raise" and bool(case.exception) and bool(case.arcs)


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


def _parameters(target: Target) -> list[str]:
    names = [item.arg for item in (*target.node.args.posonlyargs, *target.node.args.args)]
    static = any(ast.unparse(item).endswith("staticmethod") for item in target.node.decorator_list)
    return names[1:] if target.owner and not static else names


def _test_names(existing: str) -> set[str]:
    try:
        tree = ast.parse(existing)
    except SyntaxError:
        return set()
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def _import_remedy(error: str, python: Path) -> str:
    if "ModuleNotFoundError" in error:
        return f"Install what is missing for {python}, or set testgen.python to the project's interpreter."
    return "Nothing was changed."


def _last_line(output: str) -> str:
    lines = [line for line in output.strip().splitlines() if line.strip() and not line.startswith("DSASSIST")]
    return lines[-1][:200] if lines else "no output"
