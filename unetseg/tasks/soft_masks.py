"""Masks whose edges are grey: resized with interpolation, smoothed, or saved as JPEG.

Their values form two clusters, and the values between them lie along the edges. Such a mask is
thresholded half-way between the clusters.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

CLUSTER = 0.15
"""How far a cluster extends from the lowest or highest value, as a share of their distance."""
EDGE_PX = 6
"""How far from both clusters a pixel between them may lie."""
MOST_BETWEEN = 0.4
"""The largest share of all pixels that may lie between the clusters."""
LEAST_PX = 16
"""The least number of pixels of a cluster."""
ON_EDGES = 0.95
"""The share of the pixels between the clusters that must lie along edges."""


def soft_mask_range(plane: NDArray[Any]) -> tuple[float, float] | None:
    """The lowest and the highest value of a mask with grey edges; None for any other image.

    plane: (*yx), any real dtype.
    """
    low, high = float(plane.min(initial=0)), float(plane.max(initial=0))
    if high <= low:
        return None
    position = (plane - low) / (high - low)
    dark, bright = position <= CLUSTER, position >= 1 - CLUSTER
    between = ~(dark | bright)
    count = int(between.sum())
    least = min(int(dark.sum()), int(bright.sum()))
    if least < LEAST_PX or count > min(MOST_BETWEEN * plane.size, 2 * least):
        return None
    near = [binary_dilation(cluster, iterations=EDGE_PX) for cluster in (dark, bright)]
    on_edges = int((between & near[0] & near[1]).sum())
    return (low, high) if on_edges >= ON_EDGES * count else None
