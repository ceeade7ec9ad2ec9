"""A plain summary of a run folder: what was done, and with what."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetseg.device import choose_device
from unetseg.errors import UserError
from unetseg.evaluation.by_kind import number
from unetseg.nets import parameter_count
from unetseg.pipeline.model import load_model
from unetseg.pipeline.start_from import in_words
from unetseg.report.saved import damaged_lines, read_saved
from unetseg.report.words import UNKNOWN, duration, whole
from unetseg.run import Run
from unetseg.sample import LabelKind
from unetseg.scores import Kind, Score, find_score
from unetseg.settings import Experiment, TargetSettings

Pair = tuple[str, str]


@dataclass(frozen=True)
class ScoreRow:
    """A pooled score: its name here and its usual title, what it means, its value, and which way is better.

    interval: the 95 % interval as text; empty if none was estimated.
    """

    name: str
    title: str
    meaning: str
    value: str
    better: str
    interval: str = ""


@dataclass(frozen=True)
class RunSummary:
    """The text of a page about a run; `scores` is the content of scores.json, perhaps empty."""

    name: str
    path: str
    experiment: Experiment
    environment: dict[str, Any]
    scores: dict[str, Any]
    parameters: int | None
    steps_done: int
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> LabelKind:
        """What was scored: objects, classes or restored images."""
        if self.scores.get("kind") == "restoration":
            return "restoration"
        classes = self.scores.get("kind") == "classes" or "iou-0" in self.pooled
        return "classes" if classes else "instances"

    @property
    def primary(self) -> str | None:
        """The score that images are ranked by: the one the weights were chosen by, if available."""
        names = list(self.pooled)
        chosen = self.experiment.train.select_by
        return chosen if chosen in names else next(iter(names), None)

    @property
    def frames(self) -> dict[str, dict[str, float | None]]:
        """The scores of each frame."""
        frames: dict[str, dict[str, float | None]] = self.scores.get("frames", {})
        return frames

    @property
    def pooled(self) -> dict[str, float | None]:
        """The scores over all frames."""
        pooled: dict[str, float | None] = self.scores.get("scores", {})
        return pooled

    @property
    def own(self) -> dict[str, float | None]:
        """The scores of the task's own challenge; empty for tasks without any."""
        own: dict[str, float | None] = self.scores.get("task_scores", {})
        return own

    @property
    def methods(self) -> dict[str, dict[str, float | None]]:
        """In restoration the scores of this network, the noisy input and classical filters; else empty."""
        methods: dict[str, dict[str, float | None]] = self.scores.get("methods", {})
        return methods

    @property
    def intervals(self) -> dict[str, list[float]]:
        """The 95 % intervals of the pooled scores; empty for runs made before they were estimated."""
        intervals: dict[str, list[float]] = self.scores.get("intervals", {})
        return intervals

    @property
    def calibration(self) -> dict[str, Any]:
        """The reliability of the probabilities; empty for runs made before it was kept."""
        calibration: dict[str, Any] = self.scores.get("calibration", {})
        return calibration

    @property
    def noun(self) -> str:
        """What the objects are called."""
        return str(self.scores.get("noun", "objects"))

    @property
    def part(self) -> str:
        """What was scored, with the part named."""
        if not self.scores:
            return "nothing was scored"
        if not self.scores.get("part"):
            return str(self.scores.get("what", ""))
        chose = ", which chose the weights" if self.scores.get("part") == "validate" else ""
        return f"{self.scores.get('what', '')} (the {self.scores.get('part', '')} part{chose})"


def read_summary(run: Run) -> RunSummary:
    """The summary of a run folder; missing parts are empty."""
    records = run.records()
    (saved_environment, environment_note), (scores, scores_note) = (
        read_saved(run, name) for name in ("environment.json", "scores.json")
    )
    steps = [r for r in records if "loss" in r]
    return RunSummary(
        name=run.path.resolve().name,
        path=str(run.path),
        experiment=run.experiment,
        environment=saved_environment,
        scores=scores,
        parameters=_parameters(run),
        steps_done=max((int(r.get("step", 0)) for r in steps), default=0),
        seconds=run.seconds,
        notes=tuple(note for note in (environment_note, scores_note, damaged_lines(run)) if note),
    )


def tables(summary: RunSummary) -> dict[str, list[Pair]]:
    """The summary in tables of (what, value), by the tables' titles."""
    return {"Data": _data(summary), "Network": _network(summary), "Training": _training(summary)} | {
        "Machine": _machine(summary)
    }


