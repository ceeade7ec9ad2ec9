"""A recipe and weights from a stranger: every value is checked before anything is built or written."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Unetseg, write

from unetseg.errors import UserError
from unetseg.normalise import Normalisation
from unetseg.pipeline.model import load_model, save_model
from unetseg.pipeline.recipe import Recipe, new_net, read_recipe
from unetseg.settings import LabelSettings

NET: dict[str, Any] = {"name": "unet", "width": 2, "depth": 1, "padding": "same", "norm": "batch"}
RECIPE = Recipe(NET, 2, "instances", Normalisation("per-image", 1), 1, LabelSettings(), (0.5, 0.5))
CPU = torch.device("cpu")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_model(tmp_path / "best.pt", RECIPE, new_net(RECIPE, 0), {"step": 3, "scores": {}})
    return tmp_path / "best.pt"


def change(path: Path, where: str, value: Any) -> None:
    """Put a value into the file, as a stranger's tool would: without a checksum."""
    saved = torch.load(path, weights_only=True)
    saved |= {"format": "unetseg-model-1"}
    del saved["checksum"]
    *above, last = where.split("/")
    table = saved
    for key in above:
        table = table[key]
    table[last] = value
    torch.save(saved, path)


def test_a_recipe_comes_back() -> None:
    assert read_recipe(asdict(RECIPE), "x") == RECIPE


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("recipe", None, "no table of settings"),
        ("recipe/kind", "x/../../../precious/thesis", "kind = "),
        ("recipe/kind", ["instances"], "kind = "),
        ("recipe/classes", 1, "classes is 1; 2 or more are expected"),
        ("recipe/downsample", 0, "downsample = 0: must be greater than or equal to 1"),
        ("recipe/downsample", 10**9, "downsample = 1000000000: must be less than or equal to 16"),
        ("recipe/labels/test_time_augmentation", 3, "labels.test_time_augmentation = 3: must be 1, 4 or 8"),
        ("recipe/labels/threshold", "x", "labels.threshold = "),
        ("recipe/labels/threshold", float("nan"), "must be a finite number"),
        ("recipe/labels/extra", 1, "unknown key 'labels.extra'"),
        ("recipe/labels", 3, "labels = 3"),
        ("recipe/normalisation/channels", 0, "normalisation.channels = 0"),
        ("recipe/normalisation/offset", [1.0], "normalisation.offset has 1 values; 0 are expected"),
        ("recipe/normalisation/method", "training-set", "normalisation.offset has 0 values; 1 are expected"),
        ("recipe/calibration", [0.1] * 3, "calibration has 3 values; 0 or 4 are expected"),
        ("recipe/spacing_um", ["y", "x"], r"spacing_um\[0\]"),
        ("recipe/spacing_um", [0.0, 1.0], r"spacing_um\[0\] = 0.0: must be greater than 0"),
        ("recipe/values", [1, 2, 3], "values has 3 values; 0 or 2 are expected"),
        ("recipe/net/width", 2**31, "net: the weights of this 'unet' take"),
        ("recipe/net/width", 10**30, "must be a number below"),
        ("recipe/net/classes", 2, "net.classes: is not an option of a network: the labels decide it"),
        ("recipe/net/seed", 2, "net.seed: is not an option"),
        ("recipe/net", 255, "net = 255"),
        ("recipe/net/depth", 2, "does not fit the network 'unet'"),
        ("weights", [], "holds no named weights"),
        ("weights/head.bias", torch.zeros(3), r"head.bias is \(3,\) torch.float32, expected is \(2,\)"),
        ("weights/head.bias", torch.zeros(2, dtype=torch.int8), "head.bias is"),
        ("weights/head.bias", torch.tensor([0, float("nan")]), "not finite numbers"),
        ("weights/other", torch.zeros(2), "other is missing or unknown"),
    ],
)
def test_what_no_training_could_have_written_is_refused(
    path: Path, where: str, value: Any, message: str
) -> None:
    change(path, where, value)
    with pytest.raises(UserError, match=message) as error:
        load_model(path, CPU)
    assert str(error.value).startswith(f"{path}: ")


def test_weights_of_half_precision_are_taken(path: Path) -> None:
    weights = new_net(RECIPE, 0).state_dict()
    weights = {k: w.half() if w.is_floating_point() else w for k, w in weights.items()}
    change(path, "weights", weights)
    model = load_model(path, CPU)
    assert {p.dtype for p in model.net.parameters()} == {torch.float32}
    assert len(model.notes) == 1


def test_no_text_of_a_model_becomes_part_of_a_path(path: Path, unetseg: Unetseg) -> None:
    precious = path.parent / "precious" / "thesis.tif"
    precious.parent.mkdir()
    precious.write_bytes(b"years of work")
    out, image = path.parent / "out", write(path.parent / "dish.tif", torch.zeros(20, 20).numpy())
    out.mkdir()
    for folder in ("dish_x", "dish_x.ome"):
        (out / folder).mkdir()
    change(path, "recipe/kind", "x/../../precious/thesis")
    result = unetseg("predict", path, image, "--out", out)
    assert result.code == 2
    assert f"{path}: the model's recipe: kind = " in result.err
    assert precious.read_bytes() == b"years of work"
