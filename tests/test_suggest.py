"""`unetseg suggest`: the order by hand, what is left out, the page and the table, and mistakes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Unetseg
from test_predict_progress import best as best
from test_report import Page, check
from test_streaming import pixels
from test_training import experiment, finish, make_folder

from unetseg import api
from unetseg.pipeline import candidates
from unetseg.pipeline.candidates import find_candidates
from unetseg.pipeline.suggest import Look, Order, appearance, choose, look_at, reasons
from unetseg.run import Run


def look(name: str, uncertainty: float, *place: float) -> Look:
    return Look(name, uncertainty, 4, 1, np.array(place), "", "", (1, 1))


def names(looks: list[Look], known: list[Any], order: Order) -> list[str]:
    return [s.look.name for s in choose(looks, [np.array(k, float) for k in known], 9, order)]


def test_the_order_by_hand() -> None:
    """On a line, annotated at 0: 0.3·4 > 0.29·4.1 > 0.5·1 > 0.01·2; then the twin is at 0.1 of the first."""
    looks = [look("near", 0.5, 1), look("far", 0.3, 4), look("twin", 0.29, 4.1), look("sure", 0.01, 2)]
    assert names(looks, [[0]], "uncertain") == ["near", "far", "twin", "sure"]
    assert names(looks, [[0]], "uncertain-and-new") == [
        "far",
        "near",
        "twin",
        "sure",
    ]
    assert names(looks, [], "uncertain-and-new")[:2] == ["near", "far"]  # nothing known: the most uncertain


def test_novelty_is_in_units_of_the_training_images_distances() -> None:
    looks = [look("a", 0.1, 10), look("b", 0.2, 2)]
    found = {s.look.name: s for s in choose(looks, [np.array([0.0]), np.array([2.0])], 2)}
    assert found["a"].novelty == pytest.approx(4)
    assert found["b"].novelty == pytest.approx(0)
    assert reasons(found["a"])[1:] == [
        "1 of 4 objects are uncertain",
        "looks unlike the training images (4.0 times their usual distance)",
    ]
    assert len(reasons(found["b"])) == 2
    assert choose(looks, [np.array([0.0])], 1)[0].novelty is None


def test_an_image_is_looked_at_as_it_is_predicted(best: Path) -> None:
    model = api.load_model(best)
    found, (labels, maps) = look_at(model, "a", pixels()[None]), api.predict(model, pixels(), engine="torch")
    assert found.objects == labels.max() > 4
    entropy = -(maps * np.log2(np.maximum(maps, 1e-12))).sum(0)
    assert found.uncertainty == pytest.approx(entropy.mean(), abs=1e-4)
    means = [entropy[labels == i].mean() for i in range(1, labels.max() + 1)]
    assert found.uncertain == sum(m > 0.5 for m in means)
    assert api.most_uncertain(model, [("a", pixels()[None])]) == [("a", pytest.approx(found.uncertainty))]


def test_most_uncertain_reports_and_stops(best: Path) -> None:
    model, seen = api.load_model(best), list[str]()
    images = [(str(n), pixels()[None, 40 * n : 40 * n + 40]) for n in range(3)]
    found = api.most_uncertain(model, images, progress=seen.append)
    assert seen == ["0", "1", "2"]
    assert [v for _, v in found] == sorted((v for _, v in found), reverse=True)
    assert api.most_uncertain(model, images, stopped=lambda: True) == []


def test_appearance_is_that_of_the_network_input(best: Path) -> None:
    """The model normalises each image by itself, so brightness and contrast do not count; texture does."""
    model, image = api.load_model(best), pixels()[None].astype(np.float32)
    np.testing.assert_allclose(appearance(model, "", image), appearance(model, "", 3 * image + 5), atol=1e-4)
    shuffled = np.random.default_rng(0).permutation(image.ravel()).reshape(image.shape)
    one, other = appearance(model, "", image), appearance(model, "", shuffled)
    np.testing.assert_allclose(one[:7], other[:7], atol=1e-4)
    assert other[7] > 2 * one[7]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained on a lab folder of four images."""
    folder = tmp_path_factory.mktemp("suggest")
    finish(made := Run.create(folder / "run", experiment(make_folder(folder / "data"), steps=3)))
    return made.path


