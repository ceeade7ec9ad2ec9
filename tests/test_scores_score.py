"""The registry: totals of a sequence against the single functions, rows, names and errors."""

from __future__ import annotations

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.scores import Kind, bootstrap, find_score, frame_table, score, scores_of, standard_scores
from unetseg.scores.ctc import seg
from unetseg.scores.objects import AP_THRESHOLDS, Matching, match_objects, object_iou, pool
from unetseg.scores.overlap import annotated_objects, overlap
from unetseg.scores.surface import surface_distances

TRUTHS = [
    np.array([[1, 1, 0, 0], [1, 1, 0, -1]]),
    np.array([[0, 0, 0, 0], [0, 0, 0, 0]]),
    np.array([[3, 3, 0, 7], [3, 3, 0, 7]]),
]
PREDICTIONS = [
    np.array([[1, 1, 1, 0], [0, 1, 0, 2]]),
    np.array([[0, 0, 0, 0], [0, 0, 0, 4]]),
    np.array([[1, 1, 0, 2], [1, 1, 0, 0]]),
]


def matching(truth: np.ndarray, predicted: np.ndarray, threshold: float = 0.5) -> Matching:
    return match_objects(annotated_objects(overlap(truth, predicted)), threshold)


def test_totals_are_those_of_the_single_functions_on_all_frames() -> None:
    pairs = list(zip(TRUTHS, PREDICTIONS, strict=True))
    truth, predicted = np.stack(TRUTHS), np.stack(PREDICTIONS)
    both = (truth > 0) & (predicted > 0)
    either = (truth > 0) | (predicted > 0) & (truth >= 0)
    annotated = np.sum(truth >= 0)
    assert score(TRUTHS, PREDICTIONS) == {
        "iou": both.sum() / either.sum(),
        "background-iou": (annotated - either.sum()) / (annotated - both.sum()),
        "object-iou": np.concatenate([object_iou(t, p)[1] for t, p in pairs]).mean(),
        "seg": seg(pairs),
        "pixel-error": (either.sum() - both.sum()) / annotated,
        "f1": pool(matching(t, p) for t, p in pairs).f1,
    }


def test_hand_worked_totals() -> None:
    # objects: 3/5, 4/4 and 1/2, which is not enough for SEG; of 23 annotated pixels 8 are
    # foreground in both images, 12 in either.
    totals = score(TRUTHS, PREDICTIONS)
    assert totals["object-iou"] == pytest.approx((3 / 5 + 1 + 1 / 2) / 3)
    assert totals["seg"] == pytest.approx((3 / 5 + 1) / 3)
    assert totals["iou"] == 8 / 12
    assert totals["background-iou"] == 11 / 15
    assert totals["pixel-error"] == 4 / 23
    assert totals["f1"] == 2 * 3 / (2 * 3 + 1)


def test_rows_are_the_scores_of_each_frame_alone() -> None:
    table = frame_table(TRUTHS, PREDICTIONS, frames=["a", "b", "c"])
    assert table.frames == ("a", "b", "c")
    assert table.names == standard_scores()
    for row, truth, predicted in zip(table.values, TRUTHS, PREDICTIONS, strict=True):
        alone = score([truth], [predicted])
        np.testing.assert_array_equal(row, list(alone.values()))
    assert np.isnan(table.values[1, table.names.index("seg")])
    object_column = table.values[:, table.names.index("object-iou")]
    assert object_column[2] == object_iou(TRUTHS[2], PREDICTIONS[2])[1].mean()


def test_only_the_scores_asked_for_in_their_order() -> None:
    assert list(score(TRUTHS, PREDICTIONS, ["seg", "iou"])) == ["seg", "iou"]


def test_frames_may_come_one_at_a_time() -> None:
    assert score(iter(TRUTHS), iter(PREDICTIONS)) == score(TRUTHS, PREDICTIONS)


