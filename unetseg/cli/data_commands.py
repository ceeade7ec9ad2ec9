"""`unetseg data`: examine a folder, list the public data sets, download one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetseg.cli.group import PATH, cli
from unetseg.cli.terminal import Progress, columns
from unetseg.errors import UserError

if TYPE_CHECKING:
    from unetseg.catalogue import CatalogueItem


@cli.command()
@click.argument("folder", type=PATH, required=False, metavar="[FOLDER|NAME]")
@click.option("--download", is_flag=True, help="Download the public data set NAME.")
@click.option("--to", type=PATH, help="Folder to download into (default: $UNETSEG_DATA, or here).")
def data(folder: Path | None, download: bool, to: Path | None) -> None:
    """Examine your data; list or download public data sets.

    With the FOLDER of your images and labels: a row for each file, the detected type of the labels, the
    split into training and validation, and possible problems. With a folder of public data sets: whether
    each is complete. With NAME --download: download that set. Without an argument: list the sets, their
    licences and addresses.
    """
    from unetseg.catalogue import read_catalogue

    items = read_catalogue()
    if download:
        if folder is None:
            raise UserError(f"--download takes the NAME of a set: {', '.join(item.name for item in items)}.")
        from unetseg.download import find_dataset

        download_with_progress(find_dataset(str(folder), items), to)
    elif to is not None:
        raise UserError("--to goes with --download.")
    elif folder is None:
        for item in items:
            _show_item(item)
    elif any((folder / item.folder).is_dir() for item in items):
        _check(items, folder)
    elif not folder.exists() and (named := [item for item in items if item.name == str(folder)]):
        _show_item(named[0])
        if named[0].download:
            click.echo(f"    next:     unetseg data {folder} --download")
    else:
        _examine(folder)


def download_with_progress(item: CatalogueItem, to: Path | None = None) -> Path:
    """The set's folder, downloaded behind a progress bar; its terms are printed first."""
    from unetseg.download import data_folder, download_dataset
    from unetseg.download.datasets import unfinished_bytes

    to = data_folder() if to is None else to
    if item.download and not (to / item.folder).exists():
        click.echo(f"{click.style(item.title, bold=True)}\nterms: {item.licence}\ncite: {item.citation}")
        start = unfinished_bytes(item, to)
        click.echo(f"{'resuming' if start else 'downloading'} {item.download}")
    with _Bar("B") as bytes_bar, _Bar("image") as image_bar:
        there = (to / item.folder).exists()
        try:
            path = download_dataset(
                item, to, received=bytes_bar.show, converted=image_bar.show, say=click.echo
            )
        except KeyboardInterrupt:
            if unfinished_bytes(item, to):
                click.echo("the same command resumes the download", err=True)
            raise
    checked = "checksums match" if item.files else "no checksums known"
    click.echo(f"{path}: {'already there' if there else 'downloaded'}, {checked}")
    return path


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


def _show_item(item: CatalogueItem) -> None:
    click.echo(f"{click.style(item.name, bold=True)}: {item.what}")
    click.echo(f"    download: {item.download or item.site}\n    terms:    {item.licence}")


def _check(items: list[CatalogueItem], folder: Path) -> None:
    from unetseg.catalogue import check_dataset

    for item in items:
        problems = check_dataset(item, folder)
        whole = "complete, checksums match" if item.files else "found (no checksums known)"
        click.echo(f"{click.style(item.name, bold=True)}: {item.what}")
        click.echo("    " + ("\n    ".join(problems) or f"{whole}: {folder / item.folder}"))


def _examine(folder: Path) -> None:
    from unetseg.pipeline.examine import examine

    found = examine(folder)
    if found.rows:
        click.echo(columns([list(found.head), *found.rows]))
    for note in found.notes:
        click.echo(note)
    for problem in found.odd:
        click.echo(f"{click.style('odd:', bold=True)} {problem.removeprefix('warning: ')}")
    if not found.odd:
        click.echo(f"nothing is odd. Next: unetseg show {folder}, then unetseg train --data {folder}")
