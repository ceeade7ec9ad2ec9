"""An up-convolution and the convolution after it, joined, are the two one after the other."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

from unetseg.nets import build_net
from unetseg.nets.contract import part, region
from unetseg.nets.joined import Joined
from unetseg.nets.quick import for_inference

CPU = torch.device("cpu")
LAYERS: dict[int, Any] = {2: (nn.ConvTranspose2d, nn.Conv2d), 3: (nn.ConvTranspose3d, nn.Conv3d)}


def maps(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def layers(dims: int) -> tuple[nn.Module, nn.Module]:
    """6 channels from below to 4, and with a skip of 3 to 5; all biases count."""
    torch.manual_seed(0)
    up, conv = LAYERS[dims][0](6, 4, 2, 2).double(), LAYERS[dims][1](7, 5, 3, padding=1).double()
    for bias in (up.bias, conv.bias):
        nn.init.normal_(bias)
    return up, conv


@pytest.mark.parametrize("size", [(1, 4), (5, 3), (2, 3, 4)])
@torch.no_grad()
def test_it_is_one_after_the_other(size: tuple[int, ...]) -> None:
    up, conv = layers(len(size))
    skip, below = maps(2, 3, *(2 * n for n in size)), maps(2, 6, *size)
    found = Joined(up, conv)(skip, below, [(True, True)] * len(size))
    torch.testing.assert_close(found, conv(torch.cat([skip, up(below)], 1)))


@pytest.mark.parametrize("dims", [2, 3])
@torch.no_grad()
def test_a_region_is_that_of_the_whole_but_for_the_rim_that_is_cut(dims: int) -> None:
    """A region that does not reach an end of the maps has other pixels beside it, not zeros."""
    up, conv = layers(dims)
    skip, below = maps(1, 3, *[12] * dims), maps(1, 6, *[6] * dims)
    whole = conv(torch.cat([skip, up(below)], 1))
    for ranges in product([(0, 6), (0, 4), (2, 6), (1, 5)], repeat=dims):
        doubled = [(2 * a, 2 * b) for a, b in ranges]
        ends = [(a == 0, b == 6) for a, b in ranges]
        found = Joined(up, conv)(region(skip, doubled), region(below, ranges), ends)
        kept = [(a + (a > 0), b - (b < 12)) for a, b in doubled]
        inner = [(a - c, b - c) for (a, b), (c, _) in zip(kept, doubled, strict=True)]
        torch.testing.assert_close(region(found, inner), region(whole, kept))


@pytest.mark.parametrize("dims", [2, 3])
@torch.no_grad()
def test_weights_are_joined_once_in_the_copy_for_prediction_alone(dims: int) -> None:
    options = {"width": 4, "depth": 2, "padding": "same", "norm": "batch", "dims": dims}
    net: Any = build_net("unet", channels=1, classes=2, seed=1, **options).eval()
    before = set(net.state_dict())
    quick: Any = for_inference(net, CPU, "float32")
    assert set(net.state_dict()) == before
    assert [type(m) for m in quick.joined] == [Joined, Joined]
    images, keep = maps(1, 1, *[16] * dims).float(), [(3, 11)] * dims
    torch.testing.assert_close(part(quick, images, keep), region(net(images), keep), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(part(net, images, keep), region(net(images), keep), atol=1e-5, rtol=1e-4)


def test_a_valid_net_is_computed_as_it_is() -> None:
    net: Any = build_net("unet", channels=1, classes=2, seed=1, width=4, depth=2).eval()
    assert set(for_inference(net, CPU, "float32").state_dict()) == set(net.state_dict())
