"""From probabilities to labels: threshold, components or seeded watershed, small objects and holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import remove_small_holes
from skimage.segmentation import expand_labels, relabel_sequential, watershed

from unetseg.settings import LabelSettings


def segment(probability: NDArray[np.float32], settings: LabelSettings) -> NDArray[np.int32]:
    """Object labels 0…n (*yx) int32 of a foreground probability map (*yx) in 0…1.

    Foreground is probability > threshold; holes smaller than `holes` pixels are filled, objects
    smaller than `smallest` dropped. With `seeds` = 0 objects are the connected components (edge
    neighbours). Otherwise the components of probability > seeds flood the foreground by watershed
    on the probability, and a component without a seed is dropped. At last objects grow by `grow`
    pixels, never into each other.
    """
    foreground = probability > settings.threshold
    if settings.holes > 0:
        foreground = remove_small_holes(foreground, max_size=settings.holes - 1)
    if settings.seeds > 0:
        seeds, _ = ndimage.label(probability > max(settings.seeds, settings.threshold))
        labels = watershed(-probability, seeds, mask=foreground)
    else:
        labels, _ = ndimage.label(foreground)
    if settings.smallest > 0:
        areas = np.bincount(labels.ravel())
        labels = np.where(areas[labels] < settings.smallest, 0, labels)
    if settings.grow > 0:
        labels = expand_labels(labels, settings.grow)
    result: NDArray[np.int32] = relabel_sequential(labels)[0].astype(np.int32)
    return result


def class_labels(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The most probable class of each pixel, (*yx) uint8, of probabilities (k, *yx)."""
    return probabilities.argmax(0).astype(np.uint8)
