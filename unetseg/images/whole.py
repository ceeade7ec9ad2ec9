"""Images in and out: TIFF (plain, ImageJ, OME) and PNG, with their axes and pixel size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from unetseg.errors import UserError, first_line
from unetseg.files import replacing
from unetseg.images.tiff_tags import (
    channel_axis,
    check_not_cut_off,
    slice_distance_um,
    tiff_spacing,
    without_alpha,
)

Image.MAX_IMAGE_PIXELS = None  # Pillow's limit is meant for pictures from the web; slide scans are larger

TIFF_ENDINGS = (".tif", ".tiff")
ENDINGS = (*TIFF_ENDINGS, ".png")
VOLUME_ENDINGS = (".nii", ".nii.gz")
PICTURE_ENDINGS = (".jpg", ".jpeg", ".jp2", ".bmp", ".gif", ".webp")
MICROSCOPE_ENDINGS = (".czi", ".lif", ".lsm", ".nd2", ".oib", ".oif", ".vsi", ".svs", ".ims", ".stk")
SCANNER_ENDINGS = (".dcm", ".nrrd", ".mha", ".npy", ".h5")
FOREIGN_ENDINGS = (*PICTURE_ENDINGS, *MICROSCOPE_ENDINGS, *SCANNER_ENDINGS)
"""Images of other formats: in a folder of images they are the user's mistake, not to be passed over."""


@dataclass(frozen=True)
class Stack:
    """The images of a file: pixels (n, c, *yx) of the file's own dtype; spacing_um per axis of yx or None.

    z_um: distance of the pages where the file says that they are slices; page_axes: how many of its
    axes became pages.
    """

    path: Path
    pixels: NDArray[np.generic]
    spacing_um: tuple[float, ...] | None
    z_um: float | None = None
    page_axes: int = 1


def read_stack(path: Path, *, palette: bool = False) -> Stack:
    """All pages of a TIFF or PNG file.

    TIFF axes come from the file: T, Z, R, I, Q become pages, C and S (RGB; alpha is dropped)
    channels. A PNG with a palette gives its colours, or with palette=True its indices (label
    images). Raises UserError for a missing, unreadable, complex or not finite file.
    """
    if path.is_dir():
        raise UserError(f"{path}: a folder, where an image file is expected.")
    if not path.is_file():
        raise UserError(f"{path}: no such file.")
    if is_volume_file(path):
        raise UserError(
            f"{path}: a volume, where images are expected. Save its slices as a TIFF stack; "
            "volumes are for networks with dims = 3."
        )
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"{path}: cannot read {path.suffix or 'such'} files. {_convert(path.suffix.lower())}")
    tiff = path.suffix.lower() in TIFF_ENDINGS
    with readable(path, "TIFF" if tiff else "PNG"):
        stack = _read_tiff(path) if tiff else _read_png(path, palette)
    check_values(path, stack.pixels)
    return stack


@contextmanager
def readable(path: Path, what: str) -> Iterator[None]:
    """Whatever a decoder raises in the block for a damaged file becomes a UserError; what: its format."""
    try:
        yield
    except (UserError, PermissionError):
        raise
    except Exception as error:  # which exception it is is anybody's guess
        raise UserError(
            f"{path}: not a readable {what} file ({first_line(error)}). "
            "Open it in a viewer (Fiji, napari) to check it, and save it again."
        ) from None


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder, sorted by name.

    Hidden files, sub-folders and files that are no images are passed over; images of a format that
    is not read are an error, for they would be missed silently.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder.")
    files = sorted((p for p in folder.iterdir() if p.is_file() and p.name[0] != "."), key=lambda p: p.name)
    for path in files:
        ending = next((e for e in reversed(FOREIGN_ENDINGS) if path.name.lower().endswith(e)), None)
        if ending is not None:
            raise UserError(
                f"{path}: {ending} images are not read. {_convert(ending)} Or move the file away."
            )
    return [p for p in files if p.suffix.lower() in ENDINGS or is_volume_file(p)]


def is_volume_file(path: Path) -> bool:
    """Whether the file is of a format that holds volumes alone (NIfTI)."""
    return path.name.lower().endswith(VOLUME_ENDINGS)


