"""The benchmarks of the papers: every net on every fold, resumed after an interruption, in one table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unetseg.config import choose_fold, choose_net, read_experiment
from unetseg.errors import UserError, did_you_mean
from unetseg.evaluation.by_kind import number
from unetseg.files import replacing, shipped, write_json
from unetseg.pipeline.dataset import list_data
from unetseg.reproduce.published import BUDGETS, PUBLISHED
from unetseg.run import Run
from unetseg.scores.mistakes import error_sentence
from unetseg.settings import Experiment

BESIDE = ("iou", "background-iou", "f1", "det", "tra", "lnk", "op-csb", "op-ctb", "v-rand", "v-info")
"""Scores shown beside those that were published."""
EVERY_FRAME = "`det`, `tra`, `lnk`, `op-csb` and `op-ctb` count every frame of the test sequence."


@dataclass(frozen=True)
class BenchmarkRun:
    """One training of a benchmark: a net on a fold."""

    net: str
    fold: str
    path: Path
    experiment: Experiment

    @property
    def scores(self) -> dict[str, Any]:
        """The content of the run's scores.json; empty until it is done."""
        return Run(self.path).read_json("scores.json")


def benchmark(
    task: str, budget: str, nets: Sequence[str], folds: Sequence[str], out: Path, root: str | None
) -> list[BenchmarkRun]:
    """The trainings of a benchmark: nets × folds of experiments/TASK/BUDGET.toml.

    Without nets, those of the file: its own, and those of its tables [nets.NAME]; without folds, all.
    A net that the file does not name is trained with its default options, on the same terms.
    """
    base = read_experiment(experiment_file(task, budget))
    if root is not None:
        base = replace(base, data=replace(base.data, root=root))
    for fold in folds:
        if fold not in base.folds:
            raise UserError(f"{task} has no fold {fold!r}; {did_you_mean(fold, base.folds)}")
    own = dict.fromkeys([str(base.net["name"]), *base.nets])
    return [
        BenchmarkRun(
            net,
            fold,
            out / f"{task}-{budget}" / f"{net}-{fold}",
            choose_fold(choose_net(base, net), fold),
        )
        for net in nets or own
        for fold in folds or base.folds
    ]


def check_data(task: str, entries: Sequence[BenchmarkRun]) -> None:
    """Raise UserError, before anything is created, if the data of an unfinished entry are missing."""
    for entry in [e for e in entries if not e.scores][:1]:
        try:
            list_data(entry.experiment.data)
        except UserError as error:
            raise UserError(
                f"{error} {task} is trained on {PUBLISHED[task].title}: --root is that data set's folder."
            ) from None


def experiment_file(task: str, budget: str) -> Path:
    """experiments/TASK/BUDGET.toml; UserError if there is none."""
    if task not in PUBLISHED:
        raise UserError(f"there is no benchmark {task!r}; {did_you_mean(task, PUBLISHED)}")
    folder = shipped("experiments") / task
    if not (folder / f"{budget}.toml").is_file():
        there = ", ".join(b for b in BUDGETS if (folder / f"{b}.toml").is_file())
        raise UserError(f"{task} has no budget {budget!r}. Choose one with --budget: {there}.")
    return folder / f"{budget}.toml"


def open_or_create(entry: BenchmarkRun) -> tuple[Run, bool]:
    """The entry's run, and whether to resume it; a run without a checkpoint starts again."""
    there = Run(entry.path)
    if there.last.is_file():
        return Run.open(entry.path), True
    if entry.path.exists():
        there.discard()
    return Run.create(entry.path, entry.experiment), False


def write_results(task: str, entries: Sequence[BenchmarkRun], folder: Path) -> str:
    """FOLDER/results.json and results.md: ours fold by fold, and the published figures; the Markdown."""
    text = _markdown(task, [e for e in entries if e.scores])
    with replacing(folder / "results.md") as file:
        file.write_text(text, encoding="utf-8")
    rows = {f"{e.net}-{e.fold}": e.scores for e in entries if e.scores}
    write_json(folder / "results.json", rows)
    return text


