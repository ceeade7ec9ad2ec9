"""Which objects were split, merged, missed or spurious.

A true and a predicted object are *partners* when they share more than half of the smaller one:
2·|R ∩ S| > min(|R|, |S|), in pixels. Then

    found     a true and a predicted object that have only each other as partner
    split     a true object with two or more partners
    merged    a predicted object with two or more partners
    missed    a true object without a partner
    spurious  a predicted object without a partner, more than half of it on annotated pixels

Every true object is found, missed, or part of a split or a merge (it can be part of both); so is
every predicted object, with spurious instead of missed, except for those without a partner that lie at
least half on pixels that are not annotated: they are not judged. How well the outlines of found objects
fit is a matter of the IoU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from unetseg.scores.overlap import Objects, Overlap, all_objects, overlap, partners


@dataclass(frozen=True)
class ObjectErrors:
    """The ids of the objects of one frame by their outcome; all ascending.

    found: pairs (true id, predicted id); split: true id → ids of its pieces; merged: predicted
    id → ids of the true objects in it; missed: true ids; spurious, not_judged: predicted ids.
    """

    found: tuple[tuple[int, int], ...]
    split: dict[int, tuple[int, ...]]
    merged: dict[int, tuple[int, ...]]
    missed: tuple[int, ...]
    spurious: tuple[int, ...]
    not_judged: tuple[int, ...]


def object_errors(truth: NDArray[Any], predicted: NDArray[Any]) -> ObjectErrors:
    """Split, merged, missed and spurious objects of one frame, as defined above.

    truth, predicted: label images of the same shape, integers: 0 background, k > 0 object, and −1
    not annotated in the truth. Errors are those of `overlap`.

    >>> import numpy as np
    >>> object_errors(np.array([1, 1, 0, 2, 2, 0]), np.array([7, 7, 7, 7, 7, 0])).merged
    {7: (1, 2)}
    """
    pairs = overlap(truth, predicted)
    objects = all_objects(pairs)
    of_truth, of_predicted = _partners(objects)
    alone = [s for s, partners in of_predicted.items() if not partners]
    outside = _outside(pairs, objects)
    return ObjectErrors(
        found=tuple((r, s[0]) for r, s in of_truth.items() if len(s) == 1 and len(of_predicted[s[0]]) == 1),
        split={r: tuple(s) for r, s in of_truth.items() if len(s) > 1},
        merged={s: tuple(r) for s, r in of_predicted.items() if len(r) > 1},
        missed=tuple(r for r, s in of_truth.items() if not s),
        spurious=tuple(s for s in alone if s not in outside),
        not_judged=tuple(s for s in alone if s in outside),
    )


def _partners(objects: Objects) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """True id → ids of its predicted partners, and predicted id → ids of its true partners."""
    of_truth: dict[int, list[int]] = {r: [] for r in objects.truth_ids.tolist()}
    of_predicted: dict[int, list[int]] = {s: [] for s in objects.predicted_ids.tolist()}
    rows, columns = partners(objects)
    ids = zip(objects.truth_ids[rows].tolist(), objects.predicted_ids[columns].tolist(), strict=True)
    for r, s in ids:
        of_truth[r].append(s)
        of_predicted[s].append(r)
    return of_truth, of_predicted


def _outside(pairs: Overlap, objects: Objects) -> set[int]:
    """Ids of the predicted objects that lie at least half on pixels that are not annotated."""
    there = (pairs.truth < 0) & (pairs.predicted > 0)
    unknown = dict(zip(pairs.predicted[there].tolist(), pairs.pixels[there].tolist(), strict=True))
    areas = zip(objects.predicted_ids.tolist(), objects.predicted_areas.tolist(), strict=True)
    return {s for s, area in areas if 2 * unknown.get(s, 0) >= area}
