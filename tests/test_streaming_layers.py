"""Labels of an image on screen: in memory, on disk, stopped, and made again of kept probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from skimage.segmentation import relabel_sequential

from unetseg import api
from unetseg.errors import UserError
from unetseg.images.arrays import array_stack
from unetseg.pipeline.model import Model
from unetseg.streaming.layers import LayerLabels, Progress

BLOB = np.add.outer(*[np.hypot(np.arange(48) % 24 - 12, 0) ** 2] * 2)
PAGES = (200 * np.exp(-BLOB / 40) + 30 + np.random.default_rng(0).normal(0, 15, (2, 48, 48))).clip(0, 255)
IMAGE = array_stack(PAGES.astype(np.uint8))
SCALES = [pytest.param((1.0, 1.0), id="own size"), pytest.param((1.25, 1.25), id="resized")]


@pytest.fixture(scope="module")
def model() -> Model:
    return api.with_label_settings(api.load_model("nuclei", "cpu"), seed_threshold=0.0, min_area=0)


def predicted(model: Model, scale: tuple[float, float] | None, *, keep: bool = False) -> LayerLabels:
    found = api.predict_layer(
        model, IMAGE, scale=None if scale == (1.0, 1.0) else scale, diameter=20, keep=keep
    )
    assert found is not None
    return found


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("seeds", [0.0, 0.7])
def test_kept_probabilities_give_the_labels_of_a_new_prediction(
    model: Model, scale: tuple[float, float], seeds: float
) -> None:
    kept = predicted(model, scale, keep=True).probabilities
    assert kept is not None
    changed = {"threshold": 0.35, "seed_threshold": seeds, "min_area": 12}
    again = predicted(api.with_label_settings(model, **changed), scale).labels
    for plane in range(2):
        labels = kept.labels(plane, **changed)
        assert labels.max() > 1
        assert_array_equal(relabel_sequential(labels)[0] > 0, again[plane] > 0)
        pairs = np.unique(np.stack([labels.ravel(), again[plane].ravel()]), axis=1)
        assert len(pairs[0]) == len(np.unique(labels))  # the same objects, under whatever ids


def test_labels_fill_an_array_and_are_those_on_disk(model: Model, tmp_path: Path) -> None:
    seen: list[Progress] = []
    found = api.predict_layer(model, IMAGE, diameter=20, progress=seen.append)
    assert found is not None
    assert found.labels.shape == PAGES.shape
    assert found.probabilities is None
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert seen[-1].done == pytest.approx(1)
    out = tmp_path / "a.ome.zarr"
    on_disk = api.predict_layer(model, IMAGE, out, diameter=20, keep=True)
    assert on_disk is not None
    assert on_disk.probabilities is None
    assert_array_equal(on_disk.labels[:], found.labels)


def test_a_stopped_prediction_on_disk_is_resumed(model: Model, tmp_path: Path) -> None:
    out = tmp_path / "a.ome.zarr"
    events: list[Progress] = []
    stopped = api.predict_layer(
        model, IMAGE, out, diameter=20, progress=events.append, stopped=lambda: len(events) == 2
    )
    assert stopped is None
    resumed = api.predict_layer(model, IMAGE, out, diameter=20)
    assert resumed is not None
    assert_array_equal(resumed.labels[:], predicted(model, None).labels)


def test_a_name_that_is_not_streamed_is_refused(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.ome\.zarr"):
        api.predict_layer(model, IMAGE, tmp_path / "a.tif")
