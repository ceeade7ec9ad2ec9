"""What training asks of a device, counted on one that holds no values: operations, copies and reads.

torch's "meta" device stands for a GPU: tensors there have a shape and no data, a copy to them crosses
devices, and a number that is read from one is counted here.
"""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from unetseg.batches import batches
from unetseg.losses import weighted_cross_entropy
from unetseg.nets import build_net
from unetseg.nets.unet import unet_footprint
from unetseg.sample import Example
from unetseg.settings import AugmentSettings, TrainSettings
from unetseg.train import new_state, train

META = torch.device("meta")


class Counted(TorchDispatchMode):
    """Counts operations by name, copies from the host, and numbers read from the device, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.copies = 0
        self.read_after: list[bool] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if name.startswith("aten._local_scalar_dense") and args[0].device == META:
            self.read_after.append(any("backward" in done for done in self.operations))
            return 0.5
        self.operations[name] += 1
        out = func(*args, **(kwargs or {}))
        if "copy" in name:
            source = args[1] if name.startswith("aten.copy_") else args[0]
            self.copies += isinstance(out, torch.Tensor) and out.device == META and source.device != META
        return out


def examples(*sizes: tuple[int, int]) -> list[Example]:
    rng = np.random.default_rng(0)
    return [
        Example(
            str(i), rng.normal(size=(1, *s)).astype(np.float32), np.zeros(s, np.uint8), np.ones(s, np.float32)
        )
        for i, s in enumerate(sizes)
    ]


def of_one_batch(size: int, data: list[Example]) -> Counted:
    source = batches(
        data, augment=AugmentSettings(blur=1.0), crop=(32, 32), footprint=unet_footprint(2, valid=False),
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
    options: Any = {"width": 4, "depth": 2, "padding": "same", "norm": "batch"}
    state = new_state(build_net("unet", channels=1, classes=2, seed=1, **options), settings, META)
    source = batches(
        examples((40, 50)), augment=AugmentSettings(), crop=(32, 32), footprint=state.net.footprint,
        train=settings, seed=3, start=0, device=META,
    )  # fmt: skip
    with Counted() as counted:
        done = list(train(state, source, weighted_cross_entropy, settings, seed=3, device=META))
        assert counted.read_after == [True] * 3  # each step's loss is read when the next has been started
        assert [step.loss for step in done] == [0.5] * 4
        assert len(counted.read_after) == 4
