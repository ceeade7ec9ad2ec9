"""Scores of many label settings in stages: the same as segmenting and scoring each by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import remove_small_holes
from skimage.segmentation import expand_labels, relabel_sequential, watershed

from unetseg.pipeline.label_trials import LabelTrials
from unetseg.scores import frame_table
from unetseg.segment import object_labels, segment
from unetseg.settings import LabelSettings


def blurred(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A map of blobs, some of which touch; no two pixels are the same, so the watershed breaks no ties."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return ((noise - noise.min()) / np.ptp(noise)).astype(np.float32)


def drawn(rng: np.random.Generator) -> LabelSettings:
    """Label settings that make and drop seeds, holes and small objects of such maps."""
    threshold = float(rng.choice([0.3, 0.4, 0.5, 0.6]))
    return LabelSettings(
        threshold=threshold,
        seed_threshold=float(rng.choice([0, threshold + 0.1, threshold + 0.2])),
        min_seed_area=int(rng.choice([0, 2, 5, 20])),
        min_area=int(rng.choice([0, 10, 30, 100])),
        max_hole_area=int(rng.choice([0, 4, 30])),
        grow=int(rng.choice([0, 1, 3])),
    )


def textbook(probability: np.ndarray, core: np.ndarray, labels: LabelSettings) -> np.ndarray:
    """The definition of `segment`, by scikit-image alone and on the whole image."""

    def large(found: np.ndarray, area: int) -> np.ndarray:
        return np.where(np.bincount(found.ravel())[found] < area, 0, found)

    mask = remove_small_holes(probability > labels.threshold, max_size=labels.max_hole_area)
    objects = ndimage.label(mask)[0]
    if labels.seed_threshold > 0:
        seeds = ndimage.label(mask & (core > labels.seed_threshold))[0]
        objects = watershed(-core, large(seeds, labels.min_seed_area), mask=mask)
    return np.asarray(relabel_sequential(expand_labels(large(objects, labels.min_area), labels.grow))[0])


@pytest.mark.parametrize("shape", [(60, 70), (12, 20, 22)])
@pytest.mark.parametrize("seed", range(8))
def test_flooding_only_where_seeds_meet_is_the_watershed_of_the_whole(
    shape: tuple[int, ...], seed: int
) -> None:
    probability, core = blurred(shape, seed), blurred(shape, seed + 100)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        labels = drawn(rng)
        for by in (probability, core):
            found = segment(probability, labels, by)
            np.testing.assert_array_equal(found, textbook(probability, by, labels), str(labels))


@pytest.mark.parametrize("score", ["seg", "f1", "iou"])
@pytest.mark.parametrize("classes", [2, 3])
def test_in_stages_as_each_by_itself(score: str, classes: int) -> None:
    truth = np.where(blurred((60, 70), 5) > 0.9, -1, ndimage.label(blurred((60, 70), 3) > 0.5)[0])
    deep, rim = blurred((60, 70), 3) / 2, blurred((60, 70), 4) / 2
    maps = np.stack([1 - deep, deep] if classes == 2 else [1 - deep - rim, rim, deep])
    trials, rng = LabelTrials(maps, truth, score), np.random.default_rng(0)
    wanted = [halved(drawn(rng)) for _ in range(60)]
    different = set()
    for labels in [*wanted, *wanted[::-1]]:
        rows = trials.rows(labels)
        alone = frame_table([truth], [object_labels(maps, labels)], [score]).rows[0][0]
        np.testing.assert_array_equal(rows, alone, str(labels))
        different.add(rows.tobytes())
    assert len(different) > 10


def halved(labels: LabelSettings) -> LabelSettings:
    return replace(labels, threshold=labels.threshold / 2, seed_threshold=labels.seed_threshold / 2)


def test_settings_that_keep_the_same_objects_are_scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counted(*args: Any) -> Any:
        calls.append(1)
        return frame_table(*args)

    monkeypatch.setattr("unetseg.pipeline.label_trials.frame_table", counted)
    probability = np.zeros((20, 20), np.float32)
    probability[2:6, 2:6], probability[10:18, 10:18] = 0.9, 0.9  # 16 and 64 pixels
    trials = LabelTrials(np.stack([1 - probability, probability]), (probability > 0).astype(int), "seg")
    for area in (0, 5, 16, 17, 50, 64):
        trials.rows(LabelSettings(min_area=area))
    assert len(calls) == 2
