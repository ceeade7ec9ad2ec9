"""Scores of predicted labels against the truth, for object labels and for class maps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError, did_you_mean
from unetseg.sample import NOT_ANNOTATED, LabelKind
from unetseg.scores import SCORES, FrameTable, frame_table, standard_scores
from unetseg.scores.binary import accuracy_of, kappa_of, sensitivity_of, specificity_of
from unetseg.scores.pixels import confusion, dice_of, iou_of, pixel_error_of

Pair = tuple[str, NDArray[Any], NDArray[Any]]
"""A frame's name, truth and prediction, both (*yx) integers; truth −1 is not annotated."""

CLASS_SCORES = {"pixel-error": pixel_error_of, "accuracy": accuracy_of, "kappa": kappa_of}
TWO_CLASS_SCORES = {"sensitivity": sensitivity_of, "specificity": specificity_of}


def score_names(kind: LabelKind, classes: int) -> list[str]:
    """The scores there are for labels of this kind."""
    if kind == "instances":
        return list(SCORES)
    of_one = [f"{score}-{c}" for score in ("iou", "dice") for c in range(classes)]
    return ["iou", "dice", *of_one, *CLASS_SCORES, *(TWO_CLASS_SCORES if classes == 2 else ())]


def standard_names(kind: LabelKind, classes: int) -> list[str]:
    """The scores that are taken where none are asked for."""
    if kind == "instances":
        return list(standard_scores())
    return ["iou", "dice", *[f"iou-{c}" for c in range(classes)], "pixel-error"]


def higher_is_better(name: str) -> bool:
    """Whether a larger value of the score is the better one."""
    if name in SCORES:
        return SCORES[name].better == "higher"
    return not name.endswith("error") and not name.startswith("surface")


def number(value: float | None) -> str:
    """A score in four decimals, a small error in six, a large distance in one; a dash where it is undefined.

    >>> number(0.25), number(0.000353), number(1704.8009), number(float("nan"))
    ('0.2500', '0.000353', '1704.8', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:.1f}"
    return f"{value:.6f}" if 0 < abs(value) < 0.01 else f"{value:.4f}"


def score_pairs(
    pairs: Iterable[Pair], kind: LabelKind, classes: int, names: Sequence[str] = ()
) -> FrameTable:
    """Scores per frame and pooled, the standard ones or those of `names`.

    Of class maps, "iou" is the mean over the classes, "dice" that over all but the background, and
    "iou-2" that of class 2.
    """
    allowed = score_names(kind, classes)
    for name in names:
        if name not in allowed:
            raise UserError(f"there is no score {name!r} for {kind}; {did_you_mean(name, allowed)}")
    every, chosen = list(pairs), list(names) or standard_names(kind, classes)
    if kind == "instances":
        frames = [name for name, _, _ in every]
        return frame_table((t for _, t, _ in every), (p for _, _, p in every), chosen, frames=frames)
    return _class_table(every, classes, chosen)


def _class_table(pairs: Sequence[Pair], classes: int, names: Sequence[str]) -> FrameTable:
    counts = [confusion(p, np.maximum(t, 0), t != NOT_ANNOTATED, classes=classes) for _, t, p in pairs]
    rows = np.array([[_class_score(c, name, classes) for name in names] for c in counts])
    total: NDArray[np.int64] = np.sum(counts, axis=0)
    pooled = np.array([_class_score(total, name, classes) for name in names])
    return FrameTable(tuple(name for name, _, _ in pairs), tuple(names), rows, pooled)


def _class_score(counts: NDArray[np.int64], name: str, classes: int) -> float:
    """A score of class maps by its name, from their confusion matrix."""
    if name == "iou":
        return float(np.nanmean([iou_of(counts, c) for c in range(classes)]))
    if name == "dice":
        return float(np.nanmean([dice_of(counts, c) for c in range(1, classes)]))
    plain = CLASS_SCORES | TWO_CLASS_SCORES
    if name in plain:
        return plain[name](counts)
    score, _, c = name.partition("-")
    return {"iou": iou_of, "dice": dice_of}[score](counts, int(c))
