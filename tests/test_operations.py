"""What training and prediction ask of a device that holds no values: operations, copies and reads, counted.

torch's "meta" device stands for a GPU: tensors there have a shape and no data, a copy to them crosses
devices, and a number that is read from one is counted here.
"""

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.test_nets import CASES, case_id
from unetseg.batches import Batch, batches
from unetseg.inference.engines import prepare
from unetseg.inference.predict import batched, stream
from unetseg.inference.reduce import second_class
from unetseg.losses import weighted_cross_entropy
from unetseg.nets import build_net
from unetseg.nets.contract import Fitted
from unetseg.nets.unet import unet_footprint
from unetseg.sample import Example
from unetseg.settings import AugmentSettings, TrainSettings
from unetseg.tiles import TileGrid, read_mirrored
from unetseg.train import new_state, train

META, CPU = torch.device("meta"), torch.device("cpu")
OPTIONS: Any = {"width": 4, "depth": 2, "padding": "same", "norm": "batch"}


class Counted(TorchDispatchMode):
    """Counts operations by name, copies from the host and to it, and numbers read from the device, in order.

    wide: operations that made a tensor of 64-bit floats on the device, which Apple's GPUs do not have.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.copies = 0
        self.downloads: list[tuple[torch.dtype, tuple[int, ...]]] = []
        self.read_after: list[bool] = []
        self.wide: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if name.startswith("aten._local_scalar_dense") and args[0].device == META:
            self.read_after.append(any("backward" in done for done in self.operations))
            return 0.5
        self.operations[name] += 1
        if name.startswith("aten._to_copy") and args[0].device == META and kwargs.get("device") == CPU:
            self.downloads.append((args[0].dtype, tuple(args[0].shape)))
            return torch.zeros(args[0].shape, dtype=args[0].dtype)
        out = func(*args, **(kwargs or {}))
        if "copy" in name:
            source = args[1] if name.startswith("aten.copy_") else args[0]
            self.copies += isinstance(out, torch.Tensor) and out.device == META and source.device != META
        made = out if isinstance(out, tuple | list) else (out,)
        tensors = [t for t in made if isinstance(t, torch.Tensor)]
        if any(t.device == META and t.dtype in (torch.float64, torch.complex128) for t in tensors):
            self.wide.append(name)
        return out


def examples(*sizes: tuple[int, int]) -> list[Example]:
    rng = np.random.default_rng(0)
    return [
        Example(
            str(i), rng.normal(size=(1, *s)).astype(np.float32), np.zeros(s, np.uint8), np.ones(s, np.float32)
        )
        for i, s in enumerate(sizes)
    ]


BLURRED = AugmentSettings(blur=1.0)


def of_one_batch(size: int, data: list[Example], augment: AugmentSettings = BLURRED) -> Counted:
    source = batches(
        data, augment=augment, crop=(32, 32), footprint=unet_footprint(2, valid=False),
        train=TrainSettings(batch=size), seed=3, start=0, device=META,
    )  # fmt: skip
    next(source)
    with Counted() as counted:
        next(source)
    source.close()
    return counted


def test_augmentation_takes_as_many_operations_for_any_batch() -> None:
    data = examples(*[(40, 50)] * 16)
    few, many = of_one_batch(2, data), of_one_batch(16, data)
    assert sum(few.operations.values()) > 50
    assert many.operations == few.operations


@pytest.mark.parametrize("sizes", [[(40, 50)] * 8, [(40, 50), (60, 44), (40, 40), (33, 35)] * 2])
def test_a_batch_is_two_copies_to_the_device(sizes: list[tuple[int, int]]) -> None:
    assert of_one_batch(8, examples(*sizes)).copies == 2


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_step_reads_one_number_and_that_after_backward(optimizer: Any) -> None:
    settings = TrainSettings(steps=4, batch=2, crop=(32,), optimizer=optimizer)
    state = new_state(build_net("unet", channels=1, classes=2, seed=1, **OPTIONS), settings, META)
    source = batches(
        examples((40, 50)), augment=AugmentSettings(), crop=(32, 32), footprint=state.net.footprint,
        train=settings, seed=3, start=0, device=META,
    )  # fmt: skip
    with Counted() as counted:
        done = list(train(state, source, weighted_cross_entropy, settings, seed=3, device=META))
        assert counted.read_after == [True] * 3  # each step's loss is read when the next has been started
        assert [step.loss for step in done] == [0.5] * 4
        assert len(counted.read_after) == 4
    assert counted.wide == []


def test_augmentation_makes_no_64_bit_floats_on_the_device() -> None:
    everything = AugmentSettings(blur=1.0, shift=3, invert=0.5)
    assert of_one_batch(4, examples((40, 50), (44, 50)), everything).wide == []


@pytest.mark.parametrize("case", CASES, ids=map(case_id, CASES))
def test_a_network_makes_no_64_bit_floats_on_the_device(case: tuple[str, dict[str, Any]]) -> None:
    """In what it is fitted to, in a step and in prediction."""
    if case[0] == "v-net":
        pytest.importorskip("monai")
    net: Any = build_net(case[0], channels=1, classes=2, seed=1, **case[1]).to(META)
    settings = TrainSettings(steps=1)
    size = tuple(n + s for n, s in zip(net.footprint.smallest, net.footprint.stride, strict=True))
    out = (2, *net.footprint.output(size))
    batch = Batch(
        torch.zeros(2, 1, *size, device=META),
        torch.zeros(out, dtype=torch.int64, device=META),
        torch.ones(out, device=META),
    )
    with Counted() as counted:
        if isinstance(net, Fitted):
            net.fit([batch.images] * 2)
        state = new_state(net, settings, META)
        list(train(state, iter([batch]), weighted_cross_entropy, settings, seed=0, device=META))
        prepare(net.eval(), META)(batch.images)
    assert counted.operations
    assert counted.wide == []


def predicted(size: int, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Counted:
    """Three groups of `size` tiles of 16², predicted on the device, in this thread, which counts."""

    class Here(ThreadPoolExecutor):
        def submit(self, work: Any, /, *given: Any, **named: Any) -> Any:
            done: Any = Future()
            done.set_result(work(*given, **named))
            return done

    monkeypatch.setattr("unetseg.inference.predict.ThreadPoolExecutor", Here)
    net = prepare(build_net("unet", channels=1, classes=2, **OPTIONS).eval().to(META), META)
    grid = TileGrid((16, 48 * size), (16, 16), net.footprint)
    pixels = np.zeros((1, 16, 48 * size), np.float32)
    with Counted() as counted:
        for _ in stream(net, batched(grid, size), lambda t: read_mirrored(pixels, t.read), **options):
            pass
    return counted


@pytest.mark.parametrize("average", [1, 8])
@pytest.mark.parametrize("size", [1, 6])
def test_a_group_of_tiles_is_one_copy_to_the_device_and_one_back(
    size: int, average: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = predicted(size, monkeypatch, average=average)
    assert counted.copies == 3
    assert counted.downloads == [(torch.float32, (size, 2, 16, 16))] * 3
    assert counted.read_after == counted.wide == []
    reduced = predicted(size, monkeypatch, average=average, reduce=second_class(0.5))
    assert reduced.downloads == [(torch.uint8, (size, 16, 16))] * 3


def test_predictions_operations_do_not_grow_with_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    one, many = predicted(1, monkeypatch), predicted(6, monkeypatch)
    assert one.operations["aten.convolution.default"] > 20
    assert many.operations == one.operations
