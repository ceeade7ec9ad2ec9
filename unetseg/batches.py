"""Batches of augmented crops: batch n is a pure function of (seed, n)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, groupby

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
from unetseg.augment.histogram import matched_example
from unetseg.augment.pack import HostDraws, PackedDraws, pack, upload
from unetseg.device import memory_errors
from unetseg.distributed import own_part
from unetseg.sample import Example
from unetseg.settings import AugmentSettings, TrainSettings
from unetseg.tiles import Footprint

Engine = Callable[[PackedDraws, Tensor, Tensor, Tensor, Sequence[int]], tuple[Tensor, Tensor]]
"""An augmentation engine; see `augment.apply`."""
GATHERED = 2**29
"""Bytes of whole images that may be copied on a GPU to resample a batch in one call."""
SOURCE, PLACE = 1, 2
"""Columns of a batch's packed integers: the index of a crop's example, and of its row in the sorted batch."""


@dataclass(frozen=True)
class Batch:
    """images (b, c, *crop) float32, target and weight (b, *out) float32, on a device.

    target: classes (b, *out) int64, or in restoration clean images (b, c, *out) float32.
    """

    images: Tensor
    target: Tensor
    weight: Tensor


@dataclass(frozen=True)
class DeviceExample:
    """One example on a device, or n of one size.

    images (n, c, *yx), targets (n, t, *yx) with classes (or the channels of a clean image) and weight,
    both float32; shapes (n, d) the sizes.
    """

    images: Tensor
    targets: Tensor
    shapes: Tensor

    def times(self, n: int) -> DeviceExample:
        """One example repeated n times, without a copy."""
        return DeviceExample(*(t.expand(n, *t.shape[1:]) for t in self.tensors))

    def __getitem__(self, index: slice | Tensor) -> DeviceExample:
        """Some of the examples: by a slice (a view), or by indices (m,) on the device."""
        return DeviceExample(*(t[index] for t in self.tensors))

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """images, targets, shapes."""
        return self.images, self.targets, self.shapes


@dataclass(frozen=True)
class Residents:
    """All examples on a device: one by one and, on a GPU, also stacked by size."""

    each: Sequence[DeviceExample]
    together: DeviceExample | None = None

    @classmethod
    def load(cls, examples: Sequence[Example], device: torch.device) -> Residents:
        """Copy every example to the device, once."""
        each = [load_example(e, device) for e in examples]
        if device.type == "cpu" or len({(e.images.shape, e.targets.shape) for e in each}) > 1:
            return cls(each)
        tensors = zip(*(e.tensors for e in each), strict=True)
        together = DeviceExample(*(torch.cat(parts) for parts in tensors))
        return cls([together[i : i + 1] for i in range(len(each))], together)

    def of_crops(
        self, draws: PackedDraws, sources: Sequence[int]
    ) -> Iterator[tuple[PackedDraws, DeviceExample]]:
        """Pairs of draws and their examples: all at once on a GPU, elsewhere one source image at a time.

        On a CPU, resampling many small crops takes less time than copying their whole images. On a GPU the
        copy is fast, and one call for the batch replaces dozens.
        """
        one = self.each[0]
        if self.together is not None and len(sources) * (one.images.nbytes + one.targets.nbytes) <= GATHERED:
            yield draws, self.together[draws.integers[:, SOURCE]]
            return
        start = 0
        for source, places in groupby(sources):
            stop = start + len(list(places))
            yield draws.between(start, stop), self.each[source].times(stop - start)
            start = stop


def load_example(example: Example, device: torch.device) -> DeviceExample:
    """Copy one example to the device."""
    shape = example.weight.shape
    targets = np.stack([*example.target.astype(np.float32).reshape(-1, *shape), example.weight])
    return DeviceExample(
        torch.from_numpy(example.image)[None].to(device),
        torch.from_numpy(targets)[None].to(device),
        torch.tensor([shape], device=device),
    )


def draws_of_batch(
    augment: AugmentSettings,
    shapes: Sequence[Sequence[int]],
    crop: Sequence[int],
    size: int,
    *,
    seed: int,
    n: int,
    places: Sequence[Places] = (),
) -> tuple[list[int], list[Draw]]:
    """Which examples batch `n` holds, and their draws: a function of the arguments alone.

    Every example is seen once before any is seen again, in a new order each epoch. places: those of
    every example, where crops are balanced between the classes.
    """
    positions = range(n * size, (n + 1) * size)
    chosen = [_example_at(position, len(shapes), seed) for position in positions]
    rng = np.random.default_rng([seed, n])
    return chosen, [draw(augment, shapes[i], crop, rng, places[i] if places else ()) for i in chosen]


def batches(
    examples: Sequence[Example],
    *,
    augment: AugmentSettings,
    crop: Sequence[int],
    footprint: Footprint,
    train: TrainSettings,
    seed: int,
    start: int,
    device: torch.device,
) -> Iterator[Batch]:
    """Endless batches start, start + 1, … of `train.batch` crops, shared out between several processes.

    The network's output lies uniformly inside the image, or with `train.class_balanced_crops` around a
    pixel of any class with equal probability; what a valid net reads beyond the image is mirrored.
    """
    pipeline = load_albumentations(augment.albumentations) if augment.albumentations else None
    with memory_errors("Use fewer or smaller images, or raise data.downsample."):
        resident = Residents.load(examples, device)
    shapes = [e.weight.shape for e in examples]
    engine: Engine = apply_with_elasticdeform if augment.engine == "elasticdeform" else apply
    places = [class_places(e.target, e.weight) for e in examples] if train.class_balanced_crops else []
    learnt, own = footprint.output(crop), own_part(train.batch)

    def drawn(n: int) -> tuple[Sequence[int], HostDraws]:
        chosen, draws = draws_of_batch(augment, shapes, learnt, train.batch, seed=seed, n=n, places=places)
        return _by_source(chosen[own], draws[own])

    with ThreadPoolExecutor(1) as ahead:  # draws the next batch while the network trains on this one
        following = ahead.submit(drawn, start)
        for n in count(start + 1):
            sources, host = following.result()
            following = ahead.submit(drawn, n)
            if pipeline is not None or augment.match_histogram:
                pairs = [(i, draw.noise_seed) for i, draw in zip(sources, host.draws, strict=True)]
                changed = [matched_example(examples, i, augment.match_histogram, key) for i, key in pairs]
                if pipeline is not None:
                    keys = (key for _, key in pairs)
                    changed = [transform_example(pipeline, e, k) for e, k in zip(changed, keys, strict=True)]
                resident, sources = Residents([load_example(e, device) for e in changed]), range(len(changed))
            images, targets = _crops(engine, upload(host, device), resident, sources, crop)
            yield _batch(images, targets, footprint, of_classes=not examples[0].restores)


def _by_source(chosen: Sequence[int], draws: Sequence[Draw]) -> tuple[Sequence[int], HostDraws]:
    """The sources of the crops and their draws, source by source; see `SOURCE` and `PLACE`."""
    order = sorted(range(len(chosen)), key=lambda place: chosen[place])
    sources = [chosen[place] for place in order]
    return sources, pack([draws[place] for place in order], sources, np.argsort(order).tolist())


def _crops(
    engine: Engine, draws: PackedDraws, resident: Residents, sources: Sequence[int], crop: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Images and targets of the crops, in the order of the batch."""
    done = [engine(of, *source.tensors, crop) for of, source in resident.of_crops(draws, sources)]
    order = draws.integers[:, PLACE]
    images, targets = (torch.cat(parts)[order] for parts in zip(*done, strict=True))
    return images, targets


def _batch(images: Tensor, targets: Tensor, footprint: Footprint, *, of_classes: bool) -> Batch:
    """Crop the targets to the pixels of the network's output."""
    for axis, n in enumerate(footprint.output(images.shape[2:]), start=2):
        targets = targets.narrow(axis, (targets.shape[axis] - n) // 2, n)
    target = targets[:, 0].long() if of_classes else targets[:, :-1].contiguous()
    return Batch(images, target, targets[:, -1].contiguous())


def _example_at(position: int, count: int, seed: int) -> int:
    epoch, place = divmod(position, count)
    order = np.random.default_rng([seed, epoch, count]).permutation(count)
    return int(order[place])
