"""What label values mean: recognised from small hand-made images, or refused with a remedy."""

from __future__ import annotations

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.tasks.labels import (
    LabelStatistics,
    count_of_classes,
    describe,
    label_plane,
    label_statistics,
    read_labels,
    recognise,
)

TWO_SQUARES = np.array([[9, 9, 0, 0], [9, 9, 0, 9], [0, 0, 0, 9]])
"""Two edge-connected pieces of one value."""


def facts(*planes: object, not_annotated: tuple[int, ...] = ()) -> list[LabelStatistics]:
    return [label_statistics(np.array(p, np.int64), not_annotated) for p in planes]


def test_the_facts_of_a_plane() -> None:
    assert label_statistics(TWO_SQUARES, ()) == LabelStatistics(frozenset({9}), 2)
    assert label_statistics(np.array([[1, 0, 2], [255, 0, 2]]), (255,)) == LabelStatistics(
        frozenset({1, 2}), 2
    )
    assert label_statistics(np.array([[0, 0]]), ()) == LabelStatistics(frozenset(), 0)


@pytest.mark.parametrize("ids", [(3, 65535), (3, 65536), (-2, 5), (1, 2**31 - 1)])
def test_no_value_is_missed_whatever_its_size(ids: tuple[int, int]) -> None:
    assert label_statistics(np.array([[0, *ids]]), ()) == LabelStatistics(frozenset(ids), 2)


def test_one_value_beside_0_is_a_mask() -> None:
    assert recognise(facts(TWO_SQUARES, [[0, 9]])) == "mask"
    assert recognise(facts([[0, 1]], [[0, 0]])) == "mask"
    assert recognise(facts([[0, 1, 255]], not_annotated=(255,))) == "mask"


def test_a_value_per_object_is_instances_even_with_one_object_in_an_image() -> None:
    assert recognise(facts([[1, 0, 2, 0, 3]], [[1, 0, 0, 0, 0]], [[0, 1, 1, 0, 2]])) == "instances"
    assert recognise(facts([list(range(20))])) == "instances"


def test_many_objects_in_every_image_are_instances() -> None:
    assert recognise(facts(*[[list(range(13))]] * 4)) == "instances"


def test_the_same_few_values_in_nearly_every_image_are_classes() -> None:
    """As in hippocampus volumes: one object each of class 1 and 2 in every image."""
    assert recognise(facts(*[[[0, 1, 1, 2, 0]]] * 3)) == "classes"
    assert recognise(facts(*[[[0, 1, 1, 2, 0]]] * 4, [[0, 1, 1, 0, 0]])) == "classes"


def test_few_values_in_many_pieces_are_classes() -> None:
    assert recognise(facts([[1, 0, 1, 0, 2, 0, 2]])) == "classes"


def test_a_mask_becomes_edge_connected_objects() -> None:
    labels = read_labels(TWO_SQUARES[None], "mask", (), "a")
    assert labels.dtype == np.int32
    assert labels.tolist() == [[1, 1, 0, 0], [1, 1, 0, 2], [0, 0, 0, 2]]


@pytest.mark.parametrize("meaning", ["instances", "classes"])
def test_other_labels_keep_their_values(meaning: str) -> None:
    assert read_labels(TWO_SQUARES[None], meaning, (), "a").tolist() == TWO_SQUARES.tolist()  # type: ignore[arg-type]


def test_not_annotated_is_minus_1_and_no_object() -> None:
    byte = np.array([[[1, 255, 0, 1]]], np.uint8)
    signed = np.array([[[1, -1, 0, 1]]], np.int16)
    for pixels, value in ((byte, 255), (signed, -1)):
        assert read_labels(pixels, "mask", (value,), "a").tolist() == [[1, -1, 0, 2]]
        assert read_labels(pixels, "classes", (value,), "a").tolist() == [[1, -1, 0, 1]]


def test_a_negative_label_is_refused_with_the_setting_that_allows_it() -> None:
    with pytest.raises(UserError, match=r"a: label -1.*data\.not_annotated = \[-1\]"):
        read_labels(np.array([[[1, -1]]], np.int16), "instances", (), "a")


def test_whole_numbers_may_be_stored_as_floats() -> None:
    assert label_plane(np.array([[[0.0, 2.0]]], np.float32), "a").tolist() == [[0, 2]]
    with pytest.raises(UserError, match="a: label values are not whole numbers"):
        label_plane(np.array([[[0.0, 0.5]]], np.float32), "a")


def test_a_grey_rgb_label_image_is_one_channel_and_a_coloured_one_is_refused() -> None:
    grey = np.array([[[0, 255]]] * 3, np.uint8)
    assert label_plane(grey, "a").tolist() == [[0, 255]]
    grey[1] = 0
    with pytest.raises(UserError, match="a: a label image of 3 different channels"):
        label_plane(grey, "a")


def test_ids_that_do_not_fit_are_refused_not_wrapped() -> None:
    assert label_plane(np.array([[[2**31 - 1]]], np.uint32), "a").tolist() == [[2**31 - 1]]
    for dtype in (np.uint32, np.float64):
        with pytest.raises(UserError, match="a: label 4294967295"):
            label_plane(np.array([[[2**32 - 1]]], dtype), "a")


def test_classes_are_counted_from_the_highest_or_as_given() -> None:
    assert count_of_classes("classes", facts([[0, 1, 3]]), None, "a") == 4
    assert count_of_classes("classes", facts([[0, 1, 3]]), 6, "a") == 6
    assert count_of_classes("mask", facts([[0, 255]]), None, "a") == 2
    assert count_of_classes("instances", facts([list(range(99))]), 2, "a") == 2


def test_class_counts_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(UserError, match=r"classes 0, 85, 170.*without gaps"):
        count_of_classes("classes", facts([[0, 85, 170]]), None, "a")
    with pytest.raises(UserError, match="256 classes; at most 255"):
        count_of_classes("classes", facts([list(range(256))]), None, "a")
    with pytest.raises(UserError, match=r"data\.classes = 3, but the labels were taken for mask"):
        count_of_classes("mask", facts([[0, 1]]), 3, "a")


def test_what_was_recognised_is_said() -> None:
    planes = facts([[1, 0, 2]], [[1, 0, 0]])
    assert describe("instances", planes, False) == (
        "labels: 3 instances in 2 images (recognised; data.labels overrides)"
    )
    assert describe("classes", planes, True) == (
        "labels: class map, classes 0, 1, 2 in 2 images (as data.labels says)"
    )
    assert describe("mask", facts([[0, 255]]), False).startswith("labels: mask, values 0 and 255 in 1 images")
