"""Settings derived from the data if they are not given: the same for a data folder and an experiment file."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unetseg.config import choose_fold, find_data, read_with_keys
from unetseg.errors import UserError
from unetseg.nets import build_net
from unetseg.pipeline.auto_restoration import CROP as RESTORATION_CROP
from unetseg.pipeline.auto_restoration import restoration_settings
from unetseg.pipeline.dataset import evenly, list_data
from unetseg.pipeline.recipe import name_and_options
from unetseg.pipeline.start_from import inherited
from unetseg.pipeline.time_budget import MOST_STEPS
from unetseg.sample import Entry, Sample
from unetseg.settings import DataSettings, Experiment, NetOption, TrainSettings
from unetseg.tasks.guess import guess_task
from unetseg.tasks.listing import Listing, Split, split

LOOKED_AT = 8
OBJECT_PX = 48
"""Objects are downsampled to about this diameter, so that the network sees a few of them at once."""
CROP, VOLUME_CROP = 256, 64
SMALLEST_CROP = 16
VOLUME_NET: dict[str, NetOption] = {"width": 8, "depth": 3, "dims": 3}
SEEDS = {"ridge": 0.8, "distance": 0.5}
"""Seed threshold to begin with, by the kind of target; for "distance" a fraction of the deepest."""
DERIVED = frozenset(
    {
        "data.task",
        "data.downsample",
        "train.crop",
        "train.select_by",
        "labels.min_area",
        "labels.seed_threshold",
        "labels.test_time_augmentation",
        "labels.choose",
    }
)
"""The settings of images that are derived if not given; for volumes also train.batch and net."""
Overrides = dict[str, Any]
"""Settings of [data] by their keys, as given on the command line."""
Found = dict[str, tuple[Any, str]]
"""A value and its reason, by the dotted name of the setting."""


@dataclass(frozen=True)
class Resolved:
    """An experiment in which every setting has its value, and a line for each that was derived."""

    experiment: Experiment
    derived: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Seen:
    """What settings are derived from: the experiment, the settings that are given, and its data.

    entries: of the training and validation parts; samples: a few of them, read.
    """

    experiment: Experiment
    given: Collection[str]
    listing: Listing
    parts: Split
    entries: Sequence[Entry]
    samples: Sequence[Sample]

    @classmethod
    def of(cls, experiment: Experiment, given: Collection[str]) -> _Seen:
        listing = list_data(experiment.data)
        parts = split(listing, experiment.data)
        entries = [*parts.train, *parts.validate]
        samples = [e.read() for e in evenly(entries, LOOKED_AT)]
        return cls(experiment, given, listing, parts, entries, samples)

    @property
    def volumes(self) -> bool:
        return bool(self.samples) and self.samples[0].image.ndim == 4

    @property
    def objects(self) -> bool:
        """Whether the labels are objects with ids, not classes or the regions between membranes."""
        return self.listing.kind == "instances" and self.experiment.data.task != "isbi-em"


def derive_experiment(root: Path, *, start_from: str = "", overrides: Overrides | None = None) -> Resolved:
    """The default experiment for the data in `root`, all its settings derived from them.

    start_from: as train.start_from; this model's settings take precedence over the data's.
    overrides: settings of [data] by their keys.
    """
    data = DataSettings(task=guess_task(root), root=str(root), **(overrides or {}))
    train = TrainSettings(start_from=start_from)
    return derive_settings(Experiment(name=root.resolve().name, data=data, train=train), {"data.root"})


def resolve_file(
    path: Path,
    *,
    fold: str | None = None,
    root: str | None = None,
    start_from: str | None = None,
    overrides: Overrides | None = None,
) -> Resolved:
    """The experiment of a TOML file; what it does not set is derived from its data.

    fold: one of its named splits; root: the data folder, instead of data.root; start_from: instead of
    train.start_from; overrides: settings of [data] by their keys, whatever the file says.
    """
    whole, given = read_with_keys(path)
    read = with_data(choose_fold(whole, fold), overrides or {})
    data = read.data if root is None else replace(read.data, root=root)
    train = replace(read.train, start_from=start_from or read.train.start_from)
    if train.minutes and "train.steps" not in given:
        train = replace(train, steps=MOST_STEPS)
        given |= {"train.steps"}
    return derive_settings(replace(read, data=data, train=train), given)


def with_data(experiment: Experiment, overrides: Overrides) -> Experiment:
    """The experiment with some settings of [data]."""
    return replace(experiment, data=replace(experiment.data, **overrides))


def derive_settings(experiment: Experiment, given: Collection[str]) -> Resolved:
    """The experiment with what is not given derived from its training and validation parts.

    given: dotted names of settings, such as "train.crop"; if all of DERIVED are given, nothing is read.
    downsample brings the median object to about 48 pixels across; the crop is at most 256 pixels and fits
    the smallest image; objects under a tenth of the median area are dropped; the best weights are chosen by
    panoptic quality for objects, by SEG where false ones are not known or in challenges, and by IoU for
    classes; label settings are chosen if a validation part has objects.
    """
    from_model: Found = {}
    if experiment.train.start_from:
        from_model = _from_model(experiment, given)
        experiment = _with(experiment, from_model, given)
        given = {*given, *from_model} | ({"net.name"} if "net" in from_model else set())
    told = tuple(f"{key} = {value!r} ({why})" for key, (value, why) in from_model.items())
    if set(given) >= DERIVED:
        return Resolved(experiment, told)
    found: Found = {}
    if "data.task" not in given and experiment.target.kind == "restoration":
        found["data.task"] = "restoration", "target.kind is"
        experiment = _with(experiment, found, given)
    elif "data.task" not in given and experiment.data.root:
        found["data.task"] = guess_task(find_data(experiment.data.root)), "by the files in the folder"
        experiment = _with(experiment, found, given)
    seen = _Seen.of(experiment, given)
    if seen.listing.kind == "restoration":
        has_clean = any(s.clean is not None for s in seen.samples)
        found |= restoration_settings(has_clean=has_clean) | _restoration_crop(seen)
    else:
        found |= _of_volumes(seen) if seen.volumes else _of_images(seen)
        found |= _of_labels(seen)
    lines = (f"{key} = {value!r} ({why})" for key, (value, why) in found.items() if key not in given)
    return Resolved(_with(experiment, found, given), (*told, *lines))


def downsampling(diameter: float, side: int) -> int:
    """The factor that brings objects of this diameter in pixels to about 48; images keep 64 pixels a side."""
    return max(1, min(round(diameter / OBJECT_PX), 4, side // 64))


def largest_crop(net: dict[str, NetOption], size: tuple[int, ...], channels: int = 1) -> tuple[int, ...]:
    """The largest crop up to `size` that the network takes; UserError where there is none."""
    name, options = name_and_options(net)
    with torch.device("meta"):
        built = build_net(name, channels=channels, classes=2, **options)
    if len(size) != built.dims:
        return size  # another error names the axes
    crop, _ = built.footprint.nearest_legal(size)
    least = SMALLEST_CROP if len(size) == 2 else 1
    if not built.footprint.valid and (any(np.greater(crop, size)) or min(crop) < least):
        least = max(least, *built.footprint.smallest)
        raise UserError(
            f"the images are {min(size)} pixels on their smaller side; at least {least} are needed."
        )
    return tuple(int(n) for n in crop)


def _from_model(experiment: Experiment, given: Collection[str]) -> Found:
    """The settings that are not given, but known from the model in train.start_from."""
    own_net = any(key.startswith("net.") for key in given)
    found = inherited(experiment)
    return {k: v for k, v in found.items() if k not in given and not (k == "net" and own_net)}


def _of_images(seen: _Seen) -> Found:
    experiment = seen.experiment
    areas = [a for s in seen.samples for a in _areas(s)] if seen.objects else []
    diameter = statistics.median(areas) ** 0.5 if areas else OBJECT_PX
    side = min(min(e.shape) for e in seen.entries)
    downsample = downsampling(diameter, side)
    words = f"the median object is {diameter:.0f} px across" if areas else "no objects to go by"
    if experiment.data.object_diameter:
        downsample, words = 1, "data.object_diameter is set"
    shrunk = -(-side // (experiment.data.downsample if "data.downsample" in seen.given else downsample))
    size, channels = (min(CROP, shrunk),) * 2, len(seen.samples[0].image)
    found: Found = {
        "data.downsample": (downsample, words),
        "train.crop": (
            largest_crop(experiment.net, size, channels)[:1],
            f"the smallest image has {shrunk} px per side",
        ),
    }
    if areas:
        found["labels.min_area"] = int(statistics.median(areas) / 10), "a tenth of the median object's area"
    return found


def _restoration_crop(seen: _Seen) -> Found:
    side = min(min(e.shape) for e in seen.entries)
    crop = largest_crop(seen.experiment.net, (min(RESTORATION_CROP, side),) * 2, len(seen.samples[0].image))
    return {"train.crop": (crop[:1], f"the smallest image has {side} px per side")}


def _of_volumes(seen: _Seen) -> Found:
    """A small 3-D net at full resolution, its crop up to 64 pixels along each axis."""
    experiment, sides = seen.experiment, np.min([e.shape for e in seen.entries], axis=0)
    own = any(key.startswith("net.") for key in seen.given)
    net = experiment.net if own else experiment.net | VOLUME_NET
    if net["name"] == "unet":
        net = {"dims": 3} | net
    multiple = 2 ** VOLUME_NET["depth"] if not own else 1  # type: ignore[operator]
    size = tuple(int(min(-(-n // multiple) * multiple, VOLUME_CROP)) for n in sides)
    found: Found = {
        "train.crop": (
            largest_crop(net, size, len(seen.samples[0].image)),
            f"the smallest volume has {_pixels(sides)} pixels",
        ),
        "train.batch": (2, "crops of volumes are large"),
    }
    if net != experiment.net:
        found["net"] = net, "the images are volumes"
    return found


def _of_labels(seen: _Seen) -> Found:
    """How labels are made and scored; label settings are chosen if there are objects to choose them by."""
    choose = seen.listing.kind != "classes" and any(e.labelled for e in seen.parts.validate)
    found: Found = {
        "train.select_by": _score(seen),
        "labels.test_time_augmentation": (4, "the mean of 4 flips is smoother"),
        "labels.choose": (choose, "the validation part has objects" if choose else "nothing to choose by"),
    }
    if seen.objects and seen.listing.block is None:
        found["labels.seed_threshold"] = SEEDS[seen.experiment.target.kind], "touching objects are split"
    return found


def _score(seen: _Seen) -> tuple[str, str]:
    """The score that the weights and the label settings are chosen by; SEG does not count false objects."""
    data = seen.experiment.data
    if not seen.objects:
        return "iou", "the labels are classes"
    if data.task == "cell-tracking":
        return "seg", "the challenge's own score"
    if data.partly_annotated:
        return "seg", "only some objects are annotated, so that false ones are not known"
    return "panoptic-quality", "the labels are objects; missed and false ones count"


def _with(experiment: Experiment, found: Found, given: Collection[str]) -> Experiment:
    for key, (value, _) in found.items():
        if key in given:
            continue
        table, _, name = key.partition(".")
        changed = replace(getattr(experiment, table), **{name: value}) if name else value
        experiment = replace(experiment, **{table: changed})
    return experiment


def _areas(sample: Sample) -> list[int]:
    labels = np.asarray(sample.labels)
    return np.unique(labels[labels > 0], return_counts=True)[1].tolist()


def _pixels(sides: Sequence[int]) -> str:
    return "×".join(map(str, sides))
