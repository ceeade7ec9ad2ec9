"""What label detection is based on, measured once in every label image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label

from unetseg.tasks.label_planes import label_plane, one_channel
from unetseg.tasks.soft_masks import soft_mask_range

FEW = 8
"""Up to so many values may be classes; more are objects, unless most are in several pieces."""
COUNTED = 2**16
CRUMB = 0.1
"""Pieces below this share of the largest one of their value are crumbs and do not count."""
GREY_PIECES = 3
"""Pieces per value above which values in pieces are grey values, not labels."""
TINY_PX = 4
"""Pieces of fewer pixels are tiny."""
MOST_TINY = 0.2
"""Share of the labelled pixels in tiny pieces above which many values are grey values."""
MANY = 50
NET_DISC = 0.05
"""In a net, the largest disc that fits in covers less than this share of it."""


@dataclass(frozen=True)
class LabelStatistics:
    """What one label image (y, x), or label volume (z, y, x), shows of the meaning of its values.

    values: those of labelled pixels. components: edge-connected pieces of one value. in_pieces: values
    in several pieces. in_contact: values that touch another. enclosed: values that lie inside another.
    soft: lowest and highest value of a mask with grey edges. grey: its values look like grey values.
    net: the foreground is one thin, branched structure. colours: values are packed RGB colours.
    labelled: whether there is any object, slice by slice.
    """

    values: frozenset[int]
    components: int
    name: str = field(default="", compare=False)
    in_pieces: int = 0
    in_contact: int = 0
    enclosed: int = 0
    soft: tuple[float, float] | None = None
    grey: bool = False
    net: bool = False
    colours: bool = False
    labelled: tuple[bool, ...] = ()


def label_statistics(pixels: NDArray[Any], not_annotated: Sequence[int], name: str) -> LabelStatistics:
    """The statistics of label pixels (c, *yx); raises UserError for pixels that are not labels."""
    raw, colours = one_channel(pixels, name)
    if raw.dtype.kind == "f" and (soft := soft_mask_range(raw)) and (raw != np.round(raw)).any():
        return _of_soft_mask(raw, frozenset({max(int(soft[1]), 1)}), soft, name)
    plane = label_plane(pixels, name)
    kept = np.where(np.isin(plane, list(not_annotated)), 0, plane) if not_annotated else plane
    values = frozenset(v for v in _values(plane) if v != 0 and v not in not_annotated)
    areas = np.bincount(label(kept, connectivity=1).ravel())[1:]
    if len(values) > 1 and _many_tiny(areas) and not colours and (soft := soft_mask_range(kept)):
        return _of_soft_mask(kept, values, soft, name)
    in_pieces = _in_pieces(kept)
    contact, enclosed = _neighbourhood(kept, values)
    return LabelStatistics(
        values,
        len(areas),
        name,
        in_pieces=in_pieces,
        in_contact=contact,
        enclosed=enclosed,
        grey=_are_grey(values, areas, in_pieces),
        net=len(values) == 1 and _is_net(kept > 0),
        colours=colours,
        labelled=_labelled(kept != 0),
    )


def _of_soft_mask(
    plane: NDArray[Any], values: frozenset[int], soft: tuple[float, float], name: str
) -> LabelStatistics:
    mask = plane > sum(soft) / 2
    count = int(ndimage.label(mask)[1])
    return LabelStatistics(values, count, name, soft=soft, net=_is_net(mask), labelled=_labelled(mask))


def _many_tiny(areas: NDArray[np.int64]) -> bool:
    """Whether there are many pieces and most of them tiny, as along grey edges."""
    return len(areas) >= MANY and bool(np.median(areas) < TINY_PX)


def _are_grey(values: frozenset[int], areas: NDArray[np.int64], in_pieces: int) -> bool:
    """Whether the pieces of many values are as small, or as many, as in an image."""
    if len(values) <= FEW or not _many_tiny(areas):
        return False
    scattered = in_pieces > len(values) / 2 and len(areas) > GREY_PIECES * len(values)
    return scattered or bool(areas[areas < TINY_PX].sum() > MOST_TINY * areas.sum())


def _in_pieces(plane: NDArray[np.int64]) -> int:
    """How many values are in several pieces; corners count as connected, crumbs do not count."""
    pieces, count = label(plane, connectivity=plane.ndim, return_num=True)
    if not count:
        return 0
    areas = np.bincount(pieces.ravel())[1:]
    firsts = np.zeros(count + 1, np.int64)
    firsts[pieces.ravel()] = plane.ravel()
    ids = np.unique(firsts[1:], return_inverse=True)[1]
    largest = np.zeros(ids.max() + 1, np.int64)
    np.maximum.at(largest, ids, areas)
    return int((np.bincount(ids, weights=areas >= CRUMB * largest[ids]) > 1).sum())


def _neighbourhood(plane: NDArray[np.int64], values: frozenset[int]) -> tuple[int, int]:
    """How many values touch another one, and how many lie completely inside another one, if they are few."""
    if not 1 < len(values) <= FEW:
        return 0, 0
    beside = {v: _beside(plane, v) for v in values}
    edge = _edge_values(plane)
    enclosed = [v for v in values if v not in edge and len(beside[v]) == 1 and 0 not in beside[v]]
    return sum(bool(b - {0}) for b in beside.values()), len(enclosed)


def _beside(plane: NDArray[np.int64], value: int) -> set[int]:
    """The values, 0 among them, of the pixels that share an edge with one of `value`."""
    inside = plane == value
    ring = ndimage.binary_dilation(inside) & ~inside
    return set(np.unique(plane[ring]).tolist())


def _edge_values(plane: NDArray[np.int64]) -> set[int]:
    """The values at the image's edge."""
    faces = [np.take(plane, [0, -1], axis) for axis in range(plane.ndim)]
    return set(np.unique(np.concatenate([f.ravel() for f in faces])).tolist())


def _is_net(mask: NDArray[np.bool_]) -> bool:
    """Whether most of a foreground (*yx) is one thin structure across the image: vessels or membranes."""
    pieces, count = label(mask, connectivity=mask.ndim, return_num=True)
    if not count or mask.ndim != 2:
        return False
    areas = np.bincount(pieces.ravel())[1:]
    largest = pieces == 1 + areas.argmax()
    spans = [np.ptp(np.flatnonzero(largest.any(axis))) + 1 for axis in (1, 0)]
    if areas.max() < mask.sum() / 2 or any(2 * s < n for s, n in zip(spans, mask.shape, strict=True)):
        return False
    radius = float(ndimage.distance_transform_edt(largest).max())
    return bool(np.pi * radius**2 < NET_DISC * areas.max())


def _labelled(mask: NDArray[np.bool_]) -> tuple[bool, ...]:
    slices = mask if mask.ndim == 3 else mask[None]
    return tuple(bool(s.any()) for s in slices)


def _values(plane: NDArray[np.int64]) -> list[int]:
    """The values that occur, each once; small ones are counted, which is faster than sorting them."""
    if plane.size and plane.min() >= 0 and plane.max() < COUNTED:
        return np.flatnonzero(np.bincount(plane.ravel())).tolist()
    return np.unique(plane).tolist()
