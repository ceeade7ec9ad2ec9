"""Prediction beyond tiled-equals-whole (tests/test_nets.py): tile sizes, averaging, lazy images."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from unetseg.errors import UserError
from unetseg.inference.engines import InferenceNet, prepare
from unetseg.inference.predict import IN_FLIGHT, batched, predict, stream
from unetseg.nets import build_net
from unetseg.tiles import Tile, TileGrid, read_mirrored, widened

CPU = torch.device("cpu")
NETS: list[dict[str, Any]] = [
    {"width": 4, "depth": 2, "padding": "same", "norm": "batch"},
    {"width": 4, "depth": 2},
]


def net(**options: Any) -> Any:
    return build_net("unet", channels=1, classes=2, **options).eval()


def ready(net: Any, engine: str = "torch") -> InferenceNet:
    return prepare(net, CPU, engine=engine)


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)


@pytest.mark.parametrize("options", NETS, ids=["padded", "valid"])
@pytest.mark.parametrize("average", [4, 8])
def test_averaging_is_symmetric_and_still_tiled_equals_whole(options: Any, average: int) -> None:
    """The average of a flipped image is the flipped average, and tiles do not show."""
    unet, pixels = net(**options), image(24, 24)
    foot = unet.footprint
    whole = predict(ready(unet), pixels, TileGrid((24, 24), (24, 24), foot), average=average)
    tiled = predict(ready(unet), pixels, TileGrid((24, 24), (8, 12), foot), average=average, batch=4)
    np.testing.assert_allclose(tiled, whole, atol=1e-4)
    np.testing.assert_allclose(whole.sum(0), 1, atol=1e-5)
    if not foot.valid:  # a valid net's tile is a few pixels longer at one end
        mirrored = pixels[..., ::-1].copy()
        flipped = predict(ready(unet), mirrored, TileGrid((24, 24), (24, 24), foot), average=average)
        np.testing.assert_allclose(flipped[..., ::-1], whole, atol=1e-4)


def test_the_image_may_be_anything_that_slices(tmp_path: Any) -> None:
    unet, pixels = net(**NETS[0]), image(40, 52)
    grid = TileGrid((40, 52), (16, 16), unet.footprint)
    mapped = np.memmap(tmp_path / "image", np.float32, "w+", shape=pixels.shape)
    mapped[:] = pixels
    np.testing.assert_array_equal(predict(ready(unet), mapped, grid), predict(ready(unet), pixels, grid))


def test_an_image_smaller_than_the_context() -> None:
    unet = net(width=2, depth=4, padding="same")
    out = predict(ready(unet), image(5, 1), TileGrid((5, 1), (16, 16), unet.footprint))
    assert out.shape == (2, 5, 1)
    assert np.isfinite(out).all()


def test_a_stream_reads_no_more_than_two_groups_ahead() -> None:
    """Groups come in order; when one is handed out at most two beyond it have been read."""
    unet, pixels = net(**NETS[0]), image(8, 80)
    grid = TileGrid((8, 80), (8, 8), unet.footprint)
    read: list[int] = []

    def note(tile: Tile) -> np.ndarray | None:
        read.append(tile.write[1].start)
        return None if tile.write[1].start == 16 else read_mirrored(pixels, tile.read)

    starts = []
    for tile, found in stream(ready(unet), batched(grid, 2), note):
        starts.append(tile.write[1].start)
        assert len(read) <= 2 * (starts.index(starts[-1]) // 2 + 1 + IN_FLIGHT)
        assert (found is None) == (starts[-1] == 16)
    assert starts == list(range(0, 80, 8))
    assert sorted(read) == starts


def test_what_reading_raises_ends_the_stream() -> None:
    unet = net(**NETS[0])

    def broken(tile: Tile) -> np.ndarray:
        raise UserError("damaged")

    with pytest.raises(UserError, match="damaged"):
        list(stream(ready(unet), batched(TileGrid((8, 80), (8, 8), unet.footprint), 1), broken))


@pytest.mark.parametrize("options", NETS, ids=["padded", "valid"])
@pytest.mark.parametrize("halo", [1, 5])
def test_a_halo_is_handed_out_as_exactly_as_the_tile(options: Any, halo: int) -> None:
    unet, pixels = net(**options), image(40, 52)
    whole = predict(ready(unet), pixels, TileGrid((40, 52), (40, 52), unet.footprint))
    grid = TileGrid((40, 52), (16, 20), unet.footprint, halo)
    for tile, found in stream(ready(unet), batched(grid, 3), lambda t: read_mirrored(pixels, t.read)):
        assert tile.kept == widened(tile.write, halo, (40, 52))
        np.testing.assert_allclose(found, whole[(slice(None), *tile.kept)], atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_tiled_equals_whole_on_a_gpu() -> None:
    unet = net(width=16, depth=4, padding="same", norm="batch").to("cuda")
    pixels, net_there = image(300, 270), prepare(unet, torch.device("cuda"))
    whole = predict(net_there, pixels, TileGrid((300, 270), (304, 272), unet.footprint))
    tiled = predict(net_there, pixels, TileGrid((300, 270), (64, 96), unet.footprint), batch=5)
    np.testing.assert_allclose(tiled, whole, atol=1e-4)


def test_a_prediction_does_not_load_torchs_compiler() -> None:
    code = (
        "import sys, numpy, torch\n"
        "from unetseg.nets import build_net\n"
        "from unetseg.inference.engines import prepare\n"
        "from unetseg.inference.memory import choose_grid\nfrom unetseg.inference.predict import predict\n"
        "net = build_net('unet', channels=1, classes=2, width=2, padding='same', norm='batch', dropout=0.0)\n"
        "grid = choose_grid(net, (20, 20), memory=2**30)\n"
        "predict(prepare(net, torch.device('cpu')), numpy.zeros((1, 20, 20), numpy.float32), grid)\n"
        "print('torch._dynamo' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_are_the_softmax_of_the_logits(classes: int) -> None:
    """Also where they are all but certain: two classes take another way."""
    unet: Any = build_net("unet", channels=1, classes=classes, width=4, depth=1, padding="same").eval()
    torch.nn.init.constant_(unet.head.weight, 0)
    sure = torch.tensor([0.0, 30.0, -30.0][:classes])
    unet.head.bias.data = sure
    found = predict(ready(unet), image(8, 8), TileGrid((8, 8), (8, 8), unet.footprint))
    np.testing.assert_allclose(found[:, 3, 4], torch.softmax(sure.double(), 0), rtol=1e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted as Linux lists them")
def test_the_thread_that_computes_alone_has_helpers() -> None:
    """Otherwise there are more of them than processors, and OpenMP lets them sleep at every turn."""
    code = (
        "import os, torch\n"
        "from unetseg.device import one_thread\n"
        "from unetseg.inference.memory import choose_grid\n"
        "from unetseg.nets import build_net\n"
        "from unetseg.inference.engines import prepare\n"
        "torch.set_num_threads(2)\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "with one_thread():\n"
        "    net = build_net('unet', channels=1, classes=2, width=64, depth=2, padding='same')\n"
        "    net.to(memory_format=torch.channels_last)\n"
        "choose_grid(net.eval(), (999, 999), memory=2**30)\n"
        "prepare(net, torch.device('cpu'))\n"
        "print(len(os.listdir('/proc/self/task')) - before, torch.get_num_threads())\n"
        "torch.ones(1000, 1000) @ torch.ones(1000, 1000)\n"
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["0", "2", "1"]
