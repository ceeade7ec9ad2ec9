"""The draws of a batch as tensors: one array of floats and one of integers, copied to the device at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unetseg.augment.draw import Draw

GREY = ("brightness", "contrast", "gamma", "noise", "blur", "invert")
"""The grey-value changes of a `Draw`, one number each."""


@dataclass(frozen=True)
class PackedDraws:
    """The draws of b crops on a device; the fields of `Draw` along a first axis b.

    matrix (b, d, d), centre (b, d), control (b, d, p, …, p) or None; grey (b, 6), the columns of
    `GREY`, all float32; integers (b, n) int64: the seeds of the noise, then the columns given to
    `pack`. draws: the same on the host, which decide the operations that are needed.
    """

    draws: Sequence[Draw]
    matrix: Tensor
    centre: Tensor
    control: Tensor | None
    grey: Tensor
    integers: Tensor

    def column(self, name: str, dims: int) -> Tensor:
        """A grey-value change of every crop, (b, 1, …, 1) with `dims` axes."""
        return self.grey[:, GREY.index(name)].reshape(-1, *[1] * (dims - 1))

    def between(self, start: int, stop: int) -> PackedDraws:
        """The crops start … stop − 1, without copying them."""
        control = None if self.control is None else self.control[start:stop]
        tensors = (self.matrix[start:stop], self.centre[start:stop], control)
        return PackedDraws(self.draws[start:stop], *tensors, self.grey[start:stop], self.integers[start:stop])


@dataclass(frozen=True)
class HostDraws:
    """The same on the host: floats (b, n) float32 and integers (b, n) int64, ready to be copied."""

    draws: Sequence[Draw]
    floats: NDArray[np.float32]
    integers: NDArray[np.int64]


def pack(draws: Sequence[Draw], *columns: Sequence[int]) -> HostDraws:
    """The numbers of the draws, one row each; columns: further integers for every crop."""
    floats = np.stack([np.concatenate([part.ravel() for part in _parts(d)]) for d in draws])
    return HostDraws(draws, floats, np.stack([[d.noise_seed for d in draws], *columns], 1).astype(np.int64))


def upload(host: HostDraws, device: torch.device) -> PackedDraws:
    """Copy the draws to the device in two transfers, asynchronously on CUDA."""
    floats, integers = (_copied(array, device) for array in (host.floats, host.integers))
    shapes = [part.shape for part in _parts(host.draws[0])]
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)]).tolist()
    columns = [floats[:, a:b].unflatten(1, s) for (a, b), s in zip(pairwise(ends), shapes, strict=True)]
    matrix, centre, grey, *control = columns
    return PackedDraws(host.draws, matrix, centre, control[0] if control else None, grey, integers)


def _parts(draw: Draw) -> list[NDArray[np.float32]]:
    grey = np.array([getattr(draw, name) for name in GREY])
    arrays = [draw.matrix, draw.centre, grey, *([] if draw.control is None else [draw.control])]
    return [array.astype(np.float32) for array in arrays]


def _copied(array: NDArray[np.generic], device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
