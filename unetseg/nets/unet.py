"""The U-Net (Ronneberger, Fischer, Brox, MICCAI 2015, fig. 1), 2-D and 3-D."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from unetseg.nets.blocks import (
    CONV,
    POOL,
    UP_CONV,
    Residual,
    check_options,
    common_rules,
    crop_to,
    double_conv,
    he_normal,
)
from unetseg.nets.contract import check_input
from unetseg.nets.footprint import Branches, Conv, Layer, Up, derive_footprint, pool
from unetseg.tiles import Footprint


class UNet(nn.Module):
    """The paper's network; its defaults are the paper's: 31,030,658 parameters, 572² → 388².

    Input (b, channels, *yx) float, yx of 2 or 3 axes; output logits (b, classes, *yx_out).

    width: channels of the first level, doubled at each of `depth` 2× max-poolings (64…1024);
    padding "valid" crops the skips as in the paper, "same" keeps the size by zero padding;
    norm "none" (the paper) or "batch" after each convolution; dropout: probability at the end of
    the contracting path, after its last two levels as in the authors' Caffe model; dims 2 or 3;
    residual: each pair of convolutions is a residual block (the paper has none).
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
        residual: bool = False,
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
        block: Callable[..., nn.Module] = Residual if residual else double_conv
        widths = [width * 2**level for level in range(depth + 1)]
        ins = [channels, *widths[:-1]]
        self.down = nn.ModuleList(block(i, o, padding, norm, dims) for i, o in zip(ins, widths, strict=True))
        self.dropped = [depth - 1, depth]
        self.dropout = nn.Dropout(dropout)
        self.pool = POOL[dims](2)
        self.up = nn.ModuleList(UP_CONV[dims](2 * w, w, 2, stride=2) for w in widths[-2::-1])
        self.merge = nn.ModuleList(block(2 * w, w, padding, norm, dims) for w in widths[-2::-1])
        self.head = CONV[dims](width, classes, 1)
        self.apply(he_normal)

    def contracting_path(self) -> list[nn.Module]:
        """The blocks before any up-sampling."""
        return list(self.down)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of images of legal size (see `footprint`)."""
        check_input(self, images)
        x, skips = images, []
        for level, block in enumerate(self.down):
            if level > 0:
                skips.append(x)
                x = self.pool(x)  # (b, w, y, x) to (b, w, y/2, x/2)
            x = block(x)  # (b, 2w, y/2, x/2); a valid net loses 4 pixels an axis in every block
            x = self.dropout(x) if level in self.dropped else x
        for up, merge in zip(self.up, self.merge, strict=True):
            x = up(x)  # (b, 2w, y/2, x/2) to (b, w, y, x)
            x = torch.cat([crop_to(skips.pop(), x.shape[2:]), x], dim=1)  # (b, 2w, y, x)
            x = merge(x)  # (b, w, y, x)
        logits: Tensor = self.head(x)  # (b, classes, y, x)
        return logits


def unet_footprint(depth: int, *, valid: bool, dims: int = 2, convs: int = 2) -> Footprint:
    """Footprint of a U-Net of `convs` 3×3 convolutions a level and `depth` 2×2 poolings."""
    block = [Conv(3, padded=not valid)] * convs
    layers: list[Layer] = [*block]
    for _ in range(depth):
        layers = [*block, Branches([], [pool(2), *layers, Up(2, 2)]), *block]
    return derive_footprint(layers, dims=dims, valid=valid)
