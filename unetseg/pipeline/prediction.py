"""Prediction of a user's files: images in, label TIFFs (and probabilities, pictures) out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.figures import write_overlay
from unetseg.files import plain_stem
from unetseg.images.formats import image_files
from unetseg.images.nifti import read_volume, volume_ending, write_volume
from unetseg.images.whole import Stack, label_dtype, read_stack, write_pages, write_stack
from unetseg.pipeline.model import Model, PredictSettings, in_files
from unetseg.tasks.cell_tracking import frames


@dataclass(frozen=True)
class Output:
    """What to write: the folder, probabilities and overlay pictures beside the labels."""

    folder: Path
    probabilities: bool = False
    pictures: bool = False


@dataclass(frozen=True)
class Written:
    """One image done: the label file, its pages and objects (or classes) in all."""

    path: Path
    pages: int
    objects: int


def find_images(paths: Sequence[Path]) -> list[Path]:
    """The image files named, and those in the folders named; no two of the same name."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder.")
        inside = image_files(path) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"{path}: no TIFF, PNG or NIfTI image in this folder.")
        found += inside
    first: dict[str, Path] = {}
    for path in found:
        other = first.setdefault(plain_stem(path), path)
        if other is not path:
            raise UserError(
                f"{other} and {path}: two images of the same name; their results would overwrite each "
                "other. Rename one, or predict them apart with different --out."
            )
    return found


def predict_files(
    model: Model,
    paths: Sequence[Path],
    output: Output,
    tiling: PredictSettings,
    progress: Callable[[int], None],
) -> Iterator[Written | UserError]:
    """STEM_labels.tif (object ids) or STEM_classes.tif of every image, one page per page.

    A model of volumes takes each file for one; of NIfTI files the results are NIfTI, STEM_labels.nii.gz.
    An image that cannot be read or predicted gives its error and the next one follows; a result that
    cannot be written ends it all.
    """
    volumes = model.net.dims == 3
    predict_one, write_one = (_volume_labels, _write_volume) if volumes else (_page_labels, _write_pages)
    for path in paths:
        if path.resolve().parent == output.folder.resolve():
            raise UserError(
                f"{output.folder}: holds the images; results there would be taken for images the next "
                "time. Choose another --out."
            )
    for path in paths:
        try:
            found = predict_one(model, path, output, tiling, progress)
        except UserError as error:
            yield error
        else:
            yield write_one(_result(output, path, model.recipe.kind), found, output)


@dataclass(frozen=True)
class _Found:
    """What was found in an image file: labels and, if wanted, probabilities of each page (or volume)."""

    source: Stack
    labels: list[NDArray[Any]]
    maps: list[NDArray[np.float32]]


def _page_labels(
    model: Model, path: Path, output: Output, tiling: PredictSettings, progress: Callable[[int], None]
) -> _Found:
    stack = read_stack(path)
    found = _Found(stack, [], [])
    for number, image in enumerate(stack.pixels):
        probabilities = model.probabilities(image, f"{path}[{number}]", tiling)
        found.labels.append(in_files(model.recipe, model.labels(probabilities)))
        if output.probabilities:
            found.maps.append(probabilities)
        progress(1)
    return found


def _volume_labels(
    model: Model, path: Path, output: Output, tiling: PredictSettings, progress: Callable[[int], None]
) -> _Found:
    source = read_volume(path)
    probabilities = model.probabilities(source.pixels[0], str(path), tiling)
    progress(1)
    labels = in_files(model.recipe, model.labels(probabilities))
    return _Found(source, [labels], [probabilities] if output.probabilities else [])


def _write_pages(target: Path, found: _Found, output: Output) -> Written:
    source, pages = found.source, found.labels
    write_pages(target, label_dtype(np.stack(pages)), source)
    if found.maps:
        maps = np.stack(found.maps)
        write_pages(
            _result(output, source.path, "probabilities"), maps[:, 1] if maps.shape[1] == 2 else maps, source
        )
    if output.pictures:
        _write_picture(target, source.path, source.pixels[0], pages[0])
    return Written(target, len(pages), sum(len(np.unique(p[p > 0])) for p in pages))


def _write_volume(target: Path, found: _Found, output: Output) -> Written:
    source, (labels,) = found.source, found.labels
    write_volume(target, label_dtype(labels), source)
    for probabilities in found.maps:
        maps = probabilities[1] if len(probabilities) == 2 else probabilities
        write_volume(_result(output, source.path, "probabilities"), maps, source)
    if output.pictures:
        _write_picture(target, source.path, source.pixels[0], labels)
    return Written(target, len(labels), len(np.unique(labels[labels > 0])))


def _result(output: Output, image: Path, what: str) -> Path:
    """Where a result goes; what: "classes", "instances" or "probabilities"."""
    suffix = "labels" if what == "instances" else what
    return output.folder / f"{plain_stem(image)}_{suffix}{volume_ending(image)}"


def _write_picture(target: Path, path: Path, image: NDArray[Any], labels: NDArray[Any]) -> None:
    picture = target.with_name(f"{plain_stem(target)}.png")
    noun = "classes" if plain_stem(target).endswith("_classes") else "objects"
    write_overlay(picture, image, None, labels.astype(np.int32), path.name, noun=noun)


def predict_sequence(
    model: Model, folder: Path, output: Output, tiling: PredictSettings, progress: Callable[[int], None]
) -> Written:
    """A Cell Tracking Challenge sequence "…/02" to OUT/02_RES/mask000.tif, uint16, in its naming."""
    digits = frames(folder)
    if not digits:
        raise UserError(f"{folder}: no frames named t000.tif; give a sequence's folder, such as DATA/02.")
    result = output.folder / f"{folder.name}_RES"
    objects = 0
    for number in digits:
        stack = read_stack(folder / f"t{number}.tif")
        if len(stack.pixels) > 1:
            raise UserError(f"{stack.path}: {len(stack.pixels)} pages; only 2-D sequences are predicted.")
        labels = model.labels(model.probabilities(stack.pixels[0], str(stack.path), tiling))
        write_stack(result / f"mask{number}.tif", labels.astype(np.uint16)[None], spacing_um=stack.spacing_um)
        objects += int(labels.max(initial=0))
        progress(1)
    return Written(result, len(digits), objects)
