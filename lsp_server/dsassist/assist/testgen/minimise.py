"""The fewest, plainest cases that keep every branch and every kill."""

from __future__ import annotations

from dsassist.assist.testgen.case import Case

__all__ = ["shortlist", "smallest"]


def shortlist(cases: list[Case], size: int) -> list[Case]:
    """At most ``size`` cases, taken in turn from every path through the code, the plainest first; stated ones
    always."""
    paths: dict[object, list[Case]] = {}
    for case in sorted(cases, key=lambda item: (not item.stated, not item.purpose, item.cost)):
        paths.setdefault((case.arcs, case.outcome, case.exception), []).append(case)
    chosen: list[Case] = []
    depth = 0
    while len(chosen) < size and any(len(path) > depth for path in paths.values()):
        for path in paths.values():
            if len(path) > depth and len(chosen) < size:
                chosen.append(path[depth])
        depth += 1
    return chosen


def smallest(
    cases: list[Case], covered: frozenset[tuple[int, int]] = frozenset(), *, most: int = 14
) -> tuple[list[Case], int, int]:
    """Greedy choice: each kept case raises coverage over ``covered`` and kills a mutant
    that those kept before it left alive.

    Returns:
        The kept cases in the order of choice, how many raise coverage, how many of those kill a mutant at all.
    """
    raising = [case for case in cases if case.arcs - covered]
    killing = [case for case in raising if case.kills]
    kept: list[Case] = []
    dead: set[int] = set()
    reached: set[tuple[int, int]] = set(covered)
    pool = list(killing)
    while pool and len(kept) < most:
        best = min(
            pool,
            key=lambda case: (
                not (case.kills - dead),
                not (case.stated and case.arcs - reached),
                case.mocks > 0,
                not case.purpose,
                -2 * len(case.kills - dead) - len(case.arcs - reached),
                case.cost,
            ),
        )
        if not best.kills - dead:
            break
        pool.remove(best)
        kept.append(best)
        dead |= best.kills
        reached |= best.arcs
    # a case chosen early may have become redundant
    for case in sorted(kept, key=lambda item: (item.stated, -item.mocks, len(item.kills))):
        others = set().union(*(other.kills for other in kept if other is not case), frozenset())
        paths = set(covered).union(*(other.arcs for other in kept if other is not case))
        if not case.kills - others and not case.arcs - paths:
            kept.remove(case)
    return kept, len(raising), len(killing)
