"""Training in several processes, started by torchrun: every process takes its part of each batch.

The processes hold the same weights. Each computes the gradient of its crops, and
DistributedDataParallel (Li et al., VLDB 2020) averages the gradients; as the parts are equally
large and the loss is a mean over pixels, that is the gradient of the whole batch. Without torchrun
there is one process, and all of this does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from unetseg.errors import UserError
from unetseg.nets.contract import Net

PATIENCE = timedelta(hours=12)
"""The others wait while the first process validates."""


def rank() -> int:
    """The number of this process among those that torchrun started; 0 without it."""
    return int(os.environ.get("RANK", "0"))


def processes() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Connect the processes while the block runs: by NCCL on GPUs, else by gloo.

    device: as `choose_device` takes it; "auto" and "cuda" become each process's own GPU.
    """
    if processes() == 1:
        yield
        return
    cuda = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if cuda and ":" not in device:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def wait_for_all() -> None:
    """Return once every process has come here."""
    if processes() > 1:
        dist.barrier()


def own_part(batch: int) -> slice:
    """The crops of a batch that belong to this process: equal parts in the order of the ranks."""
    if batch % processes():
        fitting = [n for n in range(1, batch + 1) if batch % n == 0]
        raise UserError(
            f"train.batch = {batch} cannot be shared equally by {processes()} processes. Start one of "
            f"{', '.join(map(str, fitting))} processes, or set train.batch to a multiple of {processes()}."
        )
    size = batch // processes()
    return slice(rank() * size, (rank() + 1) * size)


def averaging(net: Net, device: torch.device) -> nn.Module:
    """The net whose gradients are averaged over the processes; the same net where there is one.

    On GPUs batch norm takes its statistics from the whole batch (SyncBatchNorm); on the CPU, where
    torch cannot, from the process's part.
    """
    module = cast(nn.Module, net)
    if processes() == 1:
        return module
    if device.type == "cuda":
        module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
    return DistributedDataParallel(module)


def mean_of_all(value: Tensor) -> Tensor:
    """The mean of the processes' values, on their device."""
    return value if processes() == 1 else _sum(value.double()) / processes()


def any_of_all(value: bool, device: torch.device) -> bool:
    """Whether it is true in any process."""
    return value if processes() == 1 else bool(_sum(torch.tensor(float(value), device=device)) > 0)


def _sum(value: Tensor) -> Tensor:
    dist.all_reduce(value)
    return value
