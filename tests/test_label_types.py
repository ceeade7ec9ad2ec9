"""Results hold what was put in: mask and class values, or instances where they are asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from unetseg import api
from unetseg.errors import UserError
from unetseg.normalise import Normalisation
from unetseg.pipeline.dataset import read_dataset
from unetseg.pipeline.model import Model, PredictSettings, in_files
from unetseg.pipeline.model_variants import labelled_as
from unetseg.pipeline.predict_options import PredictOptions
from unetseg.pipeline.prediction import choose_targets, predict_target
from unetseg.pipeline.recipe import Recipe, new_net
from unetseg.settings import DataSettings, Experiment, LabelSettings

NET = {"name": "unet", "width": 2, "depth": 1, "padding": "same", "norm": "batch", "dropout": 0.0}
IMAGE = np.kron(np.random.default_rng(3).integers(0, 256, (8, 8)), np.ones((8, 8))).astype(np.uint8)


def model(kind: str, classes: int = 2, values: tuple[int, ...] = ()) -> Model:
    """A net with random weights whose threshold splits the image in two."""
    recipe = Recipe({**NET}, classes, kind, Normalisation("per-image", 1), 1, LabelSettings(), None)  # type: ignore[arg-type]
    start = Model(recipe, new_net(recipe, seed=1).eval(), torch.device("cpu"))
    middle = float(np.median(start.probabilities(IMAGE[None], "a", PredictSettings())[1]))
    return replace(start, recipe=replace(recipe, values=values, labels=LabelSettings(threshold=middle)))


def written(used: Model, folder: Path, image: np.ndarray = IMAGE) -> tuple[str, np.ndarray]:
    """The name and the pixels of the label file of the image."""
    tifffile.imwrite(folder / "a.tif", image, photometric="rgb" if image.ndim == 3 else "minisblack")
    options = PredictOptions()
    (target,) = choose_targets(used, [folder / "a.tif"], folder / "out", options)
    list(predict_target(used, target, options))
    return target.out.name, tifffile.imread(target.out)


@pytest.mark.parametrize(
    ("trained", "what", "name", "expected"),
    [
        (("classes", 2, (1, 2)), "as-trained", "a_classes.tif", {1, 2}),
        (("classes", 2, (0, 255)), "as-trained", "a_classes.tif", {0, 255}),
        (("instances", 2, (0, 255)), "mask", "a_classes.tif", {0, 255}),
        (("instances", 2, ()), "mask", "a_classes.tif", {0, 255}),
        (("instances", 2, (0, 255)), "classes", "a_classes.tif", {0, 1}),
    ],
)
def test_the_values_of_label_files(
    tmp_path: Path, trained: tuple[str, int, tuple[int, ...]], what: str, name: str, expected: set[int]
) -> None:
    used = labelled_as(model(*trained), what)
    found = written(used, tmp_path)
    assert found[0] == name
    assert set(np.unique(found[1])) == expected
    streamed = api.predict_large(used, IMAGE, tile=32)
    assert np.array_equal(np.asarray(streamed), found[1])


def test_instances_of_a_class_model_are_those_of_its_foreground(tmp_path: Path) -> None:
    used = model("classes", 2, (0, 255))
    mask = in_files(used.recipe, used.labels(used.probabilities(IMAGE[None], "a", PredictSettings())))
    name, labels = written(labelled_as(used, "instances"), tmp_path)
    assert name == "a_labels.tif"
    assert np.array_equal(labels > 0, mask == 255)
    assert labels.max() > 1


def test_more_than_two_classes_have_no_instances() -> None:
    with pytest.raises(UserError, match=r"instances: needs a model of two classes .* this one has 3"):
        labelled_as(model("classes", 3), "instances")


def test_a_model_of_grey_and_rgb_images_predicts_both(tmp_path: Path) -> None:
    """A grey image is the same as an RGB image of three equal channels."""
    recipe = replace(model("instances").recipe, normalisation=Normalisation("per-image", 3, repeat_grey=True))
    both = Model(recipe, new_net(recipe, seed=1).eval(), torch.device("cpu"))
    _, grey = written(both, tmp_path)
    (tmp_path / "rgb").mkdir()
    _, rgb = written(both, tmp_path / "rgb", np.stack([IMAGE] * 3, axis=-1))
    assert np.array_equal(grey, rgb)


def test_scribbles_are_learnt_as_two_classes_and_no_third(tmp_path: Path) -> None:
    """0 where nobody drew, 1 background, 2 cells: undrawn pixels have no weight and are no class."""
    scribbles = np.zeros((64, 64), np.uint8)
    scribbles[5:60, 4:6], scribbles[5:60, 40:42] = 1, 2
    for folder, pixels in (("images", IMAGE), ("labels", scribbles)):
        (tmp_path / folder).mkdir()
        for name in "abcde":
            tifffile.imwrite(tmp_path / folder / f"{name}.tif", pixels)
    data = DataSettings(root=str(tmp_path), not_annotated=(0,))
    found = read_dataset(Experiment(data=data, net={**NET}))
    assert (found.classes, found.kind, found.values) == (2, "classes", (1, 2))
    example = found.examples[0]
    assert np.array_equal(example.weight > 0, scribbles > 0)
    assert np.array_equal(example.target[scribbles > 0], scribbles[scribbles > 0] - 1)
