"""Scores of label images: which there are, and how they pool over the frames of a sequence.

Each score reads *rows* from a frame (one per object, one of counts, or one per surface pixel), mostly
from its one table of overlapping labels, and a *total* is computed from rows. Frames are pooled by
stacking their rows, never by averaging their totals: a frame with many objects weighs more than one with
few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError, did_you_mean
from unetseg.scores.binary import accuracy_of, kappa_of, sensitivity_of, specificity_of
from unetseg.scores.ctc import seg_jaccards
from unetseg.scores.objects import AP_THRESHOLDS, Matching, match_objects, matched_ious
from unetseg.scores.overlap import Overlap, foreground_confusion, overlap
from unetseg.scores.pixels import dice_of, iou_of, pixel_error_of
from unetseg.scores.surface import surface_distances

Rows = NDArray[np.float64]  # (rows, columns of this score)


@dataclass(frozen=True)
class Frame:
    """Truth and prediction of one frame, label images of the same shape, and how their labels overlap."""

    truth: NDArray[Any]
    predicted: NDArray[Any]
    pairs: Overlap


@dataclass(frozen=True)
class Score:
    """A score by its name: what it reads from one frame, and the total of stacked rows.

    `total` is NaN where the score is undefined, for instance without any true object. `standard`
    scores are taken where no names are given.
    """

    rows: Callable[[Frame], Rows]
    total: Callable[[Rows], float]
    better: Literal["higher", "lower"]
    meaning: str
    standard: bool = False


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
        names: which of SCORES, in this order; None for the standard ones.
        frames: what to call the frames, in tables and errors; None for "frame 0", "frame 1", ...

    Raises:
        UserError: for an unknown name, different numbers of frames, no frame at all, or a pair
            that `overlap` refuses, such as different shapes; then the frame is named.

    """
    chosen = standard_scores() if names is None else check_names(names)
    called, rows = [], []
    for name, frame in _frames(truths, predictions, frames):
        called.append(name)
        rows.append([SCORES[score].rows(frame) for score in chosen])
    if not called:
        raise UserError("there is no frame to score; give at least one truth and its prediction.")
    if frames is not None and len(frames) != len(called):
        raise UserError(f"{len(frames)} names for {len(called)} frames; give one for every frame.")
    totals = [SCORES[name].total for name in chosen]
    values = [[total(of) for total, of in zip(totals, row, strict=True)] for row in rows]
    stacked = [np.concatenate(column) for column in zip(*rows, strict=True)]
    pooled = [total(of) for total, of in zip(totals, stacked, strict=True)]
    return FrameTable(tuple(called), chosen, np.array(values), np.array(pooled))


