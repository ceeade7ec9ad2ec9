"""An experiment for a folder nobody wrote an experiment file for: settings derived from its data."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from unetseg.errors import UserError
from unetseg.pipeline.dataset import all_entries, evenly, list_data
from unetseg.sample import Entry, LabelKind, Sample
from unetseg.settings import DataSettings, Experiment, LabelSettings, TrainSettings
from unetseg.tasks.cell_tracking import SEQUENCE
from unetseg.tasks.folder_files import IMAGE_FOLDERS, LABEL_FOLDERS, has_labels_beside_images

Task = Literal["cell-tracking", "isbi-em", "folder"]
LOOKED_AT = 8
OBJECT_PX = 48
"""Objects are shrunk to about this diameter: the network sees a few of them at once."""
STRIDE = 16
VOLUME_DEPTH = 3
VOLUME_STRIDE = 2**VOLUME_DEPTH


def derive_experiment(root: Path, steps: int = 0) -> Experiment:
    """The default experiment for the data in `root`: task, pixel size, crop and labels from the data.

    downsample brings the median object to about 48 pixels across; crop is at most 256 pixels and fits
    the smallest image; objects under a tenth of the median area are dropped; the best weights are
    chosen by SEG for objects and by IoU for classes. steps: 0 for the default.
    """
    data = DataSettings(task=guess_task(root), root=str(root))
    listing = list_data(data)
    entries = all_entries(listing)
    samples = [e.read() for e in evenly(entries, LOOKED_AT)]
    if samples[0].image.ndim == 4:
        return _of_volumes(Experiment(name=root.resolve().name, data=data), entries, listing.kind, steps)
    objects = listing.kind == "instances" and data.task != "isbi-em"
    areas = [a for s in samples for a in _areas(s)] if objects else []
    diameter = statistics.median(areas) ** 0.5 if areas else OBJECT_PX
    side = min(min(e.shape) for e in entries)
    downsample = max(1, min(round(diameter / OBJECT_PX), 4, side // 64))
    train = TrainSettings(crop=(_crop(side // downsample),), select_by="seg" if objects else "iou")
    labels = LabelSettings(
        min_area=int(statistics.median(areas) / 10) if areas else 0, test_time_augmentation=4
    )
    return Experiment(
        name=root.resolve().name,
        data=replace(data, downsample=downsample),
        train=replace(train, steps=steps or train.steps),
        labels=replace(labels, seed_threshold=0.8 if objects else 0.0, choose=objects),
    )


def _of_volumes(experiment: Experiment, entries: Sequence[Entry], kind: LabelKind, steps: int) -> Experiment:
    """A small 3-D net at full resolution, its crop up to 64 pixels along each axis."""
    sides = np.min([e.shape for e in entries], axis=0)
    crop = tuple(int(min(max(-(-n // VOLUME_STRIDE), 1), 8) * VOLUME_STRIDE) for n in sides)
    select_by = "seg" if kind == "instances" else "iou"
    train = replace(experiment.train, crop=crop, batch=2, select_by=select_by)
    return replace(
        experiment,
        net={**experiment.net, "width": 8, "depth": VOLUME_DEPTH, "dims": 3},
        train=replace(train, steps=steps or train.steps),
        labels=LabelSettings(test_time_augmentation=4, choose=kind == "instances"),
    )


def guess_task(root: Path) -> Task:
    """The layout of a data folder; raises UserError when it is none that is known."""
    if not root.is_dir():
        wrong = "a file, not a data folder" if root.exists() else "no such folder"
        raise UserError(f"{root}: {wrong}. Give the folder that holds images/ and labels/ (or masks/).")
    if any((root / folder).is_dir() for folder in IMAGE_FOLDERS):
        return "folder"
    if (root / "train-volume.tif").is_file():
        return "isbi-em"
    if any(p.is_dir() and SEQUENCE.fullmatch(p.name) for p in root.iterdir()):
        return "cell-tracking"
    if has_labels_beside_images(root):
        return "folder"
    raise UserError(
        f"{root}: none of the known layouts. {_near(root)}Put images into {root / 'images'} and label "
        "images of the same names into labels/ (or masks/); or give a Cell Tracking Challenge folder "
        "(01/, 01_GT/) or the ISBI 2012 files (train-volume.tif, train-labels.tif)."
    )


def _near(root: Path) -> str:
    """A data folder right above or below `root`, as the words that point to it; else nothing."""
    whole = root.resolve()
    part = whole.name in ("images", *LABEL_FOLDERS) and (whole.parent / "images").is_dir()
    sequence = SEQUENCE.fullmatch(whole.name[:2]) and (whole.parent / whole.name[:2]).is_dir()
    if part or sequence:
        return f"Did you mean the folder above it, {whole.parent}? "
    below = sorted(p.name for p in whole.iterdir() if (p / "images").is_dir())
    return f"Did you mean one in it: {', '.join(below)}? " if below else ""


def _areas(sample: Sample) -> list[int]:
    labels = np.asarray(sample.labels)
    return np.unique(labels[labels > 0], return_counts=True)[1].tolist()


def _crop(side: int) -> int:
    crop = min(256, side // STRIDE * STRIDE)
    if crop < STRIDE:
        raise UserError(f"the images are {side} pixels on their smaller side; at least {STRIDE} are needed.")
    return crop
