"""Objects linked from frame to frame by laptrack (Jaqaman et al. 2008, Nature Methods 5, 695).

Ours is what the assignment is given: the position of each object, links that are beyond doubt because most
of both objects overlap, the distance that an object may move, and which of the branches are divisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from unetseg.errors import UserError
from unetseg.scores.overlap import all_objects, object_ious, overlap
from unetseg.scores.tracks import Track

SURE_IOU = 0.5
"""Objects of neighbouring frames that overlap more are the same one; there is at most one such partner."""
MOST_DIAMETERS = 3.0
MIDDLE, ALIKE = 0.3, 0.4
"""Daughters: the middle of both is at most this share of the distance limit from the mother, and the smaller
one has at least this share of the other's size. Chosen on sequence 01 of DIC-C2DH-HeLa."""
REFUSED = 1.05
"""Cost of leaving a track unlinked; the highest cost of a link is 1."""
Node = tuple[int, int]
"""(frame, place of the object in it)."""


@dataclass(frozen=True)
class LinkSettings:
    """How objects are linked.

    max_distance: in pixels (along x), that an object moves between frames; None: from the objects, see
    `distance_limit`. max_gap: frames in which an object may be missing. divisions: whether objects divide.
    """

    max_distance: float | None = None
    max_gap: int = 3
    divisions: bool = True