def standard_scores() -> tuple[str, ...]:
    """The scores that are taken where no names are given."""
    return tuple(name for name, entry in SCORES.items() if entry.standard)


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple; UserError for the first that is not in SCORES."""
    for name in names:
        if name not in SCORES:
            raise UserError(f"there is no score {name!r}; {did_you_mean(name, SCORES)}")
    return tuple(names)


def _frames(
    truths: Iterable[NDArray[Any]],
    predictions: Iterable[NDArray[Any]],
    frames: Sequence[str] | None,
) -> Iterator[tuple[str, Frame]]:
    """Every frame with its name."""
    for index, (truth, predicted) in enumerate(zip_longest(truths, predictions)):
        if truth is None or predicted is None:
            missing = "truth" if truth is None else "prediction"
            raise UserError(f"frame {index} has no {missing}; give one for every frame.")
        name = f"frame {index}" if frames is None or index >= len(frames) else frames[index]
        try:
            yield name, Frame(truth, predicted, overlap(truth, predicted))
        except UserError as error:
            raise UserError(f"{name}: {error}") from error


def _confusion_row(frame: Frame) -> Rows:
    return foreground_confusion(frame.pairs).reshape(1, 4).astype(np.float64)


def _of_counts(total: Callable[[NDArray[np.int64]], float], rows: Rows) -> float:
    """A total of the [true, predicted] counts (2, 2) of foreground and background."""
    return total(rows.sum(axis=0).reshape(2, 2).astype(np.int64))


def _matching_row(frame: Frame, thresholds: Sequence[float]) -> Rows:
    found = [match_objects(frame.pairs, threshold) for threshold in thresholds]
    return np.array([[(m.tp, m.fp, m.fn) for m in found]], np.float64).reshape(1, -1)


def _of_matchings(total: Callable[[Matching], float], rows: Rows) -> float:
    """The mean over thresholds of a total of matched objects."""
    counts = rows.sum(axis=0).astype(int).reshape(-1, 3)
    return float(np.mean([total(Matching(*row)) for row in counts.tolist()]))


def _surface_rows(frame: Frame) -> Rows:
    """A distance in pixels and whether it goes from the truth, per pixel of both surfaces: (n, 2)."""
    found = surface_distances(frame.truth, frame.predicted, annotated=frame.truth >= 0)
    ways = [np.stack([d, np.full_like(d, way)], axis=1) for way, d in enumerate(found.both_ways)]
    return np.concatenate(ways)


def _hausdorff_95(rows: Rows) -> float:
    ways = [rows[rows[:, 1] == way, 0] for way in (0, 1)]
    return max(float(np.percentile(way, 95)) if way.size else float("nan") for way in ways)


def _mean(rows: Rows) -> float:
    return float(rows[:, 0].mean()) if rows.size else float("nan")


def _foreground(
    total: Callable[[NDArray[np.int64]], float],
    meaning: str,
    better: Literal["higher", "lower"] = "higher",
    standard: bool = False,
) -> Score:
    return Score(_confusion_row, partial(_of_counts, total), better, meaning, standard)


SCORES: dict[str, Score] = {
    "iou": _foreground(
        lambda counts: iou_of(counts, 1),
        "intersection over union of the foreground (all objects together)",
        standard=True,
    ),
    "background-iou": _foreground(
        lambda counts: iou_of(counts, 0),
        "intersection over union of the background (in EM data: the membrane)",
        standard=True,
    ),
    "object-iou": Score(
        rows=lambda frame: matched_ious(frame.pairs)[1][:, None],
        total=_mean,
        better="higher",
        meaning="mean over true objects of the IoU with the predicted object matched one to one",
        standard=True,
    ),
    "seg": Score(
        rows=lambda frame: seg_jaccards(frame.pairs)[1][:, None],
        total=_mean,
        better="higher",
        meaning="Cell Tracking Challenge SEG",
        standard=True,
    ),
    "pixel-error": _foreground(
        pixel_error_of,
        "fraction of pixels whose class, object or background, is wrong",
        "lower",
        standard=True,
    ),
    "f1": Score(
        rows=partial(_matching_row, thresholds=(0.5,)),
        total=partial(_of_matchings, lambda found: found.f1),
        better="higher",
        meaning="F1 of objects matched at IoU >= 0.5",
        standard=True,
    ),
    "mean-ap": Score(
        rows=partial(_matching_row, thresholds=AP_THRESHOLDS),
        total=partial(_of_matchings, lambda found: found.average_precision),
        better="higher",
        meaning="average precision tp / (tp + fp + fn), mean over IoU >= 0.50, 0.55, ..., 0.95",
    ),
    **{
        f"ap-{100 * threshold:.0f}": Score(
            rows=partial(_matching_row, thresholds=(threshold,)),
            total=partial(_of_matchings, lambda found: found.average_precision),
            better="higher",
            meaning=f"average precision tp / (tp + fp + fn) of objects matched at IoU >= {threshold}",
        )
        for threshold in AP_THRESHOLDS
    },
    "dice": _foreground(lambda counts: dice_of(counts, 1), "Dice coefficient of the foreground"),
    "sensitivity": _foreground(sensitivity_of, "share of the true foreground that is found"),
    "specificity": _foreground(specificity_of, "share of the true background that is left alone"),
    "accuracy": _foreground(accuracy_of, "share of the pixels whose class, object or background, is right"),
    "kappa": _foreground(kappa_of, "Cohen's kappa of foreground and background"),
    "surface-distance": Score(
        rows=_surface_rows,
        total=_mean,
        better="lower",
        meaning="average symmetric distance of the foreground's surfaces, in pixels",
    ),
    "hausdorff-95": Score(
        rows=_surface_rows,
        total=_hausdorff_95,
        better="lower",
        meaning="95th percentile of the distances of the foreground's surfaces, the larger way, in pixels",
    ),
}
