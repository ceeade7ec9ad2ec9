"""`unetseg models`, and names where a RUN goes."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Unetseg

from unetseg.models import shipped_models


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry whose one model, an untrained one, is in the cache already."""
    from unetseg.models import cached_file, known_models
    from unetseg.normalise import Normalisation
    from unetseg.pipeline.model import save_model
    from unetseg.pipeline.recipe import Recipe, new_net
    from unetseg.settings import LabelSettings

    net: Any = {"name": "unet", "width": 2, "depth": 2, "padding": "same", "norm": "batch", "dropout": 0.0}
    recipe = Recipe(net, 2, "instances", Normalisation("per-image", 1), 1, LabelSettings(), None)
    save_model(tmp_path / "cells.pt", recipe, new_net(recipe, seed=0), {})
    content = (tmp_path / "cells.pt").read_bytes()
    (tmp_path / "registry.toml").write_text(
        '[[models]]\nname = "cells"\ntitle = "Synthetic cells"\nurl = "http://127.0.0.1:1/cells.pt"\n'
        f'sha256 = "{hashlib.sha256(content).hexdigest()}"\nbytes = {len(content)}\nlicence = "CC0"\n'
        'limits = ["cells that are not made up"]\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNETSEG_MODELS", "registry.toml")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cached = cached_file(known_models()["cells"])
    cached.parent.mkdir(parents=True)
    cached.write_bytes(content)
    return cached


def test_the_list_names_shipped_and_registered_models(registered: Path, unetseg: Unetseg) -> None:
    listed = unetseg("models")
    assert listed.code == 0
    assert "Synthetic cells" in listed.out
    assert all(name in listed.out for name in shipped_models())


def test_a_card_shows_licence_and_limits(registered: Path, unetseg: Unetseg) -> None:
    card = unetseg("models", "cells").out
    assert "licence of the weights: CC0" in card
    assert "- cells that are not made up" in card


def test_a_name_predicts_into_a_folder_of_that_name(registered: Path, unetseg: Unetseg) -> None:
    tifffile.imwrite("dish.tif", np.random.default_rng(0).integers(0, 255, (40, 40)).astype(np.uint8))
    result = unetseg("predict", "cells", "dish.tif", "--device", "cpu")
    assert result.code == 0, result.err
    assert Path("predictions/cells/dish_labels.tif").is_file()


def test_a_wrong_name_is_one_line_with_the_nearest_name(registered: Path, unetseg: Unetseg) -> None:
    for arguments in (("predict", "cell", "dish.tif"), ("models", "cell")):
        result = unetseg(*arguments)
        assert result.code == 2
        assert "Did you mean cells?" in result.err
        assert result.err.count("\n") == 1


def test_without_network_there_is_one_line_and_no_file(registered: Path, unetseg: Unetseg) -> None:
    registered.unlink()
    tifffile.imwrite("dish.tif", np.zeros((40, 40), np.uint8))
    result = unetseg("predict", "cells", "dish.tif")
    assert result.code == 2
    assert "cannot be downloaded" in result.err
    assert "Traceback" not in result.err
    assert not list(registered.parent.iterdir())
