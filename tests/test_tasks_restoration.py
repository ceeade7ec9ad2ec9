from pathlib import Path

import numpy as np
import pytest
import tifffile

from unetseg.errors import UserError
from unetseg.settings import DataSettings
from unetseg.tasks import list_task
from unetseg.tasks.guess import guess_task

RNG = np.random.default_rng(0)
CLEAN = RNG.integers(0, 255, (3, 20, 24)).astype(np.uint8)
NOISY = (CLEAN + RNG.normal(0, 9, CLEAN.shape)).astype(np.float32)
SETTINGS = DataSettings(task="restoration")


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, photometric="minisblack")


def pair(root: Path, name: str, noisy: np.ndarray, clean: np.ndarray) -> None:
    write(root / "images" / name, noisy)
    write(root / "clean" / name, clean)


def test_pairs_pages_and_an_average_of_all_pages(tmp_path: Path) -> None:
    pair(tmp_path, "a.tif", NOISY[0], CLEAN[0])
    pair(tmp_path, "frames.tif", NOISY, CLEAN.mean(0).astype(np.float32))
    pair(tmp_path, "stack.tif", NOISY, CLEAN)
    assert guess_task(tmp_path) == "restoration"
    found = list_task(tmp_path, SETTINGS)
    assert (found.kind, found.classes) == ("restoration", 1)
    samples = {e.name: e.read() for e in found.entries}
    assert list(samples) == ["a", *(f"frames[{i}]" for i in range(3)), *(f"stack[{i}]" for i in range(3))]
    assert np.array_equal(samples["a"].truth, CLEAN[:1])
    assert np.array_equal(samples["frames[2]"].image, NOISY[2:])
    assert np.array_equal(samples["frames[2]"].clean, CLEAN.mean(0, keepdims=True).astype(np.float32))
    assert np.array_equal(samples["stack[1]"].clean, CLEAN[1:2])


def test_without_clean_images_there_is_no_truth(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.tif", NOISY[0])
    found = list_task(tmp_path, SETTINGS)
    assert found.entries[0].read().truth is None
    assert "blind spots" in found.notes[0]


def test_another_folder_of_clean_images(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.tif", NOISY[0])
    write(tmp_path / "averages" / "a.tif", CLEAN[0])
    found = list_task(tmp_path, DataSettings(task="restoration", clean="averages"))
    assert np.array_equal(found.entries[0].read().clean, CLEAN[:1])
    with pytest.raises(UserError, match="data.clean = 'mean'"):
        list_task(tmp_path, DataSettings(task="restoration", clean="mean"))


@pytest.mark.parametrize(
    ("clean", "words"),
    [
        ({"b.tif": CLEAN[0]}, "a.tif: it has no partner of the same name in clean/"),
        ({"a.tif": CLEAN[0, :, :-1]}, "a.tif: 1 page of 20×23 pixels, 1 channel, but .* 1 page of 20×24"),
        ({"a.tif": CLEAN[:2]}, "2 pages"),
        ({"a.tif": np.stack([CLEAN[0]] * 3, -1)}, "3 channels"),
        ({"a.tif": (CLEAN[0] > 128).astype(np.uint8) * 255}, "only the values 0 and 255, as a mask does"),
        ({"a.tif": np.full((20, 24), np.nan, np.float32)}, "NaN"),
    ],
)
def test_pairs_that_do_not_fit(tmp_path: Path, clean: dict[str, np.ndarray], words: str) -> None:
    write(tmp_path / "images" / "a.tif", NOISY[0])
    for name, pixels in clean.items():
        (tmp_path / "clean").mkdir(exist_ok=True)
        colours = "rgb" if pixels.shape[-1] == 3 else "minisblack"
        tifffile.imwrite(tmp_path / "clean" / name, pixels, photometric=colours)
    with pytest.raises(UserError, match=words):
        list_task(tmp_path, SETTINGS)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (DataSettings(task="restoration", downsample=2), "data.downsample"),
        (DataSettings(task="restoration", classes=3), "data.classes"),
        (DataSettings(task="restoration", volumes=True), "data.volumes"),
        (DataSettings(task="folder", clean="averages"), "data.clean is for the task"),
        (DataSettings(task="folder", regions={"background": (0, 1, 0, 1)}), "data.regions is for the task"),
    ],
)
def test_keys_of_other_tasks(tmp_path: Path, data: DataSettings, words: str) -> None:
    pair(tmp_path, "a.tif", NOISY[0], CLEAN[0])
    with pytest.raises(UserError, match=words):
        list_task(tmp_path, data)


def test_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no images/ or imagesTr/"):
        list_task(tmp_path, SETTINGS)
    write(tmp_path / "images" / "a.tif", NOISY[0])
    (tmp_path / "clean").mkdir()
    with pytest.raises(UserError, match="clean: has no TIFF or PNG"):
        list_task(tmp_path, SETTINGS)
