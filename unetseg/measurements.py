"""Measurements of labelled objects, one row each, in pixels and, if the pixel size is known, in µm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from skimage.measure import regionprops_table

WINDOW = 2048
"""Side in pixels of the regions in which a large image is measured."""
MAJOR, MINOR = "axis_major_length", "axis_minor_length"
SHAPES = ("area", "bbox", "centroid", MAJOR, MINOR)
PLANAR = ("perimeter", "eccentricity", "orientation", "solidity")
"""What skimage measures of an object in a plane, but not in a volume."""
INTENSITIES = {"mean": "intensity_mean", "min": "intensity_min", "max": "intensity_max"}
AXES = "zyx"
Columns = dict[str, NDArray[Any]]
Box = list[tuple[int, int]]


def measure_objects(
    labels: Any, image: Any = None, *, spacing_um: Sequence[float] | None = None, window: int = WINDOW
) -> Columns:
    """A column for each measurement, a row for each object, in the order of the ids.

    labels: (y, x) or (z, y, x) object ids, 0 background; image: (c, *yx) grey values of any real dtype or
    None. Both may be anything that slices like an array: they are read window by window, so an image of any
    size is measured in little memory, with the same values. spacing_um: pixel size in µm per axis.
    Columns in pixels (`area_px`, in volumes `volume_px`) are always there, those in µm (`area_um2`,
    `volume_um3`) with `spacing_um`, those of grey values (`mean_c1`, `min_c1`, `max_c1`, `sum_c1`, …) with an
    image. Angles are in degrees from the x axis, counter-clockwise; axis lengths are those of the ellipse
    with the object's second moments. Definitions: skimage.measure.regionprops.
    """
    groups = list(object_groups(labels, window)) or [
        ObjectGroup([], tuple(slice(0, 1) for _ in labels.shape))
    ]
    parts = [_measured(labels, image, spacing_um, group) for group in groups]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(columns["id"])
    return {name: values[order] for name, values in columns.items()}


@dataclass(frozen=True)
class ObjectGroup:
    """The ids of some objects, and the smallest region that holds them all."""

    ids: list[int]
    region: tuple[slice, ...]

    def dense(self, labels: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The region with these objects as 1…n, all else as 0, and the id of each."""
        part = np.asarray(labels[self.region]).astype(np.int64)
        return _dense(np.where(np.isin(part, self.ids), part, 0))


