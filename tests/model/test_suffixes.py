"""A suffix taken over from an earlier prompt: exact where it can be, never beyond its limits, never in the tree."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dsassist_model.engine import suffixes
from dsassist_model.engine.suffixes import FEWEST_TOKENS, MOST_CHANGED, MOST_OF_SESSION, MOST_TOKENS, SuffixCache
from dsassist_model.prompt import build

BEFORE = "def area(width, height):\n    return width"
AFTER = "\n\n\ndef volume(width, height, depth):\n    return area(width, height) * depth\n"


def ask(engines: Any, engine: Any, before: str, after: str = AFTER, **options: Any) -> Any:
    built = build(engine.tokenizer, before, after, limit=400)
    assert built.suffix is not None
    return engines.ask(engine, built.tokens, suffix=built.suffix, **{"max_tokens": 12, **options}).wait()


def test_with_one_layer_nothing_is_lost(engines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """There keys and values come from a token and its place alone: what was turned is what would be computed."""
    monkeypatch.setattr(suffixes, "KEPT_TYPE", torch.float32)
    typing, exact = engines.make(), engines.make()
    for count in range(len(BEFORE) - 12, len(BEFORE) + 1):
        reused = ask(engines, typing, BEFORE[:count], reuse_suffix=True, logprobs=True)
        anew = ask(engines, exact, BEFORE[:count], logprobs=True)
        assert reused.text == anew.text
        told = [[v for piece in asked.pieces for v in piece.logprobs] for asked in (reused, anew)]
        assert told[0] == pytest.approx(told[1], abs=1e-3)
    details = reused.last.details
    assert details["prompt_tokens_reused"] > FEWEST_TOKENS
    assert details["prompt_tokens_computed"] <= 8
    assert typing.counters.prompt_tokens_reused == 12 * details["prompt_tokens_reused"]


def test_it_is_taken_over_only_when_asked_for(engines: Any) -> None:
    engine = engines.make()
    ask(engines, engine, BEFORE)
    assert ask(engines, engine, BEFORE + " *").last.details["prompt_tokens_reused"] == 0
    assert ask(engines, engine, BEFORE + " * 2", reuse_suffix=True).last.details["prompt_tokens_reused"] > 0


@pytest.mark.parametrize("change", ["another beginning", "too much typed", "another suffix"])
def test_what_differs_too_much_is_read_anew(engines: Any, change: str) -> None:
    engine = engines.make()
    before, after = BEFORE, AFTER
    ask(engines, engine, BEFORE * 2)
    if change == "another beginning":
        before = "class Other:\n    pass\n" * 6
    elif change == "too much typed":
        before = BEFORE * 2 + "".join(f" + {n}" for n in range(MOST_CHANGED))
    else:
        after = "\n\n\nclass Other:\n    pass\n"
    assert ask(engines, engine, before, after, reuse_suffix=True).last.details["prompt_tokens_reused"] == 0


@pytest.mark.parametrize("lines", [1, -1])
@pytest.mark.parametrize("window", [4, 8])
def test_a_cursor_that_went_down_or_up_takes_what_is_shared(engines: Any, lines: int, window: int) -> None:
    """With one layer nothing is lost but what bfloat16 loses. A window of 4 lines behind the cursor moves along, one
    of 8 is cut by the end of the file."""
    whole = [f"step_{n} = step(state, {n * 7919})\n" for n in range(8)]
    typing, exact = engines.make(), engines.make()
    ask(engines, typing, "".join(whole[:3]) + "now", "".join(whole[3 : 3 + window]))
    at = 3 + lines
    before, after = "".join(whole[:at]) + "now", "".join(whole[at : at + window])
    reused = ask(engines, typing, before, after, reuse_suffix=True, logprobs=True)
    anew = ask(engines, exact, before, after, logprobs=True)
    told = [next(v for piece in asked.pieces for v in piece.logprobs) for asked in (reused, anew)]
    assert told[0] == pytest.approx(told[1], abs=2e-2)
    details = reused.last.details
    assert details["prompt_tokens_reused"] >= 3 * FEWEST_TOKENS
    assert details["prompt_tokens_reused"] + details["prompt_tokens_cached"] < details["prompt_tokens"]


def test_what_the_cache_has_of_a_suffix_is_not_copied(engines: Any) -> None:
    engine = engines.make()
    lines = [f"step_{n} = step(state, {n * 7919})\n" for n in range(8)]
    before, after = lines[0] + "now", "".join(lines[2:])
    ask(engines, engine, before, lines[2] + "another()\n", session="other")  # its first line stays in the tree
    ask(engines, engine, lines[0], after)
    built = build(engine.tokenizer, before, after, limit=400)
    details = ask(engines, engine, before, after, reuse_suffix=True).last.details
    assert built.suffix is not None
    assert details["prompt_tokens_cached"] > built.suffix[0]
    assert details["prompt_tokens_reused"] > FEWEST_TOKENS
    assert details["prompt_tokens_computed"] < FEWEST_TOKENS


def test_what_was_taken_over_stays_out_of_the_tree(engines: Any) -> None:
    engine = engines.make()
    ask(engines, engine, BEFORE[:-4])
    ask(engines, engine, BEFORE, reuse_suffix=True)
    built = build(engine.tokenizer, BEFORE, AFTER, limit=400)
    exact = ask(engines, engine, BEFORE)
    assert built.suffix is not None
    assert exact.last.details["prompt_tokens_cached"] <= built.suffix[0]
    assert exact.last.details["prompt_tokens_computed"] >= built.suffix[1] - built.suffix[0]


def test_little_memory_forgets_them(engines: Any) -> None:
    engine = engines.make()
    ask(engines, engine, BEFORE)
    ask(engines, engine, "x", "")  # once this one is begun, the first is put away
    assert engine.suffixes.tokens
    engine.shrink_cache(512)
    ask(engines, engine, "x", "")
    assert not engine.suffixes.tokens


def test_the_oldest_goes_when_there_are_too_many(engines: Any) -> None:
    engine = engines.make()
    pool = engine.cache.pool
    kept = SuffixCache(pool, engine.model.cos, engine.model.sin)
    size = MOST_TOKENS // 4
    for first in range(6):
        assert kept.keep([first] * (size + 3), (3, size + 3), list(range(pool.pages)), session=str(first))
    assert kept.tokens == 4 * size
    assert not kept.find([0] * (size + 3), (3, size + 3))
    assert kept.find([5] * (size + 3), (3, size + 3))


def test_a_session_keeps_its_newest(engines: Any) -> None:
    engine = engines.make()
    kept = SuffixCache(engine.cache.pool, engine.model.cos, engine.model.sin)
    size, pages = FEWEST_TOKENS, list(range(engine.cache.pool.pages))
    kept.keep([99] * (size + 3), (3, size + 3), pages, session="other")
    for first in range(MOST_OF_SESSION + 1):
        kept.keep([first] * (size + 3), (3, size + 3), pages, session="one")
    found = [bool(kept.find([first] * (size + 3), (3, size + 3))) for first in range(MOST_OF_SESSION + 1)]
    assert found == [False] + [True] * MOST_OF_SESSION
    assert kept.find([99] * (size + 3), (3, size + 3))


def test_one_too_short_is_not_kept(engines: Any) -> None:
    engine = engines.make()
    kept = SuffixCache(engine.cache.pool, engine.model.cos, engine.model.sin)
    assert not kept.keep([1] * (FEWEST_TOKENS + 2), (3, FEWEST_TOKENS + 2), list(range(engine.cache.pool.pages)))
    assert not kept.tokens


def test_turning_there_and_back(engines: Any) -> None:
    engine = engines.make()
    kept = SuffixCache(engine.cache.pool, engine.model.cos, engine.model.sin)
    keys = torch.randn(1, 2, engine.model.config.head_dim, 5)
    there = kept._turned(keys, 7)
    assert not torch.allclose(there, keys, atol=1e-3)
    assert torch.allclose(kept._turned(there, -7), keys, atol=1e-5)
