"""The comparison with other methods: the same files for all, a budget, one table."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from benchmarks.peers.common import NOT_ANNOTATED, Array, Job, Predict, held_out, run_method
from benchmarks.peers.compare import compare, read_records, record, score_runs, table
from benchmarks.peers.folds import make_fold


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels)


def squares(count: int) -> np.ndarray:
    labels = np.zeros((40, 40), np.uint16)
    for k in range(count):
        labels[5:15, 2 + 12 * k : 12 + 12 * k] = k + 1
    return labels


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two sequences with silver truth, gold truth of 02 (frame 1 misses a marked cell), and nuclei 5 to 8."""
    root = tmp_path / "data" / "DIC-C2DH-HeLa"
    for sequence in ("01", "02"):
        for frame in range(3):
            write(root / sequence / f"t{frame:03}.tif", np.full((40, 40), frame, np.uint8))
            write(root / f"{sequence}_ST" / "SEG" / f"man_seg{frame:03}.tif", squares(2))
            write(root / f"{sequence}_GT" / "TRA" / f"man_track{frame:03}.tif", squares(1 + frame))
    for frame in (0, 1):
        write(root / "02_GT" / "SEG" / f"man_seg{frame:03}.tif", squares(1))
    for number in range(5, 9):
        for kind in ("images", "labels"):
            write(tmp_path / "data" / "nuclei-dsb2018" / kind / f"00{number}.tif", squares(2))
    return tmp_path / "data"


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_fold_trains_on_one_sequence_and_tests_on_the_gold_frames_of_the_other(data: Path) -> None:
    fold = make_fold("hela", data, data / "folds")
    for kind in ("images", "labels"):
        assert names(fold / "train" / kind) == ["01_t000.tif", "01_t001.tif", "01_t002.tif"]
        assert names(fold / "test" / kind) == ["02_t000.tif", "02_t001.tif"]
    assert np.array_equal(tifffile.imread(fold / "train" / "labels" / "01_t000.tif"), squares(2))
    whole, partly = (tifffile.imread(fold / "test" / "labels" / f"02_t00{i}.tif") for i in (0, 1))
    assert np.array_equal(whole, squares(1))
    assert np.array_equal(partly, np.where(squares(1) > 0, 1, NOT_ANNOTATED))
    assert json.loads((fold / "fold.json").read_text())["images"] == {"train": 3, "test": 2}


def test_nuclei_are_split_by_the_last_digit(data: Path) -> None:
    fold = make_fold("nuclei", data, data / "folds")
    assert names(fold / "train" / "labels") == ["005.tif", "006.tif"]
    assert names(fold / "test" / "images") == ["007.tif", "008.tif"]


def test_a_missing_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="PhC-C2DH-U373: no pairs"):
        make_fold("u373", tmp_path, tmp_path)


def test_a_budget_begins_after_the_preparation(tmp_path: Path) -> None:
    job = Job(tmp_path, tmp_path, minutes=1, seed=1)
    job.started -= 50
    assert job.left() == pytest.approx(10, abs=1)
    job.prepared()
    assert job.left() == pytest.approx(60, abs=1)
    assert job.preparation_s == pytest.approx(50, abs=1)


def test_images_held_out_are_the_same_for_a_seed() -> None:
    assert held_out(20, 1, 0.15) == held_out(20, 1, 0.15)
    assert len(set(held_out(20, 1, 0.15))) == 3
    assert held_out(20, 1, 0.15) != held_out(20, 2, 0.15)


def run(method: str, fold: Path, out: Path, predict: Predict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [method, str(fold), str(out / fold.name / method)])
    run_method(method, ["numpy"], lambda job: predict)


def truthful(image: Array) -> Array:
    return squares(1)


def shifted(image: Array) -> Array:
    """The object half covered: IoU 50 of 150, so no match; in the frame that is annotated it is one false."""
    return np.roll(squares(1), 5, axis=0)


def test_runs_are_scored_and_the_best_is_bold(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fold, out, results = make_fold("hela", data, data / "folds"), data / "out", data / "results"
    run("good", fold, out, truthful, monkeypatch)
    run("bad", fold, out, shifted, monkeypatch)
    score_runs(data / "folds", out, results, data / "pictures")
    good, bad = read_records(results)
    assert good["method"] == "good"
    assert good["scores"] == {"seg": 1, "f1": 1, "panoptic-quality": 1}
    assert bad["scores"] == {"seg": 0, "f1": 0, "panoptic-quality": 0}
    assert set(bad["frames"]) == {"02_t000", "02_t001"}
    lines = table([good, bad]).splitlines()
    assert lines[0].startswith("DIC-C2DH-HeLa. Trained on sequence 01")
    assert lines[4].endswith("| **1.000** | **1.000** | **1.000** |")
    assert lines[5].endswith("| 0.000 | 0.000 | 0.000 |")
    assert names(data / "pictures") == ["hela-bad.png", "hela-good.png"]


def test_objects_where_nobody_drew_are_not_counted_as_false(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold, out = make_fold("hela", data, data / "folds"), data / "out"
    run("more", fold, out, lambda image: squares(3), monkeypatch)
    folder = out / "hela" / "more"
    found = record(folder, compare(data / "folds", folder))
    assert found["scores"]["f1"] == pytest.approx(
        2 * 2 / (2 * 2 + 2)
    )  # two false in frame 0, none in frame 1
    assert found["frames"]["02_t001"]["f1"] == 1


def test_the_page_shows_the_stored_results() -> None:
    root = Path(__file__).parents[1]
    stored = read_records(root / "benchmarks" / "peers" / "results")
    assert stored
    assert all(r["training_minutes"] <= 1.25 * r["budget_minutes"] for r in stored)
    page = (root / "docs" / "peers.md").read_text(encoding="utf-8")
    assert all(line in page for line in table(stored).splitlines())
