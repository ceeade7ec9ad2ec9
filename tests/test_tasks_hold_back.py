"""What is held back for validation holds objects wherever there are some to spare."""

from __future__ import annotations

import numpy as np
import pytest

from unetseg.pipeline.dataset import split_notes
from unetseg.sample import Entry, Sample
from unetseg.settings import DataSettings
from unetseg.tasks.hold_back import hold_back
from unetseg.tasks.listing import Listing, Split, split, volume_entries


def unread(*_: object) -> Sample:
    raise AssertionError("a split needs no pixels")


def entries(**groups: str) -> list[Entry]:
    """Entries by group; "x" has objects, "." has none."""
    return [
        Entry(f"{g}{i}", g, i, unread, labelled=c == "x") for g, s in groups.items() for i, c in enumerate(s)
    ]


def held(**groups: str) -> str:
    return " ".join(e.name for e in hold_back(entries(**groups))[1])


def test_every_fifth_image_a_negative() -> None:
    """Plain counting would hold back e and j, which have no objects."""
    images = {g: "." if g in "ej" else "x" for g in "abcdefghij"}
    assert held(**images) == "f0"


def test_the_last_slices_of_a_volume_are_empty() -> None:
    assert held(v="xxxxxxxx..") == "v7 v8 v9"
    assert held(v="..........") == "v8 v9"
    assert held(v="xxxxxxxxxx") == "v8 v9"
    assert held(v="xxxxxxxxxxxxxxxxxxxx....") == " ".join(f"v{i}" for i in range(16, 24))


def test_one_image_with_objects_among_many_is_trained_on() -> None:
    assert held(a="x", b=".", c=".", d=".", e=".", f=".") == "f0"


def test_blocks_of_slices_know_whether_they_have_objects() -> None:
    volume = tuple(volume_entries("v", [True] * 8 + [False] * 2, unread))
    found = split(Listing(volume, block=unread), DataSettings(validate=("v[8:]",)))
    assert [e.labelled for e in (*found.train, *found.validate)] == [True, False]


@pytest.mark.parametrize(("validate", "test"), [(".", "x"), ("x", ".")])
def test_a_part_without_objects_is_warned_of(validate: str, test: str) -> None:
    part = {name: tuple(entries(**{name: flags})) for name, flags in (("v", validate), ("t", test))}
    notes = split_notes(Split(tuple(entries(a="x")), part["v"], part["t"]))
    wrong = "validate" if validate == "." else "test"
    assert [n for n in notes if n.startswith("warning")] == [
        f"warning: no object in the {wrong} part, "
        + ("the last weights are kept" if wrong == "validate" else "its scores are undefined")
        + f". Choose others in data.{wrong}"
    ]


def test_grey_and_rgb_by_hand() -> None:
    from unetseg.tasks.channels import to_channels

    grey, rgb = np.array([[[1, 2]]]), np.array([[[5, 6]]] * 3)
    assert to_channels(grey, 3).tolist() == [[[1, 2]]] * 3
    assert to_channels(rgb, 1).tolist() == [[[5, 6]]]
