"""TRA and LNK by hand, and equal to the organisers' py-ctcmetrics."""

from __future__ import annotations

from math import isnan
from pathlib import Path

import numpy as np
import pytest

from unetseg.scores.ctc import Detections, total_detections
from unetseg.scores.tracks import (
    FrameMatch,
    LinkErrors,
    Track,
    edges,
    link_errors,
    linking_score,
    match_frame,
    misplaced,
    op_ctb,
    tracking_score,
)

TRUTH = (Track(1, 0, 2), Track(2, 0, 0), Track(3, 1, 2, 2), Track(4, 1, 2, 2))
"""Object 1 is there in three frames; 2 divides into 3 and 4."""


def film(ids: list[list[int]]) -> np.ndarray:
    """Frames (t, 2, 6): each id in its own column, 0 for none."""
    return np.repeat(np.array(ids)[:, None], 2, axis=1)


TRUE_FILM = film([[1, 0, 2, 2, 0, 0], [1, 0, 3, 0, 4, 0], [1, 0, 3, 0, 4, 0]])


def total(frames: list[FrameMatch]) -> Detections:
    return total_detections(frame.detections for frame in frames)


def scores(truth: tuple[Track, ...], found: tuple[Track, ...], predicted: np.ndarray) -> tuple[float, float]:
    frames = [match_frame(t, p) for t, p in zip(TRUE_FILM, predicted, strict=True)]
    links = link_errors(truth, found, frames)
    return tracking_score(total(frames), links), linking_score(links)


def test_perfect_tracks_score_one_whatever_their_ids() -> None:
    other = np.where(TRUE_FILM > 0, 50 - TRUE_FILM, 0)
    renamed = tuple(Track(50 - i, s, e, p and 50 - p) for i, s, e, p in TRUTH)
    assert scores(TRUTH, renamed, other) == (1, 1)


def test_edges_are_steps_and_parents() -> None:
    ids = [frozenset(np.unique(frame)[1:].tolist()) for frame in TRUE_FILM]
    assert edges(TRUTH, ids) == {
        ((0, 1), (1, 1)): "step",
        ((1, 1), (2, 1)): "step",
        ((1, 3), (2, 3)): "step",
        ((1, 4), (2, 4)): "step",
        ((0, 2), (1, 3)): "parent",
        ((0, 2), (1, 4)): "parent",
    }
    assert edges(TRUTH, [ids[0] - {2}, ids[1], ids[2]]).keys() == {
        pair for pair in edges(TRUTH, ids) if pair[0] != (0, 2)
    }


def test_a_division_tracked_as_a_step_is_an_edge_of_the_wrong_kind() -> None:
    """2 goes on as 3, and 4 begins anew: of two parent edges one is a step and one missing."""
    predicted = np.where(TRUE_FILM == 3, 2, TRUE_FILM)
    found = (Track(1, 0, 2), Track(2, 0, 2), Track(4, 1, 2))
    tra, lnk = scores(TRUTH, found, predicted)
    assert lnk == pytest.approx(1 - (1 + 1.5) / 9)
    assert tra == pytest.approx(1 - 2.5 / (80 + 9))


def test_a_missed_object_costs_its_vertex_and_its_edges() -> None:
    """Object 1 is missed in frame 1, and goes on after the gap as track 9: the link over it is redundant."""
    predicted = TRUE_FILM.copy()
    predicted[1][predicted[1] == 1] = 0
    predicted[2][predicted[2] == 1] = 9
    found = (Track(1, 0, 0), Track(9, 2, 2, 1), *TRUTH[1:])
    tra, lnk = scores(TRUTH, found, predicted)
    assert lnk == pytest.approx(1 - (2 * 1.5 + 1) / 9)
    assert tra == pytest.approx(1 - (10 + 4) / 89)


def test_links_of_an_object_that_covers_two_do_not_count() -> None:
    """3 and 4 merged: their edges are missing, none is redundant, and each frame needs a split."""
    predicted = np.where((TRUE_FILM == 4) | (TRUE_FILM == 3), 2, TRUE_FILM)
    found = (Track(1, 0, 2), Track(2, 0, 2))
    frames = [match_frame(t, p) for t, p in zip(TRUE_FILM, predicted, strict=True)]
    assert total(frames) == Detections(8, 2, 0, 0)
    assert link_errors(TRUTH, found, frames) == LinkErrors(6, 0, 4, 0)


