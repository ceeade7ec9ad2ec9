"""What a user's RUN stands for: a folder or file that is there first, then names."""

from pathlib import Path

import pytest

from unetseg.errors import UserError
from unetseg.models import ModelCard, find_model, local_runs, model_card
from unetseg.run import Run
from unetseg.settings import Experiment


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "registry.toml").write_text(
        '[[models]]\nname = "cells"\ntitle = "Cells"\nurl = "http://localhost/c.pt"\n'
        f'sha256 = "{"a" * 64}"\nbytes = 1\nlicence = "CC0"\n'
    )
    monkeypatch.setenv("UNETSEG_MODELS", "registry.toml")
    return tmp_path


def no_download(card: ModelCard) -> Path:
    raise AssertionError(card.name)


def test_run_folders_and_files_are_themselves(here: Path) -> None:
    Run.create(here / "mine", Experiment())
    (here / "model.pt").touch()
    assert find_model(Path("mine"), no_download).path == Path("mine")
    assert find_model(Path("mine"), no_download).predictions == Path("mine/predictions")
    assert find_model(Path("model.pt"), no_download).predictions == Path("predictions")


def test_a_registered_name_is_downloaded(here: Path) -> None:
    found = find_model(Path("cells"), lambda card: here / f"{card.name}.pt")
    assert found.path == here / "cells.pt"
    assert found.predictions == Path("predictions/cells")


def test_a_run_folder_comes_before_a_name_and_a_data_folder_does_not(here: Path) -> None:
    (here / "cells").mkdir()
    assert find_model(Path("cells"), lambda card: here / "downloaded.pt").path == here / "downloaded.pt"
    Run.create(here / "cells", Experiment())
    assert find_model(Path("cells"), no_download).path == Path("cells")


def test_a_name_is_looked_for_in_runs(here: Path) -> None:
    Run.create(here / "runs" / "mine", Experiment())
    assert find_model(Path("mine"), no_download).path == Path("runs/mine")
    assert local_runs() == []  # it has no model yet
    Run(here / "runs" / "mine").best.touch()
    assert local_runs() == [Path("runs/mine")]


def test_an_unknown_name_is_answered_with_the_nearest(here: Path) -> None:
    with pytest.raises(
        UserError, match="cell: no run folder, model file or model of this name. Did you mean cells"
    ):
        find_model(Path("cell"))
    with pytest.raises(UserError, match="Did you mean cells"):
        model_card("cels")


def test_a_wrong_path_is_the_error_of_a_run(here: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        Run.open(find_model(Path("runs/gone")).path)
