"""What the values of true label files mean, and whether the prediction's ids are the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.evaluation.by_kind import Pair
from unetseg.evaluation.label_files import read_label_file
from unetseg.evaluation.paired_predictions import CHALLENGE_TRUTH
from unetseg.images.formats import is_volume_file
from unetseg.scores.overlap import annotated_objects, object_ious, overlap
from unetseg.settings import DataSettings
from unetseg.tasks.label_formats import kinds_of
from unetseg.tasks.label_statistics import LabelStatistics, label_statistics
from unetseg.tasks.labels import LabelRule
from unetseg.tasks.recognise import Recognition, describe, label_rule

SAME_OBJECT = 0.5
"""A true and a predicted object of at least this IoU are the same one."""


def truth_rule(truths: Sequence[Path], data: DataSettings) -> tuple[LabelRule, Recognition, str]:
    """How to read the true label files, what was detected, and the note about it.

    Class maps are read with the values of the files, since a prediction may have other values than the truth.
    """
    if all(CHALLENGE_TRUTH.fullmatch(path.name) for path in truths):
        return LabelRule("instances"), Recognition("instances"), ""
    kinds = kinds_of(truths)
    if kinds:
        if data.labels == "classes":
            raise UserError(f"{truths[0]}: {kinds} hold objects, not classes. Leave out --labels classes.")
        rule, found = label_rule([], data, str(truths[0].parent), objects=kinds)
        return rule, found, f"labels: objects ({kinds})"
    statistics = [s for path in truths for s in _statistics(path, data)]
    scans = any(is_volume_file(path) for path in truths)
    rule, found = label_rule(statistics, data, str(truths[0].parent), scans=scans)
    override = "--labels" if data.labels == "auto" else ""
    return replace(rule, values=()), found, describe(rule, found, statistics, override)


def ids_agree(pairs: Sequence[Pair]) -> bool:
    """Whether most objects that are found carry the id of the true object, as classes do."""
    same = [agrees for _, truth, predicted in pairs for agrees in _agreements(truth, predicted)]
    return not same or float(np.mean(same)) >= SAME_OBJECT


def by_rank(pairs: Sequence[Pair]) -> tuple[list[Pair], int]:
    """Class maps with their values replaced by 0, 1, 2, …, and the number of values."""
    values = np.unique(np.concatenate([np.unique(a[a >= 0]) for _, t, p in pairs for a in (t, p)]))
    if (values.size and values[-1] == len(values) - 1) or (values[0] == 0 and values[-1] < 2 * len(values)):
        return list(pairs), int(values[-1]) + 1

    def ranked(labels: NDArray[Any]) -> NDArray[Any]:
        return np.where(labels < 0, labels, np.searchsorted(values, labels)).astype(np.int32)

    return [(name, ranked(truth), ranked(predicted)) for name, truth, predicted in pairs], len(values)


def _statistics(path: Path, data: DataSettings) -> Iterator[LabelStatistics]:
    pages = read_label_file(path, volumes=data.volumes).pixels
    for i, page in enumerate(pages):
        name = f"{path}[{i}]" if len(pages) > 1 else str(path)
        yield label_statistics(page, tuple(data.not_annotated), name)


def _agreements(truth: NDArray[Any], predicted: NDArray[Any]) -> list[bool]:
    """For every object that is found, whether it has the true id."""
    objects = annotated_objects(overlap(truth, predicted))
    found = object_ious(objects).tocoo()
    rows, columns = (c[found.data >= SAME_OBJECT] for c in found.coords)
    return (objects.truth_ids[rows] == objects.predicted_ids[columns]).tolist()
