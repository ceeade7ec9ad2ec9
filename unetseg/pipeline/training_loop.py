"""The loop of a training run: steps, validations, the choice of label settings, and saving."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from unetseg.augment.blind_spot import with_blind_spots
from unetseg.batches import Batch, batches
from unetseg.distributed import any_of_all
from unetseg.evaluation.by_kind import score_pairs
from unetseg.losses import BLIND_SPOT, LOSSES
from unetseg.nets import Net
from unetseg.pipeline.dataset import Dataset, crop_of
from unetseg.pipeline.decisions import decide_steps, images_of, mean_seconds, seconds_per_step
from unetseg.pipeline.evaluate import scored_part
from unetseg.pipeline.events import Event, Note, Scheduled, Validated
from unetseg.pipeline.model import Model, PredictSettings, load_model, save_model
from unetseg.pipeline.recipe import Recipe
from unetseg.pipeline.saved_state import save_state
from unetseg.pipeline.start_from import recorded_lineage
from unetseg.pipeline.time_budget import Speed
from unetseg.pipeline.tune_labels import calibrate_model, choose_labels
from unetseg.run import Run
from unetseg.sample import Sample
from unetseg.scores import scores_of, standard_scores
from unetseg.settings import AugmentSettings, Experiment
from unetseg.train import State, Step, new_state, train

READ_LATE = {"cuda": 1}
"""Steps by which the loss is read late, by the type of device, so that nothing waits for a GPU."""


@dataclass
class Fit:
    """One call of train_run: what its loop needs, and the best validation score so far."""

    run: Run
    experiment: Experiment
    data: Dataset
    model: Model
    state: State
    best: float

    @classmethod
    def of(
        cls, run: Run, experiment: Experiment, data: Dataset, recipe: Recipe, net: Net, device: torch.device
    ) -> Fit:
        """Nothing is validated yet."""
        state = new_state(net, experiment.train, device)
        model = Model(recipe, net, device, lineage=recorded_lineage(run))
        return cls(run, experiment, data, model, state, best=-math.inf)

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
        """Train to the last step, or until `stopped` returns True."""
        settings, device = self.experiment.train, self.model.device
        yield Scheduled(settings.steps)
        if self.run.writes and self.state.step >= settings.steps and not self.run.best.is_file():
            yield Note("best.pt is missing: the last weights take its place")
            yield self._validate()
        unread: list[Step] = []
        for step in self._trained():
            unread.append(step)
            last = step.number == settings.steps
            due = last or step.number % settings.validate_every == 0
            if due or len(unread) > READ_LATE.get(device.type, 0):
                yield from self._log(unread)
            if due and self.run.writes:
                yield self._validate()
                yield from self._finish() if last else ()
            # asked once, so that whatever ends the run also saves it
            stopping = any_of_all(stopped(), device)
            if stopping:
                yield from self._log(unread)
            if (due or stopping) and self.run.writes:
                self._save(ends=stopping)
            if stopping:
                return

    def _trained(self) -> Iterator[Step]:
        """The remaining steps, as they are done."""
        settings, seed = self.experiment.train, self.experiment.seed
        source, first = self.batches(self.experiment.augment), self.state.step
        if settings.loss == BLIND_SPOT:
            source = (with_blind_spots(b, seed * 1_000_003 + n) for n, b in enumerate(source, first))
        return train(self.state, source, LOSSES[settings.loss], settings, seed=seed, device=self.model.device)

    def _log(self, unread: list[Step]) -> Iterator[Step]:
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
        if not (labels.choose or labels.calibrate):
            return
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

    def _save(self, *, ends: bool) -> None:
        """Save the state; if the run ends here, also a model, even without any validation."""
        with self.run.replacing(self.run.last.name) as path:
            save_state(path, self.state, self.best)
        if ends and not self.run.best.is_file():
            self._save_model({})


def validate(model: Model, samples: Sequence[Sample], select_by: str) -> dict[str, float]:
    """Pooled standard scores of the samples that have a truth, and the score `select_by`; empty without."""
    known = [(s, s.truth) for s in samples if s.truth is not None]
    if not known:
        return {}
    settings = PredictSettings()
    pairs = ((s.name, truth, model.result(s.image, s.name, settings)) for s, truth in known)
    kind, classes = model.recipe.kind, model.recipe.classes
    names = dict.fromkeys([*standard_scores(kind, classes), select_by])
    return score_pairs(pairs, kind, classes, list(names)).totals


def _rounded(step: Step) -> dict[str, Any]:
    names = ("loss", "learning_rate", "data_s", "total_s", "cpu_s")
    return {name: float(f"{getattr(step, name):.6g}") for name in names}
