"""What networks are built of, in 2-D and 3-D."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from unetseg.errors import UserError

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
UP_CONV = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
Rule = tuple[str, object, bool, str]
"""An option, its value, whether that is allowed, and what is."""


def double_conv(i: int, o: int, padding: str, norm: str, dims: int) -> nn.Sequential:
    """Two 3×3 convolutions from `i` to `o` channels, each with its norm ("none" or "batch") and ReLU."""
    layers: list[nn.Module] = []
    for channels in (i, o):
        layers += conv_block(channels, o, 3, padding=padding, norm=norm, dims=dims)
    return nn.Sequential(*layers)


def conv_block(i: int, o: int, kernel: int, *, padding: str, norm: str, dims: int) -> list[nn.Module]:
    """Convolution ("same" or "valid"), batch norm if norm is "batch", ReLU."""
    conv = CONV[dims](i, o, kernel, padding=kernel // 2 if padding == "same" else 0)
    return [conv, *([NORM[dims](o)] if norm == "batch" else []), nn.ReLU(inplace=True)]


def crop_to(skip: Tensor, size: Sequence[int]) -> Tensor:
    """The central `size` of a skip connection (the paper's “copy and crop”)."""
    for axis, n in enumerate(size, start=2):
        skip = skip.narrow(axis, (skip.shape[axis] - n) // 2, n)
    return skip


def he_normal(module: nn.Module) -> None:
    """N(0, 2/N): N = k^dims·channels for a convolution, channels for an up-convolution of kernel = stride.

    He 2015, as the U-Net paper asks for (section 3); biases 0.
    """
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        incoming = module.in_channels * math.prod(module.kernel_size)
    elif isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d):
        incoming = module.in_channels
    else:
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
    """The rules of options that most networks have."""
    return [
        ("channels", channels, channels >= 1, "1 or more"),
        ("classes", classes, classes >= 2, "2 or more"),
        ("width", width, width >= 1, "1 or more"),
        ("norm", norm, norm in ("none", "batch"), "'none' or 'batch'"),
    ]
