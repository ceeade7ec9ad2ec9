"""Files: what is written is read back, axes and pixel sizes are understood, damage is named."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from unetseg.errors import UserError
from unetseg.files import plain_stem, replacing, write_json
from unetseg.images.formats import image_files
from unetseg.images.whole import label_dtype, read_stack, write_stack

RNG = np.random.default_rng(0)
SHAPES = {"YX": (), "ZYX": (5,), "TYX": (5,), "CYX": (2,), "TCYX": (4, 2), "ZCYX": (4, 2), "TZCYX": (3, 4, 2)}
"""Axes of a file → lengths of those before y and x."""


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return RNG.integers(0, 2**8 if dtype == np.uint8 else 2**16, shape).astype(dtype)


def expected(pixels: np.ndarray, axes: str) -> np.ndarray:
    """(pages, channels, y, x), by hand: pages are all axes but C, in the file's order."""
    channels = pixels.shape[axes.index("C")] if "C" in axes else 1
    return pixels.reshape(-1, channels, *pixels.shape[-2:])


# TIFF -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("axes", SHAPES)
@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_axes_become_pages_and_channels(tmp_path: Path, kind: str, axes: str, dtype: Any) -> None:
    pixels = noise(*SHAPES[axes], 6, 7, dtype=dtype)
    path = tmp_path / ("a.ome.tif" if kind == "ome" else "a.tif")
    tifffile.imwrite(path, pixels, metadata={"axes": axes}, **{kind: True})
    stack = read_stack(path)
    assert stack.pixels.dtype == dtype
    np.testing.assert_array_equal(stack.pixels, expected(pixels, axes))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_pages_of_a_plain_tiff(tmp_path: Path, dtype: Any) -> None:
    pixels = noise(3, 6, 7).astype(dtype)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in pixels:
            writer.write(page, contiguous=False, metadata=None)
    stack = read_stack(tmp_path / "a.tif")
    assert stack.pixels.dtype == dtype
    np.testing.assert_array_equal(stack.pixels, pixels[:, None])


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
def test_colours_are_channels_and_alpha_is_dropped(tmp_path: Path, planar: bool, alpha: bool) -> None:
    pixels = noise(6, 7, 4 if alpha else 3)
    stored = np.moveaxis(pixels, -1, 0) if planar else pixels
    options: dict[str, Any] = {"extrasamples": ["unassalpha"]} if alpha else {}
    planes = "separate" if planar else "contig"
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planes, **options)
    expected = np.moveaxis(pixels[..., :3], -1, 0)
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif").pixels, expected[None])


def test_an_upper_case_ending_and_dots_in_the_name(tmp_path: Path) -> None:
    path = tmp_path / "cell 1.0 dish.TIF"
    tifffile.imwrite(path, noise(4, 4))
    assert read_stack(path).pixels.shape == (1, 1, 4, 4)
    assert plain_stem(path) == "cell 1.0 dish"
    assert plain_stem(Path("cell 1.0.OME.tiff")) == "cell 1.0"


# Pixel size ---------------------------------------------------------------------------------------

SIZES: dict[str, tuple[dict[str, Any], tuple[float, float] | None]] = {
    "imagej um": ({"imagej": True, "metadata": {"unit": "um"}, "resolution": (4, 2)}, (0.5, 0.25)),
    "imagej micron": ({"imagej": True, "metadata": {"unit": "micron"}, "resolution": (4, 2)}, (0.5, 0.25)),
    "imagej µm": ({"imagej": True, "metadata": {"unit": "\\u00B5m"}, "resolution": (4, 2)}, (0.5, 0.25)),
    "imagej nm": ({"imagej": True, "metadata": {"unit": "nm"}, "resolution": (0.25, 0.25)}, (0.004, 0.004)),
    "imagej pixel": ({"imagej": True, "metadata": {"unit": "pixel"}, "resolution": (1, 1)}, None),
    "cm": ({"resolution": (40000, 20000), "resolutionunit": "CENTIMETER"}, (0.5, 0.25)),
    "inch": ({"resolution": (300, 300), "resolutionunit": "INCH"}, None),
    "none": ({}, None),
    "ome": ({"ome": True, "metadata": {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}}, (0.5, 0.25)),
    "ome none": ({"ome": True}, None),
    "ome nm": (
        {
            "ome": True,
            "metadata": {
                "PhysicalSizeX": 250,
                "PhysicalSizeXUnit": "nm",
                "PhysicalSizeY": 500,
                "PhysicalSizeYUnit": "nm",
            },
        },
        (0.5, 0.25),
    ),
    "ome unknown unit": (
        {"ome": True, "metadata": {"PhysicalSizeX": 1, "PhysicalSizeXUnit": "pixel", "PhysicalSizeY": 1}},
        None,
    ),
}


