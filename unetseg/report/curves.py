"""Learning curves of one or several runs, as charts with a legend and a table of the same numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.evaluation.by_kind import number
from unetseg.report.charts import Line, curves_svg, histogram_svg
from unetseg.sample import LabelKind
from unetseg.scores import find_score

Records = Sequence[Mapping[str, Any]]
Table = tuple[list[str], list[list[str]]]
"""The head and the rows, as text."""
TABLE_ROWS, BINS, FILM_FRAMES = 25, 20, 5


@dataclass(frozen=True)
class Chart:
    """A chart, its description for those who cannot see it, its legend by series, and its numbers."""

    title: str
    svg: str
    summary: str
    legend: list[str]
    table: Table


def run_charts(records: Records, kind: LabelKind, decides: str) -> list[Chart]:
    """Loss over the steps, the validation scores, and separately the errors, for which lower is better.

    decides: the score that the weights are chosen by, drawn first. A chart without numbers is left out.
    """
    names = dict.fromkeys(n for r in records for n in r.get("validation") or {})
    lower = [n for n in names if (entry := find_score(n, kind)) and entry.better == "lower"]
    higher = sorted((n for n in names if n not in lower), key=lambda n: n != decides)
    charts = [
        _loss({"training loss": records}),
        *(_validation(records, names, *head) for names, head in _by_range(records, higher)),
        _validation(records, lower, "Validation errors", "error (lower is better)", None),
    ]
    return [c for c in charts if c is not None]


def _by_range(
    records: Records, names: Sequence[str]
) -> list[tuple[list[str], tuple[str, str, tuple[float, float] | None]]]:
    """The scores in 0…1 and those in other units, each with the title, axis and limits of its chart."""
    values = {n: [_float((r.get("validation") or {}).get(n)) for r in records] for n in names}
    wide = [n for n in names if any(math.isfinite(v) and not 0 <= v <= 1 for v in values[n])]
    narrow = [n for n in names if n not in wide]
    return [
        (narrow, ("Validation scores", "score (higher is better)", (-0.02, 1.02))),
        (wide, ("Validation scores in dB", "score (higher is better)", None)),
    ]


def time_chart(
    places: Mapping[str, tuple[str, int]],
    frames: Mapping[str, Mapping[str, float | None]],
    name: str,
    title: str,
) -> Chart | None:
    """A score over the frames of each film or stack; None if no group has five frames or more.

    places: the group of each frame and its index in it; frames: the scores of each.
    """
    groups: dict[str, list[tuple[int, float]]] = {}
    for frame, (group, index) in places.items():
        value = _float(frames.get(frame, {}).get(name))
        if math.isfinite(value):
            groups.setdefault(group, []).append((index, value))
    films = {group: sorted(points) for group, points in groups.items() if len(points) >= FILM_FRAMES}
    if not films:
        return None
    arrays = [np.array(points, float) for points in films.values()]
    lines = [Line(array[:, 0], array[:, 1], series) for series, array in enumerate(arrays)]
    rows = [[group, str(i), number(v)] for group, points in films.items() for i, v in points]
    worst = ((min(points, key=lambda p: p[1]), group) for group, points in films.items())
    summary = "; ".join(f"{group}: lowest {number(v)} at frame {i}" for (i, v), group in worst)
    svg = curves_svg(lines, x="frame", y=name)
    return Chart(f"{title} over the frames", svg, summary, list(films), (["group", "frame", name], rows))


def iou_histogram(ious: NDArray[np.float64]) -> Chart | None:
    """How many true objects reach which IoU; None if there are none."""
    if not len(ious):
        return None
    zero = int((ious == 0).sum())
    svg = histogram_svg(ious, zero, x="IoU with the matched object", y="true objects")
    summary = (
        f"{len(ious)} true objects, mean IoU {ious.mean():.3f}, median {np.median(ious):.3f}; "
        f"{float((ious >= 0.5).mean()):.0%} reach 0.5; {zero} have no match (red)."
    )
    counts, edges = np.histogram(ious, np.linspace(0, 1, BINS + 1))
    rows = [[f"{a:.2f} to {b:.2f}", str(n)] for a, b, n in zip(edges, edges[1:], counts, strict=False)]
    return Chart("IoU of every true object", svg, summary, [], (["IoU", "true objects"], rows))


def reliability_chart(saved: Mapping[str, Any]) -> Chart | None:
    """How often what was predicted with a probability was true; None where it was not kept.

    saved: as in scores.json.
    """
    if not saved or not saved["pixels"]:
        return None
    pixels, probability, frequency = (
        np.array(saved[n], float) for n in ("pixels", "probability", "frequency")
    )
    ends = np.array([0.0, 1.0])
    svg = curves_svg(
        [Line(probability, frequency), Line(ends, ends, 1)],
        x=f"predicted probability of {saved['of']}",
        y="fraction of the pixels where it was true",
        limits=(0, 1),
    )
    gap = float((pixels * (probability - frequency)).sum() / pixels.sum())
    bias = f"{abs(gap):.4f} too {'high' if gap > 0 else 'low'}"
    summary = (
        f"Expected calibration error {saved['error']:.4f}: the mean distance from the line over "
        f"{pixels.sum():,.0f} pixels, in {len(pixels)} bins. On average the probabilities are {bias}."
    )
    rows = [
        [f"{p:.3f}", f"{f:.3f}", f"{n:,.0f}"] for n, p, f in zip(pixels, probability, frequency, strict=True)
    ]
    head = ["mean probability", "fraction true", "pixels"]
    return Chart("Reliability", svg, summary, ["this run", "perfect calibration"], (head, rows))


def comparison_charts(runs: Mapping[str, Records], select_by: str) -> list[Chart]:
    """The smoothed loss of every run, and the validation score that chose the first run's weights."""
    return [c for c in (_loss(runs), _compared(runs, select_by)) if c is not None]


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
    svg = curves_svg(lines, x="step", y="training loss", log=all(bool((x.y > 0).all()) for x in lines))
    return Chart("Training loss", svg, "; ".join(ends), _named(legend), (["run", "step", "loss"], rows))


