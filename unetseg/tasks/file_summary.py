"""What is remembered about an image file and its labels after reading them once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from unetseg.errors import UserError
from unetseg.images.formats import is_volume_file
from unetseg.images.lazy import Choice
from unetseg.images.nifti import read_images
from unetseg.images.whole import Stack
from unetseg.settings import DataSettings
from unetseg.tasks.label_formats import Labels, Origin, read_labels
from unetseg.tasks.label_planes import check_not_negative
from unetseg.tasks.label_statistics import LabelStatistics, label_statistics


@dataclass(frozen=True)
class FileSummary:
    """A summary of an image file and its labels.

    statistics: of every label page, or of the label volume; slices: of a volume, else 1; size: of the
    image along *yx, None if its labels differ; colours: whether it has three different channels;
    grey_range: lowest and highest value of the image; origin: of the labels.
    """

    image: Path
    label: Path
    statistics: tuple[LabelStatistics, ...]
    slices: int
    size: tuple[int, ...] | None
    channels: int
    colours: bool
    dtype: str
    grey_range: tuple[float, float]
    spacing_um: tuple[float, ...] | None
    origin: Origin


@dataclass(frozen=True)
class Reading:
    """How the files of a data set are read: as pages or volumes, and which scene and channels of images."""

    volumes: bool = False
    choice: Choice = Choice()  # noqa: RUF009 (it is frozen)

    @classmethod
    def of(cls, data: DataSettings, images: Sequence[Path]) -> Reading:
        """As the settings say; NIfTI files are always volumes."""
        volumes = data.volumes or any(is_volume_file(image) for image in images)
        return cls(volumes, Choice(series=data.scene, channels=data.channels or None))


def summarise(image: Path, label: Path, reading: Reading, not_annotated: tuple[int, ...] = ()) -> FileSummary:
    """The summary of an image file and its labels, read again only if one of them has changed.

    Raises UserError for files that cannot be read or do not belong together.
    """
    stamps = tuple((s.st_mtime_ns, s.st_size) for s in (image.stat(), label.stat()))
    return _summary(image, label, reading, not_annotated, stamps)


@lru_cache(maxsize=4)
def read_file(path: Path, reading: Reading) -> Stack:
    """An image; cached, since the pages of a stack follow each other and its file is read once for all."""
    return read_images(path, volumes=reading.volumes, choice=reading.choice)


@lru_cache(maxsize=4)
def read_label_file(path: Path, image: Path, reading: Reading) -> Labels:
    """The labels of an image, cached as `read_file`."""
    return read_labels(path, read_file(image, reading), volumes=reading.volumes)


def forget_files() -> None:
    """Read files again, which may have changed since."""
    read_file.cache_clear()
    read_label_file.cache_clear()


@lru_cache(maxsize=2**16)
def _summary(
    image: Path,
    label: Path,
    reading: Reading,
    not_annotated: tuple[int, ...],
    stamps: tuple[tuple[int, int], ...],
) -> FileSummary:
    """Images are also read whole, so that a bad one is named at once; stamps: the files' times and sizes."""
    stack, labels = read_file(image, reading), read_label_file(label, image, reading)
    pages, planes = stack.pixels, labels.stack.pixels
    _check_same(image, label, pages.shape, planes.shape, reading.volumes)
    names = [f"{label}[{i}]" if len(planes) > 1 else str(label) for i in range(len(planes))]
    statistics = [label_statistics(p, not_annotated, n) for p, n in zip(planes, names, strict=True)]
    for found in statistics:
        check_not_negative(min(found.values, default=0), found.name)
    sizes = pages.shape[2:], planes.shape[2:]
    return FileSummary(
        image=image,
        label=label,
        statistics=tuple(statistics),
        slices=planes.shape[2] if reading.volumes else 1,
        size=sizes[0] if sizes[0] == sizes[1] else None,
        channels=pages.shape[1],
        colours=pages.shape[1] == 3 and any(not np.array_equal(pages[:, 0], pages[:, c]) for c in (1, 2)),
        dtype=str(pages.dtype),
        grey_range=(float(pages.min()), float(pages.max())),
        spacing_um=stack.spacing_um,
        origin=labels.origin,
    )


def _check_same(
    image: Path, label: Path, pages: tuple[int, ...], planes: tuple[int, ...], volumes: bool
) -> None:
    if pages[0] != planes[0]:
        as_rgb = (pages[:2], planes[:2]) in (((1, 3), (3, 1)), ((3, 1), (1, 3)))
        hint = (
            " One of them has three channels: three pages saved as RGB by mistake? Save them as pages "
            '(photometric "minisblack" in tifffile; in Fiji Image > Color > RGB Stack).'
            if as_rgb
            else ""
        )
        raise UserError(
            f"{image} has {pages[0]} pages and {label} {planes[0]}; they must have the same number.{hint}"
        )
    if volumes and pages[2:] != planes[2:]:
        raise UserError(
            f"{image} is {pages[2:]} and {label} {planes[2:]} (z, y, x); they must be the same size."
        )
