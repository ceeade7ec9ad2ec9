"""The labels of a film, read frame by frame: a stack, a folder of frames, or an OME-Zarr."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.evaluation.label_files import check_no_image, read_label_file
from unetseg.evaluation.paired_predictions import label_folder
from unetseg.files import plain_stem
from unetseg.images import LazyImage, open_image
from unetseg.images.formats import image_files
from unetseg.images.scale import Scale, time_and_slices
from unetseg.images.whole import Stack, read_stack
from unetseg.images.zarrs import is_zarr
from unetseg.pipeline.measuring import label_files, open_labels_of
from unetseg.tasks.label_planes import label_plane

NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True)
class Film:
    """The frames of a film: `read` gives the pixels (c, *yx) of one by its number from 0.

    shape: of a frame (*yx); scale: distances of pixels, slices and frames; digits: of the frame numbers.
    """

    path: Path
    count: int
    shape: tuple[int, ...]
    scale: Scale
    digits: int
    read: Callable[[int], NDArray[Any]]

    @property
    def spacing_um(self) -> tuple[float, ...] | None:
        """The pixel size in µm along the axes of a frame, None if any is unknown."""
        yx, z = self.scale.yx_um, self.scale.z_um
        if yx is None or (len(self.shape) == 3 and z is None):
            return None
        return yx if len(self.shape) == 2 else (float(z or 1), *yx)

    def labels(self, frame: int) -> NDArray[np.int64]:
        """The ids (*yx) of the objects of a frame, 0 for the background and for what is not annotated."""
        return np.maximum(label_plane(self.read(frame), f"{self.path}, frame {frame}"), 0)


def open_label_film(path: Path, axes: str | None = None) -> Film:
    """The labels of a film; axes: of a stack that names others, or none, such as TYX or TZYX.

    path: a stack, an OME-Zarr of labels, or a folder with a file for each frame; of a challenge's 01_GT the
    markers in TRA. Raises UserError for anything that has less than two frames.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder.")
    if path.is_file() or is_zarr(path):
        return _with_ids(_stack(open_labels_of(path, axes)))
    folder = path / "TRA" if (path / "TRA").is_dir() else label_folder(path)
    found = [p for p in label_files(folder) if not is_zarr(p)] or label_files(folder)
    if len(found) == 1:
        return _with_ids(_stack(open_labels_of(found[0], axes)))
    return _with_ids(_frames(folder, found, read_label_file))


def open_frames(files: Sequence[Path]) -> Film:
    """The labels of a film with a file for each frame, all in one folder."""
    return _frames(files[0].parent, files, read_label_file)


def open_image_film(path: Path, labels: Film, axes: str | None = None) -> Film:
    """The film that labels were made of; raises UserError for one of another size or length."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder.")
    one = path.is_file() or is_zarr(path)
    film = _stack(open_image(path, axes=axes)) if one else _frames(path, image_files(path), read_stack)
    if (film.count, film.shape) != (labels.count, labels.shape):
        here, there = (f"{f.count} frames of {'×'.join(map(str, f.shape))}" for f in (film, labels))
        raise UserError(f"{path}: {here}, but {labels.path} has {there}. Give the film of these labels.")
    return film


def scaled_like(labels: Film, image: Film) -> Film:
    """The labels with the distances that only their image knows."""
    own, other = labels.scale, image.scale
    known = Scale(own.yx_um or other.yx_um, own.z_um or other.z_um, own.frame_s or other.frame_s)
    return replace(labels, scale=known)


def _with_ids(film: Film) -> Film:
    """The film, if its first frame has object ids; raises UserError for an image or a mask."""
    found = check_no_image(film.read(0), f"{film.path}, frame 0")
    if found.values == {255} and found.components > 1:
        raise UserError(
            f"{film.path}: a mask, in which every object has the value 255. Tracking needs a number for each "
            "object: predict with --as instances, or label the connected components."
        )
    return film


def _stack(image: LazyImage) -> Film:
    axes, scale = time_and_slices(image.axes, image.scale)
    count, volume = axes.get("t", 1), "z" in axes
    if count < 2:
        what = f"one stack of {axes['z']} slices" if volume else "one image"
        raise UserError(
            f"{image.path}: holds {what}; tracking needs at least two frames. If its pages are time points, "
            "name its axes: --axes TYX."
        )
    numbers = np.arange(len(image.planes)).reshape(tuple(axes.values()))
    planes = np.moveaxis(numbers, list(axes).index("t"), 0).reshape(count, -1)

    def read(frame: int) -> NDArray[Any]:
        return _as_frame([np.asarray(image.plane(int(number))) for number in planes[frame]], volume)

    shape = (*planes.shape[1:], *image.shape[1:]) if volume else image.shape[1:]
    return Film(image.path, count, shape, scale, len(str(count - 1)), read)


def _frames(folder: Path, files: Sequence[Path], read_file: Callable[[Path], Stack]) -> Film:
    """A film with a file for each frame, in the order of their numbers."""
    ordered = in_order(folder, files)
    first = read_file(ordered[0])
    if first.axes.get("t", 1) > 1:
        raise UserError(f"{folder}: holds several films, such as {ordered[0].name}. Track one at a time.")
    pages, _, *yx = first.pixels.shape

    def read(frame: int) -> NDArray[Any]:
        pixels = read_file(ordered[frame]).pixels
        if pixels.shape != first.pixels.shape:
            raise UserError(f"{ordered[frame]}: differs from {ordered[0].name} in size or channels.")
        return _as_frame(list(pixels), pages > 1)

    digits = len(_number(ordered[0]) or "")
    return Film(folder, len(ordered), (*([pages] * (pages > 1)), *yx), first.scale, digits, read)


def in_order(folder: Path, files: Sequence[Path]) -> list[Path]:
    """The files by their numbers; raises UserError where one has none, is missing or is there twice."""
    without = [path for path in files if _number(path) is None]
    if len(files) < 2 or without:
        why = f"{without[0].name} has no frame number" if without else f"{len(files)} images"
        raise UserError(
            f"{folder}: is no film ({why}). Give a stack, or a folder with an image for each frame, numbered "
            "as in mask000.tif."
        )
    numbers = {path: int(_number(path) or 0) for path in files}
    ordered = sorted(files, key=lambda path: numbers[path])
    for before, after in pairwise(ordered):
        if numbers[after] != numbers[before] + 1:
            raise UserError(
                f"{folder}: {after.name} follows {before.name}. Frames must be numbered one after another, "
                "each number once."
            )
    return ordered


def _number(path: Path) -> str | None:
    """The digits of a frame's number in its file name.

    >>> _number(Path("man_track007.tif")), _number(Path("2026-t12_labels.tif")), _number(Path("dish.tif"))
    ('007', '12', None)
    """
    found = NUMBER.search(plain_stem(path))
    return found[1] if found else None


def _as_frame(planes: Sequence[NDArray[Any]], volume: bool) -> NDArray[Any]:
    """Planes (c, y, x) as one frame (c, *yx)."""
    return np.stack(planes, axis=1) if volume else planes[0]
