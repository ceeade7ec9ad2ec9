"""Label settings chosen by the validation part, so that nobody has to guess a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from unetseg.pipeline.model import Model, Tiling
from unetseg.pipeline.scoring import higher_is_better, score_pairs
from unetseg.sample import Sample
from unetseg.settings import LabelSettings

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
SEEDS = (0.0, 0.6, 0.7, 0.8, 0.9, 0.95)


def choose_labels(model: Model, samples: Sequence[Sample], best_by: str) -> tuple[LabelSettings, float]:
    """The threshold and seeds with the best pooled score on labelled samples, and that score.

    The samples must be the validation part: never what is scored in the end. Earlier candidates
    win ties; the settings as they are come first.
    """
    settings = model.recipe.labels
    maps = [model.probabilities(s.image, s.name, Tiling()) for s in samples]
    sign = 1 if higher_is_better(best_by) else -1
    best, highest = settings, -math.inf
    for candidate in _candidates(settings):
        tried = replace(model, recipe=replace(model.recipe, labels=candidate))
        pairs = [(s.name, np.asarray(s.labels), tried.labels(p)) for s, p in zip(samples, maps, strict=True)]
        value = sign * float(score_pairs(pairs, model.recipe.kind, model.recipe.classes, [best_by]).pooled[0])
        if value > highest:
            best, highest = candidate, value
    return best, sign * highest


def _candidates(settings: LabelSettings) -> list[LabelSettings]:
    pairs = [(t, s) for t, s in product(THRESHOLDS, SEEDS) if s == 0 or s > t]
    return [settings, *(replace(settings, threshold=t, seeds=s) for t, s in pairs)]
