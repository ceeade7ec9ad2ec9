"""The training loop: schedules, resuming bit for bit, and losses that are not finite."""

import copy
import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from unetseg.batches import batches
from unetseg.errors import UserError
from unetseg.losses import weighted_cross_entropy
from unetseg.nets import build_net
from unetseg.sample import Example
from unetseg.settings import AugmentSettings, TrainSettings
from unetseg.train import State, learning_rate, new_state, train

CPU = torch.device("cpu")
SMALL = TrainSettings(steps=6, batch=2, crop=(16,))
BATCH_NORM = {"width": 4, "depth": 2, "padding": "same", "norm": "batch", "dropout": 0.5}


def disc_examples() -> list[Example]:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32]
    found = []
    for i in range(3):
        classes = ((y - 10 - 4 * i) ** 2 + (x - 16) ** 2 < 49).astype(np.uint8)
        image = (classes + 0.3 * rng.normal(size=classes.shape)).astype(np.float32)[None]
        found.append(Example(str(i), image, classes, np.ones(classes.shape, np.float32)))
    return found


def fresh(settings: TrainSettings, device: torch.device = CPU) -> State:
    net: Any = build_net("unet", channels=1, classes=2, seed=1, **BATCH_NORM)
    return new_state(net, settings, device)


def steps(
    state: State, settings: TrainSettings, count: int | None = None, device: torch.device = CPU
) -> list[Any]:
    source = batches(
        disc_examples(), augment=AugmentSettings(), crop=(16, 16), footprint=state.net.footprint,
        train=settings, seed=7, start=state.step, device=device,
    )  # fmt: skip
    done = train(state, source, weighted_cross_entropy, settings, seed=7, device=device)
    return list(itertools.islice(done, count))


def same_weights(a: State, b: State) -> bool:
    one, other = a.net.state_dict(), b.net.state_dict()
    return all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_resumed_run_equals_an_uninterrupted_one(optimizer: Any, precision: Any) -> None:
    """Bit for bit, with dropout, batch norm, noise and a schedule, wherever it is cut."""
    settings = replace(SMALL, optimizer=optimizer, precision=precision, learning_rate=1e-2, momentum=0.9)
    whole = fresh(settings)
    losses = [s.loss for s in steps(whole, settings)]
    for cut in (1, 4):
        first = fresh(settings)
        before = steps(first, settings, cut)
        saved = copy.deepcopy(first.state_dict())
        torch.rand(5)  # whatever else used the generator in between
        second = fresh(settings)
        second.load_state_dict(saved)
        after = steps(second, settings)
        assert [s.loss for s in before + after] == losses
        assert same_weights(whole, second)


def test_another_seed_gives_other_weights() -> None:
    one, other = fresh(SMALL), fresh(SMALL)
    steps(one, SMALL)
    source = batches(
        disc_examples(), augment=AugmentSettings(), crop=(16, 16), footprint=other.net.footprint,
        train=SMALL, seed=8, start=0, device=CPU,
    )  # fmt: skip
    list(train(other, source, weighted_cross_entropy, SMALL, seed=8, device=CPU))
    assert not same_weights(one, other)


def test_it_learns() -> None:
    settings = replace(SMALL, steps=60, learning_rate=1e-2)
    losses = [s.loss for s in steps(fresh(settings), settings)]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])


def test_schedules_hand_worked() -> None:
    settings = TrainSettings(steps=100, learning_rate=1.0, schedule="one-cycle")
    assert learning_rate(settings, 0) == pytest.approx(0.04)
    assert learning_rate(settings, 5) == pytest.approx(0.52)
    assert learning_rate(settings, 10) == pytest.approx(1.0)
    assert learning_rate(settings, 55) == pytest.approx(0.5)
    cosine = replace(settings, schedule="cosine")
    assert [learning_rate(cosine, n) for n in (0, 50, 100)] == pytest.approx([1.0, 0.5, 0.0])
    assert learning_rate(replace(settings, schedule="constant"), 77) == 1.0


def test_the_papers_momentum_is_used() -> None:
    state = fresh(replace(SMALL, optimizer="sgd", momentum=0.99))
    assert isinstance(state.optimizer, torch.optim.SGD)
    assert state.optimizer.param_groups[0]["momentum"] == 0.99


def test_clipping_bounds_the_gradient() -> None:
    settings = replace(SMALL, clip=1e-3)
    state = fresh(settings)
    steps(state, settings, 1)
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in state.net.parameters() if p.grad is not None))
    assert norm <= 1e-3 * 1.001


def test_a_loss_that_is_not_finite_is_one_clear_error() -> None:
    state = fresh(SMALL)
    with torch.no_grad():
        next(state.net.parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match=r"step 1: the loss is nan.*learning_rate"):
        steps(state, SMALL)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_a_resumed_run_equals_an_uninterrupted_one_on_a_gpu(precision: Any) -> None:
    from unetseg.device import make_deterministic

    make_deterministic()
    device, settings = torch.device("cuda"), replace(SMALL, precision=precision)
    whole, first, second = (fresh(settings, device) for _ in range(3))
    steps(whole, settings, device=device)
    steps(first, settings, 3, device)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    steps(second, settings, device=device)
    assert same_weights(whole, second)


def test_the_fused_optimizer_takes_the_same_steps() -> None:
    plain, fused = fresh(SMALL), fresh(replace(SMALL, fused=True))
    losses = [s.loss for s in steps(plain, SMALL)]
    assert [s.loss for s in steps(fused, replace(SMALL, fused=True))] == pytest.approx(losses, rel=1e-5)


def test_determinism_is_a_choice_and_the_default() -> None:
    from unetseg.device import make_deterministic

    assert TrainSettings().deterministic
    make_deterministic(False)
    assert not torch.are_deterministic_algorithms_enabled()
    make_deterministic()
    assert torch.are_deterministic_algorithms_enabled()


def test_several_heads_are_trained_by_the_mean_of_their_losses() -> None:
    """Deep supervision, by hand: the first step's loss, and its SGD step."""
    settings = replace(SMALL, optimizer="sgd", momentum=0.0, weight_decay=0.0, clip=0.0)
    net: Any = build_net("unet++", channels=1, classes=2, seed=1, width=4, depth=2)
    state, by_hand = new_state(net, settings, CPU), copy.deepcopy(net)
    (step,) = steps(state, settings, count=1)
    source = batches(
        disc_examples(), augment=AugmentSettings(), crop=(16, 16), footprint=net.footprint,
        train=settings, seed=7, start=0, device=CPU,
    )  # fmt: skip
    batch = next(source)
    one, two = (weighted_cross_entropy(x, batch.target, batch.weight) for x in by_hand(batch.images))
    ((one + two) / 2).backward()
    assert step.loss == pytest.approx(((one + two) / 2).item(), rel=1e-5)
    for after, before in zip(net.parameters(), by_hand.parameters(), strict=True):
        moved = before - learning_rate(settings, 0) * before.grad
        assert torch.allclose(after, moved, atol=1e-6)
