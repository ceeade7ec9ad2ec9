"""The mistakes in a frame, object by object: missed, merged, split, spurious, and loose outlines.

The first four are those of `errors`. The outline of a found object is *loose* if its IoU is below 0.8:
too wide if the prediction has at least twice as many pixels outside the true object as it lacks inside,
too narrow the other way round, else uneven. Every mistake has its position and whether it is at the border,
within two pixels of the image's edge in y or x.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetseg.scores.entry import Frame
from unetseg.scores.errors import ObjectErrors, object_errors
from unetseg.scores.objects import matched_ious
from unetseg.scores.overlap import Objects

MISTAKES = {
    "missed": "true objects that no predicted object belongs to",
    "merged": "predicted objects that join two or more true ones",
    "split": "true objects that are predicted in two or more pieces",
    "spurious": "predicted objects that no true object belongs to",
    "too wide": "found objects whose outline is predicted too far outside",
    "too narrow": "found objects whose outline is predicted too far inside",
    "uneven": "found objects whose outline is too far outside here and too far inside there",
}
"""The kinds of mistakes and what they mean, in the order in which they are shown."""
LOOSE = 0.8
ONE_SIDED = 2
NEAR_EDGE_PX = 2

Box = tuple[slice, ...]
"""The box of an object, along *yx."""


@dataclass(frozen=True)
class Mistake:
    """One mistake: the true and predicted ids involved, the box and area of the object it is about."""

    kind: str
    truth: tuple[int, ...]
    predicted: tuple[int, ...]
    box: Box
    area: int
    at_border: bool


@dataclass(frozen=True)
class FrameErrors:
    """The outcome for the objects of one frame.

    true, predicted: how many there are; found: true objects with a predicted object of their own;
    not_judged: predicted objects at least half on pixels that are not annotated. ious: of every true
    object with its match (0 without), outlines: only of the found ones, float64.
    """

    true: int
    predicted: int
    found: int
    not_judged: int
    ious: NDArray[np.float64]
    outlines: NDArray[np.float64]
    mistakes: tuple[Mistake, ...]


def frame_errors(truth: NDArray[Any], predicted: NDArray[Any]) -> FrameErrors:
    """Compare the objects of one frame, labels (*yx) as in `object_errors`; errors are those of `overlap`.

    >>> truth, predicted = np.zeros((2, 20, 20), int)
    >>> truth[4:8, 4:8], predicted[3:9, 3:9] = 1, 5
    >>> [(m.kind, m.area, m.at_border) for m in frame_errors(truth, predicted).mistakes]
    [('too wide', 16, False)]
    """
    frame, errors = Frame(truth, predicted), object_errors(truth, predicted)
    loose, outlines = _outlines(errors, frame.objects)
    true, found = _Shapes(truth), _Shapes(predicted)
    return FrameErrors(
        true=int((np.unique(frame.pairs.truth) > 0).sum()),
        predicted=int((np.unique(frame.pairs.predicted) > 0).sum()),
        found=len(errors.found),
        not_judged=len(errors.not_judged),
        ious=matched_ious(frame.objects)[1],
        outlines=outlines,
        mistakes=(*_object_mistakes(errors, true, found), *_outline_mistakes(loose, true)),
    )


def error_counts(frames: Iterable[FrameErrors]) -> dict[str, float]:
    """The counts of all frames together, by name; "outline-iou" is the mean IoU of the found objects.

    For every kind of mistake, "KIND" counts all and "KIND at border" those at the border.
    """
    every = list(frames)
    kinds = Counter(m.kind for f in every for m in f.mistakes)
    at_border = Counter(m.kind for f in every for m in f.mistakes if m.at_border)
    outlines = np.concatenate([np.empty(0), *(f.outlines for f in every)])
    counts: dict[str, float] = {
        name: sum(getattr(f, name) for f in every) for name in ("true", "predicted", "found", "not_judged")
    }
    for kind in MISTAKES:
        counts |= {kind: kinds[kind], f"{kind} at border": at_border[kind]}
    return counts | {"outline-iou": float(outlines.mean()) if outlines.size else float("nan")}


def error_sentence(counts: dict[str, float], noun: str = "objects") -> str:
    """The counts as a sentence for a biologist.

    >>> some = {"true": 337, "found": 327, "merged": 5, "missed": 3, "missed at border": 2}
    >>> some["outline-iou"] = 0.883
    >>> error_sentence(some, "cells")
    '327 of 337 cells found, 3 missed (2 at the border), 5 merged; outlines agree to 0.88'
    """
    words = [f"{counts['found']:.0f} of {counts['true']:.0f} {noun} found"]
    for kind in ("missed", "merged", "split", "spurious"):
        words += _counted(counts, kind)
    ends = []
    if counts["found"]:
        ends.append(f"outlines agree to {counts['outline-iou']:.2f}")
    loose = [w for kind in ("too wide", "too narrow", "uneven") for w in _counted(counts, kind)]
    return "; ".join([", ".join(words), ", ".join([*ends, *loose])] if ends else [", ".join(words)])


def _counted(counts: dict[str, float], kind: str) -> list[str]:
    """The number, as in "3 missed (2 at the border)"; nothing where there are none."""
    count, at_border = counts.get(kind, 0), counts.get(f"{kind} at border", 0)
    if not count:
        return []
    return [f"{count:.0f} {kind}" + (f" ({at_border:.0f} at the border)" if at_border else "")]


def _outlines(
    errors: ObjectErrors, objects: Objects
) -> tuple[list[tuple[str, int, int]], NDArray[np.float64]]:
    """Kind, true and predicted id of the found objects with a loose outline, and the IoU of all found."""
    rows = np.searchsorted(objects.truth_ids, [r for r, _ in errors.found])
    columns = np.searchsorted(objects.predicted_ids, [s for _, s in errors.found])
    shared = np.asarray(objects.shared[rows, columns]).ravel()
    outside, inside = objects.predicted_areas[columns] - shared, objects.truth_areas[rows] - shared
    ious = shared / np.maximum(shared + outside + inside, 1)
    wide, narrow = outside >= ONE_SIDED * inside, inside >= ONE_SIDED * outside
    kinds = np.select([wide, narrow], ["too wide", "too narrow"], "uneven")
    found = zip(kinds.tolist(), errors.found, ious.tolist(), strict=True)
    return [(kind, r, s) for kind, (r, s), iou in found if iou < LOOSE], ious


def _object_mistakes(errors: ObjectErrors, true: _Shapes, found: _Shapes) -> Iterator[Mistake]:
    for r in errors.missed:
        yield true.mistake("missed", r, (r,), ())
    for s, objects in errors.merged.items():
        yield found.mistake("merged", s, objects, (s,))
    for r, pieces in errors.split.items():
        yield true.mistake("split", r, (r,), pieces)
    for s in errors.spurious:
        yield found.mistake("spurious", s, (), (s,))


def _outline_mistakes(loose: Iterable[tuple[str, int, int]], true: _Shapes) -> Iterator[Mistake]:
    for kind, r, s in loose:
        yield true.mistake(kind, r, (r,), (s,))


class _Shapes:
    """Boxes and areas of the labels of one image."""

    def __init__(self, labels: NDArray[Any]) -> None:
        self._size = labels.shape
        self._ids, index = np.unique(labels, return_inverse=True)
        self._areas = np.bincount(index.ravel())
        self._boxes = ndimage.find_objects(index.reshape(labels.shape) + 1)

    def mistake(self, kind: str, label: int, truth: tuple[int, ...], predicted: tuple[int, ...]) -> Mistake:
        """The mistake about the object of this label."""
        place = int(np.searchsorted(self._ids, label))
        box = self._boxes[place]
        sides = zip(box[-2:], self._size[-2:], strict=True)
        edge = any(s.start < NEAR_EDGE_PX or s.stop > n - NEAR_EDGE_PX for s, n in sides)
        return Mistake(kind, truth, predicted, box, int(self._areas[place]), edge)
