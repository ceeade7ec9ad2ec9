"""Tiles: the round-trip law, alignment, and reads beyond the border."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetseg.errors import UserError
from unetseg.tiles import SPARE, Footprint, TileGrid, even_grid, leanest_grid, mirror_index, read_mirrored

PAPER = Footprint((92, 92), (16, 16), True, (12, 12))


def test_the_papers_sizes() -> None:
    assert PAPER.legal((572, 572))
    assert PAPER.output((572, 572)) == (388, 388)
    assert PAPER.smallest == (188, 188)
    assert PAPER.nearest_legal((512, 600)) == ((508, 588), (524, 604))
    assert TileGrid((512, 512), (384, 384), PAPER).read_shape == (572, 572)


def test_a_step_that_is_no_multiple_of_the_stride_is_refused() -> None:
    with pytest.raises(UserError, match="388.*stride"):
        TileGrid((512, 512), (388, 388), PAPER)


@st.composite
def grids(draw: st.DrawFn) -> TileGrid:
    dims = draw(st.integers(1, 3))
    stride = tuple(draw(st.sampled_from([1, 2, 4])) for _ in range(dims))
    valid = draw(st.booleans())
    context = tuple(draw(st.integers(0, 5)) for _ in range(dims))
    phase = tuple(draw(st.integers(0, s - 1)) if valid else 0 for s in stride)
    shape = tuple(draw(st.integers(1, 20)) for _ in range(dims))
    step = tuple(s * draw(st.integers(1, 4)) for s in stride)
    return TileGrid(shape, step, Footprint(context, stride, valid, phase))


@given(grids())
@settings(deadline=None)
def test_write_regions_partition_the_image_and_crops_are_what_was_read_there(grid: TileGrid) -> None:
    """A network that returns its input (cut by its context if valid) reassembles to the image."""
    rng = np.random.default_rng(0)
    image = rng.random((2, *grid.shape))
    written = np.zeros(grid.shape, int)
    out = np.empty_like(image)
    foot = grid.footprint
    for tile in grid:
        read = read_mirrored(image, tile.read)
        assert read.shape[1:] == grid.read_shape
        assert foot.legal(read.shape[1:])
        cut = tuple(slice(c, n - c) for c, n in zip(foot.context, read.shape[1:], strict=True))
        produced = read[(slice(None), *cut)] if foot.valid else read
        assert produced.shape[1:] == foot.output(read.shape[1:])
        out[(slice(None), *tile.write)] = produced[(slice(None), *tile.crop)]
        written[tile.write] += 1
        assert all((a + m) % s == 0 for (a, _), m, s in zip(tile.read, foot.margin, foot.stride, strict=True))
    assert (written == 1).all()
    assert len(grid) == sum(1 for _ in grid)
    np.testing.assert_array_equal(out, image)


@given(st.integers(1, 9), st.integers(-30, 30), st.integers(1, 40))
def test_mirroring_equals_numpys_reflection(size: int, start: int, length: int) -> None:
    index = mirror_index(start, start + length, size)
    before, after = 30, 75
    padded = np.pad(np.arange(size), (before, after), mode="reflect" if size > 1 else "edge")
    np.testing.assert_array_equal(index, padded[before + start : before + start + length])


def test_only_the_pixels_inside_are_read_and_once() -> None:
    class Recorder:
        shape = (1, 50, 60)
        reads: list[tuple[slice, ...]] = []  # noqa: RUF012

        def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
            self.reads.append(key)
            return np.zeros((1, 50, 60))[key]

    read_mirrored(Recorder(), ((-8, 8), (40, 70)))
    assert Recorder.reads == [(slice(None), slice(0, 9), slice(40, 60))]


@given(st.integers(1, 500), st.integers(1, 300))
def test_an_even_grid_has_the_fewest_tiles_and_keeps_the_limit(size: int, largest: int) -> None:
    foot = Footprint((5,), (8,), False, (0,))
    grid = even_grid((size,), (largest,), foot)
    allowed = max(largest // 8 * 8, 8)
    assert grid.step[0] <= allowed
    assert len(grid) == -(-size // allowed)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 4), st.integers(3_000, 60_000))
def test_the_leanest_grid_has_the_smallest_tiles_of_about_the_fewest_pixels(
    y: int, x: int, unit: int, pixels: int
) -> None:
    """Against every grid of whole units within the limit."""
    foot = Footprint((6, 6), (4, 4), False, (0, 0))
    found = leanest_grid((y, x), (8 * unit, 8 * unit), foot, pixels=pixels)
    steps = [range(8 * unit, n + 8 * unit, 8 * unit) for n in (y, x)]
    every = [
        (int(np.prod(grid.read_shape)), len(grid) * int(np.prod(grid.read_shape)))
        for step in product(*steps)
        if int(np.prod((grid := TileGrid((y, x), step, foot)).read_shape)) <= pixels
    ]
    assert (found is None) == (not every)
    if found is not None:
        enough = SPARE * min(cost for _, cost in every)
        assert int(np.prod(found.read_shape)) == min(read for read, cost in every if cost <= enough)
        assert len(found) * int(np.prod(found.read_shape)) <= enough
