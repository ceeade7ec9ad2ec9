"""Tables of the objects in label files."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.evaluation.paired_predictions import result_files
from unetseg.files import replacing
from unetseg.images import LazyImage, open_image
from unetseg.images.formats import is_volume_file
from unetseg.images.nifti import read_volume
from unetseg.images.zarrs import is_zarr
from unetseg.measurements import Columns, measure_objects
from unetseg.tasks.pairing import pair_names

TABLES = (".csv", ".parquet")
ROWS = 8192
"""Rows of a table that are text at the same time."""
COLUMN = re.compile(
    r"file|frame|id|solidity|eccentricity|touches_border|uncertainty|\w+_(px|um|um2|um3|deg|c\d+)"
)


@dataclass(frozen=True)
class Measured:
    """The objects of one page: its file, its name in it ("" if it is the only one), and their columns."""

    file: str
    frame: str
    columns: Columns

    @property
    def count(self) -> int:
        """How many objects there are."""
        return len(self.columns["id"])


@dataclass(frozen=True)
class Summary:
    """Number of objects, the median of their areas (or volumes) with its unit, and the count per frame."""

    objects: int
    median: float
    unit: str
    counts: list[int]


def label_files(path: Path) -> list[Path]:
    """The label files that a path means: itself, or those of a folder; of a prediction only its labels.

    A PNG beside another file of its name is only a picture of it.
    """
    if is_zarr(path) or path.is_file():
        return [path]
    if not path.exists():
        raise UserError(f"{path}: no such file or folder.")
    found = result_files(path) + sorted(p for p in path.iterdir() if p.is_dir() and is_zarr(p))
    if not found:
        raise UserError(f"{path}: this folder has no label images.")
    return [p for p in found if p.stem.endswith("_labels")] or found


def measure_files(labels: Path, images: Path | None = None, *, volumes: bool = False) -> Iterator[Measured]:
    """The objects of every page of a label file, or of all files of a folder.

    images: the image, or the folder of the images, that intensities are measured in; paired by name.
    volumes: the pages of a TIFF are slices of one volume (NIfTI files are volumes always). Pages are read
    window by window, so labels of any size are measured. Raises UserError for sizes that differ.
    """
    for path, image in _paired(label_files(labels), images):
        if volumes or is_volume_file(path):
            yield measure_volume(path, image)
        else:
            yield from measure_pages(path, None if image is None else open_image(image))


def write_measurements(path: Path, tables: Sequence[Measured]) -> None:
    """Write one table of all objects, as CSV or, if pyarrow is installed, as Parquet."""
    check_table_name(path)
    names = list(dict.fromkeys(name for table in tables for name in table.columns))
    if path.suffix.lower() == ".parquet":
        _write_parquet(path, tables, names)
        return
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "frame", *names])
        for table in tables:
            for start in range(0, table.count, ROWS):
                writer.writerows(_rows(table, names, slice(start, start + ROWS)))


def check_table_name(path: Path) -> None:
    """Raise UserError for another format, and where a file is that is no table of measurements.

    To be called before anything is computed.
    """
    if path.suffix.lower() not in TABLES:
        raise UserError(f"{path}: cannot write {path.suffix or 'such'} tables. Allowed: {', '.join(TABLES)}.")
    if path.exists() and not _is_ours(path):
        raise UserError(
            f"{path}: exists and is not a table of measurements as written here, so it is left alone. Choose "
            "another name, or move it away."
        )


def summarise(tables: Sequence[Measured]) -> Summary:
    """What people want to know first; sizes in µm if every pixel size is known."""
    counts = [table.count for table in tables]
    for unit in ("area_um2", "volume_um3", "area_px", "volume_px"):
        if tables and all(unit in table.columns for table in tables):
            sizes = np.concatenate([table.columns[unit] for table in tables])
            return Summary(sum(counts), float(np.median(sizes)) if len(sizes) else np.nan, unit, counts)
    return Summary(sum(counts), np.nan, "", counts)


def open_labels_of(path: Path, axes: str | None = None) -> LazyImage:
    """A label image, read by regions: a file, or the labels inside a result in OME-Zarr.

    axes: letters such as "TYX" instead of the file's own.
    """
    inside = [path / "labels" / name for name in ("labels", "classes")]
    found = open_image(next((p for p in inside if p.is_dir()), path) if is_zarr(path) else path, axes=axes)
    if found.shape[0] != 1 or found.dtype.kind not in "uib":
        raise UserError(
            f"{path}: {found.shape[0]} channels of {found.dtype}; a label image has one channel of whole "
            "numbers, with 0 for the background."
        )
    return found


class Ids:
    """A label plane (y, x) that slices like an array; negative values (not annotated) are background."""

    def __init__(self, image: LazyImage, index: int) -> None:
        self.plane, self.shape = image.plane(index), image.shape[1:]

    def __getitem__(self, region: Any) -> NDArray[np.int64]:
        return _ids(np.asarray(self.plane[(0, *region)]))


def measure_pages(path: Path, image: LazyImage | None = None) -> Iterator[Measured]:
    """The objects of every page of a label file; image: of the same pages, for the grey values."""
    labels = open_labels_of(path)
    if image is not None and (image.shape[1:], len(image.planes)) != (labels.shape[1:], len(labels.planes)):
        one, other = ((i.shape[1:], len(i.planes)) for i in (labels, image))
        raise _sizes_differ(path, *one, image.path, *other)
    spacing = labels.spacing_um or (None if image is None else image.spacing_um)
    for i, frame in enumerate(labels.planes):
        grey = None if image is None else image.plane(i)
        yield Measured(path.name, frame, measure_objects(Ids(labels, i), grey, spacing_um=spacing))


def measure_volume(path: Path, image_path: Path | None = None) -> Measured:
    """The objects of a volume; the image, for the grey values, has as many slices."""
    labels = read_volume(path)
    image = None if image_path is None else read_volume(image_path)
    if image is not None and image.pixels.shape[-3:] != labels.pixels.shape[-3:]:
        raise _sizes_differ(path, labels.pixels.shape[-3:], 1, image.path, image.pixels.shape[-3:], 1)
    spacing = labels.spacing_um or (None if image is None else image.spacing_um)
    grey = None if image is None else image.pixels[0]
    return Measured(path.name, "", measure_objects(_ids(labels.pixels[0, 0]), grey, spacing_um=spacing))


def _ids(labels: NDArray[Any]) -> NDArray[np.int64]:
    return np.maximum(labels.astype(np.int64), 0)


def _paired(labels: Sequence[Path], images: Path | None) -> list[tuple[Path, Path | None]]:
    if images is None:
        return [(path, None) for path in labels]
    candidates = label_files(images)
    if len(labels) == len(candidates) == 1:
        return [(labels[0], candidates[0])]
    remedy = "Give both the same name; _labels, _masks and the like may follow."
    pairs = {label: image for image, label in pair_names(candidates, labels, remedy).pairs}
    lone = [path.name for path in labels if path not in pairs]
    if lone:
        raise UserError(f"{images}: has no image for {', '.join(lone[:3])}. {remedy}")
    return [(path, pairs[path]) for path in labels]


def _sizes_differ(
    labels: Path, size: Sequence[int], pages: int, image: Path, image_size: Sequence[int], image_pages: int
) -> UserError:
    one, other = ("×".join(map(str, s)) for s in (size, image_size))
    return UserError(
        f"{labels}: {pages} of {one} pixels, but {image} has {image_pages} of {other}. "
        "Give the image that the labels were made from."
    )


def _is_ours(path: Path) -> bool:
    """Whether a file is a table with our columns alone."""
    try:
        if path.suffix.lower() == ".parquet":
            from pyarrow import parquet

            names = parquet.read_schema(path).names
        else:
            with path.open(newline="", encoding="utf-8") as file:
                names = next(csv.reader(file), [])
    except (ImportError, OSError, ValueError, csv.Error):
        return False
    return names[:2] == ["file", "frame"] and all(COLUMN.fullmatch(name) for name in names)


def _rows(table: Measured, names: Sequence[str], part: slice) -> Iterator[tuple[Any, ...]]:
    """Some rows of a table as text, with empty cells in columns that it lacks."""
    count = len(table.columns["id"][part])
    columns = [table.columns.get(name) for name in names]
    cells = [[""] * count if c is None else _cells(c[part].tolist()) for c in columns]
    return zip([table.file] * count, [table.frame] * count, *cells, strict=True)


def _cells(values: Sequence[Any]) -> list[Any]:
    return [f"{v:.6g}" if isinstance(v, float) else v for v in values]


def _write_parquet(path: Path, tables: Sequence[Measured], names: Sequence[str]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            f"{path}: Parquet needs the package pyarrow: pip install pyarrow. Or write .csv."
        ) from None
    texts = {"file": pyarrow.string(), "frame": pyarrow.string()}
    found = [
        pyarrow.table(
            {
                key: pyarrow.repeat(pyarrow.scalar(getattr(table, key), kind), table.count)
                for key, kind in texts.items()
            }
            | {name: table.columns.get(name, pyarrow.nulls(table.count)) for name in names}
        )
        for table in tables
    ]
    with replacing(path) as temporary:
        parquet.write_table(pyarrow.concat_tables(found, promote_options="permissive"), temporary)
