"""The Cell Tracking Challenge's scores that need more than segmented objects."""

from __future__ import annotations

import numpy as np

from unetseg.scores.ctc import Detections, detection_score, detections, op_csb
from unetseg.scores.entry import Frame, Rows, Score


def _detection_row(frame: Frame) -> Rows:
    found = detections(frame.truth, frame.predicted)
    return np.array([[found.references, found.splits, found.misses, found.false_alarms]], np.float64)


def _detection_total(rows: Rows) -> float:
    return detection_score(Detections(*rows.sum(axis=0).astype(int).tolist()))


def _op_csb(rows: Rows) -> float:
    seg, det = rows[:, 0].tolist()
    return op_csb(seg, det)


CHALLENGE_SCORES: dict[str, Score] = {
    "det": Score(
        kind="challenge",
        title="DET (Cell Tracking Challenge)",
        meaning="how many cells are detected, by their markers: 1 − cost of the corrections",
        total=_detection_total,
        rows=_detection_row,
        standard=True,
    ),
    "op-csb": Score(
        kind="challenge",
        title="OP_CSB (Cell Tracking Challenge)",
        meaning="mean of SEG and DET, by which the challenge ranks",
        total=_op_csb,
        rows=None,
    ),
}
