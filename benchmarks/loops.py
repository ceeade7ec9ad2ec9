"""The contenders of the training benchmark: a plain loop, MONAI's pipeline and nnU-Net's network.

All get the same loop, optimizer and loss; see `benchmarks.training`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.weight_maps import cells
from unetseg.device import precision_context
from unetseg.nets import build_net
from unetseg.sample import Example, Sample, make_example
from unetseg.settings import NetOption, TargetSettings, TrainSettings

Step = Callable[[], object]
Batches = Iterator[tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class Case:
    """What all contenders share."""

    title: str
    net: dict[str, NetOption]
    settings: TrainSettings
    device: torch.device

    @property
    def crop(self) -> tuple[int, int]:
        """The network's input."""
        return self.settings.crop[0], self.settings.crop[0]

    def build(self) -> Any:
        """A fresh network."""
        return build_net("unet", channels=1, classes=2, seed=0, **self.net)


def examples(side: int = 512, count: int = 8) -> list[Example]:
    """Made-up cells, as training sees them."""
    found = []
    for seed in range(count):
        labels = cells(60, (side, side), seed)
        image = (labels > 0) + 0.5 * np.random.default_rng(seed).normal(size=labels.shape)
        image = image.astype(np.float32)[None]
        weights = np.ones(2, np.float32)
        found.append(make_example(Sample(str(seed), image, labels), image, TargetSettings(), weights))
    return found


def plain(case: Case) -> Step:
    """Our net on a batch that never changes."""
    net = case.build()
    return _loop(case, net, _same_batch(case, case.crop, net.footprint.output(case.crop)))


def nnunet(case: Case, *, deep_supervision: bool) -> Step:
    """nnU-Net's network on a batch that never changes, in the memory layout that it is trained in."""
    net, crop = nnunet_net(case, deep_supervision=deep_supervision), nnunet_crop(case)
    return _loop(case, net, _same_batch(case, crop, crop), torch.contiguous_format)


def nnunet_net(case: Case, *, deep_supervision: bool) -> Any:
    """What nnU-Net's default plan of 2-D images builds (Isensee 2021), with our net's stages and features.

    Two 3×3 convolutions with bias a stage, instance norm, LeakyReLU, the first convolution of a stage
    strided instead of max-pooling, padded. Raises ImportError without dynamic_network_architectures.
    """
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    features = [int(case.net.get("width", 64)) * 2**level for level in range(5)]
    net = PlainConvUNet(
        1, 5, features, nn.Conv2d, 3, (1, 2, 2, 2, 2), 2, 2, 2, conv_bias=True,
        norm_op=nn.InstanceNorm2d, norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU, nonlin_kwargs={"inplace": True}, deep_supervision=deep_supervision,
    )  # fmt: skip
    net.apply(net.initialize)
    return net


def nnunet_crop(case: Case) -> tuple[int, int]:
    """The crop, or the next one whose sides four strides of 2 divide."""
    y, x = (-(-n // 16) * 16 for n in case.crop)
    return y, x


def _same_batch(case: Case, crop: Sequence[int], out: Sequence[int]) -> Batches:
    size = case.settings.batch
    images = torch.randn(size, 1, *crop, device=case.device)
    classes = torch.randint(0, 2, (size, *out), device=case.device)
    return itertools.repeat((images, classes, torch.ones(size, *out, device=case.device)))


def _loop(case: Case, net: Any, source: Batches, layout: torch.memory_format = torch.channels_last) -> Step:
    """A training step as a person writes it."""
    net.to(case.device, memory_format=layout)
    optimizer = torch.optim.AdamW(net.parameters(), case.settings.learning_rate)

    def step() -> None:
        images, classes, weight = next(source)
        optimizer.zero_grad()
        with precision_context(case.settings.precision, case.device):
            logits = net(images.contiguous(memory_format=layout))
        _loss(logits, classes, weight).backward()
        optimizer.step()

    return step


def _loss(logits: Tensor | list[Tensor], classes: Tensor, weight: Tensor) -> Tensor:
    """Weighted cross-entropy; of several heads as nnU-Net weighs them: 1, 1/2, 1/4, …, the last 0."""
    heads = logits if isinstance(logits, list) else [logits]
    total, shares = torch.zeros((), device=weight.device), 0.0
    for level, head in enumerate(heads[:-1] or heads):
        every, share = 2**level, 0.5**level
        losses = nn.functional.cross_entropy(head.float(), classes[:, ::every, ::every], reduction="none")
        total, shares = total + share * (weight[:, ::every, ::every] * losses).mean(), shares + share
    return total / shares


def monai(case: Case) -> Step:
    """Our net on crops that MONAI's transforms draw from the same images."""
    from monai.data import DataLoader, Dataset
    from monai.transforms import Compose

    keys = ["image", "classes", "weight"]
    data = [
        {"image": e.image, "classes": e.target[None].astype(np.float32), "weight": e.weight[None]}
        for e in examples()
    ]
    chain = Compose(_monai_transforms(keys, case.crop))
    loader = DataLoader(Dataset(data * 1000, chain), batch_size=case.settings.batch, shuffle=True)
    net = case.build()
    out = net.footprint.output(case.crop)

    def made() -> Batches:
        for batch in itertools.chain.from_iterable(itertools.repeat(loader)):
            image, classes, weight = (batch[key].as_tensor().to(case.device) for key in keys)
            yield image, _cut(classes, out)[:, 0].long(), _cut(weight, out)[:, 0]

    return _loop(case, net, made())


def _monai_transforms(keys: list[str], crop: tuple[int, int]) -> list[Any]:
    from monai import transforms as t

    modes = ["bilinear", "nearest", "nearest"]
    return [
        t.EnsureTyped(keys),
        t.SpatialPadd(keys, crop, mode="reflect"),
        t.RandSpatialCropd(keys, crop, random_size=False),
        t.Rand2DElasticd(
            keys, (crop[0] / 2, crop[0] / 2), (10, 10), prob=1.0, rotate_range=np.pi, scale_range=0.1,
            mode=modes, padding_mode="reflection",
        ),
        t.RandFlipd(keys, 0.5, 0),
        t.RandFlipd(keys, 0.5, 1),
        t.RandAdjustContrastd("image", 1.0, (0.8, 1.2)),
        t.RandScaleIntensityd("image", 0.2, prob=1.0),
        t.RandShiftIntensityd("image", 0.2, prob=1.0),
        t.RandGaussianNoised("image", 1.0, std=0.1),
    ]  # fmt: skip


def _cut(maps: Tensor, out: tuple[int, ...]) -> Tensor:
    for axis, n in enumerate(out, start=2):
        maps = maps.narrow(axis, (maps.shape[axis] - n) // 2, n)
    return maps
