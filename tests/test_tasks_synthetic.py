"""Laws of the synthetic film: repeatable, sound labels, and a picture no threshold can segment."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from unetseg.errors import UserError
from unetseg.tasks.synthetic import cell_movie

Labels = NDArray[np.int32]
Film = tuple[NDArray[np.uint8], Labels]


@pytest.fixture(scope="module")
def film() -> Film:
    return cell_movie(seed=0, frames=12)


def touching_pairs(labels: Labels) -> set[tuple[int, int]]:
    sides = [(labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])]
    a, b = (np.concatenate([side[k].ravel() for side in sides]) for k in (0, 1))
    meet = (a != b) & (a > 0) & (b > 0)
    low, high = np.minimum(a, b)[meet].tolist(), np.maximum(a, b)[meet].tolist()
    return set(zip(low, high, strict=True))


def test_same_arguments_give_the_same_film() -> None:
    first, again = (cell_movie(seed=3, frames=3) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_another_seed_gives_another_film() -> None:
    a, b = (cell_movie(seed=seed, frames=1) for seed in (3, 4))
    assert np.mean(a[0] == b[0]) < 0.1
    assert np.mean(a[1] == b[1]) < 0.6


def test_dtypes_shapes_and_no_saturation(film: Film) -> None:
    images, labels = film
    assert (images.shape, images.dtype) == ((12, 256, 256), np.uint8)
    assert (labels.shape, labels.dtype) == ((12, 256, 256), np.int32)
    assert images.min() > 0
    assert images.max() < 255
    assert 90 < images.mean() < 130


def test_every_object_is_one_piece_of_sixty_pixels_or_more(film: Film) -> None:
    for labels in film[1]:
        for cell in np.unique(labels[labels > 0]):
            assert ndimage.label(labels == cell)[1] == 1
            assert np.count_nonzero(labels == cell) >= 60


def test_cells_cover_a_good_part_of_the_frame_and_are_cut_by_its_edge(film: Film) -> None:
    for labels in film[1]:
        assert labels.min() == 0
        assert 0.3 < np.mean(labels > 0) < 0.6
        assert np.any(labels[[0, -1]]) or np.any(labels[:, [0, -1]])


def test_most_cells_touch_another(film: Film) -> None:
    for labels in film[1]:
        touching = {cell for pair in touching_pairs(labels) for cell in pair}
        assert len(touching) > 0.6 * (len(np.unique(labels)) - 1)


def test_a_cell_keeps_its_id_and_moves_a_little(film: Film) -> None:
    for before, after in pairwise(film[1]):
        assert not np.array_equal(before, after)
        for cell in np.intersect1d(before[before > 0], after[after > 0]):
            if np.count_nonzero(before == cell) > 300:
                stays = np.count_nonzero((before == cell) & (after == cell))
                assert stays > 0.5 * np.count_nonzero(before == cell)


def test_two_mothers_end_and_two_daughters_of_each_begin_where_she_was(film: Film) -> None:
    labels = film[1]
    daughters: list[int] = []
    for before, after in pairwise(labels):
        for mother in {1, 2} & set(np.unique(before)) - set(np.unique(after)):
            born = np.setdiff1d(after, before)
            daughters += born.tolist()
            assert len(born) == 2
            assert np.mean(np.isin(before[np.isin(after, born)], [mother])) > 0.5
    assert daughters == [21, 22, 23, 24]


@pytest.mark.parametrize("seed", range(4))
def test_no_threshold_on_grey_values_finds_the_cells(seed: int) -> None:
    """Foreground IoU of Otsu's threshold, and even of the best threshold on either side."""
    images, labels = cell_movie(seed=seed, frames=1)
    image, cells = images[0], labels[0] > 0
    for threshold in (threshold_otsu(image), *range(60, 160, 4)):
        for found in (image > threshold, image <= threshold):
            assert np.sum(found & cells) / np.sum(found | cells) < 0.7
    otsu = image <= threshold_otsu(image)
    assert np.sum(otsu & cells) / np.sum(otsu | cells) < 0.55


def test_the_boundary_between_touching_cells_is_brighter_than_the_cells(film: Film) -> None:
    image, labels = film[0][0].astype(float), film[1][0]
    low = ndimage.minimum_filter(np.where(labels > 0, labels, 10**6), 3)
    shared = (labels > 0) & (low != ndimage.maximum_filter(labels, 3))
    shared &= ndimage.minimum_filter(labels, 3) > 0
    flat = image - ndimage.gaussian_filter(image, 20)
    inside = (labels > 0) & ~ndimage.binary_dilation(shared, iterations=3)
    assert flat[shared].mean() > flat[inside].mean() + flat[inside].std()


def test_no_cell_in_the_picture_is_missing_from_the_labels(film: Film) -> None:
    """Away from labelled cells, the picture has dust but no cell texture."""
    for image, labels in zip(film[0].astype(float), film[1], strict=True):
        detail = np.abs(image - ndimage.gaussian_filter(image, 4))
        texture = ndimage.uniform_filter(detail, 15)
        far = ndimage.distance_transform_edt(labels == 0) > 14
        inside = ndimage.distance_transform_edt(labels > 0) > 6
        assert np.quantile(texture[far], 0.98) < np.median(texture[inside])


@pytest.mark.parametrize("given", [{"frames": 0}, {"cells": 1}, {"cells": 42}, {"shape": (20, 20)}])
def test_a_film_that_cannot_be_drawn_says_what_can(given: dict[str, int]) -> None:
    with pytest.raises(UserError, match=r"give 1 or more frames and 2 to \d+ cells"):
        cell_movie(**given)  # type: ignore[arg-type]
