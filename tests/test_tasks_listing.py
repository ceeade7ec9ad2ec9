"""Splits: parts never overlap, and what is held back leaves something to train on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetseg.errors import UserError
from unetseg.sample import Entry, Sample
from unetseg.settings import DataSettings
from unetseg.tasks.listing import Listing, hold_back, select, split


def unread() -> Sample:
    raise AssertionError("a split needs no pixels")


def make(**groups: int) -> Listing:
    """Groups with so many entries each, named as "a3"."""
    return Listing(tuple(Entry(f"{g}{i}", g, i, unread) for g, n in groups.items() for i in range(n)))


def names(entries: Sequence[Entry]) -> str:
    return " ".join(e.name for e in entries)


def parts(listing: Listing, **settings: Any) -> tuple[str, str, str]:
    found = split(listing, DataSettings(**settings))
    return names(found.train), names(found.validate), names(found.test)


# Selections ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        ("a", "a0 a1 a2 a3"),
        ("a[1:3]", "a1 a2"),
        ("a[2:]", "a2 a3"),
        ("a[:1]", "a0"),
        ("a[3:99]", "a3"),
        ("*", "a0 a1 a2 a3 ab0 ab1"),
        ("a*[1:2]", "a1 ab1"),
        ("?b", "ab0 ab1"),
    ],
)
def test_a_selection(selection: str, chosen: str) -> None:
    assert names(select(make(a=4, ab=2), [selection], "train")) == chosen


def test_selections_add_up_in_the_listings_order_and_once() -> None:
    assert names(select(make(a=3, b=2), ["b", "a[1:]", "a[2:3]"], "train")) == "a1 a2 b0 b1"


def test_a_group_may_have_brackets_and_dots_in_its_name() -> None:
    listing = make(**{"cell [1] 2.0": 2, "cell 1 2.0": 1})
    assert names(select(listing, ["cell [1] 2.0[1:]"], "test")) == "cell [1] 2.01"


@pytest.mark.parametrize("selection", ["c", "a[9:]", "A", "a[-1:]", "a[2:1]", ""])
def test_an_empty_selection_says_what_there_is(selection: str) -> None:
    with pytest.raises(
        UserError, match=r"data\.test = .* selects nothing\. There is: a\[0…3\] \(4\), b\[0…0\]"
    ):
        select(make(a=4, b=1), [selection], "test")


def test_many_groups_are_not_all_listed() -> None:
    with pytest.raises(UserError, match="9 images: g0, g1, g2, g3, g4, g5 and 3 more"):
        select(make(**{f"g{i}": 1 for i in range(9)}), ["x"], "train")


# Splits -------------------------------------------------------------------------------------------


def test_a_split_by_sequence() -> None:
    listing = make(a=10, b=5)
    assert parts(listing, task="cell-tracking", train=("a",), test=("b",)) == (
        "a0 a1 a2 a3 a4 a5 a6 a7",
        "a8 a9",
        "b0 b1 b2 b3 b4",
    )


def test_everything_is_all_that_the_other_parts_leave() -> None:
    listing = make(a=5, b=5)
    assert parts(listing, validate=("a[4:]",), test=("b",)) == ("a0 a1 a2 a3", "a4", "b0 b1 b2 b3 b4")
    assert parts(listing, validate=("b",)) == ("a0 a1 a2 a3 a4", "b0 b1 b2 b3 b4", "")


def test_a_tested_time_lapse_is_not_trained_on_at_all() -> None:
    listing = make(a=5, b=5)
    assert parts(listing, task="cell-tracking", test=("b[3:]",)) == ("a0 a1 a2 a3", "a4", "b3 b4")
    stack = parts(listing, task="folder", test=("b[3:]",))
    assert stack == ("a0 a1 a2 a3 b0 b1 b2", "a4", "b3 b4")


@pytest.mark.parametrize(
    "settings",
    [
        {"train": ("a",), "test": ("a[4:]",)},
        {"train": ("a",), "validate": ("a[4:]",)},
        {"train": ("a",), "validate": ("b",), "test": ("b[1:2]",)},
        {"train": ("a[:2]",), "test": ("a[2:]",), "task": "cell-tracking"},
        {"train": ("a",), "validate": ("b[:2]",), "test": ("b[2:]",), "task": "cell-tracking"},
        {"train": ("*",), "validate": ("a",), "test": ("a",)},
    ],
)
def test_overlap_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="scores would be too high"):
        split(make(a=5, b=5), DataSettings(**settings))


def test_frames_of_one_time_lapse_may_be_trained_and_validated_on() -> None:
    found = parts(make(a=4), task="cell-tracking", train=("a[:3]",), validate=("a[3:]",))
    assert found == ("a0 a1 a2", "a3", "")


def test_nothing_to_train_on_is_an_error() -> None:
    with pytest.raises(UserError, match="the training part is empty"):
        split(make(a=5), DataSettings(test=("a",)))


def test_a_split_describes_itself() -> None:
    found = split(make(a=10, b=2), DataSettings(train=("a",), test=("b",)))
    assert found.describe() == {"train": "a[0…7] (8)", "validate": "a[8…9] (2)", "test": "b[0…1] (2)"}


@given(st.lists(st.integers(1, 12), min_size=1, max_size=12))
def test_holding_back_is_disjoint_covers_and_leaves_something_to_train_on(sizes: list[int]) -> None:
    entries = make(**{f"g{i:02}_": n for i, n in enumerate(sizes)}).entries
    train, back = hold_back(entries)
    assert sorted([*names(train).split(), *names(back).split()]) == sorted(e.name for e in entries)
    assert train
    if len(sizes) >= 5:  # whole groups are held back
        assert not {e.group for e in train} & {e.group for e in back}
        assert len({e.group for e in back}) == len(sizes) // 5
    else:  # the end of each group is
        assert [sum(e.group == f"g{i:02}_" for e in back) for i in range(len(sizes))] == [
            n // 5 for n in sizes
        ]


@pytest.mark.data
@pytest.mark.parametrize("name", ["DIC-C2DH-HeLa", "PhC-C2DH-U373"])
def test_the_challenges_sequences_split(data_root: Path, name: str) -> None:
    from unetseg.tasks.cell_tracking import listing

    if not (data_root / name).is_dir():
        pytest.skip(f"no {data_root / name}")
    settings = DataSettings(task="cell-tracking", train=("01",), test=("02",))
    found = split(listing(data_root / name, settings), settings)
    assert {e.group for e in (*found.train, *found.validate)} == {"01"}
    assert {e.group for e in found.test} == {"02"}


def test_a_key_that_the_task_does_not_use_is_refused(tmp_path: Path) -> None:
    from unetseg.settings import DataSettings
    from unetseg.tasks import list_task

    with pytest.raises(UserError, match=r"data\.labels is for task \"folder\""):
        list_task(tmp_path, DataSettings(task="isbi-em", labels="mask"))
