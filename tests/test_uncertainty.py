"""Uncertainty: its values, the map and the table that `predict --uncertainty` writes, dropout draws."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import zarr
from conftest import Unetseg
from test_predict_progress import best as best
from test_prediction import image as image
from test_prediction import labels
from test_streaming import balanced, pixels

from unetseg import api
from unetseg.images.marks import read_mark
from unetseg.images.ngff import read_attributes
from unetseg.inference.dropout_draws import ChannelMask, DropoutDraws
from unetseg.nets import build_net
from unetseg.pipeline.model import Model, save_model
from unetseg.pipeline.model_variants import with_dropout_draws
from unetseg.settings import LabelSettings
from unetseg.uncertainty import MEANING, entropy, object_uncertainty

FORMS = ("out", "a.tif", "a.ome.zarr")


def uncertainty_map(out: Path) -> np.ndarray:
    """The map (pages, y, x) of a result, as it is stored."""
    if out.suffix == ".zarr":
        return np.asarray(zarr.open_array(out / "uncertainty/0", mode="r")).squeeze()
    return tifffile.imread(out / "a_uncertainty.tif" if out.is_dir() else out.with_name("a_uncertainty.tif"))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def expected(model: Model) -> np.ndarray:
    """Of the two slices of `image`."""
    pages = (pixels(), pixels()[::-1])
    return np.stack([entropy(api.predict(model, np.ascontiguousarray(p)).probabilities) for p in pages])


def test_the_entropy_of_known_probabilities() -> None:
    """1/2, 1/4, 1/4 have 1.5 ln 2; 3/4, 1/4 have −(3/4 ln 3/4 + 1/4 ln 1/4) = 0.811278 ln 2."""
    three = np.array([[1 / 3, 1, 0.5, 0], [1 / 3, 0, 0.25, 0], [1 / 3, 0, 0.25, 0]], np.float32)
    np.testing.assert_allclose(entropy(three), [1, 0, 1.5 * np.log(2) / np.log(3), 0], atol=1e-6)
    assert entropy(np.array([[0.75], [0.25]], np.float32))[0] == pytest.approx(0.811278, abs=1e-6)
    np.testing.assert_array_equal(entropy(three), entropy(three[::-1]))


@pytest.mark.parametrize("window", [2, 2048])
def test_the_mean_over_each_object_whatever_the_window(window: int) -> None:
    ids = np.array([[7, 7, 0], [7, -1, 2]])
    found = object_uncertainty(ids, np.array([[0.2, 0.4, 0.9], [0.9, 0.8, 0.25]]), window)
    assert found["id"].tolist() == [2, 7]
    assert found["uncertainty"].tolist() == pytest.approx([0.25, 0.5])
    assert object_uncertainty(np.zeros((2, 2), int), np.ones((2, 2)))["id"].size == 0


@pytest.mark.parametrize("name", FORMS)
def test_tiled_is_whole_and_the_table_is_the_mean_of_the_map(
    unetseg: Unetseg, best: Path, image: Path, name: str
) -> None:
    out = image.parent / "made" / name
    command = ("predict", best, image, "--out", out, "--tile", 64, "--test-time-augmentation", 4)
    done = unetseg(*command, "--uncertainty", "--measure", "--probability-type", "uint8")
    assert (done.code, done.err) == (0, "")
    kept = uncertainty_map(out)
    assert kept.dtype == np.uint8
    whole = expected(api.with_label_settings(api.load_model(best), test_time_augmentation=4))
    np.testing.assert_allclose(kept / 255, whole, atol=0.5 / 255 + 1e-4)
    folder, stem = (out, "") if name == "out" else (out.parent, "a_")
    table, measured = rows(folder / f"{stem}uncertainty.csv"), rows(folder / f"{stem}measurements.csv")
    assert [r["uncertainty"] for r in table] == [r["uncertainty"] for r in measured]
    assert [(r["frame"], r["id"]) for r in table] == [(r["frame"], r["id"]) for r in measured]
    for page, (ids, values) in enumerate(zip(labels(out), kept / 255, strict=True)):
        own = [r for r in table if r["frame"] == f"z{page}"]
        assert len(own) == len(np.unique(ids)) - 1 > 4
        for row in own[:3]:
            assert float(row["uncertainty"]) == pytest.approx(values[ids == int(row["id"])].mean(), abs=1e-5)
    again = unetseg(*command, "--uncertainty", "--measure", "--probability-type", "uint8")
    assert "already complete" in again.out
    assert rows(folder / f"{stem}uncertainty.csv") == table


def test_the_map_says_what_it_is(unetseg: Unetseg, best: Path, image: Path) -> None:
    for name in ("out", "a.ome.zarr"):
        assert unetseg("predict", best, image, "--out", image.parent / name, "--uncertainty").code == 0
    path = image.parent / "out" / "a_uncertainty.tif"
    assert (read_mark(path) or {})["meaning"] == MEANING
    with tifffile.TiffFile(path) as tiff:
        assert (tiff.imagej_metadata or {})["Info"] == MEANING
        assert tiff.pages[0].dtype == np.float32
    attributes = read_attributes(image.parent / "a.ome.zarr" / "uncertainty")
    assert attributes["meaning"] == f"{MEANING}; the file holds 255 times the value"


def test_an_image_that_was_resized_has_the_uncertainty_of_its_objects(
    unetseg: Unetseg, best: Path, image: Path
) -> None:
    out = image.parent / "out"
    assert unetseg("predict", best, image, "--out", out, "--uncertainty", "--scale", 0.5).code == 0
    assert uncertainty_map(out).shape == (2, 75, 66)
    count = sum(len(np.unique(page)) - 1 for page in labels(out))
    values = [float(r["uncertainty"]) for r in rows(out / "uncertainty.csv")]
    assert len(values) == count > 4
    assert all(0 < v <= 1 for v in values)


def test_runs_that_contradict_one_another_are_uncertain(unetseg: Unetseg, best: Path, image: Path) -> None:
    model = api.load_model(best)
    with torch.no_grad():
        for weights in model.net.parameters():
            weights.mul_(-1)
    other = image.parent / "other.pt"
    save_model(other, model.recipe, model.net, {})
    out = image.parent / "out"
    assert unetseg("predict", best, image, "--out", out, "--uncertainty", "--with", other).code == 0
    both = expected(api.average(api.load_model(best), api.load_model(other)))
    np.testing.assert_allclose(uncertainty_map(out), both, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "out.ome.tif", "--uncertainty"], "--uncertainty: an OME-TIFF only holds labels"),
        (["--out", "out", "--probability-type", "uint8"], "goes with --probabilities and --uncertainty"),
        (["--out", "out", "--dropout-draws", "4"], "this network has no dropout"),
        (["--out", "taken", "--uncertainty"], "uncertainty.csv: exists and is not a table"),
    ],
    ids=str,
)
def test_mistakes_end_with_2_and_write_nothing(
    unetseg: Unetseg, best: Path, image: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    monkeypatch.chdir(image.parent)
    Path("taken").mkdir()
    Path("taken/uncertainty.csv").write_text("mine\n")
    before = sorted(Path().rglob("*"))
    done = unetseg("predict", best, image, *options)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert sorted(Path().rglob("*")) == before


def dropped() -> Model:
    return balanced(LabelSettings(min_area=3), pixels(), dropout=0.5)


def test_dropout_draws_are_the_mean_of_thinned_networks() -> None:
    net = build_net("unet", channels=1, classes=3, width=4, depth=2, padding="same")
    net.eval()
    images, single = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)), []
    with torch.no_grad():
        before = net(images)
        for draw in range(3):
            thinned = DropoutDraws(net, 1)
            thinned.numbers = range(draw, draw + 1)
            single.append(torch.softmax(thinned(images), 1))
        found = torch.softmax(DropoutDraws(net, 3)(images), 1)
        assert torch.allclose(found, torch.stack(single).mean(0), atol=1e-6)
        assert not torch.allclose(single[0], single[1], atol=1e-3)
        assert torch.equal(net(images), before)  # the network itself is not changed


def test_a_mask_drops_whole_maps_and_keeps_their_mean() -> None:
    found = ChannelMask(0.25, layer=0)(torch.ones(2, 4000, 3, 3))
    assert found.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(found, found[:1, :, :1, :1].expand_as(found))
    assert found.mean().item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_dropout_draws_tiled_are_whole(engine: str) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    used = with_dropout_draws(dropped(), 3)
    whole = api.predict(used, pixels(), engine="torch")
    tiled = api.predict(used, pixels(), tile=32, engine=engine)
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-4)
    assert used.weights_hash != with_dropout_draws(dropped(), 4).weights_hash
