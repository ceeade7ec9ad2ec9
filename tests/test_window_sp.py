"""Whitened patches with structured prediction: against loops that follow the definition."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_training import experiment, finish, make_folder, weights

from unetseg.errors import UserError
from unetseg.nets import Fitted, build_net, parameter_count
from unetseg.nets.window_sp import FLAT, SMALL
from unetseg.run import Run
from unetseg.settings import Experiment

TINY: dict[str, Any] = {"width": 2, "hidden": 8}


def tiny(step: int, channels: int = 1) -> Any:
    return build_net("window-sp", channels=channels, classes=3, step=step, **TINY).eval()


def reference(net: Any, image: torch.Tensor, step: int) -> np.ndarray:
    """Probabilities (k, y, x), the mean over all patches at multiples of the step."""
    total = np.zeros((3, *image.shape[1:]))
    patches = np.zeros(image.shape[1:])
    for y in range(0, image.shape[1] - 26, step):
        for x in range(0, image.shape[2] - 26, step):
            patch = image[:, y : y + 27, x : x + 27]
            contrast = (patch - patch.mean()) / (patch.var(unbiased=False) + FLAT).sqrt()
            white = (contrast.flatten() - net.mean) @ net.whitening
            with torch.no_grad():
                told = net.tell(net.convs(white.view(1, *patch.shape)).flatten(1)).view(3, 5, 5)
            total[:, y + 11 : y + 16, x + 11 : x + 16] += torch.softmax(told, 0).numpy()
            patches[y + 11 : y + 16, x + 11 : x + 16] += 1
    with np.errstate(invalid="ignore"):
        return total / patches


@pytest.mark.parametrize(("step", "size"), [(1, 34), (2, 33), (3, 39), (4, 39), (5, 37)])
def test_probabilities_are_averaged_over_all_patches_that_tell_of_a_pixel(step: int, size: int) -> None:
    """The output is just the pixels with every patch that could tell of them."""
    net = tiny(step, channels=2)
    net.fit([torch.randn(40, 2, 27, 27)])
    image = torch.randn(2, size, size + step)
    with torch.no_grad():
        ours = torch.softmax(net(image[None])[0], 0).numpy()
    cut = net.footprint.context[0]
    expected = reference(net, image, step)[:, cut : size - cut, cut : size + step - cut]
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert cut == 16 - step


@pytest.mark.parametrize(("step", "crop"), [(1, 35), (2, 33), (3, 36), (4, 39), (5, 27)])
def test_in_training_patches_learn_by_themselves(step: int, crop: int) -> None:
    """The smallest crops whose output is whole blocks: their own logits, no average, and one patch at 35."""
    net = tiny(step).train()
    for part in net.tell:
        part.training = False  # no dropout
    image = torch.randn(1, crop, crop)
    out = net.footprint.output((crop, crop))
    start = (27 - 5) // 2
    first = net.footprint.context[0] - start
    with torch.no_grad():
        ours = torch.softmax(net(image[None])[0], 0).numpy()
    inner = image[:, first : first + 22 + out[0], first : first + 22 + out[1]]
    expected = reference(net, inner, 5)[:, start : start + out[0], start : start + out[1]]
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert out[0] % 5 == 0
    assert (out[0] == 5) == (step in (1, 2, 5))


def test_the_whitening_whitens() -> None:
    """The covariance of whitened patches has the eigenvalues l / (l + SMALL): near 1, never above."""
    net = tiny(1)
    smooth = torch.nn.functional.avg_pool2d(torch.randn(3000, 1, 31, 31), 5, 1)
    net.fit(smooth.split(500))
    contrast = (smooth - smooth.mean((1, 2, 3), keepdim=True)).flatten(1)
    contrast = contrast / (contrast.square().mean(1, keepdim=True) + FLAT).sqrt()
    values = torch.linalg.eigvalsh(torch.cov(contrast.T, correction=0).double())
    white = torch.linalg.eigvalsh(torch.cov(((contrast - net.mean) @ net.whitening).T, correction=0).double())
    np.testing.assert_allclose(white, values / (values + SMALL), atol=1e-3)
    np.testing.assert_allclose(net.whitening, net.whitening.T, atol=1e-5)


def test_an_even_image_gives_no_nan() -> None:
    net = tiny(5)
    with torch.no_grad():
        assert torch.isfinite(net(torch.full((1, 1, 27, 27), 7.0))).all()


def test_parameters_added_up_by_hand() -> None:
    net = build_net("window-sp", channels=3, classes=2)
    convs = 64 * (27 + 1) + 64 * (576 + 1) + 128 * (576 + 1) + 128 * (1152 + 1)
    assert parameter_count(net) == convs + 512 * (27 * 27 * 128 + 1) + 512 * 513 + 50 * 513 == 48_324_722


def whitened(root: Path) -> Experiment:
    net = {"name": "window-sp", "step": 5, **TINY}
    return replace(experiment(root, crop=(27,), batch=4, class_balanced_crops=True, steps=4), net=net)


def test_training_fits_the_whitening_once_and_resumes_with_it(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    whole, again, cut = (Run.create(tmp_path / name, whitened(root)) for name in ("whole", "again", "cut"))
    finish(whole)
    finish(again)
    seen = [finish for finish, _ in zip(_stopping(cut), range(99), strict=False)]
    assert seen
    finish(cut, resume=True)
    one, two, three = (weights(run.best, "weights") for run in (whole, again, cut))
    assert not torch.equal(one["whitening"], torch.eye(729))
    for key in one:
        assert torch.equal(one[key], two[key]), key
        assert torch.equal(one[key], three[key]), key


def _stopping(run: Run) -> Any:
    from unetseg.pipeline.training import train_run

    return train_run(run, resume=False, stopped=lambda: True)


def test_only_nets_that_ask_for_it_are_fitted() -> None:
    assert isinstance(tiny(1), Fitted)
    assert not isinstance(build_net("window", channels=1, classes=2, width=1, hidden=1), Fitted)


@pytest.mark.parametrize("options", [{"step": 0}, {"step": 6}, {"width": 0}, {"hidden": 0}, {"dropout": 1.0}])
def test_options_out_of_range_are_the_users_error(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="allowed is"):
        build_net("window-sp", channels=1, classes=2, **options)
