"""A U-Net of dilated residual blocks, after DRUNET (Devalla et al., Biomed. Opt. Express 2018), 2-D.

Residual blocks of dilated convolutions see far at few pooling steps and with few weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unetseg.nets.blocks import check_options, common_rules, he_normal
from unetseg.nets.contract import check_input
from unetseg.nets.footprint import Branches, Conv, Layer, Up, derive_footprint, pool


class DilatedUNet(nn.Module):
    """A U-Net of residual blocks with dilated convolutions and the same width at every level.

    Input (b, channels, y, x) float, output (b, classes, y, x).

    width: channels of every level; depth: 2× max-poolings; the convolutions of level n (0 at full
    resolution) are dilated by 2ⁿ. norm "none" or "batch" after each convolution. Weights are drawn as in
    `UNet`. Raises UserError for options out of range and for inputs of illegal size.
    """

    def __init__(
        self, channels: int = 1, classes: int = 2, width: int = 32, depth: int = 2, norm: str = "batch"
    ) -> None:
        super().__init__()
        rules = [("depth", depth, 1 <= depth <= 5, "1 to 5")]
        check_options([*common_rules(channels, classes, width, norm), *rules])
        self.channels, self.classes, self.dims = channels, classes, 2
        self.footprint = derive_footprint(_layers(depth), dims=2)
        rates = [2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(ResidualBlock(width if r > 1 else channels, width, r, norm) for r in rates)
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(nn.ConvTranspose2d(width, width, 2, stride=2) for _ in rates[1:])
        self.merge = nn.ModuleList(ResidualBlock(2 * width, width, r, norm) for r in rates[-2::-1])
        self.head = nn.Conv2d(width, classes, 1)
        self.apply(he_normal)

    def contracting_path(self) -> list[nn.Module]:
        """The blocks before any up-sampling."""
        return list(self.down)

    def forward(self, images: Tensor) -> Tensor:
        """Output of a batch of images of legal size (see `footprint`)."""
        check_input(self, images)
        x, skips = self.down[0](images), []  # (b, w, y, x)
        for block in list(self.down)[1:]:
            skips.append(x)
            x = block(self.pool(x))  # (b, w, y, x) to (b, w, y/2, x/2)
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([skips.pop(), up(x)], dim=1))  # (b, w, y/2, x/2) to (b, w, y, x)
        return self.head(x)  # (b, classes, y, x)


class ResidualBlock(nn.Module):
    """Two dilated 3×3 convolutions, added to a 1×1 convolution of their input (He 2016)."""

    def __init__(self, i: int, o: int, rate: int, norm: str) -> None:
        super().__init__()
        self.first, self.second = (
            nn.Conv2d(n, o, 3, padding=rate, dilation=rate, bias=norm == "none") for n in (i, o)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) if norm == "batch" else nn.Identity() for _ in range(2))
        self.shortcut = nn.Conv2d(i, o, 1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(b, i, y, x) to (b, o, y, x)."""
        y = self.relu(self.norms[0](self.first(x)))
        y = self.norms[1](self.second(y))
        return self.relu(y + self.shortcut(x))


def _layers(depth: int) -> list[Layer]:
    """The layers whose footprint is that of the network."""
    layers: list[Layer] = _block(2**depth)
    for level in range(depth - 1, -1, -1):
        layers = [*_block(2**level), Branches([], [pool(2), *layers, Up(2, 2)]), *_block(2**level)]
    return layers


def _block(rate: int) -> list[Layer]:
    return [Branches([], [Conv(3, dilation=rate)] * 2)]
