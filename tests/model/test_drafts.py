"""Drafts: what is guessed, and how much of it is worth verifying."""

from __future__ import annotations

import random

import pytest

from dsassist_model.engine.drafts import LONGEST_KEY, Draft, DraftLength, LookupDraft


def defined(tokens: list[int], most: int) -> Draft:
    """What followed the last occurrence of the longest end, by trying all."""
    for key in range(min(LONGEST_KEY, len(tokens) - 1), 0, -1):
        for at in range(len(tokens) - 1, key - 1, -1):
            if tokens[at - key : at] == tokens[len(tokens) - key :]:
                return Draft(tokens[at : at + most], key)
    return Draft([])


def test_it_is_the_longest_and_the_latest() -> None:
    rng = random.Random(1)
    for _ in range(300):
        tokens = [rng.randrange(4) for _ in range(rng.randrange(1, 40))]
        grown = LookupDraft(tokens[:1])
        for token in tokens[1:]:
            grown.extend((token,))
        assert grown.propose(5) == LookupDraft(tokens).propose(5) == defined(tokens, 5)


def test_texts_are_kept_apart() -> None:
    lookup = LookupDraft([1, 2, 3], [[3, 7, 8], [9, 9]])
    assert lookup.propose(6) == Draft([7, 8], 1)
    assert LookupDraft([5], [[5]]).propose(3) == Draft([], 1)
    assert LookupDraft([1]).propose(3).tokens == []


@pytest.mark.parametrize(("held", "least", "most"), [(0.0, 0, 1), (1.0, 7, 15)])
def test_the_length_follows_what_was_accepted(held: float, least: int, most: int) -> None:
    length = DraftLength()
    for rows, seconds in ((1, 0.010), (2, 0.0105), (4, 0.012), (8, 0.015), (16, 0.022)):
        length.took(rows, seconds)
    for _ in range(200):
        length.verified(3, 7, round(7 * held))
    assert least <= length.best(3, 1, 15) <= most


def test_a_machine_where_every_row_costs_is_not_asked_to_guess() -> None:
    length = DraftLength()
    for rows in (1, 2, 4, 8, 16):
        length.took(rows, 0.010 * rows)
    assert length.best(1, 1, 15) == 0
    assert length.best(0, 1, 15) == 0