def score_rows(scores: dict[str, Any], kind: Kind, intervals: dict[str, Any] | None = None) -> list[ScoreRow]:
    """Scores as text, in their order; an unknown name has no meaning."""
    ends = {n: " to ".join(map(number, pair)) for n, pair in (intervals or {}).items() if len(pair) == 2}
    return [_score_row(n, value, find_score(n, kind), ends.get(n, "")) for n, value in scores.items()]


def _score_row(name: str, value: Any, entry: Score | None, interval: str) -> ScoreRow:
    if entry is None:
        return ScoreRow(name, name, "", number(value), "", interval)
    return ScoreRow(name, entry.title, entry.meaning, number(value), entry.better, interval)


def commands(summary: RunSummary, page: Path, paths: list[str]) -> list[Pair]:
    """The commands that repeat the run and the page."""
    typed = summary.environment.get("command")
    toml, copy = shlex.quote(summary.path + "/experiment.toml"), shlex.quote(summary.path + "-again")
    again = f"unetseg train {toml} --run {copy}"
    report = f"unetseg report {' '.join(map(shlex.quote, paths))} --out {shlex.quote(str(page))}"
    first = [("As it was typed", f"unetseg {typed}")] if typed else []
    return [*first, ("The run again, from its folder", again), ("This page again", report)]


def _data(summary: RunSummary) -> list[Pair]:
    data, split = summary.experiment.data, summary.environment.get("split", {})
    parts = [(f"{part} part", str(split.get(part) or "none")) for part in ("train", "validate", "test")]
    checksum = str(summary.environment.get("data_sha256", UNKNOWN))
    scored = [("scored on", summary.part)] if summary.scores else []
    truth = [("truth trained on", data.truth)] if data.task == "cell-tracking" else []
    return [
        ("task", data.task),
        ("folder", data.root or "made by the program"),
        *(parts if split else [("split", UNKNOWN)]),
        *scored,
        *truth,
        (
            "pixels",
            "as they are"
            if data.downsample == 1
            else f"blocks of {data.downsample}×{data.downsample} averaged",
        ),
        ("grey values", data.normalise),
        ("SHA-256 of pixels and labels", checksum),
    ]


def _network(summary: RunSummary) -> list[Pair]:
    net = summary.experiment.net
    return [("parameters", whole(summary.parameters)), *((k, str(v)) for k, v in net.items())]


def _training(summary: RunSummary) -> list[Pair]:
    train, target = summary.experiment.train, summary.experiment.target
    crop = "×".join(map(str, train.crop * 2 if len(train.crop) == 1 else train.crop))
    return [
        ("steps", f"{summary.steps_done} of {train.steps}"),
        ("batch", f"{train.batch} crops of {crop} {'voxels' if len(train.crop) == 3 else 'pixels'}"),
        ("seed", str(summary.experiment.seed)),
        ("optimizer", f"{train.optimizer}, learning rate {train.learning_rate:g}, {train.schedule}"),
        ("target", target.kind),
        ("loss", train.loss if target.kind == "restoration" else f"{train.loss}, {_weights(target)}"),
        ("precision", train.precision),
        ("weights chosen by", f"{train.select_by} of the validate part, every {train.validate_every} steps"),
        ("time", duration(summary.seconds)),
        *([("started from", in_words(lineage))] if (lineage := summary.environment.get("lineage")) else []),
    ]


def _weights(target: TargetSettings) -> str:
    return f"weight map w0 = {target.w0:g}, σ = {target.sigma:g} pixels"


def _machine(summary: RunSummary) -> list[Pair]:
    env, packages = summary.environment, summary.environment.get("packages", {})
    memory, predicted = summary.scores.get("peak_memory_mib"), summary.scores.get("predict_seconds")
    pairs = [
        ("device", env.get("device")),
        ("peak memory", None if memory is None else f"{memory} MiB"),
        ("prediction and scoring", None if predicted is None else duration(float(predicted))),
        ("started", env.get("started")),
        ("unetseg", env.get("unetseg")),
        ("commit", env.get("commit")),
        ("Python", env.get("python")),
        ("platform", env.get("platform")),
        *packages.items(),
    ]
    return [(what, str(value or UNKNOWN)) for what, value in pairs]


def _parameters(run: Run) -> int | None:
    try:
        return parameter_count(load_model(run.best, choose_device("cpu")).net)
    except (UserError, OSError):
        return None
