"""Image files: TIFF of many makers, PNG, NIfTI and Zarr, read whole and region by region."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from unetseg.errors import UserError
from unetseg.images import open_image
from unetseg.images.nifti import read_volume
from unetseg.images.whole import read_stack

from .harness import Kind
from .mutations import EXTREME, damage_bytes, damage_json

METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs")
SIDE = 1024
"""Pixels of a plane that are read at most along y and x."""


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    """Smooth enough to be compressed."""
    return np.cumsum(np.random.default_rng(0).integers(0, 3, shape), axis=-1).astype(dtype)


def read_both_ways(path: Path) -> None:
    """Whole and region by region, as predict does; where both can be read they must be equal."""
    errors: list[UserError] = []
    try:
        whole = read_stack(path).pixels
    except UserError as error:
        errors.append(error)
    try:
        image = open_image(path)
        planes = [image.plane(i)[:, :SIDE, :SIDE] for i in range(min(3, len(image.planes)))]
    except UserError as error:
        errors.append(error)
    if errors:
        raise errors[0]
    if len(whole) != len(image.planes) or whole.shape[1:] != image.shape:
        raise ValueError(f"whole {whole.shape}, by regions {len(image.planes)} of {image.shape}")
    for page, plane in zip(whole, planes, strict=False):
        np.testing.assert_array_equal(page[:, :SIDE, :SIDE], plane)


def read_regions(path: Path) -> None:
    """The first planes of an image that is read region by region only."""
    image = open_image(path)
    for number in range(min(3, len(image.planes))):
        image.plane(number)[:, :SIDE, :SIDE]


def damage_tiff(path: Path, rng: np.random.Generator) -> str:
    """Bytes, or the value of a tag."""
    if rng.integers(2):
        return damage_bytes(path, rng)
    with tifffile.TiffFile(path) as tiff:
        pages = list(tiff.pages)
        tags = list(pages[rng.integers(len(pages))].tags)
        tag = tags[rng.integers(len(tags))]
    value = int(rng.choice(EXTREME))
    with path.open("r+b") as file:
        file.seek(tag.offset + (4 if rng.integers(4) == 0 else 8))  # its count, or its value
        file.write(value.to_bytes(4, "little"))
    return f"tag {tag.name} {value}"


def damage_store(path: Path, rng: np.random.Generator) -> str:
    """Mostly a metadata file's JSON, else the bytes of any file of the folder."""
    files = sorted(p for p in path.rglob("*") if p.is_file())
    described = [p for p in files if p.name in METADATA and json.loads(p.read_text())]
    if rng.integers(5):
        return damage_json(described[rng.integers(len(described))], rng)
    file = files[rng.integers(len(files))]
    return f"{file.name}: {damage_bytes(file, rng)}"


def make_tiff(folder: Path, *, name: str = "a.tif", pixels: np.ndarray, **options: Any) -> Path:
    """One call of tifffile."""
    tifffile.imwrite(folder / name, pixels, **options)
    return folder / name


def make_pages(folder: Path) -> Path:
    """Pages that are written one by one."""
    for page in noise(3, 40, 50):
        tifffile.imwrite(folder / "a.tif", page, append=True, photometric="minisblack")
    return folder / "a.tif"


def make_pyramid(folder: Path) -> Path:
    """An OME-TIFF with its levels."""
    fine = noise(2, 64, 96)
    with tifffile.TiffWriter(folder / "a.ome.tif", ome=True) as writer:
        writer.write(fine, subifds=1, tile=(16, 16), photometric="minisblack", metadata={"axes": "ZYX"})
        writer.write(fine[:, ::2, ::2], subfiletype=1, tile=(16, 16), photometric="minisblack")
    return folder / "a.ome.tif"


def make_png(folder: Path, mode: str) -> Path:
    """A picture of Pillow's mode."""
    Image.fromarray(noise(40, 50, 3)).convert(mode).save(folder / "a.png")
    return folder / "a.png"


def make_nifti(folder: Path, name: str) -> Path:
    """A volume with its units."""
    import nibabel

    image = nibabel.Nifti1Image(noise(6, 7, 8).astype(np.int16), np.diag([1.0, 2.0, 3.0, 1.0]))
    image.header.set_xyzt_units("micron", "sec")
    nibabel.save(image, folder / name)
    return folder / name


def make_array(folder: Path, zarr_format: Any) -> Path:
    """A Zarr array in chunks."""
    import zarr

    array = zarr.create_array(
        folder / "a.zarr", shape=(40, 50), chunks=(16, 16), dtype="u1", zarr_format=zarr_format
    )
    array[:] = noise(40, 50)
    return folder / "a.zarr"


