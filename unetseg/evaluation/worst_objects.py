"""The worst objects of a comparison: where to look first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unetseg.evaluation.by_kind import Pair
from unetseg.evaluation.frame_images import read_frame_image
from unetseg.figures import write_overlay
from unetseg.scores.objects import object_iou


@dataclass(frozen=True)
class WorstObject:
    """A true object: its IoU with the predicted object matched to it, area in pixels, centre (y, x)."""

    frame: str
    id: int
    iou: float
    area: int
    centre: tuple[float, ...]


def worst_objects(pairs: Sequence[Pair], most: int) -> list[WorstObject]:
    """The `most` true objects of lowest IoU in all frames, worst first; of equal ones the largest first."""
    every = [_measured(name, truth, int(k), iou) for name, truth, k, iou in _lowest(pairs, most)]
    return sorted(every, key=lambda o: (o.iou, -o.area))[:most]


def write_worst_pictures(
    pairs: Sequence[Pair], worst: Sequence[WorstObject], folder: Path, images: Path | None = None
) -> list[Path]:
    """FOLDER/FRAME.png of every frame with a worst object: outlines on its image, and the labels.

    images: the image file or folder, see `read_frame_image`; without it the background is black. Of a
    volume the middle slice is shown.
    """
    frames, paths = {o.frame for o in worst}, []
    for name, truth, predicted in pairs:
        if name not in frames:
            continue
        black = np.zeros((1, *truth.shape), np.uint8)
        image = black if images is None else read_frame_image(images, name, truth.shape)
        path = folder / f"{name.replace('/', '_')}.png"
        write_overlay(path, image, truth, predicted, name)
        paths.append(path)
    return paths


def _lowest(pairs: Sequence[Pair], most: int) -> list[tuple[str, np.ndarray, int, float]]:
    """Frame, truth, id and IoU of at least the `most` worst objects, ties with the last included."""
    scored = [(name, truth, *object_iou(truth, predicted)) for name, truth, predicted in pairs]
    ious = np.sort(np.concatenate([np.empty(0), *(of_frame for *_, of_frame in scored)]))
    if not ious.size:
        return []
    limit = ious[min(most, ious.size) - 1]
    return [
        (name, truth, k, float(iou))
        for name, truth, ids, of_frame in scored
        for k, iou in zip(ids.tolist(), of_frame, strict=True)
        if iou <= limit
    ]


def _measured(frame: str, truth: np.ndarray, k: int, iou: float) -> WorstObject:
    places = np.argwhere(truth == k)
    return WorstObject(frame, k, iou, len(places), tuple(places.mean(axis=0).round(1).tolist()))
