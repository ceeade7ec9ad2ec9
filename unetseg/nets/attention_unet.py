"""The Attention U-Net (Oktay et al., MIDL 2018, fig. 1), MONAI's, for images and volumes."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from unetseg.nets.blocks import NORM, WINDOWS_ASKED, blended_side, check_options
from unetseg.nets.contract import check_input
from unetseg.nets.footprint import Branches, Conv, Layer, Up, derive_footprint
from unetseg.nets.monai_parts import monai_nets
from unetseg.tiles import Footprint

MERGE_NORMS = ("batch", "instance")
INSTANCE = "instance norm averages over all that the network is given"


class AttentionUNet(nn.Module):
    """A U-Net whose skip connections are weighted by gates: one number a pixel, from 1×1 convolutions.

    Input (b, channels, *yx) float, yx of 2 or 3 axes, sides divisible by 2**depth; output logits of the
    same size.

    width: channels of the first level, doubled at each of `depth` strided convolutions; norm: of the
    convolution after each skip connection, "batch" as everywhere else in the network, with which tiles are
    exact, or "instance" as MONAI has it, with which they are not. window: side of blended windows, 0 for
    exact tiles, or for 256 where there are none. Raises UserError for options out of range, illegal sizes,
    and where MONAI is not installed.
    """

    def __init__(
        self,
        channels: int = 1,
        classes: int = 2,
        width: int = 64,
        depth: int = 4,
        norm: str = "batch",
        dropout: float = 0.0,
        dims: int = 2,
        window: int = 0,
    ) -> None:
        super().__init__()
        check_options(
            [
                ("channels", channels, channels >= 1, "1 or more"),
                ("classes", classes, classes >= 2, "2 or more"),
                ("width", width, width >= 2, "2 or more"),
                ("depth", depth, 1 <= depth <= 8, "1 to 8"),
                ("norm", norm, norm in MERGE_NORMS, "'batch' or 'instance'"),
                ("dropout", dropout, 0 <= dropout < 1, "0 to below 1"),
                ("dims", dims, dims in (2, 3), "2 or 3"),
            ]
        )
        self.channels, self.classes, self.dims = channels, classes, dims
        self.footprint = attention_footprint(depth, dims)
        if norm == "instance" or window:
            self.inexact_tiles = INSTANCE if norm == "instance" else WINDOWS_ASKED
            self.window = blended_side(window, self.footprint)
        widths = [width * 2**level for level in range(depth + 1)]
        self.net = monai_nets().AttentionUnet(dims, channels, classes, widths, [2] * depth, dropout=dropout)
        if norm == "batch":
            _with_batch_norm(self.net, dims)

    def contracting_path(self) -> list[nn.Module]:
        """The convolutions before any up-sampling."""
        head, below, _ = self.net.model
        path = [head]
        while hasattr(below, "submodule"):
            inner = below.submodule
            deeper = isinstance(inner, nn.Sequential)
            path.append(inner[0] if deeper else inner)
            below = inner[1] if deeper else inner
        return path

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of images of legal size (see `footprint`)."""
        check_input(self, images)
        logits: Tensor = self.net(images)
        return logits


def attention_footprint(depth: int, dims: int) -> Footprint:
    """What the convolutions see; gates see no farther than the skip connections and what is below."""
    block = [Conv(3), Conv(3)]
    inner: list[Layer] = []
    for _ in range(depth):
        inner = [Branches([], [Conv(3, 2), Conv(3), *inner, Up(3, 2, cut=1)]), Conv(3)]
    return derive_footprint([*block, *inner], dims=dims)


def _with_batch_norm(net: nn.Module, dims: int) -> None:
    """Replace every instance norm by a batch norm."""
    for module in net.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.InstanceNorm2d | nn.InstanceNorm3d):
                norm: Any = NORM[dims]
                setattr(module, name, norm(child.num_features))
