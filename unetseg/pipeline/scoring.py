"""Scores of predicted labels against the truth, for object labels and for class maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError, did_you_mean
from unetseg.sample import NOT_ANNOTATED, Kind
from unetseg.scores import SCORES, FrameTable, frame_table
from unetseg.scores.pixels import confusion, iou_of, pixel_error_of

Pair = tuple[str, NDArray[Any], NDArray[Any]]
"""A frame's name, truth and prediction, both (*yx) integers; truth −1 is not annotated."""


def score_names(kind: Kind, classes: int) -> list[str]:
    """The scores there are for labels of this kind."""
    if kind == "instances":
        return list(SCORES)
    return ["iou", *[f"iou-{c}" for c in range(classes)], "pixel-error"]


def higher_is_better(name: str) -> bool:
    """Whether a larger value of the score is the better one."""
    return name not in SCORES or SCORES[name].better == "higher"


def score_pairs(pairs: Iterable[Pair], kind: Kind, classes: int, names: Sequence[str] = ()) -> FrameTable:
    """Scores per frame and pooled. Class maps: IoU of each class, and their mean as "iou"."""
    allowed = score_names(kind, classes)
    for name in names:
        if name not in allowed:
            raise UserError(f"there is no score {name!r} for {kind}; {did_you_mean(name, allowed)}")
    every = list(pairs)
    if kind == "instances":
        frames = [name for name, _, _ in every]
        return frame_table(
            (t for _, t, _ in every), (p for _, _, p in every), list(names) or None, frames=frames
        )
    return _class_table(every, classes, list(names) or allowed)


def _class_table(pairs: Sequence[Pair], classes: int, names: Sequence[str]) -> FrameTable:
    counts = [confusion(p, np.maximum(t, 0), t != NOT_ANNOTATED, classes=classes) for _, t, p in pairs]
    rows = np.array([[_class_score(c, name, classes) for name in names] for c in counts])
    total: NDArray[np.int64] = np.sum(counts, axis=0)
    pooled = np.array([_class_score(total, name, classes) for name in names])
    return FrameTable(tuple(name for name, _, _ in pairs), tuple(names), rows, pooled)


def _class_score(counts: NDArray[np.int64], name: str, classes: int) -> float:
    if name == "pixel-error":
        return pixel_error_of(counts)
    if name == "iou":
        return float(np.nanmean([iou_of(counts, c) for c in range(classes)]))
    return iou_of(counts, int(name.removeprefix("iou-")))