def test_scores_taken_only_by_name_are_those_of_the_single_functions() -> None:
    pairs = list(zip(TRUTHS, PREDICTIONS, strict=True))
    totals = score(TRUTHS, PREDICTIONS, [*scores_of("instances")])
    precisions = [pool(matching(t, p, at) for t, p in pairs).average_precision for at in AP_THRESHOLDS]
    assert [totals[f"ap-{100 * at:.0f}"] for at in AP_THRESHOLDS] == precisions
    assert totals["mean-ap"] == pytest.approx(np.mean(precisions))
    # foreground and background: 8 found, 2 missed, 2 too many, 11 left alone, of 23 annotated
    assert totals["dice"] == 16 / (10 + 10)
    assert totals["sensitivity"] == 8 / 10
    assert totals["specificity"] == 11 / 13
    assert totals["accuracy"] == 19 / 23
    assert totals["kappa"] == pytest.approx((19 / 23 - 269 / 529) / (1 - 269 / 529))


def test_surfaces_pool_by_their_pixels() -> None:
    found = [surface_distances(t, p, annotated=t >= 0) for t, p in zip(TRUTHS, PREDICTIONS, strict=True)]
    both = np.concatenate([np.concatenate(frame.both_ways) for frame in found])
    totals = score(TRUTHS, PREDICTIONS, ["surface-distance", "hausdorff-95"])
    assert totals["surface-distance"] == pytest.approx(both.mean())
    alone = score(TRUTHS[2:], PREDICTIONS[2:], ["hausdorff-95"])
    assert alone["hausdorff-95"] == found[2].hausdorff(95)
    assert np.isnan(score(TRUTHS[1:2], PREDICTIONS[1:2], ["hausdorff-95"])["hausdorff-95"])


def test_errors_and_distances_are_better_when_lower() -> None:
    lower = [name for name, entry in scores_of("instances").items() if entry.better == "lower"]
    assert lower == ["pixel-error", "surface-distance", "hausdorff-95"]


def test_a_perfect_prediction_has_the_best_total_of_every_score() -> None:
    truth = np.array([[1, 1, 0, 2], [1, 1, 0, 2]])
    best = {"higher": 1.0, "lower": 0.0}
    perfect = score([truth], [truth], [*scores_of("instances")])
    assert perfect == {name: best[entry.better] for name, entry in scores_of("instances").items()}


def test_every_score_says_what_it_is_and_gives_perfect_results_its_best_total() -> None:
    """One entry a score: kind, title, meaning and which way is better; nobody asks its name."""
    classes = np.array([[0, 1, 2], [0, 1, 2]])
    perfect = {
        "instances": (np.array([[1, 1, 0, 2], [1, 1, 0, 2]]),) * 2,
        "classes": (classes, classes),
        "volumes": (classes[None], classes[None]),
        "probabilities": (np.array([[1, 1, 0, 1, 1]] * 2), np.array([[0.95, 0.95, 0, 0.95, 0.95]] * 2)),
        "challenge": (classes, classes),
    }
    for kind, (truth, predicted) in perfect.items():
        entries = {n: e for n, e in scores_of(kind, 3).items() if e.rows is not None}  # type: ignore[arg-type]
        spacings = [(1.0,) * truth.ndim]
        table = frame_table([truth], [predicted], [*entries], kind=kind, classes=3, spacings=spacings)  # type: ignore[arg-type]
        assert table.totals == {name: {1: 1.0, -1: 0.0}[entry.sign] for name, entry in entries.items()}
        assert all(entry.kind == kind and entry.title and entry.meaning for entry in entries.values())


@pytest.mark.parametrize(
    ("name", "kind", "found", "better"),
    [
        ("iou", "classes", "mean IoU", "higher"),
        ("iou", "instances", "IoU of the foreground", "higher"),
        ("iou-12", "classes", "IoU of class 12", "higher"),
        ("surface-um-2", "classes", "surface distance of class 2 (µm), mean over volumes", "lower"),
        ("em-pixel-error", "instances", "pixel error (ISBI 2012, early)", "lower"),
        (
            "op-csb-foi",
            "instances",
            "OP_CSB (Cell Tracking Challenge) in the challenge's field of interest",
            "higher",
        ),
    ],
)
def test_a_score_is_found_by_its_name(name: str, kind: Kind, found: str, better: str) -> None:
    entry = find_score(name, kind)
    assert entry is not None
    assert (entry.title, entry.better) == (found, better)


