"""SEG and DET against hand-worked arrays, the organisers' implementation and their own figure."""

from __future__ import annotations

from math import isnan
from pathlib import Path

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.scores.ctc import (
    Detections,
    det,
    detections,
    field_of_interest,
    op_csb,
    seg,
    seg_objects,
)

EMPTY = np.zeros((2, 4), int)
TRUTH = np.array([[1, 1, 1, 1], [2, 2, 0, 0]])


def test_seg_of_a_hand_worked_frame() -> None:
    # 3 of the 4 pixels of object 1, union 5; half of object 2 is not more than half.
    ids, jaccards = seg_objects(TRUTH, np.array([[5, 5, 5, 0], [5, 6, 6, 6]]))
    assert ids.tolist() == [1, 2]
    assert jaccards.tolist() == [3 / 5, 0]


def test_exactly_half_is_no_match() -> None:
    assert seg([(TRUTH, np.array([[5, 5, 0, 0], [6, 6, 0, 0]]))]) == (0 + 1) / 2


def test_one_result_object_may_match_two_references() -> None:
    _, jaccards = seg_objects(TRUTH, np.full((2, 4), 3))
    assert jaccards.tolist() == [4 / 8, 2 / 8]


def test_seg_weighs_objects_not_frames_and_skips_frames_without_objects() -> None:
    one = np.array([[8, 8, 0, 0], [0, 0, 0, 0]])
    assert seg([(TRUTH, EMPTY), (one, one), (EMPTY, one)]) == 1 / 3
    assert isnan(seg([(EMPTY, one)]))
    assert isnan(seg([]))


def test_not_annotated_counts_as_background() -> None:
    truth = np.array([[1, 1, -1, -1]])
    assert seg([(truth, np.array([[4, 4, 4, 4]]))]) == 2 / 4
    assert detections(truth, np.array([[4, 4, 0, 6]])).false_alarms == 1


def test_ids_above_65535_stay_apart() -> None:
    truth = np.array([[1, 65537, 131073]])  # all equal in 16 bits
    assert seg([(truth, truth + 65536)]) == 1
    assert det([(truth, truth + 65536)]) == 1


def test_a_volume_scores_as_its_pixels() -> None:
    predicted = np.array([[5, 5, 5, 0], [5, 6, 6, 6]])
    volumes = (TRUTH.reshape(2, 2, 2), predicted.reshape(2, 2, 2))
    assert seg([volumes]) == seg([(TRUTH, predicted)])


def test_det_of_a_hand_worked_frame() -> None:
    # object 3 holds both references (one split); object 4 holds none (one false alarm).
    predicted = np.array([[3, 3, 3, 0], [3, 3, 4, 4]])
    assert detections(TRUTH, predicted) == Detections(2, 1, 0, 1)
    assert det([(TRUTH, predicted)]) == 1 - (5 + 1) / 20
    assert detections(TRUTH, EMPTY) == Detections(2, 0, 2, 0)
    assert det([(TRUTH, EMPTY), (TRUTH, predicted)]) == 1 - (20 + 6) / 40


def test_det_never_falls_below_zero() -> None:
    one = np.array([[1] + 40 * [0]])
    assert det([(one, np.arange(41)[None])]) == 0
    assert isnan(det([(EMPTY, EMPTY)]))


def test_op_csb_is_the_mean() -> None:
    assert op_csb(0.5, 1.0) == 0.75


def test_objects_outside_the_field_of_interest_are_dropped_whole() -> None:
    labels = np.array([[1, 1, 1, 2], [1, 0, 4, 2], [-1, 5, 0, 2], [3, 5, 0, 0]])
    assert field_of_interest(labels, 1).tolist() == [
        [0, 0, 0, 0],
        [0, 0, 4, 0],
        [-1, 5, 0, 0],
        [0, 5, 0, 0],
    ]
    assert (field_of_interest(labels, 0) == labels).all()
    with pytest.raises(UserError, match="allowed are 0 to 1"):
        field_of_interest(labels, 2)


def test_the_field_of_interest_of_a_volume_has_no_border_in_z() -> None:
    labels = np.zeros((2, 3, 3), np.uint16)
    labels[0, 1, 1], labels[1, 0, :] = 1, 2
    kept = field_of_interest(labels, 1)
    assert kept.dtype == np.uint16
    assert np.unique(kept).tolist() == [0, 1]


