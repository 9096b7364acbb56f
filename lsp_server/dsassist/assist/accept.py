"""How likely a suggestion is to be taken, and how much of it: a small logistic model over what is known before it is
shown.

An answer need not be shown in whole: where its end is doubtful, a beginning that is likely enough is shown instead.

The weights are data (``accept.json``), written by ``tools/train_accept_model.py`` from replayed edits of real packages,
together with what they were trained and judged on. Evaluating them takes microseconds and needs no library.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from dsassist.assist.shape import Shape
from dsassist.assist.site import Site
from dsassist.assist.syntax import open_brackets, surroundings

__all__ = ["FEATURES", "AcceptModel", "Choice", "choices", "shipped"]

_WORD = re.compile(r"[A-Za-z_]\w*")
_ECMA = frozenset({"javascript", "javascriptreact", "typescript", "typescriptreact"})
_COPIED = 12
"""A line of so many characters that stands in the document already is a copy, and no chance."""

MOST_CHOICES = 12
SHORTEST = 3
"""Characters that are worth showing where an answer is cut short."""

FEATURES = (
    "mean",
    "first_token",
    "lowest",
    "line_mean",
    "line_sum",
    "line_sum_root",
    "line_likely",
    "line_lowest",
    "last_token",
    "following",
    "characters",
    "line_characters",
    "lines",
    "whole",
    "short",
    "ends_open",
    "ends_word",
    "symbols_only",
    "starts_line",
    "in_word",
    "after_dot",
    "after_bracket",
    "after_equals",
    "closed_after",
    "documentation",
    "in_string",
    "python",
    "ecma",
    "known_words",
    "new_words",
    "copied",
    "has_text",
    "typed_along",
    "trimmed",
    "indent",
    "lines_above",
    "blank_above",
    "errors",
    "function",
)
"""In the order of the weights."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What might be shown of an answer, and what the accept model is told of it."""

    text: str
    features: Mapping[str, float]


def choices(
    site: Site, shape: Shape, text: str, tokens: Sequence[tuple[int, float]], *, typed: int, cut: int, whole: bool
) -> list[Choice]:
    """All of ``text``, about to be shown at ``site``, and then its beginnings that end between two words of its first
    line, the longest first.

    Args:
        site: the cursor.
        shape: what ended the answer.
        text: after trimming.
        tokens: natural log-probability of each token of the answer from the cursor on, with the place in the answer
            where it begins.
        typed: characters typed since the answer was asked for, that agreed with it.
        cut: characters that trimming took away.
        whole: the answer came to an end, and not to its limit of tokens.
    """
    near = set(_WORD.findall(site.prefix[-6000:])) | set(_WORD.findall(site.suffix[:1500]))
    place = _of_place(site, shape, typed)
    found = [Choice(text, place | _of_text(site, text, tokens, near, cut=cut, whole=whole, short=False))]
    line = text.partition("\n")[0].rstrip()
    ends = sorted({len(line[:begin].rstrip()) for begin, _ in tokens if 0 < begin < len(line)}, reverse=True)
    for end in ends[:MOST_CHOICES]:
        said = line[:end]
        if len(said.strip()) < SHORTEST or not any(c.isalnum() for c in said) or _parts_word(line, end):
            continue
        found.append(Choice(said, place | _of_text(site, said, tokens, near, cut=cut, whole=whole, short=True)))
    if line != text and line.strip():
        found.insert(1, Choice(line, place | _of_text(site, line, tokens, near, cut=cut, whole=whole, short=False)))
    return found


def _parts_word(text: str, place: int) -> bool:
    before, after = text[place - 1], text[place]
    return (before.isalnum() or before == "_") and (after.isalnum() or after == "_")


def _of_place(site: Site, shape: Shape, typed: int) -> dict[str, float]:
    before = site.line_before
    around = surroundings(site)
    last = before.rstrip()[-1:]
    return {
        "starts_line": float(not before.strip()),
        "in_word": float(bool(site.word_before)),
        "after_dot": float(last == "."),
        "after_bracket": float(last in ("(", "[", "{")),
        "after_equals": float(last == "="),
        "closed_after": float(bool(site.line_after.strip())),
        "documentation": float(around.kind in ("docstring", "comment")),
        "in_string": float(around.kind == "string"),
        "python": float(site.language == "python"),
        "ecma": float(site.language in _ECMA),
        "typed_along": math.log1p(typed),
        "indent": min(len(site.indent.expandtabs(4)) / 4, 6.0),
        "lines_above": math.log1p(len(site.lines_above)),
        "blank_above": float(bool(site.lines_above) and not site.lines_above[-1].strip()),
        "errors": float(min(around.errors, 3)),
        "function": float(shape.kind == "function"),
    }


