"""The Cell Tracking Challenge's layout: which truth a frame gets, and what of it is not annotated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from unetseg.errors import UserError
from unetseg.settings import DataSettings
from unetseg.tasks.cell_tracking import frames, listing, read_truth, sequences, unannotated

OBJECTS = np.array([[1, 1, 0, 0, 0, 0, 0]], np.int32)
MARKED = np.array([[5, 0, 0, 0, 0, 0, 6]], np.int32)
"""Marker 5 lies in object 1; marker 6 has no object."""


def put(path: Path, pixels: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels.astype(np.uint16), photometric="minisblack", **options)


def make(root: Path, gold: tuple[str, ...] = (), silver: tuple[str, ...] = (), sequence: str = "01") -> Path:
    """Four frames, numbered with as many digits as the truth's; gold objects are 1, silver ones 2."""
    digits = len((*gold, *silver, "000")[0])
    for t in range(4):
        put(root / sequence / f"t{t:0{digits}d}.tif", np.full((1, 7), 10 + t))
    for source, numbers, value in (("GT", gold, 1), ("ST", silver, 2)):
        for number in numbers:
            put(root / f"{sequence}_{source}" / "SEG" / f"man_seg{number}.tif", value * OBJECTS)
    return root


def with_truth(root: Path, truth: Any) -> list[tuple[str, int]]:
    """Name and object id of each entry."""
    found = listing(root, DataSettings(task="cell-tracking", truth=truth))
    return [(e.name, int(np.max(e.read().labels))) for e in found.entries]  # type: ignore[arg-type]


# Files --------------------------------------------------------------------------------------------


def test_frames_have_three_or_four_digits_and_are_in_order_of_time(tmp_path: Path) -> None:
    for name in ("t1000.tif", "t002.tif", "t010.tif", "t01.tif", "x003.tif", "t003.png"):
        put(tmp_path / name, OBJECTS)
    assert frames(tmp_path) == ["002", "010", "1000"]


def test_four_digits(tmp_path: Path) -> None:
    assert with_truth(make(tmp_path, gold=("0002",)), "gold") == [("01/t0002", 1)]


def test_sequences_are_folders_of_two_digits(tmp_path: Path) -> None:
    for name in ("02", "01", "01_GT", "03.zip", "1"):
        (tmp_path / name).mkdir()
    (tmp_path / "04").write_text("")
    assert sequences(tmp_path) == ["01", "02"]


def test_which_truth(tmp_path: Path) -> None:
    make(tmp_path, gold=("001",), silver=("000", "001"))
    assert with_truth(tmp_path, "gold") == [("01/t001", 1)]
    assert with_truth(tmp_path, "silver") == [("01/t000", 2), ("01/t001", 2)]
    assert with_truth(tmp_path, "gold-else-silver") == [("01/t000", 2), ("01/t001", 1)]


def test_group_and_index_are_sequence_and_frame(tmp_path: Path) -> None:
    make(tmp_path, gold=("001", "003"))
    make(tmp_path, silver=("002",), sequence="02")
    found = listing(tmp_path, DataSettings(task="cell-tracking"))
    assert [(e.group, e.index) for e in found.entries] == [("01", 1), ("01", 3), ("02", 2)]
    assert found.groups == ["01", "02"]
    assert found.notes == ("truth: gold-else-silver, 3 frames",)


def test_missing_truth_says_where_it_is_expected(tmp_path: Path) -> None:
    make(tmp_path, silver=("000",))
    with pytest.raises(UserError, match=r"no frame has gold truth.*01_GT/SEG/man_seg000\.tif"):
        listing(tmp_path, DataSettings(task="cell-tracking", truth="gold"))


