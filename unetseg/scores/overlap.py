"""How the objects of two label images overlap: the one table that all scores are read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from unetseg.errors import UserError

MOST_SHARED = 2**31
"""Two ids up to this, shifted by one, share one int64 key: (2**31 + 2)**2 < 2**63."""


@dataclass(frozen=True)
class Overlap:
    """The distinct pairs (truth id, predicted id) of one frame and the number of pixels of each.

    All three arrays are (pairs,) int64. Background (0) and not annotated (-1, truth only) are
    kept, so foreground counts and object scores come from the same pass over the pixels.
    """

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    pixels: NDArray[np.int64]


@dataclass(frozen=True)
class Objects:
    """Areas and shared areas, in pixels, of the n true and m predicted objects of one frame.

    Ids (n,), (m,) are ascending and > 0; areas are int64 of the same lengths; `shared` is sparse
    (n, m) int64: entry (i, j) is the number of pixels in both true object i and predicted object j.
    """

    truth_ids: NDArray[np.int64]
    truth_areas: NDArray[np.int64]
    predicted_ids: NDArray[np.int64]
    predicted_areas: NDArray[np.int64]
    shared: sparse.csr_array


def overlap(truth: NDArray[Any], predicted: NDArray[Any]) -> Overlap:
    """The contingency table of two label images of the same shape.

    truth: integers of any shape, 0 background, k > 0 an object, −1 not annotated. predicted: integers of
    the same shape, 0 background, k > 0 an object. Ids may be as large as int64 holds: memory and time
    depend on how many there are, not on how large they are.

    Raises UserError if the shapes differ, a label image is not integer, or an id is out of range.

    >>> overlap(np.array([-1, 7, 7, 7]), np.array([3, 3, 3, 0]))
    Overlap(truth=array([-1,  7,  7]), predicted=array([3, 0, 3]), pixels=array([1, 1, 2]))
    """
    if truth.shape != predicted.shape:
        raise UserError(
            f"the truth has shape {truth.shape} but the prediction {predicted.shape}; "
            "both must show the same pixels."
        )
    check_labels(truth, "truth", lowest=-1)
    check_labels(predicted, "prediction", lowest=0)
    if max(int(truth.max(initial=0)), int(predicted.max(initial=0))) > MOST_SHARED:
        return _of_large_ids(truth, predicted)
    width = int(predicted.max(initial=0)) + 1
    keys = (truth.astype(np.int64) + 1) * width + predicted.astype(np.int64)
    pairs, pixels = _counted(keys.ravel())
    return Overlap(pairs // width - 1, pairs % width, pixels.astype(np.int64))


def _counted(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct keys, ascending, and how often each occurs; small keys are counted without sorting."""
    if keys.max(initial=0) > keys.size:
        return np.unique(keys, return_counts=True)
    counts = np.bincount(keys)
    pairs = np.flatnonzero(counts)
    return pairs, counts[pairs]


def _of_large_ids(truth: NDArray[Any], predicted: NDArray[Any]) -> Overlap:
    """The table, computed on the ranks of the ids that occur."""
    true_ids, true = np.unique(truth.astype(np.int64), return_inverse=True)
    found_ids, found = np.unique(predicted.astype(np.int64), return_inverse=True)
    table = overlap(true.reshape(truth.shape), found.reshape(truth.shape))
    return Overlap(true_ids[table.truth], found_ids[table.predicted], table.pixels)


