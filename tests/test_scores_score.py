"""The registry: totals of a sequence against the single functions, rows, names and errors."""

from __future__ import annotations

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.scores import SCORES, frame_table, score, standard_scores
from unetseg.scores.ctc import seg
from unetseg.scores.objects import AP_THRESHOLDS, matching, mean_object_iou, object_iou, pool
from unetseg.scores.pixels import dice, iou, pixel_error
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


def test_totals_are_those_of_the_single_functions_on_all_frames() -> None:
    pairs = list(zip(TRUTHS, PREDICTIONS, strict=True))
    truth, predicted = np.stack(TRUTHS), np.stack(PREDICTIONS)
    seen = (predicted > 0, truth > 0)
    annotated = truth >= 0
    assert score(TRUTHS, PREDICTIONS) == {
        "iou": iou(*seen, 1, annotated),
        "background-iou": iou(*seen, 0, annotated),
        "object-iou": np.concatenate([object_iou(t, p)[1] for t, p in pairs]).mean(),
        "seg": seg(pairs),
        "pixel-error": pixel_error(*seen, annotated),
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
    assert object_column[2] == mean_object_iou(TRUTHS[2], PREDICTIONS[2])


def test_only_the_scores_asked_for_in_their_order() -> None:
    assert list(score(TRUTHS, PREDICTIONS, ["seg", "iou"])) == ["seg", "iou"]


def test_frames_may_come_one_at_a_time() -> None:
    assert score(iter(TRUTHS), iter(PREDICTIONS)) == score(TRUTHS, PREDICTIONS)


def test_scores_taken_only_by_name_are_those_of_the_single_functions() -> None:
    pairs = list(zip(TRUTHS, PREDICTIONS, strict=True))
    truth, predicted = np.stack(TRUTHS), np.stack(PREDICTIONS)
    totals = score(TRUTHS, PREDICTIONS, [*SCORES])
    precisions = [pool(matching(t, p, at) for t, p in pairs).average_precision for at in AP_THRESHOLDS]
    assert [totals[f"ap-{100 * at:.0f}"] for at in AP_THRESHOLDS] == precisions
    assert totals["mean-ap"] == pytest.approx(np.mean(precisions))
    assert totals["dice"] == dice(predicted > 0, truth > 0, 1, truth >= 0)
    # foreground and background: 8 found, 2 missed, 2 too many, 11 left alone, of 23 annotated
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
    lower = [name for name, entry in SCORES.items() if entry.better == "lower"]
    assert lower == ["pixel-error", "surface-distance", "hausdorff-95"]


def test_a_perfect_prediction_has_the_best_total_of_every_score() -> None:
    truth = np.array([[1, 1, 0, 2], [1, 1, 0, 2]])
    best = {"higher": 1.0, "lower": 0.0}
    perfect = score([truth], [truth], [*SCORES])
    assert perfect == {name: best[entry.better] for name, entry in SCORES.items()}


def test_refused() -> None:
    with pytest.raises(UserError, match="no score 'segg'; did you mean 'seg'"):
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
