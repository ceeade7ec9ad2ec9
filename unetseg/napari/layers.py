"""Layers of napari and images of ours: which axes are which, and what size a pixel has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError

LayerData = tuple[Any, dict[str, Any], str]
"""What napari makes a layer of: data, keyword arguments, and the type of the layer."""


@dataclass(frozen=True)
class Pages:
    """The pages of a layer's data: each (c, y, x), or (c, z, y, x) for a network of volumes.

    data: (…, *yx) anything that slices like an array; channel_axis: the axis of the channels, None where
    there is one; dims: 2 or 3 axes a page.
    """

    data: Any
    channel_axis: int | None
    dims: int

    @property
    def leading(self) -> tuple[int, ...]:
        """Lengths of the axes that the pages run over."""
        shape = list(self.data.shape)
        if self.channel_axis is not None:
            del shape[self.channel_axis]
        return tuple(shape[: -self.dims])

    @property
    def size(self) -> tuple[int, ...]:
        """The size of a page, *yx."""
        shape = list(self.data.shape)
        if self.channel_axis is not None:
            del shape[self.channel_axis]
        return tuple(shape[-self.dims :])

    def __len__(self) -> int:
        return int(np.prod(self.leading))

    def __getitem__(self, number: int) -> NDArray[Any]:
        """The page with the number, in memory."""
        place: list[int | slice] = [int(i) for i in np.unravel_index(number, self.leading)] if self.leading else []
        place += [slice(None)] * self.dims
        if self.channel_axis is None:
            return np.asarray(self.data[tuple(place)])[None]
        place.insert(self.channel_axis, slice(None))
        page = np.asarray(self.data[tuple(place)])
        dropped = sum(isinstance(p, int) for p in place[: self.channel_axis])
        return np.moveaxis(page, self.channel_axis - dropped, 0)

    def index(self, number: int) -> tuple[int, ...]:
        """Where a page's labels are in an array (*leading, *yx)."""
        return tuple(int(i) for i in np.unravel_index(number, self.leading)) if self.leading else ()


def pages_of(data: Any, *, rgb: bool, channels: int, dims: int) -> Pages:
    """The pages of an image layer for a network of `channels` channels and `dims` axes.

    With RGB the last axis holds the channels; otherwise, for a network of several channels, the axis of that
    length nearest to the page's own axes. Raises UserError where there is none.
    """
    ndim = len(data.shape)
    if rgb:
        if channels not in (3, 4):
            raise UserError(f"the layer is RGB and the model takes {channels} channel. Split the channels first.")
        return Pages(data, ndim - 1, dims)
    if ndim < dims + (channels > 1):
        raise UserError(f"the layer has {ndim} axes; the model needs {dims + (channels > 1)}.")
    if channels == 1:
        return Pages(data, None, dims)
    fitting = [axis for axis in range(ndim - dims) if data.shape[axis] == channels]
    if not fitting:
        raise UserError(
            f"the layer has the axes {tuple(data.shape)}, none of {channels} channels, which the model takes. "
            "Stack the channels into one layer (right click > Merge to stack)."
        )
    return Pages(data, fitting[-1], dims)


def spacing_of(scale: Sequence[float], units: Sequence[Any], dims: int = 2) -> tuple[float, ...] | None:
    """The pixel size in µm of a layer along its last axes; None where its units are pixels.

    units: one a axis, as text or pint units ("micrometer", "nm", …).
    """
    per = [IN_UM.get(str(unit)) for unit in units[-dims:]]
    if any(factor is None for factor in per):
        return None
    return tuple(float(s) * float(f or 1) for s, f in zip(scale[-dims:], per, strict=True))


IN_UM = {
    "micrometer": 1.0, "micron": 1.0, "um": 1.0, "µm": 1.0, "nanometer": 1e-3, "nm": 1e-3, "millimeter": 1e3,
    "mm": 1e3, "meter": 1e6, "m": 1e6,
}  # fmt: skip
"""Micrometres in a unit of length."""


def scale_arguments(spacing_um: Sequence[float] | None, ndim: int) -> dict[str, Any]:
    """The arguments of a layer of `ndim` axes whose last ones have this pixel size."""
    if spacing_um is None:
        return {}
    known = list(spacing_um)[-ndim:]
    before = ndim - len(known)
    return {"scale": [1.0] * before + known, "units": ["pixel"] * before + ["micrometer"] * len(known)}
