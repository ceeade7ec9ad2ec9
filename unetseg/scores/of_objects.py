"""The scores of object labels: foreground pixels, objects matched by IoU, and surfaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unetseg.scores.binary import accuracy_of, kappa_of, sensitivity_of, specificity_of
from unetseg.scores.ctc import seg_jaccards
from unetseg.scores.entry import Frame, Rows, Score, mean_of_rows, total_of_counts
from unetseg.scores.objects import AP_THRESHOLDS, Matching, match_objects, matched_ious
from unetseg.scores.overlap import foreground_confusion
from unetseg.scores.pixels import dice_of, iou_of, pixel_error_of
from unetseg.scores.surface import surface_distances


def _foreground_row(frame: Frame) -> Rows:
    """Pixels by [true, predicted] foreground; no row for a frame whose background is not annotated."""
    counts = foreground_confusion(frame.pairs).reshape(1, 4).astype(np.float64)
    return counts[:0] if frame.partly_annotated else counts


def _foreground(
    total: Callable[[NDArray[np.int64]], float],
    title: str,
    meaning: str,
    better: Literal["higher", "lower"] = "higher",
    standard: bool = False,
) -> Score:
    return Score("instances", title, meaning, total_of_counts(total, 2), _foreground_row, better, standard)


def _matched(
    total: Callable[[Matching], float],
    title: str,
    meaning: str,
    thresholds: Sequence[float] = (0.5,),
    standard: bool = False,
) -> Score:
    """A total of the counts of matched objects, the mean over the IoU thresholds."""

    def row(frame: Frame) -> Rows:
        found = [match_objects(frame.objects, threshold) for threshold in thresholds]
        return np.array([[(m.tp, m.fp, m.fn) for m in found]], np.float64).reshape(1, -1)

    def of_counts(rows: Rows) -> float:
        counts = rows.sum(axis=0).astype(int).reshape(-1, 3)
        return float(np.mean([total(Matching(*row)) for row in counts.tolist()]))

    return Score("instances", title, meaning, of_counts, row, standard=standard)


def _average_precision(threshold: float) -> Score:
    return _matched(
        lambda found: found.average_precision,
        f"average precision at IoU {threshold:.2f}",
        f"tp / (tp + fp + fn) of objects matched at IoU ≥ {threshold:.2f}",
        (threshold,),
    )


def _surface_rows(frame: Frame) -> Rows:
    """For every pixel of both surfaces, its distance in pixels and whether it starts at the truth: (n, 2)."""
    found = surface_distances(frame.truth, frame.predicted, annotated=frame.truth >= 0)
    ways = [np.stack([d, np.full_like(d, way)], axis=1) for way, d in enumerate(found.both_ways)]
    return np.concatenate(ways)


def _hausdorff_95(rows: Rows) -> float:
    ways = [rows[rows[:, 1] == way, 0] for way in (0, 1)]
    return max(float(np.percentile(way, 95)) if way.size else float("nan") for way in ways)


def _panoptic_row(frame: Frame) -> Rows:
    """Sum of the IoU of objects matched at IoU ≥ 0.5, then tp, fp, fn."""
    found, ious = match_objects(frame.objects, 0.5), matched_ious(frame.objects, 0.5)[1]
    return np.array([[ious.sum(), found.tp, found.fp, found.fn]])


def _panoptic_quality(rows: Rows) -> float:
    shared, tp, fp, fn = rows.sum(axis=0)
    return float(2 * shared / (2 * tp + fp + fn)) if tp + fp + fn else float("nan")


OBJECT_SCORES: dict[str, Score] = {
    "iou": _foreground(
        lambda counts: iou_of(counts, 1),
        "IoU of the foreground",
        "intersection over union of the foreground (all objects together)",
        standard=True,
    ),
    "background-iou": _foreground(
        lambda counts: iou_of(counts, 0),
        "IoU of the background",
        "intersection over union of the background (in EM data: the membrane)",
        standard=True,
    ),
    "object-iou": Score(
        kind="instances",
        title="mean IoU of the objects",
        meaning="mean over true objects of the IoU with the predicted object matched one to one",
        total=mean_of_rows,
        rows=lambda frame: matched_ious(frame.objects)[1][:, None],
        standard=True,
        per_object=True,
    ),
    "seg": Score(
        kind="instances",
        title="SEG (Cell Tracking Challenge)",
        meaning="mean over true objects of the IoU with the object that covers more than half of it",
        total=mean_of_rows,
        rows=lambda frame: seg_jaccards(frame.pairs)[1][:, None],
        standard=True,
        per_object=True,
    ),
    "pixel-error": _foreground(
        pixel_error_of,
        "pixel error",
        "fraction of pixels whose class, object or background, is wrong",
        "lower",
        standard=True,
    ),
    "f1": _matched(
        lambda found: found.f1,
        "F1 at IoU 0.50",
        "2 tp / (2 tp + fp + fn) of objects matched one to one at IoU ≥ 0.50",
        standard=True,
    ),
    "precision": _matched(
        lambda found: found.precision,
        "precision at IoU 0.50",
        "share of the predicted objects that match a true one at IoU ≥ 0.50",
    ),
    "recall": _matched(
        lambda found: found.recall,
        "recall at IoU 0.50",
        "share of the true objects that match a predicted one at IoU ≥ 0.50",
    ),
    "panoptic-quality": Score(
        kind="instances",
        title="panoptic quality (PQ)",
        meaning="F1 at IoU ≥ 0.50 times the mean IoU of the matched objects",
        total=_panoptic_quality,
        rows=_panoptic_row,
    ),
    "mean-ap": _matched(
        lambda found: found.average_precision,
        "mean average precision",
        "tp / (tp + fp + fn), mean over IoU ≥ 0.50, 0.55, …, 0.95 (Data Science Bowl 2018)",
        AP_THRESHOLDS,
    ),
    **{f"ap-{100 * threshold:.0f}": _average_precision(threshold) for threshold in AP_THRESHOLDS},
    "dice": _foreground(
        lambda counts: dice_of(counts, 1), "Dice of the foreground", "Dice coefficient of the foreground"
    ),
    "sensitivity": _foreground(sensitivity_of, "sensitivity", "share of the true foreground that is found"),
    "specificity": _foreground(
        specificity_of, "specificity", "share of the true background that is predicted as background"
    ),
    "accuracy": _foreground(
        accuracy_of, "accuracy", "share of the pixels whose class, object or background, is right"
    ),
    "kappa": _foreground(kappa_of, "Cohen's kappa", "agreement of foreground and background beyond chance"),
    "surface-distance": Score(
        kind="instances",
        title="average surface distance (pixels)",
        meaning="average symmetric distance of the foreground's surfaces, in pixels",
        total=mean_of_rows,
        rows=_surface_rows,
        better="lower",
    ),
    "hausdorff-95": Score(
        kind="instances",
        title="Hausdorff distance, 95th percentile (pixels)",
        meaning="95th percentile of the distances of the foreground's surfaces, larger direction, in pixels",
        total=_hausdorff_95,
        rows=_surface_rows,
        better="lower",
    ),
}
