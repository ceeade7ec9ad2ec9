"""The meaning of label values, detected from all label images of a data set together, and described."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from unetseg.errors import UserError, some_of
from unetseg.sample import LabelKind
from unetseg.settings import DataSettings
from unetseg.tasks.class_values import class_values
from unetseg.tasks.label_planes import value_text
from unetseg.tasks.label_statistics import FEW, LabelStatistics
from unetseg.tasks.labels import LabelRule, Meaning
from unetseg.tasks.soft_masks import CLUSTER

MOST_IN_PIECES = 0.25
"""Share of values in several pieces above which values are classes."""
MOSTLY = 0.8
SEVERAL = 3
"""The number of images needed to see whether values recur."""
MOST_CLASSES = 32


@dataclass(frozen=True)
class Recognition:
    """The detected meaning of label values.

    doubt: what speaks against it, "" if nothing does; known: the formats that say it, "" for label images.
    """

    meaning: Meaning
    doubt: str = ""
    known: str = ""


def label_rule(
    statistics: Sequence[LabelStatistics],
    data: DataSettings,
    source: str,
    *,
    scans: bool = False,
    objects: str = "",
) -> tuple[LabelRule, Recognition]:
    """How to read these label images, by `data` or as detected.

    scans: see `recognise`; objects: the formats of files that hold objects, see `known_format`; source:
    names the data set in errors. Raises UserError for images that are not labels, and for classes that are
    not plausible.
    """
    auto = data.labels == "auto"
    if data.labels != "auto":
        found = Recognition(data.labels)
    else:
        found = Recognition("instances", known=objects) if objects else recognise(statistics, scans=scans)
    unknown_background = 0 in data.not_annotated
    if data.partly_annotated and found.meaning == "classes":
        raise UserError(
            f"{source}: data.partly_annotated is for objects, but the labels were detected as classes. Set "
            "data.not_annotated = [0] and give the background its own value, or set data.labels."
        )
    if auto and unknown_background and not objects:  # only classes have no background
        found = Recognition("classes")
    if auto and not objects:
        _check_no_grey_values(statistics)
    unknown = tuple(data.not_annotated)
    if found.meaning == "classes":
        classes, values = class_values(statistics, unknown, data.classes, source)
        return LabelRule("classes", "classes", classes, values, not_annotated=unknown), found
    if data.classes not in (None, 2):
        raise UserError(
            f"{source}: data.classes = {data.classes}, but the labels were detected as {found.meaning}, "
            'which are learnt as 2 classes. Set data.labels = "classes", or leave data.classes out.'
        )
    if found.meaning == "instances":
        rule = LabelRule("instances", not_annotated=unknown)
    else:
        rule = _mask_rule(statistics, unknown, auto)
    return replace(rule, objects_only=data.partly_annotated), found


def recognise(statistics: Sequence[LabelStatistics], *, scans: bool = False) -> Recognition:
    """What the label images of a data set mean.

    One value beside 0: a mask. Values that lie in several pieces: classes. More than 8 values, each in
    one piece: instances. Few values, each in one piece: classes if they always occur together and
    touch each other, or lie inside each other; else instances. scans: for medical scans, whose few
    values are classes.
    """
    values = _union(statistics)
    if len(values) <= 1 or any(s.soft for s in statistics):
        return Recognition("mask")
    pairs = sum(len(s.values) for s in statistics)
    if sum(s.in_pieces for s in statistics) > MOST_IN_PIECES * pairs and len(values) <= MOST_CLASSES:
        many = "" if len(values) <= FEW else f"{len(values)} values are many for classes"
        return Recognition("classes", many)
    if len(values) > FEW:
        return Recognition("instances")
    return _of_few_whole_values(statistics, scans)


def describe(
    rule: LabelRule, found: Recognition, statistics: Sequence[LabelStatistics], override: str
) -> str:
    """The line that says how labels are read: "labels: 34 instances in 5 images (detected; …)".

    override: the key or option that overrides it; "" if it was used.
    """
    count = f"{len(statistics)} image{'s' * (len(statistics) != 1)}"
    what = f"{_what(rule, statistics)} in {count}"
    if found.known:
        return f"labels: {what} ({found.known})"
    if not override:
        return f"labels: {what} (as set)"
    if not found.doubt:
        return f"labels: {what} (detected; {override} overrides)"
    other = "instances" if found.meaning == "classes" else "classes"
    return f"labels: {what} (a guess: {found.doubt}. If they are {other}: {override} = {other})"


def _of_few_whole_values(statistics: Sequence[LabelStatistics], scans: bool) -> Recognition:
    """The meaning of few values that are each in one piece."""
    values, several = _union(statistics), [s for s in statistics if len(s.values) > 1]
    recur = len(statistics) >= SEVERAL and _share(s.values == values for s in statistics) >= MOSTLY
    touch = _share(s.in_contact == len(s.values) for s in several) >= MOSTLY
    inside = _share(s.enclosed > 0 for s in several) >= MOSTLY
    if scans and recur and touch:
        return Recognition("classes")
    if scans or inside or (recur and touch):
        return Recognition("classes", "each value is in one piece, like the id of an object")
    if recur or touch:
        why = "the same few values recur in every image" if recur else "there are few values, and they touch"
        return Recognition("instances", f"{why}, like classes")
    return Recognition("instances")


def _mask_rule(
    statistics: Sequence[LabelStatistics], not_annotated: tuple[int, ...], auto: bool
) -> LabelRule:
    """Masks by their pieces, or as two classes if most of them are one net of vessels or membranes."""
    ranges = [s.soft for s in statistics if s.soft]
    top = max(_union(statistics), default=1)
    low, high = min((r[0] for r in ranges), default=0.0), max((r[1] for r in ranges), default=0.0)
    if ranges:
        _check_all_masks(statistics, low, high)
    marked = [s for s in statistics if any(s.labelled)]
    net = auto and _share(s.net for s in marked) > 0.5
    kind: LabelKind = "classes" if net else "instances"
    return LabelRule("mask", kind, 2, (0, top), (low + high) / 2, not_annotated)


def _check_no_grey_values(statistics: Sequence[LabelStatistics]) -> None:
    brightest = max((s.soft[1] for s in statistics if s.soft), default=0.0)
    for s in statistics:
        if s.grey and not s.soft and max(s.values) > CLUSTER * brightest:  # else noise of an empty mask
            raise UserError(
                f"{s.name}: {len(s.values)} values in {s.components} pieces: grey values, not labels. If it "
                "is the label image, it was resized with interpolation or saved as JPEG: export it "
                "again as PNG or TIFF, resized by nearest neighbour. If it is right, set data.labels."
            )


def _check_all_masks(statistics: Sequence[LabelStatistics], low: float, high: float) -> None:
    """Masks with grey edges may be mixed with clean ones of the same values, and with empty ones."""
    reach = CLUSTER * (high - low)
    for s in statistics:
        between = [v for v in s.values if low + reach < v < high - reach]
        if not s.soft and (between or (len(s.values) == 1 and max(s.values) <= low + reach)):
            raise UserError(
                f"{s.name}: holds the values {some_of(map(str, sorted(s.values)))}, while other label images "
                f"are masks from {low:g} to {high:g} with grey edges. Give label images of one kind."
            )


def _what(rule: LabelRule, statistics: Sequence[LabelStatistics]) -> str:
    values, colours = sorted(_union(statistics)), any(s.colours for s in statistics)
    if rule.meaning == "instances":
        return f"{sum(len(s.values) for s in statistics)} instances"
    if rule.meaning == "classes":
        there = values if 0 in rule.not_annotated else [0, *values]
        unknown = "".join(f", {v} not annotated" for v in rule.not_annotated)
        return f"class map, classes {', '.join(value_text(v, colours) for v in there)}{unknown}"
    pieces = sum(s.components for s in statistics)
    objects = "as two classes" if rule.kind == "classes" else f"{pieces} objects"
    if rule.threshold:
        return f"mask with grey edges, values above {rule.threshold:g} are foreground, {objects}"
    return f"mask, values 0 and {', '.join(value_text(v, colours) for v in values)}, {objects}"


def _union(statistics: Sequence[LabelStatistics]) -> frozenset[int]:
    return frozenset[int]().union(*(s.values for s in statistics))


def _share(flags: Iterable[bool]) -> float:
    listed = list(flags)
    return sum(listed) / len(listed) if listed else 0.0
