"""The Cell Tracking Challenge's scores that need more than segmented objects."""

from __future__ import annotations

import numpy as np

from unetseg.scores.ctc import Detections, detection_score, detections
from unetseg.scores.entry import Frame, Rows, Score, mean_of_rows
from unetseg.scores.tracks import LinkErrors, linking_score, tracking_score


def _detection_row(frame: Frame) -> Rows:
    found = detections(frame.truth, frame.predicted)
    return np.array([[found.references, found.splits, found.misses, found.false_alarms]], np.float64)


def _detection_total(rows: Rows) -> float:
    return detection_score(Detections(*rows.sum(axis=0).astype(int).tolist()))


def _tracking_total(rows: Rows) -> float:
    """Of rows of the counts of `Detections` and then those of `LinkErrors`."""
    counts = rows.sum(axis=0).astype(int).tolist()
    return tracking_score(Detections(*counts[:4]), LinkErrors(*counts[4:]))


def _linking_total(rows: Rows) -> float:
    return linking_score(LinkErrors(*rows.sum(axis=0).astype(int).tolist()))


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
        total=mean_of_rows,
        rows=None,
    ),
    "tra": Score(
        kind="challenge",
        title="TRA (Cell Tracking Challenge)",
        meaning="how well cells are detected and linked from frame to frame: 1 − cost of the corrections",
        total=_tracking_total,
        rows=None,
    ),
    "lnk": Score(
        kind="challenge",
        title="LNK (Cell Tracking Challenge)",
        meaning="how well detected cells are linked from frame to frame: 1 − cost of the corrections",
        total=_linking_total,
        rows=None,
    ),
    "op-ctb": Score(
        kind="challenge",
        title="OP_CTB (Cell Tracking Challenge)",
        meaning="mean of SEG and TRA, by which the challenge ranks tracking",
        total=mean_of_rows,
        rows=None,
    ),
}
