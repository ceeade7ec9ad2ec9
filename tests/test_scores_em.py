"""The challenge's scores against hand-worked sections and scikit-image's entropies."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan, log

import numpy as np
import pytest
from skimage.metrics import variation_of_information

from unetseg.errors import UserError
from unetseg.scores import score
from unetseg.scores.em import info_terms, rand_terms, segments
from unetseg.scores.thinning import thinned_segments


def total(name: str) -> Callable[[np.ndarray, np.ndarray], float]:
    """The score of sections (y, x) or (z, y, x)."""

    def of(truth: np.ndarray, probabilities: np.ndarray) -> float:
        sections = [a[None] if a.ndim == 2 else a for a in (truth, probabilities)]
        return score(*sections, [name], kind="probabilities")[name]

    return of


v_rand, v_info = total("v-rand"), total("v-info")
rand_error, pixel_error = total("rand-error"), total("em-pixel-error")
# two cells of four pixels beside a membrane
TRUTH = np.array([[1, 1, 0, 1, 1], [1, 1, 0, 1, 1]])
MERGED = np.ones((2, 5))
SPLIT = np.array([[1, 0, 0, 1, 1], [1, 0, 0, 1, 1]], float)  # two cell pixels called membrane


def test_rand_of_merged_cells() -> None:
    # overlaps 4 and 4, true 4 and 4, predicted 8 (membrane in the truth does not count)
    assert rand_terms(segments(TRUTH > 0), segments(MERGED > 0)).tolist() == [32, 32, 64]
    assert v_rand(TRUTH, MERGED) == pytest.approx(2 * 32 / 96)
    assert rand_error(TRUTH, MERGED) == pytest.approx(1 / 3)


def test_info_of_merged_cells() -> None:
    assert info_terms(segments(TRUTH > 0), segments(MERGED > 0)) == pytest.approx([0, log(2), 0])
    assert v_info(TRUTH, MERGED) == 0


def test_membrane_in_a_true_cell_counts_as_single_pixels_unless_thinned_away() -> None:
    # overlaps 2, 4, 1 and 1; true 4 and 4; predicted 2, 4, 1 and 1
    terms = rand_terms(segments(TRUTH > 0), segments(SPLIT > 0))
    assert terms.tolist() == [22, 32, 22]
    assert rand_error(TRUTH, SPLIT) == pytest.approx(1 - 44 / 54)
    wide = np.array([[1, 1, 1, 0, 0, 0, 1, 1, 1]], float)
    truth = np.array([[1, 1, 1, 1, 0, 1, 1, 1, 1]])
    assert thinned_segments(wide > 0).tolist() == [[1, 1, 1, 1, 0, 2, 2, 2, 2]]
    assert v_rand(truth, wide) == v_info(truth, wide) == 1
    assert rand_error(truth, wide) > 0


def test_components_are_connected_by_edges_not_corners() -> None:
    assert segments(np.eye(3) > 0).max() == 3


def test_the_best_threshold_counts() -> None:
    probabilities = np.where(TRUTH > 0, 0.55, 0.35)
    assert v_rand(TRUTH, probabilities) == v_info(TRUTH, probabilities) == 1
    assert rand_error(TRUTH, probabilities) == 0


def test_a_pixel_of_probability_one_is_a_cell_at_every_threshold() -> None:
    # else the last threshold would leave single pixels, whose V_info is 2 * 1 / (1 + 3)
    for dtype in (np.float32, np.float64):
        assert v_info(TRUTH, MERGED.astype(dtype)) == 0


def test_sections_are_not_joined_and_brought_together_as_the_challenge_does() -> None:
    """V_rand and V_info average the sections' scores, the Rand error adds pairs of pixels."""
    cells = np.pad(TRUTH, ((0, 1), (0, 0)))
    large = np.array([[1, 1, 0, 1, 1], [1, 1, 0, 1, 1], [1, 1, 0, 1, 1]])
    stack, maps = np.stack([cells, large]), np.stack([np.ones((3, 5)), large.astype(float)])
    assert v_rand(stack, maps) == pytest.approx((2 * 32 / 96 + 1) / 2)
    assert v_info(stack, maps) == pytest.approx((0 + 1) / 2)
    # 32, 32 and 64 pairs in the first section, 72 of each in the second
    assert rand_error(stack, maps) == pytest.approx(1 - 2 * (32 + 72) / ((32 + 72) + (64 + 72)))


def test_a_section_without_a_cell_does_not_count() -> None:
    stack, maps = np.stack([TRUTH, 0 * TRUTH]), np.stack([MERGED, MERGED])
    assert v_rand(stack, maps) == v_rand(TRUTH, MERGED)
    assert v_info(stack, maps) == v_info(TRUTH, MERGED)


def test_entropies_agree_with_scikit_image() -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 6, (40, 40)).astype(np.int32)
    predicted = rng.integers(0, 9, (40, 40)).astype(np.int32)
    apart = np.where(predicted, predicted, 100 + np.arange(1600).reshape(40, 40))
    missing = variation_of_information(truth, apart, ignore_labels=(0,)) * log(2)
    shared, true, found = info_terms(truth, predicted)
    assert sorted([true - shared, found - shared]) == pytest.approx(sorted(missing))


def test_the_pixel_error_is_one_minus_the_f_score_of_the_best_threshold() -> None:
    assert pixel_error(TRUTH, MERGED) == pytest.approx(1 - 2 * 8 / (8 + 10))
    assert pixel_error(TRUTH, SPLIT) == pytest.approx(1 - 2 * 6 / (8 + 6))
    assert pixel_error(TRUTH, np.where(TRUTH > 0, 0.55, 0.35)) == 0
    stack, maps = np.stack([TRUTH, TRUTH]), np.stack([MERGED, SPLIT])
    assert pixel_error(stack, maps) == pytest.approx(1 - 2 * 14 / (16 + 16))
    assert isnan(pixel_error(np.zeros((2, 5)), MERGED))


def test_degenerate_truths() -> None:
    assert isnan(v_rand(np.zeros((2, 5)), MERGED))
    assert isnan(rand_error(np.zeros((2, 5)), MERGED))
    assert v_info(np.ones((2, 5)), MERGED) == 1
    # thinned, a map without any cell is one segment
    assert v_rand(TRUTH, np.zeros((2, 5))) == pytest.approx(2 * 32 / (32 + 64))
    assert rand_error(TRUTH, np.zeros((2, 5))) == pytest.approx(1 - 2 * 8 / (32 + 8))


def test_refused() -> None:
    with pytest.raises(UserError, match=r"shape \(2, 5\) but the prediction \(5, 2\)"):
        v_rand(TRUTH, MERGED.T)
    with pytest.raises(UserError, match="not logits"):
        v_info(TRUTH, 3 * MERGED)
