"""The options of show and train that say how a data folder is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def data_options(command: Command) -> Command:
    """--partly-annotated, --channel and --scene, which the command takes as keywords of `data_overrides`."""
    partly = click.option(
        "--partly-annotated",
        is_flag=True,
        help="Only some objects are annotated: learn those, and nothing of the rest.",
    )
    channel = click.option(
        "--channel", type=click.IntRange(0), multiple=True, help="Only this channel of images (repeatable)."
    )
    scene = click.option("--scene", type=click.IntRange(0), help="Scene to read, if files hold several.")
    return partly(channel(scene(command)))


def data_overrides(*, partly_annotated: bool, channel: tuple[int, ...], scene: int | None) -> dict[str, Any]:
    """The settings of [data] that were given."""
    given = {"channels": channel, "partly_annotated": partly_annotated}
    return {key: value for key, value in given.items() if value} | ({} if scene is None else {"scene": scene})
