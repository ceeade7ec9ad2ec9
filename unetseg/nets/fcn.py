"""Fully convolutional networks on VGG16 (Long, Shelhamer, Darrell, CVPR 2015): FCN-32s, 16s and 8s."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from typing import cast

import torch
from torch import Tensor, nn

from unetseg.errors import UserError
from unetseg.nets.blocks import (
    check_options,
    common_rules,
    conv_block,
    conv_blocks,
    for_channels,
    he_normal,
    put_weight,
    short_context,
)
from unetseg.nets.contract import check_input
from unetseg.nets.footprint import Branches, Conv, Layer, Up, derive_footprint, pool
from unetseg.tiles import Footprint

VGG_BLOCKS = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))
"""Of each block before a pooling: its channels as multiples of the first's 64, and its convolutions."""
FC = 64
"""fc6 and fc7 have 64 times the first block's channels: 4096."""
SCORES = {32: 1, 16: 2, 8: 3}
"""Score layers by stride: of fc7, then of pool4, then of pool3."""
IMAGENET_CLASSIFIER = {"fc6": "classifier.0", "fc7": "classifier.3"}
"""torchvision's names of the layers that become convolutions."""
VGG16_WEIGHTS = "https://download.pytorch.org/models/vgg16-397923af.pth"


class FCN(nn.Module):
    """VGG16 with its first two dense layers as 7×7 and 1×1 convolutions, scored at one to three strides.

    The scores of every class at stride 32 are up-sampled ×2 and added to those of pool4 (FCN-16s),
    and these to those of pool3 (FCN-8s); the sum is up-sampled to the image. Up-sampling layers
    between scores begin as bilinear interpolation and are learned, the last one is bilinear and
    fixed, as in the paper (section 4.3). FCN-8s has 134.4 million learned parameters at 21 classes,
    of which fc6 has 102.8.

    Input (b, channels, y, x) float; output (b, classes, y, x). stride: 32, 16 or 8. width: channels
    of the first block; 64 is VGG16, 16 has fc layers of 1024. norm: "none" (VGG16) or "batch", to
    train from scratch. dropout: after fc6 and fc7. context: pixels that tiles read on each side, 0 =
    all that an output pixel sees; less makes tiles cheaper but no longer exact. Zero padding of half
    the kernel replaces the paper's padding of 100 pixels and cropping, so outputs lie
    where the input's pixels do.
    """

    published = VGG16_WEIGHTS

    def __init__(
        self,
        channels: int = 3,
        classes: int = 2,
        width: int = 64,
        norm: str = "none",
        dropout: float = 0.5,
        context: int = 0,
        *,
        stride: int,
    ) -> None:
        super().__init__()
        exact = fcn_footprint(stride)
        rules = [
            ("dropout", dropout, 0 <= dropout < 1, "0 to below 1"),
            ("context", context, 0 <= context <= exact.context[0], f"0 (exact) to {exact.context[0]}"),
        ]
        check_options([*common_rules(channels, classes, width, norm), *rules])
        self.channels, self.classes, self.dims = channels, classes, 2
        self.width, self.norm = width, norm
        self.footprint = replace(exact, context=(context, context)) if context else exact
        if self.footprint != exact:
            self.inexact_tiles = short_context(self.footprint, exact)
        self.blocks = nn.ModuleList(_blocks(channels, width, norm))
        self.pool = nn.MaxPool2d(2)
        fc = FC * width
        self.fc6 = nn.Sequential(*conv_block(8 * width, fc, (7, 7), padding="same", norm=norm))
        self.fc7 = nn.Sequential(*conv_block(fc, fc, (1, 1), padding="same", norm=norm))
        self.dropout = nn.Dropout(dropout)
        inputs = [fc, 8 * width, 4 * width][: SCORES[stride]]
        self.score = nn.ModuleList(nn.Conv2d(i, classes, 1) for i in inputs)
        self.apply(he_normal)
        self.refine = nn.ModuleList(_bilinear(classes, 2, learned=True) for _ in inputs[1:])
        self.last = _bilinear(classes, stride, learned=False)

    def contracting_path(self) -> list[nn.Module]:
        """The blocks before any up-sampling."""
        return [*self.blocks, self.fc6, self.fc7]

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of images whose sides are multiples of 32."""
        check_input(self, images)
        x, pools = images, []
        for block in self.blocks:
            x = self.pool(block(x))  # half of y and x at each block
            pools.append(x)
        x = self.dropout(self.fc7(self.dropout(self.fc6(x))))  # (b, 64w, y/32, x/32)
        logits: Tensor = self.score[0](x)  # (b, classes, y/32, x/32)
        for refine, score, skip in zip(self.refine, list(self.score)[1:], pools[3:1:-1], strict=False):
            logits = refine(logits) + score(skip)  # y and x doubled
        whole: Tensor = self.last(logits)  # (b, classes, y, x)
        return whole

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Load the weights of a VGG16 trained on ImageNet, named as in torchvision.

        features.N are the convolutions; classifier.0 and classifier.3, the dense layers, become fc6 and
        fc7. A net of other than three channels takes the RGB filters' sum, shared equally: see
        `for_channels`. Raises UserError if the net does not have VGG16's size or the weights are not VGG16's.
        """
        if (self.width, self.norm) != (64, "none"):
            raise UserError(
                f"VGG16's weights need net.width = 64 and net.norm = 'none'; "
                f"here they are {self.width} and {self.norm!r}."
            )
        for name, conv in self._vgg_layers():
            weight = state.get(f"{name}.weight")
            if name == "features.0" and weight is not None:
                weight = for_channels(weight, self.channels)
            if name in IMAGENET_CLASSIFIER.values() and weight is not None:
                weight = weight.reshape(len(weight), -1, *conv.kernel_size)
            put_weight(conv.weight, weight, f"{name}.weight", "torchvision's VGG16")
            bias = state.get(f"{name}.bias")
            put_weight(cast(Tensor, conv.bias), bias, f"{name}.bias", "torchvision's VGG16")

    def _vgg_layers(self) -> Iterator[tuple[str, nn.Conv2d]]:
        """The convolutions and torchvision's names of them: every layer of a block counts."""
        number = 0
        for block in self.blocks:
            for layer in cast(nn.Sequential, block):
                if isinstance(layer, nn.Conv2d):
                    yield f"features.{number}", layer
                number += 1
            number += 1  # the pooling
        for ours, theirs in IMAGENET_CLASSIFIER.items():
            yield theirs, getattr(self, ours)[0]