def images(folder: Path) -> Path:
    folder.mkdir()
    for n in range(3):
        tifffile.imwrite(folder / f"new{n}.tif", np.roll(pixels((64, 64)), 9 * n) + n)
    return folder


def test_the_page_and_the_table(unetseg: Unetseg, run: Path, tmp_path: Path) -> None:
    new, known = images(tmp_path / "new"), next((run.parent / "data/images").glob("*"))
    tifffile.imwrite(new / "copy.tif", tifffile.imread(known))
    for _ in range(2):  # a second run writes the same
        done = unetseg("suggest", run, new, "--top", 2)
        assert (done.code, done.err) == (0, "")
    page = run / "suggestions" / "suggestions.html"
    assert f"page: {page}" in done.out
    check(read := Page(page.read_text(encoding="utf-8")))
    assert "The 2 most useful of 3 images" in read.text
    assert len(read.all("img")) == 4
    with page.with_suffix(".csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["rank"] for r in rows] == ["1", "2"]
    assert rows[0]["image"] in done.out.splitlines()[1]
    found = api.suggest(run, new, 3)
    assert [s.look.name for s in found.suggestions][:2] == [r["image"] for r in rows]
    assert "copy.tif" not in {s.look.name for s in found.suggestions}


def test_annotated_images_of_which_only_the_middle_is_looked_at_are_left_out(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "LARGEST_PX", 24)
    new, known = images(tmp_path / "new"), next((run.parent / "data/images").glob("*"))
    tifffile.imwrite(new / "copy.tif", tifffile.imread(known))
    found = api.suggest(run, new, 9)
    assert {s.look.name for s in found.suggestions} == {"new0.tif", "new1.tif", "new2.tif"}


def test_labelled_images_of_a_lab_folder_are_left_out(tmp_path: Path) -> None:
    images(tmp_path / "images")
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels/new1.tif", np.zeros((64, 64), np.uint8))
    tifffile.imwrite(
        tmp_path / "images/stack.tif", np.stack([pixels((64, 64))] * 2), photometric="minisblack"
    )
    tifffile.imwrite(tmp_path / "labels/stack_q0.tif", np.zeros((64, 64), np.uint8))
    found = find_candidates(tmp_path, volumes=False)
    assert [c.name for c in found] == ["new0.tif", "new2.tif", "stack.tif q1"]
    assert found[-1].read().shape == (1, 64, 64)


def test_a_model_file_suggests_without_its_training_images(
    unetseg: Unetseg, best: Path, tmp_path: Path
) -> None:
    done = unetseg("suggest", best, images(tmp_path / "new"), "--by", "uncertain")
    assert done.code == 0
    assert "note: a model file does not know its training images" in done.err
    assert (tmp_path / "suggestions" / "suggestions.csv").is_file()


def test_mistakes_end_with_2_and_write_nothing(unetseg: Unetseg, run: Path, tmp_path: Path) -> None:
    new, out = images(tmp_path / "new"), tmp_path / "out"
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((40, 40, 3), np.uint8), photometric="rgb")
    (tmp_path / "text.tif").write_text("no image")
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/suggestions.csv").write_text("mine\n")
    for arguments, said in [
        ((run, tmp_path / "none"), "none: no such file or folder"),
        ((run, tmp_path / "empty"), "no TIFF, PNG"),
        ((run, tmp_path / "text.tif"), "text.tif"),
        ((run, tmp_path / "rgb.tif"), "3 channels"),
        ((tmp_path / "norun", new), "norun"),
        ((run, run.parent / "data/images"), "the run has the truth of every image"),
        ((run, new, "--out", tmp_path / "taken"), "is not a table of suggestions"),
    ]:
        done = unetseg("suggest", "--out", out, *arguments)
        assert (done.code, said in done.err, len(done.err.strip().splitlines())) == (2, True, 1), done.err
        assert not out.exists()
