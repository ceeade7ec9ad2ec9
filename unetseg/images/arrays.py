"""Arrays in memory or elsewhere (numpy, Zarr, Dask) as images that are read region by region."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.lazy import LazyImage, plane_names
from unetseg.images.scale import Scale

SAMPLES = 16
"""Places along each axis whose pixels distinguish arrays."""


def array_image(array: Any) -> LazyImage:
    """An image of one plane, (y, x) or (c, y, x), from anything that slices like an array."""
    shape = tuple(int(n) for n in array.shape)
    if len(shape) not in (2, 3) or 0 in shape:
        raise UserError(f"an image of shape {shape}: give (y, x) or (c, y, x), one plane at a time.")

    def read(plane: int, channels: Sequence[int], y: slice, x: slice) -> NDArray[Any]:
        if len(shape) == 2:
            return np.asarray(array[y, x])[None]
        return np.stack([np.asarray(array[c, y, x]) for c in channels])

    full = (1, *shape[-2:]) if len(shape) == 2 else (shape[0], shape[1], shape[2])
    chunk = getattr(array, "chunks", None)
    chunks = (int(chunk[-2]), int(chunk[-1])) if chunk and isinstance(chunk[-1], int) else full[1:]
    image = LazyImage(
        path=Path("array"),
        planes=("",),
        axes={},
        shape=full,
        dtype=np.dtype(array.dtype),
        scale=Scale(),
        chunks=chunks,
        identity="",
        read=read,
    )
    return replace(image, identity=_identity(image, shape))


def array_stack(array: Any, channel_axis: int | None = None, scale: Scale | None = None) -> LazyImage:
    """An image of many planes from an array (…, y, x) that slices like numpy; planes run over the other axes.

    channel_axis: the axis of the channels, None of a single one; it may be the last one, as in RGB.
    """
    shape = tuple(int(n) for n in array.shape)
    axis = None if channel_axis is None else channel_axis % len(shape)
    others = [i for i in range(len(shape)) if i != axis]
    if len(others) < 2 or 0 in shape:
        raise UserError(f"an image of shape {shape}: give (…, y, x).")
    outer, lengths = others[:-2], tuple(shape[i] for i in others[:-2])
    y_axis, x_axis = others[-2:]

    def read(plane: int, channels: Sequence[int], y: slice, x: slice) -> NDArray[Any]:
        index: list[Any] = [slice(None)] * len(shape)
        for i, at in zip(outer, np.unravel_index(plane, lengths) if lengths else (), strict=True):
            index[i] = int(at)
        index[y_axis], index[x_axis] = y, x
        pixels = np.asarray(array[tuple(index)])
        if axis is None:
            return pixels[None]
        place = sum(i not in outer for i in range(axis))
        return np.moveaxis(pixels, place, 0)[list(channels)]

    axes = dict(zip("tzvw"[: len(lengths)] if len(lengths) < 5 else "", lengths, strict=True))
    full = (1 if axis is None else shape[axis], shape[y_axis], shape[x_axis])
    image = LazyImage(
        path=Path("array"),
        planes=plane_names(axes) if axes else ("",),
        axes=axes,
        shape=full,
        dtype=np.dtype(array.dtype),
        scale=scale or Scale(),
        chunks=full[1:],
        identity="",
        read=read,
    )
    return replace(image, identity=_identity(image, shape))


def _identity(image: LazyImage, shape: tuple[int, ...]) -> str:
    """A short text that changes with the array's shape, its dtype, or some pixels of the outer planes."""
    found = hashlib.sha256(repr((shape, str(image.dtype))).encode())
    channels, rows, columns = image.shape
    for plane in sorted({0, len(image.planes) - 1}):
        for y in np.linspace(0, rows - 1, SAMPLES).astype(int):
            row = image.read(plane, range(channels), slice(int(y), int(y) + 1), slice(0, columns))
            found.update(np.ascontiguousarray(row[..., :: max(1, columns // 1024)]).tobytes())
    return found.hexdigest()[:16]
