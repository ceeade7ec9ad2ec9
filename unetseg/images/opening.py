"""Any image, read region by region: TIFF, Zarr, OME-Zarr, microscopes' files, and PNG (decoded whole)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unetseg.errors import UserError, reading
from unetseg.images.chunks import ChunkCache
from unetseg.images.formats import check_readable, is_microscope, is_tiff
from unetseg.images.lazy import Choice, LazyImage, Read, fingerprint
from unetseg.images.microscopes import open_microscope
from unetseg.images.png import read_picture
from unetseg.images.scale import chosen_axes
from unetseg.images.tiff import open_tiff
from unetseg.images.zarrs import is_zarr, open_zarr

CACHE_BYTES = 32 * 2**20


def open_image(
    path: Path,
    *,
    series: int | None = None,
    level: int = 0,
    channels: tuple[int, ...] | None = None,
    planes: tuple[str, ...] | None = None,
    axes: str | None = None,
    damaged: bool = False,
    cache_bytes: int = CACHE_BYTES,
) -> LazyImage:
    """The image of a TIFF, Zarr, OME-Zarr, PNG or microscope's file; only metadata is read yet.

    series: one of several images in a file, None for all if they are alike; level: of its pyramid, 0 is
    full size; channels and planes: only these, by number and by name; axes: letters such as "ZCYX" if
    the file does not name them; damaged: also open a file that lacks data, and raise DamagedRegion for
    missing regions; cache_bytes: decoded chunks that are kept for the next read.
    Raises UserError for a file that does not exist or cannot be read.
    """
    choice = Choice(series, level, channels, axes, damaged=damaged)
    image = _with_planes(open_chosen(path, choice, cache_bytes), planes)
    return replace(image, read=Reader(path.absolute(), choice, planes, cache_bytes, image.read))


def open_chosen(path: Path, choice: Choice, cache_bytes: int = CACHE_BYTES) -> LazyImage:
    """All chosen planes of a file."""
    cache = ChunkCache(cache_bytes)
    if is_zarr(path):
        with reading(path, "Zarr"):
            image = open_zarr(path, choice, cache)
    else:
        check_readable(path, lossy=True)
        with reading(path, "TIFF" if is_tiff(path) else path.suffix[1:].upper()):
            image = _open_file(path, choice, cache)
    return _with_channels(image, choice.channels)


def _open_file(path: Path, choice: Choice, cache: ChunkCache) -> LazyImage:
    if is_tiff(path):
        return open_tiff(path, choice, cache)
    if is_microscope(path):
        return open_microscope(path, choice, cache)
    return _in_memory(path, choice)


@dataclass
class Reader:
    """An image's reader; in another process it opens the file again."""

    path: Path
    choice: Choice
    planes: tuple[str, ...] | None
    cache_bytes: int
    opened: Read | None = None

    def __call__(self, plane: int, channels: Sequence[int], y: slice, x: slice) -> NDArray[Any]:
        """The pixels (channels, y, x) of a region of a plane."""
        if self.opened is None:
            self.opened = _with_planes(
                open_chosen(self.path, self.choice, self.cache_bytes), self.planes
            ).read
        return self.opened(plane, channels, y, x)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"opened": None}


def _in_memory(path: Path, choice: Choice) -> LazyImage:
    """A PNG or JPEG, which is decoded whole."""
    if choice.series or choice.level:
        raise UserError(f"{path}: a PNG or JPEG has one image at one size and no other series or level.")
    pixels, scale = read_picture(path, palette=choice.palette)

    def read(plane: int, channels: Sequence[int], y: slice, x: slice) -> NDArray[Any]:
        return pixels[list(channels), y, x]

    shape = (pixels.shape[0], pixels.shape[1], pixels.shape[2])
    identity = fingerprint(path, [path], choice)
    return LazyImage(path, ("",), {}, shape, pixels.dtype, scale, shape[1:], identity, read)


def _with_channels(image: LazyImage, channels: tuple[int, ...] | None) -> LazyImage:
    if channels is None:
        return image
    count = image.shape[0]
    if not channels or not all(0 <= c < count for c in channels):
        raise UserError(
            f"{image.path}: has no channels {', '.join(map(str, channels))}; it has {count}, "
            f"numbered 0 to {count - 1}."
        )

    def read(plane: int, wanted: Sequence[int], y: slice, x: slice) -> NDArray[Any]:
        return image.read(plane, [channels[c] for c in wanted], y, x)

    return replace(image, shape=(len(channels), *image.shape[1:]), read=read)


def _with_planes(image: LazyImage, planes: tuple[str, ...] | None) -> LazyImage:
    if planes is None:
        return image
    unknown = [p for p in planes if p not in image.planes]
    if unknown or not planes:
        raise UserError(
            f"{image.path}: has no plane {', '.join(unknown) or '(none was named)'}. "
            f"It has {len(image.planes)}: {image.planes[0] or '(one, without a name)'} … {image.planes[-1]}."
        )
    numbers = [image.planes.index(p) for p in planes]

    def read(plane: int, channels: Sequence[int], y: slice, x: slice) -> NDArray[Any]:
        return image.read(numbers[plane], channels, y, x)

    axes, scale = chosen_axes(image.axes, image.scale, numbers)
    identity = fingerprint(image.path, [], image.identity, planes)
    return replace(image, planes=planes, axes=axes, scale=scale, identity=identity, read=read)
