"""What a model does with its network's probabilities: calibration, median, averaging with others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from test_training import experiment, finish, make_folder

from unetseg import api
from unetseg.calibration import calibrated, fit_calibration
from unetseg.errors import UserError
from unetseg.normalise import Normalisation
from unetseg.pipeline.model import Model, PredictSettings, load_model, save_model
from unetseg.pipeline.recipe import Recipe, new_net
from unetseg.pipeline.tune_labels import calibrate_model
from unetseg.run import Run
from unetseg.sample import Sample
from unetseg.settings import LabelSettings

CPU = torch.device("cpu")
NET: dict[str, Any] = {"name": "window", "window": 23, "width": 3, "hidden": 4}
IMAGE = np.random.default_rng(0).normal(size=(1, 40, 45)).astype(np.float32)


def made(seed: int, **recipe: Any) -> Model:
    fresh = Recipe(
        net=NET, classes=2, kind="instances", normalisation=Normalisation("none", 1), downsample=1,
        labels=LabelSettings(), spacing_um=(0.5, 0.5),
    )  # fmt: skip
    fresh = replace(fresh, **recipe)
    net = new_net(fresh, seed)
    net.eval()
    return Model(fresh, net, CPU)


def probabilities(model: Model) -> np.ndarray:
    return model.probabilities(IMAGE, "image", PredictSettings())


def test_the_average_is_that_of_calibrated_probabilities_then_filtered() -> None:
    one = made(1, labels=LabelSettings(median_radius=1), calibration=(0.0, 0.1, 0.2, 0.9))
    two = made(2, labels=LabelSettings(median_radius=5))
    both = api.average(one, two)
    single = [probabilities(replace(m, recipe=replace(m.recipe, labels=LabelSettings()))) for m in (one, two)]
    mean = (single[0] + single[1]) / 2
    y, x = 10, 12
    cross = [mean[1, y, x], mean[1, y - 1, x], mean[1, y + 1, x], mean[1, y, x - 1], mean[1, y, x + 1]]
    assert probabilities(both)[1, y, x] == pytest.approx(np.median(cross), abs=1e-6)
    np.testing.assert_allclose(probabilities(both).sum(0), 1, atol=1e-6)
    assert both.recipe.labels.halo == 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"classes": 3}, "model 2 has classes 3, model 1 2"),
        ({"kind": "classes"}, "kind of labels"),
        ({"spacing_um": (0.5, 0.6)}, "pixel size"),
        ({"normalisation": Normalisation("none", 3)}, "channels 3"),
    ],
)
def test_models_of_other_things_are_not_averaged(other: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        api.average(made(1), made(2, **other))
    api.average(made(1), made(2, spacing_um=None))  # an unknown pixel size may be the same


def test_calibration_leaves_out_what_is_not_annotated() -> None:
    model = made(1)
    p = probabilities(model)[1]
    labels = (np.random.default_rng(1).random(p.shape) < p**2).astype(np.int32)
    labels[:, 30:] = -1
    found = calibrate_model(model, [Sample("image", IMAGE, labels)]).recipe.calibration
    assert found == fit_calibration([(p[:, :30], labels[:, :30] > 0)])


def test_a_run_is_calibrated_by_its_validation_part_and_the_model_keeps_it(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    wanted = experiment(root)
    run = Run.create(
        tmp_path / "run", replace(wanted, labels=LabelSettings(calibrate=True, choose=True, median_radius=2))
    )
    finish(run)
    model = load_model(run.best, CPU)
    assert len(model.recipe.calibration) == 4
    image = tifffile.imread(root / "images/5.tif")[None]
    plain = replace(model, recipe=replace(model.recipe, calibration=()))
    ours, raw = (m.own_probabilities(image, "", PredictSettings(), lambda n: None) for m in (model, plain))
    np.testing.assert_allclose(ours, calibrated(raw, model.recipe.calibration), atol=1e-6)
    assert np.abs(ours - raw).max() > 1e-3


def test_the_command_averages_runs(tmp_path: Path, unetseg: Any) -> None:
    models = [made(1), made(2), made(3, classes=3)]
    for number, model in enumerate(models):
        save_model(tmp_path / f"{number}.pt", model.recipe, model.net, {})
    tifffile.imwrite(tmp_path / "image.tif", IMAGE[0])
    command = ("predict", tmp_path / "0.pt", tmp_path / "image.tif", "--probabilities")
    out = ("--out", tmp_path / "out")
    done = unetseg(*command, *out, "--with", tmp_path / "1.pt", "--median-radius", 1)
    assert done.code == 0, done.err
    written = tifffile.imread(tmp_path / "out" / "image_probabilities.tif")
    first = replace(models[0], recipe=replace(models[0].recipe, labels=LabelSettings(median_radius=1)))
    np.testing.assert_allclose(written, probabilities(api.average(first, models[1]))[1], atol=1e-5)
    wrong = unetseg(*command, *out, "--with", tmp_path / "2.pt")
    assert wrong.code == 2
    assert "classes 3" in wrong.err


def between(values: Any) -> float:
    """A threshold near the median that no rounding moves a value across: in the middle of the widest gap."""
    middle = np.sort(values, axis=None)[values.size * 2 // 5 : values.size * 3 // 5]
    widest = int(np.diff(middle).argmax())
    return float(middle[widest : widest + 2].mean())


def test_averaged_tile_by_tile_is_the_average_of_the_whole() -> None:
    """Also of models that see the image at different sizes, and with a median across tiles."""
    for shrink in (1, 2):
        one = made(1, labels=LabelSettings(median_radius=2), calibration=(0.0, 0.1, 0.2, 0.9))
        both = api.average(one, made(2, downsample=shrink))
        foreground = probabilities(both)[1]
        assert np.abs(foreground - between(foreground)).min() > 1e-4  # to which tiled equals whole
        rule = replace(both.recipe.labels, threshold=between(foreground))
        both = replace(both, recipe=replace(both.recipe, labels=rule))
        whole = both.labels(probabilities(both))
        assert whole.max() > 1
        np.testing.assert_array_equal(api.predict_large(both, IMAGE, tile=16, engine="torch"), whole)
