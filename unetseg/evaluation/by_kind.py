"""Scores of predicted labels against the truth, for object labels and for class maps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from numpy.typing import NDArray

from unetseg.sample import LabelKind
from unetseg.scores import FrameTable, frame_table

Pair = tuple[str, NDArray[Any], NDArray[Any]]
"""A frame's name, truth and prediction, both (*yx) integers; truth −1 is not annotated."""


def number(value: float | None) -> str:
    """A score with four decimals, a small error with six, a large distance with one; a dash if undefined.

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
    """Scores per frame and pooled: those of `names`, or the standard ones of object labels or class maps."""
    every = list(pairs)
    called = [name for name, _, _ in every]
    truths, predictions = [t for _, t, _ in every], [p for _, _, p in every]
    return frame_table(truths, predictions, names or None, kind=kind, classes=classes, frames=called)
