"""A training run from an experiment to a run folder: started or resumed, then trained to its end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from unetseg.device import choose_device, describe_device, make_deterministic
from unetseg.distributed import processes, rank
from unetseg.errors import UserError
from unetseg.nets import Fitted, Net
from unetseg.normalise import Normalisation
from unetseg.pipeline.checks import check_trainable
from unetseg.pipeline.dataset import Dataset, read_dataset
from unetseg.pipeline.decisions import decide_precision
from unetseg.pipeline.events import Event, Note
from unetseg.pipeline.pretrained import start_from_weights
from unetseg.pipeline.provenance import environment
from unetseg.pipeline.recipe import Recipe, new_net
from unetseg.pipeline.saved_state import load_state
from unetseg.pipeline.start_from import known_grey_values, origin, read_parent, start_from_parent
from unetseg.pipeline.training_loop import Fit
from unetseg.run import Run
from unetseg.settings import NO_AUGMENT, Experiment
from unetseg.train import State


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
            fit, notes = _resumed(run, device) if resume else _started(run, device)
            yield from map(Note, notes)
            yield from fit.steps(stopped)
        except (UserError, OSError):
            if not resume:
                run.discard()
            raise


def _started(run: Run, device: torch.device) -> tuple[Fit, list[str]]:
    """A new run before its first step, and notes for the user: the weights, and what is decided once."""
    clock = time.monotonic()
    experiment, notes = decide_precision(run.experiment, device)
    parent = read_parent(experiment.train.start_from) if experiment.train.start_from else None
    data, recipe, net = _read(experiment, known_grey_values(run, parent))
    if parent is not None:
        notes += start_from_parent(net, recipe, parent, experiment, data.split.names())
    else:
        start_from_weights(net, experiment.net)
    run.write_json("environment.json", environment(device, data) | origin(parent))
    fit = Fit.of(run, experiment, data, recipe, net, device)
    if isinstance(net, Fitted) and parent is None:
        net.fit(batch.images for batch in fit.batches(NO_AUGMENT))
    if experiment.train.minutes:
        notes.append(fit.keep_to_budget(clock))
    run.record(fit.experiment)
    return fit, [*data.notes, *notes]


def _resumed(run: Run, device: torch.device) -> tuple[Fit, list[str]]:
    """An interrupted run at its last checkpoint, and notes for the user."""
    data, recipe, net = _read(run.experiment, known_grey_values(run, None))
    fit = Fit.of(run, run.experiment, data, recipe, net, device)
    fit.best, note = _load_last(run, fit.state, data.checksum)
    return fit, [*data.notes, *filter(None, [note])]


def _read(experiment: Experiment, grey_values: Normalisation | None) -> tuple[Dataset, Recipe, Net]:
    """The data, and a network with initial weights that fits them; UserError if the settings do not."""
    make_deterministic(experiment.train.deterministic)
    data = read_dataset(experiment, grey_values)
    recipe = _recipe(experiment, data)
    net = new_net(recipe, experiment.seed)
    check_trainable(experiment, data, net)
    return data, recipe, net


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


def _load_last(run: Run, state: State, checksum: str) -> tuple[float, str]:
    """Load the last checkpoint into `state`; returns the best score so far, and a note for the user or ""."""
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
