"""The training loop: a generator of steps; the caller logs, validates, saves and stops."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn

from unetseg.batches import Batch
from unetseg.checkpointing import recompute_blocks
from unetseg.device import Mark, mark, memory_errors, precision_context, seconds_between
from unetseg.distributed import averaging, mean_of_all, processes, rank
from unetseg.errors import UserError
from unetseg.losses import Loss
from unetseg.nets.contract import Contracting, Hypotheses, Net
from unetseg.settings import TrainSettings

Logits = Tensor | tuple[Tensor, ...]
"""What a net returns in training: one head's logits or, with deep supervision, those of several."""


@dataclass
class State:
    """All that training changes: the net, its optimizer, the loss scaler and the steps done."""

    net: Net
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    step: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers only, so it loads without running code."""
        return {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue from the values of `state_dict`."""
        self.net.load_state_dict(saved["net"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scaler.load_state_dict(saved["scaler"])
        self.step = saved["step"]


@dataclass(frozen=True)
class Step:
    """One finished step, numbered from 1. loss and times are read from the device on request.

    If they are requested a step late, a GPU has finished by then and nothing waits. cpu_s: processor
    seconds of all threads, which other work on the machine does not lengthen.
    """

    number: int
    learning_rate: float
    cpu_s: float
    on_device: Tensor
    marks: tuple[Mark, Mark, Mark]

    @cached_property
    def loss(self) -> float:
        """The loss; raises UserError if it is not finite."""
        value = float(self.on_device)
        if not math.isfinite(value):
            raise UserError(
                f"step {self.number}: the loss is {value}. Lower train.learning_rate (it was "
                f"{self.learning_rate:.3g} here), set train.clip above 0, or use precision float32 or bf16."
            )
        return value

    @property
    def data_s(self) -> float:
        """Seconds until the batch was ready."""
        return seconds_between(self.marks[0], self.marks[1])

    @property
    def total_s(self) -> float:
        """Seconds of the whole step."""
        return seconds_between(self.marks[0], self.marks[2])


def new_state(net: Net, train: TrainSettings, device: torch.device) -> State:
    """The net on the device with a new optimizer."""
    layout = torch.channels_last if net.dims == 2 else torch.channels_last_3d
    if train.checkpointing:
        recompute_blocks(cast(nn.Module, net))
    if train.freeze:
        freeze_contracting_path(net)
    net.to(device, memory_format=layout if train.channels_last else torch.preserve_format)
    half = train.precision == "fp16"
    return State(net, _optimizer(net, train), torch.amp.GradScaler(device.type, enabled=half))


def freeze_contracting_path(net: Net) -> None:
    """Keep the weights and the batch-norm statistics of the net's contracting path, until `net.train()`."""
    if not isinstance(net, Contracting):
        raise UserError("train.freeze: this network has no contracting path. Leave it out.")
    for block in net.contracting_path():
        block.requires_grad_(False).eval()


def learning_rate(train: TrainSettings, step: int) -> float:
    """The learning rate of step 0, 1, …: a function of the settings and the step alone.

    "cosine" falls from the peak to 0; "one-cycle" rises linearly over the first tenth from a
    25th of the peak and then falls as a cosine (Smith & Topin 2018).
    """
    peak, done = train.learning_rate, step / train.steps
    if train.schedule == "constant":
        return peak
    if train.schedule == "one-cycle" and done < 0.1:
        return peak * (0.04 + 0.96 * done / 0.1)
    left = (done - 0.1) / 0.9 if train.schedule == "one-cycle" else done
    return peak * 0.5 * (1 + math.cos(math.pi * left))


def train(
    state: State,
    batches: Iterator[Batch],
    loss: Loss,
    train: TrainSettings,
    *,
    seed: int,
    device: torch.device,
) -> Iterator[Step]:
    """Steps state.step … train.steps − 1, one at a time; the state is up to date at each yield.

    The loss of a net with several heads is the mean of the heads' losses. Dropout is seeded by
    (seed, step), so a resumed run equals an uninterrupted one. If several processes train
    together, each one's batches are its part and the loss is the mean over all. Raises UserError
    if the loss was not finite, at the next step or when that step's loss is read, whichever is first.
    """
    forward = _forward(state.net, train, device)
    before: Step | None = None
    while state.step < train.steps:
        started, processor = mark(device), time.process_time()
        batch = next(batches)
        ready = mark(device)
        rate = learning_rate(train, state.step)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed((seed * 1_000_003 + state.step) * processes() + rank())
        with memory_errors(f"Lower train.batch ({train.batch}), train.crop or net.width."):
            value = _one_step(state, forward, batch, loss, train)
        state.step += 1
        marks = started, ready, mark(device)
        if before is not None:
            _ = before.loss  # raises where it was not finite
        before = Step(state.step, rate, time.process_time() - processor, value, marks)
        yield before


def _one_step(
    state: State, forward: Callable[[Tensor], Logits], batch: Batch, loss: Loss, train: TrainSettings
) -> Tensor:
    """The loss, which stays on the device: nothing here waits for it (except fp16's loss scaler)."""
    state.net.train()
    if train.freeze:
        freeze_contracting_path(state.net)
    state.optimizer.zero_grad(set_to_none=True)
    images = batch.images
    if train.channels_last:
        images = images.contiguous(memory_format=_layout(images))
    with precision_context(train.precision, images.device, fast=not train.deterministic):
        value = _loss_of(state.net, forward, images, batch, loss)
    state.scaler.scale(value).backward()
    if train.clip > 0:
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(state.net.parameters(), train.clip)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    return mean_of_all(value.detach())


def _loss_of(
    net: Net, forward: Callable[[Tensor], Logits], images: Tensor, batch: Batch, loss: Loss
) -> Tensor:
    """The mean of the heads' losses, or what a net of several hypotheses minimises."""
    if isinstance(net, Hypotheses):
        return net.training_loss(images, batch.target, batch.weight, loss)
    logits = forward(images)
    heads = logits if isinstance(logits, tuple) else (logits,)
    return torch.stack([loss(head, batch.target, batch.weight) for head in heads]).mean()


def _forward(net: Net, train: TrainSettings, device: torch.device) -> Callable[[Tensor], Logits]:
    forward = averaging(net, device)
    if not (train.compile or train.cuda_graphs):
        return forward
    mode = "reduce-overhead" if train.cuda_graphs else "default"
    return cast(Callable[[Tensor], Logits], torch.compile(forward, mode=mode))


def _layout(images: Tensor) -> torch.memory_format:
    return torch.channels_last if images.ndim == 4 else torch.channels_last_3d


def _optimizer(net: Net, train: TrainSettings) -> torch.optim.Optimizer:
    rate, decay, fused = train.learning_rate, train.weight_decay, train.fused
    match train.optimizer:
        case "sgd":
            momentum = train.momentum
            return torch.optim.SGD(net.parameters(), rate, momentum=momentum, weight_decay=decay, fused=fused)
        case "adamw":
            return torch.optim.AdamW(net.parameters(), rate, weight_decay=decay, fused=fused)
