"""The jobs: load a module, explore a target, try given calls, replay candidates, score tests against mutants."""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import importlib.util
import inspect
import os
import random
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _dsassist_probe import clock, fork, score, search
from _dsassist_probe.build import Builder
from _dsassist_probe.execute import Executor
from _dsassist_probe.guard import Guard
from _dsassist_probe.literal import Literals
from _dsassist_probe.names import Names
from _dsassist_probe.observe import Observer
from _dsassist_probe.plain import Value
from _dsassist_probe.reading import fields, members, own_fields
from _dsassist_probe.regex import matching
from _dsassist_probe.shape import Target, shape_of
from _dsassist_probe.slots import Slot, slots_of
from _dsassist_probe.states import used
from _dsassist_probe.trace import executable_lines, statement_lines
from _dsassist_probe.vary import Words

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
            "attempt": self.attempt,
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
        if job.get("ahead"):
            clock.shift(job["ahead"])
        error = self._import_any(job["modules"])
        if self.module is None and job.get("conftests"):
            # what pytest would have run before may be what the module waits for: settings, a path
            for number, path in enumerate(job["conftests"]):
                self.guard.watched(lambda path=path, number=number: _execute(path, f"conftest_{number}"))
            self._import_any(job["modules"])
        if self.module is None:
            return {"ok": False, "error": error}
        self.tree = ast.parse(Path(self.file).read_bytes())
        self.names.home = self.module.__name__
        for package in ("pytest", "hypothesis"):
            job.setdefault("has", {})[package] = importlib.util.find_spec(package) is not None
        importlib.import_module("_dsassist_probe.regex")
        return {"ok": True, "module": self.module.__name__, "has": job["has"], "python": list(sys.version_info[:3])}

    def _import_any(self, names: list[str]) -> str:
        """Import the file under the first name that leads to it; why the last one did not."""
        error = "no module name leads to the file"
        for name in names:
            failure = self._import(name)
            if failure is None and self.module is not None:
                break
            error = failure or error
        return error

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
        observer = Observer(Literals(self.names, [str(Path(self.scratch).parent.parent)]))
        statements = statement_lines(self.tree, start, end)
        executor = Executor(self.names, observer, self.guard, self.scratch, (self.file, start, end), statements)
        executor.module, executor.shared = self.module, self._shared(start, end)
        return executor

    def _shared(self, start: int, end: int) -> tuple[str, ...]:
        """Plain variables of the module that the lines declare ``global``, and containers that they name."""
        named: set[str] = set()
        declared: set[str] = set()
        for node in ast.walk(self.tree):
            if start <= getattr(node, "lineno", 0) <= end:
                if isinstance(node, ast.Global):
                    declared |= set(node.names)
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                    named.add(node.id)
        held = vars(self.module)
        plain = {
            name for name in declared if isinstance(held.get(name), int | float | str | bytes | tuple | type(None))
        }
        boxes = {name for name in named | declared if type(held.get(name)) in (list, dict, set)}
        return tuple(sorted(name for name in plain | boxes if name in held))

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
        slots = slots_of(target.function, target.bound, job["hints"], builder)
        if target.owner is not None and shape["receiver"]:
            receivers = builder.instances(target.owner)[:12]
            receivers += used(builder, target.owner, receivers, target.name, shape["variable"])
            if receivers:
                slots.insert(0, Slot("self", "self", False, receivers))
            else:
                self._unbind(shape, slots, builder)
        elements = executable_lines(self.tree, start, end)
        wanted = {executor.statements.get(line, line) for line in elements}
        budget = fork.Budget(job["seconds"])
        seeds = self._seeds(job["seeds"], target)
        node = self._node(start, end)
        known_fields = fields(node)

        def tell_fields() -> None:
            first = next(iter(inspect.signature(target.function).parameters), "") if target.bound else ""
            for position, slot in enumerate(slots):
                own = slot.keyword == "self" or (position == 0 and slot.name == shape["variable"])
                slot.fields = known_fields.get(first if own else slot.name, [])
                if own and target.owner is not None:
                    more = own_fields(node, self.tree, target.owner)
                    slot.fields = list(dict.fromkeys([*slot.fields, *more]))

        with contextlib.suppress(ValueError, TypeError):
            tell_fields()
        matched = [
            text for fact in job["hints"].values() for item in fact.get("regexes", ()) for text in matching(item)
        ]
        words = Words(node, self.tree, [*matched, *members(node, self.module, target.owner)])
        kept, counts, failed = search.explore(
            slots, shape, seeds, executor, budget, wanted, generator, words, follow=builder.rows
        )
        if shape["receiver"] and not any(item["good"] for item in kept):
            # nothing works on real objects: let a stand-in take the receiver's place
            self._unbind(shape, slots, builder)
            with contextlib.suppress(ValueError, TypeError):
                tell_fields()
            more, extra, _ = search.explore(
                slots,
                shape,
                [],
                executor,
                fork.Budget(job["seconds"] / 2),
                wanted,
                generator,
                words,
                follow=builder.rows,
            )
            kept += more
            counts = {key: counts.get(key, 0) + extra.get(key, 0) for key in {*counts, *extra}}
        candidates = self._alone(kept, executor, job["seconds"])
        return {
            "ok": True,
            "candidates": candidates,
            "counts": counts,
            "lines": sorted(wanted),
            "failed": failed,
            "shape": {key: shape[key] for key in ("kind",)},
            "slots": {slot.name: len(slot.values) for slot in slots},
        }

    def _alone(self, kept: list[dict[str, Any]], executor: Executor, seconds: float) -> list[dict[str, Any]]:
        """State of one call must not colour the next: what is kept is observed once more, each alone in a child."""
        # two children may have given one name to different things: the first one keeps it
        kept = [candidate for candidate in kept if self._adopted(candidate)]
        alone = fork.in_children(
            kept, executor.run, prepare=executor.prepare, limit=3.0, budget=fork.Budget(seconds), batch=1
        )
        candidates = []
        for candidate, again in zip(kept, alone):  # noqa: B905
            if again["outcome"] in ("return", "raise") and self._adopted(again):
                candidates.append({**candidate, **again})
        return candidates

    def _adopted(self, answer: dict[str, Any]) -> bool:
        """Take over the names that a child gave; whether none of them means something else here."""
        origins = {name: (origin[0], origin[1]) for name, origin in answer["imports"].items()}
        return all(self.names.table.setdefault(name, origin) == origin for name, origin in origins.items())

    def attempt(self, job: dict[str, Any]) -> dict[str, Any]:
        """Run the given ``seeds`` alone; ``failed`` says why those that came to nothing did."""
        assert self.module is not None
        for package in job.get("packages", ()):
            importlib.import_module(package)  # once here, not in every child
        if "hypothesis" in job.get("packages", ()):
            warm_hypothesis()
        executor = self._executor(job["start"], job["end"])
        executor.call_limit = job.get("limit", executor.call_limit)
        target = Target.find(self.module, job["qualname"])
        seeds = self._seeds(job["seeds"], target)
        kept, counts, failed = search.explore(
            [], {}, seeds, executor, fork.Budget(job["seconds"]), set(), random.Random(0)
        )
        return {
            "ok": True,
            "candidates": self._alone(kept, executor, job["seconds"]),
            "counts": counts,
            "failed": failed,
        }

    def _node(self, start: int, end: int) -> ast.AST:
        """The definition whose first decorator is at line ``start``."""
        for node in ast.walk(self.tree):
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and node.end_lineno == end
                and min([node.lineno, *(item.lineno for item in node.decorator_list)]) == start
            ):
                return node
        return self.tree

    @staticmethod
    def _unbind(shape: dict[str, Any], slots: list[Slot], builder: Builder) -> None:
        if slots and slots[0].keyword == "self":
            slots.pop(0)
        shape.update(template=shape["unbound"], function=shape["unbound_function"], receiver=False)
        slots.insert(0, Slot(shape["variable"], "", False, builder.stand_in()))

    def _seeds(self, seeds: list[dict[str, Any]], target: Target) -> list[dict[str, Any]]:
        """Candidates from outside, with every public name of the module at hand."""
        assert self.module is not None
        made = []
        for seed in seeds:
            code = "\n".join([*seed["setup"], seed["act"]])
            try:
                walked = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)]
            except SyntaxError:
                continue
            loaded = {node.id for node in walked} - {node.id for node in walked if isinstance(node.ctx, ast.Store)}
            module_names = vars(self.module)
            if any(name.lower().startswith("test") for name in loaded):
                continue  # imported by such a name it would be collected as a test
            origins = {
                name: (origin[0], origin[1]) for name, origin in seed.get("imports", {}).items() if name in loaded
            }
            if not all(self._fits(name, origin) for name, origin in origins.items()):
                continue  # a name that means something else here, or nothing
            origins = {name: self.names.table.get(name, origin) for name, origin in origins.items()}
            for name in loaded - set(origins):
                if name in self.names.table or (
                    name not in module_names and name != self.module.__name__.rpartition(".")[2]
                ):
                    continue
                if name in module_names:
                    thing = module_names[name]
                    if isinstance(thing, types.ModuleType):
                        self.names.table[name] = (thing.__name__, "")
                    elif not hasattr(builtins, name):
                        self.names.table[name] = (self.module.__name__, name)
            self.names.table.update(origins)
            made.append({**seed, "mocks": 0, "arguments": seed.get("arguments", [])})
        return made

    def _fits(self, name: str, origin: tuple[str, str]) -> bool:
        """Whether ``origin`` is what ``name`` means already, perhaps by another way, or may become it."""
        known = self.names.table.get(name, origin)
        try:
            things = [self.names.resolved(item) for item in {known, origin}]
        except (ImportError, AttributeError):
            return False
        return all(thing is things[0] for thing in things)

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
        return {"ok": True, **score.matrix(job, self.file, score.flags_of(self.tree), executor)}


def _execute(path: str, name: str) -> None:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is not None and spec.loader is not None:
        with contextlib.suppress(BaseException):  # whatever it raises: the import that follows says what is missing
            spec.loader.exec_module(importlib.util.module_from_spec(spec))


def warm_hypothesis() -> None:
    """Let it make its table of characters here, once, and not in every child: that takes seconds."""
    import hypothesis
    from hypothesis import strategies

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hypothesis.find(strategies.text(min_size=1), bool, settings=hypothesis.settings(database=None, max_examples=5))
