"""Batch norm folded into the convolution before it."""

from typing import Any

import torch

from unetseg.inference.folding import folded
from unetseg.nets import build_net


def test_folding_changes_rounding_alone_and_leaves_the_net_as_it_was() -> None:
    unet: Any = build_net(
        "unet", channels=1, classes=2, width=4, depth=2, padding="same", norm="batch"
    ).eval()
    for module in unet.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.running_mean)
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    pixels = torch.randn(1, 1, 32, 48, generator=torch.Generator().manual_seed(0))
    quick = folded(unet)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in quick.modules())  # type: ignore[attr-defined]
    torch.testing.assert_close(quick(pixels), unet(pixels), atol=1e-4, rtol=1e-4)
    assert all(torch.equal(before[name], value) for name, value in unet.state_dict().items())
