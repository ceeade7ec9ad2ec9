"""`unetseg data FOLDER`: a row for every file, what the labels mean, the split, and possible problems."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from conftest import Unetseg, write

IDS = np.zeros((48, 40), np.uint16)
IDS[4:14, 4:14], IDS[20:30, 4:14], IDS[4:14, 20:36] = 1, 2, 3


def make(root: Path, names: str = "abcde") -> Path:
    for name in names:
        write(root / "images" / f"{name}.tif", (IDS > 0).astype(np.uint8) * 100)
        write(root / "labels" / f"{name}_mask.tif", np.where(IDS == 1, ord(name), IDS).astype(np.uint16))
    return root


def test_a_folder_in_order(unetseg: Unetseg, tmp_path: Path) -> None:
    result = unetseg("data", make(tmp_path))
    assert (result.code, result.err) == (0, "")
    rows = [line.split() for line in result.out.splitlines()]
    assert rows[0][:4] == ["image", "size", "channels", "type"]
    assert rows[1] == ["a.tif", "48×40", "1", "uint8", "0–100", "–", "a_mask.tif", "2–97", "(3)", "3"]
    assert "labels: 15 instances in 5 images" in result.out
    assert "train: 4 images: a, b, c, d" in result.out
    assert "validate: 1 image: e" in result.out
    assert "no problems found. Next: unetseg show" in result.out


def test_what_is_odd_is_listed_and_the_other_files_are_looked_at_all_the_same(
    unetseg: Unetseg, tmp_path: Path
) -> None:
    make(tmp_path)
    (tmp_path / "images" / "b.tif").write_text("no image")
    result = unetseg("data", tmp_path)
    assert result.code == 0
    assert "images/b.tif: not a readable TIFF file" in result.out
    assert result.out.count("possible problem:") == 1
    assert "c.tif  48×40" in result.out


def test_images_alone(unetseg: Unetseg, tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.tif", np.stack([IDS.astype(np.uint8)] * 2))
    result = unetseg("data", tmp_path)
    assert "a.tif  2 × 48×40" in result.out
    assert "possible problem: " in result.out
    assert "the labels are missing: 1 image, but no label image" in result.out


def test_different_pixel_sizes_are_odd(unetseg: Unetseg, tmp_path: Path) -> None:
    make(tmp_path)
    for name, size in (("a", 2), ("b", 2), ("c", 4), ("d", 2)):
        path = tmp_path / "images" / f"{name}.tif"
        tifffile.imwrite(
            path, IDS.astype(np.uint8), imagej=True, resolution=(size, size), metadata={"unit": "um"}
        )
    result = unetseg("data", tmp_path)
    assert "possible problem: pixel sizes differ: 0.5 µm in most images, other in c.tif 0.25." in result.out


def test_labels_beside_their_images_are_found_without_an_experiment_file(
    unetseg: Unetseg, tmp_path: Path
) -> None:
    for name in "ab":
        write(tmp_path / f"{name}.tif", (IDS > 0).astype(np.uint8))
        write(tmp_path / f"{name}_cp_masks.tif", IDS)
    result = unetseg("show", tmp_path, "--out", tmp_path / "show" / "sheet.png")
    assert (result.code, result.err) == (0, "")
    assert "labels: 6 instances in 2 images" in result.out
    assert "train: " in result.out


def test_a_folder_of_nothing_is_an_error(unetseg: Unetseg, tmp_path: Path) -> None:
    result = unetseg("data", tmp_path)
    assert result.code == 2
    assert "none of the known layouts" in result.err
    assert unetseg("data", tmp_path / "none").code == 2


def test_a_damaged_file_of_cellpose_is_named(unetseg: Unetseg, tmp_path: Path) -> None:
    write(tmp_path / "a.tif", IDS)
    (tmp_path / "a_seg.npy").write_bytes(b"pickled")
    for command in (("data", tmp_path), ("train", "--data", tmp_path, "--run", tmp_path / "run")):
        result = unetseg(*command)
        assert "a_seg.npy: not a readable Cellpose file" in result.out + result.err
