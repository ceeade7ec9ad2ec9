"""Truth and prediction of the scored frames, read again from the data and RUN/test, and compared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetseg.errors import UserError
from unetseg.images.whole import read_stack
from unetseg.pipeline.evaluate import scored_part
from unetseg.run import Run
from unetseg.sample import Entry, LabelKind
from unetseg.scores.errors import ObjectErrors, object_errors
from unetseg.scores.objects import object_iou

KINDS = {
    "split": "true objects found in two or more pieces",
    "merged": "predicted objects that join two or more true ones",
    "missed": "true objects that no prediction belongs to",
    "spurious": "predicted objects that no true one belongs to",
}
COUNTED = ("true", "predicted", "found", "loose", "not judged", *KINDS)
LOOSE = 0.5
Box = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels; the last two are the first outside."""


@dataclass(frozen=True)
class Frame:
    """One scored frame, in pixels: image (c, y, x), truth and prediction (y, x)."""

    name: str
    image: NDArray[Any]
    truth: NDArray[Any]
    predicted: NDArray[Any]


@dataclass(frozen=True)
class Mistake:
    """One error of `kind`: the true and predicted ids that take part, their box and its size."""

    kind: str
    frame: str
    truth: tuple[int, ...]
    predicted: tuple[int, ...]
    box: Box
    area: int


@dataclass(frozen=True)
class ErrorAnalysis:
    """What the frames show: IoU of every true object, errors; `notes` says what could not be read.

    counts: objects by COUNTED, over all frames; "loose" are those found with an IoU below LOOSE.
    """

    kind: LabelKind
    entries: dict[str, Entry]
    ious: NDArray[np.float64]
    counts: dict[str, int]
    mistakes: tuple[Mistake, ...]
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
    compared, notes = {}, []
    for entry in kept:
        try:
            compared[entry.name] = _compare(*read_frame(run, entry))
        except (UserError, OSError) as error:
            notes.append(f"{entry.name} is left out: {error}")
    if len(kept) < len(entries):
        missing = len(entries) - len(kept)
        notes.append(f"{missing} of {len(entries)} frames have no prediction in {run.path}/test.")
    there = {e.name: e for e in kept if e.name in compared}
    return _together(there, list(compared.values()), tuple(notes))


def read_frame(run: Run, entry: Entry) -> tuple[Frame, LabelKind]:
    """A frame's image, truth and kept prediction; of a volume the middle slice."""
    sample = entry.read()
    truth = np.asarray(sample.labels)
    predicted = read_stack(run.tested(entry.name)).pixels[:, 0]
    image = np.asarray(sample.image)
    if truth.ndim == 3:
        middle = len(truth) // 2
        image, truth, predicted = image[:, middle], truth[middle], predicted[middle : middle + 1]
    labels = predicted[0].astype(np.int32)
    if labels.shape != truth.shape:
        raise UserError(
            f"the prediction is {labels.shape} pixels and the truth {truth.shape}; the data have changed."
        )
    return Frame(entry.name, image, truth, labels), sample.kind


@dataclass(frozen=True)
class _Compared:
    """What one frame shows; the fields are those of ErrorAnalysis."""

    kind: LabelKind
    ious: NDArray[np.float64]
    counts: dict[str, int]
    mistakes: tuple[Mistake, ...]


def _compare(frame: Frame, kind: LabelKind) -> _Compared:
    if kind == "classes":
        return _Compared(kind, np.empty(0), {}, ())
    errors = object_errors(frame.truth, frame.predicted)
    ids, ious = object_iou(frame.truth, frame.predicted)
    iou = dict(zip(ids.tolist(), ious.tolist(), strict=True))
    counts = {
        "true": len(ids),
        "predicted": int((np.unique(frame.predicted) > 0).sum()),
        "found": len(errors.found),
        "loose": sum(iou[r] < LOOSE for r, _ in errors.found),
        "not judged": len(errors.not_judged),
    }
    counts |= {k: len(getattr(errors, k)) for k in KINDS}
    return _Compared(kind, ious, counts, tuple(_mistakes(frame, errors)))


def _together(
    entries: dict[str, Entry], compared: Sequence[_Compared], notes: tuple[str, ...] = ()
) -> ErrorAnalysis:
    classes = bool(compared) and all(c.kind == "classes" for c in compared)
    return ErrorAnalysis(
        kind="classes" if classes else "instances",
        entries=entries,
        ious=np.concatenate([np.empty(0), *(c.ious for c in compared)]),
        counts={what: sum(c.counts.get(what, 0) for c in compared) for what in COUNTED},
        mistakes=tuple(m for c in compared for m in c.mistakes),
        notes=notes,
    )


def _nothing(note: str) -> ErrorAnalysis:
    return _together({}, (), (note,))


def _mistakes(frame: Frame, errors: ObjectErrors) -> Iterator[Mistake]:
    """Every error of a frame with the box of the object it is about."""
    true, found = _Shapes(frame.truth), _Shapes(frame.predicted)
    for r, pieces in errors.split.items():
        yield Mistake("split", frame.name, (r,), pieces, true.box(r), true.area(r))
    for s, objects in errors.merged.items():
        yield Mistake("merged", frame.name, objects, (s,), found.box(s), found.area(s))
    for r in errors.missed:
        yield Mistake("missed", frame.name, (r,), (), true.box(r), true.area(r))
    for s in errors.spurious:
        yield Mistake("spurious", frame.name, (), (s,), found.box(s), found.area(s))


class _Shapes:
    """Boxes and areas of the labels of one image."""

    def __init__(self, labels: NDArray[Any]) -> None:
        self._ids, self._index = np.unique(labels, return_inverse=True)
        self._areas = np.bincount(self._index.ravel())
        self._boxes = ndimage.find_objects(self._index.reshape(labels.shape) + 1)

    def box(self, label: int) -> Box:
        y, x = self._boxes[int(np.searchsorted(self._ids, label))]
        return y.start, x.start, y.stop, x.stop

    def area(self, label: int) -> int:
        return int(self._areas[np.searchsorted(self._ids, label)])


def ranked(frames: dict[str, dict[str, float | None]], name: str, higher: bool) -> dict[str, str]:
    """The best, the median and the worst frame by a score: frame → what it is; fewer if there are few."""
    values = {f: s.get(name) for f, s in frames.items()}
    known = [f for f, v in values.items() if v is not None and math.isfinite(v)]
    order = sorted(known, key=lambda f: float(values[f] or 0), reverse=higher)
    if not order:
        return {}
    picks = {"best": order[0], "median": order[(len(order) - 1) // 2], "worst": order[-1]}
    chosen: dict[str, str] = {}
    for rank, frame in picks.items():
        chosen[frame] = f"{chosen[frame]} and {rank}" if frame in chosen else rank
    return chosen
