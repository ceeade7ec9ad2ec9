"""Regions of TIFF files equal the same regions of the file read whole, and only those are read."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from unetseg.errors import UserError
from unetseg.images import DamagedRegion, open_image
from unetseg.images.tiff import Segments
from unetseg.images.whole import read_stack

RNG = np.random.default_rng(0)
REGIONS = [
    (slice(None), slice(None), slice(None)),
    (slice(None), slice(0, 1), slice(0, 1)),
    (slice(None), slice(15, 33), slice(31, 50)),
    (slice(None), slice(40, 70), slice(60, 90)),
]


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return RNG.integers(0, 2**8 if dtype == np.uint8 else 2**16, shape).astype(dtype)


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "strips": {"rowsperstrip": 7, "compression": "zlib"},
    "one strip": {"compression": "lzw"},
    "tiles": {"tile": (16, 32)},
    "zlib": {"tile": (16, 32), "compression": "zlib", "predictor": True},
    "lzw": {"tile": (16, 32), "compression": "lzw"},
    "zstd": {"tile": (16, 32), "compression": "zstd"},
    "jpeg": {"tile": (16, 32), "compression": "jpeg"},
    "big": {"bigtiff": True, "tile": (16, 32), "compression": "zlib"},
    "big-endian": {"byteorder": ">"},
    "big-endian tiles": {"byteorder": ">", "tile": (16, 32), "compression": "zlib"},
}
DTYPES = {"jpeg": [np.uint8]}


def check(path: Path, **options: Any) -> None:
    """Every region of every plane as in the whole file."""
    stack = read_stack(path)
    image = open_image(path, **options)
    assert image.shape == stack.pixels.shape[1:]
    assert image.dtype == stack.pixels.dtype
    assert image.spacing_um == stack.spacing_um
    assert len(image.planes) == len(stack.pixels)
    for number, pixels in enumerate(stack.pixels):
        for region in REGIONS:
            np.testing.assert_array_equal(image.plane(number)[region], pixels[region])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_one_plane(tmp_path: Path, kind: str, dtype: Any) -> None:
    if dtype not in DTYPES.get(kind, [dtype]):
        return
    tifffile.imwrite(tmp_path / "a.tif", noise(70, 90).astype(dtype), **KINDS[kind])
    check(tmp_path / "a.tif")


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("samples", [3, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_colours(tmp_path: Path, kind: str, samples: int, planar: str) -> None:
    shape = (70, 90, samples) if planar == "contig" else (samples, 70, 90)
    if kind == "jpeg" and samples == 4:
        return
    tifffile.imwrite(tmp_path / "a.tif", noise(*shape), photometric="rgb", planarconfig=planar, **KINDS[kind])
    check(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", ["ZYX", "CYX", "TCYX", "TZCYX", "TZYXS"])
def test_planes_and_channels(tmp_path: Path, axes: str, kind: str) -> None:
    lengths = {"T": 3, "Z": 4, "C": 2, "Y": 70, "X": 90, "S": 3}
    pixels = noise(*(lengths[a] for a in axes))
    colour = "rgb" if "S" in axes else "minisblack"
    options = KINDS[kind] if "bigtiff" not in KINDS[kind] else {"tile": (16, 32), "bigtiff": True}
    tifffile.imwrite(
        tmp_path / "a.ome.tif", pixels, ome=True, photometric=colour, metadata={"axes": axes}, **options
    )
    check(tmp_path / "a.ome.tif")


def test_the_names_of_planes(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        noise(2, 11, 5, 6),
        ome=True,
        photometric="minisblack",
        metadata={"axes": "TZYX"},
    )
    image = open_image(tmp_path / "a.ome.tif")
    assert image.axes == {"t": 2, "z": 11}
    assert image.planes[:2] == ("t0_z00", "t0_z01")
    assert image.planes[-1] == "t1_z10"


def test_series_levels_and_channels(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    fine, other = noise(2, 64, 96), noise(50, 40)
    with tifffile.TiffWriter(path, ome=True) as writer:
        size = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
        writer.write(
            fine, subifds=1, tile=(16, 16), photometric="minisblack", metadata={"axes": "CYX"} | size
        )
        writer.write(fine[:, ::2, ::2], subfiletype=1, tile=(16, 16), photometric="minisblack")
        writer.write(other, metadata={"axes": "YX"})
    np.testing.assert_array_equal(open_image(path, series=0).plane(0)[...], fine)
    assert open_image(path, series=0).spacing_um == (0.5, 0.25)
    coarse = open_image(path, series=0, level=1, channels=(1,))
    np.testing.assert_array_equal(coarse.plane(0)[...], fine[1:, ::2, ::2])
    assert coarse.spacing_um == (1.0, 0.5)
    second = open_image(path, series=1)
    np.testing.assert_array_equal(second.plane(0)[0], other)
    assert second.spacing_um is None
    levels = {open_image(path, series=0, level=n).identity for n in (0, 1)}
    assert len(levels | {second.identity, coarse.identity}) == 4
    with pytest.raises(UserError, match=r"2 images of different .*1 \(50×40 YX\).*--series"):
        open_image(path)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"series": 2}, r"no series 2\. It has 0 \(70×90 YX\)"),
        ({"level": 1}, r"no level 1\. It has 0"),
        ({"channels": (1,)}, "has no channels 1; it has 1"),
        ({"planes": ("t1",)}, "no plane t1"),
        ({"axes": "ZYX"}, "axes ZYX were given, but it has 2"),
    ],
)
def test_what_is_not_there_is_reported(tmp_path: Path, options: Any, why: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(70, 90))
    with pytest.raises(UserError, match=why):
        open_image(tmp_path / "a.tif", **options)


def test_a_damaged_tile_is_an_error_of_its_region_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = noise(70, 90)
    tifffile.imwrite(path, pixels, tile=(16, 32), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        offset, count = page.dataoffsets[4], page.databytecounts[4]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * (count // 2))
    plane = open_image(path).plane(0)
    np.testing.assert_array_equal(plane[0, :16], pixels[:16])
    with pytest.raises(DamagedRegion, match=r"a\.tif: damaged at y 16:32, x 32:64 ") as error:
        plane[0, 10:20, 30:40]
    assert error.value.region == ((16, 32), (32, 64))


def test_an_unknown_compression_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(70, 90), compression="zlib")
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages.first.tags["Compression"].overwrite(32908)
    with pytest.raises(UserError, match="PIXARFILM"):
        open_image(path)


def test_numpys_indices(tmp_path: Path) -> None:
    pixels = noise(3, 70, 90)
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(16, 32), photometric="rgb", planarconfig="separate")
    plane = open_image(tmp_path / "a.tif").plane(0)
    for region in [0, (1, 5), (..., 3), (slice(None), slice(60, 10, -7), slice(None, None, 3)), (-1, -1, -1)]:
        np.testing.assert_array_equal(plane[region], pixels[region])
    np.testing.assert_array_equal(np.asarray(plane), pixels)
    assert plane[0, 5:5].shape == (0, 90)
    with pytest.raises(IndexError):
        plane[0, 0, 0, 0]


def test_pages_of_a_plain_tiff_one_bit_and_png(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "pages.tif") as writer:
        for page in noise(3, 70, 90):
            writer.write(page, contiguous=False, metadata=None, compression="zlib")
    for name, compression in (("bit.tif", None), ("group4.tif", "group4"), ("a.png", None)):
        Image.fromarray(noise(70, 90) > 99).save(tmp_path / name, compression=compression)
    Image.fromarray(noise(70, 90, 4)).save(tmp_path / "rgba.png")
    for name in ("pages.tif", "bit.tif", "group4.tif", "a.png", "rgba.png"):
        check(tmp_path / name)


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, kind: str, keep: float) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(200, 200), **KINDS[kind])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(UserError, match=r"a\.tif: "):
        open_image(path)


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_file_is_read_or_refused_but_never_crashes(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(70, 90), tile=(16, 32), compression="zlib" if seed % 2 else None)
    damaged = bytearray(path.read_bytes())
    for place in rng.integers(0, len(damaged), 5 * (1 + seed)):
        damaged[place] = rng.integers(0, 256)
    path.write_bytes(damaged)
    with contextlib.suppress(UserError):
        image = open_image(path)
        assert image.plane(0)[...].shape == image.shape


def test_only_the_tiles_that_a_region_touches_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(70, 90, 3), tile=(16, 32), compression="zlib", photometric="rgb")
    plane = open_image(path).plane(0)
    decoded = []
    decode = Segments._decode
    monkeypatch.setattr(Segments, "_decode", lambda *args: decoded.append(args[2]) or decode(*args))
    plane[:, 17:33, 10:40]
    assert sorted(decoded) == [3, 4, 6, 7]
    plane[1, 16:20, 40:60]
    assert len(decoded) == 4
