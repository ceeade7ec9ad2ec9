"""A training run from an experiment to a run folder: read, train, validate, save, score, resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from unetseg.batches import Batch, batches
from unetseg.device import choose_device, describe_device, make_deterministic
from unetseg.distributed import any_of_all, processes, rank
from unetseg.errors import UserError
from unetseg.evaluation.by_kind import score_pairs
from unetseg.losses import LOSSES
from unetseg.nets import Fitted
from unetseg.pipeline.checks import check_trainable
from unetseg.pipeline.dataset import Dataset, crop_of, read_dataset
from unetseg.pipeline.decisions import (
    decide_precision,
    decide_steps,
    images_of,
    mean_seconds,
    seconds_per_step,
)
from unetseg.pipeline.evaluate import scored_part
from unetseg.pipeline.events import Event, Note, Scheduled, Validated
from unetseg.pipeline.model import Model, PredictSettings, load_model, save_model
from unetseg.pipeline.pretrained import start_from_weights
from unetseg.pipeline.provenance import environment
from unetseg.pipeline.recipe import Recipe, new_net
from unetseg.pipeline.saved_state import load_state, save_state
from unetseg.pipeline.start_from import (
    known_grey_values,
    origin,
    read_parent,
    recorded_lineage,
    start_from_parent,
)
from unetseg.pipeline.time_budget import Speed
from unetseg.pipeline.tune_labels import calibrate_model, choose_labels
from unetseg.run import Run
from unetseg.sample import Sample
from unetseg.scores import scores_of, standard_scores
from unetseg.settings import NO_AUGMENT, AugmentSettings, Experiment
from unetseg.train import State, Step, new_state, train

READ_LATE = {"cuda": 1}
"""Steps by which the loss is read late, by the type of device, so that nothing waits for a GPU."""


def train_run(run: Run, *, resume: bool, stopped: Callable[[], bool]) -> Iterator[Event]:
    """Train the run's experiment from its start, or from its last checkpoint, to its end.

    Yields notes, steps and validations as they come. When `stopped` returns True, the state is saved
    after the current step and the generator ends. A resumed run ends with the same weights as one
    that was not interrupted. Of several processes only the first validates and writes.
    """
    run = replace(run, writes=rank() == 0)
    with run.held():
        try:
            device = choose_device(run.experiment.device)
            several = f" and {processes() - 1} more of the kind" if processes() > 1 else ""
            yield Note(f"device: {describe_device(device)}{several}")
            fit, notes = _prepare(run, resume, device)
            yield from map(Note, notes)
            yield from fit.steps(stopped)
        except (UserError, OSError):
            if not resume:
                run.discard()
            raise


def _prepare(run: Run, resume: bool, device: torch.device) -> tuple[_Fit, list[str]]:
    """All that comes before the first step, and notes for the user."""
    started, experiment = time.monotonic(), run.experiment
    experiment, decided = (experiment, []) if resume else decide_precision(experiment, device)
    make_deterministic(experiment.train.deterministic)
    parent = read_parent(experiment.train.start_from) if experiment.train.start_from and not resume else None
    data = read_dataset(experiment, known_grey_values(run, parent))
    recipe = _recipe(experiment, data)
    net = new_net(recipe, experiment.seed)
    settings = experiment.train
    check_trainable(experiment, data, net)
    if parent is not None:
        decided += start_from_parent(net, recipe, parent, experiment, data.split.names())
    elif not resume:
        start_from_weights(net, experiment.net)
    state = new_state(net, settings, device)
    best, note = _resume(run, state, data.checksum) if resume else (-math.inf, "")
    if not resume:
        run.write_json("environment.json", environment(device, data) | origin(parent))
    model = Model(recipe, net, device, lineage=recorded_lineage(run))
    fit = _Fit(run, experiment, data, model, state, best)
    if isinstance(net, Fitted) and not resume and parent is None:
        net.fit(batch.images for batch in fit.batches(NO_AUGMENT))
    if settings.minutes and not resume:
        decided.append(fit.keep_to_budget(started))
    if not resume:
        run.record(fit.experiment)
    return fit, [*data.notes, *decided, *filter(None, [note])]


@dataclass
class _Fit:
    """One call of train_run: what its loop needs, and the best validation score so far."""

    run: Run
    experiment: Experiment
    data: Dataset
    model: Model
    state: State
    best: float

    def keep_to_budget(self, started: float) -> str:
        """Decide the number of steps by timing a few, which are undone, and predicting one image."""
        experiment, validate_part = self.experiment, self.data.validate
        settings, seed = experiment.train, experiment.seed
        step = seconds_per_step(
            self.state, self.batches(experiment.augment), settings, seed, self.model.device
        )
        clocks = [time.perf_counter()]
        for _ in range(2):  # the first prepares the device
            validate(self.model, validate_part[:1], settings.select_by)
            clocks.append(time.perf_counter())
        image = mean_seconds(clocks[2] - clocks[1], self.model.device)
        images = images_of(experiment, validate_part, scored_part(self.run)[2])
        self.experiment, note = decide_steps(experiment, Speed(step, image), images, started)
        return note

    def steps(self, stopped: Callable[[], bool]) -> Iterator[Event]:
        experiment, settings, device = self.experiment, self.experiment.train, self.model.device
        yield Scheduled(settings.steps)
        source = self.batches(experiment.augment)
        if self.run.writes and self.state.step >= settings.steps and not self.run.best.is_file():
            yield Note("best.pt is missing: the last weights take its place")
            yield self._validate()
        loss = LOSSES[settings.loss]
        done = train(self.state, source, loss, settings, seed=experiment.seed, device=device)
        unread: list[Step] = []
        for step in done:
            unread.append(step)
            last = step.number == settings.steps
            due = last or step.number % settings.validate_every == 0
            if due or len(unread) > READ_LATE.get(device.type, 0):
                yield from self._read(unread)
            if due and self.run.writes:
                yield self._validate()
                if last and (experiment.labels.choose or experiment.labels.calibrate):
                    yield from self._finish()
            stopping = any_of_all(
                stopped(), device
            )  # asked once, so that whatever ends the run also saves it
            if stopping:
                yield from self._read(unread)
            if self.run.writes and (due or stopping):
                self._save()
            if stopping:
                if self.run.writes and not self.run.best.is_file():
                    self._save_model({})
                return

    def _read(self, unread: list[Step]) -> Iterator[Step]:
        """Log the steps and yield them; afterwards the list is empty, and every loss was finite."""
        while unread:
            step = unread.pop(0)
            self.run.log({"step": step.number, **_rounded(step)})
            yield step

    def batches(self, augment: AugmentSettings) -> Iterator[Batch]:
        """The batches from the next step on."""
        settings, net = self.experiment.train, self.model.net
        return batches(
            self.data.examples,
            augment=augment,
            crop=crop_of(settings, net.dims),
            footprint=net.footprint,
            train=settings,
            seed=self.experiment.seed,
            start=self.state.step,
            device=self.model.device,
        )

    def _validate(self) -> Validated:
        """Predict (tiled) and score the validation part; keep the model if it is the best."""
        started = time.perf_counter()
        name = self.experiment.train.select_by
        scores = validate(self.model, self.data.validate, name)
        recipe = self.model.recipe
        value = scores.get(name, math.nan) * scores_of(recipe.kind, recipe.classes)[name].sign
        better = not self.data.validate or value > self.best or self.best == -math.inf
        step = self.state.step
        if better:
            self.best = value if math.isfinite(value) else self.best
            self._save_model(scores)
        seconds = round(time.perf_counter() - started, 3)
        self.run.log({"step": step, "validation": scores, "best": better, "seconds": seconds})
        return Validated(step, scores, better)

    def _finish(self) -> Iterator[Note]:
        """Calibrate the best model and choose its label settings by the validation part; save both in it."""
        labels, samples = self.experiment.labels, self.data.validate
        choose = labels.choose and self.model.recipe.kind != "classes"
        if not samples or not (choose or labels.calibrate):
            yield Note("labels: as set (the validation part has no objects to choose them by)")
            return
        best = load_model(self.run.best, self.model.device)
        best = replace(best, recipe=self.model.recipe)  # a run killed here makes the same choice again
        if labels.calibrate:
            yield Note("calibrating the probabilities by the validation part")
            best = calibrate_model(best, samples)
            values = ", ".join(f"{b:.4f}" for b in best.recipe.calibration)
            self.run.log({"step": self.state.step, "calibration": values})
        if choose:
            yield Note("choosing the label settings by the validation part")
            best, note = self._choose_labels(best)
            yield note
        with self.run.replacing(self.run.best.name) as path:
            save_model(path, best.recipe, best.net, self._metadata({}))

    def _choose_labels(self, best: Model) -> tuple[Model, Note]:
        select_by = self.experiment.train.select_by
        found = choose_labels(best, self.data.validate, select_by)
        self.run.log({"step": self.state.step, "labels": found.words, "score": found.score})
        note = Note(
            f"labels: {found.words} chosen by the validation part ({select_by} {found.before:.4f} → "
            f"{found.score:.4f}, {found.tried} settings in {found.seconds:.0f} s)"
        )
        return replace(best, recipe=replace(best.recipe, labels=found.labels)), note

    def _save_model(self, scores: dict[str, float]) -> None:
        """Save the current weights as the model to predict with."""
        with self.run.replacing(self.run.best.name) as path:
            save_model(path, self.model.recipe, self.model.net, self._metadata(scores))

    def _metadata(self, scores: dict[str, float]) -> dict[str, Any]:
        return {"step": self.state.step, "scores": scores, "lineage": self.model.lineage}

    def _save(self) -> None:
        with self.run.replacing(self.run.last.name) as path:
            save_state(path, self.state, self.best)


def validate(model: Model, samples: Sequence[Sample], select_by: str) -> dict[str, float]:
    """Pooled standard scores of labelled samples, and the score `select_by`; empty without samples."""
    if not samples:
        return {}
    pairs = (
        (s.name, s.labels, model.labels(model.probabilities(s.image, s.name, PredictSettings())))
        for s in samples
        if s.labels is not None
    )
    kind, classes = model.recipe.kind, model.recipe.classes
    names = dict.fromkeys([*standard_scores(kind, classes), select_by])
    return score_pairs(pairs, kind, classes, list(names)).totals


def _recipe(experiment: Experiment, data: Dataset) -> Recipe:
    return Recipe(
        net=experiment.net,
        classes=data.classes,
        kind=data.kind,
        normalisation=data.normalisation,
        downsample=experiment.data.downsample,
        labels=experiment.labels,
        spacing_um=data.spacing_um,
        values=data.values,
        object_diameter=experiment.data.object_diameter,
        target=experiment.target,
    )


def _resume(run: Run, state: State, checksum: str) -> tuple[float, str]:
    if not run.last.is_file():
        raise UserError(
            f"{run.path}: nothing to resume, the run stopped before its first checkpoint. Remove "
            "the folder and train again."
        )
    if run.read_json("environment.json").get("data_sha256") != checksum:
        raise UserError(f"{run.path}: the data have changed since the run was started. Train again.")
    best, note = load_state(run.last, state, run.experiment.train.steps)
    run.forget_after(state.step)
    return (best if run.best.is_file() else -math.inf), note


def _rounded(step: Step) -> dict[str, Any]:
    names = ("loss", "learning_rate", "data_s", "total_s", "cpu_s")
    return {name: float(f"{getattr(step, name):.6g}") for name in names}
