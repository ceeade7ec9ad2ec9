"""Copies to the device and back; CUDA's streams by a model of them that finds accesses without an order.

Every access to memory is noted with who makes it: a stream or the host. Two accesses of which one writes
need an order: of one stream, by an event, by waiting, or because the host gave the work later.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from unetseg.inference import transfer
from unetseg.inference.transfer import Direct, Streams, transfer_to

CPU = torch.device("cpu")
Clock = dict[str, int]
HOST, COMPUTING = "host", "computing"
ALIVE = 3


class Order(TorchDispatchMode):
    """Vector clocks of the host and the streams; `races` lists accesses that have no order."""

    def __init__(self) -> None:
        super().__init__()
        self.clocks: dict[str, Clock] = defaultdict(dict)
        self.current = COMPUTING
        self.accesses: dict[int, list[tuple[str, int, bool]]] = defaultdict(list)
        self.made_on: dict[int, str] = {}
        self.recorded: dict[int, set[str]] = defaultdict(set)
        self.races: list[str] = []

    def join(self, who: str, clock: Clock) -> None:
        """What has happened before `clock` has happened before all that `who` does from now on."""
        mine = self.clocks[who]
        mine.update({name: max(mine.get(name, 0), n) for name, n in clock.items()})

    def access(self, who: str, where: torch.Tensor, *, writes: bool) -> None:
        clock = self.clocks[who]
        clock[who] = clock.get(who, 0) + 1
        accesses = self.accesses[address(where)]
        for other, moment, wrote in accesses:
            if (writes or wrote) and clock.get(other, 0) < moment:
                self.races.append(f"{who} after {other}")
        accesses.append((who, clock[who], writes))

    def made(self, tensor: torch.Tensor) -> None:
        key = address(tensor)
        self.made_on[key] = self.current
        weakref.finalize(tensor.untyped_storage(), self.freed, key)

    def freed(self, key: int) -> None:
        """What is made next on the same stream may have the memory, so all who use it must be known."""
        used = {who for who, _, _ in self.accesses.pop(key, [])}
        for who in used - {HOST, self.made_on.pop(key)} - self.recorded.pop(key, set()):
            self.races.append(f"freed while {who} uses it")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.join(self.current, self.clocks[HOST])
        name = func.name()
        if name in ("aten::empty.memory_format", "aten::flip"):
            self.made(out)
        if name in ("aten::copy_", "aten::flip"):
            self.access(self.current, args[name == "aten::copy_"], writes=False)
            self.access(self.current, out, writes=True)
        return out


def address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class FakeStream:
    order: Order

    def __init__(self, device: Any, name: str = "") -> None:
        self.name = name or f"stream {id(self)}"

    def wait_event(self, event: FakeEvent) -> None:
        self.order.join(self.name, event.clock)

    def wait_stream(self, other: FakeStream) -> None:
        self.order.join(self.name, self.order.clocks[other.name])


class FakeEvent:
    def __init__(self) -> None:
        self.clock: Clock = {}

    def record(self, stream: FakeStream) -> None:
        self.clock = dict(stream.order.clocks[stream.name])

    def synchronize(self) -> None:
        FakeStream.order.join(HOST, self.clock)


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> Order:
    """The streams that stand for CUDA's; tensors of the "device" are the computer's."""
    found = FakeStream.order = Order()
    stack = np.stack

    @contextmanager
    def stream(asked: FakeStream) -> Iterator[None]:
        before, found.current = found.current, asked.name
        yield
        found.current = before

    def fill(tiles: Any, out: np.ndarray) -> None:
        found.access(HOST, torch.from_numpy(out), writes=True)
        stack(tiles, out=out)

    monkeypatch.setattr(torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: FakeStream(device, COMPUTING))
    monkeypatch.setattr(
        torch.Tensor, "record_stream", lambda tensor, who: found.recorded[address(tensor)].add(who.name)
    )
    monkeypatch.setattr(np, "stack", fill)
    monkeypatch.setattr(transfer, "pinned", of_the_host)
    return found


def of_the_host(size: int) -> torch.Tensor:
    return torch.from_numpy(np.empty(size, np.uint8))


def groups() -> list[list[np.ndarray]]:
    """Groups of tiles, of several sizes."""
    rng = np.random.default_rng(0)
    sizes = (3, 3, 5, 1, 3, 3, 2, 8)
    return [[rng.normal(size=(1, 6, n)).astype(np.float32) for _ in range(2)] for n in sizes]


def streamed(way: Streams, order: Order) -> list[np.ndarray]:
    """The flipped groups; each is read when `ALIVE` have been asked for, as in `predict.stream`."""
    found, asked = [], []

    def take() -> None:
        pixels = asked.pop(0)()
        order.access(HOST, torch.from_numpy(pixels), writes=False)
        found.append(pixels.copy())

    for tiles in groups():
        with order:
            asked.append(way.download(way.upload(tiles).flip(-1)))
        if len(asked) == ALIVE:
            take()
    while asked:
        take()
    return found


def test_streams_give_what_was_computed_and_every_access_has_an_order(order: Order) -> None:
    found = streamed(Streams(CPU, ALIVE), order)
    assert order.races == []
    for tiles, result in zip(groups(), found, strict=True):
        np.testing.assert_array_equal(result, np.array(tiles)[..., ::-1])


@pytest.mark.parametrize(
    ("where", "left_out"),
    [
        (FakeStream, "wait_event"),
        (FakeStream, "wait_stream"),
        (FakeEvent, "synchronize"),
        (torch.Tensor, "record_stream"),
    ],
)
def test_streams_that_leave_out_an_order_are_found(
    where: Any, left_out: str, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, left_out, lambda *_: None)
    streamed(Streams(CPU, ALIVE), order)
    assert order.races


def test_pinned_memory_is_used_again(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(size: int) -> torch.Tensor:
        made.append(size)
        return of_the_host(size)

    monkeypatch.setattr(transfer, "pinned", counted)
    way = Streams(CPU, ALIVE)
    for _ in range(9):
        way.download(way.upload(groups()[0]))()
    assert len(made) == transfer.INPUTS + ALIVE


def test_a_result_is_overwritten_when_fewer_are_said_to_be_wanted(order: Order) -> None:
    found = streamed(Streams(CPU, ALIVE - 1), order)
    expected = [np.array(tiles)[..., ::-1] for tiles in groups()]
    assert not all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_devices_without_streams_copy_directly() -> None:
    for device in (CPU, torch.device("mps"), torch.device("meta")):
        assert isinstance(transfer_to(device, alive=3), Direct)
    tiles = groups()[0]
    np.testing.assert_array_equal(Direct(CPU).download(Direct(CPU).upload(tiles))(), np.array(tiles))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_streams_on_a_gpu_give_what_was_computed() -> None:
    """Also while the GPU is busy, when every copy is late."""
    device = torch.device("cuda")
    way, found, asked = Streams(device, ALIVE), [], []
    busy = torch.randn(4096, 4096, device=device)
    for tiles in groups() * 5:
        images = way.upload(tiles)
        busy = (busy @ busy).tanh()
        asked.append(way.download(images.flip(-1)))
        del images
        if len(asked) == ALIVE:
            found.append(asked.pop(0)().copy())
    found += [result().copy() for result in asked]
    for tiles, result in zip(groups() * 5, found, strict=True):
        np.testing.assert_array_equal(result, np.array(tiles)[..., ::-1])
