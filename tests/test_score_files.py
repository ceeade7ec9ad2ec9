"""`unetseg score`: files, folders and challenge results against hand-worked scores."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Unetseg, write

TRUTH = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 2, 2]], np.uint16)
FOUND = np.array([[7, 7, 7, 0, 0, 0], [7, 7, 7, 0, 0, 0], [0, 0, 0, 0, 0, 0]], np.uint16)
"""6 of the 8 pixels of object 1, none of the 2 of object 2, nothing else: IoU 6/10, SEG (6/8 + 0)/2."""


def rows(text: str) -> dict[str, dict[str, str]]:
    """The printed table: frame → score → value."""
    lines = [line.split() for line in text.splitlines()]
    start = next(i for i, line in enumerate(lines) if line[:1] == ["frame"])
    return {
        line[0]: dict(zip(lines[start][1:], line[1:], strict=True))
        for line in lines[start + 1 :]
        if len(line) == len(lines[start])
    }


def test_the_scores_of_two_files_by_hand(unetseg: Unetseg, tmp_path: Path) -> None:
    found, truth = write(tmp_path / "found.tif", FOUND), write(tmp_path / "truth 1.0.tif", TRUTH)
    for name in ("a.csv", "a.json"):
        chosen = ("--scores", "iou", "--scores", "seg", "--scores", "pixel-error", "--labels", "instances")
        result = unetseg("score", found, truth, *chosen, "--out", tmp_path / name)
        assert (result.code, result.err) == (0, "")
    assert "truth read as instances" in result.out
    assert f"wrote {tmp_path / 'a.json'}" in result.out
    table = json.loads((tmp_path / "a.json").read_text())
    assert list(table) == ["truth 1.0", "all"]
    assert table["all"]["iou"] == pytest.approx(6 / 10)
    assert table["all"]["seg"] == pytest.approx((6 / 8 + 0) / 2)
    assert table["all"]["pixel-error"] == pytest.approx(4 / 18)
    with (tmp_path / "a.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["frame"] for line in lines] == ["truth 1.0", "all"]
    assert {k: float(v) for k, v in lines[1].items() if k != "frame"} == table["all"]


def test_only_the_scores_asked_for_and_masks_become_objects(unetseg: Unetseg, tmp_path: Path) -> None:
    found = write(tmp_path / "found.tif", (FOUND > 0).astype(np.uint8) * 255)
    truth = write(tmp_path / "truth.tif", (TRUTH > 0).astype(np.uint8) * 255)
    result = unetseg("score", found, truth, "--scores", "seg", "--scores", "iou")
    assert "truth read as mask" in result.out
    assert rows(result.out)["all"] == {"seg": "0.3750", "iou": "0.6000"}


def test_pixels_that_are_not_annotated_do_not_count(unetseg: Unetseg, tmp_path: Path) -> None:
    """Without the two pixels of object 2 the IoU is 6/8."""
    truth = np.where(TRUTH == 2, 255, TRUTH)
    paths = write(tmp_path / "found.tif", FOUND), write(tmp_path / "truth.tif", truth)
    result = unetseg("score", *paths, "--not-annotated", 255, "--scores", "iou")
    assert rows(result.out)["all"] == {"iou": "0.7500"}


def test_class_maps_by_hand(unetseg: Unetseg, tmp_path: Path) -> None:
    truth = write(tmp_path / "t.tif", np.array([[0, 0, 1, 1, 2, 2]], np.uint8))
    found = write(tmp_path / "p.tif", np.array([[0, 1, 1, 1, 2, 0]], np.uint8))
    result = unetseg("score", found, truth, "--labels", "classes", "--out", tmp_path / "a.json")
    scores = json.loads((tmp_path / "a.json").read_text())["all"]
    assert [scores[f"iou-{c}"] for c in range(3)] == pytest.approx([1 / 3, 2 / 3, 1 / 2])
    assert scores["iou"] == pytest.approx((1 / 3 + 2 / 3 + 1 / 2) / 3)
    assert result.code == 0


def test_folders_pair_by_name_and_pictures_beside_predictions_are_passed_over(
    unetseg: Unetseg, tmp_path: Path
) -> None:
    for name in ("a 1.0", "b"):
        write(tmp_path / "truth" / f"{name}.tif", TRUTH)
        write(tmp_path / "found" / f"{name}_labels.tif", FOUND if name == "b" else TRUTH)
        (tmp_path / "found" / f"{name}_labels.png").write_bytes(b"a picture")
    write(tmp_path / "found" / "b_labels_probabilities.tif", np.zeros((3, 6), np.float32))
    result = unetseg(
        "score", tmp_path / "found", tmp_path / "truth", "--labels", "instances", "--out", tmp_path / "t.json"
    )
    table = json.loads((tmp_path / "t.json").read_text())
    assert [table[frame]["iou"] for frame in ("a 1.0", "b", "all")] == pytest.approx([1, 0.6, 16 / 20])
    (tmp_path / "found" / "b_labels.tif").unlink()
    (tmp_path / "found" / "b_labels.png").unlink()
    result = unetseg("score", tmp_path / "found", tmp_path / "truth")
    assert result.code == 2
    assert "truth/b.tif: " in result.err
    assert "has no prediction for it" in result.err


@pytest.mark.parametrize("name", ["t.tif", "man_seg000.tif"])
def test_an_image_given_for_its_labels_is_an_error(unetseg: Unetseg, tmp_path: Path, name: str) -> None:
    truth = write(tmp_path / name, np.pad(TRUTH, 60))
    image = np.random.default_rng(1).integers(0, 256, (TRUTH.shape[0] + 120, TRUTH.shape[1] + 120))
    result = unetseg("score", write(tmp_path / "p.tif", image.astype(np.uint8)), truth)
    assert result.code == 2
    assert "p.tif: " in result.err
    assert "an image, not labels" in result.err


def test_two_predictions_for_one_truth_are_an_error(unetseg: Unetseg, tmp_path: Path) -> None:
    write(tmp_path / "truth" / "a.tif", TRUTH)
    for name in ("a_labels.tif", "a_mask.tif"):
        write(tmp_path / "found" / name, FOUND)
    result = unetseg("score", tmp_path / "found", tmp_path / "truth")
    assert result.code == 2
    assert "two files for the name 'a'" in result.err


def test_stacks_score_page_by_page(unetseg: Unetseg, tmp_path: Path) -> None:
    truth = write(tmp_path / "t.tif", np.stack([TRUTH, TRUTH]))
    found = write(tmp_path / "p.tif", np.stack([FOUND, TRUTH]))
    result = unetseg("score", found, truth, "--labels", "instances", "--scores", "iou")
    table = rows(result.out)
    assert table == {"t[0]": {"iou": "0.6000"}, "t[1]": {"iou": "1.0000"}, "all": {"iou": "0.8000"}}
    write(tmp_path / "p.tif", np.stack([FOUND, TRUTH, TRUTH]))
    assert "p.tif is 3 pages of 3×6 pixels" in unetseg("score", found, truth).err


PAIR = (
    np.array([[[1, 0, 2, 0]], [[1, 0, 0, 2]]], np.uint8),
    np.array([[[1, 0, 2, 0]], [[0, 0, 0, 2]]], np.uint8),
)
"""Truth and prediction (z, y, x): of object 1 one voxel of two is found, object 2 whole."""


def test_slices_are_one_volume_where_they_are_said_to_be(unetseg: Unetseg, tmp_path: Path) -> None:
    """Object 1 counts once, with IoU 1/2, object 2 with 1; by pages object 1 would have 1 and 0."""
    truth, found = (write(tmp_path / f"{n}.tif", p) for n, p in zip(("t", "p"), PAIR, strict=True))
    options = ("--labels", "instances", "--scores", "object-iou", "--scores", "iou")
    volume = unetseg("score", found, truth, "--volumes", *options, "--out", tmp_path / "a.json")
    assert rows(volume.out)["t"] == {"object-iou": "0.7500", "iou": "0.7500"}
    assert "volume-dice-1 0.8571" in volume.out
    assert "centre (z, y, x)" in volume.out
    assert json.loads((tmp_path / "a.json").read_text())["volumes"] == {"volume-dice-1": pytest.approx(6 / 7)}
    assert "t[1]" in unetseg("score", found, truth, *options).out


def test_nifti_files_are_scored_as_volumes_in_their_own_orientation(unetseg: Unetseg, tmp_path: Path) -> None:
    """A folder of NIfTI truth against predictions, NIfTI mirrored on disk or TIFF: dice of class 1 and 2."""
    nibabel = pytest.importorskip("nibabel")
    true, found = PAIR
    for folder in ("t", "p"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        nibabel.save(nibabel.Nifti1Image(true.T, np.diag([2, 2, 2, 1])), tmp_path / "t" / f"{name}.nii.gz")
    mirrored = nibabel.Nifti1Image(found.T[::-1], np.diag([-2, 2, 2, 1]))
    nibabel.save(mirrored, tmp_path / "p" / "a_classes.nii")
    (tmp_path / "p" / "a_classes.png").write_bytes(b"a picture")
    write(tmp_path / "p" / "b_classes.tif", found)
    result = unetseg("score", tmp_path / "p", tmp_path / "t", "--labels", "classes", "--scores", "dice-2")
    assert (result.code, result.err) == (0, "")
    assert rows(result.out)["a"] == rows(result.out)["b"] == {"dice-2": "1.0000"}
    assert "volume-dice-1 0.6667, surface-um-1 " in result.out
    assert "volume-dice-2 1.0000, surface-um-2 0.0000" in result.out


def test_a_volume_and_an_image_do_not_pair(unetseg: Unetseg, tmp_path: Path) -> None:
    truth, found = write(tmp_path / "t.tif", PAIR[0]), write(tmp_path / "p.tif", PAIR[1][:1])
    result = unetseg("score", found, truth, "--volumes")
    assert result.code == 2
    assert "p.tif is a volume of 1×1×4 voxels (z, y, x) and " in result.err


def test_a_challenges_result_and_truth(unetseg: Unetseg, tmp_path: Path) -> None:
    """Frame 1 is partly annotated: marker 9 has no object there, so its background does not count."""
    for t, found in enumerate((FOUND, np.where(TRUTH == 1, 5, 3))):
        write(tmp_path / "01_RES" / f"mask{t:03}.tif", found.astype(np.uint16))
    write(tmp_path / "01_RES" / "mask002.tif", FOUND)
    write(tmp_path / "01_GT" / "SEG" / "man_seg000.tif", TRUTH)
    write(tmp_path / "01_GT" / "SEG" / "man_seg001.tif", np.where(TRUTH == 1, 1, 0).astype(np.uint16))
    write(tmp_path / "01_GT" / "TRA" / "man_track001.tif", np.where(TRUTH == 2, 9, TRUTH).astype(np.uint16))
    (tmp_path / "01_RES" / "res_track.txt").write_text("5 0 1 0\n")
    out = tmp_path / "a.json"
    result = unetseg("score", tmp_path / "01_RES", tmp_path / "01_GT", "--out", out)
    assert result.code == 0
    table = json.loads(out.read_text())
    assert table["man_seg000"]["seg"] == pytest.approx(3 / 8)
    assert table["man_seg001"]["seg"] == 1
    assert table["all"]["seg"] == pytest.approx((6 / 8 + 0 + 1) / 3)
    assert table["man_seg001"]["f1"] == 1  # no false alarm in the unknown background
    assert table["man_seg001"]["iou"] is None  # nothing is known to be background


def test_a_score_that_the_truth_does_not_have_names_the_detected_type(
    unetseg: Unetseg, tmp_path: Path
) -> None:
    for name in "abc":
        write(tmp_path / f"{name}.tif", TRUTH)
    result = unetseg("score", tmp_path, tmp_path, "--scores", "seg", "--labels", "classes")
    assert result.code == 2
    assert "no score 'seg' of class maps" in result.err
    assert "The truth was read as classes; --labels overrides this." in result.err


def test_a_frame_without_objects_has_no_score_in_json(unetseg: Unetseg, tmp_path: Path) -> None:
    for name, truth in (("a", TRUTH), ("b", 0 * TRUTH)):
        write(tmp_path / "truth" / f"{name}.tif", truth)
        write(tmp_path / "found" / f"{name}.tif", TRUTH)
    out = tmp_path / "a.json"
    unetseg("score", tmp_path / "found", tmp_path / "truth", "--scores", "seg", "--out", out)
    assert json.loads(out.read_text()) == {"a": {"seg": 1.0}, "b": {"seg": None}, "all": {"seg": 1.0}}


@pytest.mark.data
def test_the_challenges_own_figure(unetseg: Unetseg, data_root: Path, tmp_path: Path) -> None:
    root = data_root / "ctc-selftest"
    if not root.is_dir():
        pytest.skip(f"no {root}")
    out = tmp_path / "a.json"
    unetseg("score", root / "01_RES", root / "01_GT", "--scores", "seg", "--out", out)
    table = json.loads(out.read_text())
    assert len(table) == 18 + 1
    assert table["all"]["seg"] == pytest.approx(0.232874, abs=5e-7)


def test_the_worst_frames_are_printed(unetseg: Unetseg, tmp_path: Path) -> None:
    """14 frames of which frame 7 misses all and frame 9 is without a score; 12 are printed."""
    for i in range(14):
        write(tmp_path / "truth" / f"f{i:02}.tif", 0 * TRUTH if i == 9 else TRUTH)
        write(tmp_path / "found" / f"f{i:02}.tif", 0 * TRUTH if i == 7 else TRUTH)
    for score, worst in (("seg", "0.0000"), ("pixel-error", "0.5556")):
        result = unetseg(
            "score", tmp_path / "found", tmp_path / "truth", "--scores", score, "--labels", "mask"
        )
        assert rows(result.out)["f07"] == {score: worst}
        assert "… and 2 better frames" in result.out
        assert len(rows(result.out)) == 12 + 1


@pytest.mark.parametrize("with_labels", [True, False])
def test_a_folder_of_predictions_gives_its_probability_maps_to_the_scores_of_maps(
    unetseg: Unetseg, tmp_path: Path, with_labels: bool
) -> None:
    """`predict --probabilities` writes both; a perfect map scores 1, and labels are left to label scores."""
    cells = np.kron(np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1]], np.uint16), np.ones((8, 8), np.uint16))
    write(tmp_path / "truth" / "a.tif", cells)
    write(tmp_path / "found" / "a_probabilities.tif", (0.9 * cells).astype(np.float32))
    if with_labels:
        write(tmp_path / "found" / "a_labels.tif", np.zeros_like(cells))
    result = unetseg("score", tmp_path / "found", tmp_path / "truth", "--scores", "v-rand")
    assert (result.code, result.err) == (0, "")
    assert float(rows(result.out)["all"]["v-rand"]) == 1
    plain = unetseg("score", tmp_path / "found", tmp_path / "truth", "--labels", "instances")
    assert ("v-rand" in plain.out) != with_labels


@pytest.mark.parametrize("most", [2**31, 2**32 - 1])
def test_ids_of_any_size_are_scored(unetseg: Unetseg, tmp_path: Path, most: int) -> None:
    truth = np.where(TRUTH > 0, most - TRUTH.astype(np.int64), 0).astype(np.uint32)
    paths = write(tmp_path / "p.tif", FOUND), write(tmp_path / "t.tif", truth)
    result = unetseg("score", *paths, "--labels", "instances", "--scores", "seg")
    assert rows(result.out)["all"] == {"seg": "0.3750"}, result.err
    swapped = unetseg("score", paths[1], paths[0], "--labels", "instances", "--scores", "seg")
    assert rows(swapped.out)["all"] == {"seg": "0.7500"}, swapped.err


def test_of_a_partly_annotated_truth_only_what_is_annotated_counts(unetseg: Unetseg, tmp_path: Path) -> None:
    """Object 2 of the prediction may be a cell that nobody annotated; object 1 is found whole."""
    truth = write(tmp_path / "t.tif", np.where(TRUTH == 1, 1, 0).astype(np.uint16))
    found = write(tmp_path / "p.tif", TRUTH + 3 * (TRUTH > 0))
    options = ("--labels", "instances", "--scores", "f1", "--scores", "seg", "--scores", "iou")
    whole = unetseg("score", found, truth, *options)
    assert rows(whole.out)["all"] == {"f1": "0.6667", "seg": "1.0000", "iou": "0.8000"}
    partly = unetseg("score", found, truth, *options, "--partly-annotated")
    assert rows(partly.out)["all"] == {"f1": "1.0000", "seg": "1.0000", "iou": "–"}
    assert "1 of 1 frames are partly annotated: there only annotated objects count" in partly.out


def test_a_truth_that_may_cover_only_some_objects_gets_a_hint(unetseg: Unetseg, tmp_path: Path) -> None:
    found = np.zeros((30, 30), np.uint16)
    for k in range(4):
        found[2:8, 7 * k : 7 * k + 5] = k + 1
    truth = write(tmp_path / "t.tif", np.where(found == 1, 1, 0).astype(np.uint16))
    result = unetseg("score", write(tmp_path / "p.tif", found), truth, "--labels", "instances")
    assert "1 of 1 objects found, 3 spurious" in result.out
    assert "score with --partly-annotated" in result.out
    partly = unetseg("score", tmp_path / "p.tif", truth, "--labels", "instances", "--partly-annotated")
    assert "1 of 1 objects found; outlines" in partly.out
    assert "score with" not in partly.out
