"""How much memory a prediction takes, and the largest tiles that fit into what is allowed."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from unetseg.device import one_thread
from unetseg.errors import UserError
from unetseg.inference.blending import blending_bytes, tiling_footprint
from unetseg.inference.engines import ENGINES
from unetseg.inference.folding import folded
from unetseg.nets.contract import BlendedTiles, Net
from unetseg.tiles import TileGrid, even_grid


def choose_grid(
    net: Net, shape: Sequence[int], *, memory: int, side: int = 0, engine: str = "torch"
) -> TileGrid:
    """The grid of the largest tiles that fit into `memory` bytes, or of tiles of `side` pixels.

    A given side is rounded up to the net's stride. engine: a name in ENGINES, whose memory counts.
    Raises UserError where even the smallest tile does not fit.
    """
    foot = tiling_footprint(net)
    if side > 0:
        return even_grid(shape, [-(-side // s) * s for s in foot.stride], foot)
    whole = max(-(-n // s) * s for n, s in zip(shape, foot.stride, strict=True))
    stride = max(foot.stride)
    steps = range(-(-whole // stride) * stride, 0, -stride)
    grids = [even_grid(shape, [step] * len(foot.stride), foot) for step in steps]
    sizes = [math.prod(grid.read_shape) for grid in grids]

    def largest(pixels: int) -> TileGrid | None:
        return next((g for g, n in zip(grids, sizes, strict=True) if n <= pixels), None)

    found = fitting_grid(net, memory, largest, engine=engine)
    if found is None:
        needed = sizes[-1] * bytes_per_pixel(net, grids[-1].read_shape, engine=engine)
        raise UserError(
            f"prediction needs {needed / 2**20:.0f} MiB for its "
            f"smallest tile, but only {memory / 2**20:.0f} MiB are allowed. Raise --memory."
        )
    return found


def fitting_grid(
    net: Net,
    memory: int,
    grid_of: Callable[[int], TileGrid | None],
    *,
    beside: int = 0,
    engine: str = "torch",
) -> TileGrid | None:
    """What `grid_of` gives for the most pixels of a tile's input that fit into `memory` bytes.

    beside: bytes per pixel that are alive besides the net's. The maps of a valid net shrink less in a
    larger tile, which so takes more bytes a pixel: they are counted again for the tile found.
    """
    probe = on_meta(net)  # once: bytes_per_pixel has then no weights to copy
    per_pixel = bytes_per_pixel(probe, engine=engine)
    while (grid := grid_of(memory // (per_pixel + beside))) is not None:
        needed = bytes_per_pixel(probe, grid.read_shape, engine=engine)
        if needed <= per_pixel:
            break
        per_pixel = needed
    return grid


def bytes_per_pixel(net: Net, size: Sequence[int] | None = None, *, engine: str = "torch") -> int:
    """Peak memory of a prediction per pixel of a tile's input, of `size` or a small one.

    The net runs on the meta device, where tensors have no values, while the bytes of those alive are
    counted. How much an engine takes for them is measured (`Engine.workspace`, `Engine.per_pixel`).
    """
    probe = on_meta(net)
    if size is None:
        foot = tiling_footprint(net)
        size = [n + 16 * s for n, s in zip(foot.smallest, foot.stride, strict=True)]
    computed = (net.window,) * net.dims if isinstance(net, BlendedTiles) else size
    with torch.no_grad(), _AliveBytes() as alive:
        probe(torch.empty(1, net.channels, *computed, device="meta"))
    used = ENGINES[engine]
    beside = used.per_pixel + blending_bytes(net)
    return math.ceil(used.workspace * alive.most / math.prod(size)) + beside


def on_meta(net: Net) -> Net:
    """A copy of the net for inference on the meta device: shapes without values."""
    with one_thread():
        return cast(Net, folded(net).to("meta"))


def held_bytes(net: Net, *, engine: str = "torch") -> int:
    """Bytes of the weights of a net, of the copies that an engine makes of them, and of the engine itself."""
    own = sum(t.numel() * t.element_size() for t in net.state_dict().values())
    return own * (1 + ENGINES[engine].copies) + ENGINES[engine].fixed


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


SHAPES: dict[Any, Callable[..., Tensor]] = {
    torch.ops.aten.cat.default: _cat,
}
"""Operations that would load torch's compiler on the meta device, and empty tensors of their shape."""
