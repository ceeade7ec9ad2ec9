"""The scores of class maps, all read from one confusion matrix, and those of single volumes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unetseg.scores.binary import accuracy_of, kappa_of, sensitivity_of, specificity_of
from unetseg.scores.entry import Frame, Rows, Score, total_of_counts
from unetseg.scores.overlap import class_confusion
from unetseg.scores.pixels import dice_of, iou_of, pixel_error_of
from unetseg.scores.surface import surface_distances

Counts = NDArray[np.int64]  # (classes, classes), by [true class, predicted class]


def class_scores(classes: int) -> dict[str, Score]:
    """The scores of maps of so many classes, the background among them.

    "iou" is the mean over the classes, "dice" that over all but the background, "iou-2" that of class 2.
    """
    entry = partial(_entry, classes)
    scores = {
        "iou": entry(
            lambda n: _mean([iou_of(n, c) for c in range(classes)]),
            "mean IoU",
            "intersection over union, mean over the classes",
            standard=True,
        ),
        "dice": entry(
            lambda n: _mean([dice_of(n, c) for c in range(1, classes)]),
            "mean Dice",
            "Dice coefficient, mean over the classes but the background",
            standard=True,
        ),
    }
    for c in range(classes):
        iou, dice = partial(iou_of, c=c), partial(dice_of, c=c)
        words = f"intersection over union of class {c}"
        scores[f"iou-{c}"] = entry(iou, f"IoU of class {c}", words, standard=True)
        scores[f"dice-{c}"] = entry(dice, f"Dice of class {c}", f"Dice coefficient of class {c}")
    named = OF_PIXELS | (OF_TWO if classes == 2 else {})
    return scores | {name: entry(*values) for name, values in named.items()}


OF_PIXELS: dict[str, Any] = {
    "pixel-error": (pixel_error_of, "pixel error", "fraction of pixels whose class is wrong", "lower", True),
    "accuracy": (accuracy_of, "accuracy", "share of the pixels whose class is right"),
    "kappa": (kappa_of, "Cohen's kappa", "agreement of the classes beyond chance"),
}
OF_TWO: dict[str, Any] = {
    "sensitivity": (sensitivity_of, "sensitivity", "share of the pixels of class 1 that are found"),
    "specificity": (specificity_of, "specificity", "share of class 0 that is predicted as class 0"),
}
"""The arguments of `_entry`."""


def _entry(
    classes: int,
    total: Callable[[Counts], float],
    title: str,
    meaning: str,
    better: Literal["higher", "lower"] = "higher",
    standard: bool = False,
) -> Score:
    """A score that is read from the confusion matrix of all frames."""

    def row(frame: Frame) -> Rows:
        return class_confusion(frame.pairs, classes).reshape(1, -1).astype(np.float64)

    return Score("classes", title, meaning, total_of_counts(total, classes), row, better, standard)


def volume_class_scores(classes: int) -> dict[str, Score]:
    """The scores that are computed volume by volume and then averaged, for each class but the background.

    A class that is in neither truth nor prediction of a volume does not count there.
    """
    scores = {}
    for c in range(1, classes):
        scores[f"volume-dice-{c}"] = Score(
            kind="volumes",
            title=f"Dice of class {c}, mean over volumes",
            meaning=f"mean over the volumes of the Dice coefficient of class {c}",
            total=_mean_of_known,
            rows=lambda frame, c=c: _one(dice_of(class_confusion(frame.pairs, classes), c)),  # type: ignore[misc]
            standard=True,
        )
        scores[f"surface-um-{c}"] = Score(
            kind="volumes",
            title=f"surface distance of class {c} (µm), mean over volumes",
            meaning=f"mean over the volumes of the average symmetric surface distance, in µm, of class {c}",
            total=_mean_of_known,
            rows=lambda frame, c=c: _one(_surface_distance(frame, c)),  # type: ignore[misc]
            better="lower",
            standard=True,
        )
    return scores


def _surface_distance(frame: Frame, c: int) -> float:
    """In µm; NaN for a volume of unknown pixel size."""
    if frame.spacing_um is None:
        return float("nan")
    truth, predicted = frame.truth == c, frame.predicted == c
    return surface_distances(truth, predicted, frame.spacing_um, annotated=frame.truth >= 0).mean


def _one(value: float) -> Rows:
    return np.array([[value]], np.float64)


def _mean_of_known(rows: Rows) -> float:
    return _mean(rows[:, 0].tolist())


def _mean(values: list[float]) -> float:
    """The mean of the defined values; NaN if there are none."""
    known = [v for v in values if np.isfinite(v)]
    return float(np.mean(known)) if known else float("nan")
