"""New labels from saved probabilities, with other label settings; the network is not run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unetseg import __version__
from unetseg.errors import UserError
from unetseg.files import plain_stem
from unetseg.images import LazyImage, open_image
from unetseg.images.formats import image_files, is_volume_file
from unetseg.images.kept_maps import PROBABILITIES
from unetseg.images.lazy import fingerprint
from unetseg.images.marks import FILE as MARK_FILE
from unetseg.images.marks import Mark, existing_mark, read_mark
from unetseg.images.ngff import read_attributes
from unetseg.images.nifti import read_volume, volume_ending, write_volume
from unetseg.images.whole import label_dtype
from unetseg.images.zarrs import is_zarr
from unetseg.pipeline.model import Model, in_files
from unetseg.pipeline.result_names import Target, name_targets
from unetseg.settings import LabelSettings
from unetseg.streaming.journal import check_same
from unetseg.streaming.output import predict_to
from unetseg.streaming.relabel import as_probabilities, relabel_request, relabel_tiles
from unetseg.streaming.work import Resumed, Summary, TileDone

SUFFIX = f"_{PROBABILITIES}"


def relabelled(model: Model, **given: Any) -> Model:
    """The model with the label settings that are given (not None) instead of its own.

    Raises UserError for one that does not change its kind of result.
    """
    model.check_segments()
    changed = {name: value for name, value in given.items() if value is not None}
    allowed = [f.name for f in fields(LabelSettings)]
    if model.recipe.kind == "classes":
        allowed = ["threshold"] if model.recipe.classes == 2 else []
    for name in changed:
        if name not in allowed:
            raise UserError(f"--{name.replace('_', '-')}: changes nothing in class maps. Leave it out.")
    return model.with_labels(**changed)


def relabel_targets(path: Path, out: Path, *, kind: str) -> list[Target]:
    """Each file or OME-Zarr of kept probabilities and where its labels go.

    kind: of the labels, "classes" or "instances". Raises UserError, before anything is written, where
    there are no probabilities, or a result has the place of something else.
    """
    ending = "classes" if kind == "classes" else "labels"
    targets = name_targets(_sources(path), out, partial(_result_name, ending=ending))
    for target in targets:
        if target.out.resolve() == target.image.resolve():
            raise UserError(
                f"{target.out}: is the result that holds the probabilities. Choose another --out."
            )
        existing_mark(target.out)
    return targets


def relabel_target(
    model: Model, target: Target, *, overwrite: bool = False
) -> Iterator[Resumed | TileDone | Summary]:
    """Make labels of kept probabilities, resume them, or find them complete.

    With the settings of the prediction they are its labels, if the probabilities are float32.
    """
    if model.net.dims == 3:
        yield _relabel_volume(model, target, overwrite=overwrite)
        return
    maps = open_image(target.image / PROBABILITIES if is_zarr(target.image) else target.image)
    mark = _check(model, maps.shape[0], maps.dtype, target.image)
    source = _source(target.image, mark, maps)
    request = relabel_request(model, source, maps, mark["settings"], chunked=target.streamed)
    yield from predict_to(request, target.out, perform=relabel_tiles, overwrite=overwrite)


def is_exact(path: Path) -> bool:
    """Whether probabilities are kept as they were predicted, not rounded to fewer bits."""
    if is_volume_file(path):
        return True
    return open_image(path / PROBABILITIES if is_zarr(path) else path).dtype == np.float32


def _sources(path: Path) -> list[Path]:
    """The probabilities that a path means: a file, a result in OME-Zarr, or all of a folder."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder.")
    if is_zarr(path):
        if not (path / PROBABILITIES).is_dir():
            raise UserError(f"{path}: holds no probabilities. Predict with --probabilities.")
        return [path]
    if path.is_file():
        return [path]
    files = [p for p in image_files(path) if plain_stem(p).endswith(SUFFIX)]
    zarrs = [p for p in sorted(path.iterdir()) if is_zarr(p) and (p / PROBABILITIES).is_dir()]
    if not files and not zarrs:
        raise UserError(f"{path}: no {SUFFIX}.tif in this folder. Predict with --probabilities.")
    return [*files, *zarrs]


def _result_name(path: Path, ending: str) -> str:
    if is_zarr(path):
        return path.name
    stem = plain_stem(path).removesuffix(SUFFIX)
    return f"{stem}_{ending}{volume_ending(path) if is_volume_file(path) else '.tif'}"


def _source(path: Path, mark: Mark, maps: LazyImage) -> LazyImage:
    """The axes, size and scale of the image that probabilities were predicted of."""
    if not is_zarr(path):
        found = mark.get("image") or {"yx": maps.shape[1:], "yx_um": maps.spacing_um}
        y, x = found["yx"]
        um = found["yx_um"] and (found["yx_um"][0], found["yx_um"][1])
        return replace(maps, shape=(1, y, x), scale=replace(maps.scale, yx_um=um))
    group = next(p for p in sorted((path / "labels").iterdir()) if p.is_dir())
    about = read_attributes(group).get("image-label", {}).get("source", {}).get("image")
    labels = open_image(group)
    return replace(labels, path=(group / about).resolve() if about else path / MARK_FILE)


def _check(model: Model, channels: int, dtype: np.dtype[Any], path: Path) -> Mark:
    """The mark of kept probabilities; UserError for what is none, or of another model's classes."""
    classes, mark = model.recipe.classes, read_mark(path)
    if mark is None or dtype not in (np.float32, np.float16, np.uint8):
        raise UserError(f"{path}: was not written by `unetseg predict --probabilities`.")
    if channels != classes and (channels, classes) != (1, 2):
        raise UserError(
            f"{path}: probabilities of {channels} classes, and the model has {classes}. Give the run that "
            "predicted them."
        )
    return mark


def _relabel_volume(model: Model, target: Target, *, overwrite: bool) -> Summary:
    """The labels of a volume, which is held in memory as it is when predicted."""
    stack = read_volume(target.image)
    maps = stack.pixels[0]
    _check(model, len(maps), maps.dtype, target.image)
    settings = {
        "labels": asdict(model.recipe.labels),
        "kind": [model.recipe.kind, *model.recipe.values],
        "image": fingerprint(target.image, [target.image]),
    }
    mark = existing_mark(target.out)
    if mark is not None and not overwrite:
        check_same(target.out, mark["settings"], settings)
        return Summary.of(mark["summary"])
    labels = in_files(model.recipe, model.labels(as_probabilities(maps)))
    found = Summary((len(np.unique(labels[labels > 0])),), 1, 0, (), 0)
    made = {"unetseg": __version__, "settings": settings, "summary": asdict(found)}
    write_volume(target.out, label_dtype(labels), stack, made)
    return found
