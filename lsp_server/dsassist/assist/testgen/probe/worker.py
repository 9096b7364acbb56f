"""The jobs: load a module, explore a target, replay candidates, score tests against mutants."""

from __future__ import annotations
import __future__

import ast
import importlib
import importlib.util
import os
import random
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _dsassist_probe import fork, score, search
from _dsassist_probe.build import Builder
from _dsassist_probe.execute import Executor
from _dsassist_probe.guard import Guard
from _dsassist_probe.literal import Literals
from _dsassist_probe.names import Names
from _dsassist_probe.observe import Observer
from _dsassist_probe.plain import Value
from _dsassist_probe.shape import Target, shape_of
from _dsassist_probe.trace import executable_lines, statement_lines

__all__ = ["Worker"]


class Worker:
    """State of one process: the module under test, the table of names, the guard."""

    def __init__(self) -> None:
        self.names = Names()
        self.module: types.ModuleType | None = None
        self.guard: Guard | None = None
        self.scratch = ""
        self.tree: ast.Module = ast.Module(body=[], type_ignores=[])
        self.file = ""

    def answer(self, job: dict[str, Any]) -> dict[str, Any]:
        """Dispatch; an internal error is an answer, too."""
        jobs: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "load": self.load,
            "explore": self.explore,
            "replay": self.replay,
            "score": self.score,
        }
        try:
            return jobs[job["op"]](job)
        except Exception as error:
            if os.environ.get("DSASSIST_PROBE_DEBUG"):
                raise
            frame = error.__traceback__
            while frame and frame.tb_next:
                frame = frame.tb_next
            where = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else ""
            return {"ok": False, "error": f"{type(error).__name__}: {error} ({where})"}

    def load(self, job: dict[str, Any]) -> dict[str, Any]:
        """Import ``file`` under the first of ``modules`` that leads to it."""
        self.scratch, self.file = job["scratch"], os.path.realpath(job["file"])
        sys.path[:0] = [root for root in job["roots"] if root not in sys.path]
        self.guard = Guard(self.scratch, [job["work"], str(Path(self.scratch).parent)])
        if sys.version_info >= (3, 12):
            warnings.filterwarnings("ignore", category=DeprecationWarning)
        error = "no module name leads to the file"
        for name in job["modules"]:
            failure = self._import(name)
            if failure is None and self.module is not None:
                break
            error = failure or error
        if self.module is None:
            return {"ok": False, "error": error}
        self.tree = ast.parse(Path(self.file).read_bytes())
        self.names.home = self.module.__name__
        for name, (module, attribute) in job.get("names", {}).items():
            self.names.table[name] = (module, attribute)
        for package in ("pytest", "hypothesis"):
            job.setdefault("has", {})[package] = importlib.util.find_spec(package) is not None
        importlib.import_module("_dsassist_probe.regex")
        return {"ok": True, "module": self.module.__name__, "has": job["has"], "python": list(sys.version_info[:3])}

    def _import(self, name: str) -> str | None:
        assert self.guard is not None
        failure: list[str] = []

        def load() -> None:
            try:
                module = importlib.import_module(name)
            except BaseException as error:  # noqa: BLE001 - importing runs any code
                failure.append(f"{type(error).__name__}: {error}")
                return
            if os.path.realpath(getattr(module, "__file__", "") or "") == self.file:
                self.module = module
            else:
                failure.append(f"{name} is {getattr(module, '__file__', None)}, not the file asked for")

        flags = self.guard.watched(load)
        if failure:
            noted = (
                f" (while importing it tried: {', '.join(sorted(flags))})"
                if flags & {"network", "writes", "processes"}
                else ""
            )
            return failure[0] + noted
        return None

    def _executor(self, start: int, end: int) -> Executor:
        assert self.guard is not None
        observer = Observer(Literals(self.names, [str(Path(self.scratch).parent)]))
        statements = statement_lines(self.tree, start, end)
        return Executor(self.names, observer, self.guard, self.scratch, (self.file, start, end), statements)

    def _valid(self, executor: Executor) -> Callable[[list[Value]], list[bool]]:
        def valid(values: list[Value]) -> list[bool]:
            jobs = [{"setup": list(value.setup), "act": f"made = {value.code}", "watch": []} for value in values]
            answers = fork.in_children(jobs, executor.run, prepare=executor.prepare, limit=2.5, budget=fork.Budget(6.0))
            blocked = {"network", "processes", "writes"}
            return [item["outcome"] == "return" and not blocked & set(item["flags"]) for item in answers]

        return valid

    def explore(self, job: dict[str, Any]) -> dict[str, Any]:
        """Find calls of ``qualname``; see ``search.explore``."""
        assert self.module is not None
        generator = random.Random(job["seed"])
        start, end = job["start"], job["end"]
        executor = self._executor(start, end)
        builder = Builder(self.names, self.module, self._valid(executor))
        target = Target.find(self.module, job["qualname"])
        shape = shape_of(target, self.names, self.module)
        slots = search.slots_of(target.function, target.bound, job["hints"], builder)
        if target.owner is not None and shape["receiver"]:
            receivers = builder.instances(target.owner)[:8]
            receivers += builder.used(target.owner, receivers, target.name, shape["variable"])
            if receivers:
                slots.insert(0, search.Slot("self", "self", False, receivers))
            else:
                self._unbind(shape, slots, builder)
        elements = executable_lines(self.tree, start, end)
        wanted = {executor.statements.get(line, line) for line in elements}
        budget = fork.Budget(job["seconds"])
        seeds = self._seeds(job["seeds"], target)
        kept, counts, failed = search.explore(slots, shape, seeds, executor, budget, wanted, generator)
        if shape["receiver"] and not any(item["good"] for item in kept):
            # nothing works on real objects: let a stand-in take the receiver's place
            self._unbind(shape, slots, builder)
            more, extra, _ = search.explore(
                slots, shape, [], executor, fork.Budget(job["seconds"] / 2), wanted, generator
            )
            kept += more
            counts = {key: counts.get(key, 0) + extra.get(key, 0) for key in {*counts, *extra}}
        # state of one call must not colour the next: what is kept is observed once more, each in a child of its own
        alone = fork.in_children(
            kept, executor.run, prepare=executor.prepare, limit=3.0, budget=fork.Budget(job["seconds"]), batch=1
        )
        candidates = []
        for candidate, again in zip(kept, alone):  # noqa: B905
            if again["outcome"] in ("return", "raise"):
                # two children may have given one name to different things: the first one keeps it
                origins = {name: (origin[0], origin[1]) for name, origin in again["imports"].items()}
                if all(self.names.table.setdefault(name, origin) == origin for name, origin in origins.items()):
                    candidates.append({**candidate, **again})
        return {
            "ok": True,
            "candidates": candidates,
            "counts": counts,
            "lines": sorted(wanted),
            "failed": failed,
            "shape": {key: shape[key] for key in ("kind",)},
            "slots": {slot.name: len(slot.values) for slot in slots},
        }

    @staticmethod
    def _unbind(shape: dict[str, Any], slots: list[search.Slot], builder: Builder) -> None:
        if slots and slots[0].keyword == "self":
            slots.pop(0)
        shape.update(template=shape["unbound"], function=shape["unbound_function"], receiver=False)
        slots.insert(0, search.Slot(shape["variable"], "", False, builder.stand_in()))

    def _seeds(self, seeds: list[dict[str, Any]], target: Target) -> list[dict[str, Any]]:
        """Candidates from outside, with every public name of the module at hand."""
        assert self.module is not None
        made = []
        for seed in seeds:
            code = "\n".join([*seed["setup"], seed["act"]])
            try:
                loaded = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
            except SyntaxError:
                continue
            module_names = vars(self.module)
            for name in loaded:
                if name in self.names.table or (
                    name not in module_names and name != self.module.__name__.rpartition(".")[2]
                ):
                    continue
                if name in module_names:
                    thing = module_names[name]
                    if isinstance(thing, types.ModuleType):
                        self.names.table[name] = (thing.__name__, "")
                    elif not hasattr(__builtins__, name):
                        self.names.table[name] = (self.module.__name__, name)
            for name, (module, attribute) in seed.get("imports", {}).items():
                self.names.table.setdefault(name, (module, attribute))
            made.append({**seed, "mocks": 0, "arguments": seed.get("arguments", [])})
        return made

    def replay(self, job: dict[str, Any]) -> dict[str, Any]:
        """Run candidates again, each alone; this process has another hash seed and home."""
        for candidate in job["candidates"]:
            for name, (module, attribute) in candidate["imports"].items():
                self.names.table[name] = (module, attribute)
        executor = self._executor(job["start"], job["end"])
        executor.call_limit = 2.0
        answers = fork.in_children(
            job["candidates"],
            executor.run,
            prepare=executor.prepare,
            limit=4.0,
            budget=fork.Budget(job["seconds"]),
            batch=1,
        )
        return {"ok": True, "answers": answers}

    def score(self, job: dict[str, Any]) -> dict[str, Any]:
        """Which tests fail on which mutants."""
        assert self.module is not None
        executor = self._executor(job["start"], job["end"])
        flags = 0
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                for alias in node.names:
                    flags |= getattr(__future__, alias.name).compiler_flag
        return {"ok": True, **score.matrix(job, self.file, flags, executor)}
