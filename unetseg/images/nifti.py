"""Reading and writing volumes: TIFF stacks whose pages are slices, and NIfTI through nibabel.

A volume is (c, z, y, x). NIfTI files hold (x, y, z): when read, they are turned to the nearest axes of
right, anterior, superior (RAS+), so that x, y and z mean the same in every volume. When written, they
are turned back, with the affine of the file that they were predicted from.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError, reading
from unetseg.files import replacing
from unetseg.images.formats import is_volume_file
from unetseg.images.lazy import Choice
from unetseg.images.limits import check_claim, check_memory
from unetseg.images.marks import Mark
from unetseg.images.scale import Scale
from unetseg.images.whole import Stack, check_values, read_stack, write_stack

NIFTI_UM = {0: 1e3, 1: 1e6, 2: 1e3, 3: 1.0}
"""NIfTI's units of length by their codes, in µm; millimetres if none is given (0)."""


def read_volume(path: Path, *, palette: bool = False, choice: Choice | None = None) -> Stack:
    """One volume of a TIFF or NIfTI file: pixels (1, c, z, y, x), spacing_um (z, y, x) or None.

    Raises UserError for files that are no volume or cannot be read, and without nibabel for NIfTI.
    """
    if is_volume_file(path):
        stack = _read_nifti(path)
        return stack if choice is None else replace(stack, pixels=_channels(stack, choice))
    stack = read_stack(path, palette=palette, choice=choice)
    if len(stack.axes) > 1:
        raise UserError(
            f"{path}: {len(stack.pixels)} pages along {len(stack.axes)} axes ({', '.join(stack.axes)}); "
            "a volume only has slices. Save each volume as a separate file."
        )
    return replace(stack, pixels=np.moveaxis(stack.pixels, 0, 1)[None], axes={})


def read_images(path: Path, *, volumes: bool, palette: bool = False, choice: Choice | None = None) -> Stack:
    """The pages of a file, or those of `choice`; with `volumes` (and of NIfTI always) its one volume."""
    read = read_volume if volumes or is_volume_file(path) else read_stack
    return read(path, palette=palette, choice=choice)


def write_volume(path: Path, volume: NDArray[Any], source: Stack, mark: Mark | None = None) -> None:
    """Labels (z, y, x) or probabilities (c, z, y, x) as TIFF, or as NIfTI placed like its `source`.

    mark: of a result, see `marks`.
    """
    if is_volume_file(path):
        _write_nifti(path, volume, source.path, mark)
        return
    pages = volume if volume.ndim == 3 else np.moveaxis(volume, 0, 1)
    axes = "ZYX" if volume.ndim == 3 else "ZCYX"
    write_stack(path, pages, spacing_um=source.spacing_um, axes=axes, mark=mark)


def volume_ending(path: Path) -> str:
    """The ending of results for an image file: .nii.gz for NIfTI, else .tif."""
    return ".nii.gz" if is_volume_file(path) else ".tif"


def _read_nifti(path: Path) -> Stack:
    if not path.is_file():
        raise UserError(f"{path}: no such file.")
    nibabel = _nibabel(path)
    with reading(path, "NIfTI"):
        stored = nibabel.load(path)
        _check_size(path, stored)
        image = nibabel.as_closest_canonical(stored)
        pixels = np.asarray(image.dataobj)
        scale = _scale(image)
    if pixels.dtype == np.float64:
        pixels = pixels.astype(np.float32)
    check_values(path, pixels)
    channels = pixels[..., None] if pixels.ndim == 3 else pixels
    return Stack(path, np.ascontiguousarray(channels.T)[None], scale)


def _channels(stack: Stack, choice: Choice) -> NDArray[np.generic]:
    """The chosen channels of a volume (1, c, z, y, x)."""
    wanted, count = choice.channels or (), stack.pixels.shape[1]
    if not all(channel < count for channel in wanted):
        raise UserError(f"{stack.path}: has no channels {', '.join(map(str, wanted))}; it has {count}.")
    return stack.pixels[:, list(wanted)] if wanted else stack.pixels


def _check_size(path: Path, image: Any) -> None:
    """Refuse, before anything is allocated, what is not a volume or claims more than the file can hold."""
    shape, stored = image.shape, image.dataobj
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise UserError(f"{path}: its shape is {shape}; a volume has x, y, z and optionally channels.")
    size, claimed = path.stat().st_size, math.prod(shape) * stored.dtype.itemsize
    check_claim(path, claimed, size)
    check_memory(path, 2 * math.prod(shape) * max(stored.dtype.itemsize, 4))
    if path.suffix.lower() == ".nii" and stored.offset + claimed > size:
        raise UserError(f"{path}: the file is truncated: it ends after {size} bytes. Copy or save it again.")


def _scale(image: Any) -> Scale:
    """The distances of voxels; unknown if a unit or a distance makes no sense."""
    unit = NIFTI_UM.get(int(image.header["xyzt_units"]) % 8)
    sizes = [float(size) for size in image.header.get_zooms()[2::-1]]
    if unit is None or not all(0 < size < math.inf for size in sizes):
        return Scale()
    z, y, x = (unit * size for size in sizes)
    return Scale((y, x), z)


def _write_nifti(path: Path, volume: NDArray[Any], source: Path, mark: Mark | None) -> None:
    """In the source's own axes, with its affine and units."""
    nibabel = _nibabel(source)
    image = nibabel.load(source)
    orientations = nibabel.orientations
    stored = orientations.io_orientation(image.affine)
    canonical = orientations.axcodes2ornt(("R", "A", "S"))
    turned = orientations.apply_orientation(volume.T, orientations.ornt_transform(canonical, stored))
    labels = nibabel.Nifti1Image(turned, image.affine, dtype=turned.dtype)
    labels.header["xyzt_units"] = image.header["xyzt_units"]
    if mark is not None:
        text = json.dumps(mark).encode()
        labels.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", text))
    with replacing(path) as temporary:
        nibabel.save(labels, temporary)


def _nibabel(path: Path) -> Any:
    try:
        import nibabel
    except ImportError:
        raise UserError(
            f"{path}: NIfTI files are read with the package nibabel, which is not installed: pip install "
            "nibabel. Or convert the volumes to TIFF stacks."
        ) from None
    return nibabel
