"""Truth that covers only some of the objects, detected by unlabelled pieces that look like objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from unetseg.errors import some_of
from unetseg.sample import Sample

LIKE = (0.3, 3.0)
"""An unlabelled piece looks like an object if its area is in this range of the median object's."""
FOUND = 0.7
"""The threshold must find this share of the labelled objects; else it says nothing about other objects."""
LEAST = 3


def coverage_note(samples: Sequence[Sample]) -> str:
    """A note if at least half of the samples seem to be only partly annotated; else "".

    Only images (c, y, x) with object labels and a known background are checked.
    """
    counts = {s.name: found for s in samples if (found := unlabelled_objects(s)) is not None}
    partial = {name: (n, k) for name, (n, k) in counts.items() if k >= max(n, LEAST)}
    if not partial or 2 * len(partial) < len(counts):
        return ""
    few = some_of([f"{name} {n} of about {n + k}" for name, (n, k) in partial.items()], 3)
    return (
        f"warning: the labels seem to cover only some objects ({few}). The others are learnt as background. "
        "If only the labelled objects are known, give --partly-annotated to show, train and score (in an "
        "experiment file: data.partly_annotated = true)"
    )


def unlabelled_objects(sample: Sample) -> tuple[int, int] | None:
    """How many objects are labelled, and how many pieces look like them but are not.

    The image is thresholded (Otsu 1979). None if that does not find the labelled objects, as in phase
    contrast, and if there is nothing to compare.
    """
    labels = sample.labels
    if labels is None or sample.kind != "instances" or labels.ndim != 2 or not (labels == 0).any():
        return None
    areas = np.bincount(labels[labels > 0].ravel())
    objects = np.flatnonzero(areas)
    if not objects.size:
        return None
    foreground = _foreground(sample.image, labels > 0)
    found = np.bincount(labels[(labels > 0) & foreground].ravel(), minlength=len(areas))
    if np.mean(found[objects] > areas[objects] / 2) < FOUND:
        return None
    pieces, count = ndimage.label(foreground)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    inside = np.bincount(pieces[labels != 0].ravel(), minlength=count + 1)[1:]
    low, high = (factor * float(np.median(areas[objects])) for factor in LIKE)
    return len(objects), int(((sizes >= low) & (sizes <= high) & (inside < sizes / 10)).sum())


def _foreground(image: NDArray[np.generic], objects: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The bright pixels of the image, or the dark ones if the objects are darker than the rest."""
    grey = ndimage.gaussian_filter(image.astype(np.float64).mean(0), 1)
    bright = grey > threshold_otsu(grey) if grey.min() < grey.max() else np.zeros(grey.shape, bool)
    darker = np.median(grey[objects]) < np.median(grey[~objects])
    return ~bright if darker else bright
