"""Charts as SVG from our own template, in the page's font and colours, for light, dark and print."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetseg.report.render import render

WIDTH, HEIGHT = 430, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 10, 44
"""Sizes of a chart and its margins, in units of its view box."""
MOST_POINTS, FEW_POINTS = 600, 40
"""Points of a line: above the first number they are thinned out, below the second drawn as dots."""
Scale = Callable[[float], float]


@dataclass(frozen=True)
class Line:
    """Points of one line, (n,) each; `series` chooses colour and dashes, `mark` is a point to circle."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    series: int = 0
    faint: bool = False
    mark: int | None = None


class Tick(NamedTuple):
    """A position on an axis, in the view box, and its label."""

    at: float
    text: str


def curves_svg(
    lines: Sequence[Line],
    *,
    x: str,
    y: str,
    log: bool = False,
    limits: tuple[float, float] | None = None,
) -> str:
    """A line chart with axis titles `x` and `y`; limits: of the y axis. Non-finite points are left out."""
    every = [_finite(line) for line in lines]
    xs, ys = (np.concatenate([np.empty(0), *(points[:, i] for points in every)]) for i in (0, 1))
    low_x, high_x = _ends(xs)
    low_y, high_y = limits or _ends(ys, log=log)
    across = _scale(low_x, high_x, LEFT, WIDTH - RIGHT)
    up = _scale(low_y, high_y, HEIGHT - BOTTOM, TOP, log=log)
    drawn = [_drawn(line, points, across, up) for line, points in zip(lines, every, strict=True)]
    values = log_ticks(low_y, high_y) if log else ticks(low_y, high_y)
    return _render(x, y, _placed(ticks(low_x, high_x), across), _placed(values, up), lines=drawn)


def histogram_svg(values: NDArray[np.float64], missed: int, *, x: str, y: str) -> str:
    """Values in 0…1 in bins of 0.05; the first `missed` of the zeros are shown as a separate bar."""
    edges = np.linspace(0, 1, 21)
    heights, _ = np.histogram(values, edges)
    most = max(int(heights.max()), 1)
    across, up = _scale(0, 1, LEFT, WIDTH - RIGHT), _scale(0, most, HEIGHT - BOTTOM, TOP)
    counted = zip(edges[:-1].tolist(), heights.tolist(), strict=True)
    bars = [(across(edge), up(height), "bar") for edge, height in counted if height]
    bars += [(across(0), up(missed), "bar missed")] if missed else []
    whole = [v for v in ticks(0, most) if v == round(v)]
    width = across(0.046) - across(0)
    return _render(
        x, y, _placed(ticks(0, 1), across), _placed(whole, up), bars=bars, bar_width=width, middle=across(0.5)
    )


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values between two ends: steps of 1, 2 or 5 times a power of ten.

    >>> ticks(0, 1), ticks(3, 17)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0])
    """
    rough = (high - low) / most
    power = 10 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * 0.85)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(float(i * step), 12) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two ends; only the powers if there are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        values = [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]
        if len(values) <= 8:
            break
    return values


def _finite(line: Line) -> NDArray[np.float64]:
    """(n, 2) finite points, at most MOST_POINTS; the marked one is among them."""
    step = max(1, -(-len(line.x) // MOST_POINTS))
    kept = np.arange(len(line.x)) % step == 0
    points = np.stack([line.x, line.y], axis=1)[kept]
    return points[np.isfinite(points).all(axis=1)]


def _ends(values: NDArray[np.float64], *, log: bool = False) -> tuple[float, float]:
    """The least and the largest value, moved apart if they are equal."""
    if not values.size:
        return (0.1, 1) if log else (0, 1)
    low, high = float(values.min()), float(values.max())
    if log:
        return low / 1.05, high * 1.05
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _scale(low: float, high: float, start: float, end: float, *, log: bool = False) -> Scale:
    """The function from values to positions in the view box."""
    change: Callable[[float], float] = math.log10 if log else float
    first, last = change(low), change(high)
    return lambda value: round(start + (end - start) * (change(value) - first) / (last - first), 1)


def _placed(values: Sequence[float], scale: Scale) -> list[Tick]:
    return [Tick(scale(v), f"{v:g}".replace("-", "\N{MINUS SIGN}")) for v in values]


def _drawn(line: Line, points: NDArray[np.float64], across: Scale, up: Scale) -> dict[str, object]:
    places = [(across(px), up(py)) for px, py in points.tolist()]
    mark = None
    if line.mark is not None and math.isfinite(line.y[line.mark]):
        mark = (across(float(line.x[line.mark])), up(float(line.y[line.mark])))
    dots = places if len(places) <= FEW_POINTS and not line.faint else []
    return {
        "points": " ".join(f"{px:g},{py:g}" for px, py in places),
        "series": line.series,
        "faint": line.faint,
        "dots": dots,
        "mark": mark,
    }


def _render(x: str, y: str, x_ticks: list[Tick], y_ticks: list[Tick], **parts: object) -> str:
    nothing: dict[str, object] = {"lines": [], "bars": [], "bar_width": 0, "middle": None}
    box = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT, "top": TOP}
    return render(
        "chart.svg",
        x=x,
        y=y,
        x_ticks=x_ticks,
        y_ticks=y_ticks,
        bottom=HEIGHT - BOTTOM,
        **box,
        **(nothing | parts),
    )
