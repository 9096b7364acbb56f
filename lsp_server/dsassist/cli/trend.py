"""Kept results of ``dsassist eval`` as a page and as charts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

__all__ = ["Chapter", "page", "read_results", "svg"]

Figures = Sequence[tuple[str, str]]
Result = Mapping[str, Any]

_COLOURS = ("#2563eb", "#9ca3af", "#d97706", "#a8a29e", "#dc2626")
_WIDTH, _HEIGHT, _LEFT, _TOP, _PLOT_W, _PLOT_H = 760, 300, 60, 24, 460, 220
_SIZES = (("pauses", "pauses"), ("sites", "lines"), ("n", "gaps"))
_INPUTS = ("model", "packages", "pauses", "sites", "tasks", "lines", "limit", "seed")


def read_results(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Results in the order of their dates, and a sentence for each file that is none."""
    found, problems = [], []
    for file in sorted(folder.glob("*.json")):
        try:
            result = json.loads(file.read_text(encoding="utf-8"))
            for key in ("suite", "date", "figures", "inputs"):
                result[key]
        except (OSError, ValueError, KeyError, TypeError) as problem:
            problems.append(f"{file} is not a result ({problem!r}); it is left out.")
            continue
        found.append(result)
    return sorted(found, key=lambda result: str(result["date"])), problems


@dataclass(frozen=True, slots=True)
class Chapter:
    """One suite on the page, with its results in the order of their dates."""

    name: str
    script: str
    about: str
    figures: Figures
    more: Figures
    """Of the last run only."""
    results: Sequence[Result]


def page(chapters: Sequence[Chapter], shown: Callable[[str, Any], str]) -> str:
    """docs/quality.md: for each suite a chart, a row a run, and what the last run was made of."""
    lines = [
        "# Quality over time",
        "",
        "Written by `dsassist eval` from `benchmarks/results/`; run it in a checkout to add to it, add what a script",
        "printed with `--add FILE`. Compare rows of one machine and the same inputs only: a sample of a hundred places",
        "moves by several points when others are drawn. A commit with a `+` had changes on top.",
    ]
    for chapter in chapters:
        results = chapter.results
        lines += ["", f"## {chapter.name}", "", f"{chapter.about} (`benchmarks/{chapter.script}`).", ""]
        lines += [f"![{chapter.name}](images/quality-{chapter.name}.svg)", ""]
        lines.append(
            "| Date | Commit | Model | Inputs | Machine | " + " | ".join(label for _, label in chapter.figures) + " |"
        )
        lines.append("|---|---|---|---|---|" + "--:|" * len(chapter.figures))
        for result in results:
            hardware = result.get("hardware", {})
            machine = f"{hardware.get('cores', '?')} × {hardware.get('cpu', '?')}"
            values = [shown(key, result["figures"].get(key, "–")) for key, _ in chapter.figures]
            row = [result["date"][:10], f"`{result.get('commit', '')}`", result["inputs"].get("model", "–")]
            lines.append("| " + " | ".join([*row, _size(result), machine, *values]) + " |")
        for result in results:
            if result.get("note"):
                lines += ["", f"{result['date'][:10]}, `{result.get('commit', '')}`: {result['note']}"]
        last = results[-1]
        said = [f"{key}: {_listed(last['inputs'][key])}" for key in _INPUTS if key in last["inputs"]]
        lines += ["", f"The last run's inputs: {'; '.join(said)}."]
        more = [(key, label) for key, label in chapter.more if key in last["figures"]]
        if more:
            lines += ["", "| The last run besides | |", "|---|--:|"]
            lines += [f"| {label} | {shown(key, last['figures'][key])} |" for key, label in more]
    if not chapters:
        lines += ["", "No result was kept yet."]
    return "\n".join(lines) + "\n"


def _size(result: Result) -> str:
    """How many inputs a run had, and which draw of them."""
    known = {**result["figures"], **result["inputs"]}
    said = [f"{known[key]} {unit}" for key, unit in _SIZES if key in known][:1]
    said += [f"draw {known['seed']}"] if "seed" in known else []
    return ", ".join(said) or "–"


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def svg(figures: Figures, results: Sequence[Result]) -> str:
    """A line a figure over the runs, all on one axis; figures in milliseconds have their own chart's worth of room when
    they are what the suite is about."""
    milliseconds = [item for item in figures if item[0].endswith("_ms")]
    drawn = milliseconds or list(figures)
    scale = 1.0 if milliseconds else 100.0
    series = [(label, [scale * float(r["figures"].get(key, 0) or 0) for r in results]) for key, label in drawn]
    top = _round_up(max([value for _, values in series for value in values], default=1.0) or 1.0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="12"><rect width="100%" height="100%" fill="white"/>'
    ]
    unit = "ms" if milliseconds else "%"
    for step in range(6):
        y = _TOP + _PLOT_H * (1 - step / 5)
        parts.append(f'<line x1="{_LEFT}" x2="{_LEFT + _PLOT_W}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * step / 5:g} {unit}</text>')

    def across(run: int) -> float:
        return _LEFT + _PLOT_W * ((run + 0.5) / len(results))

    for run, result in enumerate(results):
        label = f"{result['date'][5:10]} {str(result.get('commit', ''))[:7]}"
        parts.append(
            f'<text x="{across(run):.1f}" y="{_TOP + _PLOT_H + 18}" text-anchor="middle">{escape(label)}</text>'
        )
    for number, (label, values) in enumerate(series):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [(across(run), _TOP + _PLOT_H * (1 - value / top)) for run, value in enumerate(values)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in points]
        y = _TOP + 16 + 18 * number
        parts.append(f'<text x="{_LEFT + _PLOT_W + 16}" y="{y}" fill="{colour}">{escape(label)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _round_up(value: float) -> float:
    power: float = 10.0 ** (len(str(int(value))) - 1)
    return next(power * m for m in (1, 1.5, 2, 3, 4, 5, 8, 10) if power * m >= value)
