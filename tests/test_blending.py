"""Blended windows: the same whatever the tiles and the engine, their weights, memory and note."""

from typing import Any

import numpy as np
import pytest
import torch
from test_nets import BLENDED, CPU, case_id, make
from torch import Tensor

from unetseg.inference.blending import blended, tile_note, tiling_footprint
from unetseg.inference.engines import ENGINES, prepare
from unetseg.inference.memory import bytes_per_pixel, choose_grid
from unetseg.inference.predict import predict
from unetseg.nets import build_net
from unetseg.tiles import TileGrid

pytest.importorskip("monai")
cases = pytest.mark.parametrize("case", BLENDED, ids=map(case_id, BLENDED))


def windowed(case: Any) -> Any:
    return make((case[0], {**case[1], "window": 32}))


def image() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(2, 69, 85)).astype(np.float32)


@cases
def test_the_result_does_not_depend_on_the_tiles(case: Any) -> None:
    net = windowed(case)
    foot, ready = tiling_footprint(net), prepare(net, CPU)
    assert ready.footprint == foot
    expected = predict(ready, image(), TileGrid((69, 85), (96, 96), foot))
    assert expected[0].std() > 1e-3
    for step in ((16, 16), (32, 48)):
        tiled = predict(ready, image(), TileGrid((69, 85), step, foot), batch=2)
        np.testing.assert_allclose(tiled, expected, atol=1e-5)


@cases
def test_without_blending_tiles_would_show(case: Any) -> None:
    """The declaration is not idle: with all that its convolutions see, tiles still differ from the whole."""
    net = windowed(case)
    images = torch.from_numpy(np.random.default_rng(3).normal(size=(1, 2, 160, 32)).astype(np.float32))
    with torch.no_grad():
        assert (net(images)[:, :, 72:80] - net(images[:, :, 8:152])[:, :, 64:72]).abs().max() > 1e-4


def test_windows_are_weighted_by_a_gaussian_hand_worked() -> None:
    """Each window has a number of its own: the blend is the weighted mean of the windows over a pixel."""
    from monai.data.utils import compute_importance_map

    net = build_net("unet-resnet18", channels=1, classes=2, width=1 / 16, window=64)
    given = iter([1.0, 2.0, 4.0])

    def number(images: Tensor) -> Tensor:
        return torch.full((1, 2, 64, 64), next(given))

    found = blended(number, net)(torch.zeros(1, 1, 128, 64))[0, 0]
    weight = compute_importance_map((64, 64), mode="gaussian", sigma_scale=0.125)
    above, below = weight[40, 10], weight[8, 10]  # row 40 of the first window is row 8 of the second
    assert found[40, 10] == pytest.approx(float((above + 2 * below) / (above + below)), rel=1e-4)
    assert found[10, 10] == pytest.approx(1)
    assert found[120, 10] == pytest.approx(4)


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "torch"])
def test_engines_blend_the_same_logits(engine: str) -> None:
    pytest.importorskip(ENGINES[engine].package)
    net = windowed(BLENDED[0])
    grid = TileGrid((69, 85), (48, 48), tiling_footprint(net))
    tiled = predict(prepare(net, CPU, engine=engine), image(), grid)
    np.testing.assert_allclose(tiled, predict(prepare(net, CPU), image(), grid), atol=1e-4)


def test_memory_counts_one_window_and_the_sums_of_the_tile() -> None:
    net = windowed(BLENDED[0])
    small, large = (n * n * bytes_per_pixel(net, (n, n)) for n in (96, 960))
    assert small < large < 960**2 * 200
    grid = choose_grid(net, (500, 500), memory=20 * 2**20)
    assert all(step % 16 == 0 for step in grid.step)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("fcn-8s", {"width": 2, "context": 32}, "context of 32×32 pixels, where 245×245 are seen"),
        ("v-net", {"width": 2, "depth": 2, "context": 4}, "context of 4×4×4 pixels, where "),
    ],
)
def test_a_shortened_context_is_declared_and_shows(name: str, options: dict[str, Any], words: str) -> None:
    torch.manual_seed(0)
    net = build_net(name, channels=1, classes=2, **options).eval()
    assert words in tile_note(net)
    assert tile_note(build_net(name, channels=1, classes=2, **{**options, "context": 0})) == ""
    image = (
        np.random.default_rng(0).normal(size=(1, *[{2: 192, 3: 48}[net.dims]] * net.dims)).astype(np.float32)
    )
    whole, tiled = (
        predict(prepare(net, torch.device("cpu")), image, TileGrid(image.shape[1:], step, net.footprint))
        for step in ((192,) * net.dims, tuple(2 * s for s in net.footprint.stride))
    )
    assert np.abs(whole - tiled).max() > 1e-3  # ten times what exact networks may differ by


def test_the_note_names_reason_and_window() -> None:
    net = windowed(BLENDED[0])
    assert "instance norm averages" in tile_note(net)
    assert "windows of 32 pixels" in tile_note(net)
    assert tile_note(build_net("unet", channels=1, classes=2, width=2)) == ""
