"""Computing activations again changes memory and time, nothing else."""

import copy
from typing import Any

import pytest
import torch

from unetseg.checkpointing import recompute_blocks
from unetseg.nets import build_net

OPTIONS = {"width": 4, "depth": 2, "padding": "same", "norm": "batch", "dropout": 0.5}


def trained_once(net: Any, kept: list[int]) -> Any:
    """The net after a backward pass in training; what autograd kept for it is counted into `kept`."""

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    net.train()
    torch.manual_seed(3)
    images = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        loss = net(images).square().mean()
    loss.backward()
    return net


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_gradients_and_running_statistics_are_the_same(norm: str) -> None:
    plain: Any = build_net("unet", channels=1, classes=2, seed=1, **(OPTIONS | {"norm": norm}))
    again = copy.deepcopy(plain)
    recompute_blocks(again)
    kept_plain: list[int] = []
    kept_again: list[int] = []
    trained_once(plain, kept_plain)
    trained_once(again, kept_again)
    for (name, one), (other_name, other) in zip(
        plain.named_parameters(), again.named_parameters(), strict=True
    ):
        assert name == other_name
        assert torch.equal(one.grad, other.grad), name
    before, after = plain.state_dict(), again.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert sum(kept_again) < 0.5 * sum(kept_plain)


def test_prediction_and_copies_are_untouched() -> None:
    plain: Any = build_net("unet", channels=1, classes=2, seed=1, **OPTIONS)
    again = copy.deepcopy(plain)
    recompute_blocks(again)
    images = torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(plain.eval()(images), copy.deepcopy(again).eval()(images))
