"""The Python API does what the commands do."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from test_training import experiment, make_folder

from unetseg import api
from unetseg.errors import UserError
from unetseg.train import Step


def test_train_predict_score(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    model = api.train(experiment(root), tmp_path / "run")
    image, truth = tifffile.imread(root / "images/5.tif"), tifffile.imread(root / "labels/5.tif")
    labels, probabilities = api.predict(model, image)
    assert probabilities.shape == (2, 32, 32)
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
    assert 0 <= api.score([truth], [labels])["iou"] <= 1
    tiled = api.predict(api.load_model(tmp_path / "run"), image, tile=8)
    np.testing.assert_allclose(tiled.probabilities, probabilities, atol=1e-4)


def test_a_run_folder_of_another_experiment_is_refused(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    api.train(experiment(root), tmp_path / "run")
    with pytest.raises(UserError, match="another experiment"):
        api.train(experiment(root, steps=9), tmp_path / "run")


def test_a_stack_is_refused() -> None:
    model: Any = SimpleNamespace(net=SimpleNamespace(dims=2))
    with pytest.raises(UserError, match="one page at a time"):
        api.predict(model, np.zeros((2, 3, 4, 5)))


def test_nan_is_refused() -> None:
    with pytest.raises(UserError, match="NaN"):
        api.predict(None, np.full((4, 4), np.nan))  # type: ignore[arg-type]


def test_progress_is_reported_and_a_stop_leaves_a_run_that_goes_on(tmp_path: Path) -> None:
    """What a viewer needs: every step is an event, and a stopped training ends as an uninterrupted one."""
    root = make_folder(tmp_path / "data")
    seen: list[Any] = []
    api.train(experiment(root), tmp_path / "run", progress=seen.append, stopped=lambda: len(seen) > 8)
    stopped_after = max(e.number for e in seen if isinstance(e, Step))
    assert stopped_after < 8
    assert not (tmp_path / "run/scores.json").exists()
    api.train(experiment(root), tmp_path / "run", progress=seen.append)
    assert [e.number for e in seen if isinstance(e, Step)] == list(range(1, 9))
    whole = api.train(experiment(root), tmp_path / "whole")
    again = api.load_model(tmp_path / "run")
    assert all(
        torch.equal(a, b)
        for a, b in zip(whole.net.state_dict().values(), again.net.state_dict().values(), strict=True)
    )  # type: ignore[attr-defined]
    for name in ("scores.json", "report.html"):
        assert (tmp_path / "run" / name).is_file()
