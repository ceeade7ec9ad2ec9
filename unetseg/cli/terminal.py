"""What the command line shows while it works: progress bars, tables, a training run, Ctrl-C."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, get_args

import click

if TYPE_CHECKING:
    from pathlib import Path

    from tqdm import tqdm

    from unetseg.evaluation.score_files import Comparison
    from unetseg.run import Run
    from unetseg.scores import FrameTable

SMOOTHING = 0.95
FEW_OBJECTS = 3


class Progress:
    """A progress bar on the terminal; `say` prints a line above it."""

    def __init__(self, total: int | None, unit: str, start: int = 0) -> None:
        from tqdm import tqdm

        self.bar: tqdm[int] = tqdm(
            total=total,
            unit=unit,
            initial=start,
            dynamic_ncols=True,
            leave=False,
            disable=None,
            smoothing=0.1,
        )

    def add(self, count: int) -> None:
        """Count further."""
        self.bar.update(count)

    def say(self, line: str) -> None:
        """A line that stays."""
        self.bar.clear()
        click.echo(line)
        self.bar.refresh()

    def note(self, text: str) -> None:
        """Words at the end of the bar."""
        self.bar.set_postfix_str(text, refresh=False)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()


class Stop:
    """True once Ctrl-C or a terminating signal has come; a second one interrupts at once."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.asked, self.quiet = False, quiet

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if not self.quiet:
            click.echo("\nstopping after this step and saving (again: stop at once)", err=True)

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """Take SIGINT and SIGTERM while the block runs."""
        before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def show_training(run: Run, *, resume: bool) -> None:
    """Run the training with a progress bar, then score the best model and print the table.

    Of several processes that train together, the first alone does more than train.
    """
    from unetseg.distributed import rank
    from unetseg.pipeline.training import Note, Validated, train_run
    from unetseg.train import Step

    if rank() > 0:
        with Stop(quiet=True).listening() as stop:
            for _ in train_run(run, resume=resume, stopped=stop):
                pass
        return
    steps = run.experiment.train.steps
    smooth, done, data_s, total_s, score = 0.0, 0, 0.0, 0.0, ""
    with Stop().listening() as stop, Progress(steps, "step") as bar:
        for event in train_run(run, resume=resume, stopped=stop):
            match event:
                case Note(text):
                    bar.say(text)
                case Step():
                    smooth = event.loss if done == 0 else SMOOTHING * smooth + (1 - SMOOTHING) * event.loss
                    bar.add(event.number - bar.bar.n)
                    bar.note(f"loss {smooth:.4f}{score}")
                    done, data_s, total_s = event.number, data_s + event.data_s, total_s + event.total_s
                case Validated(step, scores, best):
                    words = totals_text(scores)
                    mark = " *" if best else ""
                    select_by = run.experiment.train.select_by
                    score = f", {select_by} {scores[select_by]:.4f}" if scores else ""
                    bar.say(
                        f"step {step}: loss {smooth:.4f}" + (f"; validation {words}{mark}" if words else "")
                    )
    if done < steps and stop.asked:
        click.echo(f"saved after step {done} of {steps}; continue with: unetseg train --resume {run.path}")
        click.echo(f"the weights so far can predict already: unetseg predict {run.path} IMAGE…")
        raise SystemExit(130)
    if total_s > 0:
        click.echo(f"data and augmentation took {data_s / total_s:.1%} of the training time")
    show_test(run)


def show_test(run: Run) -> None:
    """Score the run's best model on its test part, print the table, write the pictures and the report."""
    from unetseg.device import choose_device
    from unetseg.pipeline.evaluate import evaluate_run
    from unetseg.pipeline.model import PredictSettings, load_model
    from unetseg.report import write_report
    from unetseg.scores.mistakes import error_sentence

    model = load_model(run.best, choose_device(run.experiment.device))
    with Progress(None, "image") as bar:
        result = evaluate_run(run, model, PredictSettings(), bar.add)
    if result is None:
        click.echo(f"trained: {run.path} (nothing was held back to score)")
    else:
        chose = " (this part chose the weights)" if result.part == "validate" else ""
        click.echo(f"scores on the {result.part} part: {result.what}{chose}")
        click.echo(table_text(result.table))
        if result.own:
            click.echo(totals_text(result.own))
        if result.errors:
            click.echo(error_sentence(result.errors, result.noun))
        click.echo(f"pictures: {run.pictures}")
    click.echo(f"report: {write_report([run])}")


