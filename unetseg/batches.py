"""Batches of augmented crops: batch n is a pure function of (seed, n)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unetseg.augment.apply import apply
from unetseg.augment.draw import Draw, Places, class_places, draw
from unetseg.augment.engines import (
    apply_with_elasticdeform,
    load_albumentations,
    transform_example,
)
from unetseg.device import memory_errors
from unetseg.distributed import own_part
from unetseg.sample import Example
from unetseg.settings import AugmentSettings, TrainSettings
from unetseg.tiles import Footprint

Engine = Callable[[Sequence[Draw], Tensor, Tensor, Tensor, Sequence[int]], tuple[Tensor, Tensor]]
"""An engine of `augment`, see `apply`."""


@dataclass(frozen=True)
class Batch:
    """images (b, c, *crop) float32, classes (b, *out) int64, weight (b, *out) float32, on a device."""

    images: Tensor
    classes: Tensor
    weight: Tensor


@dataclass(frozen=True)
class DeviceExample:
    """One example on a device, as often as it is to be sampled.

    images (n, c, *yx), targets (n, 2, *yx) with classes and weight, both float32; shapes (n, d) its
    size.
    """

    images: Tensor
    targets: Tensor
    shapes: Tensor

    def times(self, n: int) -> DeviceExample:
        """The same n times, without copying it."""
        views = [t.expand(n, *t.shape[1:]) for t in (self.images, self.targets, self.shapes)]
        return DeviceExample(views[0], views[1], views[2])


def load_example(example: Example, device: torch.device) -> DeviceExample:
    """One example on the device, once."""
    targets = np.stack([example.classes.astype(np.float32), example.weight])
    return DeviceExample(
        torch.from_numpy(example.image)[None].to(device),
        torch.from_numpy(targets)[None].to(device),
        torch.tensor([example.classes.shape], device=device),
    )


def draws_of_batch(
    settings: AugmentSettings,
    shapes: Sequence[Sequence[int]],
    crop: Sequence[int],
    size: int,
    *,
    seed: int,
    n: int,
    places: Sequence[Places] = (),
) -> tuple[list[int], list[Draw]]:
    """Which examples batch `n` holds, and their draws: a function of the arguments alone.

    Every example is seen once before any is seen again, in a new order each time round. places: of
    every example, where crops are to be balanced between the classes.
    """
    positions = range(n * size, (n + 1) * size)
    chosen = [_example_at(position, len(shapes), seed) for position in positions]
    rng = np.random.default_rng([seed, n])
    return chosen, [draw(settings, shapes[i], crop, rng, places[i] if places else ()) for i in chosen]


def batches(
    examples: Sequence[Example],
    *,
    settings: AugmentSettings,
    crop: Sequence[int],
    footprint: Footprint,
    train: TrainSettings,
    seed: int,
    start: int,
    device: torch.device,
) -> Iterator[Batch]:
    """Batches start, start + 1, … of `train.batch` crops, without end; of several processes each its part.

    The network's output lies uniformly inside the image, or with `train.balanced` around a pixel of
    any class with equal probability; what a valid net reads beyond is mirrored.
    """
    pipeline = load_albumentations(settings.albumentations) if settings.albumentations else None
    with memory_errors("Use fewer or smaller images, or raise data.shrink."):
        resident = [load_example(e, device) for e in examples]
    shapes = [e.classes.shape for e in examples]
    engine: Engine = apply_with_elasticdeform if settings.engine == "elasticdeform" else apply
    places = [class_places(e.classes, e.weight) for e in examples] if train.balanced else []
    learnt, own = footprint.output(crop), own_part(train.batch)
    n = start
    while True:
        chosen, draws = draws_of_batch(settings, shapes, learnt, train.batch, seed=seed, n=n, places=places)
        chosen, draws = chosen[own], draws[own]
        if pipeline is None:
            sources = [resident[i] for i in chosen]
        else:
            pairs = zip(chosen, draws, strict=True)
            changed = [transform_example(pipeline, examples[i], d.noise_seed) for i, d in pairs]
            sources = [load_example(e, device) for e in changed]
        images, targets = _crops(engine, draws, sources, crop)
        yield _batch(images, targets, footprint)
        n += 1


def _crops(
    engine: Engine, draws: Sequence[Draw], sources: Sequence[DeviceExample], crop: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The crops of each draw from its source, source by source.

    Many small crops are resampled in less time than it takes to copy their whole images into a batch.
    """
    places: dict[int, list[int]] = {}
    for place, source in enumerate(sources):
        places.setdefault(id(source), []).append(place)
    done = []
    for group in places.values():
        source, of_it = sources[group[0]].times(len(group)), [draws[place] for place in group]
        done.append(engine(of_it, source.images, source.targets, source.shapes, crop))
    order = torch.tensor([place for group in places.values() for place in group]).argsort()
    crops, cut = (torch.cat(parts)[order] for parts in zip(*done, strict=True))
    return crops, cut


def _batch(images: Tensor, targets: Tensor, footprint: Footprint) -> Batch:
    """Cut the targets to the pixels that the network's output has."""
    for axis, n in enumerate(footprint.output(images.shape[2:]), start=2):
        targets = targets.narrow(axis, (targets.shape[axis] - n) // 2, n)
    return Batch(images, targets[:, 0].long(), targets[:, 1].contiguous())


def _example_at(position: int, count: int, seed: int) -> int:
    epoch, place = divmod(position, count)
    order = np.random.default_rng([seed, epoch, count]).permutation(count)
    return int(order[place])
