"""Image files read and written whole: TIFF (plain, ImageJ, OME) and PNG, with axes and physical sizes."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.files import replacing
from unetseg.images.formats import check_readable
from unetseg.images.lazy import Choice, LazyImage
from unetseg.images.limits import check_memory
from unetseg.images.marks import Mark, tiff_tags
from unetseg.images.opening import open_chosen
from unetseg.images.scale import Scale, time_and_slices

IMAGEJ_DTYPES = (np.uint8, np.uint16, np.float32)
OME_DTYPES = (np.int8, np.int16, np.int32, np.uint32, np.float64)
IMAGEJ_BYTES = 2**32 - 2**26
"""ImageJ's own format ends before 4 GiB."""
UUID = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, 'unetseg')}"
"""The UUID of every OME-TIFF written here, so that the same image gives the same bytes."""


@dataclass(frozen=True)
class Stack:
    """The images of a file: pixels (n, c, *yx) of the file's own dtype.

    scale: distances of pixels, slices and frames; axes: lengths of the axes that became the n pages, in
    order ("t": 2, "z": 3).
    """

    path: Path
    pixels: NDArray[np.generic]
    scale: Scale = field(default_factory=Scale)
    axes: dict[str, int] = field(default_factory=dict)

    @property
    def spacing_um(self) -> tuple[float, ...] | None:
        """The distance of pixels in µm, (y, x), or (z, y, x) of a volume; None if any is unknown."""
        yx, z = self.scale.yx_um, self.scale.z_um
        if self.pixels.ndim < 5 or yx is None:
            return yx
        return None if z is None else (z, *yx)


def read_stack(path: Path, *, palette: bool = False, choice: Choice | None = None) -> Stack:
    """All pages of a TIFF or PNG file, or those of `choice`.

    C and S (RGB; alpha is dropped) are channels, all other axes become pages. palette=True reads the
    indices of a palette instead of its colours (label images).
    Raises UserError for a missing, unreadable, incomplete, complex or non-finite file, and for one that
    is larger than the free memory.
    """
    check_readable(path)
    image = open_chosen(path, choice or Choice(palette=palette))
    shape = len(image.planes), *image.shape
    size = int(np.prod(shape, dtype=object)) * image.dtype.itemsize
    check_memory(path, size, "Predict it region by region: --out NAME.ome.zarr.")
    pixels = np.empty(shape, image.dtype)
    everything = range(image.shape[0]), slice(0, image.shape[1]), slice(0, image.shape[2])
    for number, page in enumerate(pixels):
        page[:] = image.read_region(number, *everything)
    check_values(path, pixels)
    return Stack(path, pixels, image.scale, image.axes)


def write_stack(
    path: Path,
    pages: NDArray[Any],
    *,
    spacing_um: Sequence[float] | None,
    axes: str = "TYX",
    frame_s: float | None = None,
    mark: Mark | None = None,
) -> None:
    """A TIFF that Fiji and napari open, with its axes and scale; written completely or not at all.

    uint8, uint16 and float32 pages become ImageJ hyperstacks; other integers and floats, which ImageJ does
    not know, OME-TIFF. axes: of pages, one letter each of TZCYX; spacing_um: (y, x), or (z, y, x);
    frame_s: seconds between frames; mark: of a result, see `marks`.
    """
    scale = Scale.of(None if spacing_um is None else tuple(spacing_um), frame_s)
    _write(path, pages, axes, scale, mark)


def write_pages(path: Path, pages: NDArray[Any], source: Stack | LazyImage, mark: Mark | None = None) -> None:
    """Results (n, y, x) or (n, c, y, x) of an image's pages, along its axes and at its scale."""
    axes, scale = time_and_slices(source.axes, source.scale)
    letters = "".join(axes).upper() + ("YX" if pages.ndim == 3 else "CYX")
    _write(path, pages.reshape(*axes.values(), *pages.shape[1:]), letters, scale, mark)


def label_dtype(labels: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """Labels (any integers ≥ 0) as uint16 if they fit, which every program reads, else uint32."""
    return labels.astype(np.uint16 if labels.max(initial=0) < 2**16 else np.uint32)


def check_values(path: Path, pixels: NDArray[np.generic]) -> None:
    """Raise UserError for pixels that are complex, missing, NaN or infinite."""
    if pixels.dtype.kind not in "uifb":
        raise UserError(f"{path}: {pixels.dtype} pixels; allowed are integers and floats.")
    if 0 in pixels.shape:
        raise UserError(f"{path}: the image is empty (shape {pixels.shape}).")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        count = int((~np.isfinite(pixels)).sum())
        raise UserError(
            f"{path}: {count} pixels are NaN or infinite. Replace them (in Fiji: Process > "
            "Math > NaN Background, or Remove NaNs) and save the image again."
        )


def _write(path: Path, pages: NDArray[Any], axes: str, scale: Scale, mark: Mark | None) -> None:
    order = sorted(range(len(axes)), key=lambda i: "TZCYX".index(axes[i]))
    pages, axes = pages.transpose(order), "".join(axes[i] for i in order)
    if pages.dtype in IMAGEJ_DTYPES and pages.nbytes < IMAGEJ_BYTES:
        options = _imagej(axes, scale)
        pages = pages[..., None]  # tifffile mistakes a last axis of length 1 (one pixel wide) for samples
    elif pages.dtype in (*IMAGEJ_DTYPES, *OME_DTYPES):
        options = {"ome": True, "metadata": ome_metadata(axes, scale), **resolution_per_cm(scale)}
    else:
        options = {"metadata": {"axes": axes}, **resolution_per_cm(scale)}
    if "imagej" in options and mark is not None and "meaning" in mark:
        options["metadata"]["Info"] = mark["meaning"]  # Fiji: Image > Show Info
    options["extratags"] = tiff_tags(mark)
    with replacing(path) as temporary:
        tifffile.imwrite(temporary, pages, compression="zlib", photometric="minisblack", **options)


def _imagej(axes: str, scale: Scale) -> dict[str, Any]:
    """Options of tifffile for an ImageJ hyperstack; ImageJ reads a missing resolution as 1 unit."""
    unit, z, resolution = "pixel", None, None
    if scale.yx_um is not None:
        unit, z, resolution = "um", scale.z_um, (1 / scale.yx_um[1], 1 / scale.yx_um[0])
    sizes = {"spacing": z, "finterval": scale.frame_s}
    known = {key: size for key, size in sizes.items() if size is not None}
    return {"imagej": True, "metadata": {"axes": axes + "S", "unit": unit} | known, "resolution": resolution}


def ome_metadata(axes: str, scale: Scale) -> dict[str, Any]:
    """Tifffile's metadata of an OME-TIFF: axes, sizes in µm and seconds between frames."""
    y, x = scale.yx_um or (None, None)
    sizes = {
        "PhysicalSizeX": x,
        "PhysicalSizeY": y,
        "PhysicalSizeZ": scale.z_um,
        "TimeIncrement": scale.frame_s,
    }
    return {"axes": axes, "UUID": UUID} | {key: size for key, size in sizes.items() if size is not None}


def resolution_per_cm(scale: Scale) -> dict[str, Any]:
    """Tifffile's options of the resolution tags, which programs without OME metadata read."""
    if scale.yx_um is None:
        return {}
    y, x = scale.yx_um
    return {"resolution": (1e4 / x, 1e4 / y), "resolutionunit": "CENTIMETER"}
