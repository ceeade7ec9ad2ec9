"""Charts by hand: where points and ticks are, gaps, and names that are markup."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from unetseg.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Line,
    curves_svg,
    histogram_svg,
    log_ticks,
    ticks,
)


def points(svg: str) -> list[list[tuple[float, ...]]]:
    found = re.findall(r'points="([^"]*)"', svg)
    return [[tuple(map(float, p.split(","))) for p in line.split()] for line in found]


def test_the_first_and_last_point_lie_in_the_corners() -> None:
    svg = curves_svg(
        [Line(np.array([0.0, 5, 10]), np.array([0.0, 1, 0.5]), mark=1)], x="a", y="b", limits=(0, 1)
    )
    middle = LEFT + (WIDTH - RIGHT - LEFT) / 2
    half = TOP + (HEIGHT - BOTTOM - TOP) / 2
    assert points(svg) == [[(LEFT, HEIGHT - BOTTOM), (middle, TOP), (WIDTH - RIGHT, half)]]
    assert f'class="ring s0" cx="{middle}" cy="{TOP:.1f}"' in svg


def test_a_logarithmic_axis_has_a_decade_in_equal_steps() -> None:
    line = points(curves_svg([Line(np.arange(3.0), np.array([0.01, 0.1, 1]))], x="a", y="b", log=True))[0]
    assert line[0][1] - line[1][1] == pytest.approx(line[1][1] - line[2][1], abs=0.2)


def test_what_is_not_finite_is_left_out_and_long_lines_are_thinned() -> None:
    values = np.array([1, np.nan, 3, np.inf, 5])
    assert len(points(curves_svg([Line(np.arange(5.0), values)], x="a", y="b"))[0]) == 3
    long = Line(np.arange(5000.0), np.arange(5000.0))
    assert 300 < len(points(curves_svg([long], x="a", y="b"))[0]) <= 600


@pytest.mark.parametrize("values", [[], [2.0], [np.nan, np.nan], [3.0, 3.0], [-1e-9, 1e9]])
def test_every_chart_is_sound(values: list[float]) -> None:
    svg = curves_svg([Line(np.arange(float(len(values))), np.array(values))], x="<x>", y='y & "y"')
    ElementTree.fromstring(svg)  # noqa: S314
    assert "nan" not in svg


def test_bars_are_as_high_as_their_counts() -> None:
    svg = histogram_svg(np.array([0, 0, 0.52, 0.53, 0.98, 1.0]), 2, x="a", y="b")
    heights = [float(h) for h in re.findall(r'height="([\d.]+)"/>', svg)]
    assert heights == [HEIGHT - BOTTOM - TOP] * 4  # two in each of three bins, and the red one


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.0, 5000.0), (-3, 17.5), (1e-7, 2e-7)])
def test_ticks_are_few_round_and_within(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 3 <= len(found) <= 8
    assert min(found) >= low - 1e-9 * abs(high)
    assert max(found) <= high * (1 + 1e-9)


def test_logarithmic_ticks() -> None:
    assert log_ticks(0.04, 1.2) == pytest.approx([0.05, 0.1, 0.2, 0.5, 1])
    assert log_ticks(1e-5, 10) == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10])
