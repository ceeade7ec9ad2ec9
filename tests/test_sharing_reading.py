"""Packages as models: predicted as the model that they were made of, or refused with one error."""

import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from conftest import Unetseg
from test_sharing_export import RULES, SMALL, libraries, saved, written

from unetseg.errors import UserError
from unetseg.normalise import Normalisation
from unetseg.pipeline.model import PredictSettings, load_model
from unetseg.settings import LabelSettings
from unetseg.sharing.description import About
from unetseg.sharing.export import export_model
from unetseg.sharing.reading import read_package

CPU = torch.device("cpu")
Edit = Callable[[str, bytes], bytes | None]


def made(folder: Path, labels: LabelSettings, calibration: tuple[float, ...]) -> Path:
    """A package p.zip of the model m.pt beside it."""
    image = written(folder / "cells.tif")
    path = saved(folder / "m.pt", RULES["percentile"], calibration=calibration, labels=labels)
    about = About("made up", "MIT", ("A. Author",))
    export_model(load_model(path, CPU), folder / "p.zip", "bioimageio", about=about, image=image)
    return folder / "p.zip"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    libraries()
    labels = LabelSettings(threshold=0.4, seed_threshold=0.45, test_time_augmentation=4, median_radius=1)
    return made(tmp_path_factory.mktemp("package"), labels, ())


@pytest.fixture
def image(package: Path) -> Path:
    return package.with_name("cells.tif")


