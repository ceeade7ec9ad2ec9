"""Truth and prediction of the scored frames, read again from the data and RUN/test, and compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.whole import read_stack
from unetseg.pipeline.evaluate import scored_part
from unetseg.run import Run
from unetseg.sample import Entry, LabelKind
from unetseg.scores.mistakes import FrameErrors, Mistake, error_counts, frame_errors


@dataclass(frozen=True)
class Frame:
    """One scored frame: image (c, *yx), truth and prediction (*yx), pixel size in µm along *yx.

    probability: of the foreground, (*yx) in 0…1, where the run kept it.
    """

    name: str
    image: NDArray[Any]
    truth: NDArray[Any]
    predicted: NDArray[Any]
    spacing_um: tuple[float, ...] | None = None
    probability: NDArray[Any] | None = None

    def plane(self, z: int | None = None) -> Frame:
        """Slice z of a volume (the middle one where none is named); an image as it is."""
        if self.truth.ndim == 2:
            return self
        z = len(self.truth) // 2 if z is None else z
        probability = None if self.probability is None else self.probability[z]
        spacing = None if self.spacing_um is None else self.spacing_um[-2:]
        return Frame(self.name, self.image[:, z], self.truth[z], self.predicted[z], spacing, probability)


@dataclass(frozen=True)
class ErrorAnalysis:
    """What the frames show: IoU of every true object, counts by `error_counts`, and the mistakes.

    entries and mistakes go by the frames' names; `notes` says what could not be read.
    """

    kind: LabelKind
    entries: dict[str, Entry]
    ious: NDArray[np.float64]
    counts: dict[str, float]
    mistakes: tuple[tuple[str, Mistake], ...]
    notes: tuple[str, ...]


def find_mistakes(run: Run) -> ErrorAnalysis:
    """Read and compare every scored frame whose truth and prediction are both still there."""
    try:
        entries = scored_part(run)[2]
    except UserError as error:
        return _nothing(f"The data are not there any more: {error}")
    except OSError as error:
        return _nothing(f"The data cannot be read: {error.filename}: {error.strerror}.")
    kept = [e for e in entries if run.tested(e.name).is_file()]
    if not kept:
        return _nothing(
            f"The predictions of the test part are not in {run.path}/test. "
            f"`unetseg train --resume {run.path}` writes them again."
        )
    notes = []
    if len(kept) < len(entries):
        missing = len(entries) - len(kept)
        notes.append(f"{missing} of {len(entries)} frames have no prediction in {run.path}/test.")
    return _compared(run, kept, notes)


def read_frame(run: Run, entry: Entry) -> tuple[Frame, LabelKind]:
    """A frame's image, truth and kept prediction, whole; with its probabilities if they were kept."""
    sample = entry.read()
    truth = np.asarray(sample.labels)
    predicted = read_stack(run.tested(entry.name)).pixels[:, 0].astype(np.int32)
    frame = Frame(
        entry.name,
        np.asarray(sample.image),
        truth,
        predicted if truth.ndim == 3 else predicted[0],
        sample.spacing_um,
    )
    if frame.predicted.shape != truth.shape:
        raise UserError(
            f"the prediction is {frame.predicted.shape} pixels and the truth {truth.shape}; "
            "the data have changed."
        )
    return replace(frame, probability=_probability(run, frame)), sample.kind


def ranked(frames: dict[str, dict[str, float | None]], name: str, higher: bool) -> dict[str, str]:
    """The best, the median and the worst frame by a score: frame → what it is; fewer if there are few."""
    values = {f: s.get(name) for f, s in frames.items()}
    known = [f for f, v in values.items() if v is not None and math.isfinite(v)]
    order = sorted(known, key=lambda f: float(values[f] or 0), reverse=higher)
    if not order:
        return {}
    picks = {"median": order[(len(order) - 1) // 2], "best": order[0], "worst": order[-1]}
    chosen: dict[str, str] = {}
    for rank, frame in picks.items():
        chosen[frame] = f"{chosen[frame]} and {rank}" if frame in chosen else rank
    return chosen


def _compared(run: Run, kept: Sequence[Entry], notes: list[str]) -> ErrorAnalysis:
    compared: dict[str, FrameErrors | None] = {}
    for entry in kept:
        try:
            frame, kind = read_frame(run, entry)
            compared[entry.name] = None if kind == "classes" else frame_errors(frame.truth, frame.predicted)
        except (UserError, OSError) as error:
            notes.append(f"{entry.name} is left out: {error}")
    objects = {name: errors for name, errors in compared.items() if errors is not None}
    return ErrorAnalysis(
        kind="classes" if compared and not objects else "instances",
        entries={e.name: e for e in kept if e.name in compared},
        ious=np.concatenate([np.empty(0), *(errors.ious for errors in objects.values())]),
        counts=error_counts(objects.values()),
        mistakes=tuple((name, m) for name, errors in objects.items() for m in errors.mistakes),
        notes=tuple(notes),
    )


def _nothing(note: str) -> ErrorAnalysis:
    return ErrorAnalysis("instances", {}, np.empty(0), error_counts([]), (), (note,))


def _probability(run: Run, frame: Frame) -> NDArray[Any] | None:
    """The foreground's probabilities, where the run kept them; None where they are damaged or do not fit."""
    path = run.probability(frame.name)
    if not path.is_file():
        return None
    try:
        pixels = read_stack(path).pixels[:, 0]
    except UserError:
        return None
    values: NDArray[Any] = pixels if frame.truth.ndim == 3 else pixels[0]
    return values if values.shape == frame.truth.shape else None
