"""Footprints derived from layers: hand-worked ones, and those that gradients of real layers show."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unetseg.errors import UserError
from unetseg.nets.footprint import Branches, Conv, Up, derive_footprint, pool
from unetseg.nets.unet import unet_footprint
from unetseg.tiles import Footprint


def test_hand_worked() -> None:
    """3×3 dilated by 4 sees 4 pixels; pooling by 2 joins a pixel with its right or left neighbour."""
    assert derive_footprint([Conv(3, dilation=4)], dims=1) == Footprint((4,), (1,), False, (0,))
    assert derive_footprint([pool(2), Up(2, 2)], dims=1) == Footprint((1,), (2,), False, (0,))
    assert derive_footprint([Conv(5), Branches([], [Conv(3), Conv(3)])], dims=1).context == (4,)
    whole = derive_footprint([Conv(95, padded=False)], dims=2, valid=True)
    assert whole == Footprint((47, 47), (1, 1), True, (0, 0))


def test_the_unets_are_as_worked_by_hand() -> None:
    """Valid: 2·(3·2^d − 2) pixels a side, 572² → 388²; padded: 107 at depth 4."""
    assert unet_footprint(4, valid=True) == Footprint((92, 92), (16, 16), True, (12, 12))
    assert unet_footprint(4, valid=False).context == (107, 107)
    assert unet_footprint(2, valid=True, dims=3).context == (20, 20, 20)


def test_axes_may_differ() -> None:
    """A volume pooled in the plane alone."""
    layers = [Conv((1, 3, 3)), pool((1, 2, 2)), Conv(3), Up((1, 2, 2), (1, 2, 2))]
    foot = derive_footprint(layers, dims=3)
    assert (foot.context, foot.stride) == ((1, 4, 4), (1, 2, 2))


def test_an_odd_loss_is_refused() -> None:
    with pytest.raises(UserError, match="even"):
        derive_footprint([Conv(2, padded=False)], dims=2, valid=True)


def run(layers: list[Any], x: Tensor) -> Tensor:
    """The layers for true, in one dimension, all weights 1: every path counts."""
    for layer in layers:
        if isinstance(layer, Branches):
            x = sum((run(list(path), x) for path in layer.paths), torch.zeros(()))
        elif isinstance(layer, Up):
            weight = torch.ones(1, 1, layer.kernel, dtype=torch.float64)
            cut = (layer.kernel - layer.stride) // 2
            x = nn.functional.conv_transpose1d(x, weight, stride=layer.stride, padding=cut)
        else:
            span = layer.dilation * (layer.kernel - 1)
            left = span // 2 if layer.padded else 0
            padded = nn.functional.pad(x, (left, span - left if layer.padded else 0))
            weight = torch.ones(1, 1, layer.kernel, dtype=torch.float64)
            x = nn.functional.conv1d(padded, weight, stride=layer.stride, dilation=layer.dilation)
    return x


def some_layers(rng: np.random.Generator, depth: int) -> list[Any]:
    layers: list[Any] = [Conv(int(rng.integers(1, 6)), dilation=int(rng.integers(1, 3)))]
    if depth:
        factor = int(rng.integers(2, 4))
        down = pool(factor) if rng.random() < 0.5 else Conv(factor + int(rng.integers(0, 3)), stride=factor)
        up = Up(factor + 2 * int(rng.integers(0, 2)), factor)
        inside = [down, *some_layers(rng, depth - 1), up]
        layers += [Branches([], inside)] if rng.random() < 0.5 else inside
    return [*layers, Conv(int(rng.integers(1, 4)))]


@pytest.mark.parametrize("seed", range(12))
def test_derived_equals_what_gradients_show(seed: int) -> None:
    """On random layers: the farthest pixel that any output pixel of a block sees."""
    layers = some_layers(np.random.default_rng(seed), depth=seed % 3)
    foot = derive_footprint(layers, dims=1)
    stride, margin = foot.stride[0], foot.margin[0]
    image = torch.zeros(1, 1, 2 * margin + 3 * stride, dtype=torch.float64, requires_grad=True)
    out = run(layers, image)
    assert out.shape == image.shape
    reach = 0
    for place in range(margin + stride, margin + 2 * stride):
        (gradient,) = torch.autograd.grad(out[0, 0, place], image, retain_graph=True)
        reach = max(reach, int((gradient[0, 0].nonzero() - place).abs().max()))
    assert reach == foot.context[0]


def test_scales_on_a_path_that_goes_down_and_up() -> None:
    assert Conv(3, stride=2).scale(Fraction(2), 0) == [4]
    assert Up(4, 4).scale(Fraction(4), 0) == [1]
