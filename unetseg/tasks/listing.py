"""The entries of a data set, and the selections by which they are split."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial

from unetseg.errors import UserError
from unetseg.sample import Entry, LabelKind, Sample
from unetseg.settings import DataSettings
from unetseg.tasks.hold_back import hold_back

SHOWN = 6
"""How many groups are named in a list."""


@dataclass(frozen=True)
class Listing:
    """Labelled entries in order, how many classes they have, and notes for the user.

    block: of volumes, whose entries are their slices; reads the slices start…stop − 1 of a group.
    values: the value of each class in the label files, in order; empty for 0, 1, 2, … and for objects
    with ids. repeat_grey: grey images are given the three channels of RGB images.
    """

    entries: tuple[Entry, ...]
    classes: int = 2
    kind: LabelKind = "instances"
    notes: tuple[str, ...] = ()
    block: Callable[[str, int, int], Sample] | None = None
    values: tuple[int, ...] = ()
    repeat_grey: bool = False

    @property
    def groups(self) -> list[str]:
        """The names of the sequences, stacks or files, in order."""
        return list(dict.fromkeys(e.group for e in self.entries))


@dataclass(frozen=True)
class Split:
    """The entries of an experiment for training, for choosing weights, and for scores; never mixed."""

    train: tuple[Entry, ...]
    validate: tuple[Entry, ...]
    test: tuple[Entry, ...]

    def describe(self) -> dict[str, str]:
        """Each part as "GROUP[first…last] (n)", for logs and tables."""
        parts = {"train": self.train, "validate": self.validate, "test": self.test}
        return {part: describe_entries(entries) for part, entries in parts.items()}

    def names(self) -> dict[str, list[str]]:
        """The names of the entries of each part."""
        parts = {"train": self.train, "validate": self.validate, "test": self.test}
        return {part: [entry.name for entry in entries] for part, entries in parts.items()}


def split(listing: Listing, data: DataSettings) -> Split:
    """The split that the selections of `data` name; raises UserError if parts overlap."""
    test = select(listing, data.test, "test") if data.test else []
    validate = select(listing, data.validate, "validate") if data.validate else []
    train = select(listing, data.train, "train")
    if data.train == ("*",):  # all that the other parts leave
        names = {e.name for e in (*test, *validate)}
        groups = {e.group for e in test}
        train = [e for e in train if e.name not in names and not _whole(e, groups, data)]
    if not data.validate:
        train, validate = hold_back(train)
    _check_apart(train, validate, test, data)
    return Split(*(tuple(volume_blocks(listing, part)) for part in (train, validate, test)))


def volume_blocks(listing: Listing, entries: Sequence[Entry]) -> list[Entry]:
    """The entries; those of volumes a block for every run of slices, its name "GROUP[first-last]"."""
    return list(entries) if listing.block is None else list(_blocks(listing, listing.block, entries))


def volume_entries(
    group: str, labelled: Sequence[bool], block: Callable[[str, int, int], Sample]
) -> list[Entry]:
    """An entry for every slice of a volume, to select from; labelled: whether it has any object."""
    return [
        Entry(f"{group}[{z}]", group, z, partial(block, group, z, z + 1), labelled=there)
        for z, there in enumerate(labelled)
    ]


def select(listing: Listing, selections: Sequence[str], part: str) -> list[Entry]:
    """The entries that any of the selections "GROUP" or "GROUP[start:stop]" names, in order."""
    chosen: dict[str, Entry] = {}
    for selection in selections:
        found = [e for e in listing.entries if _selects(selection, e)]
        if not found:
            raise UserError(
                f"data.{part} = {selection!r} selects nothing. There is: "
                f"{describe_entries(listing.entries) or 'nothing with labels'}. {_counted(selection)}"
            )
        chosen.update({e.name: e for e in found})
    return [e for e in listing.entries if e.name in chosen]


def _blocks(
    listing: Listing, block: Callable[[str, int, int], Sample], entries: Sequence[Entry]
) -> Iterator[Entry]:
    of_group: dict[str, set[int]] = {}
    for entry in entries:
        of_group.setdefault(entry.group, set()).add(entry.index)
    for group, kept in of_group.items():
        whole = len(kept) == sum(e.group == group for e in listing.entries)
        for first in sorted(z for z in kept if z - 1 not in kept):
            last = next(z for z in range(first, max(kept) + 1) if z + 1 not in kept)
            name = group if whole else f"{group}[{first}-{last}]"
            labelled = any(e.labelled for e in entries if e.group == group and first <= e.index <= last)
            yield Entry(name, name, 0, partial(block, group, first, last + 1), labelled=labelled)


def _whole(entry: Entry, tested_groups: set[str], data: DataSettings) -> bool:
    """Whether an entry is not a frame of a tested time-lapse, whose frames show the same cells."""
    return data.task in ("cell-tracking", "synthetic") and entry.group in tested_groups


def _selects(selection: str, entry: Entry) -> bool:
    match = re.fullmatch(r"(.+?)(?:\[(\d*):(\d*)\])?", selection)
    if match is None or not (entry.group == match[1] or fnmatchcase(entry.group, match[1])):
        return False
    start, stop = int(match[2] or 0), int(match[3]) if match[3] else entry.index + 1
    return start <= entry.index < stop


def _counted(selection: str) -> str:
    """What the numbers of a selection count; "" for one without numbers."""
    if "[" not in selection:
        return "Give the name of a sequence, stack or file, or a pattern such as dish*."
    return (
        "NAME[first:stop] counts frame numbers (t007.tif is 7), or pages or slices from 0; `stop` is not "
        "included."
    )


def _check_apart(train: list[Entry], validate: list[Entry], test: list[Entry], data: DataSettings) -> None:
    if not train:
        raise UserError("the training part is empty: the other parts leave nothing. See data.train.")
    by_group = data.task in ("cell-tracking", "synthetic")
    parts = {"train": train, "validate": validate, "test": test}
    for a, b in (("train", "validate"), ("train", "test"), ("validate", "test")):
        key = "group" if by_group and b == "test" else "name"
        shared = {getattr(e, key) for e in parts[a]} & {getattr(e, key) for e in parts[b]}
        if shared:
            raise UserError(
                f"data.{a} and data.{b} share {sorted(shared)[0]!r}, so scores would be too high. "
                "Split time-lapses by sequence, other data by image or slice."
            )


def describe_entries(entries: Sequence[Entry]) -> str:
    """Groups as 01[0…65] (66), 02[0…9] (10); single images as 9 images: dish1, dish2 and 7 more."""
    members: dict[str, list[int]] = {}
    for entry in entries:
        members.setdefault(entry.group, []).append(entry.index)
    single = all(m == [0] for m in members.values())
    words = [g if single else f"{g}[{min(m)}…{max(m)}] ({len(m)})" for g, m in members.items()]
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    count = f"{len(words)} image{'s' * (len(words) > 1)}: " if single and words else ""
    return count + ", ".join(words[:SHOWN]) + more
