"""Answers that begin with one of a few names."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from dsassist_model.engine.guide import Guide

NAMES = ("alpha", "alpine", "be", "bed_rock", "größe")


@pytest.mark.parametrize("prompt", ["x = y.", "def f(x):\n    return x.", "import os\nos."])
@pytest.mark.parametrize("draft", [True, False])
def test_an_answer_begins_with_one_of_the_names(engines: Any, prompt: str, draft: bool) -> None:
    engine = engines.make(draft=draft)
    text = engines.ask(engine, prompt, max_tokens=24, names=NAMES).wait().text
    found = re.match(r"\w+", text)
    assert found is not None
    assert found[0] in NAMES or any(name.startswith(found[0]) for name in NAMES if len(text) == len(found[0]))


def test_a_seeded_answer_too(engines: Any) -> None:
    engine = engines.make()
    said = {
        engines.ask(engine, "x.", max_tokens=12, names=("one", "two"), temperature=1.5, seed=seed).wait().text[:3]
        for seed in range(8)
    }
    assert said <= {"one", "two"}


def test_without_names_nothing_changes(engines: Any) -> None:
    engine = engines.make()
    free = engines.ask(engine, "x = y.", max_tokens=12).wait().text
    assert engines.ask(engine, "x = y.", max_tokens=12, names=()).wait().text == free
    assert engines.ask(engine, "x = y.", max_tokens=12, names=("",)).wait().text == free


def test_a_whole_name_is_not_lengthened_into_a_word(engines: Any) -> None:
    tokenizer = engines.make().tokenizer
    guide = Guide(tokenizer, ["get"])
    for token in tokenizer.encode("get"):
        guide.take(token)
    logits = guide.guided(torch.zeros(tokenizer.size))
    [letter], [bracket] = tokenizer.encode("s"), tokenizer.encode("(")
    assert logits[letter] == -torch.inf
    assert logits[bracket] == 0
    guide.take(bracket)
    assert guide.done


def test_a_name_that_ends_in_a_sign_brings_it(engines: Any) -> None:
    engine = engines.make()
    spell, size = engine.tokenizer.token_bytes, engine.tokenizer.size
    for sign in (b"=", b" "):  # many of the test tokenizer's tokens begin with a space
        guide = Guide(engine.tokenizer, [f"get{sign.decode()}", f"set{sign.decode()}"])
        for token in engine.tokenizer.encode("get"):
            guide.take(token)
        allowed = [int(token) for token in (guide.guided(torch.zeros(size)) == 0).nonzero()]
        assert {spell(token)[:1] for token in allowed} == {sign}
        assert not any(spell(token)[1:2] == sign for token in allowed)
        assert len(allowed) > 1 or sign == b"="
        guide.take(allowed[-1])
        assert guide.done
    text = engines.ask(engine, "f(a=1, ", max_tokens=12, names=("depth=", "width=")).wait().text
    assert re.match(r"(?:depth|width)=(?!=)", text)


def test_likely_names_are_preferred_and_no_more(engines: Any) -> None:
    tokenizer = engines.make().tokenizer
    guide = Guide(tokenizer, ["get"], sure=False)
    [letter], [other] = tokenizer.encode("g"), tokenizer.encode("z")
    logits = torch.zeros(tokenizer.size)
    logits[other] = 1.0
    assert int(guide.guided(logits).argmax()) != other
    logits[other] = 5.0
    assert int(guide.guided(logits).argmax()) == other
    assert guide.guided(logits)[letter] > 0
    guide.take(other)
    assert guide.done
    engine = engines.make()
    free = engines.ask(engine, "x = y.", max_tokens=12).wait().text
    assert engines.ask(engine, "x = y.", max_tokens=12, likely=(free[:1] or "a",)).wait().text[:1] == free[:1]
