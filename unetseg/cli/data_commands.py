"""`unetseg data`: examine a folder, list the public data sets, download one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetseg.cli.downloads import fetch_dataset
from unetseg.cli.group import PATH, cli
from unetseg.cli.terminal import columns
from unetseg.errors import UserError

if TYPE_CHECKING:
    from unetseg.catalogue import CatalogueItem


@cli.command()
@click.argument("folder", type=PATH, required=False, metavar="[FOLDER|NAME]")
@click.option("--download", is_flag=True, help="Download the public data set NAME.")
@click.option("--to", type=PATH, help="Folder to download into (default: $UNETSEG_DATA or this folder).")
def data(folder: Path | None, download: bool, to: Path | None) -> None:
    """Examine your data; list or download public data sets.

    With the FOLDER of your images and labels: one row per file, the detected type of the labels, the split
    into training and validation, and possible problems. With a folder of public data sets: whether each is
    complete. With NAME --download: download that set. Without an argument: list the sets, their licences
    and addresses.
    """
    from unetseg.catalogue import read_catalogue

    items = read_catalogue()
    if download:
        if folder is None:
            raise UserError(f"--download takes the NAME of a set: {', '.join(item.name for item in items)}.")
        from unetseg.download import find_dataset

        fetch_dataset(find_dataset(str(folder), items), to)
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
        click.echo(f"{click.style('possible problem:', bold=True)} {problem.removeprefix('warning: ')}")
    if not found.odd:
        click.echo(f"no problems found. Next: unetseg show {folder}, then unetseg train --data {folder}")
