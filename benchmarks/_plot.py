"""Line charts as SVG, from the standard library: what a benchmark commits beside its figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["two_panels"]

_COLOURS = ("#6b7280", "#2563eb", "#d97706")
_WIDTH, _HEIGHT, _LEFT, _TOP, _PLOT_W, _PLOT_H = 860, 330, 62, 44, 340, 230


def two_panels(x: Sequence[int], panels: Sequence[tuple[str, Mapping[str, Sequence[float]]]]) -> str:
    """Charts side by side over the same ``x`` (drawn on a logarithmic axis): (title, name → values)."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="12"><rect width="100%" height="100%" fill="white"/>'
    ]
    for number, (title, lines) in enumerate(panels):
        parts += _panel(_LEFT + number * (_PLOT_W + 90), x, title, lines)
    return "\n".join([*parts, "</svg>\n"])


def _panel(left: float, x: Sequence[int], title: str, lines: Mapping[str, Sequence[float]]) -> list[str]:
    low, high = math.log2(x[0]), math.log2(x[-1])
    step = _tick(max(max(values) for values in lines.values()))
    top = step * math.ceil(max(max(values) for values in lines.values()) / step)

    def at(n: int, value: float) -> tuple[float, float]:
        across = (math.log2(n) - low) / max(high - low, 1e-9)
        return left + across * _PLOT_W, _TOP + _PLOT_H * (1 - value / top)

    parts = [f'<text x="{left}" y="{_TOP - 18}" font-weight="bold">{escape(title)}</text>']
    value = 0.0
    while value <= top * 1.001:
        y = at(x[0], value)[1]
        parts.append(f'<line x1="{left}" x2="{left + _PLOT_W}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
        value += step
    for n in x:
        label = f"{n // 1024}K" if n % 1024 == 0 else str(n)
        parts.append(f'<text x="{at(n, 0)[0]:.1f}" y="{_TOP + _PLOT_H + 18}" text-anchor="middle">{label}</text>')
    parts.append(f'<text x="{left + _PLOT_W / 2}" y="{_TOP + _PLOT_H + 38}" text-anchor="middle">tokens</text>')
    for i, (name, values) in enumerate(lines.items()):
        points = [at(n, v) for n, v in zip(x, values, strict=True)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        colour = _COLOURS[i % len(_COLOURS)]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in points]
        parts.append(f'<text x="{left + 12}" y="{_TOP + 14 + 16 * i}" fill="{colour}">{escape(name)}</text>')
    return parts


def _tick(most: float) -> float:
    """A round step that gives about five lines."""
    rough = max(most, 1e-9) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough)
