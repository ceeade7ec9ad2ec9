"""The U-Net (Ronneberger, Fischer, Brox, MICCAI 2015, fig. 1), 2-D and 3-D."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from unetseg.nets.blocks import (
    CONV,
    POOL,
    UP_CONV,
    check_options,
    common_rules,
    crop_to,
    double_conv,
    he_normal,
)
from unetseg.nets.contract import Ranges, check_input, region
from unetseg.nets.footprint import Branches, Conv, Layer, Up, derive_footprint, pool
from unetseg.nets.joined import Joined
from unetseg.nets.rows import Cut, by_rows
from unetseg.tiles import Footprint

CONVS = 2
"""3×3 convolutions in a block."""


class UNet(nn.Module):
    """The paper's network; its defaults are the paper's: 31,030,658 parameters, 572² → 388².

    Input (b, channels, *yx) float, yx of 2 or 3 axes; output logits (b, classes, *yx_out).

    width: channels of the first level, doubled at each of `depth` 2× max-poolings (64…1024);
    padding "valid" crops the skips as in the paper, "same" keeps the size by zero padding;
    norm "none" (the paper) or "batch" after each convolution; dropout: probability at the end of
    the contracting path, after its last two levels as in the authors' Caffe model; dims 2 or 3.
    Weights are drawn from N(0, 2/N), N the incoming nodes of a neuron (He 2015, section 3).
    Raises UserError for options out of range and for inputs of illegal size.
    """

    def __init__(
        self,
        channels: int = 1,
        classes: int = 2,
        width: int = 64,
        depth: int = 4,
        padding: str = "valid",
        norm: str = "none",
        dropout: float = 0.5,
        dims: int = 2,
    ) -> None:
        super().__init__()
        rules = [
            ("depth", depth, 1 <= depth <= 8, "1 to 8"),
            ("padding", padding, padding in ("valid", "same"), "'valid' or 'same'"),
            ("dropout", dropout, 0 <= dropout < 1, "0 to below 1"),
            ("dims", dims, dims in (2, 3), "2 or 3"),
        ]
        check_options([*common_rules(channels, classes, width, norm), *rules])
        self.channels, self.classes, self.dims = channels, classes, dims
        self.footprint = unet_footprint(depth, valid=padding == "valid", dims=dims)
        widths = [width * 2**level for level in range(depth + 1)]
        ins = [channels, *widths[:-1]]
        self.down = nn.ModuleList(
            double_conv(i, o, padding, norm, dims) for i, o in zip(ins, widths, strict=True)
        )
        self.dropped = [depth - 1, depth]
        self.dropout = nn.Dropout(dropout)
        self.pool = POOL[dims](2)
        self.up = nn.ModuleList(UP_CONV[dims](2 * w, w, 2, stride=2) for w in widths[-2::-1])
        self.merge = nn.ModuleList(double_conv(2 * w, w, padding, norm, dims) for w in widths[-2::-1])
        self.head = CONV[dims](width, classes, 1)
        self.joined = nn.ModuleList()
        self.apply(he_normal)

    def contracting_path(self) -> list[nn.Module]:
        """The blocks before any up-sampling."""
        return list(self.down)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of images of legal size (see `footprint`)."""
        if self.joined:
            return self.part(images, [(0, n) for n in images.shape[2:]])
        *skips, x = self._contracted(images)
        for up, merge in zip(self.up, self.merge, strict=True):
            x = up(x)
            x = merge(torch.cat([crop_to(skips.pop(), x.shape[2:]), x], dim=1))
        logits: Tensor = self.head(x)
        return logits

    def part(self, images: Tensor, keep: Ranges) -> Tensor:
        """The part `keep`, (start, stop) per axis, of the logits of images, for prediction (no dropout).

        In a padded net each level computes only what that part sees, in blocks of rows. The rim of a
        block, where the convolutions have zeros beside it instead of the map, is cut off.
        """
        if self.footprint.valid:
            return region(self(images), keep)
        check_input(self, images)
        sizes = [[n >> level for n in images.shape[2:]] for level in range(len(self.down))]
        wanted = [keep]
        for size in sizes[:-1]:
            wanted.append(_below(wanted[-1], size))
        skips = self._contracted_parts(images, sizes, wanted.pop())
        cut = skips.pop()
        rests = [nn.Sequential(*list(merge.children())[1:]) for merge in self.merge]
        rests[-1] = nn.Sequential(rests[-1], self.head)
        for joined, rest in zip(self.joined or self._joined(), rests, strict=True):
            cut = by_rows(partial(_level_up, joined, rest, cut, skips.pop(), sizes[len(skips)]), wanted.pop())
        return cut.maps

    def join(self) -> None:
        """Have a padded net hold the layers that `part` joins in place of those that they are made of.

        To be called when the weights change no more.
        """
        if not self.footprint.valid and not self.joined:
            self.joined = nn.ModuleList(self._joined())
            self.up = nn.ModuleList()
            for merge in self.merge:
                setattr(merge, "0", nn.Identity())

    def _joined(self) -> list[Joined]:
        """The up-convolutions, each with the convolution after it."""
        firsts = (next(merge.children()) for merge in self.merge)
        return [Joined(up, first) for up, first in zip(self.up, firsts, strict=True)]

    def _contracted_parts(self, images: Tensor, sizes: Sequence[Sequence[int]], lowest: Ranges) -> list[Cut]:
        """What the part `lowest` of the lowest level sees of every level, of those `sizes`, and itself."""
        owns = [lowest]
        for size in sizes[:0:-1]:
            owns.insert(0, _doubled(_widened(owns[0], size)))
        first = partial(_level_down, self.down[0], Cut(images, [0] * self.dims).region, sizes[0])
        cuts = [by_rows(first, owns[0])]
        for block, size, own in zip(self.down[1:], sizes[1:], owns[1:], strict=True):
            cuts.append(by_rows(partial(_level_down, block, partial(_pooled, cuts[-1]), size), own))
        return cuts

    def _contracted(self, images: Tensor) -> list[Tensor]:
        """The maps of all levels at the end of their blocks, the highest first."""
        check_input(self, images)
        maps = [images]
        for level, block in enumerate(self.down):
            x = block(maps[-1] if level == 0 else self.pool(maps[-1]))
            maps.append(self.dropout(x) if level in self.dropped else x)
        return maps[1:]


