"""Linking by hand: ids are kept, objects divide, gaps are closed, objects enter and leave."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.pipeline.linking import Linked, LinkSettings, distance_limit, frame_objects, link_objects
from unetseg.scores.tracks import Track
from unetseg.tasks.synthetic import DIVISIONS, cell_movie

pytest.importorskip("laptrack", reason="laptrack is not installed")


def discs(places: list[tuple[float, float, float]], shape: tuple[int, int] = (80, 120)) -> np.ndarray:
    """Labels (y, x) of discs (y, x, radius), ids in their order."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.int64)
    for number, (cy, cx, radius) in enumerate(places, 1):
        labels[np.hypot(y - cy, x - cx) <= radius] = number
    return labels


def link(frames: list[np.ndarray], **settings: float) -> Linked:
    return link_objects(((frame, None) for frame in frames), LinkSettings(**settings))  # type: ignore[arg-type]


def relabelled(linked: Linked, frames: list[np.ndarray]) -> np.ndarray:
    return np.stack([linked.relabel(frame, t) for t, frame in enumerate(frames)])


def test_identical_frames_keep_their_ids() -> None:
    frame = discs([(20, 20, 8), (20, 60, 8), (60, 90, 9)])
    linked = link([frame] * 4)
    assert linked.tracks == (Track(1, 0, 3), Track(2, 0, 3), Track(3, 0, 3))
    assert (relabelled(linked, [frame] * 4) == frame).all()


def test_ids_follow_objects_that_move_and_are_numbered_anew_in_every_frame() -> None:
    """Two discs that move by half their size; every frame has other ids, some of them large."""
    first = [discs([(20, 20 + 6 * t, 6), (60, 90 - 6 * t, 6)]) for t in range(5)]
    frames = [np.where(f > 0, (f * 7919 + 31 * t) % 3 + 10**9 * (f == 1) + 1, 0) for t, f in enumerate(first)]
    found = relabelled(link(frames), frames)
    for number in (1, 2):
        assert len({int(np.unique(found[t][first[t] == number]).item()) for t in range(5)}) == 1


def test_a_division_by_hand() -> None:
    """A disc divides into two on both sides of it; a small crumb beside another disc is no division."""
    before = discs([(40, 40, 10), (40, 90, 10)])
    after = discs([(40, 32, 7), (40, 48, 7), (40, 90, 10), (52, 90, 2)])
    linked = link([before, before, after, after])
    assert set(linked.tracks) == {
        Track(1, 0, 1),
        Track(2, 0, 3),
        Track(3, 2, 3, 1),
        Track(4, 2, 3, 1),
        Track(5, 2, 3),
    }
    none = link([before, before, after, after], divisions=False)
    assert all(track.parent == 0 for track in none.tracks)


def test_a_gap_is_closed_up_to_the_limit() -> None:
    """A disc that is missing for two frames is a new track with the old one as its parent."""
    full, part = discs([(40, 30, 8), (40, 90, 8)]), discs([(40, 30, 8)])
    frames = [full, full, part, part, full]
    assert link(frames, max_gap=2).tracks == (Track(1, 0, 4), Track(2, 0, 1), Track(3, 4, 4, 2))
    assert link(frames, max_gap=1).tracks == (Track(1, 0, 4), Track(2, 0, 1), Track(3, 4, 4))


def test_objects_enter_and_leave() -> None:
    """A disc leaves on one side while another enters, too far away to be the same one."""
    frames = [
        discs([(40, 60, 8), (40, 112 + 8 * t, 8)] if t < 2 else [(40, 60, 8), (40, 4, 8)]) for t in range(4)
    ]
    linked = link(frames)
    assert linked.tracks == (Track(1, 0, 3), Track(2, 0, 1), Track(3, 2, 3))


def test_an_object_moves_no_further_than_the_limit() -> None:
    frames = [discs([(40, 20 + 25 * t, 6)]) for t in range(3)]
    assert link(frames).tracks == (Track(1, 0, 2),)  # alone: up to three diameters
    assert len(link(frames, max_distance=20).tracks) == 3


def test_empty_frames_and_films() -> None:
    empty, one = discs([]), discs([(40, 40, 8)])
    assert link([empty, empty]).tracks == ()
    assert link([empty, one, one, empty]).tracks == (Track(1, 1, 2),)
    assert link([one, empty, one]).tracks == (Track(1, 0, 0), Track(2, 2, 2, 1))


def test_the_distance_limit_follows_the_objects() -> None:
    def limit(*frames: np.ndarray) -> float:
        return distance_limit([frame_objects(frame, None, None) for frame in frames])

    near, far = discs([(40, 30, 8), (40, 50, 8)]), discs([(40, 10, 4), (40, 110, 4)])
    touching = np.zeros((20, 20), np.int64)
    touching[:, :10], touching[:, 10:] = 1, 2
    assert limit(near) == pytest.approx(20)
    assert limit(far) == pytest.approx(24, rel=0.05)  # three diameters
    assert limit(touching) == pytest.approx(np.sqrt(4 * 200 / np.pi))  # their diameter


def test_volumes_are_linked_with_the_distance_of_their_slices() -> None:
    """Two objects one above the other, of which the lower one moves by a slice: near in voxels, far in µm."""
    frames = np.zeros((2, 12, 40, 40), np.int64)
    frames[0, 1:3, 10:20, 10:20] = frames[1, 7:9, 10:20, 10:20] = 1
    near = link_objects(((f, None) for f in frames), LinkSettings(max_distance=8), (1, 1, 1))
    assert near.tracks == (Track(1, 0, 1),)
    far = link_objects(((f, None) for f in frames), LinkSettings(max_distance=8), (5, 1, 1))
    assert len(far.tracks) == 2
    assert far.frames[0].positions.tolist() == [[1.5, 14.5, 14.5]]


def test_mean_grey_values_of_every_channel() -> None:
    labels = np.array([[0, 3, 3], [7, 7, 0]])
    image = np.stack([np.arange(6).reshape(2, 3), np.full((2, 3), 9)])
    found = frame_objects(labels, image, None)
    assert found.grey.tolist() == [[1.5, 9], [3.5, 9]]
    assert found.areas.tolist() == [2, 2]


def test_tracks_of_a_film_of_touching_cells_are_the_true_ones() -> None:
    """Ids are shuffled in every frame; the cells crawl, touch and divide."""
    _, truth = cell_movie(seed=2, frames=10, shape=(192, 192), cells=10)
    rng = np.random.default_rng(0)
    frames = [np.append(0, 1 + rng.permutation(truth.max()))[frame] for frame in truth]
    linked = link(frames)
    found = relabelled(linked, frames)
    pairs = {tuple(pair) for pair in np.unique(np.stack([truth.ravel(), found.ravel()]), axis=1).T.tolist()}
    assert len(pairs) == len({true for true, _ in pairs}) == len({track for _, track in pairs})
    track_of = dict(pairs)
    mothers = sorted(track.parent for track in linked.tracks if track.parent)
    assert mothers == sorted(track_of[m] for m in range(1, DIVISIONS + 1) for _ in (0, 1))


def test_without_laptrack_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "laptrack", None)
    with pytest.raises(UserError, match=r"pip install 'unetseg-microscopy\[track\]'"):
        link([discs([])] * 2)
