"""Scores that compare class maps pixel by pixel, all read from one confusion matrix.

To pool images, add their confusion matrices before applying a `*_of` function, so
that every pixel counts the same: `iou_of(confusion(a, b) + confusion(c, d), 1)`.

A class map is an integer array of any shape with values 0..k-1; `annotated` is an optional boolean
array of that shape, False for pixels to ignore. A score whose denominator is zero,
such as the IoU of a class that is in neither map, is undefined: NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError


def iou(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    c: int = 1,
    annotated: NDArray[np.bool_] | None = None,
) -> float:
    """Intersection over union (Jaccard index) of class c, in [0, 1]; NaN if neither map has it.

    Raises UserError if shapes differ or values are not classes (see `confusion`).

    >>> iou(np.array([0, 1, 1, 0]), np.array([1, 1, 0, 0]))
    0.3333333333333333
    """
    return iou_of(_one_class(truth, predicted, c, annotated), 1)


def dice(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    c: int = 1,
    annotated: NDArray[np.bool_] | None = None,
) -> float:
    """Dice coefficient of class c, in [0, 1]; NaN if neither map has it.

    Raises UserError if shapes differ or values are not classes (see `confusion`).

    >>> dice(np.array([0, 1, 1, 0]), np.array([1, 1, 0, 0]))
    0.5
    """
    return dice_of(_one_class(truth, predicted, c, annotated), 1)


def pixel_error(
    truth: NDArray[Any], predicted: NDArray[Any], annotated: NDArray[np.bool_] | None = None
) -> float:
    """Fraction of the annotated pixels whose classes differ, in [0, 1]; NaN if there are none.

    For two classes this is the mean squared difference, the second of the two forms in which the
    ISBI 2012 challenge states its pixel error (Arganda-Carreras et al. 2015, Front. Neuroanat. 9,
    142). The first is one minus the maximal F-score of the pixels over thresholds, see `em`.
    Raises UserError if shapes differ or values are not classes (see `confusion`).
    """
    _check(truth, predicted, annotated)
    differ = _inside(truth != predicted, annotated)
    return _ratio(np.count_nonzero(differ), differ.size)


def confusion(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    annotated: NDArray[np.bool_] | None = None,
    *,
    classes: int,
) -> NDArray[np.int64]:
    """Annotated pixels counted by [true class, predicted class]: (classes, classes) int64.

    Raises UserError if the shapes of the arrays differ, or an annotated value is not an integer in
    0..classes-1.
    """
    _check(truth, predicted, annotated)
    true, found = _inside(truth, annotated), _inside(predicted, annotated)
    for what, values in (("true", true), ("predicted", found)):
        if values.size and not 0 <= values.min() <= values.max() < classes:
            raise UserError(
                f"the {what} classes go from {values.min()} to {values.max()}, but with {classes} "
                f"classes 0 to {classes - 1} are allowed; mask other pixels with annotated=False."
            )
    keys = true.astype(np.int64) * classes + found
    return np.bincount(keys, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def iou_of(counts: NDArray[np.int64], c: int) -> float:
    """Intersection over union of class c from a (pooled) confusion matrix; NaN if undefined."""
    return _ratio(counts[c, c], counts[c].sum() + counts[:, c].sum() - counts[c, c])


def dice_of(counts: NDArray[np.int64], c: int) -> float:
    """Dice coefficient of class c from a (pooled) confusion matrix; NaN if undefined."""
    return _ratio(2 * counts[c, c], counts[c].sum() + counts[:, c].sum())


def pixel_error_of(counts: NDArray[np.int64]) -> float:
    """Fraction of pixels off the diagonal of a (pooled) confusion matrix; NaN if it is empty."""
    return _ratio(counts.sum() - counts.trace(), counts.sum())


def _one_class(
    truth: NDArray[Any], predicted: NDArray[Any], c: int, annotated: NDArray[np.bool_] | None
) -> NDArray[np.int64]:
    _check(truth, predicted, annotated)
    return confusion(truth == c, predicted == c, annotated, classes=2)


def _ratio(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else float("nan")


def _inside(values: NDArray[Any], annotated: NDArray[np.bool_] | None) -> NDArray[Any]:
    return values.ravel() if annotated is None else values[annotated]


def _check(truth: NDArray[Any], predicted: NDArray[Any], annotated: NDArray[np.bool_] | None) -> None:
    shapes = {"true": truth.shape, "predicted": predicted.shape}
    if annotated is not None:
        shapes["annotated"] = annotated.shape
        if annotated.dtype != np.bool_:
            raise UserError(f"annotated has dtype {annotated.dtype}; give a boolean array.")
    if len(set(shapes.values())) > 1:
        given = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise UserError(f"the shapes differ: {given}; they must show the same pixels.")
    for name, array in (("true", truth), ("predicted", predicted)):
        if not (np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_):
            raise UserError(
                f"the {name} classes have dtype {array.dtype}; give integers or booleans, "
                "for instance the argmax of the probabilities."
            )
