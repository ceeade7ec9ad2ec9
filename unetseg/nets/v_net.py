"""The V-Net (Milletari, Navab, Ahmadi, 3DV 2016, fig. 2 and table 1), from MONAI's blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from unetseg.errors import UserError
from unetseg.nets.blocks import check_options, short_context
from unetseg.nets.contract import check_input
from unetseg.nets.footprint import Branches, Conv, Layer, Up, derive_footprint
from unetseg.tiles import Footprint

STAGES = {"paper": ((1, 2, 3, 3, 3), (1, 2, 3, 3)), "monai": ((1, 1, 2, 3, 2), (1, 1, 2, 2))}
"""5×5×5 convolutions of each stage, from the full resolution down: of the left part and of the right."""


class VNet(nn.Module):
    """Residual stages of 5×5×5 convolutions, strided down- and up-convolutions, volumes only.

    Input (b, channels, z, y, x) float, sizes divisible by 2**depth (along z by less where the first
    levels are flat); output logits of the same size.

    width: channels of the first stage, doubled by each of `depth` down-convolutions (16…256);
    layers: "paper" or "monai", the convolutions of each stage; "monai" with elu and dropout 0.5 is
    MONAI's VNet layer by layer. activation: "prelu" (the paper) or "elu"; dropout: of whole feature
    maps where MONAI has it, the paper has none. flat_levels: so many of the first down-convolutions
    leave z alone, for slices thicker than pixels. context: pixels each side that prediction reads
    around a tile; 0 for all that an output pixel sees, 275 in the paper's net (its table 1: 551 in
    all), more than memory allows: with less, tiles are no longer exactly equal to the whole.

    65,179,970 parameters with one channel and two classes, of "monai" 45,597,898.

    Unlike the paper: batch norm after each convolution, a bias only where MONAI has one, the
    down-convolution is followed by an activation before it is stored for the residual sum.
    Raises UserError for options out of range, illegal sizes, and where MONAI is not installed.
    """

    def __init__(
        self,
        channels: int = 1,
        classes: int = 2,
        width: int = 16,
        depth: int = 4,
        layers: str = "paper",
        activation: str = "prelu",
        dropout: float = 0.0,
        flat_levels: int = 0,
        context: int = 0,
    ) -> None:
        super().__init__()
        _check(channels, classes, width, depth, layers, activation, dropout, flat_levels, context)
        self.channels, self.classes, self.dims = channels, classes, 3
        exact = v_net_footprint(depth, layers, flat_levels)
        near = tuple(min(n, context) for n in exact.context)
        self.footprint = replace(exact, context=near) if context else exact
        if self.footprint != exact:
            self.inexact_tiles = short_context(self.footprint, exact)
        left, right = (counts[: depth + 1] for counts in STAGES[layers])
        monai, act = _monai_blocks(), activation if activation == "prelu" else ("elu", {"inplace": True})
        self.first = monai.InputTransition(3, channels, width, act)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level in range(depth):
            deep, wide = level >= depth - 2, width * 2**level
            self.down.append(monai.DownTransition(3, wide, left[level + 1], act, dropout if deep else None))
        for level in reversed(range(depth)):
            deep, wide = level >= depth - 2, width * 2 ** (level + 1)
            ins = wide if level == depth - 1 else 2 * wide
            up = monai.UpTransition(3, ins, wide, right[level], act, (dropout if deep else None, dropout))
            self.up.append(up)
        for level in range(flat_levels):
            _make_flat(self.down[level], "down_conv")
            _make_flat(self.up[depth - 1 - level], "up_conv")
        if layers == "paper":
            self.head: nn.Module = nn.Conv3d(2 * width, classes, 1)
        else:
            self.head = monai.OutputTransition(3, 2 * width, classes, act)

    def contracting_path(self) -> list[nn.Module]:
        """The blocks before any up-sampling."""
        return [self.first, *self.down]

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of volumes of legal size (see `footprint`)."""
        check_input(self, images)
        x = self.first(images)  # (b, w, z, y, x)
        skips: list[Tensor] = []
        for down in self.down:
            skips.append(x)
            x = down(x)  # (b, w, z, y, x) to (b, 2w, z/2, y/2, x/2)
        for up in self.up:
            x = up(x, skips.pop())  # back to the skip's size, with twice its channels
        logits: Tensor = self.head(x)
        return logits


def v_net_footprint(depth: int, layers: str, flat_levels: int) -> Footprint:
    """All that an output pixel sees; residual sums and skips see no farther than what they go around."""
    left, right = STAGES[layers]
    inner: list[Layer] = [Conv(5)] * left[depth]
    for level in reversed(range(depth)):
        factor = (1 if level < flat_levels else 2, 2, 2)
        below = Branches([], [Conv(factor, factor, padded=False), *inner, Up(factor, factor)])
        inner = [*[Conv(5)] * left[level], below, *[Conv(5)] * right[level]]
    head = [Conv(5)] if layers == "monai" else []
    return derive_footprint([*inner, *head], dims=3)


def _make_flat(block: nn.Module, name: str) -> None:
    """Replace a block's 2×2×2 convolution of stride 2 by one that leaves z alone."""
    old: Any = getattr(block, name)
    kind = type(old)
    flat = (1, 2, 2)
    setattr(block, name, kind(old.in_channels, old.out_channels, flat, flat, bias=old.bias is not None))


def _monai_blocks() -> Any:
    try:
        from monai.networks.nets import vnet
    except ImportError:
        raise UserError(
            'net.name = "v-net" needs the package monai for its blocks, which is not installed: '
            "pip install monai. Or choose another network."
        ) from None
    return vnet


def _check(
    channels: int,
    classes: int,
    width: int,
    depth: int,
    layers: str,
    activation: str,
    dropout: float,
    flat_levels: int,
    context: int,
) -> None:
    check_options(
        [
            ("channels", channels, channels >= 1, "1 or more"),
            ("classes", classes, classes >= 2, "2 or more"),
            (
                "width",
                width,
                width >= 1 and width % max(channels, 1) == 0,
                f"a multiple of {channels} channels",
            ),
            ("depth", depth, 1 <= depth <= 4, "1 to 4"),
            ("layers", layers, layers in STAGES, "'paper' or 'monai'"),
            ("activation", activation, activation in ("prelu", "elu"), "'prelu' or 'elu'"),
            ("dropout", dropout, 0 <= dropout < 1, "0 to below 1"),
            ("flat_levels", flat_levels, 0 <= flat_levels <= depth, f"0 to depth ({depth})"),
            ("context", context, context >= 0, "0 or more"),
        ]
    )
