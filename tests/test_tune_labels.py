"""The search of label settings: never worse on the samples it is given, and a plateau before a peak."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from unetseg.pipeline.tune_labels import choose_labels
from unetseg.sample import Sample
from unetseg.scores.ctc import seg
from unetseg.segment import object_labels
from unetseg.settings import LabelSettings


@dataclass(frozen=True)
class FakeRecipe:
    labels: LabelSettings = field(default_factory=LabelSettings)
    kind: str = "instances"
    classes: int = 2
    downsample: int = 1


@dataclass(frozen=True)
class FakeModel:
    """A model whose probabilities are the image itself."""

    recipe: FakeRecipe = field(default_factory=FakeRecipe)
    others: tuple[Any, ...] = ()

    def probabilities(self, image: np.ndarray, *_: Any) -> np.ndarray:
        return np.concatenate([1 - image, image])

    def labels(self, probabilities: np.ndarray) -> np.ndarray:
        return object_labels(probabilities, self.recipe.labels)


def disc(y: int, x: int, radius: float, size: int = 64) -> np.ndarray:
    yy, xx = np.mgrid[:size, :size]
    return (yy - y) ** 2 + (xx - x) ** 2 < radius**2


def samples(make: Any) -> list[Sample]:
    found = []
    for n in range(3):
        labels = sum(k * disc(y + n, x, 8) for k, (y, x) in enumerate([(14, 16), (14, 46), (44, 30)], 1))
        image = make(np.asarray(labels) > 0, np.random.default_rng(n))
        found.append(Sample(str(n), image[None].astype(np.float32), np.asarray(labels, np.int32), None))
    return found


def test_a_high_threshold_is_found() -> None:
    """Background of 0.75 beside objects of 0.99: no threshold below 0.75 tells them apart."""
    found = choose_labels(FakeModel(), samples(lambda fg, rng: np.where(fg, 0.99, 0.75)), "seg")  # type: ignore[arg-type]
    assert 0.75 < found.labels.threshold < 0.99
    assert found.before < 0.1
    assert found.score == 1


def test_specks_in_objects_seed_none() -> None:
    """Three bright specks seed each object three times over, unless small seeds are dropped."""

    def make(fg: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        ids, count = ndimage.label(fg)
        image = np.where(ndimage.binary_erosion(fg, iterations=4), 0.97, np.where(fg, 0.6, 0.1))
        for k in range(1, count + 1):
            ys, xs = np.nonzero((ids == k) & ~ndimage.binary_erosion(fg, iterations=2))
            at = rng.integers(len(ys), size=2)
            image[ys[at], xs[at]] = 0.99
        return image

    start = LabelSettings(threshold=0.5, seed_threshold=0.9)
    model = FakeModel(FakeRecipe(start))
    found = choose_labels(model, samples(make), "seg")  # type: ignore[arg-type]
    assert found.before < 0.9 < found.score


@pytest.mark.parametrize("score", ["seg", "iou", "pixel-error"])
def test_the_choice_is_never_worse_on_its_samples(score: str) -> None:
    noisy = samples(lambda fg, rng: np.clip(0.5 * fg + rng.normal(0.3, 0.1, fg.shape), 0, 1))
    start = FakeModel(FakeRecipe(LabelSettings(threshold=0.55, min_area=20)))
    found = choose_labels(start, noisy, score)  # type: ignore[arg-type]
    sign = -1 if score == "pixel-error" else 1
    assert sign * found.score >= sign * found.before
    again = choose_labels(replace(start, recipe=FakeRecipe(found.labels)), noisy, score)  # type: ignore[arg-type]
    assert again.before == pytest.approx(found.score)


def test_samples_without_objects_leave_the_settings_as_they_are() -> None:
    empty = [Sample("a", np.zeros((1, 16, 16), np.float32), np.zeros((16, 16), np.int32), None)]
    assert choose_labels(FakeModel(), empty, "seg").labels == LabelSettings()  # type: ignore[arg-type]


NARROW = [LabelSettings(threshold=t, min_area=a) for t in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6) for a in (0, 20, 50)]


@pytest.mark.parametrize("bias", [0.0, 0.2, 0.4])
def test_the_choice_is_at_least_as_good_as_the_best_of_a_narrow_grid(bias: float) -> None:
    """Thresholds to 0.6 and minimum areas alone, each tried by itself."""

    def make(fg: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = ndimage.gaussian_filter(rng.normal(0, 1, fg.shape), 1.5)
        return np.clip(ndimage.gaussian_filter(0.8 * fg, 2) + 0.4 * noise + bias, 0, 1)

    noisy = samples(make)
    best = max(_score(labels, noisy) for labels in NARROW)
    assert choose_labels(FakeModel(), noisy, "seg").score >= best  # type: ignore[arg-type]


def _score(labels: LabelSettings, noisy: list[Sample]) -> float:
    pairs = [(s.labels, object_labels(FakeModel().probabilities(s.image), labels)) for s in noisy]
    return seg(pairs)  # type: ignore[arg-type]
