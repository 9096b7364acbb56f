"""Inputs that the model thinks of. It fills gaps in a test file that already holds tests which passed; each gap names
what nothing reaches yet. What it calls is tried and varied, what it expects is not trusted."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from dsassist.assist.testgen.repair import statements
from dsassist.assist.testgen.sources import Facts, Gaps, Seed, observing
from dsassist.backend.types import Backend, CompletionRequest
from dsassist.errors import BackendError

__all__ = ["ModelSource"]

_MAX_SOURCE, _MAX_SEEDS = 4000, 40


@dataclass(frozen=True, slots=True)
class _Ask:
    """One gap in the file: ``text`` before it, ``opening`` that the answer starts with, ``rest`` after it."""

    text: str
    opening: str
    rest: str
    stop: tuple[str, ...]
    tokens: int


class ModelSource:
    """Asked for what rules left open: ``draws`` short answers to each of up to ``asks`` questions, within ``seconds``
    altogether. Questions share their beginning, which an engine with a prefix cache reads once.

    What failed before is shown with its error, so that the model may do better.
    """

    def __init__(
        self, backend: Backend, *, draws: int = 4, asks: int = 4, seconds: float = 25.0, seed: int = 0
    ) -> None:
        self.backend, self.draws, self.asks, self.seconds, self.seed = backend, draws, asks, seconds, seed
        self.problem = ""
        self.asked = 0

    async def help(self, facts: Facts, gaps: Gaps) -> list[Seed]:
        """Seeds from every answer; a model that cannot be reached gives none and leaves the reason in ``problem``."""
        found: dict[str, Seed] = {}
        wanted = list(_asks(facts, gaps))[: 1 if gaps.failed else self.asks]
        try:
            async with asyncio.timeout(self.seconds):
                for number, ask in enumerate(wanted):
                    request = CompletionRequest(
                        prompt=ask.text + ask.opening,
                        suffix=ask.rest,
                        max_tokens=ask.tokens,
                        temperature=0.8 if self.draws > 1 else 0.0,
                        seed=self.seed + number,
                        n=self.draws,
                        stop=ask.stop,
                        path=f"tests/test_{facts.target.path.stem}.py",
                        priority="background",
                        session="testgen",
                    )
                    self.asked += 1
                    for completion in await self.backend.complete(request):
                        for seed in seeds_of(ask.opening + completion.text, facts):
                            found.setdefault("\n".join([*seed.setup, seed.act]), seed)
        except TimeoutError:
            self.problem = "the model ran out of time"
        except BackendError as error:
            self.problem = str(error)
        return list(found.values())[:_MAX_SEEDS]


def _asks(facts: Facts, gaps: Gaps) -> Iterator[_Ask]:
    """A list of calls first, for a function; then a test for each line that nothing reaches, and for planted bugs."""
    head = _head(facts)
    name = facts.target.name.strip("_") or facts.target.owner.rpartition(".")[2].lower()
    known = "".join(
        f"def test_{name}_{number}():\n" + "".join(f"    {line}\n" for line in code.splitlines()) + "\n\n"
        for number, code in enumerate(gaps.known, 1)
    )
    failed = "".join(
        f"    # fails with {error.splitlines()[0][:100]}: {call.splitlines()[-1][:100]}\n"
        for call, error in gaps.failed[:2]
        if error
    )
    ends = ("\ndef ", "\nclass ", "\nif __name__", "\n@", "\n\n\n")
    function = not facts.target.owner
    rest = '\n\n\nif __name__ == "__main__":\n    pytest.main()\n'
    if function and not gaps.failed:
        calls = [code.splitlines() for code in gaps.known]
        shown = "".join(
            f"    {lines[-1].removeprefix('assert ').partition(' == ')[0]},\n" for lines in calls if len(lines) == 1
        )
        start = f"{head}# many different inputs: ordinary, empty, extreme, invalid\nresults = [\n{shown}"
        yield _Ask(f"{start}    ", f"{facts.target.name}(", "\n]\n", ("\n]",), 120)
    aims = _aims(facts, gaps)
    for turn, aim in enumerate(aims or [""]):
        number = len(gaps.known) + turn + 1
        said = f"    # {aim[:140]}\n" if aim else ""
        # now free to make arguments first, now held to a call
        opening = f"result = {facts.target.name}(" if function and turn % 2 else ""
        yield _Ask(f"{head}{known}def test_{name}_{number}():\n{said}{failed}    ", opening, rest, ends, 72)


def _head(facts: Facts) -> str:
    """The code under test and the beginning of its test file."""
    lines = facts.source.splitlines()
    code = "\n".join(lines[facts.target.start - 1 : facts.target.end])
    if facts.target.owner:
        for node in facts.tree.body:
            if isinstance(node, ast.ClassDef) and node.name == facts.target.owner.partition(".")[0]:
                whole = "\n".join(lines[node.lineno - 1 : node.end_lineno])
                code = whole if len(whole) < _MAX_SOURCE else f"{lines[node.lineno - 1]}\n    ...\n{code}"
    wanted = facts.target.owner.partition(".")[0] or facts.target.name
    return (
        f"# {facts.module}\n{code[:_MAX_SOURCE]}\n\n\n# tests/test_{facts.target.path.stem}.py\n"
        f"import pytest\n\nfrom {facts.module} import {wanted}\n\n\n"
    )


def _aims(facts: Facts, gaps: Gaps) -> list[str]:
    """What a test should do, in words and code: the first line of each unreached block with the condition before it,
    then lines whose planted bugs go unnoticed."""
    lines = facts.source.splitlines()
    aims: list[str] = []
    previous = -1
    for line in gaps.missed:
        if line > previous + 1 or not aims:
            when = _condition(facts.target.node, line)
            aims.append(f"reaches: {lines[line - 1].strip()}" + (f"  (when {when})" if when else ""))
        previous = line
    for survivor in gaps.survivors:
        number = int(survivor.partition(":")[0])
        aim = f"depends on: {lines[number - 1].strip()}"
        if number not in gaps.missed and aim not in aims:
            aims.append(aim)
    return aims


def _condition(function: ast.AST, line: int) -> str:
    """What has to hold for ``line`` to run, as far as the innermost branch around it says."""
    found = ""
    for node in ast.walk(function):
        if isinstance(node, ast.If) and node.body[0].lineno <= line <= (node.body[-1].end_lineno or 0):
            found = ast.unparse(node.test)
        elif isinstance(node, ast.If) and node.orelse:
            if node.orelse[0].lineno <= line <= (node.orelse[-1].end_lineno or 0):
                found = f"not ({ast.unparse(node.test)})"
        elif isinstance(node, ast.ExceptHandler) and node.lineno <= line <= (node.end_lineno or 0):
            found = f"{ast.unparse(node.type) if node.type else 'something'} was raised"
    return found if len(found) < 90 else ""


def seeds_of(text: str, facts: Facts) -> list[Seed]:
    """Every call of the target in ``text``, with the assignments before it as its set-up."""
    setup: list[str] = []
    found: list[Seed] = []
    for statement in _unwrapped(statements(text)):
        expressions: list[ast.expr] = []
        if isinstance(statement, ast.Assert):
            test = statement.test
            expressions = [test.left, *test.comparators] if isinstance(test, ast.Compare) else [test]
        elif isinstance(statement, ast.Expr):
            # a list of calls, one a line, is a tuple to the parser
            value = statement.value
            expressions = list(value.elts) if isinstance(value, ast.Tuple) else [value]
        elif isinstance(statement, ast.Assign):
            act = observing(statement.value, facts.target)
            if act:
                found.append(Seed(tuple(setup), act, "model"))
            setup.append(ast.unparse(statement))
            continue
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            continue
        for expression in expressions:
            call = (
                expression.operand
                if isinstance(expression, ast.UnaryOp) and isinstance(expression.op, ast.Not)
                else expression
            )
            act = observing(call, facts.target)
            if act:
                found.append(Seed(tuple(setup), act, "model"))
        if isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant | ast.Tuple):
            setup.append(ast.unparse(statement))
    return found


def _unwrapped(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements inside ``with pytest.raises(…)`` count like the others: what really happens is observed."""
    flat: list[ast.stmt] = []
    for statement in body:
        flat += (
            statement.body
            if isinstance(statement, ast.With) and "raises" in ast.unparse(statement.items[0].context_expr)
            else [statement]
        )
    return flat
