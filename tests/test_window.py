"""The sliding window: dense evaluation equals patch by patch; the paper's sizes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from unetseg.errors import UserError
from unetseg.nets import build_net, parameter_count
from unetseg.nets.window import KERNELS, pooled_side


def patch_by_patch(net: Any, image: torch.Tensor) -> np.ndarray:
    """Logits (k, y, x) of every window by itself, through ordinary strided layers: the definition."""
    convs = [m for conv in net.convs for m in (conv, nn.ReLU(), nn.MaxPool2d(2))]
    plain = nn.Sequential(*convs, net.hidden, nn.ReLU(), net.head)
    side = 2 * net.footprint.context[0] + 1
    windows = image.unfold(1, side, 1).unfold(2, side, 1).movedim(0, 2)
    with torch.no_grad():
        rows = [plain(row)[:, :, 0, 0].T for row in windows]
    return torch.stack(rows, 1).numpy()


@pytest.mark.parametrize("window", KERNELS)
def test_dense_equals_patch_by_patch(window: int) -> None:
    """To 1e-5, at even and odd sizes of the output and for a single window."""
    net: Any = build_net("window", channels=2, classes=3, window=window, width=4, hidden=6)
    for rows, columns in ((1, 1), (2, 19), (7, 3), (17, 16)):
        image = torch.randn(2, window + rows - 1, window + columns - 1)
        with torch.no_grad():
            dense = net(image[None])[0].numpy()
        np.testing.assert_allclose(dense, patch_by_patch(net, image), atol=1e-5)


def test_gradients_of_the_dense_net_are_those_of_its_windows() -> None:
    net: Any = build_net("window", channels=1, classes=2, window=23, width=4, hidden=6)
    image = torch.randn(1, 1, 23 + 4, 23 + 5)
    net(image).square().sum().backward()
    dense = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    for y in range(5):
        for x in range(6):
            net(image[:, :, y : y + 23, x : x + 23]).square().sum().backward()
    for ours, theirs in zip(dense, net.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.grad, rtol=1e-4, atol=1e-4)


def test_the_papers_n4() -> None:
    """Maps of 92, 46, 42, 21, 18, 9, 6 and 3 pixels (table 1); parameters added up by hand."""
    sides, side = [], 95
    for kernel in KERNELS[95]:
        sides += [side - kernel + 1, (side - kernel + 1) // 2]
        side = sides[-1]
    assert sides == [92, 46, 42, 21, 18, 9, 6, 3]
    assert pooled_side(95) == 3
    net = build_net("window", channels=1, classes=2)
    convs = 48 * (16 + 1) + 48 * (48 * 25 + 1) + 2 * 48 * (48 * 16 + 1)
    assert parameter_count(net) == convs + 200 * (48 * 9 + 1) + 2 * (200 + 1) == 219_290


def test_a_context_declared_too_small_or_too_large_is_noticed() -> None:
    net: Any = build_net("window", channels=1, classes=2, window=23, width=2, hidden=2)
    for context in (9, 12):
        net.footprint = replace(net.footprint, context=(context, context))
        with pytest.raises(RuntimeError):
            net(torch.zeros(1, 1, 40, 40))


@pytest.mark.parametrize("options", [{"window": 94}, {"width": 0}, {"hidden": 0}])
def test_options_out_of_range_are_the_users_error(options: dict[str, int]) -> None:
    with pytest.raises(UserError, match="allowed is"):
        build_net("window", channels=1, classes=2, **options)
