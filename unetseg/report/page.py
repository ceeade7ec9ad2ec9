"""The page of one run: its summary, charts and pictures put into the template."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from unetseg import __version__
from unetseg.evaluation.by_kind import number
from unetseg.figures import histogram_svg
from unetseg.report import summary as words
from unetseg.report.curves import Chart, run_charts
from unetseg.report.error_analysis import KINDS, ErrorAnalysis, find_mistakes, ranked
from unetseg.report.pictures import kept_pictures, thumbnails, training_pictures, viewers
from unetseg.report.summary import RunSummary, read_summary
from unetseg.reproduce.published import PUBLISHED, Benchmark, benchmark_of
from unetseg.run import EXPERIMENT, Run
from unetseg.scores import find_score

BINS = 20


@dataclass(frozen=True)
class PublishedTable:
    """The published figures with ours as the last row, in words; `note` says what ours are."""

    benchmark: Benchmark
    head: list[str]
    rows: list[list[str]]
    ours: list[str]
    warning: str


def run_page(run: Run, page: Path) -> str:
    """HTML of one run."""
    summary = read_summary(run)
    analysis = find_mistakes(run)
    chosen = _chosen(summary)
    seen = viewers(run, analysis, chosen, summary.frames, summary.primary or "")
    training, why_not = training_pictures(run)
    return render(
        "run.html",
        title=f"{summary.experiment.name}: run {summary.name}",
        summary=summary,
        tables=words.tables(summary),
        scores=words.score_rows(summary.pooled, summary.kind),
        own=words.score_rows(summary.own, summary.kind),
        frames=_frame_rows(summary),
        volumes=any(name.startswith("volume-") for name in summary.own),
        published=published_table(summary),
        charts=run_charts(run.records()),
        analysis=analysis,
        kinds=KINDS,
        histogram=_histogram(analysis),
        viewers=seen,
        thumbnails=thumbnails(run, analysis),
        kept=[] if seen else kept_pictures(run),
        training=training,
        why_no_training=why_not,
        commands=words.commands(summary, page, [str(run.path)]),
        toml=(run.path / EXPERIMENT).read_text(encoding="utf-8"),
    )


def render(template: str, **values: Any) -> str:
    """A template of this package with everything that comes from the user escaped."""
    environment = Environment(
        loader=PackageLoader("unetseg.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"version": __version__, "duration": words.duration, "whole": words.whole}
    return environment.get_template(template).render(**values)


def published_table(summary: RunSummary) -> PublishedTable | None:
    """The published figures of the run's data set beside ours; None for other data."""
    key = benchmark_of(summary.experiment.data)
    if key is None or not summary.scores:
        return None
    benchmark, known = PUBLISHED[key], summary.own | summary.pooled
    rows = [[name, *(number(v) for v in values)] for name, values in benchmark.rows.items()]
    ours = [f"this run, {summary.part}", *(number(known.get(c.score)) for c in benchmark.columns)]
    head = [f"{c.title} ({c.better} is better)" for c in benchmark.columns]
    return PublishedTable(benchmark, head, rows, ours, benchmark.note)


def _chosen(summary: RunSummary) -> dict[str, str]:
    if summary.primary is None:
        return {}
    entry = find_score(summary.primary, summary.kind)
    return ranked(summary.frames, summary.primary, entry is None or entry.better == "higher")


def _frame_rows(summary: RunSummary) -> list[list[Any]]:
    """Frame name, then (value to sort by, value in words) of each score."""
    names = list(summary.pooled)
    return [
        [frame, *((values.get(n), number(values.get(n))) for n in names)]
        for frame, values in summary.frames.items()
    ]


def _histogram(analysis: ErrorAnalysis) -> Chart | None:
    if not len(analysis.ious):
        return None
    ious, zero = analysis.ious, int((analysis.ious == 0).sum())
    svg = histogram_svg("histogram", ious, zero, x="IoU with the matched object", y="true objects")
    good = float((ious >= 0.5).mean())
    summary = (
        f"{len(ious)} true objects, mean IoU {ious.mean():.3f}, median {np.median(ious):.3f}; "
        f"{good:.0%} reach 0.5; {zero} have no match (red)."
    )
    rows = [[f"{i / BINS:.2f} to {(i + 1) / BINS:.2f}", str(_within(ious, i))] for i in range(BINS)]
    return Chart("IoU of every true object", svg, summary, [], (["IoU", "true objects"], rows))


def _within(ious: Any, i: int) -> int:
    above = ious >= i / BINS
    return int((above & ((ious < (i + 1) / BINS) | (i == BINS - 1))).sum())
