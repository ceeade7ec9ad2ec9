"""How an image is divided: into tiles that share no chunk of the output, within the allowed memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import lcm, prod

from unetseg.errors import UserError
from unetseg.inference.blending import tiling_footprint
from unetseg.inference.memory import bytes_per_pixel, fitting_grid, held_bytes, on_meta
from unetseg.inference.predict import IN_FLIGHT
from unetseg.nets import Net
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.tiles import Partition, TileGrid, leanest_grid

CHUNK = 512
"""Approximate side in pixels of the output's chunks."""
PROGRAM = 400 * 2**20
"""Bytes that Python, torch and Zarr take before the first tile."""
LABELLING = 56
"""The most bytes per pixel of a tile for its components, tables and compression."""


@dataclass(frozen=True)
class Plan:
    """grids: the tiles in pixels of each network's input; partition: the same tiles in pixels of the
    image; chunk: side of the output's chunks; batch: tiles computed at once; memory: bytes a batch takes;
    automatic: whether the batch follows from a GPU's free memory.
    """

    grids: tuple[TileGrid, ...]
    partition: Partition
    chunk: int
    batch: int
    memory: int
    automatic: bool = False

    @property
    def grid(self) -> TileGrid:
        """The tiles of the first network."""
        return self.grids[0]

    @property
    def tile_batches(self) -> int:
        """Batches; their tiles are fixed, so that a resumed run computes the same numbers."""
        return -(-len(self.partition) // self.batch)

    def tile_batch(self, number: int) -> range:
        """The tiles of a batch."""
        return range(number * self.batch, min((number + 1) * self.batch, len(self.partition)))

    @property
    def redundancy(self) -> float:
        """Pixels that the network computes per pixel of its input."""
        return len(self.grid) * prod(self.grid.read_shape) / prod(self.grid.shape)


def make_plan(
    model: Model, shape: tuple[int, int], settings: PredictSettings, *, chunked: bool = True
) -> Plan:
    """The plan that computes the fewest pixels for an image of `shape` (y, x) within `settings.memory`.

    Tiles get the halo that the model's median filter needs. Averaged models share the tiles and
    the memory. chunked: whether tiles must end where chunks do, as an output that is written tile by tile
    needs. Raises UserError if not even the smallest tile fits.
    """
    if model.net.dims != 2:
        raise UserError("a 3D network predicts whole volumes, not images tile by tile.")
    cutters = [_Cutter.of(m, model.recipe.labels.halo, shape, settings) for m in (model, *model.others)]
    held = sum(c.held for c in cutters)
    allowed = max(settings.memory - PROGRAM - held, settings.memory // 2) // len(cutters)
    base = lcm(*(c.base for c in cutters))
    count = max(CHUNK // base, 1)
    while count > 1 and 0 < settings.side < count * base:
        count //= 2
    while count:
        chunk = count * base
        units = [min(chunk, -(-n // base) * base) if chunked else base for n in shape]
        steps = [c.step((units[0], units[1]), allowed) for c in cutters]
        if None not in steps:
            step = min((s for s in steps if s is not None), key=prod)
            automatic = settings.batch == 0 and model.device.type == "cuda"
            batch, memory = _batch(cutters, step, allowed * len(cutters), on_gpu=automatic)
            grids = tuple(c.grid(step) for c in cutters)
            return Plan(grids, Partition(shape, step), chunk, batch, memory, automatic)
        count //= 2
    raise UserError(
        f"prediction needs more than the allowed {settings.memory / 2**20:.0f} MiB even for the smallest "
        "tile. Raise --memory."
    )


def _batch(
    cutters: Sequence[_Cutter], step: tuple[int, int], allowed: int, *, on_gpu: bool
) -> tuple[int, int]:
    """Tiles computed at once, and the bytes of the computer's memory that they take."""
    tile = sum(c.tile_bytes(step, with_maps=not on_gpu) for c in cutters)
    fits = max(1, allowed // tile)
    batch = min(fits, *(c.model.batch(c.settings, c.grid(step), fits) for c in cutters))
    return batch, batch * tile


@dataclass(frozen=True)
class _Cutter:
    """Divides an image for one network. probe: the network on the meta device, made once."""

    model: Model
    probe: Net
    held: int
    halo: int
    shape: tuple[int, int]
    settings: PredictSettings
    engine: str

    @classmethod
    def of(cls, model: Model, halo: int, shape: tuple[int, int], settings: PredictSettings) -> _Cutter:
        """For an image of `shape` pixels; halo: pixels of the image around a tile that its result needs."""
        factor, probe, engine = model.recipe.downsample, on_meta(model.net), model.engine(settings)
        around = -(-halo // factor) + (1 if factor > 1 else 0)  # enlarging needs the next pixel
        small = (-(-shape[0] // factor), -(-shape[1] // factor))
        return cls(model, probe, held_bytes(model.net, engine=engine), around, small, settings, engine)

    @property
    def base(self) -> int:
        """The steps of tiles are multiples of so many pixels of the image."""
        return self.model.recipe.downsample * tiling_footprint(self.model.net).stride[0]

    def step(self, units: tuple[int, int], allowed: int) -> tuple[int, int] | None:
        """The tiles' step in pixels of the image, multiples of `units`; None if no tile fits."""
        factor, foot = self.model.recipe.downsample, tiling_footprint(self.model.net)
        side, small = -(-self.settings.side // factor), (units[0] // factor, units[1] // factor)
        if side:
            y, x = (factor * -(-side // s) * s for s in small)
            return y, x
        leanest = partial(leanest_grid, self.shape, small, foot, halo=self.halo)
        beside = bytes_beside(self.model)
        grid = fitting_grid(
            self.probe, allowed // max(self.settings.batch, 1), leanest, beside=beside, engine=self.engine
        )
        return None if grid is None else (factor * grid.step[0], factor * grid.step[1])

    def grid(self, step: tuple[int, int]) -> TileGrid:
        """The tiles of `step` pixels of the image, in pixels of the network's input."""
        factor = self.model.recipe.downsample
        return TileGrid(
            self.shape, (step[0] // factor, step[1] // factor), tiling_footprint(self.model.net), self.halo
        )

    def tile_bytes(self, step: tuple[int, int], *, with_maps: bool = True) -> int:
        """Bytes that a tile takes, with everything besides the network; without its maps if on a GPU."""
        size = self.grid(step).read_shape
        per_pixel = bytes_per_pixel(self.probe, size, engine=self.engine) if with_maps else 0
        return prod(size) * (per_pixel + bytes_beside(self.model))


def bytes_beside(model: Model) -> int:
    """Bytes per pixel of a tile's input besides the net's: for reading ahead, the result, and labelling."""
    reading = 4 * model.net.channels * (IN_FLIGHT + 3)
    handing = 4 * model.net.classes * (IN_FLIGHT + 2)
    return reading + handing + LABELLING * model.recipe.downsample**2
