"""The Cell Tracking Challenge's scores of tracks: TRA, LNK and OP_CTB.

Source: Matula et al. 2015, PLoS ONE 10(12), e0144959 (AOGM). A result is a graph: every object of every
frame is a vertex, every step of a track and every parent is an edge. The scores are the weighted number of
corrections that turn it into the graph of the truth, relative to building that graph from nothing. Rules
checked against the organisers' own py-ctcmetrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetseg.scores.ctc import Detections, detection_cost, detection_worst, match_objects
from unetseg.scores.overlap import all_objects, overlap

# Weights of AOGM-A: deleting an edge, adding one, changing its kind (Matula et al. 2015).
REDUNDANT_COST, MISSING_COST, WRONG_KIND_COST = 1.0, 1.5, 1.0

Vertex = tuple[int, int]
"""(frame, id)."""
Edges = dict[tuple[Vertex, Vertex], Literal["step", "parent"]]


class Track(NamedTuple):
    """An object through time: its id, first and last frame, and the track that it came from (0: none).

    It is in every frame from `start` to `end`. Daughters of a division name their mother as parent; an object
    that is seen again after a gap is a new track whose parent is the old one.
    """

    id: int
    start: int
    end: int
    parent: int = 0


@dataclass(frozen=True)
class FrameMatch:
    """The vertices of one frame: its true ids, its predicted ids, and what each prediction detects.

    detected: predicted id → the true id, for predictions that detect exactly one.
    """

    truth_ids: frozenset[int]
    predicted_ids: frozenset[int]
    detected: Mapping[int, int]
    detections: Detections


@dataclass(frozen=True)
class LinkErrors:
    """Edges of the truth, and the three corrections that LNK counts."""

    references: int
    redundant: int
    missing: int
    wrong_kind: int


def match_frame(truth: NDArray[Any], predicted: NDArray[Any]) -> FrameMatch:
    """The vertices of a frame, from label images of the same shape; detection is that of DET."""
    objects = all_objects(overlap(truth, predicted))
    rows, columns, _ = match_objects(objects)
    detecting, first, counts = np.unique(columns, return_index=True, return_counts=True)
    alone = counts == 1
    pairs = zip(
        objects.predicted_ids[detecting[alone]].tolist(),
        objects.truth_ids[rows[first[alone]]].tolist(),
        strict=True,
    )
    found = Detections.of(objects, len(rows), len(detecting))
    truth_ids, predicted_ids = objects.truth_ids.tolist(), objects.predicted_ids.tolist()
    return FrameMatch(frozenset(truth_ids), frozenset(predicted_ids), dict(pairs), found)


def link_errors(
    truth: Sequence[Track], predicted: Sequence[Track], frames: Sequence[FrameMatch]
) -> LinkErrors:
    """The corrections that the links of a result need, between objects that each detect one true object."""
    true = edges(truth, [frame.truth_ids for frame in frames])
    found: Edges = {}
    for (a, b), kind in edges(predicted, [frame.predicted_ids for frame in frames]).items():
        start, end = (frames[t].detected.get(number) for t, number in (a, b))
        if start is not None and end is not None:
            found[(a[0], start), (b[0], end)] = kind
    shared = true.keys() & found.keys()
    return LinkErrors(
        references=len(true),
        redundant=len(found) - len(shared),
        missing=len(true) - len(shared),
        wrong_kind=sum(true[edge] != found[edge] for edge in shared),
    )


def edges(tracks: Sequence[Track], ids: Sequence[frozenset[int]]) -> Edges:
    """The edges between objects that are there; ids: of the objects of each frame.

    A parent's last object is linked to the first one of its child, over any number of frames.
    """
    ends = {track.id: track.end for track in tracks}
    every: Edges = {}
    for track in tracks:
        for t in range(track.start, track.end):
            every[(t, track.id), (t + 1, track.id)] = "step"
        if track.parent:
            every[(ends[track.parent], track.parent), (track.start, track.id)] = "parent"
    return {pair: kind for pair, kind in every.items() if all(i in ids[t] for t, i in pair)}


def tracking_score(found: Detections, links: LinkErrors) -> float:
    """TRA in [0, 1]: 1 − min(AOGM, AOGM₀) / AOGM₀ of detections and links; NaN without any true object."""
    worst = detection_worst(found) + MISSING_COST * links.references
    return _relative(detection_cost(found) + _link_cost(links), worst)


def linking_score(links: LinkErrors) -> float:
    """LNK in [0, 1]: the same of the links alone; NaN if the truth has none."""
    return _relative(_link_cost(links), MISSING_COST * links.references)


def op_ctb(seg_score: float, tra_score: float) -> float:
    """Overall performance in the Cell Tracking Benchmark: the mean of SEG and TRA."""
    return (seg_score + tra_score) / 2


def misplaced(tracks: Sequence[Track], ids: Sequence[frozenset[int]]) -> Iterator[tuple[int, int, bool]]:
    """(frame, id, whether it is in the frame) of every object that the tracks and the frames disagree on."""
    named: list[set[int]] = [set() for _ in ids]
    for track in tracks:
        for t in range(track.start, track.end + 1):
            if t < len(named):
                named[t].add(track.id)
            else:
                yield t, track.id, False
    for t, (wanted, there) in enumerate(zip(named, ids, strict=True)):
        yield from ((t, i, i in there) for i in sorted(wanted ^ there))


def _link_cost(links: LinkErrors) -> float:
    return (
        REDUNDANT_COST * links.redundant + MISSING_COST * links.missing + WRONG_KIND_COST * links.wrong_kind
    )


def _relative(cost: float, worst: float) -> float:
    return 1 - min(cost, worst) / worst if worst else float("nan")
