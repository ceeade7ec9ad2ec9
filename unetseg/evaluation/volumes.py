"""Scores that are taken volume by volume: Dice and the distance of surfaces in µm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.evaluation.by_kind import Pair
from unetseg.sample import NOT_ANNOTATED, LabelKind
from unetseg.scores.pixels import confusion, dice_of
from unetseg.scores.surface import surface_distances

Spacing = tuple[float, ...] | None


def volume_scores(
    pairs: Sequence[Pair], spacings: Sequence[Spacing], kind: LabelKind, classes: int
) -> dict[str, float]:
    """Means over the volumes among `pairs`, of each class but the background; empty without any.

    "volume-dice-1": Dice of class 1 in a volume, as the Medical Segmentation Decathlon counts it
    (pooled over the voxels of all volumes it is "dice-1"); "surface-um-1": average symmetric distance
    of its surfaces in µm, of volumes of known spacing. Of objects there is one class, all of them. A
    class that is in neither truth nor prediction of a volume does not count there.
    """
    volumes = [(t, p, s) for (_, t, p), s in zip(pairs, spacings, strict=True) if t.ndim == 3]
    scores: dict[str, float] = {}
    for c in range(1, 2 if kind == "instances" else classes):
        regions = [(_region(t, c, kind), _region(p, c, kind), t != NOT_ANNOTATED, s) for t, p, s in volumes]
        dice = [dice_of(confusion(p, t, known, classes=2), 1) for t, p, known, _ in regions]
        far = [surface_distances(t, p, s, annotated=known).mean for t, p, known, s in regions if s]
        scores |= {f"volume-dice-{c}": _mean(dice), f"surface-um-{c}": _mean(far)}
    return {name: value for name, value in scores.items() if np.isfinite(value)}


def _region(labels: NDArray[Any], c: int, kind: LabelKind) -> NDArray[np.uint8]:
    return (labels > 0 if kind == "instances" else labels == c).astype(np.uint8)


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if np.isfinite(v)]
    return float(np.mean(known)) if known else float("nan")