FCN32s, FCN16s, FCN8s = (partial(FCN, stride=stride) for stride in (32, 16, 8))


@cache
def fcn_footprint(stride: int) -> Footprint:
    """The footprint of FCN-32s, 16s or 8s on VGG16."""
    blocks = [[*[Conv(3)] * convs, pool(2)] for _, convs in VGG_BLOCKS]
    layers: list[Layer] = [*blocks[4], Conv(7)]
    for block, skips in ((blocks[3], stride <= 16), (blocks[2], stride <= 8)):
        layers = [*block, Branches([], [*layers, Up(4, 2)])] if skips else [*block, *layers]
    return derive_footprint([*blocks[0], *blocks[1], *layers, Up(2 * stride, stride)], dims=2)


def _blocks(channels: int, width: int, norm: str) -> Iterator[nn.Sequential]:
    """VGG16's convolutions before each pooling."""
    for factor, convs in VGG_BLOCKS:
        wide = factor * width
        yield conv_blocks((channels, *[wide] * convs), (3, 3), "same", norm)
        channels = wide


def _bilinear(classes: int, factor: int, *, learned: bool) -> nn.ConvTranspose2d:
    """Up-sampling by an even factor that begins as bilinear interpolation of each class by itself."""
    groups = 1 if learned else classes
    up = nn.ConvTranspose2d(
        classes, classes, 2 * factor, stride=factor, padding=factor // 2, groups=groups, bias=False
    )
    if up.weight.is_meta:  # no values to set, and torch would load its compiler for them (3 s)
        return up.requires_grad_(learned)
    line = 1 - (torch.arange(2 * factor) - factor + 0.5).abs() / factor
    with torch.no_grad():
        up.weight.zero_()
        for k in range(classes):
            up.weight[k, k if learned else 0] = line[:, None] * line
    return up.requires_grad_(learned)
