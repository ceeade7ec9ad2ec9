"""U-Nets whose contracting path is an image classifier, with the expanding path of MONAI's FlexibleUNet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from unetseg.errors import UserError
from unetseg.nets.blocks import WINDOWS_ASKED, blended_side, check_options, for_channels, put_weight
from unetseg.nets.contract import check_input
from unetseg.nets.encoders import ENCODERS, Encoder
from unetseg.nets.footprint import Branches, Conv, Layer, Up, derive_footprint
from unetseg.nets.monai_parts import up_and_merge
from unetseg.tiles import Footprint

DECODER = (256, 128, 64, 32, 16)
"""Channels of the expanding path as in FlexibleUNet, the smallest maps first."""


class EncoderUNet(nn.Module):
    """A U-Net on a known encoder (see `encoders.ENCODERS`), images only.

    Input (b, channels, y, x) float, sides divisible by 32 (by 16 for VGG); output logits of the same size.

    width: a multiple of the published channels; below 1 for small machines, and 1 for ImageNet weights.
    window: 0 for exact tiles, which read all that an output pixel sees; else the side of windows that
    overlap by half and are blended, about as large as a training crop. 0 means 256 for EfficientNet-B0,
    which has no exact tiles, and for DenseNet-121, where they would read 1,115 pixels on each side.
    Raises UserError for options out of range, illegal sizes, and where MONAI is not installed.
    """

    def __init__(
        self, channels: int = 1, classes: int = 2, width: float = 1.0, window: int = 0, *, encoder: str
    ) -> None:
        super().__init__()
        check_options(
            [
                ("channels", channels, channels >= 1, "1 or more"),
                ("classes", classes, classes >= 2, "2 or more"),
                ("width", width, 1 / 16 <= width <= 4, "1/16 to 4"),
            ]
        )
        known = ENCODERS[encoder]
        self.channels, self.classes, self.dims = channels, classes, 2
        self.footprint = encoder_footprint(known)
        if known.inexact or window:
            self.inexact_tiles = known.inexact or WINDOWS_ASKED
            self.window = blended_side(window, self.footprint)
        self.known, self.width, self.published = known, width, known.published
        encoder_net: Any = known.build(channels, width)
        self.encoder: nn.Module = encoder_net
        outputs = [max(int(n * width), 4) for n in DECODER]
        self.decoder = _expanding_path(encoder_net.widths, outputs, halved=_halved(known))
        self.head = nn.Conv2d(outputs[len(self.decoder) - 1], classes, 3, padding=1)

    def contracting_path(self) -> list[nn.Module]:
        """The encoder."""
        return [self.encoder]

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Load the weights of the encoder trained on ImageNet, named as in the files that are shared.

        The classifying layers are left out; the first layer is brought to the image's channels
        (`for_channels`). Raises UserError for a net of another width, and for a tensor that is missing or
        of another shape.
        """
        if self.width != 1:
            raise UserError(f"ImageNet weights need net.width = 1; here it is {self.width:g}.")
        named = {_present_name(name): tensor for name, tensor in state.items()}
        for name, ours in self.encoder.state_dict().items():
            theirs = self.known.theirs(name)
            values = named.get(theirs)
            if values is None and name.endswith("num_batches_tracked"):
                continue  # which old files lack
            if name == self.known.first and values is not None and values.ndim == ours.ndim:
                values = for_channels(values, self.channels)
            put_weight(ours, values, theirs, self.known.source)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of images of legal size (see `footprint`)."""
        check_input(self, images)
        *skips, x = self.encoder(images)  # (b, w, y/2, x/2) … (b, 16w, y/32, x/32)
        for block in self.decoder:
            x = block(x, skips.pop() if skips else None)  # y and x doubled
        logits: Tensor = self.head(x)  # (b, classes, y, x)
        return logits


def encoder_footprint(known: Encoder) -> Footprint:
    """What the convolutions of a U-Net on an encoder see; averages over the whole image are left out."""
    convs = [Conv(3), Conv(3)]
    inner: list[Layer] = []
    for stage in reversed(known.stages[1:]):
        inner = [Branches([], [*stage, *inner, Up(2, 2)]), *convs]
    last: list[Layer] = [Up(2, 2), *convs] if _halved(known) else []
    return derive_footprint([*known.stages[0], *inner, *last, Conv(3)], dims=2)


def _present_name(name: str) -> str:
    """Torchvision's DenseNet files still say `norm.1` for `norm1`, which no other file does."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)", r"\1", name)


def _halved(known: Encoder) -> bool:
    """Whether the first feature map is half the image's size, so that the last up-sampling has no skip."""
    first = known.stages[0][0]
    return isinstance(first, Conv) and first.stride == 2


def _expanding_path(widths: Sequence[int], outputs: Sequence[int], *, halved: bool) -> nn.ModuleList:
    """FlexibleUNet's blocks from the smallest feature map up; widths: of the encoder's maps."""
    skips = [*widths[-2::-1], *([0] if halved else [])]
    inputs = [widths[-1], *outputs]
    blocks = zip(inputs, skips, outputs, strict=False)
    return nn.ModuleList(up_and_merge(i, skip, o, halves=skip > 0) for i, skip, o in blocks)


UNET_ON = {f"unet-{name}": partial(EncoderUNet, encoder=name) for name in ENCODERS}
"""A registered network for each encoder."""
