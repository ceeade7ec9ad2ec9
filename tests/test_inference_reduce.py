"""What the device makes of probabilities is what `segment` makes of them, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unetseg.inference.reduce import everything, most_probable, not_first_class, second_class
from unetseg.segment import class_labels, object_maps


def probabilities(classes: int) -> torch.Tensor:
    """Three maps of few values, so that many pixels are equal, or just at a threshold."""
    logits = torch.from_numpy(np.random.default_rng(classes).integers(-2, 3, (3, classes, 40, 30)))
    return torch.softmax(logits.float(), 1)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_most_probable_class(classes: int) -> None:
    maps = probabilities(classes)
    found = most_probable(maps)
    assert found.dtype == torch.uint8
    for one, of in zip(found.numpy(), maps.numpy(), strict=True):
        np.testing.assert_array_equal(one, class_labels(of))


@pytest.mark.parametrize("at", [0.5, 0.3, "a value that is there"])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_foreground(classes: int, at: float | str) -> None:
    maps = probabilities(classes)
    foreground = [object_maps(of)[0] for of in maps.numpy()]
    threshold = at if isinstance(at, float) else float(np.median(foreground))
    found = (second_class if classes == 2 else not_first_class)(threshold)(maps)
    assert found.dtype == torch.uint8
    for one, of in zip(found.numpy(), foreground, strict=True):
        np.testing.assert_array_equal(one, of > threshold)
    if classes == 2 and threshold != 0.5:
        np.testing.assert_array_equal(found[0].numpy(), class_labels(maps[0].numpy(), threshold))


def test_everything() -> None:
    maps = probabilities(2)
    assert everything(maps) is maps
