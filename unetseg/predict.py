"""Overlap-tile prediction, identical to whole-image prediction whatever the tile size."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unetseg.device import memory_errors, precision_context
from unetseg.errors import UserError
from unetseg.nets.contract import Net
from unetseg.tiles import Tile, TileGrid, even_grid, read_mirrored

LIVE_ACTIVATIONS = 6
"""How many of the largest activation map are alive at once, at most: input, output and work space
of the last merging convolutions, the concatenation (twice the width) and the skips still held."""


@torch.no_grad()
def predict(
    net: Net,
    image: Any,
    grid: TileGrid,
    *,
    device: torch.device,
    batch: int = 1,
    average: int = 1,
    precision: str = "float32",
    progress: Callable[[int], None] = lambda tiles: None,
) -> NDArray[np.float32]:
    """Softmax probabilities (k, *yx) float32 of an image (c, *yx), normalised as in training.

    The image is extended by mirroring and cut into the tiles of `grid` (made with the net's
    footprint); the result equals the net on the whole extended image to 1e-4. `image` may be
    anything that slices like an array. average: 1, 4 or 8 predictions of flipped (and turned)
    tiles are averaged. `progress` is called with the number of tiles just done.
    """
    net.eval()
    out = np.empty((net.classes, *grid.shape), np.float32)
    for tiles in _groups(grid, batch):
        reads = [read_mirrored(image, t.read).astype(np.float32, copy=False) for t in tiles]
        with precision_context(precision, device), memory_errors("Give a smaller --memory or --tile."):
            done = _averaged(net, torch.from_numpy(np.stack(reads)).to(device), average)
        for tile, probabilities in zip(tiles, done.cpu().numpy(), strict=True):
            out[(slice(None), *tile.write)] = probabilities[(slice(None), *tile.crop)]
        progress(len(tiles))
    return out


def choose_grid(net: Net, shape: Sequence[int], *, memory: int, side: int = 0) -> TileGrid:
    """The grid of the largest tiles that fit into `memory` bytes, or of tiles of `side` pixels.

    A given side is rounded up to the net's stride. Raises UserError where even the smallest tile
    does not fit.
    """
    foot = net.footprint
    if side > 0:
        return even_grid(shape, [-(-side // s) * s for s in foot.stride], foot)
    per_pixel = bytes_per_pixel(net)
    whole = max(-(-n // s) * s for n, s in zip(shape, foot.stride, strict=True))
    stride = max(foot.stride)
    for step in range(-(-whole // stride) * stride, 0, -stride):
        grid = even_grid(shape, [step] * len(foot.stride), foot)
        if math.prod(grid.read_shape) * per_pixel <= memory:
            return grid
    raise UserError(
        f"prediction needs {math.prod(grid.read_shape) * per_pixel / 2**20:.0f} MiB for its "
        f"smallest tile, but only {memory / 2**20:.0f} MiB are allowed. Raise --memory."
    )


def bytes_per_pixel(net: Net) -> int:
    """Estimated peak memory of a prediction per pixel of a tile's input, from the net's own layers."""
    probe = copy.deepcopy(cast(nn.Module, net)).to("meta").eval()
    size = tuple(n + 4 * s for n, s in zip(net.footprint.smallest, net.footprint.stride, strict=True))
    largest = 0

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal largest
        largest = max(largest, output.numel() if isinstance(output, Tensor) else 0)

    for module in probe.modules():
        module.register_forward_hook(note)
    with torch.no_grad():
        probe(torch.empty(1, net.channels, *size, device="meta"))
    return math.ceil(LIVE_ACTIVATIONS * 4 * largest / math.prod(size))


def _averaged(net: Net, images: Tensor, average: int) -> Tensor:
    """Probabilities averaged over the first `average` of: itself, 3 flips, and the 4 transposed."""
    total: Tensor | None = None
    for turn, flips in _symmetries(average):
        turned = images.transpose(-1, -2) if turn else images
        logits = net(turned.flip(flips))
        back = torch.softmax(logits.float(), dim=1).flip(flips)
        back = back.transpose(-1, -2) if turn else back
        total = back if total is None else total + back
    return cast(Tensor, total) / average


def _symmetries(average: int) -> list[tuple[bool, tuple[int, ...]]]:
    flips: list[tuple[int, ...]] = [(), (-1,), (-2,), (-2, -1)]
    every = [(turn, flip) for turn in (False, True) for flip in flips]
    return every[:average]


def _groups(grid: TileGrid, size: int) -> Iterator[list[Tile]]:
    group: list[Tile] = []
    for tile in grid:
        group.append(tile)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
