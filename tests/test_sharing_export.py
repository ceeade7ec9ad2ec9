"""Exports of models: bioimageio.core's own test passes, and what is missing or wrong is one error."""

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from conftest import Unetseg
from PIL import Image

from unetseg import api
from unetseg.calibration import calibrated
from unetseg.errors import UserError
from unetseg.inference.export import to_onnx
from unetseg.normalise import Normalisation
from unetseg.pipeline.model import Model, load_model, save_model
from unetseg.pipeline.recipe import Recipe, new_net
from unetseg.settings import LabelSettings
from unetseg.sharing.libraries import load_libraries
from unetseg.sharing.limits import not_carried

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {"name": "unet", "width": 2, "depth": 2, "norm": "batch", "dropout": 0.0}
RULES = {
    "per-image": Normalisation("per-image", 1),
    "percentile": Normalisation("percentile", 1),
    "training-set": Normalisation("training-set", 1, (90.0,), (30.0,)),
    "none": Normalisation("none", 1),
}


def saved(path: Path, rule: Normalisation, **changed: Any) -> Path:
    net = SMALL | {"padding": changed.pop("padding", "same")}
    recipe = Recipe(net, 2, "instances", rule, 1, LabelSettings(), None)
    recipe = replace(recipe, **changed)
    save_model(path, recipe, new_net(recipe, seed=1), {})
    return path


def written(path: Path) -> Path:
    y, x = np.mgrid[:90, :100]
    blobs = 100 + 80 * np.sin(y / 9) * np.sin(x / 7) + np.random.default_rng(0).normal(0, 5, (90, 100))
    tifffile.imwrite(path, blobs.astype(np.uint8))
    return path


def libraries() -> Any:
    """The module bioimageio.spec; skips where a package cannot be written."""
    for name in ("onnx", "onnxruntime", "bioimageio.core"):
        pytest.importorskip(name)
    try:
        return load_libraries()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return written(tmp_path / "cells.tif")


@pytest.fixture
def bioimageio() -> Any:
    return libraries()


def arguments(model: Path, out: Path, image: Path) -> list[object]:
    given = [
        "--license",
        "MIT",
        "--author",
        "A. Author",
        "--image",
        image,
        "--cite",
        "This work, 10.1234/abc",
    ]
    return ["export", model, out, "--to", "bioimageio", *given]


@pytest.mark.parametrize(("rule", "padding"), [*((r, "same") for r in RULES), ("per-image", "valid")])
def test_the_library_reproduces_the_model(
    bioimageio: Any, tmp_path: Path, image: Path, unetseg: Unetseg, rule: str, padding: str
) -> None:
    """The command runs bioimageio.core's test, which compares its output with that of our own prediction."""
    path = saved(tmp_path / "m.pt", RULES[rule], padding=padding, calibration=(0.0, 0.2, 0.5, 1.0))
    result = unetseg(*arguments(path, tmp_path / "p.zip", image))
    assert result.code == 0, result.err
    assert "Reproduce test outputs from test inputs (onnx)" in result.out
    assert "Reproduce test outputs from test inputs (torchscript)" in result.out
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        names = set(archive.namelist())
        assert {"weights.pt", "weights.onnx", "cover.png", "README.md", "rdf.yaml"} <= names
        assert "Threshold the foreground" in archive.read("README.md").decode()
        with archive.open("cover.png") as file:
            assert Image.open(file).size == (800, 400)


def test_a_package_without_what_it_needs_is_one_line(tmp_path: Path, image: Path, unetseg: Unetseg) -> None:
    path, out = saved(tmp_path / "m.pt", RULES["none"]), tmp_path / "p.zip"
    whole = arguments(path, out, image)
    for option, words in (("--license", "licence"), ("--author", "authors"), ("--image", "image")):
        at = whole.index(option)
        result = unetseg(*whole[:at], *whole[at + 2 :])
        assert result.code == 2
        assert words in result.err
        assert result.err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--license", "my own", "not an identifier of spdx.org"),
        ("--cite", "somewhere", "must contain a DOI"),
        ("--image", "none.tif", "none.tif"),
    ],
)
def test_wrong_values_are_one_line_and_nothing_is_written(
    bioimageio: Any, tmp_path: Path, image: Path, unetseg: Unetseg, option: str, value: str, words: str
) -> None:
    path = saved(tmp_path / "m.pt", RULES["none"])
    given = arguments(path, tmp_path / "out" / "p.zip", image)
    given[given.index(option) + 1] = value
    result = unetseg(*given)
    assert result.code == 2
    assert words in result.err
    assert result.err.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))


def test_networks_alone_are_written_once(tmp_path: Path, unetseg: Unetseg) -> None:
    path = saved(tmp_path / "m.pt", RULES["none"])
    result = unetseg("export", path, tmp_path / "n.pt", "--to", "torchscript")
    assert result.code == 0, result.err
    assert "Normalisation (none)" in result.out
    assert "exists. Choose" in unetseg("export", path, tmp_path / "n.pt", "--to", "torchscript").err
    assert "ends with .onnx" in unetseg("export", path, tmp_path / "n.pt", "--to", "onnx").err


ALONE = """
import sys
import numpy as np
import torch
found = torch.jit.load(sys.argv[1])(torch.from_numpy(np.load(sys.argv[2])))
assert "unetseg" not in sys.modules
np.save(sys.argv[3], found.detach().numpy())
"""


@pytest.mark.slow
def test_torchscript_gives_the_networks_output_where_unetseg_is_not_loaded(tmp_path: Path) -> None:
    model = load_model(saved(tmp_path / "m.pt", RULES["none"], calibration=(0.0, 0.2, 0.5, 1.0)), CPU)
    written = api.export(model, tmp_path / "n.pt", "torchscript")
    assert written.left_out[0] == "Normalisation (none): give normalised images."
    images = torch.rand(2, 1, 24, 32, generator=torch.Generator().manual_seed(1))
    np.save(tmp_path / "in.npy", images.numpy())
    files = [str(tmp_path / name) for name in ("n.pt", "in.npy", "out.npy")]
    subprocess.run([sys.executable, "-I", "-c", ALONE, *files], check=True, cwd=tmp_path, timeout=120)
    with torch.no_grad():
        maps = torch.softmax(model.net(images), dim=1).numpy()
    expected = np.stack([calibrated(one, model.recipe.calibration) for one in maps])
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-5)


def test_what_is_left_out_is_named() -> None:
    labels = LabelSettings(seed_threshold=0.7, test_time_augmentation=8, median_radius=2)
    recipe = Recipe(SMALL, 2, "instances", RULES["percentile"], 2, labels, None, object_diameter=24)
    text = " ".join(not_carried(recipe, new_net(recipe, 0)))
    for words in ("Resizing", "Downsampling", "Test-time", "median", "watershed", "whole image"):
        assert words in text
    bare = Recipe(SMALL, 2, "classes", RULES["none"], 1, LabelSettings(test_time_augmentation=1), None)
    assert not_carried(bare, new_net(bare, 0)) == []


def test_onnx_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetseg.inference.export.find_spec", lambda name: None)
    model: Model = load_model(saved(tmp_path / "m.pt", RULES["none"]), CPU)
    with pytest.raises(UserError, match="bioimageio"):
        to_onnx(model.net)
