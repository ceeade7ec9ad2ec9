"""Overlapping windows, blended: the prediction of networks whose tiles do not equal the whole image.

The windows lie at multiples of half their side, counted from the image's corner, and are weighted by a
Gaussian (MONAI's sliding windows; Isensee et al., nnU-Net, Nature Methods 2021). A pixel depends on the
windows over it and on nothing else, so the blended logits can be computed tile by tile: the result does not
depend on the tiles, but it is not that of the network on the whole image.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from unetseg.nets.contract import BlendedTiles, InexactTiles, Net
from unetseg.nets.monai_parts import monai_inferers
from unetseg.tiles import Footprint

Forward = Callable[[Tensor], Tensor]
OVERLAP = 0.5


def tiling_footprint(net: Net) -> Footprint:
    """What tiles must be read with: the network's footprint, or that of its blended windows.

    Of windows that overlap by half, those over a tile of whole steps reach one step beyond it.
    """
    if not isinstance(net, BlendedTiles):
        return net.footprint
    step = (net.window // 2,) * net.dims
    return Footprint(context=step, stride=step, valid=False, phase=(0,) * net.dims)


def blended(forward: Forward, net: Net) -> Forward:
    """`forward`, or for a network of blended windows what blends its logits; images are tiles then."""
    if not isinstance(net, BlendedTiles):
        return forward
    inferers, sides = monai_inferers(), (net.window,) * net.dims

    def over_windows(images: Tensor) -> Tensor:
        logits: Tensor = inferers.sliding_window_inference(
            images, sides, 1, forward, overlap=OVERLAP, mode="gaussian"
        )
        return logits

    return over_windows


def blending_bytes(net: Net) -> int:
    """Bytes per pixel of a tile's input that blending takes: the image, the sums and their weights."""
    return 4 * (net.channels + 2 * net.classes + 1) if isinstance(net, BlendedTiles) else 0


def tile_note(net: Net) -> str:
    """What a user should know about the network's tiles; "" where they equal the whole image."""
    if not isinstance(net, InexactTiles):
        return ""
    note = f"tiles do not equal the whole image with this network ({net.inexact_tiles})"
    if isinstance(net, BlendedTiles):
        note += f": windows of {net.window} pixels that overlap by half are blended"
    return note
