"""Labels made again from kept probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from test_predict_progress import best as best
from test_prediction import image as image

from unetseg import api
from unetseg.images import open_image
from unetseg.images.marks import tiff_tags

if TYPE_CHECKING:
    from conftest import Unetseg

BLOB = np.add.outer(*[np.hypot(np.arange(48) % 24 - 12, 0) ** 2] * 2)


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _images() -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 15, (2, 48, 48))
    return (200 * np.exp(-BLOB / 40) + 30 + noise).clip(0, 255).astype(np.uint8)


FORMS = ("out", "a.tif", "a.ome.zarr")
OPTIONS = {
    "as it is": (),
    "larger": ("--scale", 1.7),
    "smaller": ("--scale", 0.6, "--min-area", 4),
    "seeds": ("--scale", 0.6, "--seed-threshold", "SEEDS"),
    "median": ("--median-radius", 1),
    "mask": ("--mask", "mask.tif"),
    "classes": ("--as", "classes", "--scale", 0.6),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("form", FORMS)
def test_the_same_settings_give_the_labels_of_predict(
    unetseg: Unetseg,
    best: Path,
    image: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[object, ...],
    form: str,
) -> None:
    """Of two slices with a pixel size: the labels, their axes and scale, whatever holds them."""
    monkeypatch.chdir(image.parent)
    mask = np.zeros((150, 133), np.uint8)
    mask[20:90, 30:133] = 1
    tifffile.imwrite("mask.tif", mask)
    seeds = api.load_model(best).recipe.labels.threshold + 0.002
    options = tuple(seeds if option == "SEEDS" else option for option in options)
    first, again = Path("first") / form, Path("again") / form
    kept = ("--probabilities", "--probability-type", "float32", "--tile", 64)
    done = unetseg("predict", best, image, "--out", first, *kept, *options)
    assert (done.code, done.err) == (0, "")
    source = first.parent / "a_probabilities.tif" if form == "a.tif" else first
    settings = [o for n, o in enumerate(options) if {o, options[n - 1]} & {*SETTINGS}]
    made = unetseg(
        "relabel", best, source, "--out", again.parent if form == "a.ome.zarr" else again, *settings
    )
    assert (made.code, made.err) == (0, "")
    one, two = open_image(result(first)), open_image(result(again))
    assert (one.shape, one.axes, one.scale, one.dtype) == (two.shape, two.axes, two.scale, two.dtype)
    assert one.shape == (1, 150, 133)
    for plane in range(2):
        assert one.plane(plane)[...].max() > 0
        np.testing.assert_array_equal(two.plane(plane)[...], one.plane(plane)[...])
    if form == "a.ome.zarr":
        assert bytes_below(result(first)) == bytes_below(result(again))


SETTINGS = ("--min-area", "--seed-threshold", "--as")


def result(out: Path) -> Path:
    if out.suffix == ".zarr":
        return next(p for p in (out / "labels").iterdir() if p.is_dir())
    return out if out.is_file() else next(out.glob("a_[lc]*.tif"))


def test_probabilities_keep_the_size_at_which_they_were_predicted(
    unetseg: Unetseg, best: Path, image: Path
) -> None:
    """And lie over the image: their pixels are as much larger as they are fewer."""
    for out in (image.parent / "a_labels.tif", image.parent / "a.ome.zarr"):
        assert unetseg("predict", best, image, "--out", out, "--scale", 0.6, "--probabilities").code == 0
    for place in ("a_probabilities.tif", "a.ome.zarr/probabilities"):
        maps = open_image(image.parent / place)
        assert maps.shape[1:] == (90, 80)
        assert maps.spacing_um == pytest.approx((0.5 * 150 / 90, 0.5 * 133 / 80))
        assert maps.scale.z_um == 1.5


def test_other_settings_are_those_of_predict_with_them(unetseg: Unetseg, best: Path, image: Path) -> None:
    folder = image.parent
    options = ("--scale", 0.6, "--out")
    assert unetseg("predict", best, image, "--probabilities", *options, folder / "first").code == 0
    assert unetseg("predict", best, image, "--min-area", 40, *options, folder / "other").code == 0
    command = ("relabel", best, folder / "first", "--min-area", 40, "--out", folder / "again")
    assert unetseg(*command).code == 0
    first, other, again = (tifffile.imread(folder / f / "a_labels.tif") for f in ("first", "other", "again"))
    np.testing.assert_array_equal(again, other)
    assert again.max() < first.max()
    assert unetseg(*command).code == 0  # already complete
    changed = unetseg(*command, "--threshold", 0.9)
    assert changed.code == 2
    assert "threshold" in changed.err
    assert "--overwrite" in changed.err
    assert unetseg(*command, "--threshold", 0.9, "--overwrite").code == 0


def test_rounded_probabilities_give_a_note(unetseg: Unetseg, best: Path, image: Path) -> None:
    out = image.parent / "a.ome.zarr"
    assert unetseg("predict", best, image, "--out", out, "--probabilities").code == 0
    done = unetseg("relabel", best, out, "--out", image.parent / "again")
    assert done.code == 0
    assert "kept as uint8 or float16 are rounded" in done.err
    assert "is the image itself" in unetseg("relabel", best, out, "--out", out, "--overwrite").err


def test_api_relabel_is_predict_with_other_settings() -> None:
    model = api.load_model("nuclei", "cpu")
    found = api.predict(model, _images()[0], diameter=model.recipe.object_diameter)
    np.testing.assert_array_equal(api.relabel(model, found.probabilities), found.labels)
    assert api.relabel(model, found.probabilities, min_area=48 * 48 + 1).max() == 0


def test_other_files_are_refused(unetseg: Unetseg, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a_probabilities.tif", _images()[0])
    refused = unetseg("relabel", "nuclei", tmp_path, "--out", tmp_path / "out")
    assert refused.code == 2
    assert "was not written by `unetseg predict --probabilities`" in refused.err
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_is_refused(unetseg: Unetseg, best: Path, image: Path) -> None:
    """Settings that do not change a class map; labels without probabilities; maps of other classes."""
    folder = image.parent
    assert unetseg("predict", best, image, "--out", folder / "a.ome.zarr").code == 0
    tifffile.imwrite(
        folder / "b_probabilities.tif",
        np.zeros((3, 9, 9), np.float32),
        metadata={"axes": "CYX"},
        extratags=tiff_tags({"settings": {}}),
        photometric="minisblack",
    )
    for source, options, said in (
        (folder / "a.ome.zarr", [], "holds no probabilities"),
        (folder / "b_probabilities.tif", [], "probabilities of 3 classes, and the model has 2"),
        (folder / "b_probabilities.tif", ["--as", "mask", "--min-area", 3], "--min-area: changes nothing"),
        (folder / "missing.tif", [], "no such file"),
    ):
        refused = unetseg("relabel", best, source, *options, "--out", folder / "again")
        assert refused.code == 2
        assert said in refused.err
    assert not (folder / "again").exists()
