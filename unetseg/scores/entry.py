"""A score: its kind, what it reads from a frame, its total, which way is better, and its meaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unetseg.scores.em import cuts
from unetseg.scores.overlap import Objects, Overlap, annotated_objects, overlap, partly_annotated_objects
from unetseg.scores.thinning import thinned_segments

Kind = Literal["instances", "classes", "probabilities", "volumes", "challenge", "restoration"]
"""What is scored: objects, class maps, probability maps, volumes, a challenge's result, restored images."""

Rows = NDArray[np.float64]  # (rows, columns of this score)


@dataclass(frozen=True)
class Frame:
    """Truth and prediction of one image, section or volume, arrays (*yx) of the same shape.

    truth: integers, 0 background, k > 0 an object or class, −1 not annotated. predicted: the same
    without −1, or probabilities in 0…1. In restoration both are images (c, *yx) or (*yx), clean and restored.
    spacing_um: pixel size along each axis, None if unknown.
    """

    truth: NDArray[Any]
    predicted: NDArray[Any]
    spacing_um: tuple[float, ...] | None = None

    @cached_property
    def pairs(self) -> Overlap:
        """The table of overlapping labels, from which most scores are read."""
        return overlap(self.truth, self.predicted)

    @cached_property
    def objects(self) -> Objects:
        """The objects that count, see `annotated_objects` and `partly_annotated_objects`."""
        return (
            partly_annotated_objects(self.pairs) if self.partly_annotated else annotated_objects(self.pairs)
        )

    @cached_property
    def thinned_segments(self) -> tuple[NDArray[np.int32], ...]:
        """The segments of a probability map at each threshold, after the ISBI challenge's border thinning."""
        return cuts(self.predicted, thinned_segments)

    @property
    def partly_annotated(self) -> bool:
        """Whether only some objects are annotated, so that no pixel is known to be background."""
        return bool((self.pairs.truth < 0).any() and not (self.pairs.truth == 0).any())


@dataclass(frozen=True)
class Score:
    """One score: what it reads from one frame, and the total of the rows of all frames.

    title: the usual name. `total` is NaN if the score is undefined, for instance
    without any true object. `rows` is None for a total of other totals, which are then its rows.
    `standard` scores are used if none are named. per_object: a row is one true object.
    """

    kind: Kind
    title: str
    meaning: str
    total: Callable[[Rows], float]
    rows: Callable[[Frame], Rows] | None
    better: Literal["higher", "lower"] = "higher"
    standard: bool = False
    per_object: bool = False

    @property
    def sign(self) -> int:
        """1 if higher is better, −1 if lower is: `sign * value` is larger for the better one."""
        return 1 if self.better == "higher" else -1


def mean_of_rows(rows: Rows) -> float:
    """The mean of the first column; NaN without any row."""
    return float(rows[:, 0].mean()) if rows.size else float("nan")


def total_of_counts(total: Callable[[NDArray[np.int64]], float], classes: int) -> Callable[[Rows], float]:
    """A total of rows of pixel counts (frames, classes²): `total` of their sum by [true, predicted]."""
    return lambda rows: total(rows.sum(axis=0).reshape(classes, classes).astype(np.int64))


def ratio(part: Any, whole: Any) -> float:
    """A share; NaN of nothing."""
    return float(part / whole) if whole else float("nan")
