"""Arrays in memory or elsewhere (numpy, Zarr, Dask) as images that are read region by region."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.lazy import LazyImage
from unetseg.images.scale import Scale

SAMPLES = 16
"""Places along each axis whose pixels distinguish arrays."""


def array_image(array: Any) -> LazyImage:
    """An image of one plane from anything with shape and dtype that slices to arrays, (y, x) or (c, y, x)."""
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
    return LazyImage(
        path=Path("array"),
        planes=("",),
        axes={},
        shape=full,
        dtype=np.dtype(array.dtype),
        scale=Scale(),
        chunks=chunks,
        identity=_identity(array, shape),
        read=read,
    )


def _identity(array: Any, shape: tuple[int, ...]) -> str:
    """A short text that changes with the shape, the dtype, or some of the pixels."""
    found = hashlib.sha256(repr((shape, str(array.dtype))).encode())
    for y in np.linspace(0, shape[-2] - 1, SAMPLES).astype(int):
        row = np.asarray(array[..., int(y) : int(y) + 1, :])
        found.update(np.ascontiguousarray(row[..., :: max(1, shape[-1] // 1024)]).tobytes())
    return found.hexdigest()[:16]