def write_stack(
    path: Path, pages: NDArray[Any], *, spacing_um: Sequence[float] | None, axes: str = "TYX"
) -> None:
    """A TIFF that Fiji and napari open, with the pixel size; written whole or not at all.

    uint8, uint16 and float32 pages are ImageJ hyperstacks; other dtypes, which ImageJ does not
    know, plain TIFF. axes: of pages, one letter each; spacing_um: (y, x), or (z, y, x) of a volume.
    """
    imagej = pages.dtype in (np.uint8, np.uint16, np.float32)
    resolution = None if spacing_um is None else (1 / spacing_um[-1], 1 / spacing_um[-2])
    unit = "pixel" if spacing_um is None else "um"  # ImageJ takes a missing resolution for 1 unit
    said: dict[str, Any] = {"axes": axes, "unit": unit}
    if spacing_um is not None and len(spacing_um) == 3:
        said["spacing"] = spacing_um[0]
    options: dict[str, Any] = {"imagej": True, "metadata": said}
    if not imagej:
        options = {"metadata": {"axes": axes}, "photometric": "minisblack"}
        if resolution is not None:
            resolution = (resolution[0] * 1e4, resolution[1] * 1e4)
            options["resolutionunit"] = "CENTIMETER"
    with replacing(path) as temporary:
        tifffile.imwrite(temporary, pages, resolution=resolution, compression="zlib", **options)


def label_dtype(labels: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """Labels (any integers ≥ 0) as uint16 where they fit, which every program reads, else uint32."""
    return labels.astype(np.uint16 if labels.max(initial=0) < 2**16 else np.uint32)


def _read_tiff(path: Path) -> Stack:
    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        _check_whole(path, tiff)
        pixels = series.asarray()
        spacing, z = tiff_spacing(tiff), slice_distance_um(tiff)
        axes = series.axes
    if pixels.dtype == bool:  # 1 bit per pixel, as Fiji and Pillow show it
        pixels = np.where(pixels, np.uint8(255), np.uint8(0))
    page_axes = sum(n > 1 for n, axis in zip(pixels.shape, axes, strict=True) if axis not in "CSYX")
    return Stack(path, _pages_channels(path, pixels, axes), spacing, z, page_axes)


def _check_whole(path: Path, tiff: tifffile.TiffFile) -> None:
    """Refuse a file whose end is missing or that has pages of several sizes."""
    check_not_cut_off(path, tiff.series[0])
    sizes = [s.shape for s in tiff.series if not s.keyframe.is_reduced]
    if len(sizes) > 1:
        raise UserError(
            f"{path}: holds {len(sizes)} images of different kind or size ({sizes[0]}, {sizes[1]}). "
            "Save each as a file of its own."
        )


def _pages_channels(path: Path, pixels: NDArray[Any], axes: str) -> NDArray[Any]:
    """(n, c, y, x) from any TIFF axes."""
    channel = channel_axis(path, axes)
    if channel < 0:
        pixels, channel, axes = pixels[None], 0, "C" + axes
    order = [i for i, a in enumerate(axes) if i != channel and a not in "YX"]
    moved = pixels.transpose(*order, channel, axes.index("Y"), axes.index("X"))
    pages = moved.reshape(-1, *moved.shape[-3:])
    return pages[:, : without_alpha(pages.shape[1])] if "S" in axes else pages


def _read_png(path: Path, palette: bool) -> Stack:
    with Image.open(path) as image:
        dpi = image.info.get("dpi")
        pixels = _png_pixels(path, image, palette)
    channels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    spacing = (25400 / dpi[1], 25400 / dpi[0]) if dpi and dpi[0] > 1000 else None
    return Stack(path, channels[None, : without_alpha(len(channels))], spacing)


def _png_pixels(path: Path, image: Image.Image, palette: bool) -> NDArray[Any]:
    """(y, x) or (y, x, channels), 8 or 16 bit."""
    if image.mode == "P":
        colours = np.asarray(image.getpalette()).reshape(-1, 3)
        grey = bool((colours == colours[:, :1]).all())  # as Fiji saves its 8-bit images
        return np.asarray(image if palette else image.convert("L" if grey else "RGB"))
    if image.mode in ("RGB", "RGBA", "LA"):
        return imagecodecs.png_decode(path.read_bytes())  # Pillow would cut 16 bit to 8
    pixels = np.asarray(image.convert("L") if image.mode == "1" else image)
    return pixels.astype(np.uint16) if pixels.dtype == np.int32 else pixels  # mode I: 16 bit


def _convert(ending: str) -> str:
    allowed = f"Allowed: {', '.join(ENDINGS)}."
    if ending not in FOREIGN_ENDINGS:
        return allowed
    lossy = " (JPEG is lossy: better go back to the original)" if ending in (".jpg", ".jpeg") else ""
    return f"Convert them to TIFF, in Fiji with Process > Batch > Convert{lossy}. {allowed}"


def check_values(path: Path, pixels: NDArray[np.generic]) -> None:
    """Raise UserError for pixels that are complex, none at all, NaN or infinite."""
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
