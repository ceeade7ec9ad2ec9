"""From probabilities to labels: threshold, components or seeded watershed, small objects and holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import remove_small_holes
from skimage.segmentation import expand_labels, watershed

from unetseg.distance_classes import depth
from unetseg.settings import LabelSettings


def object_labels(probabilities: NDArray[np.float32], labels: LabelSettings) -> NDArray[np.int32]:
    """Object labels of class probabilities (k, *yx): see `segment`.

    With two classes, foreground is class 1. With more (background and distance classes), it is everything
    but class 0, and seeds are found in the expected depth.
    """
    foreground, core = object_maps(probabilities)
    return segment(foreground, labels, core)


def object_maps(probabilities: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Foreground and core, each (*yx) float32, of class probabilities (k, *yx): see `object_labels`."""
    if len(probabilities) == 2:
        return probabilities[1], probabilities[1]
    return 1 - probabilities[0], depth(probabilities)


def segment(
    probability: NDArray[np.float32], labels: LabelSettings, core: NDArray[np.float32] | None = None
) -> NDArray[np.int32]:
    """Object labels 0…n (*yx) int32 of a foreground probability map (*yx) in 0…1.

    Foreground is probability > threshold, with holes of up to `max_hole_area` pixels filled. With
    `seed_threshold` = 0 objects are its connected components (edge neighbours). Otherwise the connected
    components of core > seed_threshold (core = probability unless given) of at least `min_seed_area`
    pixels are the seeds of a watershed on the core, and foreground without a seed is dropped. Objects
    of fewer than `min_area` pixels are dropped; the others grow by `grow` pixels, never into each other.
    """
    foreground = filled_foreground(probability, labels)
    if labels.seed_threshold > 0:
        core = probability if core is None else core
        seeds, _ = ndimage.label(foreground & (core > labels.seed_threshold))
        objects = flood(core, without_small(seeds, labels.min_seed_area), foreground)
    else:
        objects, _ = ndimage.label(foreground)
    objects = without_small(objects, labels.min_area)
    return expand_labels(objects, labels.grow) if labels.grow > 0 else objects


def filled_foreground(probability: NDArray[np.float32], labels: LabelSettings) -> NDArray[np.bool_]:
    """Where the probability is above the threshold, with holes filled up to `max_hole_area` pixels."""
    foreground: NDArray[np.bool_] = probability > labels.threshold
    return (
        remove_small_holes(foreground, max_size=labels.max_hole_area) if labels.max_hole_area else foreground
    )


def flood(
    core: NDArray[np.float32], seeds: NDArray[np.int32], foreground: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """The watershed of the core (*yx) from seeds 0…n (*yx) in the foreground; each seed is in one piece.

    Only components of the foreground with several seeds are flooded: one with a single seed is its object.
    """
    components, count = ndimage.label(foreground)
    component_of = np.zeros(int(seeds.max(initial=0)) + 1, np.int32)  # of each seed
    component_of[seeds] = components
    component_of[0] = 0  # the background's: seeds that are not there count for it too
    seed_of = np.zeros(count + 1, np.int32)
    seed_of[component_of] = np.arange(len(component_of))
    seed_of[0] = 0
    contested = (np.bincount(component_of, minlength=count + 1) > 1) & (np.arange(count + 1) > 0)
    objects, mask = seed_of[components], contested[components]
    if mask.any():
        objects[mask] = watershed(-core, np.where(mask, seeds, 0), mask=mask)[mask]
    return objects


def without_small(labels: NDArray[np.int32], min_area: int) -> NDArray[np.int32]:
    """The labels (*yx) without those of fewer than `min_area` pixels, renumbered 1…n in their order."""
    areas = np.bincount(labels.ravel(), minlength=1)
    kept = areas >= max(min_area, 1)
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32)[labels]


def median_filtered(probabilities: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """Probabilities (k, *yx), each class's median within `radius` pixels, scaled to sum to 1.

    The neighbourhood is a disk (a ball in 3-D), mirrored beyond the border. Cireşan et al. 2012 take a
    radius of 2 pixels.
    """
    if radius == 0:
        return probabilities
    offsets = np.indices((2 * radius + 1,) * (probabilities.ndim - 1)) - radius
    near = (offsets**2).sum(0) <= radius**2
    medians = np.stack([ndimage.median_filter(p, footprint=near, mode="mirror") for p in probabilities])
    total = medians.sum(0)  # 0 where every class is a minority
    scaled: NDArray[np.float32] = np.where(total > 0, medians / np.where(total > 0, total, 1), probabilities)
    return scaled


def class_labels(probabilities: NDArray[np.float32], threshold: float = 0.5) -> NDArray[np.uint8]:
    """The most probable class of each pixel, (*yx) uint8, of probabilities (k, *yx).

    With two classes, it is the second if its probability exceeds the threshold.
    """
    if len(probabilities) == 2 and threshold != 0.5:
        return (probabilities[1] > threshold).astype(np.uint8)
    return probabilities.argmax(0).astype(np.uint8)
