"""Label settings chosen by the validation part, so that nobody has to guess a threshold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from unetseg.calibration import fit_calibration
from unetseg.evaluation.by_kind import score_pairs
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.sample import NOT_ANNOTATED, Sample
from unetseg.scores import scores_of
from unetseg.settings import LabelSettings

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
SEEDS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9)
GROW = (0, 1, 2, 3, 4)
"""In pixels of the network's input."""


def choose_labels(model: Model, samples: Sequence[Sample], select_by: str) -> tuple[LabelSettings, float]:
    """The threshold and seeds, then the growth, with the best pooled score on labelled samples.

    The samples must be the validation part: never what is scored in the end. Ties go to the
    settings as they are, then to the earlier candidate. Returns the settings and their score.
    """
    maps = [model.probabilities(s.image, s.name, PredictSettings()) for s in samples]
    kind, classes = model.recipe.kind, model.recipe.classes
    sign = scores_of(kind, classes)[select_by].sign

    @cache
    def value(settings: LabelSettings) -> float:
        tried = replace(model, recipe=replace(model.recipe, labels=settings))
        pairs = [(s.name, np.asarray(s.labels), tried.labels(p)) for s, p in zip(samples, maps, strict=True)]
        return sign * float(score_pairs(pairs, kind, classes, [select_by]).pooled[0])

    first = model.recipe.labels
    pairs = [(t, s) for t, s in product(THRESHOLDS, SEEDS) if s == 0 or s > t]
    best = _best([first, *(replace(first, threshold=t, seed_threshold=s) for t, s in pairs)], value)
    grown = [replace(best, grow=g * model.recipe.downsample) for g in GROW]
    best = _best([best, *grown], value)
    return best, sign * value(best)


def calibrate_model(model: Model, samples: Sequence[Sample]) -> Model:
    """The model with its foreground probability calibrated by labelled samples: never those scored."""
    plain = replace(model, recipe=replace(model.recipe, calibration=()))

    def maps() -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
        for sample in samples:
            labels = np.asarray(sample.labels)
            known = labels != NOT_ANNOTATED
            probability = plain.own_probabilities(
                sample.image, sample.name, PredictSettings(), lambda tiles: None
            )[1]
            yield probability[known], labels[known] > 0

    return replace(plain, recipe=replace(plain.recipe, calibration=fit_calibration(maps())))


def _best(candidates: Sequence[LabelSettings], value: Callable[[LabelSettings], float]) -> LabelSettings:
    """The first candidate of the highest value; undefined (NaN) values lose."""
    return max(candidates, key=lambda c: np.nan_to_num(value(c), nan=-np.inf))
