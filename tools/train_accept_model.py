"""Trains the accept model that comes with dsassist.

    python benchmarks/replay.py --training --samples training.jsonl
    python benchmarks/replay.py --samples held-out.jsonl
    python tools/train_accept_model.py training.jsonl --held-out held-out.jsonl

A sample is one answer of the model that the filters let pass, with what might be shown of it: all, and its beginnings,
each with its features and whether it was what was written next. The model is a logistic regression with an L2 penalty,
fitted by Newton's method. Penalty and threshold are chosen by leaving out one package after the other: of each answer
the longest choice that reaches the threshold is shown, and the threshold is the highest one at which ``--keep`` of the
characters are saved that any threshold saves. What comes out is written to
``lsp_server/dsassist/assist/accept.json`` with what it was trained and judged on.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsassist.assist.accept import FEATURES

OUT = Path(__file__).resolve().parent.parent / "lsp_server" / "dsassist" / "assist" / "accept.json"
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
BINS = 10

Array = NDArray[np.float64]


class Samples:
    """Choices as arrays: ``x`` [N, F], ``y`` [N] accepted, ``saved`` [N] characters, ``package`` [N], ``answer`` [N]
    the number of the answer; those of an answer stand together, the longest first. ``weight`` [N] sums to 1 an answer.
    """

    def __init__(self, paths: list[Path]) -> None:
        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        for path in paths:
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                # a later run of the same pause replaces an earlier one
                rows[(row["package"], row["path"], row["line"], row["character"])] = row
        kept = [row for row in rows.values() if row["choices"]]
        if not kept:
            raise SystemExit(f"no sample with features in {', '.join(map(str, paths))}")
        flat = [(number, row, choice) for number, row in enumerate(kept) for choice in row["choices"]]
        self.x: Array = np.array([[c["features"][name] for name in FEATURES] for _, _, c in flat], dtype=float)
        self.y: Array = np.array([c["accepted"] for _, _, c in flat], dtype=float)
        self.saved: Array = np.array([c["saved"] for _, _, c in flat], dtype=float)
        self.weight: Array = np.array([1 / len(row["choices"]) for _, row, _ in flat])
        self.package = np.array([row["package"] for _, row, _ in flat])
        self.answer = np.array([number for number, _, _ in flat])
        self.answers = len(kept)
        # what the same pauses would save without any filter: those that a filter dropped count as well
        asked = [row for row in rows.values() if row["raw"].strip()]
        self.saved_raw = float(sum(row["saved_raw"] for row in asked))
        self.accepted_raw = sum(row["accepted_raw"] for row in asked) / max(len(asked), 1)

    def __len__(self) -> int:
        return len(self.y)

    def shown(self, chance: Array, least: float) -> Array:
        """[N] bool: the longest choice of each answer that reaches ``least``."""
        reached = chance >= least
        first = np.zeros(len(self), dtype=bool)
        places = np.flatnonzero(reached)
        _, earliest = np.unique(self.answer[places], return_index=True)
        first[places[earliest]] = True
        return first


class Logistic:
    """Weights for features standardized as in training."""

    def __init__(self, x: Array, y: Array, weight: Array, penalty: float) -> None:
        self.mean, self.deviation = x.mean(axis=0), x.std(axis=0)
        self.deviation[self.deviation < 1e-6] = 1.0
        ones = np.ones((len(x), 1))
        design = np.hstack([ones, (x - self.mean) / self.deviation])
        ridge = np.full(design.shape[1], penalty)
        ridge[0] = 0.0
        self.beta: Array = np.zeros(design.shape[1])
        for _ in range(50):
            chance = _sigmoid(design @ self.beta)
            slope = design.T @ (weight * (chance - y)) + ridge * self.beta
            curve = (design * (weight * chance * (1 - chance))[:, None]).T @ design + np.diag(ridge + 1e-9)
            step = np.linalg.solve(curve, slope)
            self.beta -= step
            if np.abs(step).max() < 1e-8:
                break

    def chance(self, x: Array) -> Array:
        """[N] between 0 and 1."""
        return _sigmoid(self.beta[0] + ((x - self.mean) / self.deviation) @ self.beta[1:])


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(z, -30, 30)))


def left_out(samples: Samples, penalty: float) -> Array:
    """Every sample's chance, from a model that has not seen its package."""
    chance = np.empty(len(samples))
    for package in np.unique(samples.package):
        own = samples.package == package
        chance[own] = Logistic(samples.x[~own], samples.y[~own], samples.weight[~own], penalty).chance(samples.x[own])
    return chance


