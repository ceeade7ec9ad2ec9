"""Prediction at the object size of the training: the scale, its limits, and results at the image's size."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from scipy.ndimage import gaussian_filter

from unetseg.api import load_model
from unetseg.errors import UserError
from unetseg.normalise import Normalisation
from unetseg.pipeline.events import Note
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.pipeline.object_size import first_pass, predict_at_object_size, scale_for
from unetseg.pipeline.predict_options import PredictOptions
from unetseg.pipeline.prediction import UNSURE, choose_targets, predict_target
from unetseg.pipeline.recipe import Recipe, new_net
from unetseg.settings import LabelSettings

TRAINED_PX = 16.0


class Template(torch.nn.Module):
    """A "net" for disks of about the trained diameter: bright pixels whose surroundings are dark."""

    def __init__(self, footprint: Any) -> None:
        super().__init__()
        self.channels, self.classes, self.dims, self.footprint = 1, 2, 2, footprint

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mean = torch.nn.functional.avg_pool2d(images, 49, 1, 24, count_include_pad=False)
        logit = 20 * (images - mean - 0.4)
        return torch.cat([-logit, logit], dim=1)


@pytest.fixture
def model() -> Model:
    net: Any = {"name": "unet", "width": 2, "depth": 2, "padding": "same", "norm": "batch", "dropout": 0.0}
    recipe = Recipe(net, 2, "instances", Normalisation("percentile", 1), 1, LabelSettings(), None)
    recipe = replace(recipe, object_diameter=TRAINED_PX)
    footprint = new_net(recipe, 0).footprint
    return Model(recipe, Template(footprint).eval(), torch.device("cpu"))  # type: ignore[arg-type]


def disks(diameter: int, side: int) -> np.ndarray[Any, Any]:
    y, x = np.mgrid[:side, :side]
    step = 4 * diameter
    inside = ((y % step - step // 2) ** 2 + (x % step - step // 2) ** 2) < (diameter / 2) ** 2
    return (20 + 200 * inside).astype(np.uint8)[None]


@pytest.mark.parametrize("diameter", [8, 24, 60])
def test_objects_of_any_size_are_found_at_the_image_size(model: Model, diameter: int) -> None:
    image = disks(diameter, 8 * diameter)
    for given in (None, float(diameter)):
        found = predict_at_object_size(model, image, "disks", PredictSettings(), given)
        assert found.labels.shape == image.shape[1:]
        assert found.probabilities.shape == (2, *image.shape[1:])
        assert found.labels.max() == 4
        truth = image[0] > 100
        assert (truth & (found.labels > 0)).sum() / (truth | (found.labels > 0)).sum() > 0.8


@pytest.mark.parametrize("diameter", [8, 24, 60])
def test_the_estimate_is_near_the_diameter(model: Model, diameter: int) -> None:
    found = first_pass(model, disks(diameter, 8 * diameter), "disks", PredictSettings())
    assert not found.unsure
    assert found.diameter == pytest.approx(diameter, rel=0.3)


def test_the_scale_is_the_ratio_of_the_diameters(model: Model) -> None:
    assert scale_for(model, 8) == 2
    assert scale_for(model, 32) == 0.5


def test_an_empty_image_has_no_size_and_stays_as_it_is(model: Model) -> None:
    empty = np.full((1, 64, 64), 7, np.uint8)
    found = predict_at_object_size(model, empty, "empty", PredictSettings())
    assert (found.diameter, found.scale, found.labels.max()) == (None, 1.0, 0)


def test_impossible_diameters_are_user_errors(model: Model) -> None:
    with pytest.raises(UserError, match=r"allowed are 0.32 to 800"):
        scale_for(model, 0.1)
    with pytest.raises(UserError, match="not trained at one object size"):
        scale_for(replace(model, recipe=replace(model.recipe, object_diameter=0.0)), 8)


def test_a_model_of_no_object_size_predicts_the_image_as_it_is(model: Model) -> None:
    plain = replace(model, recipe=replace(model.recipe, object_diameter=0.0))
    image = disks(16, 128)
    found = predict_at_object_size(plain, image, "disks", PredictSettings())
    assert found.scale == 1.0
    assert np.array_equal(found.labels, plain.labels(plain.probabilities(image, "disks", PredictSettings())))


def test_an_image_that_the_model_is_unsure_about_is_noted(tmp_path: Path) -> None:
    y, x = np.mgrid[:256, :256]
    spots = (y % 64 - 32) ** 2 + (x % 64 - 32) ** 2 < 14**2
    noise = np.random.default_rng(0).normal(0, 1, (256, 256))
    nuclei, texture = gaussian_filter(spots * 90.0, 2) + noise, gaussian_filter(noise, 3) * 300
    images = {"nuclei": nuclei, "texture": texture}
    model, noted = load_model("nuclei"), {}
    for name, image in images.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", (128 + image).clip(0, 255).astype(np.uint8))
        options = PredictOptions()
        (target,) = choose_targets(model, [tmp_path / f"{name}.tif"], tmp_path / "out", options)
        notes = [event.text for event in predict_target(model, target, options) if isinstance(event, Note)]
        noted[name] = any(UNSURE in text for text in notes)
    assert noted == {"nuclei": False, "texture": True}
