"""One image scored with many label settings; settings that share a stage of the segmentation share it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetseg.scores import frame_table
from unetseg.scores.entry import Rows
from unetseg.segment import filled_foreground, flood, object_maps, without_small
from unetseg.settings import LabelSettings

Labels = NDArray[np.int32]
Key = tuple[float, ...]
T = TypeVar("T")


class LabelTrials:
    """What a score reads of one image, with the labels of any settings; the same as from `object_labels`.

    The last result of every stage is kept, so settings are best tried in an order that changes the threshold
    least often and growth most often. Settings that keep the same seeds and objects are scored once.
    """

    def __init__(self, probabilities: NDArray[np.float32], truth: NDArray[Any], score: str) -> None:
        """probabilities: (k, *yx); truth: (*yx), 0 background, k > 0 an object, −1 not annotated.

        score: the name of a score of objects.
        """
        self._foreground, self._core = object_maps(probabilities)
        self._truth = truth
        self._score = score
        self._stages: dict[str, tuple[Hashable, Any]] = {}
        self._rows: dict[Key, Rows] = {}

    def rows(self, labels: LabelSettings) -> Rows:
        """The rows of the score, (rows, columns)."""
        key, objects, areas = self._objects(labels)
        smallest = _smallest_kept(areas, labels.min_area)
        key = (*key, smallest, labels.grow)
        if key not in self._rows:
            found = self._grown(objects, key[:-1], labels.grow)
            self._rows[key] = frame_table([self._truth], [found], [self._score]).rows[0][0]
        return self._rows[key]

    def _objects(self, labels: LabelSettings) -> tuple[Key, Labels, NDArray[np.int64]]:
        """The objects before small ones are dropped, with their areas and what they depend on."""
        key: Key = (labels.threshold, labels.max_hole_area)
        foreground = self._stage("foreground", key, lambda: filled_foreground(self._foreground, labels))
        if labels.seed_threshold == 0:
            return key, *self._stage("objects", key, lambda: _components(foreground))
        key = (*key, labels.seed_threshold)
        above = self._core > labels.seed_threshold
        seeds, areas = self._stage("seeds", key, lambda: _components(foreground & above))
        smallest = _smallest_kept(areas, labels.min_seed_area)
        key = (*key, smallest)

        def flooded() -> tuple[Labels, NDArray[np.int64]]:
            return _with_areas(flood(self._core, without_small(seeds, labels.min_seed_area), foreground))

        return key, *self._stage("objects", key, flooded)

    def _grown(self, objects: Labels, key: Key, grow: int) -> Labels:
        smallest = key[-1]
        kept = self._stage("kept", key, lambda: without_small(objects, int(smallest)))
        if grow == 0 or not kept.any():
            return kept
        distances, nearest = self._stage("nearest", key, lambda: _nearest(kept))
        return np.where(distances <= grow, nearest, 0)

    def _stage(self, name: str, key: Key, make: Callable[[], T]) -> T:
        """The last result of a stage if its key is the same, else made anew."""
        if name not in self._stages or self._stages[name][0] != key:
            self._stages[name] = key, make()
        result: T = self._stages[name][1]
        return result


def _components(mask: NDArray[np.bool_]) -> tuple[Labels, NDArray[np.int64]]:
    return _with_areas(ndimage.label(mask)[0])


def _with_areas(labels: Labels) -> tuple[Labels, NDArray[np.int64]]:
    """The labels, and the area of each of 1…n."""
    return labels, np.bincount(labels.ravel(), minlength=1)[1:]


def _smallest_kept(areas: NDArray[np.int64], min_area: int) -> int:
    """The smallest area that is at least `min_area`: it stands for every minimum that keeps the same."""
    return int(min(areas[areas >= min_area], default=np.iinfo(np.int64).max))


def _nearest(objects: Labels) -> tuple[NDArray[np.float32], Labels]:
    """Every pixel's distance to the nearest object, and that object."""
    distances, indices = ndimage.distance_transform_edt(objects == 0, return_indices=True)
    return distances.astype(np.float32), objects[tuple(indices)]
