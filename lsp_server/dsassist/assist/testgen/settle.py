"""What of an observation can be asserted: nothing that is bound to the run, the machine or the day."""

from __future__ import annotations

import re
from typing import Any

from dsassist.assist.testgen.case import Case

__all__ = ["BLOCKED", "about_result", "body", "sees_the_same", "settle", "usable"]

BLOCKED = {
    "network": "reaches for the network",
    "processes": "starts processes",
    "writes": "writes outside its scratch folder",
    "environment": "reads files of this machine",
    "input": "reads standard input",
}
_PLAIN = {"str", "int", "float", "bytes", "list", "tuple", "dict", "set"}


def usable(case: Case) -> bool:
    """Whether a test can be made of it."""
    if set(case.job.get("flags", ())) & set(BLOCKED) or not case.job.get("good", True):
        return False
    if case.outcome == "return":
        return bool(case.facts)
    # what a stand-in makes standard functions raise says nothing about the target
    return case.outcome == "raise" and bool(case.exception) and bool(case.arcs) and (case.purpose or not case.mocks)


def body(case: Case) -> str:
    """A passing test's body, for the model to read."""
    call = case.act.removeprefix("result = ")
    if case.outcome == "raise":
        last = f"with pytest.raises({case.exception}):\n    {call}"
    elif len(case.facts) == 1 and case.facts[0][0] == "result" and "\n" not in call:
        last = f"assert {call} {'is' if case.facts[0][1] == 'is' else '=='} {case.facts[0][2]}"
    else:
        last = case.act
    return "\n".join([*case.setup, last])


def about_result(case: Case) -> bool:
    """Leave the facts about the result; whether that is fewer, and any."""
    about = [fact for fact in case.facts if re.search(r"\bresult\b", fact[0])]
    fewer = 0 < len(about) < len(case.facts)
    case.facts = about or case.facts
    return fewer


def sees_the_same(case: Case, again: dict[str, Any]) -> bool:
    """Whether ``again``, another observation, agrees in all that is asserted and in the way through the code."""
    arcs = frozenset((arc[0], arc[1]) for arc in again.get("arcs", ()))
    if again.get("outcome") != case.outcome or again.get("kind", "") != case.kind or arcs != case.arcs:
        return False
    known = {tuple(fact) for fact in again.get("facts", ())}
    return again.get("match", "") == case.match and all(fact in known for fact in case.facts)


def settle(case: Case, again: dict[str, object]) -> bool:
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
        # all that was specific was bound to the run
        case.facts = [fact for fact in case.facts if fact[0] == "result" and not case.mocks]
        case.job["weak"] = True
    return bool(case.facts) or _settle_for_type(case)


def _settle_for_type(case: Case) -> bool:
    """What is left of a value that is another one in every run: its type."""
    if "result" not in case.act or case.kind not in _PLAIN or case.mocks:
        return False
    case.facts = [("result", "isinstance", case.kind)]
    case.job["weak"] = True
    return True
