"""Weights from a local file: what is read, what is refused, and that a trained model needs no file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from unetseg.errors import UserError
from unetseg.nets import build_net
from unetseg.normalise import Normalisation
from unetseg.pipeline.model import load_model, save_model
from unetseg.pipeline.pretrained import start_from_weights
from unetseg.pipeline.recipe import Recipe, new_net
from unetseg.settings import LabelSettings

RECIPE = Recipe(
    {"name": "fcn-32s", "width": 1, "weights": "gone.pth"},
    2, "instances", Normalisation("per-image", 1), 1, LabelSettings(), None,
)  # fmt: skip


def test_the_file_reaches_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net: Any = build_net("fcn-32s", channels=1, classes=2, width=1)
    torch.save({"features.0.weight": torch.ones(2)}, tmp_path / "vgg.pth")
    seen: dict[str, Any] = {}
    monkeypatch.setattr(net, "load_imagenet", seen.update)
    start_from_weights(net, {"name": "fcn-32s", "weights": str(tmp_path / "vgg.pth")})
    assert seen["features.0.weight"].tolist() == [1, 1]
    start_from_weights(net, {"name": "unet"})  # nothing asked for, nothing done


def test_what_is_no_file_of_weights_is_refused(tmp_path: Path) -> None:
    narrow = build_net("fcn-8s", channels=1, classes=2, width=1)
    with pytest.raises(UserError, match=r"gone.pth': No such file.*Nothing is downloaded"):
        start_from_weights(narrow, {"name": "fcn-8s", "weights": str(tmp_path / "gone.pth")})
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(UserError, match="not a file of weights"):
        start_from_weights(narrow, {"name": "fcn-8s", "weights": str(tmp_path / "text.pth")})
    torch.save({}, tmp_path / "empty.pth")
    with pytest.raises(UserError, match="net.width = 64"):
        start_from_weights(narrow, {"name": "fcn-8s", "weights": str(tmp_path / "empty.pth")})
    unet = build_net("unet", channels=1, classes=2, width=2)
    with pytest.raises(UserError, match="'unet' cannot take ImageNet weights"):
        start_from_weights(unet, {"name": "unet", "weights": str(tmp_path / "empty.pth")})


def test_a_trained_model_does_not_need_the_file(tmp_path: Path) -> None:
    save_model(tmp_path / "best.pt", RECIPE, new_net(RECIPE, 0), {})
    assert load_model(tmp_path / "best.pt", torch.device("cpu")).recipe == replace(RECIPE)
