"""A training that starts from a model: what it takes over, what it prints, and what it needs later."""

import itertools
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training import experiment, finish, make_folder, weights

from unetseg.errors import UserError
from unetseg.normalise import Normalisation
from unetseg.pipeline.auto import derive_experiment
from unetseg.pipeline.events import Note
from unetseg.pipeline.model import Model, load_model
from unetseg.pipeline.recipe import Recipe, new_net
from unetseg.pipeline.start_from import LEARNING_RATE, read_parent, take_weights
from unetseg.pipeline.training import train_run
from unetseg.run import Run
from unetseg.settings import LabelSettings

CPU = torch.device("cpu")
UNET = {"name": "unet", "width": 4, "depth": 2, "padding": "same", "norm": "batch", "dropout": 0.0}


def recipe(channels: int = 1, classes: int = 2, **net: Any) -> Recipe:
    rule = Normalisation("per-image", channels)
    return Recipe(UNET | net, classes, "instances", rule, 1, LabelSettings(), None)


def taken(parent: Recipe, child: Recipe) -> tuple[Any, Any, list[str]]:
    old, new = new_net(parent, seed=1), new_net(child, seed=2)
    notes = take_weights(new, child, Model(parent, old, CPU))
    return old.eval(), new.eval(), notes


def trained(tmp_path: Path, **train: Any) -> Run:
    run = Run.create(tmp_path / "parent", experiment(make_folder(tmp_path / "data"), **train))
    finish(run)
    return run


def texts(events: list[Any]) -> str:
    return "\n".join(e.text for e in events if isinstance(e, Note))


def test_a_grey_model_sees_a_grey_image_in_three_channels_alike() -> None:
    old, new, notes = taken(recipe(), recipe(channels=3))
    grey = torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(new(grey.expand(-1, 3, -1, -1)), old(grey))
    assert notes == ["first layer adapted (channels 1 → 3): down.0.0.weight"]


@pytest.mark.parametrize("name", ["unet++", "3d-unet", "fcn-8s", "window"])
def test_of_every_network_only_the_head_is_new_where_classes_differ(name: str) -> None:
    options: dict[str, Any] = {"name": name, "width": 2}
    one, two = (replace(recipe(classes=n), net=options) for n in (2, 4))
    old, new, notes = taken(one, two)
    theirs, ours = old.state_dict(), new.state_dict()
    same = [n for n in ours if ours[n].shape == theirs[n].shape]
    assert all(torch.equal(ours[n], theirs[n]) for n in same)
    assert len(same) > len(ours) / 2
    assert notes[0].startswith("head replaced (classes 2 → 4)")


def test_what_does_not_fit_is_an_error_that_names_the_first_tensor() -> None:
    with pytest.raises(UserError, match=r"down\.0\.0\.weight: \(4, 1, 3, 3\) in the model, \(8, 1"):
        taken(recipe(), recipe(width=8))
    with pytest.raises(UserError, match=r"down\.0\.\d\.weight: "):
        taken(recipe(), recipe(norm="none"))


def test_a_resumed_run_needs_no_parent_and_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    dark = experiment(make_folder(tmp_path / "dark", count=7))
    dark = replace(dark, data=replace(dark.data, normalise="training-set"))
    parent = Run.create(tmp_path / "parent", dark)
    finish(parent)
    settings = experiment(make_folder(tmp_path / "data"), start_from=str(parent.path))
    settings = replace(settings, data=replace(settings.data, normalise="training-set"))
    whole, cut = (Run.create(tmp_path / name, settings) for name in ("whole", "cut"))
    finish(whole)
    count = itertools.count()
    list(train_run(cut, resume=False, stopped=lambda: next(count) >= 3))
    grey_values = load_model(parent.best, CPU).recipe.normalisation
    shutil.rmtree(parent.path)
    finish(cut, resume=True)
    for file, key in (("last.pt", "state"), ("best.pt", "weights")):
        one, other = weights(whole.path / file, key), weights(cut.path / file, key)
        assert all(torch.equal(one[k], other[k]) for k in one), file
    models = [load_model(path, CPU) for path in (whole.best, cut.best)]
    assert models[0].lineage == models[1].lineage
    assert [m.recipe.normalisation.offset for m in models] == [grey_values.offset] * 2


def test_the_lineage_is_a_chain(tmp_path: Path) -> None:
    parent = trained(tmp_path)
    names = [str(parent.path)]
    for name in ("child", "grandchild"):
        run = Run.create(tmp_path / name, experiment(tmp_path / "data", start_from=names[0]))
        finish(run)
        names.insert(0, str(run.path))
    model = load_model(run.best, CPU)
    assert [entry["name"] for entry in model.lineage] == names[1:]
    assert run.read_json("environment.json")["lineage"] == list(model.lineage)


def test_new_files_are_counted_and_a_leak_is_warned_of(tmp_path: Path) -> None:
    parent = trained(tmp_path)
    make_folder(tmp_path / "data", count=9)
    settings = experiment(tmp_path / "data", start_from=str(parent.path))
    settings = replace(
        settings, data=replace(settings.data, root=parent.experiment.data.root, test=("0", "8"))
    )
    said = texts(finish(Run.create(tmp_path / "more", settings)))
    assert f"3 of 9 images are new since {parent.path}" in said
    assert "was trained on 1 images of the test part" in said


def test_settings_come_from_the_model_unless_they_are_given(tmp_path: Path) -> None:
    parent = trained(tmp_path)
    derived = derive_experiment(tmp_path / "data", start_from=str(parent.path)).experiment
    assert derived.net == parent.experiment.net
    assert derived.train.learning_rate == LEARNING_RATE
    nuclei = derive_experiment(tmp_path / "data", start_from="nuclei").experiment
    assert (nuclei.target.kind, nuclei.target.distances_px) == ("distance", (2.0, 4.0, 7.0))
    assert (nuclei.data.normalise, nuclei.data.object_diameter) == ("percentile", 24)


def test_a_parent_is_loaded_once_until_its_file_changes(tmp_path: Path) -> None:
    run = trained(tmp_path, steps=2)
    first = read_parent(str(run.path))
    assert read_parent(str(run.best)).model is first.model
    os.utime(run.best, ns=(0, 0))
    again = read_parent(str(run.path))
    assert again.model is not first.model
    assert again.sha256 == first.sha256


def test_a_frozen_contracting_path_stays_as_it_was(tmp_path: Path) -> None:
    parent = trained(tmp_path)
    run = Run.create(
        tmp_path / "run", experiment(tmp_path / "data", start_from=str(parent.path), freeze=True)
    )
    finish(run)
    old, new = weights(parent.best, "weights"), weights(run.last, "state")
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed
    assert all(name.startswith(("up", "merge", "head")) for name in changed)


def test_freezing_needs_a_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.freeze"):
        trained(tmp_path, freeze=True)


@pytest.mark.parametrize("parent", ["/", "nothing-of-this-name", __file__])
def test_what_is_no_model_is_an_error_that_names_the_setting(parent: str) -> None:
    with pytest.raises(UserError, match=rf"^train\.start_from = '{re.escape(parent)}': "):
        read_parent(parent)


def test_an_unknown_name_is_an_error_and_leaves_no_run(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", experiment(make_folder(tmp_path / "data"), start_from="nuclie"))
    with pytest.raises(UserError, match="Did you mean nuclei"):
        finish(run)
    assert not run.path.exists()
