"""Stitched labels are those of the whole image: same objects, same ids, whatever the tiles."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unetseg.segment import segment
from unetseg.settings import LabelSettings
from unetseg.streaming.stitch import TileComponents, object_ids, split
from unetseg.tiles import Partition, inside, widened


def stitched(foreground: np.ndarray, step: tuple[int, int], settings: LabelSettings) -> np.ndarray:
    partition = Partition(foreground.shape, step)
    pieces = [
        split(foreground[partition[i]], partition, i, max_hole_area=settings.max_hole_area)
        for i in range(len(partition))
    ]
    labels = np.full(foreground.shape, -1)
    ids = object_ids(
        lambda i: pieces[i][1], partition, min_area=settings.min_area, max_hole_area=settings.max_hole_area
    )
    for i, of_parts in enumerate(ids):
        labels[partition[i]] = of_parts[pieces[i][0]]
    return labels


@st.composite
def maps(draw: st.DrawFn) -> np.ndarray:
    """Foreground of every density, from single pixels to blobs, so that objects and holes cross tiles."""
    shape = (draw(st.integers(1, 24)), draw(st.integers(1, 24)))
    zoom = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    coarse = rng.random((shape[0], shape[1])) < draw(st.floats(0, 1))
    return np.kron(coarse, np.ones((zoom, zoom), bool))[: shape[0], : shape[1]]


STEPS = st.tuples(st.integers(1, 9), st.integers(1, 9))
RULES = st.builds(
    LabelSettings, min_area=st.integers(0, 12), max_hole_area=st.sampled_from([0, 1, 3, 8, 29, 999])
)


@given(maps(), STEPS, RULES)
@example(np.zeros((3, 3), bool), (2, 2), LabelSettings(max_hole_area=999))
def test_stitched_labels_are_those_of_the_whole_image(
    foreground: np.ndarray, step: tuple[int, int], settings: LabelSettings
) -> None:
    whole = segment(foreground.astype(np.float32), settings)
    np.testing.assert_array_equal(stitched(foreground, step, settings), whole)


@given(arrays(bool, (13, 17)), STEPS, RULES)
def test_also_on_what_a_search_for_counterexamples_comes_up_with(
    foreground: np.ndarray, step: tuple[int, int], settings: LabelSettings
) -> None:
    whole = segment(foreground.astype(np.float32), settings)
    np.testing.assert_array_equal(stitched(foreground, step, settings), whole)


def test_a_hole_across_four_tiles_joins_what_it_touches() -> None:
    """A ring and the dot inside its hole become one object when the hole, 8 pixels, is filled."""
    ring = np.ones((5, 5), bool)
    ring[1:4, 1:4] = False
    ring[2, 2] = True
    assert stitched(ring, (2, 2), LabelSettings(max_hole_area=7)).max() == 2
    np.testing.assert_array_equal(stitched(ring, (2, 2), LabelSettings(max_hole_area=8)), np.ones((5, 5)))


def test_areas_add_up_before_small_objects_are_dropped() -> None:
    line = np.ones((1, 10), bool)
    assert stitched(line, (1, 3), LabelSettings(min_area=10)).max() == 1
    assert stitched(line, (1, 3), LabelSettings(min_area=11)).max() == 0


def test_only_what_lies_at_borders_is_held_for_the_whole_image() -> None:
    """A table's open parts are the two that touch the border, not the 25 inside."""
    foreground = np.zeros((20, 20), bool)
    foreground[2:12:2, 2:12:2] = True
    foreground[4, 9] = foreground[15, 9] = True
    partition = Partition((20, 20), (20, 10))
    parts: TileComponents = split(foreground[partition[0]], partition, 0)[1]
    assert len(parts.area) > 20
    assert len(parts.open) == 2


@given(maps(), STEPS, st.integers(1, 6))
def test_grown_labels_need_a_halo_of_as_many_pixels(
    foreground: np.ndarray, step: tuple[int, int], grow: int
) -> None:
    """Growing each tile with a halo of `grow` pixels is growing the whole, ties and all."""
    from skimage.segmentation import expand_labels

    labels = segment(foreground.astype(np.float32), LabelSettings())
    whole = segment(foreground.astype(np.float32), LabelSettings(grow=grow))
    partition = Partition(foreground.shape, step)
    for i in range(len(partition)):
        window = widened(partition[i], grow, foreground.shape)
        grown = expand_labels(labels[window], grow)[inside(partition[i], window)]
        np.testing.assert_array_equal(grown, whole[partition[i]])


@pytest.mark.parametrize("shape", [(7, 9), (8, 9), (1, 1)])
def test_a_layout_partitions_the_image_and_finds_its_tiles(shape: tuple[int, int]) -> None:
    partition = Partition(shape, (4, 3))
    count = np.zeros(shape, int)
    for i in range(len(partition)):
        count[partition[i]] += 1
        assert list(partition.within(partition[i])) == [i]
    assert (count == 1).all()
    assert list(partition.within((slice(0, shape[0]), slice(0, shape[1])))) == list(range(len(partition)))
