"""New labels from saved probabilities, with other label settings; the network is not run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images import LazyImage, open_image
from unetseg.images.formats import image_files, is_volume_file
from unetseg.images.marks import read_mark
from unetseg.images.whole import label_dtype, write_pages
from unetseg.images.zarrs import is_zarr
from unetseg.pipeline.model import Model
from unetseg.segment import object_labels
from unetseg.settings import LabelSettings

SUFFIX = "_probabilities"


def relabel_maps(maps: NDArray[np.float32], labels: LabelSettings) -> NDArray[np.int32]:
    """Object labels (y, x) from saved probabilities (k, y, x) in 0…1; with k = 1, of the foreground."""
    both = np.concatenate([1 - maps, maps]) if len(maps) == 1 else maps
    return object_labels(both, labels)


def label_settings(model: Model, **given: Any) -> LabelSettings:
    """The model's label settings with the given ones replaced; UserError for classes and volumes."""
    if model.recipe.kind == "classes" or model.net.dims == 3:
        raise UserError("relabel only makes objects in images. For classes and volumes, predict again.")
    return replace(model.recipe.labels, **{name: v for name, v in given.items() if v is not None})


def relabel_targets(path: Path, out: Path, *, overwrite: bool) -> list[tuple[Path, Path]]:
    """Each file of probabilities and its label file in the folder `out`.

    Raises UserError, before anything is written, if there is none or a result would replace a file.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder.")
    if is_zarr(path):
        raise UserError(f"{path}: relabel reads TIFF. Predict with --probabilities into a folder.")
    found = [p for p in image_files(path) if p.stem.endswith(SUFFIX)] if path.is_dir() else [path]
    if not found:
        raise UserError(f"{path}: this folder has no {SUFFIX}.tif. Predict with --probabilities.")
    targets = [(p, out / f"{p.stem.removesuffix(SUFFIX)}_labels.tif") for p in found]
    for source, target in targets:
        if is_volume_file(source):
            raise UserError(f"{source}: relabel reads TIFF, not volumes. Predict again instead.")
        if target.exists() and not overwrite:
            raise UserError(f"{target}: exists. Choose another --out, or give --overwrite.")
    return targets


def relabel_file(source: Path, target: Path, labels: LabelSettings) -> int:
    """Write the labels of a file of probabilities; returns the number of objects."""
    image = open_image(source)
    _check(image, source)
    pages = np.stack([relabel_maps(maps, labels) for maps in _planes(image)])
    target.parent.mkdir(parents=True, exist_ok=True)
    write_pages(target, label_dtype(pages.astype(np.uint32)), image)
    return int(sum(page.max(initial=0) for page in pages))


def _check(image: LazyImage, path: Path) -> None:
    if image.dtype not in (np.float32, np.uint8) or read_mark(path) is None:
        raise UserError(f"{path}: was not written by `unetseg predict --probabilities`.")


def _planes(image: LazyImage) -> Iterator[NDArray[np.float32]]:
    for index in range(len(image.planes)):
        maps = np.asarray(image.plane(index)[:])
        yield maps.astype(np.float32) / np.float32(255 if maps.dtype == np.uint8 else 1)