def make_ome_zarr(folder: Path, version: str) -> Path:
    """An OME-Zarr image of two levels."""
    import zarr

    path, old = folder / "a.ome.zarr", version == "0.4"
    zarr.create_group(path, zarr_format=2 if old else 3)
    for level in (0, 1):
        size = 40 >> level
        array = zarr.create_array(
            path / str(level), shape=(2, 3, size, size), chunks=(1, 1, 16, 16), dtype="u2",
            zarr_format=2 if old else 3,
        )  # fmt: skip
        array[:] = noise(2, 3, size, size, dtype=np.uint16)
    image = {"name": "a", "version": version, "axes": ome_axes(), "datasets": [ome_level(0), ome_level(1)]}
    file = path / (".zattrs" if old else "zarr.json")
    group = {} if old else json.loads(file.read_text())
    attributes = {"multiscales": [image]}
    file.write_text(json.dumps(attributes if old else group | {"attributes": {"ome": attributes}}))
    return path


def ome_axes() -> list[dict[str, str]]:
    """Axes t, z, y, x with units."""
    space = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    return [{"name": "t", "type": "time", "unit": "second"}, *space]


def ome_level(level: int) -> dict[str, Any]:
    """A level's entry: pixels of 0.5 µm at full size."""
    scale = {"type": "scale", "scale": [30.0, 2.0, 0.5 * 2**level, 0.5 * 2**level]}
    return {"path": str(level), "coordinateTransformations": [scale]}


def make_set(folder: Path) -> Path:
    """An OME-TIFF set of two files of two planes each."""
    names = ("a.ome.tif", "b.ome.tif")
    planes = "".join(
        f'<TiffData FirstZ="{z}" IFD="{z % 2}" PlaneCount="1"><UUID FileName="{names[z // 2]}">urn:{z // 2}'
        "</UUID></TiffData>"
        for z in range(4)
    )
    for i, name in enumerate(names):
        text = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:{i}">'
            '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="50" '
            f'SizeY="40" SizeZ="4" SizeC="1" SizeT="1"><Channel ID="C:0"/>{planes}</Pixels></Image></OME>'
        )
        with tifffile.TiffWriter(folder / name) as writer:
            for j, page in enumerate(STACK[2 * i : 2 * i + 2]):
                said = None if j else text
                writer.write(
                    page, description=said, metadata=None, contiguous=False, photometric="minisblack"
                )
    return folder / names[0]


STACK = noise(4, 40, 50)
SEPARATE = {"photometric": "minisblack", "planarconfig": "separate"}
TIFFS: dict[str, Callable[[Path], Path]] = {
    "tiff plain": partial(make_tiff, pixels=STACK, photometric="minisblack"),
    "tiff imagej": partial(make_tiff, pixels=STACK, imagej=True, metadata={"axes": "ZYX"}),
    "tiff ome": partial(make_tiff, name="a.ome.tif", pixels=STACK, metadata={"axes": "ZYX"}),
    "tiff zlib": partial(
        make_tiff, pixels=STACK, compression="zlib", predictor=True, photometric="minisblack"
    ),
    "tiff tiles": partial(make_tiff, pixels=noise(40, 50, 3), tile=(16, 16), compression="lzw"),
    "tiff jpeg": partial(make_tiff, pixels=noise(40, 50, 3), tile=(16, 16), compression="jpeg"),
    "tiff big": partial(make_tiff, pixels=STACK, bigtiff=True, byteorder=">", photometric="minisblack"),
    "tiff zstd": partial(make_tiff, pixels=noise(2, 40, 50), tile=(16, 16), compression="zstd", **SEPARATE),
    "tiff float": partial(make_tiff, pixels=STACK.astype(np.float32), compression="lzma", predictor=True),
    "tiff bit": partial(make_tiff, pixels=STACK[0] > 25, photometric="miniswhite"),
    "tiff packbits": partial(make_tiff, pixels=STACK, compression="packbits", photometric="minisblack"),
    "tiff jpeg2000": partial(make_tiff, pixels=STACK, compression="jpeg2000", photometric="minisblack"),
    "tiff set": make_set,
    "tiff pages": make_pages,
    "tiff pyramid": make_pyramid,
}
KINDS = {name: Kind(make, damage_tiff, read_both_ways) for name, make in TIFFS.items()}
KINDS |= {
    f"png {mode}": Kind(partial(make_png, mode=mode), damage_bytes, read_both_ways)
    for mode in ("L", "RGB", "P", "1")
}
KINDS |= {
    f"nifti {ending}": Kind(partial(make_nifti, name=f"a.{ending}"), damage_bytes, read_volume)
    for ending in ("nii", "nii.gz")
}
KINDS |= {
    f"zarr v{version}": Kind(partial(make_array, zarr_format=version), damage_store, read_regions)
    for version in (2, 3)
}
KINDS |= {
    f"ome-zarr {version}": Kind(partial(make_ome_zarr, version=version), damage_store, read_regions)
    for version in ("0.4", "0.5")
}
