"""Scores computed volume by volume: Dice and the distance of surfaces in µm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.evaluation.by_kind import Pair
from unetseg.sample import LabelKind
from unetseg.scores import frame_table
from unetseg.scores.table import Spacing

__all__ = ["Spacing", "volume_scores"]


def volume_scores(
    pairs: Sequence[Pair], spacings: Sequence[Spacing], kind: LabelKind, classes: int
) -> dict[str, float]:
    """Means over the volumes among `pairs`, of each class but the background; empty if there are none.

    "volume-dice-1": Dice of class 1 in a volume, as the Medical Segmentation Decathlon counts it
    (pooled over the voxels of all volumes it is "dice-1"); "surface-um-1": average symmetric distance
    of its surfaces in µm, of volumes of known spacing. Objects count as one class, all of them together. A
    class that is in neither truth nor prediction of a volume does not count there.
    """
    volumes = [(name, t, p, s) for (name, t, p), s in zip(pairs, spacings, strict=True) if t.ndim == 3]
    if not volumes:
        return {}
    names, truths, predictions, sizes = zip(*volumes, strict=True)
    if kind == "instances":
        truths, predictions = tuple(map(_as_one_class, truths)), tuple(map(_as_one_class, predictions))
    count = 2 if kind == "instances" else classes
    table = frame_table(truths, predictions, kind="volumes", classes=count, frames=names, spacings=sizes)
    return {name: value for name, value in table.totals.items() if np.isfinite(value)}


def _as_one_class(labels: NDArray[Any]) -> NDArray[Any]:
    """All objects as class 1; −1 stays."""
    return np.minimum(labels, 1)