def show_comparison(found: Comparison, most: int, pictures: Path | None, images: Path | None = None) -> None:
    """The table of `unetseg score`, a challenge's totals, and the worst objects."""
    from unetseg.evaluation.worst_objects import worst_objects, write_worst_pictures
    from unetseg.scores.mistakes import error_counts, error_sentence, frame_errors
    from unetseg.tasks.labels import Meaning

    hint = " (--labels overrides)" if found.meaning in get_args(Meaning) else ""
    click.echo(f"truth taken as {found.meaning}{hint}")
    for note in found.notes:
        click.echo(note)
    click.echo(table_text(found.table))
    if found.challenge:
        click.echo(f"challenge: {totals_text(found.challenge)} ({found.marked})")
    if found.pairs:
        counts = error_counts(frame_errors(t, p) for _, t, p in found.pairs)
        click.echo(error_sentence(counts))
        if counts["spurious"] >= max(FEW_OBJECTS, counts["true"]):
            click.echo(
                "as many predicted objects are spurious as there are true ones. If the truth has only some "
                "of the objects, score with --partly-annotated"
            )
    if found.volumes:
        click.echo(f"means over the volumes: {totals_text(found.volumes)}")
    worst = [o for o in worst_objects(found.pairs, most) if o.iou < 1]
    if worst:
        head = ["object of", "id", "iou", "area", f"centre {'(z, y, x)' if found.volumes else '(y, x)'}"]
        rows = [[o.frame, str(o.id), f"{o.iou:.4f}", str(o.area), str(o.centre)] for o in worst]
        click.echo(f"the worst objects\n{columns([head, *rows])}")
    if pictures is not None:
        for path in write_worst_pictures(found.pairs, worst, pictures, images):
            click.echo(f"wrote {path}")


def totals_text(scores: Mapping[str, float]) -> str:
    """Scores of a whole challenge or stack in a line.

    >>> totals_text({"seg": 0.25, "warping-error": 0.000353})
    'seg 0.2500, warping-error 0.000353'
    """
    from unetseg.evaluation.by_kind import number

    return ", ".join(f"{name} {number(value)}" for name, value in scores.items())


def table_text(table: FrameTable, most: int = 12) -> str:
    """The scores as aligned columns: the frames (the worst `most` by the first score), then all."""
    from unetseg.evaluation.by_kind import number

    sign = table.entries[0].sign
    first = [sign * float(row[0]) for row in table.values]
    order = sorted(range(len(first)), key=lambda i: (math.isnan(first[i]), first[i]))[:most]
    rows = [[table.frames[i], *map(number, table.values[i])] for i in sorted(order)]
    head, last = ["frame", *table.names], ["all", *map(number, table.pooled)]
    spread = ["95 %", *map(interval_text, map(table.interval, table.names))]
    text = columns([head, *rows, last, *([spread] if set(spread[1:]) != {"–"} else [])]).splitlines()
    left_out = len(table.frames) - len(order)
    if left_out > 0:
        text.insert(1 + len(rows), f"… and {left_out} better frames")
    return "\n".join(text)


def interval_text(interval: tuple[float, float] | None) -> str:
    """The ends of an interval.

    >>> interval_text((0.81234, 0.9)), interval_text(None)
    ('0.8123–0.9000', '–')
    """
    from unetseg.evaluation.by_kind import number

    return "–" if interval is None else "–".join(map(number, interval))


def columns(lines: list[list[str]]) -> str:
    """Lines of cells as aligned columns."""
    widths = [max(len(line[x]) for line in lines) for x in range(len(lines[0]))]
    padded = ((cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)
