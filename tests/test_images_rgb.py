"""RGB read as grey: the luminance, whatever region is read, and one error for other channels."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Unetseg
from skimage.color import rgb2gray
from test_sharing_export import RULES, saved

from unetseg.errors import UserError
from unetseg.images import open_image
from unetseg.images.rgb import as_grey

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 72, 3)).astype(np.uint8)


@pytest.fixture
def rgb(tmp_path: Path) -> Path:
    tifffile.imwrite(tmp_path / "rgb.tif", PIXELS, photometric="rgb")
    return tmp_path / "rgb.tif"


def test_the_grey_image_is_scikit_images(rgb: Path) -> None:
    plane = pickle.loads(pickle.dumps(as_grey(open_image(rgb)))).plane(0)  # noqa: S301 (our own bytes)
    expected = 255 * rgb2gray(PIXELS)
    assert plane.shape == (1, 60, 72)
    np.testing.assert_allclose(plane[...][0], expected, rtol=1e-5)
    np.testing.assert_array_equal(plane[:, 7:31, 5:66], plane[...][:, 7:31, 5:66])


def test_a_grey_image_stays_and_two_channels_are_refused(tmp_path: Path) -> None:
    for channels in (1, 2):
        pixels = np.zeros((channels, 20, 20), np.uint8)
        tifffile.imwrite(tmp_path / f"{channels}.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    one = open_image(tmp_path / "1.tif")
    assert as_grey(one) is one
    with pytest.raises(UserError, match=r"2\.tif: --grey converts images of 3 channels"):
        as_grey(open_image(tmp_path / "2.tif"))


def test_the_command_predicts_rgb_as_its_grey_image(rgb: Path, tmp_path: Path, unetseg: Unetseg) -> None:
    model = saved(tmp_path / "m.pt", RULES["percentile"])
    refused = unetseg("predict", model, rgb, "--out", tmp_path / "a")
    assert refused.code == 2
    assert "--grey" in refused.err
    tifffile.imwrite(tmp_path / "rgb-grey.tif", (255 * rgb2gray(PIXELS)).astype(np.float32))
    for image, options in ((rgb, ["--grey"]), (tmp_path / "rgb-grey.tif", [])):
        result = unetseg("predict", model, image, "--out", tmp_path / "out", "--probabilities", *options)
        assert result.code == 0, result.err
    found, expected = (tifffile.imread(tmp_path / f"out/{n}_probabilities.tif") for n in ("rgb", "rgb-grey"))
    np.testing.assert_allclose(found, expected, atol=1e-4)
