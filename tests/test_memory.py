"""Estimates of a prediction's memory, and the tiles that follow from them."""

import math
from typing import Any

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.inference.engines import ENGINES
from unetseg.inference.memory import bytes_per_pixel, choose_grid, held_bytes
from unetseg.nets import build_net

NETS: list[dict[str, Any]] = [
    {"width": 4, "depth": 2, "padding": "same", "norm": "batch"},
    {"width": 4, "depth": 2},
]


def net(**options: Any) -> Any:
    return build_net("unet", channels=1, classes=2, **options).eval()


@pytest.mark.parametrize("options", NETS, ids=["padded", "valid"])
def test_less_memory_means_smaller_tiles(options: Any) -> None:
    unet = net(**options)
    per_pixel = bytes_per_pixel(unet)
    previous = 0
    for memory in (10**6, 10**7, 10**8):
        grid = choose_grid(unet, (900, 700), memory=memory)
        used = int(np.prod(grid.read_shape)) * per_pixel
        assert used <= memory
        assert used > previous
        previous = used
    assert len(choose_grid(unet, (100, 90), memory=10**9)) == 1


def test_too_little_memory_is_said() -> None:
    with pytest.raises(UserError, match="Raise --memory"):
        choose_grid(net(**NETS[0]), (100, 100), memory=1000)


def test_a_given_side_is_rounded_up_to_the_stride() -> None:
    grid = choose_grid(net(**NETS[0]), (100, 100), memory=0, side=49)
    assert grid.step == (52, 52)


def test_the_estimate_counts_the_tensors_alive_at_once() -> None:
    """At the concatenation, each of 4 bytes a pixel: the image (1), the skip and the map from below (8 + 8)
    and the two together (16)."""
    unet = net(width=8, depth=1, padding="same")
    for name, engine in ENGINES.items():
        alive = (bytes_per_pixel(unet, engine=name) - engine.per_pixel) / engine.workspace
        assert alive == pytest.approx(4 * 33, rel=0.01)


def test_an_engine_holds_copies_of_the_weights() -> None:
    unet = net(**NETS[0])
    own = sum(t.numel() * t.element_size() for t in unet.state_dict().values())
    for name, engine in ENGINES.items():
        assert held_bytes(unet, engine=name) == (1 + engine.copies) * own + engine.fixed


def test_a_valid_nets_larger_tile_takes_more_bytes_a_pixel() -> None:
    """Its maps shrink by as many pixels in every tile, so less of a large one: the tile found fits."""
    unet = net(width=8, depth=3)
    memory = 2 * 10**9
    assert bytes_per_pixel(unet, (1004, 1004)) > bytes_per_pixel(unet)
    grid = choose_grid(unet, (9000, 9000), memory=memory)
    used = math.prod(grid.read_shape) * bytes_per_pixel(unet, grid.read_shape)
    assert 0.6 * memory < used <= memory
