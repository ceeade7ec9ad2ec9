"""B-spline elastic deformation: from a few control points to a dense, smooth displacement field.

The U-Net paper (section 3.1) draws displacement vectors on a coarse 3×3 grid from a Gaussian of
10 pixels standard deviation and interpolates them bicubically. The control points lie on a
regular grid whose corners are the crop's corners, and a cubic spline passes through them
(mirrored at the ends), exactly as in the package elasticdeform (van Tulder). The field is linear
in the control points, so one small matrix per axis and one product compute it, batched, on any
device.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor


@cache
def spline_matrix(points: int, size: int) -> NDArray[np.float64]:
    """(size, points): values at `size` pixels of the cubic spline through `points` values.

    Row i holds the weights of the control points for pixel i; every row sums to 1.
    """
    places = np.linspace(0, points - 1, size)[None]
    unit = np.eye(points)
    return np.stack([map_coordinates(u, places, order=3, mode="mirror") for u in unit], axis=1)


def dense_displacement(control: Tensor, shape: Sequence[int]) -> Tensor:
    """Displacements (b, d, *shape) in pixels from control-point displacements (b, d, p, …, p)."""
    field = control
    for axis, (points, size) in enumerate(zip(control.shape[2:], shape, strict=True), start=2):
        weights = _weights(points, size, field.dtype, field.device)
        field = torch.movedim(torch.movedim(field, axis, -1) @ weights.T, -1, axis)
    return field


@lru_cache(64)
def _weights(points: int, size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`spline_matrix` on a device, copied once."""
    return torch.from_numpy(spline_matrix(points, size)).to(device, dtype)
