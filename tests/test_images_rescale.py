"""Another pixel size: whatever region is read, as in the whole; and what is done to known images."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.images import LazyImage, open_image
from unetseg.images.disk_space import check_space, label_bytes
from unetseg.images.rescale import nearest, nearest_resized, pixel_size_note, rescaled
from unetseg.images.whole import write_stack
from unetseg.sample import shrink_image


@pytest.fixture
def image_path(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 2**16, (1, 71, 90)).astype(np.uint16)
    write_stack(tmp_path / "a.tif", pixels, spacing_um=(0.5, 0.5))
    return tmp_path / "a.tif"


def at(image: LazyImage, spacing_um: tuple[float, float]) -> LazyImage:
    """The image at another pixel size."""
    old = image.spacing_um
    assert old is not None
    return rescaled(image, (old[0] / spacing_um[0], old[1] / spacing_um[1]))


@pytest.mark.parametrize("spacing", [(0.5, 0.5), (1.0, 1.0), (0.73, 1.9), (0.2, 0.31), (0.6, 0.4)])
def test_a_region_is_as_in_the_whole(image_path: Path, spacing: tuple[float, float]) -> None:
    plane = at(open_image(image_path), spacing).plane(0)
    whole = plane[...]
    assert whole.shape[1:] == (round(71 * 0.5 / spacing[0]), round(90 * 0.5 / spacing[1]))
    rng = np.random.default_rng(1)
    for _ in range(50):
        y0, x0 = (int(rng.integers(0, n)) for n in whole.shape[1:])
        y1, x1 = (int(rng.integers(a, n)) + 1 for a, n in zip((y0, x0), whole.shape[1:], strict=True))
        np.testing.assert_array_equal(plane[:, y0:y1, x0:x1], whole[:, y0:y1, x0:x1])


def test_the_same_size_changes_nothing_and_twice_the_size_is_the_mean_of_four(image_path: Path) -> None:
    image = open_image(image_path)
    pixels = image.plane(0)[...]
    np.testing.assert_array_equal(at(image, (0.5, 0.5)).plane(0)[...], pixels)
    half = at(image, (1.0, 1.0)).plane(0)[:, :35]
    np.testing.assert_allclose(half, shrink_image(pixels[:, :70], 2), rtol=1e-6)


def test_in_another_process_the_file_is_opened_again(image_path: Path) -> None:
    image = at(open_image(image_path), (0.73, 1.9))
    again = pickle.loads(pickle.dumps(image))  # noqa: S301
    np.testing.assert_array_equal(again.plane(0)[...], image.plane(0)[...])


def test_finer_is_linear_and_coarser_is_the_mean_of_what_is_under_it(tmp_path: Path) -> None:
    slope = np.arange(60, dtype=np.float32)[None, None, :] * np.ones((1, 40, 1), np.float32)
    write_stack(tmp_path / "a.tif", slope, spacing_um=(1.0, 1.0))
    image = open_image(tmp_path / "a.tif")
    finer = at(image, (0.4, 0.4)).plane(0)[0, 3]
    np.testing.assert_allclose(finer, (np.arange(150) * 0.4 - 0.3).clip(0, 59), atol=1e-5)
    coarser = at(image, (1.5, 1.5)).plane(0)[0, 3, :4]
    np.testing.assert_allclose(coarser, [1 / 3, 5 / 3, 10 / 3, 14 / 3], rtol=1e-6)


def test_another_pixel_size_than_in_training_is_said() -> None:
    assert pixel_size_note((0.5, 0.5), (0.5, 0.52)) is None
    assert pixel_size_note(None, (0.5, 0.5)) is None
    note = pixel_size_note((0.25, 0.25), (0.5, 0.5))
    assert note is not None
    assert "0.5 µm per pixel, the image has 0.25: objects look 2 times larger" in note


def test_a_disk_without_room_is_reported_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=300_000_000))
    check_space(tmp_path / "new" / "a.zarr", label_bytes(16384 * 16384))
    with pytest.raises(
        UserError, match=r"a\.zarr: up to 432\.0 MB may be needed, but only 300\.0 MB are free"
    ):
        check_space(tmp_path / "new" / "a.zarr", label_bytes(36000 * 36000))


def test_the_nearest_pixels_are_the_same_in_a_region_and_in_the_whole(image_path: Path) -> None:
    image = open_image(image_path)
    for yx in ((71, 90), (213, 270), (20, 31)):
        plane, pixels = nearest(image, yx).plane(0), image.plane(0)[0]
        rows, columns = (
            ((np.arange(n) + 0.5) * old / n).astype(int) for n, old in zip(yx, (71, 90), strict=True)
        )
        whole = pixels[rows[:, None], columns]
        np.testing.assert_array_equal(plane[0], whole)
        np.testing.assert_array_equal(plane[0, 3:17, 8:29], whole[3:17, 8:29])


def test_labels_at_another_size_take_the_nearest_pixel() -> None:
    labels = np.array([[[1, 2], [3, 4]]])
    larger = [[[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4]]]  # the row in the middle lies nearest to the second
    assert nearest_resized(labels, (3, 4)).tolist() == [[larger[0][0], larger[0][2], larger[0][2]]]
    assert nearest_resized(labels, (2, 2)) is labels
    assert nearest_resized(np.array(larger), (1, 2)).tolist() == [[[1, 2]]]
