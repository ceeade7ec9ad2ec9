"""Samples of a pixel become the channels that viewers show: alpha, inverted grey values, palettes, CMYK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from unetseg.errors import UserError
from unetseg.images import open_image
from unetseg.images.whole import read_stack

FOUR = np.random.default_rng(0).integers(0, 256, (40, 60, 4)).astype(np.uint8)


def both(path: Path) -> np.ndarray:
    """The first page (c, y, x), the same read whole and region by region."""
    whole = read_stack(path).pixels[0]
    np.testing.assert_array_equal(open_image(path).plane(0)[...], whole)
    return whole


SAMPLES: dict[str, tuple[int, dict[str, Any], int]] = {
    "2 unspecified": (2, {"photometric": "minisblack"}, 2),
    "4 unspecified": (4, {"photometric": "minisblack"}, 4),
    "2 with alpha": (2, {"photometric": "minisblack", "extrasamples": ["unassalpha"]}, 1),
    "2 with associated alpha": (2, {"photometric": "minisblack", "extrasamples": ["assocalpha"]}, 1),
    "RGB and alpha": (4, {"photometric": "rgb", "extrasamples": ["unassalpha"]}, 3),
    "RGB and a channel": (4, {"photometric": "rgb", "extrasamples": ["unspecified"]}, 4),
}
"""Samples stored, tifffile's options, channels that are read."""


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("case", SAMPLES)
def test_only_what_the_file_calls_alpha_is_dropped(tmp_path: Path, case: str, planar: str) -> None:
    stored, options, channels = SAMPLES[case]
    pixels = np.moveaxis(FOUR[..., :stored], -1, 0)
    data = pixels if planar == "separate" else FOUR[..., :stored]
    tifffile.imwrite(tmp_path / "a.tif", data, planarconfig=planar, **options)
    np.testing.assert_array_equal(both(tmp_path / "a.tif"), pixels[:channels])


def test_the_fourth_sample_of_rgb_is_alpha_where_nothing_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, FOUR, photometric="rgb")
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        offset = tiff.pages.first.tags["ExtraSamples"].offset
    with path.open("r+b") as file:
        file.seek(offset)
        file.write((40000).to_bytes(2, "little"))  # a private tag instead
    np.testing.assert_array_equal(both(path), np.moveaxis(FOUR[..., :3], -1, 0))


def test_colours_of_printers_are_refused_by_name(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", FOUR, photometric="separated")
    for read in (read_stack, open_image):
        with pytest.raises(UserError, match=r"a\.tif: its colours are CMYK; .* Convert it to RGB"):
            read(tmp_path / "a.tif")


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_white_is_zero_is_read_as_it_is_shown(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "a.tif"
    values = {1: FOUR[..., 0] > 99, 8: FOUR[..., 0], 16: FOUR[..., 0] * np.uint16(200)}[bits]
    tifffile.imwrite(path, values, photometric="miniswhite")
    found = both(path)[0]
    assert int(values.flat[0]) != int(found.flat[0])
    if bits < 16:  # Pillow reads 16 bits as they are stored
        with Image.open(path) as image:
            np.testing.assert_array_equal(found, np.asarray(image.convert("L")))
    else:
        np.testing.assert_array_equal(found, 65535 - values)


def test_imagejs_inverted_display_leaves_the_pixels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", FOUR[..., 0], imagej=True, photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tiff:
        tiff.pages.first.tags["PhotometricInterpretation"].overwrite(0)
    np.testing.assert_array_equal(both(tmp_path / "a.tif")[0], FOUR[..., 0])


@pytest.mark.parametrize("grey", [False, True])
def test_a_palette_is_read_like_that_of_a_png(tmp_path: Path, grey: bool) -> None:
    image = Image.fromarray(FOUR[..., :3]).quantize(16)
    if grey:
        image.putpalette([17 * i for i in range(16) for _ in range(3)])
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "a.tif")
    colours = both(tmp_path / "a.tif")
    assert len(colours) == (1 if grey else 3)
    np.testing.assert_array_equal(colours, both(tmp_path / "a.png"))
    indices = read_stack(tmp_path / "a.tif", palette=True).pixels
    np.testing.assert_array_equal(indices[0, 0], np.asarray(image))


def test_colour_tables_of_imagej_are_for_display(tmp_path: Path) -> None:
    table = np.random.default_rng(1).integers(0, 2**16, (3, 256)).astype(np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, FOUR[..., 0], photometric="palette", colormap=table, description="ImageJ=1.53t\n")
    np.testing.assert_array_equal(both(path)[0], FOUR[..., 0])
