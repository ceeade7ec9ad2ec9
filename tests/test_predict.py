"""Prediction beyond tiled-equals-whole (tests/test_nets.py): tile sizes, averaging, lazy images."""

from typing import Any

import numpy as np
import pytest
import torch

from unetseg.errors import UserError
from unetseg.nets import build_net
from unetseg.predict import bytes_per_pixel, choose_grid, predict
from unetseg.tiles import TileGrid

CPU = torch.device("cpu")
NETS: list[dict[str, Any]] = [
    {"width": 4, "depth": 2, "padding": "same", "norm": "batch"},
    {"width": 4, "depth": 2},
]


def net(**options: Any) -> Any:
    return build_net("unet", channels=1, classes=2, **options).eval()


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)


@pytest.mark.parametrize("options", NETS, ids=["padded", "valid"])
@pytest.mark.parametrize("average", [4, 8])
def test_averaging_is_symmetric_and_still_tiled_equals_whole(options: Any, average: int) -> None:
    """The average of a flipped image is the flipped average, and tiles do not show."""
    unet, pixels = net(**options), image(24, 24)
    foot = unet.footprint
    whole = predict(unet, pixels, TileGrid((24, 24), (24, 24), foot), device=CPU, average=average)
    tiled = predict(unet, pixels, TileGrid((24, 24), (8, 12), foot), device=CPU, average=average, batch=4)
    np.testing.assert_allclose(tiled, whole, atol=1e-4)
    np.testing.assert_allclose(whole.sum(0), 1, atol=1e-5)
    if not foot.valid:  # a valid net's tile is a few pixels longer at one end
        flipped = predict(
            unet, pixels[..., ::-1].copy(), TileGrid((24, 24), (24, 24), foot), device=CPU, average=average
        )
        np.testing.assert_allclose(flipped[..., ::-1], whole, atol=1e-4)


def test_the_image_may_be_anything_that_slices(tmp_path: Any) -> None:
    unet, pixels = net(**NETS[0]), image(40, 52)
    grid = TileGrid((40, 52), (16, 16), unet.footprint)
    mapped = np.memmap(tmp_path / "image", np.float32, "w+", shape=pixels.shape)
    mapped[:] = pixels
    np.testing.assert_array_equal(
        predict(unet, mapped, grid, device=CPU), predict(unet, pixels, grid, device=CPU)
    )


def test_an_image_smaller_than_the_context() -> None:
    unet = net(width=2, depth=4, padding="same")
    out = predict(unet, image(5, 1), TileGrid((5, 1), (16, 16), unet.footprint), device=CPU)
    assert out.shape == (2, 5, 1)
    assert np.isfinite(out).all()


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


def test_the_estimate_counts_the_widest_level() -> None:
    """A padded net's widest map is the first concatenation: 2·width channels at full size."""
    unet = net(width=8, depth=1, padding="same")
    assert bytes_per_pixel(unet) == pytest.approx(6 * 4 * 8, rel=0.05)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_tiled_equals_whole_on_a_gpu() -> None:
    unet = net(width=16, depth=4, padding="same", norm="batch").to("cuda")
    pixels, device = image(300, 270), torch.device("cuda")
    whole = predict(unet, pixels, TileGrid((300, 270), (304, 272), unet.footprint), device=device)
    tiled = predict(unet, pixels, TileGrid((300, 270), (64, 96), unet.footprint), device=device, batch=5)
    np.testing.assert_allclose(tiled, whole, atol=1e-4)