def edited(path: Path, edit: Edit) -> Path:
    """A copy of the package with files changed, or left out where `edit` gives None."""
    out = path.with_name(f"edited-{path.name}")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = edit(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return out


def described(path: Path, edit: Callable[[str], str]) -> Path:
    return edited(path, lambda n, c: edit(c.decode()).encode() if n == "rdf.yaml" else c)


def agree(package: Path, side: int) -> None:
    model, twin = load_model(package.with_name("m.pt"), CPU), read_package(package)
    pixels, tiling = tifffile.imread(package.with_name("cells.tif"))[None], PredictSettings(side=side)
    expected, found = (m.probabilities(pixels, "image", tiling) for m in (model, twin))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (model.labels(expected) != twin.labels(expected)).sum() == 0


@pytest.mark.parametrize("side", [0, 32])
def test_a_package_is_predicted_as_its_model(package: Path, side: int) -> None:
    agree(package, side)


def test_the_calibration_is_in_the_weights(tmp_path: Path) -> None:
    libraries()
    agree(made(tmp_path, LabelSettings(), (0.0, 0.2, 0.5, 1.0)), 0)


VOLUMES = SMALL | {"dims": 3, "depth": 1, "padding": "valid"}
COLOURS = Normalisation("training-set", 3, (90.0, 80.0, 100.0), (30.0, 20.0, 10.0))


@pytest.mark.parametrize(
    ("rule", "changed", "shape"),
    [
        (RULES["per-image"], {"padding": "valid"}, (1, 90, 100)),
        (COLOURS, {}, (3, 70, 80)),
        (RULES["percentile"], {"net": VOLUMES}, (1, 12, 40, 44)),
    ],
    ids=["valid", "colours", "volumes"],
)
def test_other_networks_make_the_round_trip(
    tmp_path: Path, rule: Normalisation, changed: dict[str, Any], shape: tuple[int, ...]
) -> None:
    libraries()
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    axes = {3: "CYX", 4: "ZYX"}[len(shape)]
    page = pixels if shape[0] == 3 else pixels[0]
    tifffile.imwrite(tmp_path / "i.tif", page, imagej=True, metadata={"axes": axes[-page.ndim :]})
    model = load_model(saved(tmp_path / "m.pt", rule, **changed), CPU)
    about = About("made up", "MIT", ("A. Author",))
    export_model(model, tmp_path / "p.zip", "bioimageio", about=about, image=tmp_path / "i.tif")
    twin = read_package(tmp_path / "p.zip")
    expected, found = (m.probabilities(pixels, "image", PredictSettings()) for m in (model, twin))
    np.testing.assert_allclose(found, expected, atol=5e-5)


def test_the_command_takes_a_package_for_any_image(
    package: Path, tmp_path: Path, image: Path, unetseg: Unetseg
) -> None:
    for out in ("a", "b.ome.zarr"):
        result = unetseg("predict", package, image, "--out", tmp_path / out)
        assert result.code == 0, result.err
    assert (tmp_path / "a" / "cells_labels.tif").is_file()
    result = unetseg("predict", package, image, "--out", tmp_path / "c.ome.zarr", "--workers", 2)
    assert "predicted by one process" in result.err
    assert not list(tmp_path.glob("c.*"))
    assert "is an export already" in unetseg("export", package, tmp_path / "q.onnx", "--to", "onnx").err


def test_a_package_of_others_is_predicted_by_its_description(
    package: Path, tmp_path: Path, image: Path
) -> None:
    """Without our settings, and with one output channel left: the foreground's probability."""
    foreign = described(
        package, lambda text: text[: text.index("config:")].replace("- background\n          ", "")
    )
    with pytest.raises(UserError, match=r"gives \(1, 2,"):
        read_package(foreign).probabilities(tifffile.imread(image)[None], "image", PredictSettings())
    softmax = "    postprocessing:\n      - id: softmax\n        kwargs:\n          axis: channel\n"
    logits = described(package, lambda t: plain(t).replace("        - 1.0\n", f"        - 1.0\n{softmax}"))
    pixels, model = tifffile.imread(image)[None], load_model(package.with_name("m.pt"), CPU)
    bare = replace(model, recipe=replace(model.recipe, labels=LabelSettings(test_time_augmentation=1)))
    maps = np.exp(bare.probabilities(pixels, "image", PredictSettings()))
    found = replace(read_package(logits), recipe=bare.recipe).probabilities(
        pixels, "image", PredictSettings()
    )
    np.testing.assert_allclose(found, maps / maps.sum(0), atol=1e-5)
    two = described(package, plain)
    with pytest.raises(UserError, match="not known to be probabilities"):
        read_package(two)


def plain(text: str) -> str:
    """A description without our own settings."""
    return text[: text.index("config:")]


def without(name: str) -> Edit:
    return lambda n, c: None if n == name else c


def cut(path: Path) -> Path:
    out = path.with_name("cut.zip")
    out.write_bytes(path.read_bytes()[:5000])
    return out


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no weights that run": (
        lambda p: described(p, lambda t: re.sub(r"  onnx:\n(    .*\n)+", "", t)),
        "only ONNX in one file can be read",
    ),
    "weights are missing": (lambda p: edited(p, without("weights.onnx")), "missing from the file"),
    "wrong checksum": (
        lambda p: edited(p, lambda n, c: c[:-1] + b"?" if n == "weights.onnx" else c),
        "SHA-256",
    ),
    "not a network": (
        lambda p: described(
            edited(p, lambda n, c: b"no" if n == "weights.onnx" else c),
            lambda t: re.sub(r"(?m)^ *sha256.*\n", "", t),
        ),
        "ONNX Runtime cannot read",
    ),
    "no description": (lambda p: edited(p, without("rdf.yaml")), "bioimage.io package"),
    "a broken description": (lambda p: described(p, lambda t: t[:700]), "bioimage.io package"),
    "settings that no model has": (
        lambda p: described(p, lambda t: t.replace("downsample: 1", "downsample: 999")),
        "downsample",
    ),
    "other processing": (
        lambda p: described(p, lambda t: plain(t).replace("max_percentile: 99.8", "max_percentile: 90")),
        "pre-processing",
    ),
    "a bomb": (
        lambda p: edited(p, lambda n, c: b"\0" * 400_000_000 if n == "cover.png" else c),
        "claim to unpack",
    ),
    "cut off": (cut, "bioimage.io package"),
}


def test_a_network_alone_is_refused(package: Path, image: Path, tmp_path: Path, unetseg: Unetseg) -> None:
    for to, name in (("onnx", "n.onnx"), ("torchscript", "n.pt")):
        assert unetseg("export", package.with_name("m.pt"), tmp_path / name, "--to", to).code == 0
        result = unetseg("predict", tmp_path / name, image, "--out", tmp_path / "out")
        assert (result.code, result.err.count("\n")) == (2, 1)
        assert "a network alone" in result.err
    assert "no such file" in unetseg("predict", tmp_path / "none.zip", image).err


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_read_is_one_line(
    package: Path,
    tmp_path: Path,
    image: Path,
    unetseg: Unetseg,
    what: str,
) -> None:
    make, words = BAD[what]
    result = unetseg("predict", make(package), image, "--out", tmp_path / "out")
    assert result.code == 2
    assert words in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
