"""Inputs that the model thinks of: it fills in a test file's body; what it calls is tried, what it expects is not
trusted."""

from __future__ import annotations

import ast
import asyncio

from dsassist.assist.testgen.repair import statements
from dsassist.assist.testgen.sources import Facts, Gaps, Seed, observing
from dsassist.backend.types import Backend, CompletionRequest
from dsassist.errors import BackendError

__all__ = ["ModelSource"]

_MAX_SOURCE = 4000


class ModelSource:
    """Asked for what rules left open: ``draws`` completions with different seeds, within ``seconds`` altogether.

    What failed before is shown with its error, so that the model may do better.
    """

    def __init__(self, backend: Backend, *, draws: int = 2, seconds: float = 25.0, seed: int = 0) -> None:
        self.backend, self.draws, self.seconds, self.seed = backend, draws, seconds, seed
        self.problem = ""
        self.asked = 0

    async def help(self, facts: Facts, gaps: Gaps) -> list[Seed]:
        """Seeds from every draw; a model that cannot be reached gives none and leaves the reason in ``problem``."""
        found: dict[str, Seed] = {}
        try:
            async with asyncio.timeout(self.seconds):
                for draw in range(1 if gaps.failed else self.draws):
                    opening = "" if facts.target.owner or draw % 2 else f"assert {facts.target.name}("
                    request = CompletionRequest(
                        prompt=_prompt(facts, gaps, draw) + opening,
                        suffix='\n\n\nif __name__ == "__main__":\n    pytest.main()\n',
                        max_tokens=140,
                        temperature=0.0 if draw == 0 else 0.8,
                        seed=self.seed + draw,
                        stop=("\ndef ", "\nclass ", "\nif __name__"),
                        path=f"tests/test_{facts.target.path.stem}.py",
                        priority="background",
                        session="testgen",
                    )
                    self.asked += 1
                    for completion in await self.backend.complete(request):
                        for seed in seeds_of(opening + completion.text, facts):
                            found.setdefault("\n".join([*seed.setup, seed.act]), seed)
        except TimeoutError:
            self.problem = "the model ran out of time"
        except BackendError as error:
            self.problem = str(error)
        return list(found.values())[:24]


def _prompt(facts: Facts, gaps: Gaps, draw: int) -> str:
    lines = facts.source.splitlines()
    code = "\n".join(lines[facts.target.start - 1 : facts.target.end])
    if facts.target.owner:
        for node in facts.tree.body:
            if isinstance(node, ast.ClassDef) and node.name == facts.target.owner.partition(".")[0]:
                whole = "\n".join(lines[node.lineno - 1 : node.end_lineno])
                code = whole if len(whole) < _MAX_SOURCE else f"{lines[node.lineno - 1]}\n    ...\n{code}"
    wanted = facts.target.owner.partition(".")[0] or facts.target.name
    hints = [
        f"# fails with {error.splitlines()[0]}: {call.splitlines()[-1]}" for call, error in gaps.failed[:2] if error
    ]
    if gaps.missed:
        hints.append(f"# reaches: {lines[gaps.missed[draw % len(gaps.missed)] - 1].strip()}")
    shown = "".join(f"    {hint[:120]}\n" for hint in hints)
    return (
        f"# {facts.module}\n{code[:_MAX_SOURCE]}\n\n\n# tests/test_{facts.target.path.stem}.py\n"
        f"import pytest\n\nfrom {facts.module} import {wanted}\n\n\n"
        f"def test_{facts.target.name.strip('_')}():\n    # {facts.target.qualname}\n{shown}    "
    )


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
            expressions = [statement.value]
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
        if isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant):
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
