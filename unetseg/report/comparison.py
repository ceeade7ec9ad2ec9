"""The page of several runs: how they differ, their scores, their curves, the same images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetseg.config import experiment_table
from unetseg.evaluation.by_kind import number
from unetseg.report import summary as words
from unetseg.report.curves import comparison_charts
from unetseg.report.error_analysis import find_mistakes
from unetseg.report.page import published_table
from unetseg.report.pictures import Viewer, viewers
from unetseg.report.render import render
from unetseg.report.summary import RunSummary, read_summary
from unetseg.run import Run
from unetseg.scores import find_score

SAME_IMAGES = 2


@dataclass(frozen=True)
class Cell:
    """A score as text, and whether it is the best of its column."""

    text: str
    best: bool


def comparison_page(runs: Sequence[Run], page: Path) -> str:
    """HTML of several runs side by side, in the given order."""
    every = dict(zip(_names(runs), (read_summary(run) for run in runs), strict=True))
    scores = _score_names(list(every.values()))
    comparable = len({(f.scores.get("part"), f.scores.get("what")) for f in every.values()}) == 1
    first = next(iter(every.values()))
    records = dict(zip(every, (run.records() for run in runs), strict=True))
    return render(
        "comparison.html",
        title=f"{len(runs)} runs compared: {', '.join(every)}",
        runs=every,
        score_names=scores,
        score_rows=words.score_rows(dict.fromkeys(scores), first.kind),
        rows={name: _cells(f, scores, list(every.values()), comparable) for name, f in every.items()},
        comparable=comparable,
        differences=_differences(every),
        published={name: table for name, f in every.items() if (table := published_table(f)) is not None},
        charts=comparison_charts(records, first.experiment.train.select_by),
        images=_same_images(dict(zip(every, runs, strict=True)), every),
        number=number,
        commands=[words.commands(first, page, [str(run.path) for run in runs])[-1]],
    )


def _names(runs: Sequence[Run]) -> list[str]:
    """The folders' names, with as much of their paths as is needed to distinguish them."""
    parts = [run.path.resolve().parts for run in runs]
    for depth in range(1, max(len(p) for p in parts) + 1):
        names = ["/".join(p[-depth:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    return [str(run.path) for run in runs]


def _score_names(every: Sequence[RunSummary]) -> list[str]:
    return list(dict.fromkeys(n for f in every for n in f.pooled | f.own))


def _cells(
    summary: RunSummary, names: Sequence[str], every: Sequence[RunSummary], comparable: bool
) -> list[Cell]:
    cells = []
    for name in names:
        value = _value(summary, name)
        known = [v for f in every if (v := _value(f, name)) is not None]
        entry = find_score(name, summary.kind)
        best = (min if entry and entry.better == "lower" else max)(known, default=None)
        cells.append(Cell(number(value), comparable and len(known) > 1 and value == best))
    return cells


def _value(summary: RunSummary, name: str) -> float | None:
    value = (summary.own | summary.pooled).get(name)
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _differences(every: dict[str, RunSummary]) -> dict[str, list[str]]:
    """The settings that differ between the runs: dotted key → value in each."""
    flat = [_flat(experiment_table(f.experiment)) for f in every.values()]
    keys = dict.fromkeys(key for table in flat for key in table)
    values = {key: [_text(table.get(key, "–")) for table in flat] for key in keys}
    return {key: row for key, row in values.items() if len(set(row)) > 1}


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)


def _flat(table: dict[str, Any], place: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{place}{key}.") if isinstance(value, dict) else {f"{place}{key}": value}
    return flat


def _same_images(runs: dict[str, Run], every: dict[str, RunSummary]) -> dict[str, list[tuple[str, Viewer]]]:
    """The images on which the runs' scores differ most, as each run sees them."""
    name = next(iter(every.values())).primary
    if name is None:
        return {}
    shared = set.intersection(*(set(f.frames) for f in every.values()))
    spread = {}
    for frame in shared:
        values = [v for f in every.values() if (v := f.frames[frame].get(name)) is not None]
        if len(values) == len(every):
            spread[frame] = max(values) - min(values)
    chosen = sorted(spread, key=lambda f: (-spread[f], f))[:SAME_IMAGES]
    analysis = {run: find_mistakes(runs[run]) for run in runs} if chosen else {}
    images: dict[str, list[tuple[str, Viewer]]] = {}
    for frame in chosen:
        for run, seen in analysis.items():
            of_run = viewers(seen, {frame: ""}, every[run].frames, name)
            images.setdefault(frame, []).extend((run, viewer) for viewer in of_run)
    return {frame: seen for frame, seen in images.items() if seen}