def loss(samples: Samples, chance: Array) -> float:
    """Mean negative log-likelihood, every answer counting once."""
    chance = np.clip(chance, 1e-6, 1 - 1e-6)
    each = samples.y * np.log(chance) + (1 - samples.y) * np.log(1 - chance)
    return float(-(samples.weight * each).sum() / samples.weight.sum())


def threshold(samples: Samples, chance: Array, keep: float) -> float:
    """The highest at which ``keep`` of the characters are saved that any threshold saves. (Neither end saves most: what
    is cut short where it becomes doubtful is taken more often.)"""
    saved = {least: samples.saved[samples.shown(chance, least)].sum() for least in np.linspace(0.0, 0.9, 181)}
    return float(max(least for least, sum_ in saved.items() if sum_ >= keep * max(saved.values())))


def judged(samples: Samples, chance: Array, least: float) -> dict[str, Any]:
    """How good chances and threshold are, pause by pause."""
    shown, whole = samples.shown(chance, least), samples.shown(chance, 0.0)
    order = np.argsort(chance)
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    positive, negative = samples.y.sum(), (1 - samples.y).sum()
    auc = (ranks[samples.y == 1].sum() - positive * (positive + 1) / 2) / max(positive * negative, 1)
    bins = np.minimum((chance * BINS).astype(int), BINS - 1)
    gaps = [
        samples.weight[bins == b].sum()
        * abs(np.average(chance[bins == b] - samples.y[bins == b], weights=samples.weight[bins == b]))
        for b in range(BINS)
        if (bins == b).any()
    ]
    return {
        "answers": samples.answers,
        "choices": len(samples),
        "packages": sorted(set(samples.package.tolist())),
        "accepted_unfiltered": round(float(samples.accepted_raw), 4),
        "accepted_without": round(float(samples.y[whole].mean()), 4),
        "accepted_with": round(float(samples.y[shown].mean()) if shown.any() else 0.0, 4),
        "shown_share": round(float(shown.sum() / samples.answers), 4),
        "characters_kept_of_unfiltered": round(float(samples.saved[shown].sum() / max(samples.saved_raw, 1)), 4),
        "auc": round(float(auc), 4),
        "log_loss": round(loss(samples, chance), 4),
        "calibration_error": round(float(sum(gaps) / samples.weight.sum()), 4),
    }


def main() -> None:
    """Train, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path, nargs="+", help="what replay.py --samples wrote")
    parser.add_argument("--held-out", type=Path, nargs="*", default=[], help="samples that only judge the result")
    parser.add_argument("--keep", type=float, default=0.98, help="share of the characters saved that must stay")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b", help="noted: which model's answers these are")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    samples = Samples(options.samples)
    tried = {penalty: left_out(samples, penalty) for penalty in PENALTIES}
    penalty = min(tried, key=lambda p: loss(samples, tried[p]))
    least = threshold(samples, tried[penalty], options.keep)
    fitted = Logistic(samples.x, samples.y, samples.weight, penalty)
    report = {"left_out": judged(samples, tried[penalty], least)}
    if options.held_out:
        held = Samples(options.held_out)
        report["held_out"] = judged(held, fitted.chance(held.x), least)
    for name, figures in report.items():
        print(name, json.dumps(figures), file=sys.stderr)
    weights = {
        name: [round(float(value), 6) for value in (fitted.mean[i], fitted.deviation[i], fitted.beta[i + 1])]
        for i, name in enumerate(FEATURES)
    }
    data = {
        "about": "Written by tools/train_accept_model.py. A weight is [mean, deviation, weight] of a feature.",
        "model": options.model,
        "penalty": penalty,
        **report,
        "threshold": round(least, 4),
        "bias": round(float(fitted.beta[0]), 6),
        "weights": weights,
    }
    options.out.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
