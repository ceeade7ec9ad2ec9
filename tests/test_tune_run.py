"""Label settings chosen again for a trained model: never worse, atomic, and the model as it was is kept."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from test_training import experiment, finish, make_folder, weights

from unetseg import api
from unetseg.cli import cli
from unetseg.errors import UserError
from unetseg.pipeline.model import load_model
from unetseg.run import Run
from unetseg.settings import LabelSettings

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose threshold is so high that nothing is found."""
    folder = tmp_path_factory.mktemp("tune")
    made = experiment(make_folder(folder / "data"), steps=40, validate_every=40)
    run = Run.create(folder / "run", replace(made, labels=LabelSettings(threshold=0.999)))
    finish(run)
    return folder


@pytest.fixture
def there(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained / "run", tmp_path / "run")
    return tmp_path


def test_a_threshold_that_finds_nothing_is_replaced(there: Path) -> None:
    before = weights(there / "run/best.pt", "weights")
    done = api.tune(there / "run")
    assert done.tuned.score > done.tuned.before
    assert (done.part, done.written, done.images) == ("the validation part", there / "run/best.pt", ("4",))
    tuned, kept = (load_model(there / "run" / name, CPU) for name in ("best.pt", "best-untuned.pt"))
    assert tuned.recipe.labels == done.tuned.labels
    assert kept.recipe.labels.threshold == 0.999
    assert replace(tuned.recipe, labels=kept.recipe.labels) == kept.recipe
    after = weights(there / "run/best.pt", "weights")
    assert all(torch.equal(before[k], after[k]) for k in before)
    again = api.tune(there / "run")
    assert again.tuned.before == pytest.approx(done.tuned.score)
    assert load_model(there / "run/best-untuned.pt", CPU).recipe.labels.threshold == 0.999


def test_other_images_tune_into_a_file_of_their_own(there: Path) -> None:
    data, model = make_folder(there / "other", count=3), there / "run/best.pt"
    content = model.read_bytes()
    done = api.tune(model, data, there / "new.pt")
    assert (len(done.images), done.backup) == (3, None)
    assert model.read_bytes() == content
    assert load_model(there / "new.pt", CPU).recipe.labels == done.tuned.labels
    with pytest.raises(UserError, match="new.pt: exists"):
        api.tune(model, data, there / "new.pt")


def test_what_cannot_be_tuned_is_one_error(there: Path) -> None:
    with pytest.raises(UserError, match="Also give a data folder"):
        api.tune(there / "run/best.pt")
    with pytest.raises(UserError, match="no such folder"):
        api.tune(there / "run", there / "nowhere")


def test_the_command_prints_both_scores_and_what_they_are_worth(there: Path) -> None:
    result = CliRunner().invoke(cli, ["tune", str(there / "run"), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "seg on these: 0.0000 before" in result.output
    assert "this score is optimistic" in result.output
    assert "best-untuned.pt" in result.output
