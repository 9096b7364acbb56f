"""How likely a suggestion is to be taken: a small logistic model over what is known before it is shown.

The weights are data (``accept.json``), written by ``tools/train_accept_model.py`` from replayed edits of real packages,
together with what they were trained and judged on. Evaluating them takes microseconds and needs no library.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from dsassist.assist.shape import Shape
from dsassist.assist.site import Site
from dsassist.assist.syntax import open_brackets, surroundings

__all__ = ["FEATURES", "AcceptModel", "features", "shipped"]

_WORD = re.compile(r"[A-Za-z_]\w*")
_ECMA = frozenset({"javascript", "javascriptreact", "typescript", "typescriptreact"})
_COPIED = 12
"""A line of so many characters that stands in the document already is a copy, and no chance."""

FEATURES = (
    "mean",
    "first_token",
    "lowest",
    "line_mean",
    "line_sum",
    "line_sum_root",
    "line_lowest",
    "characters",
    "line_characters",
    "lines",
    "whole",
    "ends_open",
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


def features(
    site: Site, shape: Shape, text: str, tokens: Sequence[tuple[int, float]], *, typed: int, cut: int, whole: bool
) -> dict[str, float]:
    """What the model is told of ``text``, about to be shown at ``site``.

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
    line = text.lstrip("\n").partition("\n")[0]
    line_end = len(text) - len(text.lstrip("\n")) + len(line)
    numbers = [number for place, number in tokens if place < len(text) + cut] or [number for _, number in tokens]
    first = [number for place, number in tokens if place < line_end] or numbers
    before, after = site.line_before, site.line_after
    words = [word for word in _WORD.findall(line) if len(word) > 1]
    near = set(_WORD.findall(site.prefix[-6000:])) | set(_WORD.findall(site.suffix[:1500]))
    known = sum(word in near for word in words)
    around = surroundings(site)
    last = before.rstrip()[-1:]
    whole_line = (before + line).strip()
    return {
        "mean": max(_mean(numbers), -3.0),
        "first_token": max(first[0], -4.0),
        "lowest": max(min(numbers), -6.0),
        "line_mean": max(_mean(first), -3.0),
        "line_sum": max(sum(first), -15.0),
        "line_sum_root": -math.sqrt(min(-sum(first), 15.0)) if sum(first) < 0 else 0.0,
        "line_lowest": max(min(first), -6.0),
        "characters": math.log1p(len(text)),
        "line_characters": math.log1p(len(line)),
        "lines": math.log1p(text.count("\n")),
        "whole": float(whole),
        "ends_open": float(bool(open_brackets(line)) or line.rstrip().endswith((",", ":"))),
        "symbols_only": float(not any(c.isalnum() for c in line)),
        "starts_line": float(not before.strip()),
        "in_word": float(bool(site.word_before)),
        "after_dot": float(last == "."),
        "after_bracket": float(last in ("(", "[", "{") and last != ""),
        "after_equals": float(last == "="),
        "closed_after": float(bool(after.strip())),
        "documentation": float(around.kind in ("docstring", "comment")),
        "in_string": float(around.kind == "string"),
        "python": float(site.language == "python"),
        "ecma": float(site.language in _ECMA),
        "known_words": known / len(words) if words else 1.0,
        "new_words": float(min(len(words) - known, 6)),
        "copied": float(len(whole_line) >= _COPIED and whole_line in site.prefix),
        "has_text": float('"' in line or "'" in line or "`" in line),
        "typed_along": math.log1p(typed),
        "trimmed": float(cut > 0),
        "indent": min(len(site.indent.expandtabs(4)) / 4, 6.0),
        "lines_above": math.log1p(len(site.lines_above)),
        "blank_above": float(bool(site.lines_above) and not site.lines_above[-1].strip()),
        "errors": float(min(around.errors, 3)),
        "function": float(shape.kind == "function"),
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
