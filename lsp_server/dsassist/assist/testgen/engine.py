"""From a target to verified tests: gather, explore, observe twice, score, minimise, render, run, report."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from dsassist.assist.testgen import project
from dsassist.assist.testgen.baseline import Baseline, ExistingTests
from dsassist.assist.testgen.pipeline import Pipeline
from dsassist.assist.testgen.probing import Probe
from dsassist.assist.testgen.progress import Options, Progress
from dsassist.assist.testgen.render import Rendered, extend, formatted, render
from dsassist.assist.testgen.report import FileReport, Kept, TargetReport
from dsassist.assist.testgen.sandbox import Sandbox
from dsassist.assist.testgen.sources import Facts, Helper, Source
from dsassist.assist.testgen.sources.callsites import CallSiteSource
from dsassist.assist.testgen.sources.docstring import DocstringSource
from dsassist.assist.testgen.target import Target, read_tree
from dsassist.assist.testgen.verify import Runner
from dsassist.errors import DsassistError, TestGenerationError

__all__ = ["generate"]


_AHEAD = 500 * 86400.0 + 7 * 3600  # another year, month, day, weekday and hour
Callers = Callable[[Target], Mapping[Path, frozenset[int]] | None]


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
    helpers: Sequence[Helper] = (),
    callers: Callers | None = None,
    on_progress: Callable[[Progress], None] = _silent,
) -> FileReport:
    """Tests for ``targets``, all of ``path``. Cancelling the awaiting task ends every process of the run.

    ``helpers`` (the model) are asked for what rules leave open. ``callers``: file → lines (from 1) of the calls that an
    index knows, None where it knows nothing of the target; without it call sites are found by name.

    Raises:
        TestGenerationError: the module cannot be imported, or the system cannot run the sandbox.
        WorkspaceError: the workspace cannot be read.
    """
    run = _Run(path.resolve(), workspace.resolve(), python, options or Options(), on_progress)
    run.sources, run.helpers, run.callers = [*run.sources, *sources], helpers, callers
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
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.path, self.workspace, self.python, self.options = path, workspace, python, options
        self.sources: list[Source] = [DocstringSource(), CallSiteSource()]
        self.helpers: Sequence[Helper] = ()
        self.callers: Callers | None = None
        self.on_progress = on_progress
        self.sandbox: Sandbox | None = None
        self.total = 0
        self.done = 0
        self.conftests = project.conftests(workspace)

    def close(self) -> None:
        if self.sandbox is not None:
            self.sandbox.close()

    def _say(self, report: TargetReport, stage: str) -> None:
        self.on_progress(Progress(report.target, stage, self.done, self.total, report))

    def _load(self, probe: Probe, names: Sequence[project.ImportName], ahead: float = 0.0) -> dict[str, object]:
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
                "conftests": [str(box.work / path.relative_to(self.workspace)) for path in self.conftests],
                "ahead": ahead,
            },
            timeout=min(30.0, self.options.seconds),
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
        related = project.related_tests(self.path, self.workspace, {target.name for target in targets})
        needed = [self.workspace / self.path.relative_to(self.workspace).parts[0]]
        needed += [self.workspace / "tests", self.workspace / "test", *(item.parent for item in related)]
        self.sandbox = box = await asyncio.to_thread(
            lambda: Sandbox(self.workspace, limits=self.options.limits, needed=needed)
        )
        probes = [Probe(box, self.python, seed=0), Probe(box, self.python, seed=4242)]
        loaded = await asyncio.to_thread(self._load, probes[0], names)
        module = str(loaded["module"])
        has = loaded["has"]
        has_pytest = isinstance(has, dict) and bool(has.get("pytest"))
        test_path, style = project.test_file(self.path, self.workspace, has_pytest=has_pytest)
        existing = read_tree(test_path)[0] if test_path.exists() else ""
        await self._second(probes, names)
        file = FileReport(self.path, test_path, style, [], str(box.confinement), str(self.python), existing=existing)
        there = ExistingTests(
            box,
            self.python,
            style,
            [box.work / name.root.relative_to(self.workspace) for name in names],
            [box.work / item.relative_to(self.workspace) for item in related],
            module,
            box.work / self.path.relative_to(self.workspace),
        )
        proposed: list[tuple[Pipeline, list[Rendered]]] = []
        taken = _test_names(existing)
        for target in targets:
            started = time.monotonic()
            report = TargetReport(target.qualname, target.line)
            file.targets.append(report)
            known = await asyncio.to_thread(self.callers, target) if self.callers else None
            usages = await asyncio.to_thread(project.usages, target, self.workspace, known)
            pipeline = Pipeline(
                Facts(target, source, tree, module, usages),
                report,
                probes,
                self.options,
                lambda stage, report=report: self._say(report, stage),  # type: ignore[misc]
                self.sources,
                self.helpers,
                isinstance(has, dict) and bool(has.get("hypothesis")) and style == "pytest",
                self._baseline(there, target) if related else None,
            )
            try:
                cases = await pipeline.cases()
                proposed.append((pipeline, render(target, cases, style, _parameters(target), taken)))
            except TestGenerationError as error:
                report.problem = str(error)
                if probes[0].process.poll() is not None:
                    probes[0] = Probe(box, self.python, seed=0)
                    await asyncio.to_thread(self._load, probes[0], names)
                if probes[1].process.poll() is not None:
                    probes[1] = Probe(box, self.python, seed=4242)
                    await self._second(probes, names)
            report.seconds = time.monotonic() - started
            self.done += 1
            self._say(report, "waiting for its fresh runs" if proposed and proposed[-1][0] is pipeline else "done")
        box.move()
        runner = Runner(box, self.python, style, [box.work / name.root.relative_to(self.workspace) for name in names])
        inside = test_path.is_relative_to(self.workspace)
        place = box.work / (test_path.relative_to(self.workspace).parent if inside else Path())
        started = time.monotonic()
        await self._verify(proposed, runner, place / "test_dsassist_generated.py")
        for pipeline, made in proposed:
            pipeline.report.seconds += (time.monotonic() - started) / len(proposed)
            self._account(pipeline, made)
            self._say(pipeline.report, "done")
        rendered = [item for _, made in proposed for item in made]
        if rendered:
            text = extend(existing, rendered, style, self.path.stem)
            file.text = formatted(text, self.workspace, test_path) if not existing else text
        return file

    async def _second(self, probes: list[Probe], names: Sequence[project.ImportName]) -> None:
        """Load the second process on another day; on this one where the module does not import so."""
        try:
            await asyncio.to_thread(self._load, probes[1], names, _AHEAD)
        except DsassistError:
            probes[1].close()
            probes[1] = Probe(probes[0].sandbox, self.python, seed=4242)
            with contextlib.suppress(DsassistError):
                await asyncio.to_thread(self._load, probes[1], names)

    def _baseline(self, there: ExistingTests, target: Target) -> Callable[[Sequence[str]], Awaitable[Baseline]]:
        seconds = min(15.0, self.options.seconds / 4)
        return lambda mutants: there.measure(target, mutants, seconds=seconds)

    async def _verify(self, proposed: list[tuple[Pipeline, list[Rendered]]], runner: Runner, file: Path) -> None:
        """Leave those that pass every one of ``options.rounds`` fresh runs of the project's test runner, all in one
        file; where the run itself breaks down, each target's alone."""
        for _ in range(2):
            everything = [item for _, made in proposed for item in made]
            if not everything:
                return
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(extend("", everything, runner.style, "generated"), encoding="utf-8")
            names = {item.name for item in everything}
            report = next(pipeline.report for pipeline, made in proposed if made)
            _, passed, output = await asyncio.to_thread(
                lambda names=names, report=report: runner.stable(  # type: ignore[misc]
                    file,
                    names,
                    self.options.rounds,
                    timeout=max(20.0, self.options.seconds / 2),
                    on_round=lambda n: self._say(report, f"fresh run {n} of {self.options.rounds}"),
                )
            )
            if output and len(proposed) > 1:
                for one in proposed:
                    await self._verify([one], runner, file)
                return
            if output:
                report.problem = f"The test runner broke down: {_last_line(output)}"
            for pipeline, made in proposed:
                pipeline.report.drop("fails in a fresh run", sum(item.name not in passed for item in made))
                made[:] = [item for item in made if item.name in passed]
            if passed == names:
                return

    def _account(self, pipeline: Pipeline, made: list[Rendered]) -> None:
        report, before = pipeline.report, pipeline.before
        cases = [case for item in made for case in item.cases]
        report.funnel["kept"] = len(cases)
        covered = {line for case in cases for arc in case.arcs for line in arc if line > 0} | before.lines
        dead = set(before.killed).union(*(case.kills for case in cases))
        report.covered_after, report.killed = len(covered & pipeline.lines), len(dead)
        report.missed = sorted(pipeline.lines - covered)
        report.survivors = [f"{item.line}: {item.change}" for n, item in enumerate(pipeline.wrong) if n not in dead]
        for item in made:
            lines = {line for case in item.cases for arc in case.arcs for line in arc if line > 0}
            kills = set().union(*(case.kills for case in item.cases))
            report.kept.append(
                Kept(item.name, item.cases[0].source, item.cases[0].stated, len(lines), len(kills), len(item.cases))
            )


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
    if "SystemExit" in error:
        return 'It runs as a program when it is imported: put that below `if __name__ == "__main__":`.'
    return "What it needs on import (settings, files, a service) is not there in the sandbox; make it need them later."


def _last_line(output: str) -> str:
    lines = [line for line in output.strip().splitlines() if line.strip() and not line.startswith("DSASSIST")]
    return lines[-1][:200] if lines else "no output"
