"""The images that could be annotated, and those that a run was trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.files import plain_stem
from unetseg.images import LazyImage, open_image
from unetseg.images.formats import image_files
from unetseg.images.nifti import read_volume
from unetseg.pipeline.dataset import list_data
from unetseg.pipeline.model import Model
from unetseg.pipeline.result_names import images_in
from unetseg.pipeline.suggest import appearance
from unetseg.run import Run
from unetseg.tasks.listing import split
from unetseg.tiles import middle_region

LARGEST_PX = 2048
"""Of larger images the middle is looked at."""


@dataclass(frozen=True)
class Candidate:
    """A page of an image file, or a volume: its name, and its pixels (c, *yx)."""

    name: str
    read: Callable[[], NDArray[Any]]


@dataclass(frozen=True)
class Annotated:
    """The images that a run knows the truth of: the appearance of those that it was trained on, see
    `suggest.appearance`, and a checksum of every one; note: why there are none.
    """

    appearances: tuple[NDArray[np.float64], ...] = ()
    checksums: frozenset[str] = frozenset()
    note: str = ""


def find_candidates(path: Path, *, volumes: bool) -> list[Candidate]:
    """The images of a file or folder, or of its subfolder `images`, page by page, without those in `labels`.

    Raises UserError if there are none, or all have labels.
    """
    folder = path / "images" if (path / "images").is_dir() else path
    labels = image_files(path / "labels") if (path / "labels").is_dir() else []
    done = {plain_stem(label) for label in labels}
    found = [c for file in images_in(folder) for c in _of_file(file, done, volumes=volumes)]
    if not found:
        raise UserError(f"{path}: every image has labels already. Add images that have none.")
    return found


def annotated_images(run: Path, model: Model) -> Annotated:
    """The images of a run's data; none for a model file, and where the data are not there any more."""
    if not run.is_dir():
        return Annotated(note="a model file does not know its training images, so none is compared")
    data = replace(Run.open(run).experiment.data, object_diameter=0)
    appearances, checksums = [], set()
    try:
        listing = list_data(data)
        training = {entry.name for entry in split(listing, data).train}
        for entry in listing.entries:
            whole = np.asarray(entry.read().image)
            image = whole if whole.ndim == 4 else whole[:, *middle_region(whole.shape[1:], LARGEST_PX)]
            checksums.add(checksum(image))
            if entry.name in training:
                appearances.append(appearance(model, entry.name, image))
    except UserError as error:
        return Annotated(
            note=f"the training images cannot be read, so no image is compared with them: {error}"
        )
    return Annotated(tuple(appearances), frozenset(checksums))


def checksum(image: NDArray[Any]) -> str:
    """A text that is the same for the same pixels."""
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def _of_file(path: Path, done: set[str], *, volumes: bool) -> list[Candidate]:
    """The pages of a file, or its volume, that have no labels."""
    stem = plain_stem(path)
    if stem in done:
        return []
    if volumes:
        return [Candidate(path.name, lambda: read_volume(path).pixels[0])]
    image = open_image(path)
    return [
        Candidate(f"{path.name} {plane}".strip(), partial(_middle, image, number))
        for number, plane in enumerate(image.planes)
        if f"{stem}_{plane}" not in done
    ]


def _middle(image: LazyImage, plane: int) -> NDArray[Any]:
    y, x = middle_region(image.shape[1:], LARGEST_PX)
    return image.read_region(plane, range(image.shape[0]), y, x)