def _markdown(task: str, done: Sequence[BenchmarkRun]) -> str:
    """Ours, a row per net and fold and the mean of each net over its folds, above the published rows."""
    published = PUBLISHED[task]
    names = [c.score for c in published.columns]
    others = [n for n in BESIDE if n not in names and any(_score(e, n) is not None for e in done)]
    shown = [*names, *others]
    lines = [
        f"# {published.title}",
        "",
        "| | split | " + " | ".join(shown) + " |",
        "|---" * (len(shown) + 2) + "|",
    ]
    for net in dict.fromkeys(e.net for e in done):
        lines += _net_rows([e for e in done if e.net == net], shown, published.ours_on)
    for method, values in published.rows.items():
        lines.append(_row(method, published.measured_on, [*values, *[None] * (len(shown) - len(values))]))
    if any("challenge" in e.scores for e in done):
        lines += ["", EVERY_FRAME]
    lines += ["", f"Published: {published.source}. {published.note}", "", *_mistakes(done), *_costs(done), ""]
    return "\n".join(lines)


def _net_rows(runs: Sequence[BenchmarkRun], shown: Sequence[str], split: str) -> list[str]:
    """A row for each fold of a net, and their mean."""
    rows = [[_score(e, n) for n in shown] for e in runs]
    means = [_mean(values) for values in zip(*rows, strict=True)]
    title = f"**{runs[0].net}, mean of {len(rows)} fold{'s' * (len(rows) > 1)}**"
    folds = [_row(f"{e.net}, fold {e.fold}", _split(e), r) for e, r in zip(runs, rows, strict=True)]
    return [*folds, _row(title, split, means)]


def _mistakes(done: Sequence[BenchmarkRun]) -> list[str]:
    """What went wrong in each run, in one sentence, with the interval of the score that decides."""
    lines = []
    for e in done:
        if not (errors := e.scores.get("errors")):
            continue
        known = {name: value if value is not None else math.nan for name, value in errors.items()}
        sentence = error_sentence(known, e.scores.get("noun", "objects"))
        name = e.experiment.train.select_by
        interval = e.scores.get("intervals", {}).get(name)
        ends = (
            f" ({name}: 95 % of {number(interval[0])} to {number(interval[1])} over frames)"
            if interval
            else ""
        )
        lines.append(f"- {e.net}, fold {e.fold}: {sentence}{ends}")
    return [*lines, ""] if lines else []


def _costs(done: Sequence[BenchmarkRun]) -> list[str]:
    """The cost of each net in a table: parameters, steps, time of training and of prediction."""
    lines = [
        "| | parameters | steps | training (min) | processor time of the steps (min) | prediction (s/image) "
        "| device |",
        "|---|---|---|---|---|---|---|",
    ]
    for e in done:
        each = e.scores.get("predict_seconds", 0) / max(len(e.scores.get("frames", {})), 1)
        cells = [
            f"{e.net}, fold {e.fold}",
            f"{e.scores.get('parameters', 0):,}",
            str(e.experiment.train.steps),
            f"{e.scores.get('train_seconds', 0) / 60:.1f}",
            _minutes(e.scores.get("train_processor_seconds")),
            f"{each:.2f}",
            str(Run(e.path).read_json("environment.json").get("device", "")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _minutes(seconds: float | None) -> str:
    return f"{seconds / 60:.1f}" if seconds else "–"


def _score(entry: BenchmarkRun, name: str) -> float | None:
    every = (entry.scores.get(key, {}) for key in ("scores", "task_scores", "challenge"))
    scores = {name: value for scores in every for name, value in scores.items()}
    value = scores.get(name)
    return float(value) if value is not None else None


def _split(entry: BenchmarkRun) -> str:
    return f"train {', '.join(entry.experiment.data.train)}; scored on {entry.scores['what']}"


def _row(first: str, second: str, values: Sequence[float | None]) -> str:
    return f"| {first} | {second} | " + " | ".join(map(number, values)) + " |"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
