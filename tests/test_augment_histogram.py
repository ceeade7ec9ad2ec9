"""Histogram matching: the reference's histogram, targets as they were, batch n a function of (seed, n)."""

from typing import Any

import numpy as np
import torch

from unetseg.augment.histogram import matched_example
from unetseg.batches import batches
from unetseg.sample import Example
from unetseg.settings import NO_AUGMENT, TrainSettings
from unetseg.tiles import Footprint

SIDE = 24


def examples(count: int = 3) -> list[Any]:
    rng = np.random.default_rng(0)
    target, weight = np.zeros((SIDE, SIDE), np.uint8), np.ones((SIDE, SIDE), np.float32)
    images = [(rng.gamma(1 + n, size=(2, SIDE, SIDE)) + 10 * n).astype(np.float32) for n in range(count)]
    return [Example(f"image {n}", image, target, weight) for n, image in enumerate(images)]


def test_the_histogram_is_that_of_another_image_and_the_order_of_pixels_stays() -> None:
    known, seen = examples(), set()
    for seed in range(12):
        found = matched_example(known, 1, 1.0, seed)
        (other,) = [n for n in (0, 2) if abs(found.image.mean() - known[n].image.mean()) < 0.01]
        seen.add(other)
        for ours, theirs, before in zip(found.image, known[other].image, known[1].image, strict=True):
            np.testing.assert_allclose(np.sort(ours, None), np.sort(theirs, None), rtol=1e-5)
            np.testing.assert_array_equal(np.argsort(ours, None), np.argsort(before, None))
        assert found.target is known[1].target
    assert seen == {0, 2}


def test_the_probability_is_kept_and_one_image_stays_as_it_is() -> None:
    known = examples()
    changed = sum(matched_example(known, 0, 0.25, seed) is not known[0] for seed in range(400))
    assert 70 <= changed <= 130
    assert matched_example(known[:1], 0, 1.0, 0) is known[0]
    assert matched_example(known, 0, 0.0, 0) is known[0]


def test_batch_n_is_a_function_of_seed_and_n_and_its_crops_lie_where_they_did() -> None:
    def drawn(start: int, match: float) -> Any:
        augment = NO_AUGMENT.__class__(**{**vars(NO_AUGMENT), "match_histogram": match})
        return batches(
            examples(),
            augment=augment,
            crop=(16, 16),
            footprint=Footprint((0, 0), (1, 1), False, (0, 0)),
            train=TrainSettings(batch=4),
            seed=7,
            start=start,
            device=torch.device("cpu"),
        )

    first = drawn(0, 1.0)
    next(first)
    second, again, plain = next(first).images, next(drawn(1, 1.0)).images, next(drawn(1, 0.0)).images
    assert torch.equal(second, again)
    assert not torch.allclose(second, plain)
    order = [image[0].flatten().argsort().tolist() for image in second]
    assert order == [image[0].flatten().argsort().tolist() for image in plain]
