"""The page of one run: its summary, charts and pictures put into the template."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unetseg.evaluation.by_kind import number
from unetseg.report import summary as words
from unetseg.report.curves import Chart, iou_histogram, reliability_chart, run_charts, time_chart
from unetseg.report.error_analysis import ErrorAnalysis, compare_frames, find_mistakes, ranked
from unetseg.report.later import Later
from unetseg.report.pictures import frames_in_small, kept_pictures, thumbnails, viewers
from unetseg.report.render import render
from unetseg.report.summary import RunSummary, read_summary
from unetseg.report.training_pictures import training_pictures
from unetseg.reproduce.published import PUBLISHED, Benchmark, benchmark_of
from unetseg.run import EXPERIMENT, Run
from unetseg.scores import find_score
from unetseg.scores.mistakes import MISTAKES, error_sentence


@dataclass(frozen=True)
class PublishedTable:
    """The published figures with ours as the last row, as text; `note` says what ours are."""

    benchmark: Benchmark
    head: list[str]
    rows: list[list[str]]
    ours: list[str]
    warning: str


def run_page(run: Run, page: Path, later: Later | None = None) -> str:
    """HTML of one run: a picture and a sentence first, then mistakes, scores, curves, and the rest.

    later: scores of label files that the run predicted afterwards, instead of those of its test part.
    """
    summary = read_summary(run)
    if later is None:
        analysis = find_mistakes(run)
    else:
        summary, analysis = replace(summary, scores=later.scores), compare_frames(later.frames)
    decides = summary.primary or ""
    seen = viewers(analysis, _chosen(summary), summary.frames, decides, summary.noun)
    small = frames_in_small(analysis)
    training, why_not = training_pictures(run)
    scores = words.score_rows(summary.pooled, summary.kind, summary.intervals)
    return render(
        "run.html",
        title=f"{summary.experiment.name}: run {summary.name}",
        summary=summary,
        sentence=_sentence(summary, analysis),
        tables=words.tables(summary),
        scores=scores,
        deciding=next((row for row in scores if row.name == summary.primary), None),
        methods=_method_rows(summary),
        own=words.score_rows(summary.own, summary.kind),
        frames=_frame_rows(summary),
        volumes=_of_volumes(summary),
        published=published_table(summary),
        charts=run_charts(run.records(), summary.kind, decides),
        reliability=reliability_chart(summary.calibration),
        over_time=_over_time(summary, analysis, scores),
        analysis=analysis,
        kinds=MISTAKES,
        histogram=iou_histogram(analysis.ious),
        viewers=seen,
        small=small,
        thumbnails=thumbnails(analysis),
        kept=[] if seen or later else kept_pictures(run),
        training=training,
        why_no_training=why_not,
        commands=words.commands(summary, page, [str(run.path), *(later.options if later else ())]),
        toml=(run.path / EXPERIMENT).read_text(encoding="utf-8"),
    )


def _sentence(summary: RunSummary, analysis: ErrorAnalysis) -> str:
    """How many objects were found, from the frames if they exist, else from the saved counts."""
    saved = {k: math.nan if v is None else v for k, v in summary.scores.get("errors", {}).items()}
    counts = analysis.counts if analysis.names else saved
    if summary.kind == "classes" or not counts.get("true") or "found" not in counts:
        return ""
    return error_sentence(counts, summary.noun)


def _over_time(summary: RunSummary, analysis: ErrorAnalysis, scores: list[words.ScoreRow]) -> Chart | None:
    row = next((row for row in scores if row.name == summary.primary), None)
    return time_chart(analysis.frames.places, summary.frames, row.name, row.title) if row else None


def _of_volumes(summary: RunSummary) -> bool:
    return any(name.startswith("volume-") for name in summary.own)


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


def _method_rows(summary: RunSummary) -> list[list[str]]:
    """A head, then a row for each method that restored the images; empty for other runs."""
    if not summary.methods:
        return []
    names = list(next(iter(summary.methods.values())))
    rows = [[method, *(number(scores.get(n)) for n in names)] for method, scores in summary.methods.items()]
    return [["method", *names], *rows]


def _frame_rows(summary: RunSummary) -> list[list[Any]]:
    """Frame name, then (value to sort by, value as text) of each score."""
    names = list(summary.pooled)
    return [
        [frame, *((values.get(n), number(values.get(n))) for n in names)]
        for frame, values in summary.frames.items()
    ]
