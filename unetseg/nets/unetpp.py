"""UNet++ (Zhou, Siddiquee, Tajbakhsh, Liang: DLMIA 2018 and IEEE TMI 2020)."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from unetseg.errors import UserError
from unetseg.nets.blocks import check_options, common_rules, double_conv, he_normal
from unetseg.nets.contract import check_input
from unetseg.nets.footprint import Branches, Conv, Layer, Up, derive_footprint, pool
from unetseg.tiles import Footprint

LEAST = 1e-30
"""The lowest probability whose logarithm is taken; engines flush numbers below 1.2e-38 to zero."""


class UNetPlusPlus(nn.Module):
    """Nodes X(i, j) of level i and column j, each level densely connected; padded, 2-D.

    X(i, 0) is the contracting path; X(i, j) two convolutions of all X(i, 0)…X(i, j−1) and the
    up-convolved X(i+1, j−1) (DLMIA 2018, eq. 1); a 1×1 head on X(0, j). The defaults are the
    paper's, 32, 64, 128, 256, 512 channels: 9,041,601 parameters with one channel, one sigmoid
    class and one head, as the authors' code counts them (9.04 M); here 9,041,832 with four heads
    of two softmax classes, beside 7,759,554 of a U-Net of the same width (7.76 M). Pruned to levels
    1, 2 and 3 they are 100,994, 511,138 and 2,204,994. ReLU as in the U-Net; the authors' code has
    ELU, and dropout after every convolution, which is left out.

    Input (b, channels, y, x) float. deep_supervision: heads on X(0, 1)…X(0, depth). In training
    all their logits (b, classes, y, x) are returned, in evaluation the logarithm of the heads' mean
    probability (the paper's “accurate mode”); `pruned` gives a single head's net (“fast mode”).
    Without it there is one head, on X(0, depth). norm "none" or "batch" after each convolution.
    Raises UserError for options out of range and for inputs of illegal size.
    """

    def __init__(
        self,
        channels: int = 1,
        classes: int = 2,
        width: int = 32,
        depth: int = 4,
        norm: str = "none",
        deep_supervision: bool = True,
    ) -> None:
        super().__init__()
        rules = [("depth", depth, 1 <= depth <= 6, "1 to 6")]
        check_options([*common_rules(channels, classes, width, norm), *rules])
        self.channels, self.classes, self.dims = channels, classes, 2
        self.width, self.depth, self.norm, self.deep_supervision = width, depth, norm, deep_supervision
        self.footprint = unetpp_footprint(depth)
        widths = [width * 2**level for level in range(depth + 1)]
        self.pool = nn.MaxPool2d(2)
        self.node = nn.ModuleDict()
        self.up = nn.ModuleDict()
        for i, j in _nodes(depth):
            below = (widths[i - 1] if i else channels) if j == 0 else (j + 1) * widths[i]
            self.node[f"{i}-{j}"] = double_conv(below, widths[i], "same", norm, 2)
            if j:
                self.up[f"{i}-{j}"] = nn.ConvTranspose2d(widths[i + 1], widths[i], 2, stride=2)
        columns = range(1, depth + 1) if deep_supervision else [depth]
        self.head = nn.ModuleDict({str(j): nn.Conv2d(width, classes, 1) for j in columns})
        self.apply(he_normal)

    def contracting_path(self) -> list[nn.Module]:
        """The blocks before any up-sampling."""
        return [self.node[f"{i}-0"] for i in range(self.depth + 1)]

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Logits of a batch; in training with deep supervision those of every head."""
        check_input(self, images)
        found: dict[tuple[int, int], Tensor] = {}
        for i, j in _nodes(self.depth):
            if j == 0:
                x = self.pool(found[i - 1, 0]) if i else images  # (b, w, y, x) to (b, w, y/2, x/2)
            else:
                below = self.up[f"{i}-{j}"](found[i + 1, j - 1])
                x = torch.cat([*(found[i, k] for k in range(j)), below], dim=1)  # (b, (j + 1)·w, y, x)
            found[i, j] = self.node[f"{i}-{j}"](x)  # (b, w, y, x), w the channels of level i
        logits = tuple(head(found[0, int(j)]) for j, head in self.head.items())
        if len(logits) == 1:
            return logits[0]
        return logits if self.training else _mean_probability(logits)

    def pruned(self, level: int) -> UNetPlusPlus:
        """A net with only the nodes that X(0, level) needs; its output is that of the head there.

        Raises UserError if there is no such head.
        """
        if str(level) not in self.head:
            heads = " and ".join([", ".join(list(self.head)[:-1]), str(self.depth)]).removeprefix(" and ")
            why = "" if self.deep_supervision else " (it was trained without deep supervision)"
            raise UserError(f"level {level}: this UNet++ only has a head at level {heads}{why}.")
        less = UNetPlusPlus(self.channels, self.classes, self.width, level, self.norm, deep_supervision=False)
        mine = self.state_dict()
        less.load_state_dict({key: mine[key] for key in less.state_dict()})
        return less.to(next(self.parameters()).device).train(self.training)


@cache
def unetpp_footprint(depth: int) -> Footprint:
    """The footprint of the nodes up to X(0, depth): its farthest path through them."""
    return derive_footprint(_paths(0, depth), dims=2)


def _nodes(depth: int) -> list[tuple[int, int]]:
    """(i, j) of every node, each after those it needs: by the diagonals that a deeper net adds."""
    return [(total - j, j) for total in range(depth + 1) for j in range(total + 1)]


def _paths(i: int, j: int) -> list[Layer]:
    """The layers from the image to X(i, j)."""
    block: list[Layer] = [Conv(3), Conv(3)]
    if j == 0:
        return [*_paths(i - 1, 0), pool(2), *block] if i else block
    return [Branches(*(_paths(i, k) for k in range(j)), [*_paths(i + 1, j - 1), Up(2, 2)]), *block]


def _mean_probability(logits: tuple[Tensor, ...]) -> Tensor:
    """Log of the mean of the heads' softmax: logits whose softmax is that mean."""
    mean = torch.stack([torch.softmax(x.float(), dim=1) for x in logits]).mean(0)
    return mean.clamp_min(LEAST).log()