def check_labels(labels: NDArray[Any], what: str, *, lowest: int) -> None:
    """Raise UserError unless `labels` is an integer array with values from `lowest` to the int64 maximum."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"the {what} has dtype {labels.dtype}, but labels are integers (0 background); "
            "label the objects first."
        )
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if low < lowest or high > np.iinfo(np.int64).max:
        raise UserError(
            f"the {what} has ids from {low} to {high}, allowed are {lowest} to {np.iinfo(np.int64).max}; "
            "relabel the objects from 1."
        )


def annotated_objects(pairs: Overlap) -> Objects:
    """The objects as seen inside the annotated pixels only (truth >= 0).

    What a predicted object covers outside them neither helps nor hurts it, and an object that lies
    completely outside does not appear.
    """
    inside = pairs.truth >= 0
    return all_objects(Overlap(pairs.truth[inside], pairs.predicted[inside], pairs.pixels[inside]))


def partly_annotated_objects(pairs: Overlap) -> Objects:
    """The objects of a frame in which only some are annotated, with all their pixels.

    The surroundings of an annotated object are known not to belong to it, so areas are whole. A predicted
    object without a partner among the true ones (see `partners`) may be one that nobody annotated: it
    does not appear. No object with an IoU above 1/3 is lost in this way.
    """
    objects = all_objects(pairs)
    judged = objects.predicted_ids[np.unique(partners(objects)[1])]
    kept = np.isin(pairs.predicted, judged)
    return all_objects(Overlap(pairs.truth, np.where(kept, pairs.predicted, 0), pairs.pixels))


def partners(objects: Objects) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the true and predicted objects that belong together, (pairs,) each, row by row.

    They share more than half of the smaller one: 2·|R ∩ S| > min(|R|, |S|).
    """
    shared = objects.shared.tocoo()
    rows, columns = shared.coords
    smaller = np.minimum(objects.truth_areas[rows], objects.predicted_areas[columns])
    together = 2 * shared.data > smaller
    rows, columns = rows[together].astype(np.int64), columns[together].astype(np.int64)
    order = np.lexsort((columns, rows))
    return rows[order], columns[order]


def all_objects(pairs: Overlap) -> Objects:
    """The objects with all their pixels: those not annotated (-1) are background of the truth."""
    truth_ids, truth_areas = _areas(pairs.truth, pairs.pixels)
    predicted_ids, predicted_areas = _areas(pairs.predicted, pairs.pixels)
    both = (pairs.truth > 0) & (pairs.predicted > 0)
    rows = np.searchsorted(truth_ids, pairs.truth[both])
    columns = np.searchsorted(predicted_ids, pairs.predicted[both])
    shape = (len(truth_ids), len(predicted_ids))
    shared = sparse.csr_array((pairs.pixels[both], (rows, columns)), shape=shape)
    return Objects(truth_ids, truth_areas, predicted_ids, predicted_areas, shared)


def _areas(ids: NDArray[np.int64], pixels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    objects, index = np.unique(ids[ids > 0], return_inverse=True)
    areas = np.zeros(len(objects), np.int64)
    np.add.at(areas, index, pixels[ids > 0])
    return objects, areas


def object_ious(objects: Objects) -> sparse.csr_array:
    """Intersection over union of every overlapping pair: sparse (n, m) float64 in (0, 1]."""
    pairs = objects.shared.tocoo()
    rows, columns = pairs.coords
    unions = objects.truth_areas[rows] + objects.predicted_areas[columns] - pairs.data
    return sparse.csr_array((pairs.data / unions, (rows, columns)), shape=objects.shared.shape)


def class_confusion(pairs: Overlap, classes: int) -> NDArray[np.int64]:
    """Annotated pixels by [true class, predicted class]: (classes, classes) int64.

    Raises UserError for a class that is not in 0…classes − 1.
    """
    inside = pairs.truth >= 0
    true, found = pairs.truth[inside], pairs.predicted[inside]
    for what, values in (("true", true), ("predicted", found)):
        if values.size and values.max() >= classes:
            raise UserError(
                f"the {what} classes go up to {values.max()}, but with {classes} classes 0 to {classes - 1} "
                "are allowed."
            )
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (true, found), pairs.pixels[inside])
    return counts


def foreground_confusion(pairs: Overlap) -> NDArray[np.int64]:
    """Annotated pixels counted by [is any true object, is any predicted object]: (2, 2) int64."""
    counts = np.zeros((2, 2), np.int64)
    inside = pairs.truth >= 0
    is_true, is_predicted = pairs.truth[inside] > 0, pairs.predicted[inside] > 0
    np.add.at(counts, (is_true.astype(int), is_predicted.astype(int)), pairs.pixels[inside])
    return counts