def test_scores_of_a_whole_sequence_are_not_those_of_frames() -> None:
    labels = np.ones((4, 4), int)
    for name in ("op-csb", "tra", "lnk", "op-ctb"):
        with pytest.raises(UserError, match=f"{name} is not read from single frames"):
            score([labels], [labels], [name], kind="challenge")
        assert find_score(name) is not None


def test_totals_of_tracks_from_their_counts() -> None:
    """8 vertices of which 1 is missed, 6 edges of which 2 are missing and 1 is redundant."""
    scores = scores_of("challenge")
    assert scores["tra"].total(np.array([[8.0, 0, 1, 0, 6, 1, 2, 0]])) == pytest.approx(1 - 14 / 89)
    assert scores["lnk"].total(np.array([[3.0, 1, 1, 0], [3.0, 0, 1, 0]])) == pytest.approx(1 - 4 / 9)
    assert scores["op-ctb"].total(np.array([[0.5], [1.0]])) == 0.75


def test_names_that_are_no_score() -> None:
    assert [find_score(name) for name in ("segg", "", "-foi", "iou-", "ap-51")] == [None] * 5


def test_where_only_some_objects_are_annotated_only_those_count() -> None:
    """Object 1 is annotated, 2 is not: nothing is known to be background."""
    truth = np.full((6, 8), -1)
    truth[0:2, 0:4] = 1
    whole, wide, second = np.zeros((3, 6, 8), int)
    whole[0:2, 0:4], wide[0:4, 0:4], second[4:6, 4:8] = 5, 5, 7
    good = score([truth], [whole + second])
    assert (good["f1"], good["object-iou"], good["seg"]) == (1, 1, 1)  # 7 may well be an object
    assert np.isnan(good["iou"])
    assert np.isnan(good["pixel-error"])
    bad = score([truth], [wide + second])  # what lies around object 1 is known not to be object 1
    assert (bad["object-iou"], bad["seg"]) == (0.5, 0.5)
    assert frame_table([truth, np.maximum(truth, 0)], [whole, whole]).partly_annotated == 1
    missed = score([truth], [second])
    assert (missed["f1"], missed["seg"]) == (0, 0)


def test_the_interval_is_that_of_frames_drawn_again() -> None:
    """Of frames of IoU 0 or 1 the total is a share of n draws: the binomial's interval, about ±0.20."""
    one, other = np.array([[1, 1, 0]]), np.array([[0, 0, 2]])
    table = frame_table([one] * 24, [one, other] * 12, ["seg", "f1", "hausdorff-95"])
    low, high = table.interval("seg") or (0, 0)
    assert (low, high) == table.interval("seg")  # always the same draws
    assert abs(low - (0.5 - 1.96 * np.sqrt(0.25 / 24))) < 0.03
    assert abs(high - (0.5 + 1.96 * np.sqrt(0.25 / 24))) < 0.03


def test_of_few_frames_objects_are_drawn_and_of_one_object_nothing() -> None:
    truth = np.array([[1, 0, 2, 0, 3, 0, 4, 0, 5, 0]])
    table = frame_table([truth], [np.where(truth > 2, truth, 0)], ["seg", "f1"])
    low, high = table.interval("seg") or (0, 0)
    assert 0 <= low < 0.6 < high <= 1
    assert table.interval("f1") is None  # one row of counts: nothing to draw from
    assert bootstrap(table.entries[0], [np.ones((1, 1))]) is None


def test_refused() -> None:
    with pytest.raises(UserError, match="no score 'segg' of object labels; did you mean 'seg'"):
        score(TRUTHS, PREDICTIONS, ["segg"])
    with pytest.raises(UserError, match="frame 2 has no prediction"):
        score(TRUTHS, PREDICTIONS[:2])
    with pytest.raises(UserError, match="frame 2 has no truth"):
        score(TRUTHS[:2], PREDICTIONS)
    with pytest.raises(UserError, match=r"^t007: the truth has shape \(2, 4\)"):
        score(TRUTHS[:1], [PREDICTIONS[0].T], frames=["t007"])
    with pytest.raises(UserError, match="no frame to score"):
        score([], [])
    for frames in (["a"], list("abcd")):
        with pytest.raises(UserError, match=f"{len(frames)} names for 3 frames"):
            score(TRUTHS, PREDICTIONS, frames=frames)
