"""How many tiles are computed at once on a GPU: one is computed as a probe, and the others must fit."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from unetseg.device import free_memory
from unetseg.inference.engines import InferenceNet

USED = 0.8
"""Of the free memory, at most: what is computed at once is not laid out without gaps."""


def fitting_batch(net: InferenceNet, tile: Sequence[int], *, most: int) -> int:
    """Tiles (c, *yx) computed at once, `most` at most: a power of two, or 1 where no GPU computes.

    A power of two changes seldom with what else uses the GPU.
    """
    if net.device.type != "cuda":
        return 1
    needed = probed_bytes(net, tile)
    fits = min(most, int(USED * free_memory(net.device) / max(needed, 1)))
    return 1 << max(fits, 1).bit_length() - 1


def probed_bytes(net: InferenceNet, tile: Sequence[int]) -> int:
    """Bytes that a tile took on the GPU at most, its own and its logits' among them."""
    torch.cuda.reset_peak_memory_stats(net.device)
    before = torch.cuda.memory_allocated(net.device)
    net(torch.zeros(1, *tile, device=net.device))
    return torch.cuda.max_memory_allocated(net.device) - before
