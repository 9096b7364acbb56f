"""The fewest, plainest cases that keep every branch and every kill."""

from __future__ import annotations

from dsassist.assist.testgen.case import Case

__all__ = ["shortlist", "smallest"]


def shortlist(cases: list[Case], size: int) -> list[Case]:
    """At most ``size`` cases, taken in turn from every path through the code, the plainest first; stated ones
    always."""
    paths: dict[object, list[Case]] = {}
    for case in sorted(cases, key=lambda item: (not item.stated, not item.purpose, item.cost)):
        paths.setdefault((case.arcs, case.jumps, case.outcome, case.exception), []).append(case)
    chosen: list[Case] = []
    depth = 0
    while len(chosen) < size and any(len(path) > depth for path in paths.values()):
        for path in paths.values():
            if len(path) > depth and len(chosen) < size:
                chosen.append(path[depth])
        depth += 1
    return chosen


def smallest(
    cases: list[Case],
    covered: frozenset[tuple[int, int]] = frozenset(),
    *,
    dead: frozenset[int] = frozenset(),
    most: int = 16,
) -> tuple[list[Case], int, int]:
    """Greedy choice: each kept case kills a mutant that those kept before it left alive, and raises coverage.

    ``covered`` and ``dead`` are what the project's own tests reach and kill. A case has to reach beyond ``covered``,
    or, where those tests run the target already, to kill what they leave alive.

    Returns:
        The kept cases in the order of choice, how many raise coverage, how many of those kill a mutant at all.
    """
    raising = [case for case in cases if case.arcs - covered or (covered and case.kills - dead)]
    killing = [case for case in raising if case.kills - dead]
    meant = [case for case in killing if not case.stumbles]
    kept: list[Case] = []
    gone: set[int] = set(dead)
    reached: set[tuple[int, int]] = set(covered)
    pool = list(meant or killing)
    while pool and len(kept) < most:
        best = min(
            pool,
            key=lambda case: (
                not (case.invariant and case.kills - gone),
                not (case.kills - gone),
                case.weak,
                not (case.stated and case.arcs - reached),
                case.mocks > 0,
                not case.purpose,
                -2 * len(case.kills - gone) - len(case.arcs - reached),
                case.cost,
            ),
        )
        if not best.kills - gone:
            break
        pool.remove(best)
        kept.append(best)
        gone |= best.kills
        reached |= best.arcs
    # a case chosen early may have become redundant; an invariant says more than the values that notice the same bugs
    for case in sorted(kept, key=lambda item: (item.stated, -item.mocks, len(item.kills))):
        others = set(dead).union(*(other.kills for other in kept if other is not case))
        paths = set(covered).union(*(other.arcs for other in kept if other is not case))
        if not case.invariant and not case.kills - others and not case.arcs - paths:
            kept.remove(case)
    return kept, len(raising), len(killing)
