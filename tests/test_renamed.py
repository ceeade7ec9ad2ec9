"""Old names of settings: one error in an experiment file, and old run folders and models still load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from test_training import finish, make_folder

from unetseg.config import parse_experiment
from unetseg.errors import UserError
from unetseg.pipeline.model import PredictSettings, load_model
from unetseg.renamed import RENAMED, with_present_names
from unetseg.run import Run
from unetseg.settings import LabelSettings

OLD_RUN = Path(__file__).parent / "fixtures" / "run-of-0.0"
"""Stopped after 4 of 8 steps; with its data (`make_folder`) made by commit 180f26e."""
FOREGROUND = [[0.6630, 0.6768, 0.7059, 0.6808], [0.6663, 0.6713, 0.6857, 0.7112]]


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_key_is_one_error_that_names_the_new_one(old: str) -> None:
    section, key = old.split(".")
    with pytest.raises(UserError, match=f"x.toml: {old} is now called {RENAMED[old]}. Rename the key.$"):
        parse_experiment({section: {key: 1}}, "x.toml")


def test_an_old_kind_of_target_is_one_error() -> None:
    with pytest.raises(UserError, match='target.kind = "depth" is now called "distance"'):
        parse_experiment({"target": {"kind": "depth"}}, "x.toml")


def test_an_old_run_is_read_under_the_new_names() -> None:
    experiment = Run.open(OLD_RUN).experiment
    assert experiment.labels == LabelSettings(
        seed_threshold=0.4, min_area=3, max_hole_area=1, test_time_augmentation=4, median_radius=1
    )
    assert (experiment.target.kind, experiment.target.distances_px) == ("distance", (2.0,))
    assert (experiment.data.downsample, experiment.train.select_by) == (2, "seg")
    assert experiment.train.class_balanced_crops


def test_an_old_model_predicts_what_it_predicted(tmp_path: Path) -> None:
    model = load_model(OLD_RUN / "best.pt", torch.device("cpu"))
    assert model.recipe.labels == Run.open(OLD_RUN).experiment.labels
    y, x = np.mgrid[:32, :32]
    image = (((y - 16) ** 2 + (x - 16) ** 2 < 60) * 100).astype(np.uint8)[None]
    found = model.probabilities(image, "disc", PredictSettings())
    np.testing.assert_allclose(1 - found[0, 8:17:8, ::8], FOREGROUND, atol=2e-4)


def test_an_old_run_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_folder(Path("data"))
    run = Run(Path(shutil.copytree(OLD_RUN, "run")))
    finish(run, resume=True)
    steps = [r["step"] for r in run.records() if "loss" in r]
    assert steps == list(range(1, 9))
    assert json.loads((run.path / "environment.json").read_text())["commit"] == "180f26e01308"


@pytest.mark.parametrize(
    "table",
    [
        {"nets": "x"},
        {"nets": {"a": 3}},
        {"labels": {"holes": "x"}},
        {"target": {"kind": ["depth"]}},
        {"target": 3},
    ],
    ids=str,
)
def test_values_of_another_type_are_left_to_the_checks(table: dict[str, object]) -> None:
    """Which give the one error; renaming has no opinion of them."""
    renamed = {"labels": {"max_hole_area": "x"}} if "labels" in table else table
    assert with_present_names(table) == renamed
