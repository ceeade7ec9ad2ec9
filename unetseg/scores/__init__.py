"""Scores of label images: which there are, and how they pool over the frames of a sequence.

Each frame gives one table of overlapping labels; each score reads *rows* from it (one per object,
or one of counts), and a *total* is computed from rows. Frames are pooled by stacking their rows,
never by averaging their totals: a frame with many objects weighs more than one with few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError, did_you_mean
from unetseg.scores.ctc import seg_jaccards
from unetseg.scores.objects import Matching, match_objects, matched_ious
from unetseg.scores.overlap import Overlap, foreground_confusion, overlap
from unetseg.scores.pixels import iou_of, pixel_error_of

Rows = NDArray[np.float64]  # (rows, columns of this score)


@dataclass(frozen=True)
class Score:
    """A score by its name: what it reads from one frame, and the total of stacked rows.

    `total` is NaN where the score is undefined, for instance without any true object.
    """

    rows: Callable[[Overlap], Rows]
    total: Callable[[Rows], float]
    better: Literal["higher", "lower"]
    meaning: str


@dataclass(frozen=True)
class FrameTable:
    """Scores per frame and pooled over all: values (frames, names), pooled (names,), float64."""

    frames: tuple[str, ...]
    names: tuple[str, ...]
    values: NDArray[np.float64]
    pooled: NDArray[np.float64]


def score(
    truths: Iterable[NDArray[Any]],
    predictions: Iterable[NDArray[Any]],
    names: Sequence[str] | None = None,
    *,
    frames: Sequence[str] | None = None,
) -> dict[str, float]:
    """The scores of a sequence of frames, pooled; arguments and errors are those of `frame_table`.

    >>> truth = np.array([[1, 1, 0, -1]])
    >>> score([truth], [np.array([[4, 0, 0, 4]])], ["iou", "pixel-error"])
    {'iou': 0.5, 'pixel-error': 0.3333333333333333}
    """
    table = frame_table(truths, predictions, names, frames=frames)
    return dict(zip(table.names, table.pooled.tolist(), strict=True))


def frame_table(
    truths: Iterable[NDArray[Any]],
    predictions: Iterable[NDArray[Any]],
    names: Sequence[str] | None = None,
    *,
    frames: Sequence[str] | None = None,
) -> FrameTable:
    """The scores of each frame and of all frames pooled; images are taken one pair at a time.

    Args:
        truths: label images, (y, x) or (z, y, x) integers: 0 background, k object, -1 unannotated.
        predictions: label images of the same shapes and number, 0 background, k object.
        names: which of SCORES, in this order; None for all.
        frames: what to call the frames, in tables and errors; None for "frame 0", "frame 1", ...

    Raises:
        UserError: for an unknown name, different numbers of frames, no frame at all, or a pair
            that `overlap` refuses, such as different shapes; then the frame is named.

    """
    chosen = check_names(list(SCORES) if names is None else names)
    called, rows = [], []
    for frame, pairs in _overlaps(truths, predictions, frames):
        called.append(frame)
        rows.append([SCORES[name].rows(pairs) for name in chosen])
    if not called:
        raise UserError("there is no frame to score; give at least one truth and its prediction.")
    if frames is not None and len(frames) != len(called):
        raise UserError(f"{len(frames)} names for {len(called)} frames; give one for every frame.")
    totals = [SCORES[name].total for name in chosen]
    values = [[total(of) for total, of in zip(totals, row, strict=True)] for row in rows]
    stacked = [np.concatenate(column) for column in zip(*rows, strict=True)]
    pooled = [total(of) for total, of in zip(totals, stacked, strict=True)]
    return FrameTable(tuple(called), chosen, np.array(values), np.array(pooled))


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple; UserError for the first that is not in SCORES."""
    for name in names:
        if name not in SCORES:
            raise UserError(f"there is no score {name!r}; {did_you_mean(name, SCORES)}")
    return tuple(names)


def _overlaps(
    truths: Iterable[NDArray[Any]],
    predictions: Iterable[NDArray[Any]],
    frames: Sequence[str] | None,
) -> Iterator[tuple[str, Overlap]]:
    """Name and overlap table of every frame."""
    for index, (truth, predicted) in enumerate(zip_longest(truths, predictions)):
        if truth is None or predicted is None:
            missing = "truth" if truth is None else "prediction"
            raise UserError(f"frame {index} has no {missing}; give one for every frame.")
        name = f"frame {index}" if frames is None or index >= len(frames) else frames[index]
        try:
            yield name, overlap(truth, predicted)
        except UserError as error:
            raise UserError(f"{name}: {error}") from error


def _confusion_row(pairs: Overlap) -> Rows:
    return foreground_confusion(pairs).reshape(1, 4).astype(np.float64)


def _pooled_confusion(rows: Rows) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = rows.sum(axis=0).reshape(2, 2).astype(np.int64)
    return counts


def _matching_row(pairs: Overlap) -> Rows:
    found = match_objects(pairs, 0.5)
    return np.array([[found.tp, found.fp, found.fn]], np.float64)


def _f1(rows: Rows) -> float:
    tp, fp, fn = rows.sum(axis=0).astype(int).tolist()
    return Matching(tp, fp, fn).f1


def _mean(rows: Rows) -> float:
    return float(rows.mean()) if rows.size else float("nan")


SCORES: dict[str, Score] = {
    "iou": Score(
        rows=_confusion_row,
        total=lambda rows: iou_of(_pooled_confusion(rows), 1),
        better="higher",
        meaning="intersection over union of the foreground (all objects together)",
    ),
    "background-iou": Score(
        rows=_confusion_row,
        total=lambda rows: iou_of(_pooled_confusion(rows), 0),
        better="higher",
        meaning="intersection over union of the background (in EM data: the membrane)",
    ),
    "object-iou": Score(
        rows=lambda pairs: matched_ious(pairs)[1][:, None],
        total=_mean,
        better="higher",
        meaning="mean over true objects of the IoU with the predicted object matched one to one",
    ),
    "seg": Score(
        rows=lambda pairs: seg_jaccards(pairs)[1][:, None],
        total=_mean,
        better="higher",
        meaning="Cell Tracking Challenge SEG",
    ),
    "pixel-error": Score(
        rows=_confusion_row,
        total=lambda rows: pixel_error_of(_pooled_confusion(rows)),
        better="lower",
        meaning="fraction of pixels whose class, object or background, is wrong",
    ),
    "f1": Score(
        rows=_matching_row,
        total=_f1,
        better="higher",
        meaning="F1 of objects matched at IoU >= 0.5",
    ),
}
