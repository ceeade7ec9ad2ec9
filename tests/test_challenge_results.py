"""`unetseg score 01_RES 01_GT`: DET and OP_CSB, the field of interest, volumes and annotated slices."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Unetseg, write

TRUTH = np.zeros((20, 20), np.uint16)
TRUTH[5:9, 5:9], TRUTH[12:16, 5:9] = 1, 2
FOUND = np.where(TRUTH == 1, 70001, 0).astype(np.uint32)
FOUND[0:2, 0:2] = 4  # a false alarm at the edge
MARKERS = np.zeros_like(TRUTH)
MARKERS[6, 6], MARKERS[13, 6] = 1, 2


def challenge(root: Path) -> tuple[Path, Path]:
    """Three frames with markers, of which frame 1 has instance truth and frame 2 no result."""
    for t in range(3):
        write(root / "01_GT" / "TRA" / f"man_track{t:03}.tif", MARKERS)
        if t < 2:
            write(root / "01_RES" / f"mask{t:03}.tif", FOUND)
    write(root / "01_GT" / "SEG" / "man_seg001.tif", TRUTH)
    (root / "01_GT" / "TRA" / "man_track.txt").write_text("1 0 2 0\n2 0 2 0\n")
    return root / "01_RES", root / "01_GT"


def test_det_and_op_csb_of_all_frames_with_markers(unetseg: Unetseg, tmp_path: Path) -> None:
    # in each frame one of two markers is missed and one object is a false alarm: 1 - (10 + 1) / 20
    out = tmp_path / "a.json"
    paths = challenge(tmp_path)
    write(tmp_path / "01_RES" / "mask002.tif", FOUND)
    result = unetseg("score", *paths, "--out", out, "--out", tmp_path / "a.csv")
    assert (result.code, result.err) == (0, "")
    line = "challenge: seg 0.5000, det 0.4500, op-csb 0.4750 (3 frames with markers)"
    assert line in result.out
    found = json.loads(out.read_text())["challenge"]
    assert found == {"seg": 0.5, "det": pytest.approx(0.45), "op-csb": pytest.approx(0.475)}
    assert (tmp_path / "a.csv").read_text().startswith("frame,iou,")


def test_a_missing_frame_is_an_error_or_counts_as_empty(unetseg: Unetseg, tmp_path: Path) -> None:
    """Frame 2 has markers and no result: both are missed, 1 - (11 + 11 + 20) / 60."""
    paths = challenge(tmp_path)
    result = unetseg("score", *paths)
    assert result.code == 2
    assert "no result for 1 of the 3 frames with markers (the first is man_track002.tif)" in result.err
    assert "--missing-as-empty" in result.err
    counted = unetseg("score", *paths, "--missing-as-empty").out
    line = (
        "challenge: seg 0.5000, det 0.3000, op-csb 0.4000 (3 frames with markers, 1 of them without a result)"
    )
    assert line in counted
    named = unetseg("score", *paths, "--scores", "seg").out
    assert "challenge: seg 0.5000 (DET left out: 1 of 3 frames with markers have no result)" in named


def test_a_missing_segmentation_is_an_error_or_counts_as_empty(unetseg: Unetseg, tmp_path: Path) -> None:
    """Of the four objects of two frames, one is found."""
    paths = challenge(tmp_path)
    write(tmp_path / "01_RES" / "mask002.tif", FOUND)
    write(tmp_path / "01_GT" / "SEG" / "man_seg000.tif", TRUTH)
    (tmp_path / "01_RES" / "mask000.tif").unlink()
    assert "has no prediction for it" in unetseg("score", *paths).err
    counted = unetseg("score", *paths, "--missing-as-empty", "--scores", "seg").out
    assert "1 of 2 have no prediction and count as empty: man_seg000.tif" in counted
    assert "all         0.2500" in counted


def test_objects_in_the_border_do_not_count(unetseg: Unetseg, tmp_path: Path) -> None:
    paths = challenge(tmp_path)
    write(tmp_path / "01_RES" / "mask002.tif", FOUND)
    assert "seg 0.5000, det 0.5000, op-csb 0.5000" in unetseg("score", *paths, "--border", 4).out
    assert "leaves nothing" in unetseg("score", *paths, "--border", 10).err


def test_slices_of_the_truth_go_with_the_planes_of_the_result(unetseg: Unetseg, tmp_path: Path) -> None:
    write(tmp_path / "01_RES" / "mask003.tif", np.stack([0 * FOUND, FOUND, np.where(TRUTH > 0, 5, 0)]))
    write(tmp_path / "01_GT" / "SEG" / "man_seg_003_001.tif", TRUTH)
    write(tmp_path / "01_GT" / "SEG" / "man_seg_003_002.tif", np.minimum(TRUTH, 1))
    out = tmp_path / "a.json"
    unetseg("score", tmp_path / "01_RES", tmp_path / "01_GT", "--scores", "seg", "--out", out)
    seg = {frame: scores["seg"] for frame, scores in json.loads(out.read_text()).items()}
    assert seg == {"man_seg_003_001": 0.5, "man_seg_003_002": 1, "all": pytest.approx(2 / 3)}
    write(tmp_path / "01_GT" / "SEG" / "man_seg_003_007.tif", TRUTH)
    result = unetseg("score", tmp_path / "01_RES", tmp_path / "01_GT")
    assert "mask003.tif: has 3 planes, but the truth annotates plane 7." in result.err


def test_the_objects_of_a_volume_are_whole(unetseg: Unetseg, tmp_path: Path) -> None:
    """Object 1 lies in two planes, of which one is found: half is no match, by planes it would be."""
    write(tmp_path / "01_RES" / "mask000.tif", np.stack([FOUND, 0 * FOUND]))
    write(tmp_path / "01_GT" / "SEG" / "man_seg000.tif", np.stack([TRUTH, np.where(TRUTH == 1, 1, 0)]))
    write(tmp_path / "01_GT" / "TRA" / "man_track000.tif", np.stack([MARKERS, 0 * MARKERS]))
    result = unetseg("score", tmp_path / "01_RES", tmp_path / "01_GT", "--scores", "seg")
    assert "challenge: seg 0.0000, det 0.4500" in result.out


@pytest.mark.data
def test_the_challenges_own_figure_as_printed(unetseg: Unetseg, data_root: Path) -> None:
    root = data_root / "ctc-selftest"
    result = unetseg("score", root / "01_RES", root / "01_GT", "--scores", "seg", "--worst", 2)
    assert "all         0.2329" in result.out
    assert "man_seg031  2   0.0000  3795  (586.9, 334.5)" in result.out


def tracked(root: Path) -> tuple[Path, Path]:
    """The same, with an object on the second marker too and with tracks, of which one is in two pieces."""
    paths = challenge(root)
    found = TRUTH.copy()
    found[0:2, 0:2] = 4
    for t in range(3):
        write(paths[0] / f"mask{t:03}.tif", np.where((found == 1) & (t == 2), 9, found).astype(np.uint16))
    (paths[0] / "res_track.txt").write_text("1 0 1 0\n9 2 2 0\n2 0 2 0\n4 0 2 0\n")
    return paths


def test_tracks_are_scored_where_both_folders_have_them(unetseg: Unetseg, tmp_path: Path) -> None:
    """Of four edges one is missing; three false alarms of weight 1: 1 - (3 + 1.5) / (60 + 6)."""
    out = tmp_path / "a.json"
    result = unetseg("score", *tracked(tmp_path), "--out", out)
    assert (result.code, result.err) == (0, "")
    line = "challenge: seg 1.0000, det 0.9500, tra 0.9318, lnk 0.7500, op-csb 0.9750, op-ctb 0.9659"
    assert line in result.out
    found = json.loads(out.read_text())["challenge"]
    assert found["tra"] == pytest.approx(1 - 4.5 / 66)
    assert found["lnk"] == pytest.approx(1 - 1.5 / 6)
    assert found["op-ctb"] == pytest.approx((1 + found["tra"]) / 2)
    inside = unetseg("score", tmp_path / "01_RES", tmp_path / "01_GT", "--border", 4).out
    assert "det 1.0000, tra 0.9773, lnk 0.7500" in inside  # without the false alarms at the edge


def test_tracks_that_do_not_fit_their_frames_are_refused(unetseg: Unetseg, tmp_path: Path) -> None:
    paths = tracked(tmp_path)
    for text, wrong in (
        ("1 0 2 0\n9 2 2 0\n2 0 2 0\n4 0 2 0\n", "object 1 of frame 2 is in the file but not in the frame"),
        ("1 0 1 0\n2 0 2 0\n4 0 2 0\n", "object 9 of frame 2 is in the frame but not in the file"),
        ("1 0 1 0\n9 2 2 0\n2 0 2 0\n4 0 3 0\n", "object 4 of frame 3 is in the file but not in the frame"),
        ("nonsense\n", "line 1: 'nonsense' is not a track"),
    ):
        (paths[0] / "res_track.txt").write_text(text)
        result = unetseg("score", *paths)
        assert (result.code, wrong in result.err, result.err.count("\n")) == (2, True, 1), result.err


def test_without_every_result_there_is_no_tra(unetseg: Unetseg, tmp_path: Path) -> None:
    paths = tracked(tmp_path)
    (paths[0] / "mask002.tif").unlink()
    counted = unetseg("score", *paths, "--missing-as-empty").out
    assert "det" in counted
    assert "tra " not in counted


@pytest.mark.data
@pytest.mark.slow
def test_the_truth_of_a_challenge_scores_one(unetseg: Unetseg, data_root: Path, tmp_path: Path) -> None:
    truth, result = data_root / "DIC-C2DH-HeLa" / "02_GT", tmp_path / "02_RES"
    result.mkdir()
    for path in (truth / "TRA").glob("*.tif"):
        (result / path.name.replace("man_track", "mask")).symlink_to(path)
    (result / "res_track.txt").symlink_to(truth / "TRA" / "man_track.txt")
    assert "det 1.0000, tra 1.0000, lnk 1.0000" in unetseg("score", result, truth).out