@pytest.mark.parametrize("case", SIZES)
def test_the_pixel_size_in_um_is_y_then_x(tmp_path: Path, case: str) -> None:
    options, size = SIZES[case]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(6, 7), **options)
    assert read_stack(path).spacing_um == (None if size is None else pytest.approx(size))


def test_a_png_carries_its_pixel_size_unless_it_is_a_screens(tmp_path: Path) -> None:
    image = Image.fromarray(noise(6, 7))
    image.save(tmp_path / "a.png", dpi=(25400 / 0.25, 25400 / 0.5))
    image.save(tmp_path / "screen.png", dpi=(72, 72))
    assert read_stack(tmp_path / "a.png").spacing_um == pytest.approx((0.5, 0.25), rel=1e-4)
    assert read_stack(tmp_path / "screen.png").spacing_um is None


# PNG ----------------------------------------------------------------------------------------------


def png(path: Path, pixels: np.ndarray) -> np.ndarray:
    path.write_bytes(imagecodecs.png_encode(pixels))
    return read_stack(path).pixels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_keeps_its_bits_and_drops_alpha(tmp_path: Path, channels: int, dtype: Any) -> None:
    pixels = noise(6, 7, channels, dtype=dtype)
    found = png(tmp_path / "a.png", pixels[..., 0] if channels == 1 else pixels)
    kept = {1: 1, 2: 1, 3: 3, 4: 3}[channels]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.moveaxis(pixels[..., :kept], -1, 0)[None])


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_1_bit_is_0_and_255(tmp_path: Path, name: str) -> None:
    Image.fromarray(np.array([[True, False], [False, True]])).save(tmp_path / name)
    found = read_stack(tmp_path / name).pixels
    assert found.dtype == np.uint8
    assert found.tolist() == [[[[255, 0], [0, 255]]]]


def test_a_palette_is_colours_of_an_image_and_ids_of_labels(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), mode="P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "a.png")
    red_green_blue = [[[0, 255], [0, 255]], [[0, 0], [0, 0]], [[0, 0], [255, 0]]]
    assert read_stack(tmp_path / "a.png").pixels[0].tolist() == red_green_blue
    assert read_stack(tmp_path / "a.png", palette=True).pixels[0].tolist() == [[[0, 1], [2, 1]]]


def test_a_palette_of_greys_is_one_channel(tmp_path: Path) -> None:
    pixels = noise(6, 7)
    image = Image.fromarray(pixels, mode="P")
    image.putpalette([level for level in range(256) for _ in range(3)])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_stack(tmp_path / "a.png").pixels, pixels[None, None])


# Writing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.float32])
@pytest.mark.parametrize("pages", [1, 3])
def test_what_is_written_is_read_back_with_its_pixel_size(tmp_path: Path, pages: int, dtype: Any) -> None:
    pixels = noise(pages, 6, 7, dtype=dtype)
    write_stack(tmp_path / "a.tif", pixels, spacing_um=(0.5, 0.25))
    stack = read_stack(tmp_path / "a.tif")
    assert stack.pixels.dtype == dtype
    assert stack.spacing_um == pytest.approx((0.5, 0.25))
    np.testing.assert_array_equal(stack.pixels, pixels[:, None])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32])
def test_an_unknown_pixel_size_stays_unknown(tmp_path: Path, dtype: Any) -> None:
    write_stack(tmp_path / "a.tif", noise(2, 6, 7, dtype=dtype), spacing_um=None)
    assert read_stack(tmp_path / "a.tif").spacing_um is None


def test_written_labels_are_an_imagej_hyperstack(tmp_path: Path) -> None:
    write_stack(tmp_path / "a.tif", noise(3, 6, 7, dtype=np.uint16), spacing_um=(0.5, 0.25))
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.is_imagej
        assert tiff.series[0].axes == "TYX"
        assert tiff.imagej_metadata is not None
        assert tiff.imagej_metadata["unit"] == "um"
        tags = tiff.pages.first.tags
        x, y = (tags[f"{a}Resolution"].value for a in "XY")
    assert (x[0] / x[1], y[0] / y[1]) == (4, 2)


def test_written_probabilities_have_time_and_channel_axes(tmp_path: Path) -> None:
    maps = RNG.random((3, 2, 6, 7)).astype(np.float32)
    write_stack(tmp_path / "a.tif", maps, spacing_um=None, axes="TCYX")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.series[0].axes == "TCYX"
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif").pixels, maps)


