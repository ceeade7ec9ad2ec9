"""Annotations drawn on screen as training data on disk."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tomli_w
from numpy.typing import NDArray

from unetseg.config import experiment_table
from unetseg.errors import UserError
from unetseg.files import replacing
from unetseg.images.formats import image_files
from unetseg.images.whole import read_stack, write_stack
from unetseg.pipeline.auto import DERIVED, derive_settings, downsampling, largest_crop
from unetseg.settings import DataSettings, Experiment, LabelSettings, TargetSettings, TrainSettings

Zero = Literal["not annotated", "background"]
NOT_ANNOTATED, BACKGROUND, OBJECT = 0, 1, 2
"""Values in the label files that are written, as in docs/scribbles.md."""
CROP, STRIDE = 96, 16
SMALL = 0.1
"""Objects below this part of the area of a disk of the given diameter are dropped."""
GIVEN = frozenset(
    {"data.root", "data.labels", "data.not_annotated", "data.object_diameter", "target.balance",
     "train.steps", "train.class_balanced_crops", "train.validate_every", "train.start_from"}
)  # fmt: skip
"""What an experiment on annotations says itself, beside all that is otherwise derived from objects."""


def annotation_classes(
    drawn: NDArray[Any], *, zero: Zero = "not annotated", background: int | None = 1
) -> NDArray[np.uint8]:
    """Labels (y, x) as drawn to the values of a training label file: 0 not annotated, 1 background, 2 object.

    zero: what 0 means in `drawn`; background: the value that was drawn as background, None if every value
    above 0 is an object. Where two objects touch, the pixels on both sides of their border become background,
    so that a network that learns two classes keeps them separate.

    >>> annotation_classes(np.array([[0, 1, 5, 6]])).tolist()
    [[0, 1, 1, 1]]
    """
    objects = (drawn > 0) if background is None else (drawn > 0) & (drawn != background)
    found = np.full(drawn.shape, BACKGROUND if zero == "background" else NOT_ANNOTATED, np.uint8)
    found[objects] = OBJECT
    if background is not None:
        found[drawn == background] = BACKGROUND
    found[_touching(np.where(objects, drawn, 0))] = BACKGROUND
    return found


def write_annotation(
    folder: Path,
    name: str,
    image: NDArray[Any],
    classes: NDArray[np.uint8],
    spacing_um: tuple[float, ...] | None = None,
) -> Path:
    """Write an image (c, y, x) and its annotation (y, x) to images/NAME.tif and labels/NAME.tif.

    An annotation of that name is replaced. Returns the label file; raises UserError if nothing is drawn.
    """
    if not classes.any():
        raise UserError(f"{name}: nothing is annotated. Draw some background and some objects.")
    pixels, axes = (image[0], "YX") if len(image) == 1 else (image, "CYX")
    write_stack(folder / "images" / f"{name}.tif", pixels, spacing_um=spacing_um, axes=axes)
    path = folder / "labels" / f"{name}.tif"
    write_stack(path, classes, spacing_um=spacing_um, axes="YX")
    return path


def annotated_experiment(
    folder: Path, steps: int = 300, *, diameter: float = 0.0, start_from: str = ""
) -> Experiment:
    """The experiment that learns a folder's annotations; also written to FOLDER/experiment.toml.

    diameter: about how large the objects are in pixels, 0 if it is not known; images are downsampled so that
    the network sees a few objects at once. start_from: as train.start_from. Crops are drawn around annotated
    pixels of both classes. The classes of strokes are balanced, since how much is drawn of each is chance;
    with a page that is annotated whole they are not, or outlines would become too wide. Raises UserError
    while one of the two is missing.
    """
    labels = _annotations(folder)
    side = min(min(label.shape[-2:]) for label in labels)
    train = TrainSettings(
        steps=steps, class_balanced_crops=True, validate_every=max(1, steps // 4), start_from=start_from
    )
    experiment = Experiment(
        name=folder.resolve().name,
        data=DataSettings(root=str(folder.resolve()), labels="classes", not_annotated=(NOT_ANNOTATED,)),
        target=TargetSettings(balance=all((label == NOT_ANNOTATED).any() for label in labels)),
        train=train,
        labels=LabelSettings(test_time_augmentation=4, min_area=int(SMALL * math.pi / 4 * diameter**2)),
    )
    given = DERIVED | GIVEN
    if diameter:
        data = replace(experiment.data, downsample=downsampling(diameter, side))
        experiment = replace(experiment, data=data)
    elif start_from:
        given -= {"data.downsample"}
    experiment = derive_settings(experiment, given).experiment
    experiment = replace(experiment, train=replace(experiment.train, crop=_crop(experiment, side)))
    with replacing(folder / "experiment.toml") as file:
        file.write_text(tomli_w.dumps(experiment_table(experiment)), encoding="utf-8")
    return experiment


def _annotations(folder: Path) -> list[NDArray[Any]]:
    """The annotations of a folder; UserError while a class is missing, or where an image is too small."""
    labels = [read_stack(p).pixels for p in image_files(folder / "labels")] if folder.is_dir() else []
    there = {int(v) for label in labels for v in np.unique(label)}
    for value, what in ((BACKGROUND, "background"), (OBJECT, "objects")):
        if value not in there:
            raise UserError(f"{folder}: no {what} annotated yet. Draw some, and save the annotation.")
    side = min(min(label.shape[-2:]) for label in labels)
    if side < STRIDE:
        raise UserError(
            f"{folder}: the smallest image is {side} pixels across; at least {STRIDE} are needed."
        )
    return labels


def _crop(experiment: Experiment, side: int) -> tuple[int, ...]:
    """A crop that the network takes and that fits images of `side` pixels."""
    return largest_crop(experiment.net, (min(CROP, side // experiment.data.downsample),) * 2)[:1]


def _touching(ids: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels of an object with a pixel of another object next to them along an axis."""
    found = np.zeros(ids.shape, bool)
    for axis in range(ids.ndim):
        one = [slice(None)] * ids.ndim
        other = list(one)
        one[axis], other[axis] = slice(1, None), slice(None, -1)
        a, b = ids[tuple(one)], ids[tuple(other)]
        border = (a != b) & (a > 0) & (b > 0)
        found[tuple(one)] |= border
        found[tuple(other)] |= border
    return found
