"""PyTorch as the engine: the reference, on every device and in every precision."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from unetseg.device import one_thread, precision_context
from unetseg.inference.folding import folded
from unetseg.nets.contract import Net


def compile_torch(net: Net, device: torch.device, precision: str) -> Callable[[Tensor], Tensor]:
    """The folded network in channels-last layout, in which torch's convolutions are faster."""
    quick = folded(net)
    layout = torch.channels_last if net.dims == 2 else torch.channels_last_3d
    with one_thread():
        quick.to(memory_format=layout)

    def forward(images: Tensor) -> Tensor:
        with torch.no_grad(), precision_context(precision, device):
            return quick(images.to(memory_format=layout)).float()

    return forward
