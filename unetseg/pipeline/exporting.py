"""Outlines of the objects in label files, for other programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unetseg import __version__
from unetseg.errors import UserError
from unetseg.exports import FORMATS, LabelledPage
from unetseg.files import plain_stem
from unetseg.images import LazyImage
from unetseg.images.formats import is_volume_file
from unetseg.images.marks import Mark, existing_mark, read_mark
from unetseg.images.zarrs import is_zarr
from unetseg.pipeline.measuring import Ids, label_files, open_labels_of


def labelled_pages(path: Path) -> list[LabelledPage]:
    """All pages of a label file, which are read region by region."""
    found, name = open_labels_of(path), plain_stem(path)
    return [LabelledPage(name, Ids(found, i), i, _place(found, i)) for i in range(len(found.planes))]


def export_labels(path: Path, out: Path, kind: str) -> int:
    """Write the outlines of a label file's objects for another program; how many objects there are.

    kind: one of `exports.FORMATS`. Labels of any size are read window by window, and outlines are written
    as they are found.
    """
    return FORMATS[kind][1](out, labelled_pages(path), outlines_mark(path))


def outlines_mark(labels: Path) -> Mark:
    """The mark of the outlines of a label file: with the settings of a result, or without any."""
    mark = read_mark(labels) or {}
    return {"unetseg": mark.get("unetseg", __version__), "settings": mark.get("settings", {})}


def export_targets(labels: Path, out: Path | None, kind: str) -> list[tuple[Path, Path]]:
    """Each label file and the file that its outlines go to: beside it, or in the folder or file `out`.

    Raises UserError before anything is written where a name is of another format, or of a file that
    was not written here.
    """
    ending, files = FORMATS[kind][0], label_files(labels)
    volume = next((path for path in files if is_volume_file(path)), None)
    if volume is not None:
        raise UserError(
            f"{volume}: outlines are of planes, and NIfTI files are volumes. Save the labels as a TIFF stack "
            "or measure them (unetseg measure)."
        )
    beside = [outlines_path(path, kind) for path in files]
    if out is not None and (labels.is_file() or is_zarr(labels)):
        if out.suffix.lower() != ending:
            raise UserError(f"{out}: outlines for {kind} are written as {ending}. Give a name that ends so.")
        beside = [out]
    elif out is not None:
        beside = [out / place.name for place in beside]
    for place in beside:
        existing_mark(place)
    return list(zip(files, beside, strict=True))


def outlines_path(labels: Path, kind: str) -> Path:
    """Where the outlines of a label file go, beside it.

    >>> outlines_path(Path("a_labels.tif"), "imagej").name, outlines_path(Path("b.ome.zarr"), "geojson").name
    ('a_rois.zip', 'b.geojson')
    """
    suffix = f"{'_rois' if kind == 'imagej' else ''}{FORMATS[kind][0]}"
    return labels.with_name(plain_stem(labels).removesuffix("_labels") + suffix)


def _place(image: LazyImage, index: int) -> dict[str, int]:
    lengths = tuple(image.axes.values())
    return dict(zip(image.axes, map(int, np.unravel_index(index, lengths)), strict=True)) if lengths else {}
