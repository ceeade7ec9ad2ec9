"""The page of one run: its facts, charts and pictures put into the template."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from unetseg import __version__
from unetseg.figures import histogram_svg
from unetseg.pipeline.scoring import higher_is_better, number
from unetseg.published import PUBLISHED, Benchmark, benchmark_of
from unetseg.report import facts as words
from unetseg.report.curves import Chart, run_charts
from unetseg.report.evidence import KINDS, Evidence, gather, ranked
from unetseg.report.facts import Facts, read_facts
from unetseg.report.pictures import kept_pictures, thumbnails, training_pictures, viewers
from unetseg.run import EXPERIMENT, Run

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
    facts = read_facts(run)
    evidence = gather(run)
    chosen = _chosen(facts)
    seen = viewers(run, evidence, chosen, facts.frames, facts.primary or "")
    training, why_not = training_pictures(run)
    return render(
        "run.html",
        title=f"{facts.experiment.name}: run {facts.name}",
        facts=facts,
        tables=words.tables(facts),
        scores=words.score_rows(facts.pooled),
        own=words.score_rows(facts.own),
        frames=_frame_rows(facts),
        volumes=any(name.startswith("volume-") for name in facts.own),
        published=published_table(facts),
        charts=run_charts(run.records()),
        evidence=evidence,
        kinds=KINDS,
        histogram=_histogram(evidence),
        viewers=seen,
        thumbnails=thumbnails(run, evidence),
        kept=[] if seen else kept_pictures(run),
        training=training,
        why_no_training=why_not,
        commands=words.commands(facts, page, [str(run.path)]),
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


def published_table(facts: Facts) -> PublishedTable | None:
    """The published figures of the run's data set beside ours; None for other data."""
    key = benchmark_of(facts.experiment.data)
    if key is None or not facts.scores:
        return None
    benchmark, known = PUBLISHED[key], facts.own | facts.pooled
    rows = [[name, *(number(v) for v in values)] for name, values in benchmark.rows.items()]
    ours = [f"this run, {facts.part}", *(number(known.get(c.score)) for c in benchmark.columns)]
    head = [f"{c.title} ({c.better} is better)" for c in benchmark.columns]
    return PublishedTable(benchmark, head, rows, ours, benchmark.note)


def _chosen(facts: Facts) -> dict[str, str]:
    if facts.primary is None:
        return {}
    return ranked(facts.frames, facts.primary, higher_is_better(facts.primary))


def _frame_rows(facts: Facts) -> list[list[Any]]:
    """Frame name, then (value to sort by, value in words) of each score."""
    names = list(facts.pooled)
    return [
        [frame, *((values.get(n), number(values.get(n))) for n in names)]
        for frame, values in facts.frames.items()
    ]


def _histogram(evidence: Evidence) -> Chart | None:
    if not len(evidence.ious):
        return None
    ious, zero = evidence.ious, int((evidence.ious == 0).sum())
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
