"""Answers that go on in the middle of a word."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dsassist_model.engine.begin import Begin, part_word


@pytest.mark.parametrize(
    ("prompt", "before", "word"),
    [
        ("x = retur", "x =", " retur"),
        ("    retur", "   ", " retur"),
        ("a.b_c", "a.", "b_c"),
        ("größ", "", "größ"),
        ("x = (", "x = (", ""),
        ("x ", "x ", ""),
        ("", "", ""),
        ("a " + "x" * 200, "a " + "x" * 200, ""),
    ],
)
def test_the_word_before_the_cursor(prompt: str, before: str, word: str) -> None:
    assert part_word(prompt) == (before, word)


def test_only_tokens_that_agree_are_allowed(engines: Any) -> None:
    tokenizer = engines.make().tokenizer
    for word in (" retur", "b_c", "größ", "x"):
        begin, rest, told = Begin(tokenizer, word), word.encode(), ""
        for _ in range(20):
            row = begin.guided(torch.arange(tokenizer.size, dtype=torch.float32))
            allowed = [token for token in range(tokenizer.size) if row[token] > -torch.inf]
            agree = [
                t
                for t in range(tokenizer.size)
                if (s := tokenizer.token_bytes(t)) and (s.startswith(rest) or rest.startswith(s))
            ]
            assert sorted(allowed) == agree
            token = int(row.argmax())
            begin.take(token)
            rest = rest[len(tokenizer.token_bytes(token)) :]
            told += begin.told(tokenizer.decode([token]))
            if not rest:
                break
        assert not rest
        assert begin.guided(torch.zeros(tokenizer.size)).isfinite().all()


def test_an_answer_begins_with_what_stands_there_and_does_not_tell_it(engines: Any) -> None:
    for draft in (False, True):
        engine = engines.make(draft=draft)
        free = engines.ask(engine, "def f(x):\n    return x", max_tokens=12).wait().text
        held = engines.ask(engine, "def f(x):\n    return x", max_tokens=12, begin=free[:3]).wait().text
        # what it would have said by itself it also says when it has to begin so
        assert free.startswith(free[:3] + held[:2])
        forced = engines.ask(engine, "x = ", max_tokens=16, begin="abc").wait()
        assert not forced.text.startswith("abc")
        assert forced.last.details["completion_tokens"] >= 1
