"""Batches of augmented crops: batch n is a pure function of (seed, n)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unetseg.augment.apply import apply
from unetseg.augment.draw import Draw, draw
from unetseg.augment.engines import (
    apply_with_elasticdeform,
    load_albumentations,
    transform_example,
)
from unetseg.sample import Example
from unetseg.settings import AugmentSettings
from unetseg.tiles import Footprint


@dataclass(frozen=True)
class Batch:
    """images (b, c, *crop) float32, classes (b, *out) int64, weight (b, *out) float32, on a device."""

    images: Tensor
    classes: Tensor
    weight: Tensor


@dataclass(frozen=True)
class ExampleSet:
    """Examples as tensors on one device, filled up to one size.

    images (n, c, *yx), targets (n, 2, *yx) with classes and weight, both float32; shapes (n, d)
    the real size of each.
    """

    images: Tensor
    targets: Tensor
    shapes: Tensor

    def __len__(self) -> int:
        return len(self.images)


def load_examples(examples: Sequence[Example], device: torch.device) -> ExampleSet:
    """The examples on the device, once; nothing is read, filled or moved again during training."""
    shapes = np.array([e.classes.shape for e in examples])
    full = tuple(shapes.max(0))
    images = torch.zeros(len(examples), len(examples[0].image), *full)
    targets = torch.zeros(len(examples), 2, *full)
    for image, target, example in zip(images.numpy(), targets.numpy(), examples, strict=True):
        inside = tuple(slice(0, n) for n in example.classes.shape)
        image[(slice(None), *inside)] = example.image
        target[(0, *inside)], target[(1, *inside)] = example.classes, example.weight
    return ExampleSet(images.to(device), targets.to(device), torch.from_numpy(shapes).to(device))


def draws_of_batch(
    settings: AugmentSettings,
    shapes: Sequence[Sequence[int]],
    crop: Sequence[int],
    size: int,
    *,
    seed: int,
    n: int,
) -> tuple[list[int], list[Draw]]:
    """Which examples batch `n` holds, and their draws: a function of the arguments alone.

    Every example is seen once before any is seen again, in a new order each time round.
    """
    positions = range(n * size, (n + 1) * size)
    chosen = [_example_at(position, len(shapes), seed) for position in positions]
    rng = np.random.default_rng([seed, n])
    return chosen, [draw(settings, shapes[i], crop, rng) for i in chosen]


def batches(
    examples: Sequence[Example],
    *,
    settings: AugmentSettings,
    crop: Sequence[int],
    footprint: Footprint,
    size: int,
    seed: int,
    start: int,
    device: torch.device,
) -> Iterator[Batch]:
    """Batches start, start + 1, … of `size` crops, without end."""
    pipeline = load_albumentations(settings.albumentations) if settings.albumentations else None
    whole = load_examples(examples, device)
    shapes = [e.classes.shape for e in examples]
    engine = apply_with_elasticdeform if settings.engine == "elasticdeform" else apply
    n = start
    while True:
        chosen, draws = draws_of_batch(settings, shapes, crop, size, seed=seed, n=n)
        if pipeline is None:
            part = ExampleSet(whole.images[chosen], whole.targets[chosen], whole.shapes[chosen])
        else:
            pairs = zip(chosen, draws, strict=True)
            changed = [transform_example(pipeline, examples[i], d.noise_seed) for i, d in pairs]
            part = load_examples(changed, device)
        images, targets = engine(draws, part.images, part.targets, part.shapes, crop)
        yield _batch(images, targets, footprint)
        n += 1


def _batch(images: Tensor, targets: Tensor, footprint: Footprint) -> Batch:
    """Cut the targets to the pixels that the network's output has."""
    for axis, n in enumerate(footprint.output(images.shape[2:]), start=2):
        targets = targets.narrow(axis, (targets.shape[axis] - n) // 2, n)
    return Batch(images, targets[:, 0].long(), targets[:, 1].contiguous())


def _example_at(position: int, count: int, seed: int) -> int:
    epoch, place = divmod(position, count)
    order = np.random.default_rng([seed, epoch, count]).permutation(count)
    return int(order[place])