def test_a_folder_of_another_layout_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        sequences(tmp_path / "none")
    with pytest.raises(UserError, match="there is no folder 01/"):
        sequences(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        frames(tmp_path / "01")


def test_the_image_and_its_pixel_size(tmp_path: Path) -> None:
    make(tmp_path, gold=("002",))
    put(
        tmp_path / "01" / "t002.tif",
        np.full((1, 7), 12),
        resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
    )
    sample = listing(tmp_path, DataSettings(task="cell-tracking")).entries[0].read()
    assert sample.image.tolist() == [[[12] * 7]]
    assert sample.spacing_um == pytest.approx((0.5, 0.5))


def test_volumes_and_odd_labels_are_refused(tmp_path: Path) -> None:
    make(tmp_path, gold=("000", "001"))
    put(tmp_path / "01" / "t000.tif", np.zeros((3, 1, 7)))
    tifffile.imwrite(tmp_path / "01_GT" / "SEG" / "man_seg001.tif", OBJECTS.astype(np.float32))
    volume, odd = listing(tmp_path, DataSettings(task="cell-tracking")).entries
    with pytest.raises(UserError, match=r"t000\.tif: 3 pages; only 2-D"):
        volume.read()
    with pytest.raises(UserError, match=r"man_seg001\.tif: float32"):
        odd.read()


# Not annotated ------------------------------------------------------------------------------------


def test_a_gold_frame_that_misses_a_cell_has_no_known_background() -> None:
    assert unannotated(OBJECTS, MARKED, gold=True).tolist() == [[False, False, True, True, True, True, True]]


def test_in_silver_truth_the_background_near_the_missed_marker_is_unknown() -> None:
    """Distances to object 1 at x = 1 and to marker 6 at x = 6: from x = 4 on the marker is nearer."""
    assert unannotated(OBJECTS, MARKED, gold=False).tolist() == [[False] * 4 + [True] * 3]


@pytest.mark.parametrize("gold", [True, False])
def test_a_frame_whose_cells_all_have_objects_is_known_everywhere(gold: bool) -> None:
    touching = np.array([[0, 5, 5, 0, 0, 0, 0]], np.int32)  # a marker that only partly lies in its object
    assert not unannotated(OBJECTS, touching, gold).any()
    assert not unannotated(OBJECTS, np.zeros_like(MARKED), gold).any()


def test_a_frame_without_objects_but_with_markers_is_unknown_everywhere() -> None:
    nothing = np.zeros_like(OBJECTS)
    assert unannotated(nothing, MARKED, gold=True).all()
    assert unannotated(nothing, MARKED, gold=False).all()


def test_the_labels_of_a_partly_annotated_frame(tmp_path: Path) -> None:
    make(tmp_path, gold=("000",), silver=("000",))
    put(tmp_path / "01_GT" / "TRA" / "man_track000.tif", MARKED)
    gold = read_truth(tmp_path / "01_GT" / "SEG" / "man_seg000.tif")
    assert gold.tolist() == [[1, 1, -1, -1, -1, -1, -1]]
    assert gold.dtype == np.int32
    assert read_truth(tmp_path / "01_ST" / "SEG" / "man_seg000.tif").tolist() == [[2, 2, 0, 0, -1, -1, -1]]
    labels = listing(tmp_path, DataSettings(task="cell-tracking")).entries[0].read().labels
    assert labels is not None
    assert labels.tolist() == gold.tolist()


def test_markers_of_another_size_are_an_error(tmp_path: Path) -> None:
    make(tmp_path, gold=("000",))
    put(tmp_path / "01_GT" / "TRA" / "man_track000.tif", MARKED[:, :5])
    with pytest.raises(
        UserError, match=r"man_track000\.tif is \(1, 5\) pixels and .*man_seg000\.tif \(1, 7\)"
    ):
        listing(tmp_path, DataSettings(task="cell-tracking")).entries[0].read()


@pytest.mark.data
def test_the_partly_annotated_frame_of_the_hela_cells(data_root: Path) -> None:
    """README of the data: 3 of 18 tracked cells of frame 067 of sequence 01 are drawn."""
    path = data_root / "DIC-C2DH-HeLa" / "01_GT" / "SEG" / "man_seg067.tif"
    if not path.is_file():
        pytest.skip(f"no {path}")
    labels = read_truth(path)
    assert len(np.unique(labels[labels > 0])) == 3
    assert not (labels == 0).any()