def random_frame(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A blocky truth and a result that is the truth shifted, with some objects merged or lost."""
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, 30, (8, 8)), np.ones((5, 5), int)).astype(np.uint16)
    predicted = np.roll(truth, rng.integers(-2, 3, 2), (0, 1)) // rng.integers(1, 3)
    truth[0, 0] = predicted[0, 0] = 0  # py-ctcmetrics takes the least id for the background
    return truth, predicted


def edge_frames() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Frames where implementations differ: empty ones, one result for two references, large ids."""
    empty = np.zeros((6, 8), np.uint32)
    two, one = empty.copy(), empty.copy()
    two[1:3, 1:4], two[4:6, 1:4], one[1:6, 1:5] = 1, 2, 9
    large = np.where(two > 0, two * 65536 + 7, 0).astype(np.uint32)  # both are 7 in 16 bits
    return {
        "empty result": (two, empty),
        "empty reference": (empty, two),
        "both empty": (empty, empty),
        "one result for two": (two, one),
        "two results for one": (one, two),
        "large ids": (two, large),
    }


def check_agreement(frames: list[tuple[np.ndarray, np.ndarray]], folder: Path) -> Detections:
    """Our SEG, DET and corrections of the frames against py-ctcmetrics'; ours are returned."""
    pytest.importorskip("ctc_metrics")
    from ctc_metrics.metrics import det as their_det
    from ctc_metrics.metrics import seg as their_seg
    from ctc_metrics.utils.representations import (
        count_acyclic_graph_correction_operations as corrections,
    )
    from ctc_metrics.utils.representations import match
    from tifffile import imwrite

    matches = []
    for index, pair in enumerate(frames):
        paths = [folder / f"{kind}{index}.tif" for kind in ("truth", "result")]
        for path, labels in zip(paths, pair, strict=True):
            imwrite(path, labels)
        matches.append(match(str(paths[0]), str(paths[1])))
    true_ids, found_ids, matched_true, matched_found, ious = map(list, zip(*matches, strict=True))
    counts = corrections(None, None, true_ids, found_ids, matched_true, matched_found)

    ours = [detections(truth, predicted) for truth, predicted in frames]
    total = Detections(*np.sum([list(vars(frame).values()) for frame in ours], axis=0).tolist())
    assert (total.splits, total.misses, total.false_alarms) == (counts["NS"], counts["FN"], counts["FP"])
    assert seg(frames) == pytest.approx(their_seg(true_ids, ious), abs=1e-12)
    assert det(frames) == pytest.approx(their_det(**counts), abs=1e-12)
    return total


def test_agrees_with_the_organisers_implementation(tmp_path: Path) -> None:
    total = check_agreement([random_frame(seed) for seed in range(12)], tmp_path)
    assert min(total.splits, total.misses, total.false_alarms) > 0


def test_agrees_with_the_organisers_implementation_on_edge_cases(tmp_path: Path) -> None:
    frames = edge_frames()
    check_agreement(list(frames.values()), tmp_path)
    for name in ("empty result", "one result for two", "two results for one", "large ids"):
        check_agreement([frames[name]], tmp_path)


@pytest.mark.data
def test_the_challenge_figure_of_the_self_test_sequence(data_root: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    folder = data_root / "ctc-selftest"
    pairs = [
        (tifffile.imread(path), tifffile.imread(folder / "01_RES" / f"mask{path.stem[-3:]}.tif"))
        for path in sorted((folder / "01_GT" / "SEG").glob("man_seg*.tif"))
    ]
    assert len(pairs) == 18
    assert sum(len(seg_objects(truth, predicted)[0]) for truth, predicted in pairs) == 121
    assert seg(pairs) == pytest.approx(0.232874, abs=5e-7)


@pytest.mark.data
@pytest.mark.parametrize("name", ["DIC-C2DH-HeLa", "PhC-C2DH-U373"])
def test_agrees_with_the_organisers_implementation_on_real_labels(
    name: str, data_root: Path, tmp_path: Path
) -> None:
    """The silver truth, eroded and partly merged, against the gold truth, and against the markers."""
    tifffile = pytest.importorskip("tifffile")
    for kind, prefix, most in (("SEG", "man_seg", 4), ("TRA", "man_track", 4)):
        frames = []
        for path in sorted((data_root / name / "01_GT" / kind).glob("*.tif"))[:most]:
            silver = data_root / name / "01_ST" / "SEG" / f"man_seg{path.stem.removeprefix(prefix)}.tif"
            found = tifffile.imread(silver)[:, 3:]
            found = np.pad(np.where(found > 4, found // 2 * 2, found), ((0, 0), (0, 3)))
            frames.append((tifffile.imread(path), found))
        check_agreement(frames, tmp_path)
