"""Label files and their predictions, paired by name."""

from pathlib import Path

import pytest

from unetseg.errors import UserError
from unetseg.evaluation.paired_predictions import pair_files, result_files


def files(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_names_pair_without_their_endings(tmp_path: Path) -> None:
    truth = files(tmp_path / "truth", "a.tif", "b.png")
    predicted = files(tmp_path / "predicted", "b_labels.tif", "a_labels.tif", "a_probabilities.tif")
    labels = [(t.name, p.name if p else None) for t, p in pair_files(truth, predicted)]
    assert labels == [("a.tif", "a_labels.tif"), ("b.png", "b_labels.tif")]
    maps = pair_files(truth, predicted, maps=True, missing_as_empty=True)
    assert ("a.tif", "a_probabilities.tif") in [(t.name, p.name if p else None) for t, p in maps]


def test_slices_of_a_challenge_s_frame_share_its_prediction(tmp_path: Path) -> None:
    truth = files(tmp_path / "01_GT/SEG", "man_seg_007_003.tif", "man_seg_007_012.tif").parent
    predicted = files(tmp_path / "01_RES", "mask007.tif")
    assert [p.name if p else None for _, p in pair_files(truth, predicted)] == ["mask007.tif"] * 2


def test_a_missing_prediction_is_an_error_or_empty(tmp_path: Path) -> None:
    truth = files(tmp_path / "truth", "a.tif", "b.tif")
    predicted = files(tmp_path / "predicted", "a.tif")
    with pytest.raises(UserError, match=r"b\.tif: .*no prediction.*--missing-as-empty"):
        pair_files(truth, predicted)
    assert pair_files(truth, predicted, missing_as_empty=True)[1] == (truth / "b.tif", None)


def test_a_png_beside_labels_of_its_name_is_a_picture(tmp_path: Path) -> None:
    folder = files(tmp_path / "predicted", "a.tif", "a.png", "b.png")
    assert [p.name for p in result_files(folder)] == ["a.tif", "b.png"]


def test_paths_that_cannot_be_compared(tmp_path: Path) -> None:
    folder = files(tmp_path / "truth", "a.tif")
    for one, words in (("lost", "no such file"), ("truth/a.tif", "give two files or two folders")):
        with pytest.raises(UserError, match=words):
            pair_files(folder, tmp_path / one)
    with pytest.raises(UserError, match="has no label image"):
        pair_files(files(tmp_path / "empty"), folder)
