"""How much memory a prediction takes, and the largest tiles that fit into what is allowed."""

from __future__ import annotations

import copy
import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from unetseg.device import one_thread
from unetseg.errors import UserError
from unetseg.nets.contract import Net, part
from unetseg.nets.quick import economical, folded, joined
from unetseg.tiles import TileGrid, even_grid

WORKSPACE = 1.3
"""What the process takes beside the tensors alive: the convolutions' own space and the allocator's
gaps (measured with the default net: 1.15 to 1.28)."""


def choose_grid(net: Net, shape: Sequence[int], *, memory: int, side: int = 0) -> TileGrid:
    """The grid of the largest tiles that fit into `memory` bytes, or of tiles of `side` pixels.

    A given side is rounded up to the net's stride. Raises UserError where even the smallest tile
    does not fit.
    """
    foot = net.footprint
    if side > 0:
        return even_grid(shape, [-(-side // s) * s for s in foot.stride], foot)
    whole = max(-(-n // s) * s for n, s in zip(shape, foot.stride, strict=True))
    stride = max(foot.stride)
    steps = range(-(-whole // stride) * stride, 0, -stride)
    grids = [even_grid(shape, [step] * len(foot.stride), foot) for step in steps]
    sizes = [math.prod(grid.read_shape) for grid in grids]
    found = fitting_grid(
        net, memory, lambda most: next((g for g, n in zip(grids, sizes, strict=True) if n <= most), None)
    )
    if found is None:
        raise UserError(
            f"prediction needs {sizes[-1] * bytes_per_pixel(net) / 2**20:.0f} MiB for its "
            f"smallest tile, but only {memory / 2**20:.0f} MiB are allowed. Raise --memory."
        )
    return found


def fitting_grid(
    net: Net, memory: int, grid_of: Callable[[int], TileGrid | None], *, beside: int = 0
) -> TileGrid | None:
    """What `grid_of` gives for the most pixels of a tile's input that fit into `memory` bytes.

    beside: bytes per pixel that are alive besides the net's. The larger a tile, the fewer bytes a pixel
    takes (see `nets.rows`), so they are estimated again for the tile found, until it grows no more.
    """
    net = on_meta(net)  # once: bytes_per_pixel has then no weights to copy
    grid = grid_of(memory // (bytes_per_pixel(net) + beside))
    while grid is not None:
        larger = grid_of(memory // (bytes_per_pixel(net, grid.read_shape) + beside))
        if larger is None or math.prod(larger.read_shape) <= math.prod(grid.read_shape):
            break
        grid = larger
    return grid


def bytes_per_pixel(net: Net, size: Sequence[int] | None = None) -> int:
    """Estimated peak memory of a prediction per pixel of a tile's input, of `size` or a small one.

    The net runs without numbers (on the meta device) while the bytes of the tensors alive are counted.
    """
    probe = on_meta(net)
    if size is None:
        pairs = zip(net.footprint.smallest, net.footprint.stride, strict=True)
        size = [n + 16 * s for n, s in pairs]
    with torch.no_grad(), _AliveBytes() as alive:
        images = torch.empty(1, net.channels, *size, device="meta")
        part(probe, images, [(0, n) for n in net.footprint.output(size)])
    return math.ceil(WORKSPACE * alive.most / math.prod(size))


def on_meta(net: Net) -> Net:
    """A copy of the net for prediction on the meta device: shapes alone."""
    with one_thread():
        return joined(cast(Net, folded(net).to("meta")))


def held_bytes(net: Net, probe: Net) -> int:
    """Bytes of the numbers of a net and of its copy for prediction, by that `on_meta`."""
    quick = economical(copy.deepcopy(probe))
    return sum(t.numel() * t.element_size() for n in (net, quick) for t in n.state_dict().values())


class _AliveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that are made and not yet freed while it is entered."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.known: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch would load its compiler, which takes a second, to keep it away from here."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = SHAPES.get(func, func)(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor):
                self._note(tensor.untyped_storage())
        return out

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self.known:
            self.known.add(key)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def _cat(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    shape = list(tensors[0].shape)
    shape[axis] = sum(t.shape[axis] for t in tensors)
    return tensors[0].new_empty(shape)


def _maximum(one: Tensor, other: Tensor) -> Tensor:
    return one.new_empty(one.shape)


SHAPES: dict[Any, Callable[..., Tensor]] = {
    torch.ops.aten.cat.default: _cat,
    torch.ops.aten.maximum.default: _maximum,
}
"""Operations that would load torch's compiler on the meta device, and empty tensors of their shape."""
