"""Samples at another pixel size, and the size of their objects."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from unetseg.errors import UserError
from unetseg.sample import Sample


def object_diameter(labels: NDArray[np.integer[Any]]) -> float | None:
    """The median diameter in pixels of the objects of `labels` (y, x), each as a circle of the same area.

    None where there is no object (no value above 0).

    >>> object_diameter(np.kron([[1, 0], [0, 2]], np.ones((3, 3), int)))
    3.385137501286538
    """
    areas = np.unique(labels[labels > 0], return_counts=True)[1]
    return 2 * math.sqrt(float(np.median(areas)) / math.pi) if len(areas) else None


def at_object_diameter(sample: Sample, diameter: float) -> Sample:
    """The sample (y, x) resized so that its median object has this diameter in pixels.

    A sample without objects stays as it is. Raises UserError for volumes.
    """
    if sample.image.ndim != 3:
        raise UserError(f"{sample.name}: is a volume. data.object_diameter is for images; leave it out.")
    found = None if sample.labels is None else object_diameter(sample.labels)
    return sample if found is None else resized(sample, diameter / found)


def resized(sample: Sample, factor: float) -> Sample:
    """The sample (y, x) with `factor` times as many pixels along each axis.

    The image is float32, interpolated linearly (smoothed first if it shrinks); a label is that of the
    nearest pixel.
    """
    shape = [max(1, round(n * factor)) for n in sample.image.shape[1:]]
    image = resize(
        sample.image.astype(np.float32), (len(sample.image), *shape), order=1, anti_aliasing=factor < 1
    )
    labels = sample.labels
    if labels is not None:
        labels = resize(labels, shape, order=0, preserve_range=True, anti_aliasing=False).astype(np.int32)
    spacing = None if sample.spacing_um is None else tuple(size / factor for size in sample.spacing_um)
    return replace(sample, image=image.astype(np.float32), labels=labels, spacing_um=spacing)
