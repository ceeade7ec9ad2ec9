"""How a large image is cut: tiles that share no chunk of the output, within the memory that is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import prod

from unetseg.errors import UserError
from unetseg.inference.memory import bytes_per_pixel, fitting_grid, held_bytes, on_meta
from unetseg.inference.predict import IN_FLIGHT
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.tiles import Partition, TileGrid, leanest_grid

CHUNK = 512
"""Side in pixels of the output's chunks, about."""
PROGRAM = 400 * 2**20
"""What Python, torch and Zarr take before the first tile, in bytes."""
LABELLING = 56
"""Bytes per pixel of a tile for its components, tables and compression, at most."""


@dataclass(frozen=True)
class Plan:
    """grid: the tiles in pixels of the network; partition: the same tiles in pixels of the image;
    chunk: side of the output's chunks; batch: tiles computed at once; memory: bytes a batch takes.
    """  # fmt: skip

    grid: TileGrid
    partition: Partition
    chunk: int
    batch: int
    memory: int

    @property
    def tile_batches(self) -> int:
        """Batches; what is in one is fixed, so that resuming computes the same numbers."""
        return -(-len(self.partition) // self.batch)

    def tile_batch(self, number: int) -> range:
        """The tiles of a batch."""
        return range(number * self.batch, min((number + 1) * self.batch, len(self.partition)))

    @property
    def redundancy(self) -> float:
        """Pixels that the network computes per pixel of its input."""
        return len(self.grid) * prod(self.grid.read_shape) / prod(self.grid.shape)


def make_plan(model: Model, shape: tuple[int, int], tiling: PredictSettings) -> Plan:
    """The plan that computes the fewest pixels for an image of `shape` (y, x) within `tiling.memory`.

    Tiles get the halo that the model's median filter needs. Raises UserError where not even the
    smallest tile fits.
    """
    if model.net.dims != 2:
        raise UserError("a network of volumes does not predict images tile by tile; give --out a folder.")
    if model.others:
        raise UserError("averaged probabilities are not made tile by tile yet; give --out a folder.")
    factor, foot = model.recipe.shrink, model.net.footprint
    base = factor * foot.stride[0]
    halo = -(-model.recipe.labels.halo // factor)
    around = halo + (1 if factor > 1 else 0)  # enlarging looks at the next pixel
    small = (-(-shape[0] // factor), -(-shape[1] // factor))
    probe, engine = on_meta(model.net), model.engine(tiling)  # once: bytes_per_pixel copies no weights then
    held = PROGRAM + held_bytes(model.net, engine=engine)
    allowed = max(tiling.memory - held, tiling.memory // 2)
    beside = bytes_beside(model)
    count = max(CHUNK // base, 1)
    while count:
        unit = count * foot.stride[0]
        grid = _side_grid(model, small, unit, tiling.side, around)
        if grid is None and not tiling.side:
            leanest = partial(leanest_grid, small, (unit, unit), foot, halo=around)
            grid = fitting_grid(probe, allowed // tiling.batch, leanest, beside=beside, engine=engine)
        if grid is not None:
            step = (grid.step[0] * factor, grid.step[1] * factor)
            tile = prod(grid.read_shape) * (bytes_per_pixel(probe, grid.read_shape, engine=engine) + beside)
            batch = max(1, min(tiling.batch, allowed // tile))
            return Plan(grid, Partition(shape, step), count * base, batch, batch * tile)
        count //= 2
    raise UserError(
        f"prediction needs more than the {tiling.memory / 2**20:.0f} MiB that are allowed even for its "
        "smallest tile. Raise --memory."
    )


def bytes_beside(model: Model) -> int:
    """Bytes per pixel of a tile's input besides the net's: read ahead, handed out, and labelled."""
    reading = 4 * model.net.channels * (IN_FLIGHT + 3)
    handing = 4 * model.net.classes * (IN_FLIGHT + 2)
    return reading + handing + LABELLING * model.recipe.shrink**2


def _side_grid(model: Model, shape: tuple[int, int], unit: int, side: int, halo: int) -> TileGrid | None:
    """Tiles of `side` pixels of the image, rounded up to `unit`; None where chunks are larger than that."""
    net_side = -(-side // model.recipe.shrink)
    if not side or (unit > net_side and unit > model.net.footprint.stride[0]):
        return None
    step = -(-net_side // unit) * unit
    return TileGrid(shape, (step, step), model.net.footprint, halo)
