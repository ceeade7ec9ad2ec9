"""Tiles to the device and results back: one copy each way for a group of tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Arriving = Callable[[], NDArray[Any]]
"""Waits until a result is in the computer's memory, and gives it."""
INPUTS = 2
"""Pinned buffers of tiles: one is filled while the other is copied to the device."""


class Transfer(Protocol):
    """Copies to a device and back."""

    def upload(self, tiles: Sequence[NDArray[np.float32]]) -> Tensor:
        """Tiles (c, *yx) of one shape as a batch (b, c, *yx) on the device."""

    def download(self, found: Tensor) -> Arriving:
        """A result on the device, on its way to the computer's memory."""


def transfer_to(device: torch.device, *, alive: int) -> Transfer:
    """The way to a device and back. alive: results that are wanted at the same time, at most."""
    return Streams(device, alive) if device.type == "cuda" else Direct(device)


class Direct:
    """Copies that are complete when the call returns: for processors, and for Apple's GPUs, which share
    the computer's memory.
    """  # fmt: skip

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def upload(self, tiles: Sequence[NDArray[np.float32]]) -> Tensor:
        """See `Transfer`."""
        return torch.from_numpy(np.stack(tiles)).to(self.device)

    def download(self, found: Tensor) -> Arriving:
        """See `Transfer`."""
        return found.cpu().numpy


class Streams:
    """CUDA: a group is uploaded and another downloaded while a third is computed.

    Each way has a stream of its own, and pinned buffers that are used in turn. A result is valid until
    `alive` later ones have been asked for; uploads wait for nothing but a free buffer.
    """

    def __init__(self, device: torch.device, alive: int) -> None:
        self.device = device
        self.up, self.down = torch.cuda.Stream(device), torch.cuda.Stream(device)
        self.inputs = cycle([_Pinned() for _ in range(INPUTS)])
        self.outputs = cycle([_Pinned() for _ in range(alive)])

    def upload(self, tiles: Sequence[NDArray[np.float32]]) -> Tensor:
        """See `Transfer`; the stream that computes waits for the copy, the caller does not."""
        buffer = next(self.inputs)
        host = buffer.shaped((len(tiles), *tiles[0].shape), torch.float32)
        np.stack(tiles, out=host.numpy())
        computing = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self.up):
            images = torch.empty(host.shape, device=self.device).copy_(host, non_blocking=True)
        buffer.copied.record(self.up)
        computing.wait_event(buffer.copied)
        images.record_stream(computing)  # its memory is not given away before the network has read it
        return images

    def download(self, found: Tensor) -> Arriving:
        """See `Transfer`."""
        buffer, found = next(self.outputs), found.contiguous()
        host = buffer.shaped(found.shape, found.dtype)
        self.down.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.down):
            host.copy_(found, non_blocking=True)
        buffer.copied.record(self.down)
        found.record_stream(self.down)

        def arrived() -> NDArray[Any]:
            buffer.copied.synchronize()
            return host.numpy()

        return arrived


class _Pinned:
    """Memory that the device copies from and to by itself; as much as the largest tensor so far took."""

    def __init__(self) -> None:
        self.memory = torch.empty(0, dtype=torch.uint8)
        self.copied = torch.cuda.Event()

    def shaped(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor in it, when the last copy has been made."""
        self.copied.synchronize()
        size = math.prod(shape) * dtype.itemsize
        if size > len(self.memory):
            self.memory = pinned(size)
        return self.memory[:size].view(dtype).view(*shape)


def pinned(size: int) -> Tensor:
    """So many bytes of pinned memory."""
    return torch.empty(size, dtype=torch.uint8, pin_memory=True)
