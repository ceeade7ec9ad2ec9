"""Split, merged, missed and spurious objects, worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unetseg.errors import UserError
from unetseg.scores.errors import ObjectErrors, object_errors


def errors(truth: str, predicted: str) -> ObjectErrors:
    """A row of pixels each; "." is background, "-" not annotated."""
    values = {".": 0, "-": -1}
    rows = [np.array([[values.get(c) if c in values else int(c) for c in row]]) for row in (truth, predicted)]
    return object_errors(*rows)


def test_the_same_labels_are_all_found() -> None:
    assert errors("11.22.", "33.44.") == ObjectErrors(((1, 3), (2, 4)), {}, {}, (), (), ())


def test_an_object_in_two_pieces_is_split() -> None:
    """Each piece lies wholly in the object, so each shares all of the smaller one."""
    found = errors("111111", "55.667")
    assert found.split == {1: (5, 6, 7)}
    assert (found.found, found.merged, found.missed, found.spurious) == ((), {}, (), ())


def test_one_prediction_over_two_objects_is_merged() -> None:
    found = errors("11.222.", "7777777")
    assert found.merged == {7: (1, 2)}
    assert (found.found, found.split, found.missed, found.spurious) == ((), {}, (), ())


def test_what_nothing_belongs_to_is_missed_and_spurious() -> None:
    found = errors("11....", "....88")
    assert (found.missed, found.spurious, found.found) == ((1,), (8,), ())


def test_exactly_half_of_the_smaller_is_not_enough() -> None:
    """Two of four pixels shared: not partners; three of four: partners."""
    half, more = errors("1111..", "..9999"), errors("1111..", ".9999.")
    assert (half.missed, half.spurious, half.found) == ((1,), (9,), ())
    assert more.found == ((1, 9),)


def test_a_neighbour_that_is_only_touched_does_not_make_a_merge() -> None:
    """5 covers object 1 and one pixel of three of object 2, which 6 finds."""
    assert errors("111222", "555566") == ObjectErrors(((1, 5), (2, 6)), {}, {}, (), (), ())


def test_an_object_can_be_part_of_a_split_and_of_a_merge() -> None:
    """Object 1 is cut into 5 and 6, and 6 takes object 2 with it."""
    found = errors("11111122", "55666666")
    assert (found.split, found.merged) == ({1: (5, 6)}, {6: (1, 2)})


def test_a_prediction_mostly_on_unknown_pixels_is_not_judged() -> None:
    found = errors("11----..", "..5555..")
    assert (found.not_judged, found.spurious) == ((5,), ())


def test_half_known_is_not_judged_more_is_spurious() -> None:
    half, more = errors("--..", "5555"), errors("-...", "5555")
    assert (half.not_judged, half.spurious) == ((5,), ())
    assert (more.not_judged, more.spurious) == ((), (5,))


def test_all_of_a_prediction_counts_even_where_nothing_is_annotated() -> None:
    """5 reaches one pixel into object 1 from unknown ground: no second piece of it."""
    found = errors("1111----", "66655555")
    assert found.found == ((1, 6),)
    assert (found.split, found.not_judged) == ({}, (5,))


def test_nothing_is_nothing() -> None:
    assert errors("....", "....") == ObjectErrors((), {}, {}, (), (), ())


def test_volumes_and_ids_above_16_bits() -> None:
    truth = np.zeros((2, 3, 3), np.int32)
    truth[0], truth[1, 0] = 70000, 5
    assert object_errors(truth, truth).found == ((5, 5), (70000, 70000))


def test_different_shapes_are_refused() -> None:
    with pytest.raises(UserError, match="shape"):
        object_errors(np.zeros((2, 2), int), np.zeros((2, 3), int))


small = arrays(np.int32, (4, 5), elements=st.integers(0, 4))


@given(small, small)
def test_every_object_has_one_fate_and_the_roles_swap(truth: np.ndarray, predicted: np.ndarray) -> None:
    """Found, missed, or in a split or merge; splits of the one are merges of the other."""
    one, other = object_errors(truth, predicted), object_errors(predicted, truth)
    assert (one.split, one.missed) == (other.merged, other.spurious)
    involved = set(one.split) | {r for many in one.merged.values() for r in many}
    fates = [{r for r, _ in one.found}, set(one.missed), involved]
    assert sum(map(len, fates)) == len(set.union(*fates)) == len(np.unique(truth[truth > 0]))