def _of_text(
    site: Site,
    text: str,
    tokens: Sequence[tuple[int, float]],
    near: Collection[str],
    *,
    cut: int,
    whole: bool,
    short: bool,
) -> dict[str, float]:
    line = text.lstrip("\n").partition("\n")[0]
    line_end = len(text) - len(text.lstrip("\n")) + len(line)
    numbers = [number for place, number in tokens if place < len(text)] or [tokens[0][1]]
    first = [number for place, number in tokens if place < line_end] or numbers
    following = next((number for place, number in tokens if place >= line_end), 0.0)
    words = [word for word in _WORD.findall(line) if len(word) > 1]
    known = sum(word in near for word in words)
    whole_line = (site.line_before + line).strip()
    return {
        "mean": max(_mean(numbers), -3.0),
        "first_token": max(first[0], -4.0),
        "lowest": max(min(numbers), -6.0),
        "line_mean": max(_mean(first), -3.0),
        "line_sum": max(sum(first), -15.0),
        "line_sum_root": -math.sqrt(min(max(-sum(first), 0.0), 15.0)),
        "line_likely": math.exp(max(sum(first), -15.0)),
        "line_lowest": max(min(first), -6.0),
        "last_token": max(first[-1], -4.0),
        "following": max(following, -4.0),
        "characters": math.log1p(len(text)),
        "line_characters": math.log1p(len(line)),
        "lines": math.log1p(text.count("\n")),
        "whole": float(whole),
        "short": float(short),
        "ends_open": float(bool(open_brackets(line)) or line.rstrip().endswith((",", ":"))),
        "ends_word": float(line[-1:].isalnum() or line[-1:] == "_"),
        "symbols_only": float(not any(c.isalnum() for c in line)),
        "known_words": known / len(words) if words else 1.0,
        "new_words": float(min(len(words) - known, 6)),
        "copied": float(len(whole_line) >= _COPIED and whole_line in site.prefix),
        "has_text": float('"' in line or "'" in line or "`" in line),
        "trimmed": float(cut > 0),
    }


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


@dataclass(frozen=True, slots=True)
class AcceptModel:
    """Weights for standardized features."""

    bias: float
    weights: Mapping[str, tuple[float, float, float]]
    """Of each feature: its mean and its deviation in training, and its weight."""
    threshold: float
    """Suggestions below are not shown, unless the settings say otherwise."""

    def pick(self, choices: Sequence[Choice], least: float) -> tuple[Choice | None, float]:
        """What of an answer to show, and its chance: the longest choice that reaches ``least``. None, with the best
        chance of all, where none does."""
        chances = [self.chance(choice.features) for choice in choices]
        for choice, chance in zip(choices, chances, strict=True):
            if chance >= least:
                return choice, chance
        return None, max(chances)

    def chance(self, known: Mapping[str, float]) -> float:
        """Between 0 and 1: the share of such suggestions that were taken in training."""
        logit = self.bias
        for name, (mean, deviation, weight) in self.weights.items():
            logit += weight * (known[name] - mean) / deviation
        return 1 / (1 + math.exp(-max(min(logit, 30.0), -30.0)))

    @classmethod
    def from_json(cls, text: str) -> AcceptModel:
        """From what the training script wrote.

        Raises:
            ValueError: not such a file, or one with other features.
        """
        try:
            data = json.loads(text)
            weights = {name: (float(a), float(b), float(c)) for name, (a, b, c) in data["weights"].items()}
            model = cls(float(data["bias"]), weights, float(data["threshold"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"not the weights of an accept model: {error}") from error
        if unknown := set(weights) - set(FEATURES):
            raise ValueError(f"weights of features that this version does not have: {', '.join(sorted(unknown))}")
        return model


@functools.cache
def shipped() -> AcceptModel | None:
    """The model in the package; None where the file is not there."""
    file = resources.files("dsassist.assist").joinpath("accept.json")
    return AcceptModel.from_json(file.read_text(encoding="utf-8")) if file.is_file() else None
