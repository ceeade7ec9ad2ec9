"""SegResNet (Myronenko, BrainLes 2018, without the autoencoder), MONAI's, for images and volumes."""

from __future__ import annotations

from torch import Tensor, nn

from unetseg.nets.blocks import WINDOWS_ASKED, blended_side, check_options
from unetseg.nets.contract import check_input
from unetseg.nets.footprint import Branches, Conv, Layer, Up, derive_footprint
from unetseg.nets.monai_parts import monai_nets
from unetseg.tiles import Footprint

DOWN, UP = (1, 2, 2, 4), (1, 1, 1)
"""Residual blocks of each level of the contracting path and of the expanding one."""
GROUPS = 8
GROUP = "group norm averages over all that the network is given"


class SegResNet(nn.Module):
    """Residual blocks with the norm before each convolution, four levels, skip connections added.

    Input (b, channels, *yx) float, yx of 2 or 3 axes, sides divisible by 8; output logits of the same size.

    width: channels of the first level, doubled at each of three strided convolutions; norm: "group" of 8
    groups (the paper), with which tiles are not exact, or "batch", with which they are. window: side of
    blended windows, 0 for exact tiles, or for 256 where there are none. Raises UserError for options out of
    range, illegal sizes, and where MONAI is not installed.
    """

    def __init__(
        self,
        channels: int = 1,
        classes: int = 2,
        width: int = 32,
        norm: str = "group",
        dropout: float = 0.0,
        dims: int = 2,
        window: int = 0,
    ) -> None:
        super().__init__()
        groups = GROUPS if norm == "group" else 1
        check_options(
            [
                ("channels", channels, channels >= 1, "1 or more"),
                ("classes", classes, classes >= 2, "2 or more"),
                ("norm", norm, norm in ("group", "batch"), "'group' or 'batch'"),
                ("width", width, width >= 1 and width % groups == 0, f"a multiple of {groups}"),
                ("dropout", dropout, 0 <= dropout < 1, "0 to below 1"),
                ("dims", dims, dims in (2, 3), "2 or 3"),
            ]
        )
        self.channels, self.classes, self.dims = channels, classes, dims
        self.footprint = seg_res_net_footprint(dims)
        if norm == "group" or window:
            self.inexact_tiles = GROUP if norm == "group" else WINDOWS_ASKED
            self.window = blended_side(window, self.footprint)
        self.net = monai_nets().SegResNet(
            spatial_dims=dims,
            init_filters=width,
            in_channels=channels,
            out_channels=classes,
            dropout_prob=dropout or None,
            norm=("group", {"num_groups": GROUPS}) if norm == "group" else "batch",
            blocks_down=DOWN,
            blocks_up=UP,
        )

    def contracting_path(self) -> list[nn.Module]:
        """The convolutions before any up-sampling."""
        return [self.net.convInit, *self.net.down_layers]

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of images of legal size (see `footprint`)."""
        check_input(self, images)
        logits: Tensor = self.net(images)
        return logits


def seg_res_net_footprint(dims: int) -> Footprint:
    """What the convolutions and the linear up-sampling see; averages over the whole image are left out."""
    pair = [Conv(3), Conv(3)]
    inner: list[Layer] = []
    for down, up in zip(DOWN[:0:-1], UP, strict=True):
        inner = [Branches([], [Conv(3, 2), *pair * down, *inner, Up(4, 2)]), *pair * up]
    return derive_footprint([Conv(3), *pair * DOWN[0], *inner], dims=dims)
