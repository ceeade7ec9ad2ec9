import numpy as np

from unetseg.segment import class_labels, median_filtered, object_labels, segment
from unetseg.settings import LabelSettings


def test_components_hand_worked() -> None:
    """Edge neighbours belong together, corner neighbours do not; ids are consecutive."""
    probability = np.array([[0.9, 0.6, 0.0], [0.0, 0.0, 0.51], [0.7, 0.5, 0.8]], np.float32)
    labels = segment(probability, LabelSettings())
    np.testing.assert_array_equal(labels, [[1, 1, 0], [0, 0, 2], [3, 0, 2]])
    assert labels.dtype == np.int32


def test_small_objects_are_dropped_and_small_holes_filled() -> None:
    probability = np.zeros((9, 12), np.float32)
    probability[1:6, 1:6] = 1
    probability[3, 3] = 0
    probability[7, 8:11] = 1
    full = segment(probability, LabelSettings(min_area=3, max_hole_area=0))
    assert full.max() == 2
    assert full[3, 3] == 0
    filled = segment(probability, LabelSettings(min_area=4, max_hole_area=1))
    assert filled.max() == 1
    assert filled[3, 3] == 1
    assert (filled > 0).sum() == 25


def test_seeds_split_what_a_threshold_joins() -> None:
    """Two peaks over one bridge: one component, two watershed objects that share all its pixels."""
    probability = np.array([[0.9, 0.8, 0.6, 0.8, 0.9, 0.0, 0.6]], np.float32)
    joined = segment(probability, LabelSettings())
    split = segment(probability, LabelSettings(seed_threshold=0.7))
    np.testing.assert_array_equal(joined, [[1, 1, 1, 1, 1, 0, 2]])
    assert split[0, 0] != split[0, 4]
    assert (split[0, :5] > 0).all()
    assert split[0, 6] == 0  # no seed, no object


def test_an_empty_map_has_no_objects() -> None:
    assert (
        segment(
            np.zeros((4, 4), np.float32), LabelSettings(seed_threshold=0.8, min_area=5, max_hole_area=4)
        ).max()
        == 0
    )


def test_classes_are_the_most_probable() -> None:
    probabilities = np.array([[[0.5, 0.1]], [[0.3, 0.2]], [[0.2, 0.7]]], np.float32)
    np.testing.assert_array_equal(class_labels(probabilities), [[0, 2]])


def test_objects_grow_into_the_background_but_not_into_each_other() -> None:
    probability = np.array([[0, 1, 0, 0, 1, 1, 0, 1, 0]], np.float32)
    labels = segment(probability, LabelSettings(grow=1))
    np.testing.assert_array_equal(labels, [[1, 1, 1, 2, 2, 2, 2, 3, 3]])


def test_classes_of_depth_seed_from_the_deep_and_keep_the_rim() -> None:
    """Two interiors in one run of foreground become two objects that meet in the border between."""
    interior = np.array([[0, 0.1, 0.9, 0.1, 0.1, 0.9, 0.1, 0]], np.float32)
    border = np.array([[0, 0.8, 0.1, 0.8, 0.8, 0.1, 0.8, 0]], np.float32)
    probabilities = np.stack([1 - interior - border, border, interior])
    labels = object_labels(probabilities, LabelSettings(seed_threshold=0.5))
    np.testing.assert_array_equal(labels, [[0, 1, 1, 1, 2, 2, 2, 0]])


def test_the_median_hand_worked() -> None:
    """A speck of one pixel goes, a line two wide stays; beyond the border pixels are mirrored."""
    foreground = np.zeros((6, 7), np.float32)
    foreground[2, 2] = 1
    foreground[:, 5:] = 0.8
    both = np.stack([1 - foreground, foreground])
    filtered = median_filtered(both, 1)[1]
    assert filtered[2, 2] == 0
    np.testing.assert_allclose(filtered[:, 5:], 0.8, atol=1e-6)
    assert filtered[:, 4].max() == 0
    assert median_filtered(both, 0) is both


def test_where_every_class_is_a_minority_the_median_leaves_probabilities_as_they_are() -> None:
    hot = np.eye(3, dtype=np.float32)[np.arange(15).reshape(3, 5) % 3].transpose(2, 0, 1)
    filtered = median_filtered(hot, 1)
    np.testing.assert_allclose(filtered.sum(0), 1)
    assert not np.isnan(filtered).any()
