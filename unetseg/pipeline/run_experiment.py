"""A whole experiment: train, score the best model, write the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from unetseg.device import choose_device
from unetseg.distributed import rank
from unetseg.pipeline.evaluate import RunScores, evaluate_run
from unetseg.pipeline.events import Note, Scheduled, Validated
from unetseg.pipeline.model import PredictSettings, load_model
from unetseg.pipeline.time_budget import enough_timed
from unetseg.pipeline.training import train_run
from unetseg.report import write_report
from unetseg.run import Run
from unetseg.train import Step

TIMED_SECONDS = 20.0
"""After this time, two steps are enough to estimate how long the others take."""


@dataclass(frozen=True)
class Duration:
    """After the first steps: how long the remaining steps will take, without validations.

    steps: how many remain; seconds_per_step: the median of the steps so far, without the first.
    """

    steps: int
    seconds_per_step: float

    @property
    def seconds(self) -> float:
        """Seconds that all remaining steps will take."""
        return self.steps * self.seconds_per_step


@dataclass(frozen=True)
class Predicted:
    """Images of the scored part that have just been predicted."""

    images: int


Event = Note | Step | Validated | Scheduled | Duration | Predicted


@dataclass(frozen=True)
class Outcome:
    """How an experiment ended. finished: False if it was stopped and can be resumed.

    steps: training steps done; scores: None if nothing was held back to score, or not finished;
    report: the HTML page.
    """

    finished: bool
    steps: int
    scores: RunScores | None = None
    report: Path | None = None


def run_experiment(
    run: Run,
    *,
    resume: bool = False,
    progress: Callable[[Event], None] = lambda event: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train the run's experiment, score its best model and write the report.

    run: from `Run.create`, or with `resume` one with a checkpoint. progress: called with every event, in
    the calling thread. stopped: asked after every step; once it returns True, the state is saved, nothing
    is scored, and the run can be resumed with the same result as an uninterrupted one. Of several processes
    that train together only the first scores and reports. Raises UserError, as `train_run` does.
    """
    steps = done = 0
    for event in _timed(train_run(run, resume=resume, stopped=stopped)):
        if isinstance(event, Scheduled):
            steps = event.steps
        if isinstance(event, Step):
            done = event.number
        progress(event)
    if (done < steps and stopped()) or rank() > 0:
        return Outcome(finished=False, steps=done)
    model = load_model(run.best, choose_device(run.experiment.device))
    scores = evaluate_run(run, model, PredictSettings(), lambda images: progress(Predicted(images)))
    return Outcome(True, steps, scores, write_report([run]))


@dataclass
class _Clock:
    """The times of the first steps of a call."""

    started: float = field(default_factory=time.perf_counter)
    seconds: list[float] = field(default_factory=list)

    def known(self) -> bool:
        return enough_timed(len(self.seconds), time.perf_counter() - self.started, TIMED_SECONDS)


def _timed(events: Iterator[Note | Step | Validated | Scheduled]) -> Iterator[Event]:
    """The events, and after the first steps a Duration. The first step takes longer and does not count."""
    clock: _Clock | None = None
    reported, steps = False, 0
    for event in events:
        yield event
        if isinstance(event, Scheduled):
            steps = event.steps
        if reported or not isinstance(event, Step):
            continue
        clock = clock or _Clock()
        clock.seconds.append(event.total_s)
        if clock.known() and event.number < steps:
            reported = True
            yield Duration(steps - event.number, median(clock.seconds[1:]))
