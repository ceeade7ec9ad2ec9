"""Which entries are held back for validation if the settings name none: always some with objects."""

from __future__ import annotations

from collections.abc import Sequence

from unetseg.sample import Entry

HELD_BACK = 5
"""One in five entries is held back."""


def hold_back(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """(train, validate): every fifth group, or with fewer than five groups the end of each one.

    Groups with objects and groups without any are counted separately, and the end of a group begins where
    it holds a fifth of the entries and a fifth of those with objects: a part without objects cannot
    choose weights.
    """
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.group, []).append(entry)
    if len(groups) >= HELD_BACK:
        back = {e.name for members in _whole_groups(list(groups.values())) for e in members}
    else:
        back = {e.name for members in groups.values() for e in _end(members)}
    return [e for e in entries if e.name not in back], [e for e in entries if e.name in back]


def _whole_groups(groups: Sequence[list[Entry]]) -> list[list[Entry]]:
    """Every fifth group with objects and every fifth without; the end of one if it alone has objects."""
    labelled = [g for g in groups if any(e.labelled for e in g)]
    empty = [g for g in groups if g not in labelled]
    held = labelled[HELD_BACK - 1 :: HELD_BACK]
    if not held:
        held = labelled[-1:] if len(labelled) > 1 else [_end(g) for g in labelled]
    return held + empty[HELD_BACK - 1 :: HELD_BACK]


def _end(members: list[Entry]) -> list[Entry]:
    """The last entries of a group that are held back; none if the group is too small."""
    count = len(members) // HELD_BACK
    labelled = [i for i, e in enumerate(members) if e.labelled]
    if not count or len(labelled) == 1:
        return []
    start = len(members) - count
    if labelled:
        start = min(start, labelled[-max(1, len(labelled) // HELD_BACK)])
    return members[start:]
