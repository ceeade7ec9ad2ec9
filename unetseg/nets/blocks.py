"""The building blocks of networks, in 2-D and 3-D."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from unetseg.errors import UserError
from unetseg.tiles import Footprint

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
UP_CONV = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
WINDOW = 256
"""Side of windows that are blended, where the experiment gives none."""
WINDOWS_ASKED = "net.window asks for windows that are blended"
Rule = tuple[str, object, bool, str]
"""An option, its value, whether it is allowed, and what is allowed."""


def short_context(given: Footprint, exact: Footprint) -> str:
    """Why tiles are inexact where an option shortens the context."""
    given_px, exact_px = ("×".join(map(str, f.context)) for f in (given, exact))
    return f"they read a context of {given_px} pixels, where {exact_px} are seen; net.context = 0 is exact"


def double_conv(i: int, o: int, padding: str, norm: str, dims: int) -> nn.Sequential:
    """Two 3×3 convolutions from `i` to `o` channels, each with its norm ("none" or "batch") and ReLU."""
    return conv_blocks((i, o, o), (3,) * dims, padding, norm)


def conv_blocks(widths: Sequence[int], kernel: Sequence[int], padding: str, norm: str) -> nn.Sequential:
    """Convolutions from widths[0] over widths[1] … channels, each with its norm and ReLU."""
    pairs = pairwise(widths)
    return nn.Sequential(*[m for i, o in pairs for m in conv_block(i, o, kernel, padding=padding, norm=norm)])


def conv_block(i: int, o: int, kernel: Sequence[int], *, padding: str, norm: str) -> list[nn.Module]:
    """Convolution ("same" or "valid"), batch norm if norm is "batch", ReLU; kernel: its size per axis."""
    dims, sides = len(kernel), tuple(n // 2 if padding == "same" else 0 for n in kernel)
    conv_of_dims: Any = CONV[dims]
    conv = conv_of_dims(i, o, tuple(kernel), padding=sides)
    return [conv, *([NORM[dims](o)] if norm == "batch" else []), nn.ReLU(inplace=True)]


class Residual(nn.Module):
    """Two 3×3 convolutions whose result is added to their input, then ReLU (He, CVPR 2016, fig. 2).

    As `double_conv`, but the ReLU of the second convolution follows the sum. The input goes through a 1×1
    convolution with the norm, since channels change, and is cropped where padding is "valid".
    """

    def __init__(self, i: int, o: int, padding: str, norm: str, dims: int) -> None:
        super().__init__()
        self.convs = double_conv(i, o, padding, norm, dims)[:-1]
        self.shortcut = nn.Sequential(*conv_block(i, o, (1,) * dims, padding="same", norm=norm)[:-1])
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(b, i, *yx) → (b, o, *yx), 4 pixels less an axis in a valid net."""
        y = self.convs(x)
        total: Tensor = self.relu(y + crop_to(self.shortcut(x), y.shape[2:]))
        return total


def crop_to(skip: Tensor, size: Sequence[int]) -> Tensor:
    """The central `size` of a skip connection (the paper's “copy and crop”)."""
    for axis, n in enumerate(size, start=2):
        skip = skip.narrow(axis, (skip.shape[axis] - n) // 2, n)
    return skip


def for_channels(weight: Tensor, channels: int) -> Tensor:
    """Filters (o, c, *k) of a first layer for images of so many channels, with the same sum over them.

    A grey image repeated in every channel gives the same response; the filters of as many channels stay.
    """
    if weight.shape[1] == channels:
        return weight
    shape = (len(weight), channels, *weight.shape[2:])
    return (weight.sum(1, keepdim=True) / channels).expand(shape).contiguous()


def put_weight(parameter: Tensor, values: Tensor | None, name: str, owner: str) -> None:
    """Copy the tensor `name` of a file; UserError if it is missing or of another shape than the owner's."""
    if not isinstance(values, Tensor):
        raise UserError(f"{name} is missing: these are not the weights of {owner}.")
    if parameter.shape != values.shape:
        raise UserError(
            f"{name} has the shape {tuple(values.shape)}, in {owner} it is {tuple(parameter.shape)}."
        )
    with torch.no_grad():
        parameter.copy_(values)


def he_normal(module: nn.Module) -> None:
    """N(0, 2/N): N = k^dims·channels for a convolution, channels for an up-convolution of kernel = stride
    and for a fully connected layer.

    He 2015, as the U-Net paper asks for (section 3); biases 0.
    """
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        incoming = module.in_channels * math.prod(module.kernel_size)
    elif isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d):
        incoming = module.in_channels
    elif isinstance(module, nn.Linear):
        incoming = module.in_features
    else:
        return
    if module.weight.is_meta:  # no values to draw, and torch would load its compiler for them (1 s)
        return
    nn.init.normal_(module.weight, std=math.sqrt(2 / incoming))
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def check_options(rules: Iterable[Rule]) -> None:
    """Raise UserError for the first option whose value is not allowed."""
    for name, value, fine, allowed in rules:
        if not fine:
            raise UserError(f"net.{name} = {value!r}: allowed is {allowed}.")


def common_rules(channels: int, classes: int, width: int, norm: str) -> list[Rule]:
    """The rules of options that most networks share."""
    return [
        ("channels", channels, channels >= 1, "1 or more"),
        ("classes", classes, classes >= 1, "1 or more"),
        ("width", width, width >= 1, "1 or more"),
        ("norm", norm, norm in ("none", "batch"), "'none' or 'batch'"),
    ]


def blended_side(window: int, footprint: Footprint) -> int:
    """The side of windows that overlap by half: `net.window`, with 0 the usual; UserError if illegal."""
    steps = 2 * max(footprint.stride)
    side = window or -(-WINDOW // steps) * steps
    check_options([("window", window, side > 0 and side % steps == 0, f"0 or a multiple of {steps}")])
    return side
