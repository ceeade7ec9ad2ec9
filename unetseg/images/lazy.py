"""Planes that slice like arrays and read only the requested pixels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import EllipsisType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import DEBUG, UserError, first_line
from unetseg.images.scale import Scale

Shape = tuple[int, int, int]
Index = int | slice | EllipsisType
Read = Callable[[int, Sequence[int], slice, slice], NDArray[Any]]
"""(plane, channels, y, x) → the pixels (channels, y, x); y and x inside the image, step 1."""


@dataclass(frozen=True)
class Choice:
    """What to read of a file.

    series: one of several images, None for all if they are alike; level: of the pyramid; channels: None for
    all; axes: one letter per axis of the file ("TCYX"), where the file does not name them; palette: read the
    indices of a colour table (label images) instead of its colours; damaged: open a file that lacks data,
    whose regions then raise DamagedRegion.
    """

    series: int | None = None
    level: int = 0
    channels: tuple[int, ...] | None = None
    axes: str | None = None
    palette: bool = False
    damaged: bool = False


class Plane(Protocol):
    """One 2-D image: slices like an array (c, y, x), reads only what is requested, from any thread."""

    shape: Shape
    dtype: np.dtype[Any]

    def __getitem__(self, region: Any) -> NDArray[Any]: ...


class DamagedRegion(UserError):  # noqa: N818 (it is a place, and a UserError)
    """Pixels of the input that cannot be read; the rest of the image can.

    path: the file; plane: its name; region: ((y0, y1), (x0, x1)) in pixels of the image.
    """

    def __init__(
        self, path: Path, plane: str, region: tuple[tuple[int, int], tuple[int, int]], why: str
    ) -> None:
        super().__init__(path, plane, region, why)
        self.path, self.plane, self.region, self.why = path, plane, region, why

    def __str__(self) -> str:
        (y0, y1), (x0, x1) = self.region
        of = f" of plane {self.plane}" if self.plane else ""
        return (
            f"{self.path}: damaged at y {y0}:{y1}, x {x0}:{x1}{of} ({self.why}). "
            "Copy or save the file again, or skip what is damaged."
        )


class BrokenChunk(Exception):  # noqa: N818 (it is a place)
    """A block (y, x) of pixels that cannot be decoded, and the reason."""

    def __init__(self, region: tuple[slice, slice], cause: Exception) -> None:
        super().__init__(region, cause)
        self.region, self.cause = region, cause


@dataclass(frozen=True)
class LazyPlane:
    """A plane of an image; takes integers and slices of any step, as numpy does."""

    shape: Shape
    dtype: np.dtype[Any]
    read: Callable[[Sequence[int], slice, slice], NDArray[Any]] = field(repr=False)

    def __getitem__(self, region: Index | tuple[Index, ...]) -> NDArray[Any]:
        """The pixels of a region, in memory."""
        indices = _full(region)
        channels, y, x = (range(n)[i] for i, n in zip(indices, self.shape, strict=True))
        ranges = [r if isinstance(r, range) else range(r, r + 1) for r in (channels, y, x)]
        rows, columns = (_hull(r) for r in ranges[1:])
        pixels = self.read(ranges[0], rows, columns)
        steps = tuple(_steps(r, hull) for r, hull in zip(ranges[1:], (rows, columns), strict=True))
        pixels = pixels[(slice(None), *steps)]
        return pixels[tuple(0 if isinstance(i, int) else slice(None) for i in (channels, y, x))]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)


@dataclass(frozen=True)
class LazyImage:
    """An image file whose planes are read region by region.

    planes: the names of its 2-D planes, "" if there is one, else such as "t003_z012"; axes: the
    lengths of the axes that the planes run over, in order ("t": 12, "z": 5), empty for one plane;
    shape: (c, y, x) of every plane; scale: distances of its pixels, slices and frames; chunks: the (y, x)
    block that one read decodes; identity: a cheap fingerprint of the file and of the chosen part.
    """

    path: Path
    planes: tuple[str, ...]
    axes: dict[str, int]
    shape: Shape
    dtype: np.dtype[Any]
    scale: Scale
    chunks: tuple[int, int]
    identity: str
    read: Read = field(repr=False, compare=False)

    @property
    def spacing_um(self) -> tuple[float, float] | None:
        """The size of a pixel (y, x) in µm, or None."""
        return self.scale.yx_um

    def plane(self, index: int) -> LazyPlane:
        """A plane by its number in `planes`."""
        if not 0 <= index < len(self.planes):
            raise IndexError(f"plane {index} of {len(self.planes)}")

        def read(channels: Sequence[int], y: slice, x: slice) -> NDArray[Any]:
            return _finite(self.read_region(index, channels, y, x), self, index, (y, x))

        return LazyPlane(self.shape, self.dtype, read)

    def read_region(self, plane: int, channels: Sequence[int], y: slice, x: slice) -> NDArray[Any]:
        """Pixels (channels, y, x) of a plane; a reader's errors become DamagedRegion.

        With UNETSEG_DEBUG set they are raised as they are.
        """
        try:
            return self.read(plane, channels, y, x)
        except (UserError, MemoryError):
            raise
        except BrokenChunk as broken:
            (rows, columns), cause = broken.region, broken.cause
        except Exception as error:  # a decoder of damaged data may raise anything
            (rows, columns), cause = (y, x), error
        if os.environ.get(DEBUG):
            raise cause
        bounds = (
            (rows.start, min(rows.stop, self.shape[1])),
            (columns.start, min(columns.stop, self.shape[2])),
        )
        raise DamagedRegion(self.path, self.planes[plane], bounds, first_line(cause))


def plane_names(axes: dict[str, int]) -> tuple[str, ...]:
    """Names of the planes that run over `axes`, the last axis fastest.

    >>> plane_names({"t": 2, "z": 1})
    ('t0_z0', 't1_z0')
    """
    widths = [(name, n, len(str(n - 1))) for name, n in axes.items()]
    sizes = [n for _, n, _ in widths]
    return tuple(
        "_".join(f"{name}{i:0{width}}" for (name, _, width), i in zip(widths, place, strict=True))
        for place in np.ndindex(*sizes)
    )


def fingerprint(path: Path, files: Sequence[Path], *chosen: object) -> str:
    """A short text that changes when the files' sizes or times change, or what was chosen."""
    stats = [file.stat() for file in files]
    identity = (path.name, [(s.st_size, s.st_mtime_ns) for s in stats], *chosen)
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:16]


