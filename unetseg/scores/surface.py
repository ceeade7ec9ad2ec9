"""How far apart two outlines are: average symmetric surface distance and Hausdorff distance.

Sources: Heimann et al. 2009, IEEE TMI 28(8), 1251 (average symmetric surface distance); Taha & Hanbury
2015, BMC Med. Imaging 15, 29 (Hausdorff distance and its percentile). The surface of a region is its
pixels that have an edge neighbour (a face neighbour in 3-D) outside, or that touch the image's edge;
distances go from the centre of such a pixel to the nearest one of the other region, in pixels or in the
unit of the given spacing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetseg.errors import UserError


@dataclass(frozen=True)
class SurfaceDistances:
    """Distance from every surface pixel of one region to the other's surface, both ways.

    from_truth (n,) and from_prediction (m,), float64; both are empty if one of the regions is, since
    then no distance is defined.
    """

    from_truth: NDArray[np.float64]
    from_prediction: NDArray[np.float64]

    @property
    def both_ways(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The distances from the prediction, then those from the truth."""
        return self.from_prediction, self.from_truth

    @property
    def mean(self) -> float:
        """Average symmetric surface distance: over the surface pixels of both; NaN without any."""
        both = np.concatenate(self.both_ways)
        return float(both.mean()) if both.size else float("nan")

    def hausdorff(self, percentile: float = 100) -> float:
        """The larger of the two directed distances at this percentile (95 is usual); NaN without any."""
        if not self.from_truth.size:
            return float("nan")
        return float(max(np.percentile(way, percentile) for way in self.both_ways))


def surface_distances(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    spacing: Sequence[float] | None = None,
    *,
    annotated: NDArray[np.bool_] | None = None,
) -> SurfaceDistances:
    """Distances between the surfaces of two regions.

    truth, predicted: arrays (*yx) of the same shape, 2-D or 3-D; the region is where they are > 0.
    spacing: size of a pixel along each axis, in any unit; None for distances in pixels.
    annotated: boolean (*yx), False where neither region counts; None for everywhere.
    Raises UserError if the shapes differ, or there is not one spacing > 0 per axis.

    >>> truth = np.array([[0, 1, 1, 1, 0, 0]])
    >>> surface_distances(truth, np.array([[0, 1, 1, 1, 1, 1]])).hausdorff()
    2.0
    """
    shapes = {truth.shape, predicted.shape} | ({annotated.shape} if annotated is not None else set())
    if len(shapes) > 1:
        raise UserError(f"the shapes differ: {', '.join(map(str, shapes))}; they must show the same pixels.")
    if spacing is not None and (len(spacing) != truth.ndim or min(spacing) <= 0):
        raise UserError(f"a spacing of {tuple(spacing)} for {truth.ndim} axes; give a size > 0 for each.")
    kept = True if annotated is None else annotated
    ours, theirs = (surface((region > 0) & kept) for region in (truth, predicted))
    if not (ours.any() and theirs.any()):
        return SurfaceDistances(np.empty(0), np.empty(0))
    return SurfaceDistances(_to(theirs, spacing)[ours], _to(ours, spacing)[theirs])


def surface(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a boolean region that have an edge neighbour outside it or beyond the image."""
    on_surface: NDArray[np.bool_] = region & ~ndimage.binary_erosion(region)
    return on_surface


def _to(surface_pixels: NDArray[np.bool_], spacing: Sequence[float] | None) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = ndimage.distance_transform_edt(~surface_pixels, sampling=spacing)
    return distances
