"""An image at another pixel size, computed for the requested region, the same whatever the region."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.images.lazy import LazyImage, fingerprint

TOLERANCE = 0.1
"""Pixel sizes that differ by less than this fraction count as equal."""


@dataclass(frozen=True)
class Axis:
    """One axis resampled from `size` to `new` pixels, each `step` old pixels wide.

    Where pixels grow (step > 1) a new one is the mean of the old pixels under it, weighted by their overlap;
    where they shrink it is interpolated linearly between centres, the edge repeated.
    """

    size: int
    step: float

    @property
    def new(self) -> int:
        """The number of new pixels."""
        return max(1, round(self.size / self.step))

    def taps(self, wanted: slice) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Old pixels (n, taps) and their weights for the new pixels `wanted`, by absolute place."""
        centre = (np.arange(wanted.start, wanted.stop) + 0.5) * self.step
        half = max(self.step, 1.0) / 2
        first = np.floor(centre - half).astype(np.intp)
        index = first[:, None] + np.arange(math.ceil(max(self.step, 1.0)) + 1)
        if self.step >= 1:
            weight = np.minimum(index + 1, (centre + half)[:, None]) - np.maximum(
                index, (centre - half)[:, None]
            )
        else:
            weight = 1 - np.abs(index + 0.5 - centre[:, None])
        weight = np.maximum(weight, 0)
        weight /= weight.sum(1, keepdims=True)
        return index.clip(0, self.size - 1), weight.astype(np.float32)


def pixel_size_note(image: tuple[float, ...] | None, trained: tuple[float, ...] | None) -> str | None:
    """The note for an image whose pixel size (*yx, µm) differs from that of the training images."""
    if image is None or trained is None:
        return None
    ratio = math.prod(trained[-2:]) ** 0.5 / math.prod(image[-2:]) ** 0.5
    if abs(math.log(ratio)) <= math.log(1 + TOLERANCE):
        return _slice_note(image, trained)
    more = "larger" if ratio > 1 else "smaller"
    return (
        f"the network was trained at {trained[-1]:.4g} µm per pixel, the image has {image[-1]:.4g}: objects "
        f"look {max(ratio, 1 / ratio):.2g} times {more} to it. Rescale it to the training's pixel size."
    )


def _slice_note(image: tuple[float, ...], trained: tuple[float, ...]) -> str | None:
    """The note where the slices of volumes are at other distances."""
    volumes = len(image) == len(trained) == 3
    if not volumes or abs(math.log(image[0] / trained[0])) <= math.log(1 + TOLERANCE):
        return None
    return (
        f"the network was trained on slices {trained[0]:.4g} µm apart, the image's are {image[0]:.4g} apart. "
        "Resample it along z to the training's distance."
    )


def rescaled(image: LazyImage, factors: tuple[float, float]) -> LazyImage:
    """The image resized by `factors` (y, x), 0.5 for half as many pixels; float32, computed as it is read."""
    y_axis, x_axis = (Axis(n, 1 / f) for n, f in zip(image.shape[1:], factors, strict=True))
    size = image.spacing_um
    chunks = tuple(max(1, round(c / a.step)) for c, a in zip(image.chunks, (y_axis, x_axis), strict=True))
    return replace(
        image,
        shape=(image.shape[0], y_axis.new, x_axis.new),
        dtype=np.dtype(np.float32),
        scale=replace(
            image.scale, yx_um=None if size is None else (size[0] * y_axis.step, size[1] * x_axis.step)
        ),
        chunks=(chunks[0], chunks[1]),
        identity=fingerprint(image.path, [], image.identity, factors),
        read=Resampled(image, y_axis, x_axis),
    )


def nearest(image: LazyImage, yx: tuple[int, int]) -> LazyImage:
    """The image at `yx` pixels, each the nearest old one, read region by region."""
    if image.shape[1:] == yx:
        return image
    return replace(image, shape=(image.shape[0], *yx), read=Nearest(image, yx))


def nearest_index(wanted: slice, new: int, old: int) -> NDArray[np.intp]:
    """The nearest of `old` pixels for the pixels `wanted` of `new` along an axis.

    >>> nearest_index(slice(0, 6), 6, 3).tolist(), nearest_index(slice(0, 2), 2, 6).tolist()
    ([0, 0, 1, 1, 2, 2], [1, 4])
    """
    return ((2 * np.arange(wanted.start, wanted.stop) + 1) * old // (2 * new)).astype(np.intp)


def nearest_resized(maps: NDArray[Any], yx: tuple[int, ...]) -> NDArray[Any]:
    """An array (…, y, x) at `yx` pixels, each the nearest old one.

    >>> nearest_resized(np.array([[1, 2]]), (2, 4)).tolist()
    [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    old = maps.shape[-2:]
    if old == tuple(yx):
        return maps
    rows, columns = (nearest_index(slice(0, n), n, size) for n, size in zip(yx, old, strict=True))
    resized: NDArray[Any] = maps[..., rows[:, None], columns]
    return resized


@dataclass(frozen=True)
class Nearest:
    """Reads of an image at another size, by its nearest pixels."""

    image: LazyImage
    yx: tuple[int, int]

    def __call__(self, plane: int, channels: Sequence[int], y: slice, x: slice) -> NDArray[Any]:
        """Read the old pixels that the new ones come from."""
        rows, columns = (
            nearest_index(s, n, old) for s, n, old in zip((y, x), self.yx, self.image.shape[1:], strict=True)
        )
        hull = [slice(int(i.min()), int(i.max()) + 1) for i in (rows, columns)]
        pixels = self.image.read(plane, channels, hull[0], hull[1])
        return pixels[:, (rows - hull[0].start)[:, None], columns - hull[1].start]


@dataclass(frozen=True)
class Resampled:
    """Reads of an image resampled along both axes."""

    image: LazyImage
    y_axis: Axis
    x_axis: Axis

    def __call__(self, plane: int, channels: Sequence[int], y: slice, x: slice) -> NDArray[Any]:
        """Read the old pixels under the new ones."""
        rows, columns = self.y_axis.taps(y), self.x_axis.taps(x)
        (y0, y1), (x0, x1) = ((int(i.min()), int(i.max()) + 1) for i, _ in (rows, columns))
        pixels = self.image.read(plane, channels, slice(y0, y1), slice(x0, x1)).astype(np.float32)
        down = _weighted(pixels, rows[0] - y0, rows[1], axis=1)
        return _weighted(down, columns[0] - x0, columns[1], axis=2)


def _weighted(
    pixels: NDArray[np.float32], index: NDArray[np.intp], weight: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    """Sum of taps in their order, so that a pixel's value does not depend on its neighbours'."""
    shape = [1, 1, 1]
    shape[axis] = len(index)
    total = pixels.take(index[:, 0], axis) * weight[:, 0].reshape(shape)
    for tap in range(1, index.shape[1]):
        total += pixels.take(index[:, tap], axis) * weight[:, tap].reshape(shape)
    return total