def _full(region: Index | tuple[Index, ...]) -> tuple[int | slice, ...]:
    """Three indices; an ellipsis and missing indices are filled in."""
    given = region if isinstance(region, tuple) else (region,)
    if Ellipsis not in given:
        given = (*given, Ellipsis)
    place = given.index(Ellipsis)
    filled = (*given[:place], *[slice(None)] * (4 - len(given)), *given[place + 1 :])
    if len(filled) != 3 or not all(isinstance(i, int | np.integer | slice) for i in filled):
        raise IndexError(f"{region}: a plane takes integers and slices for (c, y, x)")
    return tuple(i if isinstance(i, slice) else int(i) for i in filled if i is not Ellipsis)


def _hull(wanted: range) -> slice:
    return slice(min(wanted), max(wanted) + 1) if wanted else slice(0, 0)


def _steps(wanted: range, hull: slice) -> slice:
    """The wanted places within their hull."""
    stop = wanted.stop - hull.start
    return slice(wanted.start - hull.start, stop if stop >= 0 else None, wanted.step)


def _finite(pixels: NDArray[Any], image: LazyImage, index: int, region: tuple[slice, slice]) -> NDArray[Any]:
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        y, x = region
        count = int((~np.isfinite(pixels)).sum())
        bounds = ((y.start, y.stop), (x.start, x.stop))
        raise DamagedRegion(image.path, image.planes[index], bounds, f"{count} pixels are NaN or infinite")
    return pixels
