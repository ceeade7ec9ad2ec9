"""Charts as SVG to stand inside a page: they take its font and its colours, light or dark.

No text of the user's goes into them (names stand in the page's own legends), so nothing has to be
escaped here.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

INK, RULE, SERIES, MISSED = "#010203", "#010204", "#0102{:02x}", "#010205"
"""Stand-ins, replaced in the SVG by the page's colours: text, grid, series 0…, missed objects."""
DASHES = ("", "6 3", "2 2", "8 2 2 2")
"""How the lines of series 0… are broken; the page's legends repeat it."""
SIZE_INCHES = (4.3, 2.8)
MOST_POINTS, FEW_POINTS = 600, 30
"""On a line: more are thinned out, as few are dotted."""


@dataclass(frozen=True)
class Line:
    """Points of one line, (n,) each; `series` chooses colour and dashes, `mark` is a point to ring."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    series: int = 0
    faint: bool = False
    mark: int | None = None


def curves_svg(
    name: str,
    lines: Sequence[Line],
    *,
    x: str,
    y: str,
    log: bool = False,
    limits: tuple[float, float] | None = None,
) -> str:
    """A line chart with the axes' names `x` and `y`; long lines are thinned out.

    name: of the chart, its own in the page.
    """
    figure, axes = _chart(x, y)
    for line in lines:
        thin = slice(None, None, max(1, len(line.x) // MOST_POINTS))
        colour, dashes = SERIES.format(16 + line.series % 8), DASHES[line.series % len(DASHES)]
        style = (0, tuple(float(n) / 1.6 for n in dashes.split())) if dashes and not line.faint else "-"
        axes.plot(
            line.x[thin],
            line.y[thin],
            color=colour,
            linestyle=style,
            linewidth=0.8 if line.faint else 1.6,
            marker="o" if len(line.x) <= FEW_POINTS else None,
            markersize=3,
            alpha=0.35 if line.faint else 1.0,
        )
        if line.mark is not None:
            point = slice(line.mark, line.mark + 1)
            axes.plot(line.x[point], line.y[point], "o", ms=8, mfc="none", mec=colour, mew=1.6)
    if log:
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
    if limits is not None:
        axes.set_ylim(*limits)
    return _svg(figure, name)


def histogram_svg(name: str, values: NDArray[np.float64], missed: int, *, x: str, y: str) -> str:
    """Values in 0…1 in bins of 0.05; the first `missed` of the zeros stand out as a bar of their own."""
    figure, axes = _chart(x, y)
    edges = np.linspace(0, 1, 21)
    heights, _ = np.histogram(values, edges)
    axes.bar(edges[:-1], heights, width=0.046, align="edge", color=SERIES.format(16))
    axes.bar(edges[:1], [missed], width=0.046, align="edge", color=MISSED)
    axes.axvline(0.5, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set_xlim(-0.01, 1.01)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return _svg(figure, name)


def _chart(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    axes.set_xlabel(x, color=INK, size=10.5)
    axes.set_ylabel(y, color=INK, size=10.5)
    axes.grid(color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(which="both", colors=INK, labelsize=10)
    return figure, axes


def _svg(figure: Figure, name: str) -> str:
    """The figure without size, ids of its own or metadata, so that many can stand in one page."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "unetseg"}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)
    body = buffer.getvalue()
    box = re.search(r'viewBox="([\d. ]+)"', body)
    body = body[body.index(">", body.index("<svg")) + 1 :]
    body = body.replace(INK, "currentColor").replace(RULE, "var(--rule)").replace(MISSED, "var(--missed)")
    body = re.sub(r"#0102([0-9a-f]{2})", lambda m: f"var(--series-{int(m[1], 16) - 15})", body)
    body = re.sub(r"font: ?([\d.]+)px [^;\"]*", r"font-size: \1px", body)
    body = _own_ids(body, f"{name}-")
    return f'<svg viewBox="{box[1] if box else ""}" aria-hidden="true" focusable="false">{body}'


def _own_ids(body: str, prefix: str) -> str:
    """Ids that are referred to get the prefix, the others go."""
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', body))
    keep = lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else ""  # noqa: E731
    body = re.sub(r' id="([^"]+)"', keep, body)
    return re.sub(r'(href="|url\()#', rf"\1#{prefix}", body).replace("xlink:href", "href")
