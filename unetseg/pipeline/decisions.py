"""What is decided and recorded once, when a run starts: precision, and steps for a time budget."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from unetseg.batches import Batch
from unetseg.config import settled
from unetseg.device import fast_precision, slow_precision
from unetseg.distributed import mean_of_all
from unetseg.losses import LOSSES
from unetseg.pipeline.time_budget import FEWEST_STEPS, TIMED_STEPS, Images, Speed, enough_timed, fitting_steps
from unetseg.settings import Experiment, TrainSettings
from unetseg.train import State, train

TIMED_SECONDS = 10.0
"""After this time two timed steps are enough."""


def decide_precision(experiment: Experiment, device: torch.device) -> tuple[Experiment, list[str]]:
    """The experiment with a precision instead of "auto"; a note names it, or warns of a slow one."""
    wanted = experiment.train.precision
    if wanted != "auto":
        return experiment, [note] if (note := slow_precision(wanted, device)) else []
    found, reason = fast_precision(device)
    return _changed(experiment, precision=found), [f"precision: {found} ({reason})"]


def decide_steps(
    experiment: Experiment, speed: Speed, images: Images, started: float
) -> tuple[Experiment, str]:
    """The experiment with the steps that its budget allows instead of the budget, and a note for the user.

    started: when the budget began, by `time.monotonic`.
    """
    train = experiment.train
    left = 60 * train.minutes - (time.monotonic() - started)
    steps = fitting_steps(left, speed, images, train)
    note = f"budget of {train.minutes:g} min: {steps} steps of {speed.step:.2g} s, with validation and scores"
    if steps <= FEWEST_STEPS < train.steps:
        note += "; warning: these are too few to learn much, give a longer one"
    return _changed(experiment, steps=steps, minutes=0.0), note


def seconds_per_step(
    state: State, batches: Iterator[Batch], settings: TrainSettings, seed: int, device: torch.device
) -> float:
    """Seconds of a training step: the fastest of a few that are undone; the mean over all processes.

    The fastest, because other work on the machine slows single steps.
    """
    before, started = copy.deepcopy(state.state_dict()), time.monotonic()
    seconds: list[float] = []
    trial = replace(settings, steps=max(settings.steps, TIMED_STEPS))
    for step in train(state, batches, LOSSES[settings.loss], trial, seed=seed, device=device):
        seconds.append(step.total_s)
        if enough_timed(len(seconds), time.monotonic() - started, TIMED_SECONDS):
            break
    state.load_state_dict(before)
    return mean_seconds(min(seconds[1:]), device)


def mean_seconds(seconds: float, device: torch.device) -> float:
    """The mean over all processes that train together: all must decide the same."""
    return float(mean_of_all(torch.tensor(seconds, device=device)))


def same_request(asked: Experiment, recorded: Experiment) -> bool:
    """Whether a recorded experiment is the requested one, except for what was decided at its start."""
    asked = settled(asked)
    train = asked.train
    decided = {
        "precision": recorded.train.precision if train.precision == "auto" else train.precision,
        "steps": recorded.train.steps if train.minutes else train.steps,
        "minutes": 0.0,
    }
    return _changed(asked, **decided) == recorded


def images_of(experiment: Experiment, validate: Sequence[object], scored: Sequence[object]) -> Images:
    """How many images are predicted besides training, by what is validated with and scored in the end."""
    labels = experiment.labels
    return Images(len(validate), len(validate) if labels.choose or labels.calibrate else 0, len(scored))


def _changed(experiment: Experiment, **train: object) -> Experiment:
    return replace(experiment, train=replace(experiment.train, **train))  # type: ignore[arg-type]
