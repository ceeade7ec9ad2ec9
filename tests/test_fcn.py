"""FCN on VGG16: the published size layer by layer, bilinear up-sampling, ImageNet's weights."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from unetseg.errors import UserError
from unetseg.nets import build_net, parameter_count
from unetseg.nets.fcn import FCN, fcn_footprint

VGG16 = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256), (256, 512)] + [
    (512, 512)
] * 5
FEATURES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""The places of VGG16's convolutions in torchvision's `features`."""


def test_fcn_8s_has_134_million_parameters() -> None:
    """By layer, at 21 classes: VGG16's convolutions, fc6, fc7, three scores, two learned up-samplings."""
    vgg = sum(9 * i * o + o for i, o in VGG16)
    fc6, fc7 = 49 * 512 * 4096 + 4096, 4096 * 4096 + 4096
    scores = [n * 21 + 21 for n in (4096, 512, 256)]
    learned = 2 * 21 * 21 * 4**2
    fixed = 21 * 16**2  # bilinear, each class by itself
    assert (vgg, fc6, fc7) == (14_714_688, 102_764_544, 16_781_312)
    assert scores == [86_037, 10_773, 5_397]
    with torch.device("meta"):
        net: Any = FCN(channels=3, classes=21, stride=8)
    assert parameter_count(net) == vgg + fc6 + fc7 + sum(scores) + learned == 134_376_863
    assert sum(p.numel() for p in net.parameters()) == parameter_count(net) + fixed


def test_narrow_nets_keep_the_proportions() -> None:
    net: Any = build_net("fcn-8s", channels=1, classes=2, width=16)
    assert net.fc6[0].weight.shape == (1024, 128, 7, 7)
    assert net.score[2].weight.shape == (2, 64, 1, 1)


@pytest.mark.parametrize(("name", "context"), [("fcn-32s", 233), ("fcn-16s", 241), ("fcn-8s", 245)])
def test_the_footprint_is_derived(name: str, context: int) -> None:
    """404 pixels of fc7 in the paper; the place within a block and the up-sampling add to half of it."""
    net: Any = build_net(name, channels=1, classes=2, width=1)
    assert net.footprint == fcn_footprint(int(name[4:-1]))
    assert net.footprint.context == (context, context)


def test_a_smaller_context_may_be_declared() -> None:
    net: Any = build_net("fcn-8s", channels=1, classes=2, width=1, context=96)
    assert (net.footprint.context, net.footprint.margin) == ((96, 96), (96, 96))
    with pytest.raises(UserError, match="allowed is 0 \\(exact\\) to 245"):
        build_net("fcn-8s", channels=1, classes=2, width=1, context=300)


def test_up_sampling_begins_as_bilinear_interpolation() -> None:
    """A plane stays a plane, away from the border; the last one is not learned."""
    net: Any = build_net("fcn-8s", channels=1, classes=2, width=1)
    y, x = np.mgrid[:6, :6].astype(np.float32)
    coarse = torch.from_numpy(np.stack([2 * y + x, y - 3 * x]))[None]
    for up, factor in ((net.refine[0], 2), (net.last, 8)):
        fine = up(coarse).detach().numpy()[0]
        at = (np.arange(6 * factor) + 0.5) / factor - 0.5
        expected = np.stack([2 * at[:, None] + at, at[:, None] - 3 * at])
        inside = (slice(None), slice(factor, -factor), slice(factor, -factor))
        np.testing.assert_allclose(fine[inside], expected[inside], atol=1e-5)
    assert net.refine[0].weight.requires_grad
    assert not net.last.weight.requires_grad


def imagenet() -> dict[str, torch.Tensor]:
    """torchvision's state dict of VGG16: true names and shapes, fc layers of zeros."""
    state = {}
    for number, (i, o) in zip(FEATURES, VGG16, strict=True):
        state[f"features.{number}.weight"] = torch.randn(o, i, 3, 3)
        state[f"features.{number}.bias"] = torch.randn(o)
    for name, (o, i) in {"classifier.0": (4096, 25088), "classifier.3": (4096, 4096)}.items():
        state[f"{name}.weight"], state[f"{name}.bias"] = torch.zeros(o, i), torch.zeros(o)
    return state


@pytest.mark.slow
def test_imagenet_weights_give_vgg16s_features() -> None:
    """fc6 over a 7×7 map equals the dense layer; one channel equals three equal ones."""
    state = imagenet()
    state["classifier.0.weight"][:5] = torch.randn(5, 25088) / 100
    net: Any = FCN(channels=3, stride=32).eval()
    net.load_imagenet(state)
    x = torch.randn(1, 512, 7, 7)
    dense = nn.functional.linear(x.flatten(1), state["classifier.0.weight"])
    assert torch.allclose(net.fc6[0](x)[:, :, 3, 3], dense, atol=1e-4)
    assert torch.equal(net.blocks[4][4].weight, state["features.28.weight"])
    grey: Any = FCN(channels=1, stride=32).eval()
    grey.load_imagenet(state)
    image = torch.randn(1, 1, 32, 32)
    assert torch.allclose(grey.blocks[0](image), net.blocks[0](image.expand(-1, 3, -1, -1)), atol=1e-4)


def test_wrong_weights_are_refused() -> None:
    narrow: Any = build_net("fcn-8s", channels=3, classes=2, width=2)
    with pytest.raises(UserError, match="net.width = 64"):
        narrow.load_imagenet({})
    with torch.device("meta"):
        net = FCN(stride=32)
    with pytest.raises(UserError, match="features.0.weight is missing"):
        net.load_imagenet({})
    with pytest.raises(UserError, match=r"features.0.weight has the shape \(8, 3, 3, 3\)"):
        net.load_imagenet({"features.0.weight": torch.zeros(8, 3, 3, 3)})
