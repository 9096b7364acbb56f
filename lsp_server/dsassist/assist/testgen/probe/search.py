"""Looks for calls of the target that reach its lines and branches, with coverage as the guide."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Any

from _dsassist_probe import fork
from _dsassist_probe.adopt import picks_of
from _dsassist_probe.combine import call_text
from _dsassist_probe.execute import Executor
from _dsassist_probe.plain import BY_TYPE, Value
from _dsassist_probe.slots import Slot
from _dsassist_probe.trace import Tracer
from _dsassist_probe.vary import Words, varied, with_attribute

__all__ = ["explore"]

_PER_PATH = 8
_PATIENCE = 448
"""Calls without news after which the search ends while lines are missing."""
_REFUSED = re.compile(
    r"property '(\w+)' of '\w+' object has no setter|object attribute '(\w+)' is read-only|field '(\w+)'"
)
_USELESS = {"setup", "timeout", "output", "memory", "hang", "died", "unrun", "recursion"}


Picks = tuple["Value | None", ...]
"""A value a slot, None where an optional argument is left out."""

Follow = Callable[[list[str]], list[list[str]]]
"""Arguments worth a try, for parameters of these names."""


def explore(
    slots: list[Slot],
    shape: dict[str, Any],
    seeds: list[dict[str, Any]],
    executor: Executor,
    budget: fork.Budget,
    wanted: set[int],
    generator: random.Random,
    words: Words | None = None,
    follow: Follow | None = None,
    runs: int = 1200,
) -> tuple[list[dict[str, Any]], dict[str, int], list[dict[str, Any]]]:
    """Candidates worth keeping, with their outcomes, counts of what was tried, and some that failed.

    First every value of every slot; then, guided by new lines and branches, combinations of values and values with
    other literals, for as long as that finds something or lines are missing.
    """
    search = _Search(slots, shape, executor, budget)
    search.follow = follow
    if seeds:
        taken = [picks_of(seed, slots, shape, executor.names.table) if shape else None for seed in seeds]
        search.batch(list(zip(seeds, taken)))  # noqa: B905
        for picks in filter(None, taken):
            for slot, value in zip(slots, picks):  # noqa: B905
                if value is not None and value not in slot.values and len(slot.values) < 48:
                    slot.values.append(value)
    if slots or shape.get("bare"):
        base: Picks = tuple(None if slot.optional else slot.values[0] for slot in slots)
        single = [
            (pick, _varied(base, position, value))
            for position, slot in enumerate(slots)
            for pick, value in enumerate(slot.values)
        ]
        search.calls([base, *(picks for pick, picks in single if pick < 4)])
        search.calls([picks for pick, picks in single if pick >= 4])
        fruitless = rounds = 0
        while budget.left > 0.3 and search.counts["tried"] < runs and slots and not search.stuck and rounds < 200:
            missing = not wanted <= {line for arc in search.covered for line in arc}
            if fruitless >= (_PATIENCE if missing else _PATIENCE * 3 // 4 if Tracer.one_sided(search.jumps) else 96):
                break
            before = search.counts["tried"]
            news = search.calls([_another(search.corpus or [base], slots, words, generator) for _ in range(32)])
            fruitless = 0 if news else fruitless + search.counts["tried"] - before
            rounds += 1
    return search.kept, search.counts, search.failures[:24]


class _Search:
    def __init__(self, slots: list[Slot], shape: dict[str, Any], executor: Executor, budget: fork.Budget) -> None:
        self.slots, self.shape, self.executor, self.budget = slots, shape, executor, budget
        self.kept: list[dict[str, Any]] = []
        self.counts: dict[str, int] = {"tried": 0}
        self.covered: set[tuple[int, int]] = set()
        self.jumps: set[int] = set()
        self.corpus: list[Picks] = []
        self.failures: list[dict[str, Any]] = []
        self.follow: Follow | None = None
        self._called: list[dict[str, Any]] = []
        self._paths: dict[Any, int] = {}
        self._seen: set[str] = set()

    @property
    def stuck(self) -> bool:
        """Whether most calls hang."""
        return self.counts.get("timeout", 0) + self.counts.get("hang", 0) >= 8

    def calls(self, choices: Sequence[Picks]) -> int:
        """Try calls; how many jumps between lines are new."""
        return self.batch([(_candidate(self.slots, picks, self.shape), picks) for picks in choices])

    def batch(self, candidates: Sequence[tuple[dict[str, Any], Picks | None]]) -> int:
        """Try candidates; how many jumps between lines are new."""
        fresh = []
        for candidate, picks in candidates:
            key = "\n".join([*candidate["setup"], candidate["act"]])
            if key not in self._seen:
                self._seen.add(key)
                fresh.append((candidate, picks))
        executor = self.executor
        answers = fork.in_children(
            [item[0] for item in fresh], executor.run, prepare=executor.prepare, limit=3.0, budget=self.budget
        )
        news = sum(self._note(candidate, picks, answer) for (candidate, picks), answer in zip(fresh, answers))  # noqa: B905
        called, self._called = self._called, []
        return news + (self.batch([(candidate, None) for candidate in called]) if called else 0)

    def _note(self, candidate: dict[str, Any], picks: Picks | None, answer: dict[str, Any]) -> int:
        counts, outcome = self.counts, answer["outcome"]
        if outcome == "unrun":
            return 0
        counts["tried"] += 1
        for flag in answer.get("flags", ()):
            counts[f"flag {flag}"] = counts.get(f"flag {flag}", 0) + 1
        code = [*candidate["setup"], candidate["act"]]
        if outcome in _USELESS:
            counts[outcome] = counts.get(outcome, 0) + 1
            error = answer.get("error", "")
            self.failures.append({"code": code, "outcome": outcome, "error": error})
            if refused := _REFUSED.search(error):
                for slot in self.slots:
                    slot.fields = [name for name in slot.fields if name not in refused.groups()]
            if outcome in ("timeout", "hang"):
                self.executor.call_limit = max(0.25, self.executor.call_limit * 0.7)
            return 0
        arcs = {(first, last) for first, last in answer.get("arcs", ())}
        jumps = set(answer.get("jumps", ()))
        good = bool(arcs) and (outcome == "return" or answer.get("purpose") or answer.get("ordinary"))
        if (arcs - self.covered or jumps - self.jumps) and (good or len(self.corpus) < 4) and picks is not None:
            self.corpus.append(picks)
        news = 0
        if not good:
            counts["crash"] = counts.get("crash", 0) + 1
            if candidate["source"] != "inputs":
                failed = f"{answer.get('kind')}: {answer.get('message')}" if outcome == "raise" else "does not call it"
                self.failures.append({"code": code, "outcome": outcome, "error": failed})
        else:
            news = len(arcs - self.covered) + len(jumps - self.jumps)
            self.covered.update(arcs)
            self.jumps.update(jumps)
        if good and "callable" in answer and self.follow is not None:
            self._call_result(candidate, answer["callable"])
        path = (outcome, answer.get("kind"), frozenset(arcs), frozenset(jumps), good)
        self._paths[path] = self._paths.get(path, 0) + 1
        if arcs and self._paths[path] <= (_PER_PATH if good else 1):
            self.kept.append({**candidate, **answer, "good": good})
        return news

    def _call_result(self, candidate: dict[str, Any], names: list[str]) -> None:
        """A function that comes back says nothing by itself: it is called, too."""
        act, after = candidate["act"], candidate.get("calls", 0)
        if "\n" in act or not act.startswith("result = ") or after > 1 or self.counts.get("followed", 0) > 240:
            return
        assert self.follow is not None
        for arguments in self.follow(names)[: 12 if self.counts.get("followed", 0) < 60 else 3]:
            self.counts["followed"] = self.counts.get("followed", 0) + 1
            called = {**candidate, "act": f"{act}({', '.join(arguments)})", "calls": after + 1, "arguments": []}
            self._called.append({key: item for key, item in called.items() if key not in ("expected", "raises")})


def _varied(base: Picks, position: int, value: Value) -> Picks:
    return (*base[:position], value, *base[position + 1 :])


def _another(corpus: list[Picks], slots: list[Slot], words: Words | None, generator: random.Random) -> Picks:
    """One of the calls that reached something, with one to three arguments changed."""
    picks = list(generator.choice(corpus[-8:] if generator.random() < 0.6 else corpus))
    for _ in range(generator.choice((1, 1, 2, 3))):
        position = generator.randrange(len(slots))
        slot, value = slots[position], picks[position]
        if (
            words is not None
            and value is not None
            and slot.fields
            and value.code[-1:] not in _PLAIN
            and generator.random() < 0.3
        ):
            plain = slot.values[0]
            fresh = plain.code if not plain.setup and not plain.mock else ""
            picks[position] = with_attribute(value, slot.fields, words, generator, fresh)
        elif (
            words is not None
            and value is not None
            and slot.keyword != "**"
            and (len(slots) == 1 or generator.random() < 0.6)
        ):
            picks[position] = varied(value, words, generator)
        else:
            chosen = generator.randrange(-1 if slot.optional else 0, len(slot.values))
            picks[position] = slot.values[chosen] if chosen >= 0 else None
    return tuple(picks)


def _candidate(slots: list[Slot], picks: Picks, shape: dict[str, Any]) -> dict[str, Any]:
    """The lines of a test that calls the target with the picked values."""
    setup: list[str] = []
    watch: list[str] = []
    arguments: list[tuple[str, str]] = []
    receiver = ""
    skipped = False
    mocks = rank = loose = 0
    for slot, value in zip(slots, picks):  # noqa: B905
        if value is None:
            skipped = True
            continue
        setup += [line for line in value.setup if line not in setup]
        mocks += value.mock
        rank += slot.rank(value)
        loose += value.loose
        code = value.code
        if slot.keyword == "self":
            receiver = shape["variable"]
            if code != receiver:
                setup.append(f"{receiver} = {code}")
            setup += [f"{receiver}.{line}" for line in value.after]
            watch.append(receiver)
            continue
        mutable = (
            (code.startswith(("[", "{", "iter(", "set(")) and len(code) > 2)
            or value.mock
            or value.after
            or (code[:1].isalpha() and code.endswith(")") and "lambda" not in code)
        )
        if mutable and slot.keyword not in ("*", "**"):
            name = slot.name.strip("_") or "argument"
            name = f"{name}_" if name in _TAKEN or name in shape["names"] or name == shape["variable"] else name
            setup.append(f"{name} = {code}")
            setup += [f"{name}.{line}" for line in value.after]
            watch.append(name)
            code = name
        if slot.keyword == "*":
            arguments.append(("", code) if not skipped else ("", ""))
        elif slot.keyword == "**":
            arguments.append(("", code))
        else:
            arguments.append((slot.keyword, code))
    # positional arguments may not follow keywords: *args after a given optional turns those positional
    if any(not name and "=" not in code for name, code in arguments[1:]) and any(name for name, _ in arguments):
        arguments = [item for item in arguments if item[1]]
        arguments.sort(key=lambda item: bool(item[0]) or item[1].startswith(("a=", "name=")))
    arguments = [item for item in arguments if item[1]]
    return {
        "setup": setup,
        "act": _act(shape, receiver, arguments),
        "watch": watch,
        "source": "inputs",
        "mocks": mocks,
        "rank": rank,
        "loose": loose,
        "arguments": [list(item) for item in arguments],
    }


_PLAIN = "\"']}0123456789"
_TAKEN = {
    "result",
    "output",
    "tmp_path",
    *BY_TYPE,
    "list",
    "dict",
    "object",
    "iter",
    "map",
    "filter",
    "input",
    "format",
    "pytest",
}


def _act(shape: dict[str, Any], receiver: str, arguments: list[tuple[str, str]]) -> str:
    template: str = shape["template"]
    codes = [code for _, code in arguments]
    if "{operand}" in template:
        return template.format(
            self=receiver, operand=codes[0] if codes else "None", second=codes[1] if len(codes) > 1 else "None"
        )
    function = f"{receiver}.{shape['function']}" if receiver else shape["function"]
    return template.replace("{self}", receiver).replace("{call}", call_text(function, arguments))
