"""What the command line shows of a training: a bar or lines, the scores, and what to do next."""

from __future__ import annotations

import shlex
import sys
import time
from collections import deque
from statistics import median
from typing import TYPE_CHECKING, Any

from unetseg.cli.output import say, show
from unetseg.cli.terminal import Progress, Stop, methods_text, table_text, totals_text

if TYPE_CHECKING:
    from unetseg.pipeline.auto import Resolved
    from unetseg.pipeline.events import Validated
    from unetseg.pipeline.run_experiment import Event, Outcome
    from unetseg.run import Run
    from unetseg.train import Step

SMOOTHING = 0.95
FIRST_LINE_S, LINE_EVERY_S = 5.0, 30.0
RECENT = 25
"""The time left follows from the median of so many steps: a single slow one does not count."""
LONG_S = 600.0
"""Above this, the message also says how to shorten the training."""


def show_training(run: Run, *, resume: bool) -> dict[str, Any] | None:
    """Train with a progress bar, score the best model, print the table and what to do next.

    Returns a summary. Of several processes that train together, only the first prints and returns one.
    """
    from unetseg.distributed import rank
    from unetseg.pipeline.run_experiment import run_experiment

    if rank() > 0:
        with Stop(quiet=True).listening() as stop:
            run_experiment(run, resume=resume, stopped=stop)
        return None
    train = run.experiment.train
    with Stop().listening() as stop, Progress(None if train.minutes else train.steps, "step") as bar:
        view = TrainingView(bar, train.steps, train.select_by)
        outcome = run_experiment(run, resume=resume, progress=view, stopped=stop)
    if not outcome.finished:
        path = shlex.quote(str(run.path))
        say(f"saved after step {outcome.steps} of {view.steps}; continue with: unetseg train --resume {path}")
        say(f"to predict with the weights so far: unetseg predict {path} IMAGE…")
        raise SystemExit(130)
    if view.total_s > 0:
        say(f"data and augmentation took {view.data_s / view.total_s:.1%} of the training time")
    show_outcome(run, outcome)
    return _summary(run, outcome)


def _summary(run: Run, outcome: Outcome) -> dict[str, Any]:
    """What --json prints of a training."""
    summary = {"run": run.path, "steps": outcome.steps, "report": outcome.report}
    if outcome.scores is None:
        return summary
    table = outcome.scores.table
    scores = dict(zip(table.names, table.pooled.tolist(), strict=True))
    return {**summary, "part": outcome.scores.part, "scores": scores | outcome.scores.own}


def show_derived(resolved: Resolved) -> None:
    """Print the settings that were derived from the data, each with its reason."""
    if resolved.derived:
        say("settings derived from the data (override them in an experiment file):")
    for line in resolved.derived:
        say(f"  {line}")


class TrainingView:
    """Shows the events of a run: called with each."""

    def __init__(self, bar: Progress, steps: int, select_by: str) -> None:
        self.bar, self.steps, self.select_by = bar, steps, select_by
        self.recent_s: deque[float] = deque(maxlen=RECENT)
        self.loss, self.score, self.data_s, self.total_s = 0.0, "", 0.0, 0.0
        self.terminal = sys.stderr.isatty()
        self.next_line = time.monotonic() + FIRST_LINE_S

    def __call__(self, event: Event) -> None:
        """Show one event."""
        from unetseg.pipeline.events import Note, Scheduled, Validated
        from unetseg.pipeline.run_experiment import Duration, Predicted
        from unetseg.train import Step

        match event:
            case Scheduled(steps):
                self.steps = self.bar.bar.total = steps
            case Note(text):
                self.bar.say(text)
            case Step():
                self._step(event)
            case Validated():
                self._validated(event)
            case Duration():
                self.bar.say(duration_text(event.steps, event.seconds_per_step))
            case Predicted(images):
                self.bar.predicted(images)

    def _step(self, step: Step) -> None:
        first = self.total_s == 0
        self.loss = step.loss if first else SMOOTHING * self.loss + (1 - SMOOTHING) * step.loss
        self.data_s, self.total_s = self.data_s + step.data_s, self.total_s + step.total_s
        self.recent_s.append(step.total_s)
        self.bar.add(step.number - self.bar.bar.n)
        self.bar.note(f"loss {self.loss:.4f}{self.score}, {step.total_s:.2g} s/step")
        if not self.terminal and time.monotonic() >= self.next_line:
            left = (self.steps - step.number) * median(self.recent_s)
            say(f"step {step.number} of {self.steps}: loss {self.loss:.4f}, about {time_text(left)} left")
            self.next_line = time.monotonic() + LINE_EVERY_S

    def _validated(self, event: Validated) -> None:
        words, mark = totals_text(event.scores), " *" if event.best else ""
        self.score = f", {self.select_by} {event.scores[self.select_by]:.4f}" if event.scores else ""
        said = f"; validation {words}{mark}" if words else ""
        self.bar.say(f"step {event.step}: loss {self.loss:.4f}{said}")


def show_outcome(run: Run, outcome: Outcome) -> None:
    """The scores, where the report is, and what to do next."""
    from unetseg.scores.mistakes import error_sentence

    path, result = shlex.quote(str(run.path)), outcome.scores
    if result is None:
        say(f"trained: {run.path} (nothing was held back to score)")
    else:
        chose = " (the weights were chosen on this part)" if result.part == "validate" else ""
        say(f"scores on the {result.part} part: {result.what}{chose}")
        show(table_text(result.table))
        if result.own:
            show(totals_text(result.own))
        if result.methods:
            show(f"compared, means over the images\n{methods_text(result.methods)}")
        if result.errors:
            show(error_sentence(result.errors, result.noun))
        say(f"pictures: {run.pictures}")
    say(f"report: {outcome.report} (open it in a browser)")
    restores = run.experiment.target.kind == "restoration"
    what = "restored" if restores else "label"
    say(f"next: unetseg predict {path} IMAGE…   writes {what} images to {run.predictions}")
    if restores:
        return
    say("Fiji: open a label image, then Image > Lookup Tables > glasbey. napari: add it as Labels.")


def duration_text(steps: int, seconds_per_step: float) -> str:
    """How long the training will take, and if it is long, how to shorten it.

    >>> duration_text(994, 0.1)
    '994 more steps of 0.1 s will take about 2 min, plus validation'
    """
    total = steps * seconds_per_step
    words = f"{steps} more steps of {seconds_per_step:.2g} s will take about {time_text(total)}"
    advice = "; to shorten it, press Ctrl-C and give --steps N or --minutes N"
    return words + ", plus validation" + (advice if total > LONG_S else "")


def time_text(seconds: float) -> str:
    """Seconds in the unit that suits them.

    >>> time_text(8.2), time_text(99.4), time_text(4000)
    ('8 s', '2 min', '1 h 7 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
