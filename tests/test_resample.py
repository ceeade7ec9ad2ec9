"""Samples brought to an object size."""

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.resample import at_object_diameter, object_diameter, resized
from unetseg.sample import Sample


def disks(diameter: int) -> Sample:
    y, x = np.mgrid[:200, :160]
    labels = np.zeros((200, 160), np.int32)
    for k, centre in enumerate(((60, 40), (60, 110), (140, 80)), start=1):
        labels[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 < (diameter / 2) ** 2] = k
    return Sample("disks", (100 * (labels > 0)[None]).astype(np.uint8), labels, (0.5, 0.5))


@pytest.mark.parametrize("diameter", [10, 24, 60])
def test_the_median_object_gets_the_diameter(diameter: int) -> None:
    sample = at_object_diameter(disks(diameter), 24.0)
    assert sample.labels is not None
    assert object_diameter(sample.labels) == pytest.approx(24, rel=0.06)
    assert np.unique(sample.labels).tolist() == [0, 1, 2, 3]
    assert sample.image.shape[1:] == sample.labels.shape
    assert sample.spacing_um is not None
    size_um = [n * size for n, size in zip(sample.labels.shape, sample.spacing_um, strict=True)]
    assert size_um == pytest.approx([100, 80], rel=0.02)


def test_image_and_labels_stay_aligned() -> None:
    for factor in (0.4, 1.0, 2.3):
        sample = resized(disks(40), factor)
        wrong = (sample.image[0] > 50) != (np.asarray(sample.labels) > 0)
        assert wrong.mean() < 0.01


def test_without_objects_nothing_changes() -> None:
    empty = Sample("empty", np.zeros((1, 9, 9), np.uint8), np.zeros((9, 9), np.int32))
    assert at_object_diameter(empty, 24.0) is empty


def test_volumes_are_refused() -> None:
    volume = Sample("v", np.zeros((1, 2, 9, 9), np.uint8), np.zeros((2, 9, 9), np.int32))
    with pytest.raises(UserError, match="data.object_diameter is for images"):
        at_object_diameter(volume, 24.0)
