"""PNG of every kind (bits, colours, palettes, alpha, resolution), and JPEG."""

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from unetseg.errors import UserError
from unetseg.images import open_image
from unetseg.images.formats import image_files
from unetseg.images.png import read_picture
from unetseg.images.whole import read_stack

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pixels_of_8_and_16_bits_without_alpha(tmp_path: Path, dtype: type, channels: int) -> None:
    shape = (5, 7) if channels == 1 else (5, 7, channels)
    pixels = RNG.integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    found, scale = read_picture(tmp_path / "a.png", palette=False)
    colours = pixels.reshape(5, 7, channels)[..., : channels - (channels in (2, 4))]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.moveaxis(colours, -1, 0))
    assert scale.yx_um is None


def test_a_palette_gives_its_colours_or_its_indices(tmp_path: Path) -> None:
    indices = np.array([[0, 1], [2, 1]], np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "a.png")
    labels, _ = read_picture(tmp_path / "a.png", palette=True)
    colours, _ = read_picture(tmp_path / "a.png", palette=False)
    np.testing.assert_array_equal(labels, indices[None])
    assert colours[:, 1, 0].tolist() == [0, 255, 0]


@pytest.mark.parametrize(("dpi", "um"), [(72, None), (25400, 1.0)])
def test_only_a_resolution_beyond_screens_and_printers_is_a_pixel_size(
    tmp_path: Path, dpi: int, um: float | None
) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png", dpi=(dpi, dpi))
    spacing = read_picture(tmp_path / "a.png", palette=False)[1].yx_um
    assert (spacing is None) if um is None else spacing == pytest.approx((um, um), rel=1e-3)


def test_jpeg_is_read_for_prediction_alone(tmp_path: Path) -> None:
    """Grey and colour; a folder of training images and labels refuses it, and CMYK is an error."""
    pixels = np.tile(np.arange(0, 240, 5, np.uint8), (40, 1))
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(np.stack([pixels] * 3, -1)).save(tmp_path / "b.JPEG", quality=95)
    Image.fromarray(np.stack([pixels] * 4, -1), "CMYK").save(tmp_path / "c.jpg")
    assert [p.name for p in image_files(tmp_path, lossy=True)] == ["a.jpg", "b.JPEG", "c.jpg"]
    with pytest.raises(UserError, match="JPEG is lossy"):
        image_files(tmp_path)
    with pytest.raises(UserError, match=r"cannot read \.jpg files"):
        read_stack(tmp_path / "a.jpg")
    grey, colour = (open_image(tmp_path / name) for name in ("a.jpg", "b.JPEG"))
    assert (grey.shape, colour.shape) == ((1, 40, 48), (3, 40, 48))
    assert np.abs(grey.plane(0)[:][0].astype(int) - pixels).max() < 8
    with pytest.raises(UserError, match="CMYK"):
        open_image(tmp_path / "c.jpg")