def _validation(
    records: Records, names: Sequence[str], title: str, axis: str, limits: tuple[float, float] | None
) -> Chart | None:
    """The named validation scores of a run; the step whose weights were kept is circled."""
    validated = [r for r in records if r.get("validation") and "step" in r]
    if not validated or not names:
        return None
    best = max((i for i, r in enumerate(validated) if r.get("best")), default=len(validated) - 1)
    steps = np.array([r["step"] for r in validated], float)
    values = {n: np.array([_float(r["validation"].get(n)) for r in validated]) for n in names}
    lines = [Line(steps, values[n], i, mark=best) for i, n in enumerate(names)]
    rows = [[f"{s:.0f}", *(number(float(values[n][i])) for n in names)] for i, s in enumerate(steps)]
    summary = f"best weights after step {steps[best]:.0f}: " + ", ".join(
        f"{n} {number(float(values[n][best]))}" for n in names
    )
    svg = curves_svg(lines, x="step", y=axis, limits=limits)
    return Chart(title, svg, summary, list(names), (["step", *names], rows))


def _compared(runs: Mapping[str, Records], select_by: str) -> Chart | None:
    lines, legend, rows, ends = [], [], [], []
    for series, (name, records) in enumerate(runs.items()):
        steps, values = _series(records, lambda r: (r.get("validation") or {}).get(select_by))
        if not len(steps):
            continue
        lines.append(Line(steps, values, series))
        legend.append((series, name))
        rows += [[name, f"{s:.0f}", number(float(v))] for s, v in zip(steps, values, strict=True)]
        ends.append(f"{name}: last {values[-1]:.4f}, highest {values.max():.4f}")
    if not lines:
        return None
    within = all(((line.y >= 0) & (line.y <= 1)).all() for line in lines)
    svg = curves_svg(lines, x="step", y=select_by, limits=(-0.02, 1.02) if within else None)
    title = f"Validation {select_by}"
    return Chart(title, svg, "; ".join(ends), _named(legend), (["run", "step", select_by], rows))


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
