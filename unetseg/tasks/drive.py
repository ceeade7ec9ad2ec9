"""DRIVE: retinal photographs with their vessels, inside the field of view only.

    ROOT/train/images/21.tif   RGB          ROOT/test/images/01.tif …   the official split, 20 and 20
    ROOT/train/labels/21.tif   > 0 vessel   (first observer)
    ROOT/train/fov/21.tif      > 0 inside the field of view

Staal et al., IEEE TMI 23(4), 501–509, 2004: scores count the pixels inside the field of view. Pixels
outside are read as not annotated, so they have no weight in training either.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from unetseg.errors import UserError
from unetseg.images.whole import read_stack
from unetseg.sample import NOT_ANNOTATED, Entry, Sample
from unetseg.settings import DataSettings
from unetseg.tasks.folder_files import paired_files
from unetseg.tasks.label_planes import label_plane
from unetseg.tasks.listing import Listing

PARTS = ("train", "test")


def listing(root: Path, data: DataSettings) -> Listing:
    """The photographs of both parts: group "train" or "test", index by name from 0; a class map of 2.

    A part without a folder is left out, as the labels of the test part may be missing in a download.
    """
    there = [part for part in PARTS if (root / part).is_dir()]
    if not there:
        raise UserError(f"{root}: has neither train/ nor test/. Give the folder that holds both.")
    files = {part: paired_files(root / part) for part in there}
    entries = [
        Entry(f"{part}/{image.stem}", part, i, partial(_read, part, image, labels))
        for part in there
        for i, (image, labels) in enumerate(files[part])
    ]
    counts = ", ".join(f"{len(files[part])} {part}" for part in there)
    return Listing(tuple(entries), kind="classes", notes=(f"vessels inside the field of view: {counts}",))


def _read(part: str, image: Path, labels: Path) -> Sample:
    field = image.parent.parent / "fov" / image.name
    if not field.is_file():
        raise UserError(f"{field}: no such file. Put DRIVE's fields of view (its folder mask/) into fov/.")
    vessels = label_plane(read_stack(labels).pixels[0], str(labels)) > 0
    inside = label_plane(read_stack(field).pixels[0], str(field)) > 0
    if vessels.shape != inside.shape:
        raise UserError(
            f"{field} is {inside.shape} and {labels} {vessels.shape}; they must be the same size."
        )
    classes = np.where(inside, vessels, NOT_ANNOTATED).astype(np.int32)
    return Sample(f"{part}/{image.stem}", read_stack(image).pixels[0], classes, kind="classes")