@dataclass(frozen=True)
class FrameObjects:
    """The n objects of a frame: ids (n,), positions (n, axes) and areas (n,) in pixels, or voxels.

    grey: their mean values (n, channels); ratios: the pixel size along each axis relative to that along x.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.float64]
    areas: NDArray[np.int64]
    grey: NDArray[np.float64]
    ratios: NDArray[np.float64]

    @property
    def centres(self) -> NDArray[np.float64]:
        """Positions (n, axes) in pixels along x."""
        return self.positions * self.ratios

    @property
    def diameters(self) -> NDArray[np.float64]:
        """Of disks, or balls, of the same size, (n,) in pixels along x."""
        sizes = self.areas * self.ratios.prod()
        return np.cbrt(6 * sizes / np.pi) if len(self.ratios) == 3 else np.sqrt(4 * sizes / np.pi)


@dataclass(frozen=True)
class Linked:
    """Tracks, the objects of every frame, and for every frame the track of each of its objects (n,)."""

    tracks: tuple[Track, ...]
    frames: tuple[FrameObjects, ...]
    ids: tuple[NDArray[np.int64], ...]

    def relabel(self, labels: NDArray[np.int64], frame: int) -> NDArray[np.int64]:
        """The labels (*yx) of a frame with the ids of its tracks."""
        values, places = np.unique(labels, return_inverse=True)
        new = np.zeros(len(values), np.int64)
        new[values > 0] = self.ids[frame]
        return new[places].reshape(labels.shape)


def link_objects(
    frames: Iterable[tuple[NDArray[np.int64], NDArray[Any] | None]],
    settings: LinkSettings,
    spacing: Sequence[float] | None = None,
) -> Linked:
    """Link the objects of a film, of which two frames at a time are in memory.

    frames: labels (*yx) of every frame, with its image (channels, *yx) or None; spacing: pixel size along
    the axes, of which only the ratios count. Raises UserError without laptrack.
    """
    linker = check_laptrack()
    objects: list[FrameObjects] = []
    sure: list[tuple[Node, Node]] = []
    before: NDArray[np.int64] | None = None
    for labels, image in frames:
        objects.append(frame_objects(labels, image, spacing))
        if before is not None:
            sure += _sure_links(before, labels, len(objects) - 2)
        before = labels
    if not any(len(found.ids) for found in objects):
        return Linked((), tuple(objects), tuple(found.ids for found in objects))
    limit = settings.max_distance or distance_limit(objects)
    tree = linker(
        cutoff=1.0,
        gap_closing_cutoff=1.0,
        gap_closing_max_frame_count=settings.max_gap + 1,
        splitting_cutoff=1.0 if settings.divisions else False,
        segment_start_cost=REFUSED,
        segment_end_cost=REFUSED,
        no_splitting_cost=REFUSED,
    ).predict([found.centres / limit for found in objects], connected_edges=sure)
    _cut_unlikely_divisions(tree, objects, limit)
    return _numbered(tree, objects)


def frame_objects(
    labels: NDArray[np.int64], image: NDArray[Any] | None, spacing: Sequence[float] | None
) -> FrameObjects:
    """Place, size and mean grey values of the objects of a frame, in the order of their ids."""
    at = np.nonzero(labels > 0)
    ids, index, areas = np.unique(labels[at], return_inverse=True, return_counts=True)

    def means(values: Iterable[NDArray[Any]]) -> NDArray[np.float64]:
        columns = [np.bincount(index, one, minlength=len(ids)) / areas for one in values]
        return np.stack(columns, axis=1) if columns else np.empty((len(ids), 0))

    ratios = np.ones(labels.ndim) if spacing is None else np.asarray(spacing) / spacing[-1]
    grey = means([] if image is None else [channel[at] for channel in image])
    return FrameObjects(ids, means(at), areas, grey, ratios)


def distance_limit(objects: Sequence[FrameObjects]) -> float:
    """How far an object may move between frames, in pixels along x, judged by the objects themselves.

    The median distance to the nearest neighbour, but not less than the median diameter of an object (touching
    objects), and not more than three diameters (few objects far from each other).
    """
    diameter = float(np.median(np.concatenate([found.diameters for found in objects])))
    crowded = [found.centres for found in objects if len(found.ids) > 1]
    if not crowded:
        return MOST_DIAMETERS * diameter
    nearest = np.concatenate([KDTree(centres).query(centres, k=2)[0][:, 1] for centres in crowded])
    return float(np.clip(np.median(nearest), diameter, MOST_DIAMETERS * diameter))


def _sure_links(before: NDArray[np.int64], after: NDArray[np.int64], frame: int) -> list[tuple[Node, Node]]:
    """Objects of a frame and the next one that overlap by more than SURE_IOU."""
    ious = object_ious(all_objects(overlap(before, after))).tocoo()
    same = ious.data > SURE_IOU
    rows, columns = (places[same].tolist() for places in ious.coords)
    return [((frame, i), (frame + 1, j)) for i, j in zip(rows, columns, strict=True)]


def _cut_unlikely_divisions(tree: Any, objects: Sequence[FrameObjects], limit: float) -> None:
    """Keep the nearest child of each object alone, unless there are two that can be its daughters."""
    centres = [found.centres for found in objects]

    def centre(node: Node) -> NDArray[np.float64]:
        return centres[node[0]][node[1]]

    for mother in list(tree.nodes):
        children = sorted(tree.successors(mother), key=lambda child: _distance(centre(child), centre(mother)))
        if len(children) == 2:
            small, large = sorted(objects[t].areas[i] for t, i in children)
            middle = (centre(children[0]) + centre(children[1])) / 2
            if _distance(middle, centre(mother)) <= MIDDLE * limit and small >= ALIKE * large:
                continue
        tree.remove_edges_from([(mother, child) for child in children[1:]])


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(one - other))


def _numbered(tree: Any, objects: Sequence[FrameObjects]) -> Linked:
    """Tracks that end at divisions and at gaps; ids from 1 in the order of their first frames."""
    ids = [np.zeros(len(found.ids), np.int64) for found in objects]
    tracks: list[Track] = []
    for t, i in sorted(tree.nodes):
        before = next(iter(tree.predecessors((t, i))), None)
        parent = int(ids[before[0]][before[1]]) if before else 0
        if before and before[0] == t - 1 and tree.out_degree(before) == 1:
            ids[t][i], tracks[parent - 1] = parent, tracks[parent - 1]._replace(end=t)
        else:
            tracks.append(Track(len(tracks) + 1, t, t, parent))
            ids[t][i] = len(tracks)
    return Linked(tuple(tracks), tuple(objects), tuple(ids))


def check_laptrack() -> Any:
    """Laptrack's class; raises UserError if it is not installed."""
    try:
        from laptrack import LapTrack
    except ImportError:
        raise UserError(
            "tracking needs the package laptrack, which is not installed: pip install "
            "'unetseg-microscopy[track]'."
        ) from None
    return LapTrack
