"""Volumes in and out: TIFF stacks whose pages are slices, and NIfTI through nibabel.

A volume is (c, z, y, x). NIfTI files hold (x, y, z): they are turned to the axes nearest to right,
anterior, superior (RAS+) when read, so that x, y and z mean the same in every volume, and turned
back when written, with the affine of the file they were predicted from.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.files import replacing
from unetseg.images.whole import Stack, check_values, is_volume_file, read_stack, readable, write_stack

NIFTI_UM = {"meter": 1e6, "mm": 1e3, "micron": 1.0, "unknown": 1e3}
"""NIfTI's units in µm; where none is said, millimetres."""


def read_volume(path: Path, *, palette: bool = False) -> Stack:
    """One volume of a TIFF or NIfTI file: pixels (1, c, z, y, x), spacing_um (z, y, x) or None.

    Raises UserError for files that are no volume or cannot be read, and without nibabel for NIfTI.
    """
    if is_volume_file(path):
        return _read_nifti(path)
    stack = read_stack(path, palette=palette)
    if stack.page_axes > 1:
        raise UserError(
            f"{path}: {len(stack.pixels)} pages along {stack.page_axes} axes (slices and time points?); "
            "a volume has slices alone. Save each volume as a file of its own."
        )
    yx = stack.spacing_um
    spacing = None if yx is None or stack.z_um is None else (stack.z_um, *yx)
    return replace(stack, pixels=np.moveaxis(stack.pixels, 0, 1)[None], spacing_um=spacing)


def read_images(path: Path, *, volumes: bool, palette: bool = False) -> Stack:
    """The pages of a file, or with `volumes` (and of NIfTI always) its one volume."""
    read = read_volume if volumes or is_volume_file(path) else read_stack
    return read(path, palette=palette)


def write_volume(path: Path, volume: NDArray[Any], source: Stack) -> None:
    """Labels (z, y, x) or probabilities (c, z, y, x) as TIFF, or as NIfTI placed like its `source`."""
    if is_volume_file(path):
        _write_nifti(path, volume, source.path)
        return
    pages = volume if volume.ndim == 3 else np.moveaxis(volume, 0, 1)
    write_stack(path, pages, spacing_um=source.spacing_um, axes="ZYX" if volume.ndim == 3 else "ZCYX")


def volume_ending(path: Path) -> str:
    """The ending of results for an image file: .nii.gz for NIfTI, else .tif."""
    return ".nii.gz" if is_volume_file(path) else ".tif"


def _read_nifti(path: Path) -> Stack:
    if not path.is_file():
        raise UserError(f"{path}: no such file.")
    nibabel = _nibabel(path)
    with readable(path, "NIfTI"):
        image = nibabel.as_closest_canonical(nibabel.load(path))
        pixels = np.asarray(image.dataobj)
    if pixels.ndim not in (3, 4):
        raise UserError(f"{path}: {pixels.ndim} axes; a volume has x, y, z and perhaps channels.")
    if pixels.dtype == np.float64:
        pixels = pixels.astype(np.float32)
    check_values(path, pixels)
    channels = pixels[..., None] if pixels.ndim == 3 else pixels
    unit = NIFTI_UM.get(image.header.get_xyzt_units()[0], 1e3)
    spacing = tuple(unit * float(size) for size in image.header.get_zooms()[2::-1])
    return Stack(path, np.ascontiguousarray(channels.T)[None], spacing)


def _write_nifti(path: Path, volume: NDArray[Any], source: Path) -> None:
    """In the source's own axes, with its affine and units."""
    nibabel = _nibabel(source)
    image = nibabel.load(source)
    orientations = nibabel.orientations
    stored = orientations.io_orientation(image.affine)
    canonical = orientations.axcodes2ornt(("R", "A", "S"))
    turned = orientations.apply_orientation(volume.T, orientations.ornt_transform(canonical, stored))
    labels = nibabel.Nifti1Image(turned, image.affine, dtype=turned.dtype)
    labels.header.set_xyzt_units(*image.header.get_xyzt_units())
    with replacing(path) as temporary:
        nibabel.save(labels, temporary)


def _nibabel(path: Path) -> Any:
    try:
        import nibabel
    except ImportError:
        raise UserError(
            f"{path}: NIfTI files are read with the package nibabel, which is not installed. "
            "pip install nibabel, or convert the volumes to TIFF stacks."
        ) from None
    return nibabel
