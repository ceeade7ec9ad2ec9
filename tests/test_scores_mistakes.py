"""Mistakes of a frame by hand: which kind, where, at the border or not, and the sentence about them."""

from __future__ import annotations

import numpy as np
import pytest

from unetseg.scores.mistakes import MISTAKES, error_counts, error_sentence, frame_errors


def labels(*boxes: tuple[int, int, int, int], shape: tuple[int, ...] = (60, 60)) -> np.ndarray:
    """Rectangles (top, left, bottom, right) numbered from 1."""
    made = np.zeros(shape, np.int32)
    for k, (top, left, bottom, right) in enumerate(boxes, 1):
        made[..., top:bottom, left:right] = k
    return made


ROUND = (20, 20, 30, 30)


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        ((18, 18, 32, 32), "too wide"),  # 100 / 196
        ((22, 22, 28, 28), "too narrow"),  # 36 / 100
        ((23, 20, 33, 30), "uneven"),  # 70 / 130
    ],
)
def test_loose_outlines(found: tuple[int, int, int, int], kind: str) -> None:
    compared = frame_errors(labels(ROUND), labels(found))
    assert [(m.kind, m.truth, m.predicted, m.area) for m in compared.mistakes] == [(kind, (1,), (1,), 100)]
    assert (compared.found, compared.true, compared.predicted) == (1, 1, 1)
    assert compared.outlines.tolist() == compared.ious.tolist()


def test_an_outline_that_agrees_to_four_fifths_is_no_mistake() -> None:
    assert frame_errors(labels(ROUND), labels((20, 20, 30, 28))).mistakes == ()  # 80 / 100
    assert len(frame_errors(labels(ROUND), labels((20, 20, 30, 27))).mistakes) == 1  # 70 / 100


def test_every_kind_of_mistake_and_whether_it_is_at_the_border() -> None:
    touching = (40, 5, 50, 15), (40, 15, 50, 25)
    truth = labels((0, 5, 8, 10), ROUND, *touching, (40, 40, 50, 60), (20, 40, 30, 50))
    found = labels(ROUND, (40, 5, 50, 25), (40, 40, 45, 60), (45, 40, 50, 60), (54, 1, 57, 4))
    compared = frame_errors(truth, found)
    assert [(m.kind, m.truth, m.predicted, m.at_border) for m in compared.mistakes] == [
        ("missed", (1,), (), True),
        ("missed", (6,), (), False),
        ("merged", (3, 4), (2,), False),
        ("split", (5,), (3, 4), True),
        ("spurious", (), (5,), True),
    ]
    assert compared.mistakes[0].box == (slice(0, 8), slice(5, 10))
    counts = error_counts([compared, compared])
    assert (counts["true"], counts["found"], counts["missed"], counts["missed at border"]) == (12, 2, 4, 2)
    assert error_sentence(counts, "cells") == (
        "2 of 12 cells found, 4 missed (2 at the border), 2 merged, 2 split (2 at the border), "
        "2 spurious (2 at the border); outlines agree to 1.00"
    )


def test_a_volume_is_compared_whole_and_its_first_slice_is_no_border() -> None:
    truth = labels(ROUND, shape=(3, 60, 60))
    compared = frame_errors(truth, np.where(np.arange(3)[:, None, None] < 2, truth, 0))
    assert compared.ious.tolist() == [2 / 3]
    assert [(m.kind, m.at_border) for m in compared.mistakes] == [("too narrow", False)]


def test_frames_without_objects() -> None:
    nothing = labels()
    assert frame_errors(nothing, nothing).mistakes == ()
    counts = error_counts([frame_errors(nothing, nothing)])
    assert error_sentence(counts) == "0 of 0 objects found"
    missed = error_counts([frame_errors(labels(ROUND), nothing)])
    assert error_sentence(missed) == "0 of 1 objects found, 1 missed"
    assert set(MISTAKES) < set(missed)