def object_groups(labels: Any, window: int = WINDOW) -> Iterator[ObjectGroup]:
    """The objects that begin in each window in turn, so that an image is never held as a whole.

    labels: (y, x) or (z, y, x) object ids, 0 background, anything that slices like an array.
    """
    boxes = object_boxes(labels, window)
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, box in boxes.items():
        groups.setdefault(tuple(start // window for start, _ in box[-2:]), []).append(number)
    for ids in groups.values():
        axes = zip(*(boxes[number] for number in ids), strict=True)
        yield ObjectGroup(
            ids, tuple(slice(min(a for a, _ in axis), max(b for _, b in axis)) for axis in axes)
        )


def object_boxes(labels: Any, window: int = WINDOW) -> dict[int, Box]:
    """The (start, stop) of every object along every axis, by its id."""
    boxes: dict[int, Box] = {}
    for region in windows(labels.shape, window):
        dense, ids = _dense(np.asarray(labels[region]).astype(np.int64))
        for number, box in zip(ids.tolist(), find_objects(dense), strict=True):
            here = [(b.start + r.start, b.stop + r.start) for b, r in zip(box, region, strict=True)]
            pairs = zip(here, boxes.get(number, here), strict=True)
            boxes[number] = [(min(a, c), max(b, d)) for (a, b), (c, d) in pairs]
    return boxes


def windows(shape: Sequence[int], side: int) -> Iterator[tuple[slice, ...]]:
    """Regions of at most `side` pixels along y and x that cover an image, in reading order."""
    *depth, height, width = shape
    for y in range(0, height, side):
        for x in range(0, width, side):
            ends = slice(y, min(y + side, height)), slice(x, min(x + side, width))
            yield (*(slice(0, n) for n in depth), *ends)


def _measured(labels: Any, image: Any, spacing_um: Sequence[float] | None, group: ObjectGroup) -> Columns:
    """The columns of some objects, from the smallest region that holds them all."""
    dense, there = group.dense(labels)
    origin = [s.start for s in group.region]
    columns = {"id": there} | _in_pixels(dense, labels.shape, origin)
    if spacing_um is not None:
        columns |= _in_um(dense, columns, [float(s) for s in spacing_um], origin)
    if image is not None:
        columns |= _grey(dense, np.moveaxis(np.asarray(image[(slice(None), *group.region)]), 0, -1))
    return columns


def _in_pixels(dense: NDArray[np.int64], shape: Sequence[int], origin: Sequence[int]) -> Columns:
    """Columns of the objects of a region that begins at `origin` of an image of `shape`."""
    planar = dense.ndim == 2
    found = regionprops_table(dense, properties=[*SHAPES, *(PLANAR if planar else ())])
    columns: Columns = {
        f"{name}_px": found[f"centroid-{axis}"] + origin[axis]
        for axis, name in enumerate(AXES[-dense.ndim :])
    }
    columns["area_px" if planar else "volume_px"] = found["area"].astype(np.int64)
    columns["major_axis_px"], columns["minor_axis_px"] = found[MAJOR], found[MINOR]
    if planar:
        columns["solidity"] = found["solidity"]
        columns["perimeter_px"], columns["eccentricity"] = found["perimeter"], found["eccentricity"]
        columns["orientation_deg"] = (np.rad2deg(found["orientation"]) + 90) % 180
    return columns | _boxes(found, shape, origin)


def _dense(part: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The labels renumbered 1…n, and the ids."""
    ids, dense = np.unique(part, return_inverse=True)
    there = ids != 0
    return dense.reshape(part.shape) + (0 if (~there).any() else 1), ids[there]


def _boxes(found: Columns, shape: Sequence[int], origin: Sequence[int]) -> Columns:
    """First pixel and the one after the last along each axis, and whether the object touches the border."""
    columns: Columns = {}
    touches = np.zeros(len(found["area"]), bool)
    for axis, name in enumerate(AXES[-len(shape) :]):
        start, stop = (found[f"bbox-{axis + side * len(shape)}"] + origin[axis] for side in (0, 1))
        columns[f"{name}_start_px"], columns[f"{name}_stop_px"] = start, stop
        touches |= (start == 0) | (stop == shape[axis])
    return {**columns, "touches_border": touches}


def _in_um(
    dense: NDArray[np.int64], in_pixels: Columns, spacing: Sequence[float], origin: Sequence[int]
) -> Columns:
    """Columns in µm: those in pixels times the pixel size if it is the same along all axes, else measured."""
    if len(set(spacing)) == 1:
        return _multiplied(in_pixels, spacing[0], dense.ndim)
    wanted = ["area", "centroid", MAJOR, MINOR]  # a perimeter is only defined for square pixels
    found = regionprops_table(dense, properties=wanted, spacing=tuple(spacing))
    columns: Columns = {
        f"{name}_um": found[f"centroid-{axis}"] + origin[axis] * spacing[axis]
        for axis, name in enumerate(AXES[-dense.ndim :])
    }
    columns["area_um2" if dense.ndim == 2 else "volume_um3"] = found["area"]
    columns["major_axis_um"], columns["minor_axis_um"] = found[MAJOR], found[MINOR]
    return columns


def _multiplied(in_pixels: Columns, size: float, dims: int) -> Columns:
    area = {"area_um2": "area_px"} if dims == 2 else {"volume_um3": "volume_px"}
    lengths = [*AXES[-dims:], *(["perimeter"] if dims == 2 else []), "major_axis", "minor_axis"]
    columns = {f"{name}_um": in_pixels[f"{name}_px"] * size for name in lengths[:dims]}
    columns |= {um: in_pixels[px] * size**dims for um, px in area.items()}
    return columns | {f"{name}_um": in_pixels[f"{name}_px"] * size for name in lengths[dims:]}


def _grey(dense: NDArray[np.int64], grey: NDArray[Any]) -> Columns:
    """Mean, lowest, highest and summed grey value of every channel; grey (*yx, c)."""
    found = regionprops_table(dense, grey.astype(np.float64), properties=("area", *INTENSITIES.values()))
    columns: Columns = {}
    for channel in range(grey.shape[-1]):
        number = f"c{channel + 1}"
        columns |= {f"{name}_{number}": found[f"{key}-{channel}"] for name, key in INTENSITIES.items()}
        columns[f"sum_{number}"] = columns[f"mean_{number}"] * found["area"]
    return columns
