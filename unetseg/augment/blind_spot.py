"""Blind spots: training to restore images without clean ones (Noise2Void; Krull, Buchholz, Jug, CVPR 2019).

Where noise is independent from pixel to pixel, a network that must predict a pixel from its neighbours alone
cannot predict its noise and learns its signal. So the value of some pixels is replaced by a neighbour's, and
the loss compares the prediction there with the value that was replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from unetseg.batches import Batch

CELL, RADIUS = 8, 2
"""One blind spot in a cell of so many pixels a side (1.6 % of an image); neighbours lie within the radius."""


def with_blind_spots(batch: Batch, seed: int) -> Batch:
    """The batch with blind spots in its images; target: the images without; weight: 0 outside the spots.

    A pure function of batch and seed. No blind spot is a neighbour of another, so the images do not depend on
    the value of any pixel that the loss counts. The weights have mean 1: the loss is the mean over the spots.
    """
    draws = torch.Generator().manual_seed(seed)
    shape, out = batch.images.shape[2:], batch.weight.shape[1:]
    spots = torch.stack([blind_spots(shape, draws) for _ in batch.images])
    neighbours = _neighbours(batch.images, draws)
    hidden = spots.to(batch.images.device)
    images = torch.where(hidden.unsqueeze(1), neighbours, batch.images)
    weight = _centre(hidden, out).float()
    weight = weight * (weight.numel() / weight.sum().clamp_min(1))
    return Batch(images, _centre(batch.images, out).contiguous(), weight)


def blind_spots(shape: Sequence[int], draws: torch.Generator) -> Tensor:
    """Where an image of `shape` (*yx) has blind spots, (*yx) bool on the CPU: one in every cell of a grid.

    The grid is moved at random, and so are the spots in their cells, but no spot is within RADIUS of another.
    """
    counts = [-(-n // CELL) + 1 for n in shape]
    cells = torch.cartesian_prod(*[torch.arange(n) for n in counts]).reshape(-1, len(shape))
    within = torch.randint(0, CELL - RADIUS, cells.shape, generator=draws)
    moved = torch.randint(0, CELL, (1, len(shape)), generator=draws)
    places = CELL * cells + within - moved
    inside = ((places >= 0) & (places < torch.tensor(shape))).all(1)
    spots = torch.zeros(tuple(shape), dtype=torch.bool)
    spots[tuple(places[inside].T)] = True
    return spots


def _neighbours(images: Tensor, draws: torch.Generator) -> Tensor:
    """For each pixel of images (b, c, *yx) a neighbour drawn from the square around it, never itself."""
    dims = images.ndim - 2
    steps = [step for step in product(range(-RADIUS, RADIUS + 1), repeat=dims) if any(step)]
    chosen = torch.randint(0, len(steps), images.shape[:1] + images.shape[2:], generator=draws)
    offsets = torch.tensor(steps)[chosen]  # (b, *yx, d)
    index = [torch.arange(len(images)).reshape(-1, *[1] * dims)]
    for axis, n in enumerate(images.shape[2:]):
        line = torch.arange(n).reshape(1, *[-1 if a == axis else 1 for a in range(dims)])
        moved = line + offsets[..., axis]
        inside = (moved >= 0) & (moved < n)
        index.append(torch.where(inside, moved, line - offsets[..., axis]))  # at the edge the other way
    b, *yx = (i.to(images.device) for i in index)
    return images.movedim(1, -1)[(b, *yx)].movedim(-1, 1)


def _centre(images: Tensor, size: Sequence[int]) -> Tensor:
    """The middle of images (…, *yx), as much as the network's output shows."""
    for axis, n in zip(range(images.ndim - len(size), images.ndim), size, strict=True):
        images = images.narrow(axis, (images.shape[axis] - n) // 2, n)
    return images
