"""Label settings chosen by labelled samples, so that nobody has to guess a threshold.

The search runs on kept probabilities: each sample is predicted once. Settings that depend on each other
are searched together on a grid: first threshold, seed threshold and smallest seed, coarsely and on a few
of the images; then holes, smallest object and growth; then thresholds and growth once more, finely. A
candidate counts as the mean of itself and its neighbours on the grid, so that a plateau is preferred to a
peak, which a few validation images may show by chance.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from unetseg.calibration import fit_calibration
from unetseg.pipeline.label_trials import LabelTrials
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.sample import NOT_ANNOTATED, Sample
from unetseg.scores import scores_of
from unetseg.settings import LabelSettings

THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)
SEED_THRESHOLDS = (0.0, 0.3, 0.5, 0.7, 0.9, 0.98)
FINE = (-0.1, -0.05, 0.05, 0.1)
"""Steps from the best threshold and seed threshold in the last search."""
COARSE_IMAGES = 6
"""The first search looks at no more images than these, evenly spaced."""
GROW = (0, 1, 2, 3, 4)
"""In pixels of the network's input."""
AREAS = {
    "min_seed_area": (0, 0.01, 0.03, 0.1),
    "min_area": (0, 0.02, 0.05, 0.1, 0.2, 0.3),
    "max_hole_area": (0, 0.05, 0.1, 0.25),
}
"""In parts of the median object's area."""
Axes = Mapping[str, Sequence[float]]
"""The values to try of each setting, by its name; the last one changes fastest."""
Value = Callable[[LabelSettings], float]
"""The score of label settings, higher is better; −∞ where it is undefined."""


@dataclass(frozen=True)
class Tuned:
    """The chosen settings, their score and that of the settings before; tried: how many, in what time."""

    labels: LabelSettings
    score: float
    before: float
    tried: int
    seconds: float

    @property
    def words(self) -> str:
        """The settings in one line."""
        names = ("threshold", "seed_threshold", "min_seed_area", "min_area", "max_hole_area", "grow")
        return ", ".join(f"{name.replace('_', ' ')} {getattr(self.labels, name):g}" for name in names)


def choose_labels(model: Model, samples: Sequence[Sample], select_by: str) -> Tuned:
    """The label settings with the best pooled score on labelled samples; the model's own if none is better.

    The samples must be the validation part, never those that are scored in the end.
    """
    started = time.perf_counter()
    score = scores_of(model.recipe.kind, model.recipe.classes)[select_by]
    trials = [
        LabelTrials(model.probabilities(s.image, s.name, PredictSettings()), np.asarray(s.labels), select_by)
        for s in samples
    ]
    tried = set()
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:

        @cache
        def value_on(every: int, labels: LabelSettings) -> float:
            tried.add(labels)
            rows = pool.map(lambda trial: trial.rows(labels), trials[::every])
            return float(np.nan_to_num(score.sign * score.total(np.concatenate([*rows])), nan=-np.inf))

        first, value = model.recipe.labels, partial(value_on, 1)
        few = partial(value_on, math.ceil(len(trials) / COARSE_IMAGES))
        found = _search(first, few, value, _lines(model, samples))
        best = found if value(found) > value(first) else first
    seconds = time.perf_counter() - started
    return Tuned(best, score.sign * value(best), score.sign * value(first), len(tried), seconds)


def _lines(model: Model, samples: Sequence[Sample]) -> dict[str, tuple[float, ...]]:
    """The values to try of areas and growth, in pixels."""
    truths = [np.asarray(s.labels) for s in samples]
    areas = [np.unique(t[t > 0], return_counts=True)[1] for t in truths]
    median = float(np.median(np.concatenate(areas))) if sum(map(len, areas)) else 0.0
    sized = {name: tuple(round(part * median) for part in parts) for name, parts in AREAS.items()}
    return {"grow": tuple(g * model.recipe.downsample for g in GROW), **sized}


def _search(first: LabelSettings, few: Value, value: Value, lines: Axes) -> LabelSettings:
    """The best settings found in three grids; few: the value on a few of the images."""
    thresholds = {"threshold": THRESHOLDS, "seed_threshold": SEED_THRESHOLDS}
    best = _on_grid(first, few, {**thresholds, "min_seed_area": lines["min_seed_area"]})
    best = _on_grid(best, value, {name: lines[name] for name in ("max_hole_area", "min_area", "grow")})
    finer = {
        "threshold": _near(best.threshold),
        "seed_threshold": _near(best.seed_threshold) if best.seed_threshold > 0 else (),
        "grow": _beside(lines["grow"], best.grow),
    }
    return _on_grid(best, value, finer)


def _on_grid(best: LabelSettings, value: Value, axes: Axes) -> LabelSettings:
    """The best of all combinations of the values, which present ones join; seeds lie above the threshold."""
    lines = [sorted({*values, getattr(best, name)}) for name, values in axes.items()]
    candidates = [replace(best, **dict(zip(axes, values, strict=True))) for values in product(*lines)]
    allowed = [c.seed_threshold == 0 or c.seed_threshold > c.threshold for c in candidates]
    values = [value(c) if ok else -np.inf for c, ok in zip(candidates, allowed, strict=True)]
    scores = _smoothed(np.reshape(values, [len(line) for line in lines])).ravel()
    here = candidates.index(best)
    return best if scores[here] == scores.max() else candidates[int(scores.argmax())]


def _smoothed(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each score averaged with its defined neighbours along every axis; its own value counts twice.

    >>> _smoothed(np.array([0.5, 0.9, 0.5, 0.8, 0.8, 0.8])).round(3).tolist()
    [0.633, 0.7, 0.675, 0.725, 0.8, 0.8]
    """
    total, count = 2 * np.where(np.isfinite(scores), scores, 0), np.full(scores.shape, 2.0)
    for axis in range(scores.ndim):
        for way in (1, -1):
            beside = np.full(scores.shape, -np.inf)
            to, of = ([slice(None)] * scores.ndim for _ in range(2))
            to[axis], of[axis] = (
                slice(max(way, 0), min(way, 0) or None),
                slice(max(-way, 0), min(-way, 0) or None),
            )
            beside[tuple(to)] = scores[tuple(of)]
            total += np.where(np.isfinite(beside), beside, 0)
            count += np.isfinite(beside)
    return np.where(np.isfinite(scores), total / count, -np.inf)


def _near(value: float) -> tuple[float, ...]:
    """Values a little below and above, between 0 and 1."""
    return tuple(v for step in FINE if 0 < (v := round(value + step, 3)) < 1)


def _beside(values: Sequence[float], value: float) -> tuple[float, ...]:
    """The nearest value below and the nearest above, where there are any.

    >>> _beside((0, 2, 4, 6), 4)
    (2, 6)
    """
    below, above = [v for v in values if v < value], [v for v in values if v > value]
    return *below[-1:], *above[:1]


def calibrate_model(model: Model, samples: Sequence[Sample]) -> Model:
    """The model with its foreground probability calibrated by labelled samples, never by those scored."""
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
