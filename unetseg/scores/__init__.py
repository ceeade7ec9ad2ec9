"""Scores by kind, and how they pool over the frames of a sequence.

Each score reads *rows* from a frame (one per object, one of counts, or one per surface pixel), usually
from its table of overlapping labels, and computes a *total* from rows. Frames are pooled by
stacking their rows, never by averaging their totals: a frame with many objects weighs more than one with
few. The arguments are always the truth, then the prediction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from numpy.typing import NDArray

from unetseg.scores.entry import Frame, Kind, Score
from unetseg.scores.registry import SCORES, check_names, find_score, scores_of, standard_scores
from unetseg.scores.table import FrameTable, bootstrap, frame_table

__all__ = [
    "SCORES",
    "Frame",
    "FrameTable",
    "Kind",
    "Score",
    "bootstrap",
    "check_names",
    "find_score",
    "frame_table",
    "score",
    "scores_of",
    "standard_scores",
]


def score(
    truths: Iterable[NDArray[Any]],
    predictions: Iterable[NDArray[Any]],
    names: Sequence[str] | None = None,
    *,
    kind: Kind = "instances",
    classes: int = 2,
    frames: Sequence[str] | None = None,
) -> dict[str, float]:
    """The scores of a sequence of frames, pooled; arguments and errors are those of `frame_table`.

    >>> import numpy as np
    >>> truth = np.array([[1, 1, 0, -1]])
    >>> score([truth], [np.array([[4, 0, 0, 4]])], ["iou", "pixel-error"])
    {'iou': 0.5, 'pixel-error': 0.3333333333333333}
    """
    return frame_table(truths, predictions, names, kind=kind, classes=classes, frames=frames).totals
