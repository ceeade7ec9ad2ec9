"""What label values mean: recognised from small hand-made images, or refused with a remedy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import zoom

from unetseg.errors import UserError
from unetseg.settings import DataSettings
from unetseg.tasks.class_values import class_values
from unetseg.tasks.label_planes import label_plane
from unetseg.tasks.label_statistics import LabelStatistics, label_statistics
from unetseg.tasks.labels import LabelRule
from unetseg.tasks.recognise import Recognition, describe, label_rule, recognise

TWO_SQUARES = np.array([[9, 9, 0, 0], [9, 9, 0, 9], [0, 0, 0, 9]])
"""Two edge-connected pieces of one value."""


def measured(*planes: object, not_annotated: tuple[int, ...] = ()) -> list[LabelStatistics]:
    return [label_statistics(np.array(p)[None], not_annotated, f"a{i}") for i, p in enumerate(planes)]


def meaning(*planes: object, scans: bool = False, not_annotated: tuple[int, ...] = ()) -> str:
    return recognise(measured(*planes, not_annotated=not_annotated), scans=scans).meaning


def discs(*values: int, shift: int = 0, radius: int = 6) -> np.ndarray:
    """A plane (64, 64) with a disc of each value, none touching another."""
    y, x = np.mgrid[:64, :64]
    plane = np.zeros((64, 64), np.uint16)
    for value, (cy, cx) in zip(values, [(14, 14), (14, 48), (48, 14), (48, 48)], strict=False):
        plane[(y - cy - shift) ** 2 + (x - cx + shift) ** 2 < radius**2] = value
    return plane


# Statistics ---------------------------------------------------------------------------------------


def test_the_statistics_of_a_plane() -> None:
    assert measured(TWO_SQUARES)[0] == LabelStatistics(frozenset({9}), 2, in_pieces=1, labelled=(True,))
    (found,) = measured([[1, 0, 2], [255, 0, 2]], not_annotated=(255,))
    assert (found.values, found.components, found.in_pieces) == (frozenset({1, 2}), 2, 0)
    assert measured([[0, 0]]) == [LabelStatistics(frozenset(), 0, labelled=(False,))]


@pytest.mark.parametrize("ids", [(3, 65535), (3, 65536), (-2, 5), (1, 2**31 - 1)])
def test_no_value_is_missed_whatever_its_size(ids: tuple[int, int]) -> None:
    assert measured([[0, *ids]])[0].values == frozenset(ids)


def test_values_that_touch_and_values_inside_others_are_counted() -> None:
    nucleus = np.pad(np.full((2, 2), 2), 2, constant_values=1)
    (inside,) = measured(np.pad(nucleus, 1))
    assert (inside.in_contact, inside.enclosed) == (2, 1)
    assert measured([[1, 1, 0, 2, 2]])[0].in_contact == 0


def test_crumbs_and_corners_make_no_pieces() -> None:
    """A segment of an object split off by a pixel is still the same object; two halves are two."""
    crumb = np.array([[1] * 12 + [0, 1]])
    assert measured(crumb)[0].in_pieces == 0
    assert measured([[1, 0], [0, 1]])[0].in_pieces == 0
    assert measured([[1, 1, 0, 1, 1]])[0].in_pieces == 1


# Meanings -----------------------------------------------------------------------------------------


def test_one_value_beside_0_is_a_mask() -> None:
    assert meaning(TWO_SQUARES, [[0, 9]]) == "mask"
    assert meaning([[0, 1]], [[0, 0]]) == "mask"
    assert meaning([[0, 1, 255]], not_annotated=(255,)) == "mask"


def test_a_value_per_object_is_instances_even_with_one_object_in_an_image() -> None:
    assert meaning([[1, 0, 2, 0, 3]], [[1, 0, 0, 0, 0]], [[0, 1, 1, 0, 2]]) == "instances"
    assert meaning([list(range(20))]) == "instances"


def test_many_objects_in_every_image_are_instances() -> None:
    assert meaning(*[[list(range(13))]] * 4) == "instances"


def test_few_objects_that_keep_their_ids_are_instances() -> None:
    """A film of four tracked cells, or four cells in each of several images."""
    film = [discs(1, 2, 3, 4, shift=t) for t in range(5)]
    found = recognise(measured(*film))
    assert found.meaning == "instances"
    assert "recur in every image" in found.doubt
    assert recognise(measured(discs(1, 2), discs(1, 2, 3), discs(4, 1))) == Recognition("instances")


def test_few_values_that_always_touch_are_classes() -> None:
    """As in hippocampus volumes: one object each of class 1 and 2 in every image."""
    assert meaning(*[[[0, 1, 1, 2, 0]]] * 3) == "classes"
    assert meaning(*[[[0, 1, 1, 2, 0]]] * 4, [[0, 1, 1, 0, 0]]) == "classes"
    assert recognise(measured(*[[[0, 1, 1, 2, 0]]] * 3)).doubt
    assert recognise(measured(*[[[0, 1, 1, 2, 0]]] * 3), scans=True) == Recognition("classes")


def test_few_values_of_one_medical_scan_are_classes_with_doubt() -> None:
    found = recognise(measured(discs(1, 2)), scans=True)
    assert (found.meaning, bool(found.doubt)) == ("classes", True)


def test_a_nucleus_inside_a_cell_is_a_class() -> None:
    cell = discs(1, radius=10)
    cell[discs(2, radius=4) > 0] = 2
    assert meaning(cell) == "classes"


def test_few_values_in_many_pieces_are_classes() -> None:
    assert meaning([[1, 0, 1, 0, 2, 0, 2]]) == "classes"


def test_many_values_in_pieces_are_classes_with_doubt() -> None:
    plane = np.tile(np.repeat(np.arange(12), 4), (4, 3))
    found = recognise(measured(plane))
    assert (found.meaning, found.doubt) == ("classes", "11 values are many for classes")


# Masks with grey edges ------------------------------------------------------------------------------


def soft(dtype: type = np.uint8, top: float = 255) -> np.ndarray:
    """Discs of radius 6, enlarged twice by linear interpolation: what resizing a mask leaves."""
    return (zoom((discs(1, 1, 1, 1) > 0).astype(float), 2, order=1) * top).astype(dtype)


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_a_mask_with_grey_edges_is_thresholded_and_that_is_printed(dtype: type, top: float) -> None:
    planes = [soft(dtype, top), soft(dtype, top)]
    statistics = measured(*planes)
    rule, found = label_rule(statistics, DataSettings(), "a")
    assert (rule.meaning, rule.kind, rule.threshold) == ("mask", "instances", pytest.approx(top / 2))
    note = describe(rule, found, statistics, "data.labels")
    assert f"mask with grey edges, values above {top / 2:g} are foreground, 8 objects in 2 images" in note
    labels = rule.read(planes[0][None], "a")
    assert labels.max() == 4
    exact = zoom((discs(1, 1, 1, 1) > 0).astype(float), 2, order=1) > 0.5
    assert np.array_equal(labels > 0, exact)


def test_a_jpeg_mask_is_a_mask() -> None:
    noise = np.random.default_rng(0).integers(0, 12, (64, 64))
    mask = np.where(discs(1, 1, 1) > 0, 255 - noise, noise).astype(np.uint8)
    rule, _ = label_rule(measured(mask, noise), DataSettings(), "a")
    assert rule.read(mask[None], "a").max() == 3
    assert rule.read(noise[None].astype(np.uint8), "a").max() == 0


@pytest.mark.parametrize("kind", ["noise", "gradient", "resized ids"])
def test_grey_values_that_are_no_mask_are_refused(kind: str) -> None:
    rng = np.random.default_rng(0)
    planes = {
        "noise": rng.integers(0, 256, (64, 64)),
        "gradient": np.add.outer(np.arange(64), np.arange(64)) + rng.integers(0, 30, (64, 64)),
        "resized ids": zoom(discs(40, 120, 200, 90).astype(float), 3, order=1).astype(int),
    }
    with pytest.raises(UserError, match=r"a0: \d+ values in \d+ pieces: grey values, not labels.*JPEG"):
        label_rule(measured(planes[kind]), DataSettings(), "a")


def test_the_user_may_say_that_grey_values_are_labels() -> None:
    ids = np.random.default_rng(0).integers(0, 256, (32, 32))
    rule, _ = label_rule(measured(ids), DataSettings(labels="instances"), "a")
    assert rule.read(ids[None], "a").tolist() == ids.tolist()


def test_soft_masks_and_other_labels_do_not_mix() -> None:
    with pytest.raises(UserError, match=r"a1: holds the values 60, 120, 130, 200, while other label images"):
        label_rule(measured(soft(), discs(60, 120, 130, 200)), DataSettings(), "a")


def test_a_net_of_vessels_is_learnt_as_two_classes_not_as_objects() -> None:
    net = np.zeros((96, 96), np.uint8)
    net[::12, :], net[:, ::12] = 255, 255
    rule, _ = label_rule(measured(net), DataSettings(), "a")
    assert (rule.meaning, rule.kind, rule.values) == ("mask", "classes", (0, 255))
    assert set(np.unique(rule.read(net[None], "a"))) == {0, 1}
    chosen, _ = label_rule(measured(net), DataSettings(labels="mask"), "a")
    assert chosen.kind == "instances"
    cells = label_rule(measured(255 - net), DataSettings(), "a")[0]
    assert cells.kind == "instances"


# Reading ------------------------------------------------------------------------------------------


def test_a_mask_becomes_edge_connected_objects() -> None:
    labels = LabelRule("mask").read(TWO_SQUARES[None], "a")
    assert labels.dtype == np.int32
    assert labels.tolist() == [[1, 1, 0, 0], [1, 1, 0, 2], [0, 0, 0, 2]]


@pytest.mark.parametrize("rule", [LabelRule("instances"), LabelRule("classes", "classes", 10)])
def test_other_labels_keep_their_values(rule: LabelRule) -> None:
    assert rule.read(TWO_SQUARES[None], "a").tolist() == TWO_SQUARES.tolist()


def test_not_annotated_is_minus_1_and_no_object() -> None:
    byte = np.array([[[1, 255, 0, 1]]], np.uint8)
    signed = np.array([[[1, -1, 0, 1]]], np.int16)
    for pixels, value in ((byte, 255), (signed, -1)):
        mask = LabelRule("mask", not_annotated=(value,))
        assert mask.read(pixels, "a").tolist() == [[1, -1, 0, 2]]
        classes = LabelRule("classes", "classes", not_annotated=(value,))
        assert classes.read(pixels, "a").tolist() == [[1, -1, 0, 1]]


def test_what_is_not_annotated_is_no_class() -> None:
    """Scribbles: 0 where nobody drew, 1 background, 2 cells. There are two classes, not three."""
    scribbles = np.array([[0, 1, 0, 2, 1, 0, 2]])
    rule, found = label_rule(measured(scribbles, not_annotated=(0,)), DataSettings(not_annotated=(0,)), "a")
    assert (rule.meaning, rule.kind, rule.classes, rule.values) == ("classes", "classes", 2, (1, 2))
    assert rule.read(scribbles[None], "a").tolist() == [[-1, 0, -1, 1, 0, -1, 1]]
    assert describe(rule, found, measured(scribbles, not_annotated=(0,)), "data.labels").startswith(
        "labels: class map, classes 1, 2, 0 not annotated in 1 image"
    )
    with pytest.raises(UserError, match=r"only one class is annotated \(2\)"):
        label_rule(measured([[0, 2]], not_annotated=(0,)), DataSettings(not_annotated=(0,)), "a")


def test_a_class_that_was_never_seen_names_the_image() -> None:
    rule = LabelRule("classes", "classes", 2, (0, 255))
    with pytest.raises(UserError, match="b: the labels hold class 7, but only the classes 0, 255"):
        rule.read(np.array([[[0, 7]]]), "b")


def test_with_objects_only_all_else_is_not_annotated() -> None:
    assert LabelRule("instances", objects_only=True).read(np.array([[[0, 4]]]), "a").tolist() == [[-1, 4]]


def test_a_negative_label_is_refused_with_the_setting_that_allows_it() -> None:
    with pytest.raises(UserError, match=r"a: label -1.*data\.not_annotated = \[-1\]"):
        LabelRule("instances").read(np.array([[[1, -1]]], np.int16), "a")


def test_whole_numbers_may_be_stored_as_floats() -> None:
    assert label_plane(np.array([[[0.0, 2.0]]], np.float32), "a").tolist() == [[0, 2]]
    with pytest.raises(UserError, match="a: label values are not whole numbers"):
        label_plane(np.array([[[0.0, 0.5]]], np.float32), "a")


def test_a_grey_rgb_label_image_is_one_channel_and_colours_are_values() -> None:
    grey = np.array([[[0, 255]]] * 3, np.uint8)
    assert label_plane(grey, "a").tolist() == [[0, 255]]
    grey[1] = 0
    assert label_plane(grey, "a").tolist() == [[0, 0xFF00FF]]


def test_colours_are_classes_or_objects() -> None:
    red, blue, black = (255, 0, 0), (0, 0, 255), (0, 0, 0)
    tissue = np.array([[red, red, blue, blue, black, red, red, black, blue, blue]], np.uint8)
    statistics = [label_statistics(np.moveaxis(tissue, -1, 0), (), "a")]
    rule, found = label_rule(statistics, DataSettings(), "a")
    assert (rule.meaning, rule.values) == ("classes", (0, 0x0000FF, 0xFF0000))
    assert "classes #000000, #0000ff, #ff0000" in describe(rule, found, statistics, "data.labels")
    assert rule.read(np.moveaxis(tissue, -1, 0), "a").tolist() == [[2, 2, 1, 1, 0, 2, 2, 0, 1, 1]]


def test_three_pages_saved_as_rgb_get_the_hint() -> None:
    pages = np.array([[[0, 1]], [[0, 2]], [[3, 0]]], np.uint8)
    with pytest.raises(UserError, match="a: a label image of 3 different channels.*saved as RGB by mistake"):
        label_plane(pages, "a")


def test_ids_that_do_not_fit_are_refused_not_wrapped() -> None:
    assert label_plane(np.array([[[2**31 - 1]]], np.uint32), "a").tolist() == [[2**31 - 1]]
    for dtype in (np.uint32, np.float64):
        with pytest.raises(UserError, match="a: label 4294967295"):
            label_plane(np.array([[[2**32 - 1]]], dtype), "a")


# Classes ------------------------------------------------------------------------------------------


def test_classes_are_the_values_that_occur_or_as_many_as_given() -> None:
    assert class_values(measured([[0, 1, 2]]), (), None, "a") == (3, ())
    assert class_values(measured([[0, 1, 3]]), (), None, "a") == (3, (0, 1, 3))
    assert class_values(measured([[0, 1, 3]]), (), 6, "a") == (6, ())
    assert class_values(measured([[0, 85, 170, 255]]), (), None, "a") == (4, (0, 85, 170, 255))
    assert class_values(measured([[0, 1, 2]], not_annotated=(0,)), (0,), 3, "a") == (3, (1, 2, 3))


def test_class_counts_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(UserError, match="256 classes; at most 255"):
        class_values(measured([list(range(256))]), (), None, "a")
    with pytest.raises(UserError, match=r"data\.classes = 3, but the labels were detected as mask"):
        label_rule(measured([[0, 1]]), DataSettings(classes=3), "a")


def test_what_was_recognised_is_put_in_words() -> None:
    planes = measured([[1, 0, 2]], [[1, 0, 0]])
    instances, doubt = LabelRule("instances"), Recognition("instances", "there are few values")
    assert describe(instances, Recognition("instances"), planes, "data.labels") == (
        "labels: 3 instances in 2 images (detected; data.labels overrides)"
    )
    assert describe(instances, doubt, planes, "--labels") == (
        "labels: 3 instances in 2 images (a guess: there are few values. "
        "If they are classes: --labels = classes)"
    )
    classes = LabelRule("classes", "classes", 3)
    assert describe(classes, Recognition("classes"), planes, "") == (
        "labels: class map, classes 0, 1, 2 in 2 images (as set)"
    )
