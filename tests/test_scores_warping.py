"""Simple pixels against their definition, warps against a plain loop, errors worked by hand."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from unetseg.errors import UserError
from unetseg.scores import score
from unetseg.scores.em import check_sections
from unetseg.scores.warping import (
    CHALLENGE_KINDS,
    KINDS,
    STEPS,
    least_share,
    mismatches,
    simple_codes,
    warp,
    warping_rows,
)

SQUARE = np.ones((3, 3), int)


def warping_error(truth: np.ndarray, maps: np.ndarray, kinds: Collection[str] = CHALLENGE_KINDS) -> float:
    """The error of sections (y, x) or (z, y, x)."""
    sections = zip(*(a.reshape(-1, *a.shape[-2:]) for a in (truth, maps)), strict=True)
    return least_share(np.concatenate([warping_rows(t, p, kinds) for t, p in sections]))


def section(*rows: str) -> np.ndarray:
    """Cells "#" and membrane "." as booleans."""
    return np.array([[c == "#" for c in row] for row in rows])


def patch(code: int) -> np.ndarray:
    """The neighbourhood of this code; its centre is False."""
    around = np.zeros((3, 3), bool)
    for bit, (dy, dx) in enumerate(STEPS):
        around[1 + dy, 1 + dx] = code >> bit & 1
    return around


def is_simple(around: np.ndarray) -> bool:
    """By definition: one 4-component of cell edge to edge with the centre, one 8-component of membrane."""
    cell, membrane = around.copy(), ~around
    cell[1, 1] = membrane[1, 1] = False
    parts = ndimage.label(cell)[0]
    edges = {int(parts[y, x]) for y, x in ((0, 1), (1, 0), (1, 2), (2, 1))} - {0}
    return len(edges) == 1 and ndimage.label(membrane, SQUARE)[1] == 1


@pytest.mark.parametrize("code", range(256))
def test_simple_pixels_are_those_of_the_definition(code: int) -> None:
    assert simple_codes()[code] == is_simple(patch(code))


def test_as_many_simple_neighbourhoods_as_in_the_literature() -> None:
    assert sum(simple_codes()) == 116  # of 256, also by Fiji's simple2DBertrand


def topology(cells: np.ndarray) -> tuple[int, int]:
    """Objects, and pieces of membrane with what lies beyond the section."""
    return ndimage.label(cells)[1], ndimage.label(~np.pad(cells, 1), SQUARE)[1]


def slowly_warped(truth: np.ndarray, target: np.ndarray) -> np.ndarray:
    image, before = np.pad(truth, 1), None
    while before is None or (image != before).any():
        before = image.copy()
        for x, y in zip(*np.nonzero(image[1:-1, 1:-1].T != target.T), strict=True):
            if is_simple(image[y : y + 3, x : x + 3]):
                image[y + 1, x + 1] ^= True
    return image[1:-1, 1:-1]


@pytest.mark.parametrize("seed", range(8))
def test_a_warp_keeps_the_topology_and_is_that_of_the_plain_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, target = (ndimage.gaussian_filter(rng.random((24, 17)), 1.2) > 0.5 for _ in range(2))
    warped = warp(truth, target.astype(float), 0.5)
    assert topology(warped) == topology(truth)
    assert (warped != truth)[truth == target].sum() == 0
    assert (warped == slowly_warped(truth, target)).all()


def test_a_border_drawn_elsewhere_costs_nothing() -> None:
    truth = section(*["###.####"] * 5)
    assert warping_error(truth, np.roll(truth, 1, axis=1) * 1.0, KINDS) == 0
    wide = section(*["##....##"] * 5)
    assert warping_error(truth, wide * 1.0, KINDS) == warping_error(wide, truth * 1.0, KINDS) == 0


def test_a_merger_costs_the_pixels_of_the_wall_that_is_missing() -> None:
    truth, merged = section(*["##.##"] * 4), np.ones((4, 5))
    assert mismatches(truth, merged, 0.5)["merger"] == 4
    assert warping_error(truth, merged) == 4 / 20
    gap = np.where(section("##.##", "##.##", "#####", "##.##"), 1.0, 0.0)
    assert warping_error(truth, gap) == 1 / 20


def test_a_split_costs_the_pixels_of_the_wall_that_is_too_much() -> None:
    # warped, the cell is two halves joined by one pixel
    truth, split = np.ones((4, 5), bool), section(*["##.##"] * 4) * 1.0
    assert mismatches(truth, split, 0.5) == dict.fromkeys(KINDS, 0) | {"split": 1}
    assert warping_error(truth, split) == 1 / 20


def test_a_hole_counts_once_and_not_among_splits_and_mergers() -> None:
    truth = np.pad(np.ones((5, 5), bool), 1)
    hole = truth.copy()
    hole[3, 3] = False
    assert mismatches(truth, hole * 1.0, 0.5) == dict.fromkeys(KINDS, 0) | {"hole added": 1}
    assert mismatches(hole, truth * 1.0, 0.5) == dict.fromkeys(KINDS, 0) | {"hole deleted": 1}
    assert warping_error(truth, hole * 1.0) == 0
    assert warping_error(truth, hole * 1.0, KINDS) == 1 / 49


def test_an_object_too_much_or_too_little() -> None:
    none = np.zeros((5, 5), bool)
    one = np.pad(np.ones((1, 1), bool), 2)
    assert mismatches(none, one * 1.0, 0.5)["object added"] == 1
    assert mismatches(one, none * 1.0, 0.5)["object deleted"] == 1


def test_a_ring_cut_twice_is_split_but_cut_once_loses_its_hole() -> None:
    ring = np.pad(np.pad(np.zeros((3, 3), bool), 1, constant_values=True), 1)
    once, twice = ring.copy(), ring.copy()
    once[3, 1] = twice[3, 1] = twice[3, 5] = False
    assert mismatches(ring, once * 1.0, 0.5) == dict.fromkeys(KINDS, 0) | {"hole deleted": 1}
    assert warping_error(ring, once * 1.0) == 0
    assert sum(mismatches(ring, twice * 1.0, 0.5).values()) == 2


def test_the_best_threshold_counts_and_sections_add_up() -> None:
    truth = section(*["##.##"] * 4)
    faint = np.where(truth, 0.9, 0.45)
    assert warping_error(truth, faint) == 0
    stack, maps = np.stack([truth, truth]), np.stack([faint, np.ones(truth.shape)])
    assert warping_error(stack, maps) == 4 / 40


def test_a_map_without_any_cell_at_the_last_threshold_has_no_splits_and_mergers() -> None:
    # a trait of the challenge's rule: the cells shrink to points that the prediction does not have
    truth = section(*["##.##"] * 4)
    assert warping_error(truth, np.full((4, 5), 0.85)) == 0
    assert warping_error(truth, np.full((4, 5), 0.85), KINDS) == 2 / 20


def test_the_surest_pixels_are_flipped_first() -> None:
    # either side of the wall can go; the surest pixels of cell do, and the wall stays on the other
    truth = section(*["#..#"] * 3)
    left, right = np.tile([1, 0.9, 0.6, 1], (3, 1)), np.tile([1, 0.6, 0.9, 1], (3, 1))
    assert (warp(truth, left, 0.5) == section(*["##.#"] * 3)).all()
    assert (warp(truth, right, 0.5) == section(*["#.##"] * 3)).all()


def test_refused() -> None:
    with pytest.raises(UserError, match="both must be the same"):
        check_sections(np.ones((4, 5)), np.ones((5, 4)))
    with pytest.raises(UserError, match="not logits"):
        score([np.ones((4, 5))], [np.full((4, 5), 2.0)], ["warping-error"], kind="probabilities")


@pytest.mark.data
def test_real_sections(data_root: Path) -> None:
    """A shifted truth keeps its topology but at the edges; a blurred image is no segmentation."""
    tifffile = pytest.importorskip("tifffile")
    truth = tifffile.imread(data_root / "isbi2012" / "train-labels.tif")[3] > 0
    assert warping_error(truth, truth * 1.0, KINDS) == 0
    shifted = np.roll(truth, 2, axis=1)[:, 4:-4] * 1.0
    assert warping_error(truth[:, 4:-4], shifted) < 0.0003
    image = tifffile.imread(data_root / "isbi2012" / "train-volume.tif")[3] / 255
    assert warping_error(truth, ndimage.gaussian_filter(image, 1)) > 0.001
