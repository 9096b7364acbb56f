"""Prompts from texts: templates by token id, cut to fit, stable while somebody types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dsassist_model.gguf_file import open_gguf
from dsassist_model.prompt import build
from dsassist_model.tokenizer import Tokenizer


@pytest.fixture
def tokenizer(tiny: Any, tmp_path: Path) -> Tokenizer:
    model = open_gguf(tiny().write_gguf(tmp_path / "tiny.gguf"))
    return Tokenizer.from_json(model.tokenizer_json(), model.special)


def test_fill_in_the_middle(tokenizer: Tokenizer) -> None:
    fim = tokenizer.special.fim
    built = build(tokenizer, "ab", "cd", limit=100)
    assert built.tokens == [fim.prefix, *tokenizer.encode("ab"), fim.suffix, *tokenizer.encode("cd"), fim.middle]
    assert built.truncated is None
    assert build(tokenizer, "ab", None, limit=100).tokens == tokenizer.encode("ab")
    assert build(tokenizer, "ab", "", limit=100).tokens == [fim.prefix, *tokenizer.encode("ab"), fim.suffix, fim.middle]


def test_a_text_that_spells_a_special_token_stays_text(tokenizer: Tokenizer) -> None:
    fim = tokenizer.special.fim
    built = build(tokenizer, "a<|fim_middle|>b", "<|fim_prefix|>", limit=200)
    assert built.tokens.count(fim.middle) == built.tokens.count(fim.prefix) == 1


def test_the_text_nearest_the_cursor_is_kept_and_the_loss_is_told(tokenizer: Tokenizer) -> None:
    prompt = "".join(f"{i};" for i in range(4000))
    suffix = "".join(f"<{i}>" for i in range(4000))
    built = build(tokenizer, prompt, suffix, limit=200)
    assert len(built.tokens) <= 200
    text = tokenizer.decode(t for t in built.tokens if t not in (built.tokens[0], built.tokens[-1]))
    assert "3999;" in text
    assert "<0><1>" in text
    assert "<3999>" not in text
    assert built.truncated is not None
    assert built.truncated["prompt"] > 1000
    assert built.truncated["suffix"] > 1000


def test_a_short_suffix_leaves_its_room_to_the_prompt(tokenizer: Tokenizer) -> None:
    assert build(tokenizer, "ab" * 60, "z", limit=130).truncated is None
    assert build(tokenizer, "z", "ab" * 60, limit=130).truncated is None


def test_typing_keeps_the_start_of_a_cut_prompt(tokenizer: Tokenizer) -> None:
    text = "".join(f"{i};" for i in range(3000))
    starts = {tuple(build(tokenizer, text + "x" * n, "", limit=400).tokens[:20]) for n in range(60)}
    assert len(starts) <= 2


def test_a_limit_smaller_than_the_frame_still_gives_a_prompt(tokenizer: Tokenizer) -> None:
    assert 0 < len(build(tokenizer, "abc" * 50, "def" * 50, limit=1).tokens) <= 12


@pytest.mark.parametrize("text", ["\ud800", "🙂" * 50, "\r\n\t", "x" * 100_000])
def test_odd_texts(tokenizer: Tokenizer, text: str) -> None:
    assert 0 < len(build(tokenizer, text, text, limit=64).tokens) <= 64


@pytest.fixture
def repository(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> Tokenizer:
    from dataclasses import replace

    fim = replace(tokenizer.special.fim, repo_name=1, file_sep=2)
    monkeypatch.setattr(tokenizer, "special", replace(tokenizer.special, fim=fim))
    return tokenizer


def test_context_comes_first_in_the_models_own_format(repository: Tokenizer) -> None:
    fim, encode = repository.special.fim, repository.encode
    built = build(repository, "a", "b", limit=100, context=[("p.py", "x")], repository="r", path="q.py")
    assert built.tokens == [
        *(fim.repo_name, *encode("r\n")),
        *(fim.file_sep, *encode("p.py\nx")),
        *(fim.file_sep, *encode("q.py\n")),
        *(fim.prefix, *encode("a"), fim.suffix, *encode("b"), fim.middle),
    ]


def test_context_gives_way_first(repository: Tokenizer) -> None:
    context = [("p.py", "x" * 40), ("q.py", "y" * 4000)]
    built = build(repository, "a" * 40, "b" * 10, limit=160, context=context, path="f.py")
    assert "x" * 40 in repository.decode(t for t in built.tokens if t > 2)
    assert built.truncated is not None
    assert built.truncated["context"] > 500
    assert (built.truncated["prompt"], built.truncated["suffix"]) == (0, 0)
    tight = build(repository, "a" * 90, "b" * 10, limit=106, context=context[:1], path="f.py")
    assert tight.tokens[0] == repository.special.fim.prefix
