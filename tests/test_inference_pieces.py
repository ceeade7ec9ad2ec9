"""Memory that runs out: the batch is halved and the prediction goes on, down to a single tile."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from unetseg.errors import UserError
from unetseg.inference import pieces
from unetseg.inference.engines import InferenceNet, prepare
from unetseg.inference.pieces import Pieces
from unetseg.inference.predict import predict
from unetseg.nets import build_net
from unetseg.tiles import TileGrid

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def nothing_said_yet() -> None:
    pieces._warn.cache_clear()


class Small:
    """A network on a device whose memory holds so many images; it notes the batches that fitted."""

    def __init__(self, net: InferenceNet, most: int, error: type[RuntimeError]) -> None:
        self.net, self.most, self.error = net, most, error
        self.batches: list[int] = []

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.most:
            raise self.error("CUDA out of memory. Tried to allocate 20.00 MiB\nmore words")
        self.batches.append(len(images))
        return self.net(images)


def small(most: int, error: type[RuntimeError] = torch.OutOfMemoryError) -> tuple[Any, Small, TileGrid]:
    options: Any = {"width": 4, "depth": 2, "padding": "same", "norm": "batch"}
    net = prepare(build_net("unet", channels=1, classes=2, **options).eval(), CPU)
    limited = Small(net, most, error)
    return replace(net, forward=limited), limited, TileGrid((40, 40), (8, 8), net.footprint)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_a_batch_that_does_not_fit_is_halved_once_and_said_once(
    error: type[RuntimeError], caplog: pytest.LogCaptureFixture
) -> None:
    image = np.random.default_rng(0).normal(size=(1, 40, 40)).astype(np.float32)
    net, limited, grid = small(3, error)
    found = predict(net, image, grid, batch=10)
    assert limited.batches == [2] * 5 + [2] * 5 + [2, 2, 1]
    np.testing.assert_allclose(found, predict(limited.net, image, grid, batch=2), atol=1e-6)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "not enough memory on cpu for a batch of 10 tiles; 2 at a time from here on. --batch 2 avoids the "
        "attempt."
    )


def test_a_tile_that_does_not_fit_is_one_error(caplog: pytest.LogCaptureFixture) -> None:
    net, limited, grid = small(0)
    with pytest.raises(UserError) as caught:
        predict(net, np.zeros((1, 40, 40), np.float32), grid, batch=8)
    assert str(caught.value) == (
        "not enough memory (CUDA out of memory. Tried to allocate 20.00 MiB). Give a smaller "
        "--memory or --tile."
    )
    assert limited.batches == []
    assert caplog.records == []


def test_another_error_is_not_tried_again() -> None:
    calls = []

    def broken(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        raise RuntimeError("sizes do not match")

    with pytest.raises(RuntimeError, match="sizes"):
        Pieces()(broken, torch.zeros(4, 1))
    assert calls == [4]
