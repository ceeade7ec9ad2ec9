"""The Probabilistic U-Net: its loss by hand, its hypotheses, and `predict --samples`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from conftest import Unetseg
from test_predict_progress import best as best
from test_streaming import model, pixels

from unetseg.inference.export import logits_onnx
from unetseg.losses import weighted_cross_entropy
from unetseg.nets import Hypotheses
from unetseg.nets.probabilistic_unet import ProbabilisticUNet
from unetseg.pipeline.model import Model, PredictSettings, save_model
from unetseg.pipeline.recipe import new_net
from unetseg.settings import LabelSettings

OPTIONS = {"name": "probabilistic-unet", "width": 4, "depth": 2, "latent": 3}


def net(beta: float = 10.0) -> ProbabilisticUNet:
    torch.manual_seed(1)
    return ProbabilisticUNet(1, 2, width=4, depth=2, latent=3, beta=beta)


def test_the_loss_is_that_of_the_posterior_and_the_divergence_per_pixel() -> None:
    """KL of normals: Σ ln(s/t) + (t² + (m − n)²) / 2s² − 1/2, t and n of the posterior."""
    images, classes = torch.randn(2, 1, 16, 16), (torch.rand(2, 16, 16) > 0.5).long()
    weight = torch.ones(2, 16, 16)
    with torch.no_grad():
        torch.manual_seed(3)
        found = net(beta=5.0).training_loss(images, classes, weight, weighted_cross_entropy)
        torch.manual_seed(3)
        without = net(beta=0.0).training_loss(images, classes, weight, weighted_cross_entropy)
        known = torch.stack([1 - classes, classes], 1).float()
        prior, posterior = net().prior(images), net().posterior(torch.cat([images, known], 1))
        (m, s), (n, t) = ((d.base_dist.loc, d.base_dist.scale) for d in (prior, posterior))
        divergence = (torch.log(s / t) + (t**2 + (m - n) ** 2) / (2 * s**2) - 0.5).sum(1).mean()
    assert (found - without).item() == pytest.approx(5 * divergence.item() / 256, rel=1e-4)
    assert divergence > 0


def test_exported_it_gives_the_same_logits_at_every_size() -> None:
    used, runtime = net().eval(), pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(logits_onnx(used))
    for sides in ((16, 16), (24, 20)):
        images = torch.randn(2, 1, *sides, generator=torch.Generator().manual_seed(0))
        found = session.run(None, {session.get_inputs()[0].name: images.numpy()})[0]
        with torch.no_grad():
            np.testing.assert_allclose(found, used(images), atol=1e-4)


def test_every_part_learns() -> None:
    used, images = net(), torch.randn(2, 1, 16, 16)
    loss = used.training_loss(images, torch.zeros(2, 16, 16), torch.ones(2, 16, 16), weighted_cross_entropy)
    loss.backward()
    for name, part in used.named_parameters():
        assert part.grad is not None, name


def test_a_draw_is_decided_by_its_number_and_leaves_the_net_as_it_was() -> None:
    used, images = net().eval(), torch.randn(1, 1, 16, 16)
    assert isinstance(used, Hypotheses)
    with torch.no_grad():
        mean = used(images)
        one, again, two = used.drawn(1)(images), used.drawn(1)(images), used.drawn(2)(images)
        assert torch.equal(one, again)
        assert not torch.allclose(one, two, atol=1e-4)
        assert torch.equal(used(images), mean)
    assert used.drawn(1).prior.head.weight is used.prior.head.weight


@pytest.fixture
def several(tmp_path: Path) -> Path:
    start = model(LabelSettings(threshold=0.5))
    recipe = replace(start.recipe, net=OPTIONS)
    used = Model(recipe, new_net(recipe, seed=1).eval(), torch.device("cpu"))
    maps = used.probabilities(pixels()[None], "image", PredictSettings())
    labels = replace(recipe.labels, threshold=float(np.quantile(maps[1], 0.6)))
    save_model(tmp_path / "several.pt", replace(recipe, labels=labels), used.net, {})
    return tmp_path / "several.pt"


def test_predict_samples_writes_each_hypothesis(unetseg: Unetseg, several: Path, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels())
    for _ in range(2):
        done = unetseg("predict", several, tmp_path / "a.tif", "--out", tmp_path / "out", "--samples", 3)
        assert done.code == 0, done.err
    assert "already complete" in done.out
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == [f"a_sample{n}_labels.tif" for n in (1, 2, 3)]
    one, two, three = (tifffile.imread(tmp_path / "out" / name) > 0 for name in names)
    assert not np.array_equal(one, two)
    assert not np.array_equal(two, three)


def test_samples_of_a_plain_network_or_with_a_table_are_refused(
    unetseg: Unetseg, best: Path, several: Path, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels())
    for run, options, said in [
        (best, (), "--samples: a network 'unet' gives one result"),
        (several, ("--measure",), "--measure: goes with one result"),
        (several, ("--uncertainty",), "--uncertainty: goes with one result"),
    ]:
        done = unetseg(
            "predict", run, tmp_path / "a.tif", "--out", tmp_path / "out", "--samples", 2, *options
        )
        assert (done.code, said in done.err) == (2, True), done.err
        assert not (tmp_path / "out").exists()