def test_scores_are_undefined_without_truth_and_never_negative() -> None:
    none, bad = LinkErrors(0, 3, 0, 0), LinkErrors(1, 40, 1, 0)
    assert isnan(linking_score(none))
    assert isnan(tracking_score(Detections(0, 0, 0, 4), none))
    assert linking_score(bad) == 0
    assert tracking_score(Detections(1, 0, 1, 0), bad) == 0
    assert op_ctb(0.5, 1.0) == 0.75


def test_tracks_and_frames_that_disagree_are_found() -> None:
    ids = [frozenset({1}), frozenset({1, 2})]
    assert list(misplaced((Track(1, 0, 1), Track(2, 1, 1)), ids)) == []
    assert list(misplaced((Track(1, 0, 0), Track(3, 1, 2)), ids)) == [
        (2, 3, False),
        (1, 1, True),
        (1, 2, True),
        (1, 3, False),
    ]


def random_result(
    seed: int,
) -> tuple[list[np.ndarray], list[np.ndarray], tuple[Track, ...], tuple[Track, ...]]:
    """Frames and tracks of a random truth, and a result with merged, lost, swapped and added objects."""
    rng = np.random.default_rng(seed)
    truth = rng.permuted(np.tile(np.arange(1, 13), (6, 1)), axis=1) * (rng.random((6, 12)) < 0.85)
    found = truth.copy()
    for frame in found:
        some = rng.choice(12, 4, replace=False)
        frame[some[:2]] = frame[some[2:]]  # merged, swapped
        frame[rng.integers(12)] = 0
        frame[rng.integers(12)] = 20 + rng.integers(3)
    tracks = _tracks(truth, rng), _tracks(found, rng)
    return list(film(truth.tolist())), list(film(found.tolist())), *tracks


def _tracks(frames: np.ndarray, rng: np.random.Generator) -> tuple[Track, ...]:
    """Each run of frames with an id becomes a track of its own; half have the run before as parent."""
    tracks: list[Track] = []
    for number in np.unique(frames[frames > 0]).tolist():
        there = (frames == number).any(axis=1)
        starts = [t for t in range(len(there)) if there[t] and not (t and there[t - 1])]
        parent = 0
        for start in starts:
            end = start
            while end + 1 < len(there) and there[end + 1]:
                end += 1
            new = 1000 + len(tracks)
            for t in range(start, end + 1):
                frames[t][frames[t] == number] = new
            tracks.append(Track(new, start, end, parent))
            parent = new if rng.random() < 0.5 else 0
    return tuple(tracks)


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_the_organisers_implementation(seed: int, tmp_path: Path) -> None:
    pytest.importorskip("ctc_metrics", reason="py-ctcmetrics is not installed")
    from ctc_metrics.metrics import lnk, tra
    from ctc_metrics.utils.representations import count_acyclic_graph_correction_operations, match
    from tifffile import imwrite

    truth, found, true_tracks, found_tracks = random_result(seed)
    matches = []
    for t, pair in enumerate(zip(truth, found, strict=True)):
        paths = [str(tmp_path / f"{kind}{t}.tif") for kind in ("truth", "result")]
        for path, labels in zip(paths, pair, strict=True):
            imwrite(path, np.pad(labels, 1).astype(np.uint16))
        matches.append(match(*paths))
    true_ids, found_ids, matched_true, matched_found, _ = map(list, zip(*matches, strict=True))
    theirs = count_acyclic_graph_correction_operations(
        np.array(true_tracks), np.array(found_tracks), true_ids, found_ids, matched_true, matched_found
    )
    frames = [match_frame(t, f) for t, f in zip(truth, found, strict=True)]
    ours = link_errors(true_tracks, found_tracks, frames)
    assert (ours.references, ours.redundant, ours.missing, ours.wrong_kind) == tuple(
        int(theirs[key]) for key in ("num_edges", "ED", "EA", "EC")
    )
    assert min(ours.redundant, ours.missing) > 0
    assert linking_score(ours) == pytest.approx(lnk(**theirs), abs=1e-12)
    assert tracking_score(total(frames), ours) == pytest.approx(tra(**theirs)[0], abs=1e-12)
