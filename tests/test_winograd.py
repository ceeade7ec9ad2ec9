"""Winograd's convolution is the convolution."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from unetseg.inference.memory import choose_grid, held_bytes, on_meta
from unetseg.inference.predict import predict
from unetseg.nets import build_net
from unetseg.nets import winograd as room
from unetseg.nets.quick import for_inference
from unetseg.nets.winograd import Winograd, evaluated, use_winograd
from unetseg.tiles import TileGrid

CPU = torch.device("cpu")
WIDE: dict[str, dict[str, Any]] = {
    "unet": {"width": 16, "depth": 3, "padding": "same", "norm": "batch"},
    "unet++": {"width": 32, "depth": 2},
    "fcn-8s": {"width": 16},
    "window": {"window": 23, "width": 64, "hidden": 64},
}


def conv(i: int, o: int, **options: Any) -> nn.Conv2d:
    torch.manual_seed(0)
    found = nn.Conv2d(i, o, 3, **options)
    nn.init.normal_(found.weight, std=(2 / (9 * i)) ** 0.5)
    return found


def maps(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("strip", [1, 300, 2**20])
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (5, 3), (8, 18), (31, 22)])
@pytest.mark.parametrize("pad", [0, 1])
@torch.no_grad()
def test_it_is_the_convolution(
    size: tuple[int, int], pad: int, strip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In strips of four rows, of a few more, and of the whole map."""
    monkeypatch.setattr(room, "STRIP", strip)
    direct = conv(5, 7, padding=pad)
    images = maps(2, 5, *(n + 2 - 2 * pad for n in size))
    found, exact = Winograd(direct)(images), direct.double()(images.double())
    assert found.shape == exact.shape == (2, 7, *size)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.double(), exact, atol=1e-5, rtol=0)


@torch.no_grad()
def test_it_knows_convolutions_without_bias_and_any_layout() -> None:
    direct, images = conv(4, 6, padding=1, bias=False), maps(1, 4, 12, 9)
    quick = Winograd(direct)
    found = quick(images)
    torch.testing.assert_close(found, direct(images), atol=1e-5, rtol=0)
    assert torch.equal(found, quick(images.contiguous(memory_format=torch.channels_last)))


@torch.no_grad()
def test_rounding_is_that_of_float32() -> None:
    direct, images = conv(128, 128, padding=1), torch.relu(maps(1, 128, 64, 64))
    found = Winograd(direct)(images)
    exact = direct.double()(images.double())
    assert (found - exact).square().mean().sqrt() < 1e-6 * exact.square().mean().sqrt()


@torch.no_grad()
def test_its_kernels_by_hand() -> None:
    """G of 0, ±p, ±q and ∞ with p² = ½ and q² = 2, a point to the powers 0, 1, 2 over the product of its
    distances from the other finite ones: 1, -3/2 for ±p and 6 for ±q, whose rows have the factor p or q."""
    p, q = math.sqrt(0.5), math.sqrt(2)
    rows = [[1, 0, 0], [-2 / 3 * p, -1 / 3, -p / 3], [-2 / 3 * p, 1 / 3, -p / 3]]
    rows += [[q / 6, 1 / 3, q / 3], [q / 6, -1 / 3, q / 3], [0, 0, 1]]
    g = torch.tensor(rows)
    weight = maps(5, 4, 3, 3)
    by_hand = torch.einsum("pn,oinx->poix", g, weight)
    torch.testing.assert_close(evaluated(weight)[:, :, :, 0], by_hand)


def test_only_wide_convolutions_of_stride_1_are_computed_so() -> None:
    odd: list[dict[str, Any]] = [{"stride": 2}, {"dilation": 2}, {"groups": 2}, {"padding": 2}]
    odd += [{"padding": 1, "padding_mode": "reflect"}, {"padding": "same"}]
    others = [conv(64, 64, **options) for options in odd]
    others += [conv(32, 64), conv(64, 32), nn.Conv2d(64, 64, 1), nn.Conv2d(64, 64, (3, 1))]
    net = nn.Sequential(conv(128, 64), nn.Sequential(*others, conv(64, 64, padding=1)))
    inner: Any = net[1]
    use_winograd(net)
    assert [type(m) for m in inner] == [nn.Conv2d] * len(others) + [Winograd]
    assert isinstance(net[0], Winograd)


def test_half_precision_and_other_devices_keep_their_convolutions() -> None:
    def count(device: str, precision: str) -> int:
        net: Any = build_net("unet", channels=1, classes=2, **WIDE["unet"])
        quick: Any = for_inference(net, torch.device(device), precision)
        return sum(isinstance(m, Winograd) for m in quick.modules())

    # 64 → 64 and 64 → 128 → 128, and of 64 channels the skip and the last of that level
    assert count("cpu", "float32") == 5
    assert count("cpu", "bf16") == count("cuda", "float32") == 0


def test_its_kernels_are_held_twice_as_large() -> None:
    """Of 3 numbers each there are 6 where there were 9, and 6 biases."""
    net: Any = build_net("unet", channels=1, classes=2, width=64, depth=1)
    numbers = sum(p.numel() for p in net.parameters())
    wide = [(64, 64), (64, 128), (128, 128), (128, 64), (64, 64)]
    more = sum(9 * i * o + 5 * o for i, o in wide)
    assert held_bytes(net, on_meta(net)) == 4 * (2 * numbers + more)


@pytest.mark.parametrize("name", WIDE)
@torch.no_grad()
def test_a_wide_net_in_tiles_is_the_net_at_once(name: str) -> None:
    """To 1e-5, ten times closer than the law of every net (tests/test_nets.py), and in the same classes."""
    net: Any = build_net(name, channels=1, classes=2, seed=3, **WIDE[name])
    net.eval()
    assert any(isinstance(m, Winograd) for m in for_inference(net, CPU, "float32").modules())  # type: ignore[attr-defined]
    image = maps(1, 150, 200).numpy()
    whole = predict(net, image, choose_grid(net, (150, 200), memory=2**33), device=CPU)
    step = [3 * n for n in net.footprint.stride] if name == "fcn-8s" else [48, 64]
    tiled = predict(net, image, TileGrid((150, 200), tuple(step), net.footprint), device=CPU)
    assert abs(tiled - whole).max() < 1e-5
    assert (tiled.argmax(0) == whole.argmax(0)).all()


@pytest.mark.parametrize("name", WIDE)
@torch.no_grad()
def test_a_wide_net_computes_what_it_was_trained_to(name: str) -> None:
    net: Any = build_net(name, channels=1, classes=2, seed=3, **WIDE[name])
    quick: Any = for_inference(net.eval(), CPU, "float32")
    size = [n + 4 * s for n, s in zip(net.footprint.smallest, net.footprint.stride, strict=True)]
    images = maps(1, 1, *size)
    torch.testing.assert_close(quick(images), net(images), atol=1e-4, rtol=1e-4)
