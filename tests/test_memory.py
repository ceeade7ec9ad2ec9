"""Estimates of a prediction's memory, and the tiles that follow from them."""

import math
from typing import Any

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.inference.memory import WORKSPACE, bytes_per_pixel, choose_grid, held_bytes, on_meta
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
    """In the merging block, each of 4 bytes: the image (1), the skip (8), the map from below (16 at a
    quarter of the pixels, and a bit of its rim), and what comes of the two, or the input and the output
    of the last convolution (8 + 8)."""
    unet = net(width=8, depth=1, padding="same")
    assert math.ceil(WORKSPACE * 4 * 29) <= bytes_per_pixel(unet) <= math.ceil(WORKSPACE * 4 * 32)


def test_large_tiles_take_fewer_bytes_a_pixel_and_so_become_larger_still() -> None:
    """Whole are only the image (1), the skip (8), the map below (16/4) and the logits (2), not the block."""
    unet = net(width=8, depth=1, padding="same")
    assert math.ceil(WORKSPACE * 4 * 15) <= bytes_per_pixel(unet, (4096, 4096)) < WORKSPACE * 4 * 17
    memory = 10**9
    small = choose_grid(unet, (9000, 9000), memory=memory)
    pixels = math.prod(small.read_shape)
    assert pixels > 1.4 * memory / bytes_per_pixel(unet)
    assert 0.7 * memory < pixels * bytes_per_pixel(unet, small.read_shape) <= memory


def test_a_net_is_held_twice_its_copy_with_joined_layers() -> None:
    """Of 4 bytes each: all numbers twice, but in the copy for those of the up-convolution (16·8·4 and 8) and
    the convolution after it (8·16·9 and 8) those of the joined layer: for 8 channels of the skip (8·8·9) and
    16 from below (16·8·16), the bias (8) and what it lacks at the ends of the axes (8·9)."""
    unet = net(width=8, depth=1, padding="same")
    numbers = sum(p.numel() for p in unet.parameters())
    joined = 8 * 8 * 9 + 16 * 8 * 16 + 8 + 8 * 9
    expected = 2 * numbers - (16 * 8 * 4 + 8 + 8 * 16 * 9 + 8) + joined
    assert held_bytes(unet, on_meta(unet)) == 4 * expected
