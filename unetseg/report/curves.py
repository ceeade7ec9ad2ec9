"""Learning curves of one or several runs, as charts with their legend and a table of the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.evaluation.by_kind import number
from unetseg.figures import Line, curves_svg

Records = Sequence[Mapping[str, Any]]
Table = tuple[list[str], list[list[str]]]
"""The head and the rows, in words."""
TABLE_ROWS = 25


@dataclass(frozen=True)
class Chart:
    """A chart, its words for those who do not see it, its legend by series, and its numbers."""

    title: str
    svg: str
    summary: str
    legend: list[str]
    table: Table


def run_charts(records: Records) -> list[Chart]:
    """Loss over the steps, and the validation scores; a chart without numbers is left out."""
    return [c for c in (_loss({"training loss": records}), _validation(records)) if c is not None]


def comparison_charts(runs: Mapping[str, Records], best_by: str) -> list[Chart]:
    """The smoothed loss of every run, and the validation score that chose the first run's weights."""
    return [c for c in (_loss(runs), _compared(runs, best_by)) if c is not None]


def _loss(runs: Mapping[str, Records]) -> Chart | None:
    lines, legend, ends, rows = [], [], [], []
    for series, (name, records) in enumerate(runs.items()):
        steps, losses = _series(records, lambda r: r.get("loss"))
        if not len(steps):
            continue
        smooth = _smooth(losses)
        if len(runs) == 1:
            lines.append(Line(steps, losses, series, faint=True))
        lines.append(Line(steps[len(steps) - len(smooth) :], smooth, series))
        legend.append((series, name))
        ends.append(f"{name}: from {smooth[0]:.3g} to {smooth[-1]:.3g} after step {steps[-1]:.0f}")
        few = np.linspace(0, len(steps) - 1, min(len(steps), TABLE_ROWS // len(runs) + 2)).astype(int)
        rows += [[name, f"{steps[i]:.0f}", f"{losses[i]:.4g}"] for i in np.unique(few)]
    if not lines:
        return None
    svg = curves_svg(
        "loss", lines, x="step", y="training loss", log=all(bool((x.y > 0).all()) for x in lines)
    )
    return Chart("Training loss", svg, "; ".join(ends), _named(legend), (["run", "step", "loss"], rows))


def _validation(records: Records) -> Chart | None:
    """All validation scores of a run; the step whose weights were kept is ringed."""
    validated = [r for r in records if r.get("validation")]
    if not validated:
        return None
    names = list(validated[0]["validation"])
    best = max((i for i, r in enumerate(validated) if r.get("best")), default=len(validated) - 1)
    steps = np.array([r["step"] for r in validated], float)
    values = {n: np.array([_float(r["validation"].get(n)) for r in validated]) for n in names}
    lines = [Line(steps, values[n], i, mark=best) for i, n in enumerate(names)]
    rows = [[f"{s:.0f}", *(number(float(values[n][i])) for n in names)] for i, s in enumerate(steps)]
    summary = f"best weights after step {steps[best]:.0f}: " + ", ".join(
        f"{n} {number(float(values[n][best]))}" for n in names
    )
    svg = curves_svg("validation", lines, x="step", y="validation score", limits=(-0.02, 1.02))
    return Chart("Validation scores", svg, summary, names, (["step", *names], rows))


def _compared(runs: Mapping[str, Records], best_by: str) -> Chart | None:
    lines, legend, rows, ends = [], [], [], []
    for series, (name, records) in enumerate(runs.items()):
        steps, values = _series(records, lambda r: (r.get("validation") or {}).get(best_by))
        if not len(steps):
            continue
        lines.append(Line(steps, values, series))
        legend.append((series, name))
        rows += [[name, f"{s:.0f}", number(float(v))] for s, v in zip(steps, values, strict=True)]
        ends.append(f"{name}: last {values[-1]:.4f}, highest {values.max():.4f}")
    if not lines:
        return None
    svg = curves_svg("validation", lines, x="step", y=best_by, limits=(-0.02, 1.02))
    title = f"Validation {best_by}"
    return Chart(title, svg, "; ".join(ends), _named(legend), (["run", "step", best_by], rows))


def _series(records: Records, value: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps and finite values, in the log's order."""
    points = [(float(r["step"]), _float(value(r))) for r in records if "step" in r and value(r) is not None]
    finite = [p for p in points if math.isfinite(p[1])]
    array = np.array(finite, float).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    width = max(1, len(values) // 50)
    return np.convolve(values, np.ones(width) / width, mode="valid")


def _named(legend: Sequence[tuple[int, str]]) -> list[str]:
    """Names by series; a series without a line has an empty name."""
    names = dict(legend)
    return [names.get(i, "") for i in range(max(names) + 1)]


def _float(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