def test_labels_take_16_bits_where_they_fit() -> None:
    assert label_dtype(np.array([0, 2**16 - 1])).dtype == np.uint16
    assert label_dtype(np.array([0, 2**16])).dtype == np.uint32
    assert label_dtype(np.zeros((0,), int)).dtype == np.uint16


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.tif"
    write_stack(path, noise(1, 6, 7), spacing_um=None)
    before = path.read_bytes()
    with contextlib.suppress(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["a.tif"]


def test_a_full_disk_is_reported_with_the_files_name(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"a\.tif: cannot be written \(No space left"),
        replacing(tmp_path / "a.tif"),
    ):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_file_or_folder_in_the_way_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path, why in (
        (tmp_path / "file" / "a.tif", "cannot be written"),
        (tmp_path / "folder", "in the way"),
    ):
        with pytest.raises(UserError, match=why):
            write_stack(path, noise(1, 2, 2), spacing_um=None)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_json_has_null_where_there_is_no_number(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": float("nan"), "b": [1.5, float("inf")], "c": {"d": "é"}})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": None, "b": [1.5, None], "c": {"d": "é"}}


# Damage -------------------------------------------------------------------------------------------


def cut(path: Path, keep: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])


def text(path: Path) -> None:
    path.write_text("time;area\n0;12\n")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def nan(path: Path) -> None:
    tifffile.imwrite(path, np.array([[1, np.nan], [np.inf, 0]], np.float32))


def complex_numbers(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((2, 2), np.complex64))


def two_sizes(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(noise(4, 4))
        writer.write(noise(5, 5))


def colours_and_channels(path: Path) -> None:
    tifffile.imwrite(path, noise(2, 4, 4, 3), imagej=True, metadata={"axes": "CYXS"})


def folder(path: Path) -> None:
    path.mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "text": (text, "not a readable TIFF"),
    "empty": (empty, "not a readable TIFF"),
    "nan": (nan, "2 pixels are NaN or infinite"),
    "complex": (complex_numbers, "complex64 pixels"),
    "two sizes": (two_sizes, "2 images of different"),
    "colours and channels": (colours_and_channels, "separate channels"),
    "missing": (lambda path: None, "no such file"),
    "folder": (folder, "a folder"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_what_is_no_image_is_one_error_that_names_the_file(tmp_path: Path, case: str) -> None:
    make, why = DAMAGES[case]
    path = tmp_path / "cell 1.0.tif"
    make(path)
    with pytest.raises(UserError, match=why) as error:
        read_stack(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "jpeg"])
def test_a_truncated_tiff_is_refused(tmp_path: Path, compression: str | None, keep: float) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(200, 200), compression=compression)
    cut(path, keep)
    with pytest.raises(UserError, match=r"a\.tif: "):
        read_stack(path)


@pytest.mark.parametrize("keep", [0, 0.001, 0.02, 0.5, 0.99])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_truncated_png_is_refused(tmp_path: Path, channels: int, keep: float) -> None:
    path = tmp_path / "a.png"
    png(path, noise(200, 200, channels).squeeze())
    cut(path, keep)
    with pytest.raises(UserError, match=r"a\.png: not a readable PNG"):
        read_stack(path)


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_file_is_read_or_refused_but_never_crashes(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for name in ("a.tif", "a.png"):
        path = tmp_path / name
        if name == "a.tif":
            tifffile.imwrite(path, noise(40, 40), compression="zlib" if seed % 2 else None)
        else:
            png(path, noise(40, 40))
        damaged = bytearray(path.read_bytes())
        for place in rng.integers(0, len(damaged), 5 * (1 + seed)):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        with contextlib.suppress(UserError):
            assert read_stack(path).pixels.ndim == 4


@pytest.mark.parametrize(("name", "advice"), [("a.jpg", "Fiji"), ("a.txt", "Allowed"), ("a", "Allowed")])
def test_other_formats_are_refused_with_advice(tmp_path: Path, name: str, advice: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=advice):
        read_stack(tmp_path / name)


# Folders ------------------------------------------------------------------------------------------


def test_a_messy_folder(tmp_path: Path) -> None:
    for name in ("b.tif", "a 1.0.TIFF", "c.PNG", "Thumbs.db", ".DS_Store", "._b.tif", "notes.txt", "t.xlsx"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "sub.tif").mkdir()
    assert [p.name for p in image_files(tmp_path)] == ["a 1.0.TIFF", "b.tif", "c.PNG"]


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.mha"])
def test_images_of_another_format_are_not_passed_over(tmp_path: Path, name: str) -> None:
    (tmp_path / "b.tif").write_bytes(b"")
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=rf"{name}: \.\S+ images cannot be read\. Convert them to TIFF"):
        image_files(tmp_path)


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        image_files(tmp_path / "none")
