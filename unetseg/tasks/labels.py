"""What a label file means: a mask, a class map or instance ids; recognised, or as the user says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label

from unetseg.errors import UserError
from unetseg.sample import NOT_ANNOTATED

Meaning = Literal["instances", "mask", "classes"]
MASK: Meaning = "mask"
MOST_CLASSES = 8
COUNTED = 2**16
MOST_ID = int(np.iinfo(np.int32).max)


@dataclass(frozen=True)
class LabelStatistics:
    """What recognition looks at in one label image: its values > 0 and their components in all."""

    values: frozenset[int]
    components: int


def read_labels(
    pixels: NDArray[Any], meaning: Meaning, not_annotated: Sequence[int], name: str
) -> NDArray[np.int32]:
    """(c, y, x) label pixels to (y, x) int32: object ids or classes, −1 where not annotated.

    A mask's foreground is every value but 0; its edge-connected components become the objects.
    """
    flat = label_plane(pixels, name)
    values = _without(flat, not_annotated)
    check_not_negative(int(values.min()), name)
    labels = ndimage.label(values > 0)[0] if meaning == "mask" else values
    if not_annotated:
        labels = np.where(np.isin(flat, list(not_annotated)), NOT_ANNOTATED, labels)
    return labels.astype(np.int32)


def check_not_negative(least: int, name: str) -> None:
    """Refuse a negative label that is not said to be not annotated."""
    if least < 0:
        raise UserError(
            f"{name}: label {least}; labels must be 0 or more. If it marks pixels that "
            f"are not annotated, set data.not_annotated = [{least}]."
        )


def label_plane(pixels: NDArray[Any], name: str) -> NDArray[np.int64]:
    """(y, x) integers of (c, y, x) label pixels; several channels must be equal (a grey RGB mask)."""
    if len(pixels) > 1 and any(not np.array_equal(pixels[0], p) for p in pixels[1:]):
        raise UserError(
            f"{name}: a label image of {len(pixels)} different channels. Save it as one channel of "
            "integers: 0 background, and one value per class or object."
        )
    plane = pixels[0]
    if plane.dtype.kind == "f" and not np.array_equal(plane, np.round(plane)):
        raise UserError(f"{name}: label values are not whole numbers. Save the labels as integers.")
    if plane.max(initial=0) > MOST_ID:
        raise UserError(f"{name}: label {plane.max()}; at most {MOST_ID} is allowed. Number the labels anew.")
    return plane.astype(np.int64)


def label_statistics(plane: NDArray[np.int64], not_annotated: Sequence[int]) -> LabelStatistics:
    """The facts of one label plane (y, x)."""
    values = frozenset(v for v in _values(plane) if v != 0 and v not in not_annotated)
    kept = _without(plane, not_annotated)
    return LabelStatistics(values, int(label(kept, connectivity=1, return_num=True)[1]))


def recognise(facts: Sequence[LabelStatistics]) -> Meaning:
    """What the label images of a folder mean together.

    One value beside 0: a mask. A few values (up to 8) that almost every image has, or whose areas
    are mostly in several pieces: classes. Else, a value per object: instances.
    """
    union = _union(facts)
    if len(union) <= 1:
        return "mask"
    pairs = sum(len(f.values) for f in facts)
    in_pieces = sum(f.components for f in facts) > 1.5 * pairs
    everywhere = len(facts) >= 3 and sum(f.values == union for f in facts) >= 0.8 * len(facts)
    few = len(union) <= MOST_CLASSES
    return "classes" if few and (everywhere or in_pieces) else "instances"


def count_of_classes(
    meaning: Meaning, facts: Sequence[LabelStatistics], given: int | None, source: str
) -> int:
    """Classes with the background: 2 for objects, `given` or the highest class + 1 for class maps."""
    if meaning != "classes":
        if given not in (None, 2):
            raise UserError(
                f"{source}: data.classes = {given}, but the labels were taken for {meaning}, which are "
                'learnt as 2 classes. Set data.labels = "classes", or leave data.classes out.'
            )
        return 2
    values = sorted(_union(facts) | {0})
    gaps = len(values) <= values[-1]
    if given is None and gaps and values[-1] > MOST_CLASSES:
        few = ", ".join(map(str, values[:MOST_CLASSES])) + (", …" if len(values) > MOST_CLASSES else "")
        raise UserError(
            f"{source}: the labels hold the classes {few}; classes count up 0, 1, 2, … without gaps. "
            "Renumber them, set data.classes if some are only missing here, set data.labels if they are "
            f"objects or a mask, or data.not_annotated = [{values[-1]}] if that is no label at all."
        )
    if given is None and values[-1] >= 255:
        raise UserError(
            f"{source}: {values[-1] + 1} classes; at most 255. Are they objects? See data.labels."
        )
    return given or values[-1] + 1


def describe(meaning: Meaning, facts: Sequence[LabelStatistics], chosen: bool) -> str:
    """What is said aloud: "labels: 34 instances in 5 images (recognised; …)"."""
    union = _union(facts)
    match meaning:
        case "instances":
            what = f"{sum(len(f.values) for f in facts)} instances"
        case "mask":
            what = f"mask, values 0 and {', '.join(map(str, sorted(union))) or 'nothing else'}"
        case "classes":
            what = f"class map, classes {', '.join(map(str, sorted(union | {0})))}"
    how = "as data.labels says" if chosen else "recognised; data.labels overrides"
    return f"labels: {what} in {len(facts)} images ({how})"


def _union(facts: Sequence[LabelStatistics]) -> frozenset[int]:
    return frozenset[int]().union(*(f.values for f in facts))


def _values(plane: NDArray[np.int64]) -> list[int]:
    """The values there are, each once; small ones are counted, which is faster than sorting them."""
    if plane.size and plane.min() >= 0 and plane.max() < COUNTED:
        return np.flatnonzero(np.bincount(plane.ravel())).tolist()
    return np.unique(plane).tolist()


def _without(plane: NDArray[np.int64], not_annotated: Sequence[int]) -> NDArray[np.int64]:
    """The plane with 0 where nobody annotated."""
    return np.where(np.isin(plane, list(not_annotated)), 0, plane) if not_annotated else plane
