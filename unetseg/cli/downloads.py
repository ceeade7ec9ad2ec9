"""Models and data sets downloaded behind a progress bar; their terms are printed first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetseg.cli.output import say
from unetseg.cli.terminal import Progress

if TYPE_CHECKING:
    from unetseg.catalogue import CatalogueItem
    from unetseg.models import ModelCard


def fetch_model(card: ModelCard) -> Path:
    """The file of a model, downloaded unless it is in the cache."""
    from unetseg.download.fetch import PART
    from unetseg.images.limits import in_words
    from unetseg.models import cached_file, download_model

    target = cached_file(card)
    if not target.is_file():
        size = in_words(card.bytes)
        click.echo(f"downloading {card.name} ({size}, licence {card.licence}) from {card.url}", err=True)
    with _Bar("B") as bar, _resumable(target.with_name(target.name + PART).is_file):
        return download_model(card, bar.show)


def fetch_dataset(item: CatalogueItem, to: Path | None = None) -> Path:
    """The folder of a data set below `to` (default: $UNETSEG_DATA), downloaded unless it is there."""
    from unetseg.download import data_folder, download_dataset
    from unetseg.download.datasets import unfinished_bytes

    to = data_folder() if to is None else to
    there = (to / item.folder).exists()
    if item.download and not there:
        say(f"{click.style(item.title, bold=True)}\nterms: {item.licence}\ncite: {item.citation}")
        start = unfinished_bytes(item, to)
        say(f"{'resuming' if start else 'downloading'} {item.download}")
    with (
        _Bar("B") as received,
        _Bar("image") as converted,
        _resumable(lambda: unfinished_bytes(item, to) > 0),
    ):
        path = download_dataset(item, to, received=received.show, converted=converted.show, say=say)
    checked = "checksums match" if item.files else "no checksums known"
    say(f"{path}: {'already there' if there else 'downloaded'}, {checked}")
    return path


@contextmanager
def _resumable(unfinished: Callable[[], bool]) -> Iterator[None]:
    """After Ctrl-C, a line that says how to resume what is unfinished."""
    try:
        yield
    except KeyboardInterrupt:
        if unfinished():
            click.echo("the same command resumes the download", err=True)
        raise


class _Bar:
    """A progress bar that appears when its first count comes."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.progress: Progress | None = None

    def show(self, done: int, total: int) -> None:
        """`done` of `total` (0: unknown)."""
        if self.progress is None:
            self.progress = Progress(total or None, self.unit)
        self.progress.add(done - self.progress.bar.n)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: object) -> None:
        if self.progress is not None:
            self.progress.bar.close()