def _level_down(
    block: nn.Module, entering: Callable[[Ranges], Tensor], size: Sequence[int], own: Ranges
) -> Tensor:
    """The region `own` of a contracting level of `size`, from regions of what enters its block."""
    seen = _widened(own, size)
    return Cut(block(entering(seen)), [a for a, _ in seen]).region(own)


def _pooled(above: Cut, ranges: Ranges) -> Tensor:
    """A region of a level's 2×2 max-pooling: by maxima of two, which is faster than by windows."""
    maps = above.region(_doubled(ranges))
    for axis in range(2, maps.ndim):
        maps = torch.maximum(*maps.unflatten(axis, (-1, 2)).unbind(axis + 1))
    return maps


def _level_up(
    joined: nn.Module, rest: nn.Module, below: Cut, skip: Cut, size: Sequence[int], own: Ranges
) -> Tensor:
    """The region `own` of an expanding level of `size`, from the level below and the skip."""
    seen = _below(own, size)
    doubled = _doubled(seen)
    ends = [(a == 0, b == n) for (a, b), n in zip(doubled, size, strict=True)]
    maps = rest(joined(skip.region(doubled), below.region(seen), ends))
    return Cut(maps, [a for a, _ in doubled]).region(own)


def _doubled(below: Ranges) -> Ranges:
    """A region of a level, in the pixels of the level above."""
    return [(2 * a, 2 * b) for a, b in below]


def _below(own: Ranges, size: Sequence[int]) -> Ranges:
    """What a region of an expanding level sees of the level below."""
    return [(a // 2, -(-b // 2)) for a, b in _widened(own, size)]


def _widened(own: Ranges, size: Sequence[int]) -> Ranges:
    """What a region sees through a block, in a map of `size`."""
    return [(max(a - CONVS, 0), min(b + CONVS, n)) for (a, b), n in zip(own, size, strict=True)]


def unet_footprint(depth: int, *, valid: bool, dims: int = 2, convs: int = 2) -> Footprint:
    """Footprint of a U-Net of `convs` 3×3 convolutions a level and `depth` 2×2 poolings."""
    block = [Conv(3, padded=not valid)] * convs
    layers: list[Layer] = [*block]
    for _ in range(depth):
        layers = [*block, Branches([], [pool(2), *layers, Up(2, 2)]), *block]
    return derive_footprint(layers, dims=dims, valid=valid)
