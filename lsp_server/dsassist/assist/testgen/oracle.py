"""What the docstring states, held against what the code did."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass

from dsassist.assist.testgen.case import Case
from dsassist.assist.testgen.target import Target

__all__ = ["Suspicion", "broken_invariants", "contradictions", "crashes", "judge_examples"]


@dataclass(frozen=True, slots=True)
class Suspicion:
    """An input on which the code crashes or contradicts its docstring. ``confidence`` is "stated" or "likely"."""

    target: str
    call: str
    why: str
    confidence: str


def broken_invariants(target: Target, cases: list[Case]) -> list[Suspicion]:
    """Properties that the docstring states and that do not hold for every value."""
    found = []
    for case in cases:
        if case.invariant and case.job.get("stated") and case.outcome == "raise" and case.kind == "AssertionError":
            example = re.search(r"holds\(\s*(.+?),?\s*\)", str(case.job.get("message", "")), re.DOTALL)
            shown = f"{target.name}: {' '.join(example.group(1).split())}" if example else target.name
            why = f"the docstring promises {_PROMISED[case.invariant]}; this does not hold: {case.job['claim']}"
            found.append(Suspicion(target.qualname, shown, why, "stated"))
    return found


_PROMISED = {
    "round trip": "the inverse of another function",
    "idempotent": "that doing it twice changes nothing",
    "involution": "that doing it twice gives the same back",
    "ordered": "a sorted result",
}


def _call(case: Case) -> str:
    shown = "; ".join([*case.setup, case.act.removeprefix("result = ")])
    return shown if len(shown) < 160 else shown[:157] + "…"


def judge_examples(target: Target, cases: list[Case]) -> tuple[list[Case], list[Suspicion]]:
    """Cases without those that contradict an example of the docstring, which become suspicions; agreeing ones are marked stated."""
    kept, suspicions = [], []
    for case in cases:
        expected, raises = case.job.get("expected", ""), case.job.get("raises", "")
        if raises:
            if case.outcome == "raise" and case.exception.rpartition(".")[2] == raises.rpartition(".")[2]:
                case.stated = True
            else:
                suspicions.append(
                    Suspicion(target.qualname, _call(case), f"the docstring shows {raises}; it {_did(case)}", "stated")
                )
                continue
        elif expected:
            if case.outcome == "raise":
                suspicions.append(
                    Suspicion(
                        target.qualname, _call(case), f"the docstring shows {expected}; it {_did(case)}", "stated"
                    )
                )
                continue
            verdict = _agrees(case, expected)
            if verdict is False:
                suspicions.append(
                    Suspicion(
                        target.qualname, _call(case), f"the docstring shows {expected}; it {_did(case)}", "stated"
                    )
                )
                continue
            case.stated = verdict is True
        kept.append(case)
    return kept, suspicions


def _did(case: Case) -> str:
    if case.outcome == "raise":
        return f"raises {case.exception or case.kind}"
    return f"gives {case.facts[0][2]}" if case.facts and case.facts[0][0] == "result" else "gives something else"


def _agrees(case: Case, expected: str) -> bool | None:
    """None where the observation is no literal."""
    if not case.facts or case.facts[0][0] not in ("result", "list(result)"):
        return None
    try:
        want, got = ast.literal_eval(expected), ast.literal_eval(case.facts[0][2])
    except (ValueError, SyntaxError):
        return None
    if isinstance(want, float) or isinstance(got, float):
        return (
            isinstance(want, int | float)
            and isinstance(got, int | float)
            and abs(want - got) <= 10 ** -_decimals(expected)
            if _decimals(expected)
            else want == got
        )
    return bool(want == got)


def _decimals(text: str) -> int:
    return len(text.partition(".")[2].rstrip(")"))


# what a docstring may promise of every result: (pattern, what is promised, does the value keep it)
_PROMISES: tuple[tuple[str, str, Callable[[object], bool]], ...] = (
    (r"\breturns?:?\s[^.]*\b(non-negative|never negative)\b|\b(is never negative|always non-negative)\b", "a result that is not negative", lambda value: not isinstance(value, int | float) or value >= 0),
    (r"\breturns?:?\s[^.]*\bpositive (integer|number|float)\b", "a positive result", lambda value: not isinstance(value, int | float) or value > 0),
    (r"\b(in ascending order|sorted ascending|in increasing order|returns? (a |the )?(new )?sorted)\b", "a sorted result", lambda value: not isinstance(value, list | tuple) or _ordered(list(value), False)),
    (r"\b(in descending order|largest first|in decreasing order|highest first)\b", "a result in descending order", lambda value: not isinstance(value, list | tuple) or _ordered(list(value), True)),
    (r"\b(without duplicates|duplicates? (are )?removed|no duplicates|unique (items|elements|values)|remove[sd]? duplicates|distinct (items|elements|values))\b", "no duplicates", lambda value: not isinstance(value, list | tuple) or len(set(map(repr, value))) == len(value)),
    (r"\breturns?:?\s[^.]*\b(lower-?case)\b", "lower case", lambda value: not isinstance(value, str) or value == value.lower()),
    (r"\breturns?:?\s[^.]*\b(upper-?case)\b", "upper case", lambda value: not isinstance(value, str) or value == value.upper()),
    (r"\breturns?:?\s[^.]*\b(percentage|between 0 and 100)\b", "a result from 0 to 100", lambda value: not isinstance(value, int | float) or 0 <= value <= 100),
    (r"\b(between 0 and 1|in \[0, ?1\]|from 0 to 1|between 0\.0 and 1\.0)\b", "a result from 0 to 1", lambda value: not isinstance(value, int | float) or isinstance(value, bool) or 0 <= value <= 1),
    (r"\b(stripped|without (leading|surrounding)( or trailing| and trailing)? (white)?spaces?)\b", "no surrounding white space", lambda value: not isinstance(value, str) or value == value.strip()),
)  # fmt: skip

_CONDITIONS: tuple[tuple[str, Callable[[object], bool]], ...] = (
    (r"negative", lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value < 0),
    (r"\bzero\b", lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value == 0),
    (
        r"not positive|non-positive|less than (1|one)|below (1|one)",
        lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value <= 0,
    ),
    (
        r"\bempty\b|has no (items|elements|values)",
        lambda value: isinstance(value, str | bytes | list | tuple | dict | set) and not value,
    ),
    (r"is None\b", lambda value: value is None),
)


def _ordered(items: list[object], falling: bool) -> bool:
    try:
        return items == sorted(items, reverse=falling)  # type: ignore[type-var]
    except TypeError:
        return True


def contradictions(target: Target, cases: list[Case]) -> list[Suspicion]:
    """Promises of the docstring and of the annotations that an observed call breaks. One of a kind."""
    text = " ".join(target.docstring.split())
    parameters = [item.arg for item in (*target.node.args.posonlyargs, *target.node.args.args)]
    if target.owner and parameters[:1] in (["self"], ["cls"]):
        parameters = parameters[1:]
    found: dict[str, Suspicion] = {}
    for case in sorted(cases, key=lambda item: item.cost):
        if case.mocks:
            continue
        for why in (
            *_broken_promises(text, case),
            *_missing_raises(text, case, parameters),
            *_missing_none(text, case, parameters),
            *_changed_input(text, case),
        ):
            found.setdefault(why.split(";")[0], Suspicion(target.qualname, _call(case), why, "stated"))
    return list(found.values())[:6]


def _broken_promises(text: str, case: Case) -> list[str]:
    if case.outcome != "return" or not case.facts or case.facts[0][0] not in ("result", "list(result)"):
        return []
    try:
        value = ast.literal_eval(case.facts[0][2])
    except (ValueError, SyntaxError):
        return []
    broken = []
    for pattern, promise, keeps in _PROMISES:
        if re.search(pattern, text, re.IGNORECASE) and not keeps(value):
            broken.append(f"the docstring promises {promise}; it gives {case.facts[0][2]}")
    return broken


def _arguments(case: Case, parameters: list[str]) -> dict[str, object]:
    assigned = dict(line.split(" = ", 1) for line in case.setup if " = " in line and "\n" not in line)
    values: dict[str, object] = {}
    for position, (keyword, code) in enumerate(case.arguments):
        name = keyword or (parameters[position] if position < len(parameters) else "")
        try:
            values[name] = ast.literal_eval(assigned.get(code, code))
        except (ValueError, SyntaxError, TypeError):
            continue
    return values


_RAISES = re.compile(
    r"(?:raises?:?\s+`*(\w+(?:Error|Exception))`*:?\s*(?:is raised )?(?:if|when|for)\s+([^.;]+)|:raises\s+(\w+):\s*(?:if|when|for)?\s*([^.;:]+)|\b(\w+Error):\s*(?:if|when)\s+([^.;]+))",
    re.IGNORECASE,
)


def _missing_raises(text: str, case: Case, parameters: list[str]) -> list[str]:
    found = []
    for match in _RAISES.finditer(text):
        exception = next(filter(None, match.group(1, 3, 5)))
        condition = next(filter(None, match.group(2, 4, 6)))
        if _holds(condition, _arguments(case, parameters)) and (
            case.outcome == "return" or (case.exception.rpartition(".")[2] != exception and not case.purpose)
        ):
            found.append(f"the docstring says {exception} when {condition.strip()}; it {_did(case)}")
    return found


def _missing_none(text: str, case: Case, parameters: list[str]) -> list[str]:
    match = re.search(
        r"returns?:?\s+`*(None|0|False|True|\[\]|\{\}|an empty \w+|-1)`*\s+(?:if|when|for)\s+([^.;,]+)",
        text,
        re.IGNORECASE,
    )
    if not match or not _holds(match.group(2), _arguments(case, parameters)):
        return []
    stated = match.group(1)
    shown = (
        case.facts[0][2]
        if case.outcome == "return" and case.facts and case.facts[0][0] in ("result", "list(result)")
        else ""
    )
    fine = (
        shown in ('""', "[]", "()", "{}", "set()")
        if stated.startswith("an empty")
        else shown in (stated, stated.capitalize(), f"{stated}.0")
    )
    return [] if fine else [f"the docstring says {stated} when {match.group(2).strip()}; it {_did(case)}"]


def _holds(condition: str, values: dict[str, object]) -> bool:
    """Whether a condition in words surely holds: it names a parameter and something this value is, and nothing besides."""
    words = condition.lower()
    if re.search(r"\b(and|unless|not (?!positive))\b", words):
        return False
    named = [name for name in values if re.search(rf"\b{re.escape(name.lower())}\b", words)]
    subjects = named or (list(values) if len(values) == 1 else [])
    for name in subjects[:1]:
        compared = re.search(rf"\b{re.escape(name)}\b`*\s*(<=|>=|<|>|==)\s*(-?\d+(?:\.\d+)?)", condition)
        value = values[name]
        if compared and isinstance(value, int | float):
            limit = float(compared.group(2))
            return {
                "<": value < limit,
                "<=": value <= limit,
                ">": value > limit,
                ">=": value >= limit,
                "==": value == limit,
            }[compared.group(1)]
        matching = [test for pattern, test in _CONDITIONS if re.search(pattern, words)]
        if matching and any(test(value) for test in matching):
            return True
    return False


def _changed_input(text: str, case: Case) -> list[str]:
    if not re.search(
        r"(without (modifying|changing|mutating)|does not (modify|change|mutate)|is not (modified|changed)|(left|leaves?) [^.]{0,30}(unchanged|untouched|unmodified|alone))",
        text,
        re.IGNORECASE,
    ):
        return []
    changed = [
        left
        for left, relation, _ in case.facts
        if relation == "==" and left in {line.split(" = ")[0] for line in case.setup}
    ]
    return [f"the docstring says that the input stays as it is; {changed[0]} changes"] if changed else []


_ACCIDENTS = {
    "IndexError",
    "KeyError",
    "ZeroDivisionError",
    "UnboundLocalError",
    "AttributeError",
    "TypeError",
    "RecursionError",
    "NameError",
}


def crashes(target: Target, cases: list[Case]) -> list[Suspicion]:
    """Inputs that fit every annotation (all parameters have one) on which the target's own code raises what it never says it raises."""
    arguments = target.node.args
    parameters = [
        item
        for item in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        if item.arg not in ("self", "cls")
    ]
    if not parameters or any(
        item.annotation is None or ast.unparse(item.annotation) in ("Any", "object", "typing.Any")
        for item in parameters
    ):
        return []
    found: dict[str, Suspicion] = {}
    for case in sorted(cases, key=lambda item: item.cost):
        if (
            case.outcome != "raise"
            or case.purpose
            or case.mocks
            or case.kind not in _ACCIDENTS
            or not case.job.get("where")
        ):
            continue
        if (
            case.job.get("source") == "model"
            or case.job.get("loose")
            or case.kind in target.docstring
            or set(case.job.get("flags", ()))
        ):
            continue
        where = case.job["where"]
        found.setdefault(
            f"{case.kind} {where}",
            Suspicion(
                target.qualname,
                _call(case),
                f"raises {case.kind} at line {where}: {case.job.get('message', '')[:80]}",
                "likely",
            ),
        )
    return list(found.values())[:3]
