"""Options of several commands that say how labels are made and written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

OUTLINES = ("imagej", "geojson", "coco")
"""Of `exports.FORMATS`, which is not loaded for `--help`."""
LABEL_TYPES = ("as-trained", "instances", "mask", "classes")
"""Of `pipeline.model`, which is not loaded for `--help`."""
LABELS: dict[str, tuple[Any, str]] = {
    "--threshold": (click.FloatRange(0, 1), "Foreground probability of an object."),
    "--seed-threshold": (
        click.FloatRange(0, 1),
        "Seed probability. Touching objects are split by a watershed from seeds above it; 0: they are not.",
    ),
    "--min-seed-area": (click.IntRange(0), "Drop seeds below this area in pixels."),
    "--min-area": (click.IntRange(0), "Remove objects below this area in pixels."),
    "--max-hole-area": (click.IntRange(0), "Fill holes up to this area in pixels."),
    "--grow": (click.IntRange(0, 10_000), "Grow objects by this many pixels."),
}
"""Type and help of each option that replaces a label setting of the model."""
F = TypeVar("F", bound=Callable[..., Any])


def label_options(option: Callable[..., Callable[[F], F]]) -> Callable[[F], F]:
    """`--as` and all of LABELS, made by `option` (as click.option) in this order."""

    def add(command: F) -> F:
        for name, (kind, words) in reversed(LABELS.items()):
            command = option(name, type=kind, help=words)(command)
        return option(
            "--as",
            "label_type",
            type=click.Choice(LABEL_TYPES),
            default="as-trained",
            show_default=True,
            help="Kind of labels. They are instance ids, a 0/255 mask or class numbers.",
        )(command)

    return add
