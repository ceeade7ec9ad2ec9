"""An up-convolution and the convolution after it as one, for prediction: both are linear."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

CONVOLVE: dict[int, Callable[..., Tensor]] = {2: functional.conv2d, 3: functional.conv3d}
UP_CONVOLVE: dict[int, Callable[..., Tensor]] = {
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}
Ends = Sequence[tuple[bool, bool]]
"""Per axis of yx, whether maps begin, and end, where those of the whole image do."""


class Joined(nn.Module):
    """conv(cat([skip, up(below)])) of a padded net: skip (b, c, *2yx), below (b, i, *yx) to (b, o, *2yx).

    up: kernel 2, stride 2; conv: kernel 3, padding 1. What `conv` makes of the maps from below is one
    transposed convolution, of kernel 4 and stride 2: with a U-Net's i = 2c = 2o 8c² multiplications a
    pixel instead of 9c² and the up-convolution's 2c², and nothing to concatenate.
    """

    below: Tensor
    beside: Tensor

    def __init__(self, up: Any, conv: Any) -> None:
        super().__init__()
        self.dims = up.weight.ndim - 2
        first, second = up.weight.detach(), conv.weight.detach()
        above = second[:, -up.out_channels :]
        both = first.new_zeros(up.in_channels, conv.out_channels, *[4] * self.dims)
        for tap, then in product(product(range(2), repeat=self.dims), product(range(3), repeat=self.dims)):
            place = (i - j + 2 for i, j in zip(tap, then, strict=True))
            both[:, :, *place] += first[:, :, *tap] @ above[:, :, *then].T
        self.register_buffer("below", both)
        self.skip = copy.deepcopy(conv)
        self.skip.in_channels -= up.out_channels
        self.skip.weight = nn.Parameter(second[:, : -up.out_channels].contiguous(), requires_grad=False)
        # the bias at the start of each axis, inside, and at the end: conv has zeros beside the maps
        shifts = up.bias.detach().reshape(1, -1, *[1] * self.dims).expand(-1, -1, *[3] * self.dims)
        bias = CONVOLVE[self.dims](shifts, above, conv.bias.detach(), padding=1)
        inside = bias.flatten(2)[0, :, 3**self.dims // 2].clone()
        self.skip.bias = nn.Parameter(inside, requires_grad=False)
        self.register_buffer("beside", bias.sub_(inside.view(1, -1, *[1] * self.dims)))

    def forward(self, skip: Tensor, below: Tensor, ends: Ends) -> Tensor:
        """Both are regions of their maps, as `ends` says."""
        maps: Tensor = self.skip(skip)
        maps += UP_CONVOLVE[self.dims](below, self.below, stride=2, padding=1)
        if any(map(any, ends)):
            beside = self.beside
            for axis, (start, end) in enumerate(ends, start=2):
                places = torch.ones(maps.shape[axis], dtype=torch.int64, device=maps.device)
                places[0], places[-1] = (0 if start else 1), (2 if end else 1)
                beside = beside.index_select(axis, places)
            maps += beside
        return maps
