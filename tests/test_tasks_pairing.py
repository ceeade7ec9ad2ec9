"""Which files pair: the whole name first, then names without words for labels and images."""

from __future__ import annotations

from pathlib import Path

import pytest

from unetseg.errors import UserError
from unetseg.tasks.pairing import labels_beside_images, pair_names


def pairs(first: list[str], second: list[str]) -> list[tuple[str, str]]:
    found = pair_names([Path("a", n) for n in first], [Path("b", n) for n in second], "Rename one.")
    return [(one.name, other.name) for one, other in found.pairs]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.tif", "a.png"),
        ("a.tif", "a_mask.tif"),
        ("a.png", "a_cp_masks.png"),
        ("a.tif", "a_segmentation.tif"),
        ("a.tif", "a-label.tif"),
        ("a.ome.tif", "a_seg.ome.tif"),
        ("a_gt.tif", "a_labels.tif"),
        ("a_mask.tif", "a_probabilities.tif"),
        ("cell 1.0 dish.tif", "cell 1.0 dish_labels.tif"),
        ("cell 1.5.gt.tif", "cell 1.5_labels.tif"),
        ("A1_raw.tif", "a1_GT.tif"),
        ("img_001.png", "mask_001.png"),
        ("025.tif", "t025_labels.tif"),
        ("man_seg025.tif", "t025_labels.tif"),
        ("man_seg025.tif", "mask025.tif"),
        ("t025.tif", "man_seg025.tif"),
        ("day.1.nii.gz", "day.1_classes.nii"),
    ],
)
def test_two_names_pair_in_either_order(first: str, second: str) -> None:
    assert pairs([first], [second]) == [(first, second)]
    assert pairs([second], [first]) == [(second, first)]


def test_the_whole_name_comes_first() -> None:
    """Images whose names end in words for labels keep their own partners."""
    assert pairs(["cell.tif", "cell_gt.tif"], ["cell_gt.tif", "cell.tif"]) == [
        ("cell.tif", "cell.tif"),
        ("cell_gt.tif", "cell_gt.tif"),
    ]
    assert pairs(["cell.tif", "cell_gt.tif"], ["cell_labels.tif", "cell_gt_labels.tif"]) == [
        ("cell.tif", "cell_labels.tif"),
        ("cell_gt.tif", "cell_gt_labels.tif"),
    ]
    assert pairs(["stained_mask.tif"], ["stained_mask.tif"]) == [("stained_mask.tif", "stained_mask.tif")]


@pytest.mark.parametrize(
    ("first", "second"), [("a1.tif", "a10.tif"), ("day.1.tif", "day.2.tif"), ("1.tif", "01.tif")]
)
def test_other_names_do_not_pair(first: str, second: str) -> None:
    assert pairs([first], [second]) == []


def test_files_without_partner_are_reported_by_side() -> None:
    found = pair_names([Path("a"), Path("b")], [Path("b_mask"), Path("c")], "")
    assert (found.lone_first, found.lone_second) == ((Path("a"),), (Path("c"),))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["a.tif", "a.png"], []),
        (["a.tif"], ["a.tif", "a_mask.tif"]),
        (["a.tif"], ["a_labels.tif", "a_mask.tif"]),
        (["a_gt.tif"], ["a_labels.tif", "a_mask.tif"]),
    ],
)
def test_two_files_for_one_name_are_refused(first: list[str], second: list[str]) -> None:
    with pytest.raises(UserError, match=r"two files for the name 'a'\. Rename one\."):
        pairs(first, second)


def test_labels_that_lie_beside_their_images() -> None:
    names = ["a.tif", "a_mask.tif", "b_img.png", "b_gt.png", "stained_mask.tif", "c.tif"]
    images, labels = labels_beside_images([Path(n) for n in names])
    assert [p.name for p in images] == ["a.tif", "b_img.png", "stained_mask.tif", "c.tif"]
    assert [p.name for p in labels] == ["a_mask.tif", "b_gt.png"]
