"""Images as layers of napari, and layers as arrays for the network: axes, and the size of a pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images import LazyImage
from unetseg.images.scale import UM, Scale

EDITABLE_BYTES = 2**28
LayerData = tuple[Any, dict[str, Any], str]
"""What napari makes a layer of: data, keyword arguments, and the type of the layer."""


class LazyArray:
    """The planes of an image as one array (*axes, c, y, x), or (*axes, y, x) of a single channel.

    It slices like a numpy array and reads only the planes that are asked for.
    """

    def __init__(self, image: LazyImage) -> None:
        self.image, self.axes = image, tuple(image.axes.values())
        self.single = image.shape[0] == 1
        self.shape = (*self.axes, *(image.shape[1:] if self.single else image.shape))
        self.dtype, self.ndim = image.dtype, len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, region: Any) -> NDArray[Any]:
        """The pixels of a region, in memory; each index is an integer or a slice."""
        given = region if isinstance(region, tuple) else (region,)
        if Ellipsis in given:
            at = given.index(Ellipsis)
            missing = self.ndim - len(given) + 1
            given = (*given[:at], *[slice(None)] * missing, *given[at + 1 :])
        indices = (*given, *[slice(None)] * (self.ndim - len(given)))
        outer, inner = indices[: len(self.axes)], indices[len(self.axes) :]
        inner = (0, *inner) if self.single else inner
        numbers = np.arange(len(self.image.planes)).reshape(self.axes)[outer]
        planes = [np.asarray(self.image.plane(int(n))[inner]) for n in np.ravel(numbers)]
        return np.stack(planes).reshape(*np.shape(numbers), *planes[0].shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)


def image_layer(levels: Sequence[LazyImage], name: str, kind: str) -> LayerData:
    """A layer of an image and its smaller copies, if it has any; kind: "image" or "labels".

    Pixels are read when they are shown. Labels of up to EDITABLE_BYTES are read at once, so that they can be
    edited.
    """
    pyramid = [LazyArray(level) for level in levels]
    full, image = pyramid[0], levels[0]
    arguments = {"name": name, **scale_arguments(image.scale, tuple(image.axes), full.ndim)}
    if kind == "labels" and math.prod(full.shape) * full.dtype.itemsize <= EDITABLE_BYTES:
        return np.asarray(full), arguments, kind
    if len(pyramid) == 1:
        return full, arguments, kind
    return pyramid, {**arguments, "multiscale": True}, kind


def scale_arguments(scale: Scale, axes: Sequence[str], ndim: int) -> dict[str, Any]:
    """The arguments of a layer (*axes, …, y, x): the names of its axes, and its pixel size if it is known."""
    names = [*axes, *["c"] * (ndim - len(axes) - 2), "y", "x"]
    if scale.yx_um is None:
        return {"axis_labels": names}
    y, x = scale.yx_um
    known = {
        "z": (scale.z_um, "micrometer"),
        "t": (scale.frame_s, "second"),
        "y": (y, "micrometer"),
        "x": (x, "micrometer"),
    }
    steps = [known.get(axis, (None, "pixel")) for axis in names]
    return {
        "axis_labels": names,
        "scale": [size or 1.0 for size, _ in steps],
        "units": [unit if size else "pixel" for size, unit in steps],
    }


def spacing_of(
    scale: Sequence[float], units: Sequence[Any] | None, dims: int = 2
) -> tuple[float, ...] | None:
    """The pixel size in µm of a layer along its last `dims` axes; None where a unit is no length."""
    factors = [UM.get(str(unit)) for unit in list(units or [])[-dims:]]
    if len(factors) < dims or None in factors:
        return None
    return tuple(float(s) * float(f or 1) for s, f in zip(list(scale)[-dims:], factors, strict=True))


def channel_axis(shape: tuple[int, ...], channels: int, *, rgb: bool) -> int | None:
    """Which axis of a layer holds the channels of a network; None for a network of one."""
    if rgb:
        if channels != shape[-1]:
            raise UserError(
                f"The layer has {shape[-1]} colours and the model takes {channels} channel"
                f"{'s' if channels > 1 else ''}. Right click the layer > Split RGB, and choose one."
            )
        return len(shape) - 1
    if channels == 1:
        return None
    fitting = [axis for axis in range(len(shape) - 2) if shape[axis] == channels]
    if not fitting:
        raise UserError(
            f"The layer is {'×'.join(map(str, shape))}: no axis of {channels} channels, as the model needs. "
            "Choose all channel layers, right click > Merge to Stack."
        )
    return fitting[-1]


def full_size(layer: Any) -> Any:
    """The data of a layer, of a pyramid its full size."""
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data
