"""The Cell Tracking Challenge's scores of single frames: SEG, DET and their mean OP_CSB.

Sources: Maška et al. 2014, Bioinformatics 30(11), 1609; Ulman et al. 2017, Nature Methods 14, 1141;
Matula et al. 2015, PLoS ONE 10(12), e0144959 (AOGM). Rules checked against the organisers' own
implementations, java-ctcmetrics and py-ctcmetrics.

Label images are (y, x) or (z, y, x) integers: 0 background, k > 0 object; truth pixels that are
not annotated (-1) count as background, as in the challenge. Where its truth of a volume is
one annotated slice, give that slice of both images. Errors are those of `overlap`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.scores.overlap import Objects, Overlap, all_objects, overlap

# Weights of AOGM-D: splitting a vertex, adding one, deleting one (Matula et al. 2015).
SPLIT_COST, MISS_COST, FALSE_ALARM_COST = 5, 10, 1

Frames = Iterable[tuple[NDArray[Any], NDArray[Any]]]


def seg(pairs: Frames) -> float:
    """SEG of a sequence of (truth, predicted) frames, in [0, 1]: mean over all true objects.

    All true objects of all frames weigh the same; a frame without any adds nothing. NaN if no
    frame has one.
    """
    jaccards = [seg_objects(truth, predicted)[1] for truth, predicted in pairs]
    pooled = np.concatenate([np.empty(0), *jaccards])
    return float(pooled.mean()) if pooled.size else float("nan")


def seg_objects(
    truth: NDArray[Any], predicted: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Ids (n,) of the true objects of a frame, ascending, and the Jaccard index (n,) of each.

    A true object R is matched to the predicted object S with |R ∩ S| > 0.5 |R|, of which there is
    at most one; it scores |R ∩ S| / |R ∪ S|, or 0 without a match. One S may serve several R.
    """
    return seg_jaccards(overlap(truth, predicted))


def seg_jaccards(pairs: Overlap) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """`seg_objects` from an existing overlap table."""
    objects = all_objects(pairs)
    rows, columns, shared = match_objects(objects)
    jaccards = np.zeros(len(objects.truth_ids))
    union = objects.truth_areas[rows] + objects.predicted_areas[columns] - shared
    jaccards[rows] = shared / union
    return objects.truth_ids, jaccards


def match_objects(
    objects: Objects,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Indices of matched true and predicted objects, and their shared area: (matches,) each."""
    pairs = objects.shared.tocoo()
    rows, columns = pairs.coords
    matched = 2 * pairs.data > objects.truth_areas[rows]
    return rows[matched], columns[matched], pairs.data[matched]


@dataclass(frozen=True)
class Detections:
    """Vertices of the truth and the three corrections DET counts; pool frames by adding each."""

    references: int
    splits: int
    misses: int
    false_alarms: int

    @classmethod
    def of(cls, objects: Objects, detected: int, detecting: int) -> Self:
        """Of a frame with so many detected true objects, and so many predicted ones that detect any."""
        true, found = len(objects.truth_ids), len(objects.predicted_ids)
        return cls(true, detected - detecting, true - detected, found - detecting)


def detections(truth: NDArray[Any], predicted: NDArray[Any]) -> Detections:
    """The corrections that one frame needs for each true marker to be detected once.

    A marker R is detected by S when |R ∩ S| > 0.5 |R|. An S that detects k > 1 markers needs k - 1
    splits; a marker without an S is a miss; an S without a marker is a false alarm.
    """
    objects = all_objects(overlap(truth, predicted))
    rows, columns, _ = match_objects(objects)
    return Detections.of(objects, len(rows), len(np.unique(columns)))


def det(pairs: Frames) -> float:
    """DET of a sequence of (truth markers, predicted) frames, in [0, 1]; NaN without any marker.

    DET = 1 - min(AOGM-D, AOGM-D0) / AOGM-D0, where AOGM-D is the weighted sum of the corrections
    in all frames and AOGM-D0 that of an empty result: every marker missed.
    """
    return detection_score(total_detections(detections(truth, found) for truth, found in pairs))


def total_detections(frames: Iterable[Detections]) -> Detections:
    """The counts of all frames together."""
    every = list(frames)
    return Detections(
        references=sum(frame.references for frame in every),
        splits=sum(frame.splits for frame in every),
        misses=sum(frame.misses for frame in every),
        false_alarms=sum(frame.false_alarms for frame in every),
    )


def detection_score(counts: Detections) -> float:
    """DET of the counts of all frames together, see `det`."""
    worst = detection_worst(counts)
    return 1 - min(detection_cost(counts), worst) / worst if worst else float("nan")


def detection_cost(counts: Detections) -> float:
    """AOGM-D: the weighted sum of the corrections."""
    return SPLIT_COST * counts.splits + MISS_COST * counts.misses + FALSE_ALARM_COST * counts.false_alarms


def detection_worst(counts: Detections) -> float:
    """AOGM-D of an empty result."""
    return MISS_COST * counts.references


def op_csb(seg_score: float, det_score: float) -> float:
    """Overall performance in the Cell Segmentation Benchmark: the mean of SEG and DET."""
    return (seg_score + det_score) / 2


def field_of_interest(labels: NDArray[Any], border: int) -> NDArray[Any]:
    """The labels without the objects that lie completely within `border` pixels of the image edge.

    The challenge scores a field of interest: the image without a border E (in pixels) at each side in
    y and x, none in z; objects without a pixel in it are dropped, the others stay whole. Its
    participants state the rule in this way (Bensch 2015, Freiburg; Magnusson, Baxter Algorithms). E is
    50 for DIC-C2DH-HeLa and PhC-C2DH-U373, and their public truth agrees: of 405 segmented
    objects none lies completely in the border, of 3607 markers two do. Dropped pixels become 0; -1
    stays. labels: any (..., y, x). Raises UserError if border is negative or leaves nothing of the image.
    """
    size = min(labels.shape[-2:])
    if not 0 <= 2 * border < size:
        raise UserError(
            f"a border of {border} pixels leaves nothing of an image of shape {labels.shape}; "
            f"allowed are 0 to {(size - 1) // 2}."
        )
    height, width = labels.shape[-2:]
    inner = np.unique(labels[..., border : height - border, border : width - border])
    return np.where((labels > 0) & ~np.isin(labels, inner), labels.dtype.type(0), labels)
