"""What `unetseg predict` prints while it works: a bar, a line for each result, and what failed."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetseg.cli.measure_commands import summary_text
from unetseg.cli.terminal import Progress, counted
from unetseg.cli.track_commands import tracks_text
from unetseg.errors import UserError
from unetseg.locks import InUse
from unetseg.pipeline.events import Note
from unetseg.pipeline.exporting import outlines_path
from unetseg.pipeline.measuring import summarise, write_measurements
from unetseg.pipeline.predicted_tracks import track_predicted, track_targets
from unetseg.pipeline.prediction import predict_target
from unetseg.pipeline.result_exports import MEASUREMENTS, result_tables, table_paths
from unetseg.pipeline.tracking import count_links
from unetseg.streaming.dask_workers import tile_executor
from unetseg.streaming.work import Resumed, Summary, TileDone

if TYPE_CHECKING:
    from unetseg.pipeline.model import Model
    from unetseg.pipeline.predict_options import PredictOptions
    from unetseg.pipeline.result_names import Target
    from unetseg.streaming.work import TileExecutor


def predict_all(model: Model, targets: list[Target], options: PredictOptions, out: Path) -> dict[str, Any]:
    """Print a line for each result; images that failed follow at the end, as one error. Returns a summary.

    A result that another process is writing, or that cannot be written, stops the command. The table, if
    requested, holds the images that were predicted.
    """
    failed: list[UserError] = []
    done: list[Target] = []
    with tile_executor(options.workers, options.scheduler) as perform, Progress(0, "tile") as bar:
        printing = Printing(bar, model, options)
        for target in targets:
            try:
                printing.predict(target, perform)
                done.append(target)
            except InUse:
                raise
            except UserError as error:
                if isinstance(error.__cause__, OSError):
                    raise
                failed.append(error)
        printing.sequences()
        if done:
            printing.exports(done, out)
        if options.track and not failed:
            printing.tracks(done, out)
    if failed:
        head = (
            [] if len(targets) == 1 else [f"{len(failed)} of {len(targets)} images could not be predicted:"]
        )
        raise UserError("\n".join([*head, *map(str, failed)]))
    return printing.summary


@dataclass
class Printing:
    """Prints what happens. notes: printed so far; frames, objects: counts for each challenge sequence.

    summary: what --json prints.
    """

    bar: Progress
    model: Model
    options: PredictOptions
    notes: set[str] = field(default_factory=set)
    frames: Counter[Path] = field(default_factory=Counter)
    objects: Counter[Path] = field(default_factory=Counter)
    summary: dict[str, Any] = field(default_factory=lambda: {"results": []})

    def predict(self, target: Target, perform: TileExecutor) -> None:
        """Predict one image; errors say where an unfinished result is kept."""
        begun = time.perf_counter()
        timing, fresh = TileTimes(begun), False
        try:
            for event in predict_target(self.model, target, self.options, perform):
                match event:
                    case Note(text):
                        self._note(text)
                    case Resumed(done, steps):
                        fresh = True
                        self._resumed(done, steps)
                    case TileDone():
                        timing.note(event.step, time.perf_counter())
                        self.bar.add(1)
                    case Summary():
                        seconds = time.perf_counter() - begun
                        self._summary(target, event, timing.saved(event), seconds if fresh else None)
                        self.summary["results"].append(_values(target, event))
        except KeyboardInterrupt:
            click.echo(f"\ninterrupted.{kept(target)}", err=True)
            raise SystemExit(130) from None
        except OSError as error:
            raise UserError(f"{target.out}: {error.strerror or error}.{kept(target)}") from error
        except InUse:
            raise
        except UserError as error:
            raise UserError(f"{error}{kept(target)}") from error.__cause__

    def sequences(self) -> None:
        """A line for each challenge sequence."""
        for folder, count in self.frames.items():
            self.bar.say(f"{folder}: {counted(count, 'frame')}, {counted(self.objects[folder], 'object')}")

    def exports(self, targets: list[Target], out: Path) -> None:
        """Write the tables, and say where they and the outlines are."""
        if self.options.roi:
            first, more = outlines_path(targets[0].out, self.options.roi), len(targets) - 1
            self.bar.say(f"outlines: {first}{f' and {more} more' if more else ''}")
        paths, volumes = table_paths(out, self.options), self.model.net.dims == 3
        tables = [result_tables(t, self.options, volumes=volumes) for t in targets] if paths else []
        for name, path in paths.items():
            found = [one for of_target in tables for one in of_target[name]]
            write_measurements(path, found)
            self.summary[path.stem] = path
            head = f"{summary_text(summarise(found))}\ntable" if name == MEASUREMENTS else "uncertainty"
            self.bar.say(f"{head}: {path}")

    def tracks(self, targets: list[Target], out: Path) -> None:
        """Track every film, and say where its tracks are."""
        for film in track_targets(targets, out, self.options):
            self.bar.say(f"{film.out}: {tracks_text(count_links(track_predicted(film)))}")

    def _note(self, text: str) -> None:
        """Print each note once, with the first image that it applies to."""
        what = text.partition(": ")[2]
        if what not in self.notes:
            self.notes.add(what)
            click.echo(f"note: {text}", err=True)

    def _resumed(self, done: int, steps: int) -> None:
        self.bar.resume(done, steps)
        if done:
            self.bar.say(f"resuming: {done} of {steps} tile steps are already done")

    def _summary(self, target: Target, found: Summary, saved: str, seconds: float | None) -> None:
        if self.options.challenge:
            self.frames[target.out.parent] += 1
            self.objects[target.out.parent] += sum(found.objects)
            return
        volumes = self.model.net.dims == 3
        classes = self.model.recipe.kind == "classes"
        words = [f"{max(found.objects)} classes" if classes else counted(sum(found.objects), "object")]
        if self.model.restores:
            words = ["restored"]
        if not volumes:
            words.append(f"{counted(len(found.objects), 'page')}, {counted(found.tiles, 'tile')}")
        line = f"{target.out}: {', '.join([*words, *_peculiar(found, saved)])}"
        if seconds is None:
            self.bar.say(f"{line} (already complete; --overwrite predicts it again)")
        else:
            self.bar.say(f"{line} in {seconds:.1f} s")


@dataclass
class TileTimes:
    """Seconds spent on predicting tiles, to estimate the time that skipping saves."""

    before: float
    tiles: int = 0
    seconds: float = 0.0

    def note(self, step: str, now: float) -> None:
        """Record that a step of a tile is done."""
        if step == "predict":
            self.tiles, self.seconds = self.tiles + 1, self.seconds + now - self.before
        self.before = now

    def saved(self, summary: Summary) -> str:
        """The time that the skipped tiles would have taken, if all tiles are done by now."""
        computed = summary.tiles - summary.skipped
        if not summary.skipped or not computed or self.tiles < summary.tiles:
            return ""
        return f" (about {self.seconds / computed * summary.skipped:.0f} s saved)"


def kept(target: Target) -> str:
    """What to do after an interruption, if something is kept."""
    folder = target.out.with_name(f"{target.out.name}.unfinished")
    if not target.streamed or not folder.exists():
        return ""
    return f" The finished tiles are kept in {folder}; the same command resumes."


def _peculiar(found: Summary, saved: str) -> list[str]:
    """What is unusual about a result, in words."""
    words = []
    if found.skipped:
        words.append(f"{found.skipped} tiles ({found.skipped / found.tiles:.0%}) skipped{saved}")
    if found.damaged:
        regions = ", ".join(f"y {y0}:{y1}, x {x0}:{x1}" for _, y0, y1, x0, x1 in found.damaged[:5])
        words.append(f"{len(found.damaged)} damaged regions without labels ({regions} …)")
    if found.cut:
        words.append(f"{found.cut} objects in clumps too large for one watershed, which may differ")
    return words


def _values(target: Target, found: Summary) -> dict[str, Any]:
    """A result for --json; objects: of each page (largest class of a class map)."""
    return {"image": target.image, "labels": target.out, **asdict(found)}
