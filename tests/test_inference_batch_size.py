"""How many tiles are computed at once where nobody says: what fits into a GPU's free memory, by a probe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr

from unetseg.images import open_image
from unetseg.inference import batch_size
from unetseg.inference.batch_size import fitting_batch, probed_bytes
from unetseg.inference.engines import InferenceNet, prepare
from unetseg.nets import build_net
from unetseg.normalise import Normalisation
from unetseg.pipeline import model as models
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.pipeline.predict_options import PredictOptions
from unetseg.pipeline.recipe import Recipe, new_net
from unetseg.settings import LabelSettings
from unetseg.streaming.job import Request
from unetseg.streaming.plan import make_plan

CUDA = torch.device("cuda")
GIB = 2**30


def ready(device: torch.device) -> InferenceNet:
    net = build_net("unet", channels=1, classes=2, width=4, depth=2, padding="same").eval()
    return replace(prepare(net, torch.device("cpu")), device=device)


def model(device: torch.device) -> Model:
    options: Any = {"name": "unet", "width": 4, "depth": 2, "padding": "same"}
    recipe = Recipe(options, 2, "instances", Normalisation("per-image", 1), 1, LabelSettings(), None)
    return Model(recipe, new_net(recipe, seed=0).eval(), device)


@pytest.mark.parametrize(
    ("free", "each", "most", "expected"),
    [
        (80 * GIB, 2 * GIB, 100, 32),
        (80 * GIB, 2 * GIB, 16, 16),
        (80 * GIB, 2 * GIB, 13, 8),
        (8 * GIB, 2 * GIB, 16, 2),
        (2 * GIB, 2 * GIB, 16, 1),
        (GIB, 2 * GIB, 16, 1),
    ],
)
def test_what_fits_into_four_fifths_of_the_free_memory(
    free: int, each: int, most: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_size, "free_memory", lambda device: free)
    monkeypatch.setattr(batch_size, "probed_bytes", lambda net, tile: each)
    assert fitting_batch(ready(CUDA), (1, 64, 64), most=most) == expected


def test_a_processor_computes_one_tile_at_a_time() -> None:
    assert fitting_batch(ready(torch.device("cpu")), (1, 64, 64), most=16) == 1
    plan = make_plan(model(torch.device("cpu")), (256, 256), PredictSettings(side=64, batch=0))
    assert (plan.batch, plan.automatic) == (1, False)
    assert plan == make_plan(model(torch.device("cpu")), (256, 256), PredictSettings(side=64, batch=1))
    assert PredictOptions().settings.batch == 0


def test_a_plan_on_a_gpu_is_probed_once_and_any_batch_resumes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The free memory changes; what was begun can go on all the same."""
    probed: list[int] = []

    def fitting(net: Any, tile: Any, *, most: int) -> int:
        assert (tuple(tile), most) == ((1, 112, 112), 16)
        probed.append(most)
        return 2 * len(probed)

    monkeypatch.setattr(models, "fitting_batch", fitting)
    monkeypatch.setattr(models, "prepare", lambda net, *_, **__: prepare(net, torch.device("cpu")))
    zarr.save_array(tmp_path / "i.zarr", np.zeros((256, 256), np.uint8), zarr_format=2)
    image, used = open_image(tmp_path / "i.zarr"), model(CUDA)
    first, second = (Request.of(used, image, PredictSettings(side=64, batch=0)) for _ in range(2))
    assert (first.plan.batch, second.plan.batch) == (2, 4)
    assert first.settings == second.settings
    given = Request.of(used, image, PredictSettings(side=64, batch=2))
    assert given.settings["batch"] == 2
    assert len(probed) == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_probe_counts_what_a_tile_takes() -> None:
    net = build_net("unet", channels=1, classes=2, width=16, depth=4, padding="same").eval().to(CUDA)
    small, large = (probed_bytes(prepare(net, CUDA), (1, n, n)) for n in (512, 1024))
    assert 2 * 16 * 4 * 512**2 < small < large < 8 * small
