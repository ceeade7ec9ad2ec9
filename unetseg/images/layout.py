"""Which axes of a file are planes, channels, rows and columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from unetseg.errors import UserError
from unetseg.images.limits import check_planes

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Layout:
    """How the axes of a series map to planes and channels.

    axes: letters of the series; lengths: of each; channel: index of the channel axis, −1 for none.
    """

    axes: str
    lengths: tuple[int, ...]
    channel: int

    @classmethod
    def of(cls, path: Path, axes: str, lengths: tuple[int, ...], given: str | None) -> Layout:
        """The layout of the axes that the file names, or of `given` instead.

        Raises UserError if they do not fit the lengths, lack Y or X, or make too many planes.
        """
        if given is not None and len(given) != len(lengths):
            size = "×".join(map(str, lengths))
            raise UserError(f"{path}: axes {given} were given, but it has {len(lengths)}: {size} {axes}.")
        axes = given or axes
        if axes.count("Y") != 1 or axes.count("X") != 1:
            raise UserError(f"{path}: its axes are {axes}; an image needs Y and X, once each.")
        if axes.count("S") + axes.count("C") > 1:
            raise UserError(f"{path}: RGB and separate channels together ({axes}) cannot be read.")
        layout = cls(axes, lengths, axes.find("S") if "S" in axes else axes.find("C"))
        check_planes(path, math.prod(layout.planes.values()))
        return layout

    @property
    def outer(self) -> list[int]:
        """The indices of the axes that planes run over."""
        return [i for i, a in enumerate(self.axes) if i != self.channel and a not in "YX"]

    @property
    def planes(self) -> dict[str, int]:
        """The axes that planes run over, in lower case; a letter's second axis is numbered."""
        letters = [self.axes[i].lower() for i in self.outer]
        names = [
            a + (str(letters[:k].count(a) + 1) if a in letters[:k] else "") for k, a in enumerate(letters)
        ]
        return {name: self.lengths[i] for name, i in zip(names, self.outer, strict=True)}

    @property
    def channels(self) -> int:
        """Channels of a plane, as they are stored."""
        return 1 if self.channel < 0 else self.lengths[self.channel]

    @property
    def yx(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.lengths[self.axes.index("Y")], self.lengths[self.axes.index("X")]

    def place(self, plane: int, channel: int, y: Any, x: Any) -> tuple[Any, ...]:
        """The index into the series of a channel of a plane."""
        outer = self.outer
        indices = np.unravel_index(plane, [self.lengths[i] for i in outer]) if outer else ()
        at = {i: int(n) for i, n in zip(outer, indices, strict=True)} | {self.channel: channel}
        return tuple(at.get(i, y if a == "Y" else x) for i, a in enumerate(self.axes))


def one_of(path: Path, things: Sequence[Thing], index: int, what: str, texts: Sequence[str]) -> Thing:
    """things[index], or a UserError that lists the `texts` of all."""
    if 0 <= index < len(things):
        return things[index]
    there = ", ".join(f"{i} ({text})" if text else str(i) for i, text in enumerate(texts))
    raise UserError(f"{path}: has no {what} {index}. It has {there}.")
