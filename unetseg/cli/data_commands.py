"""`unetseg data`: examine a folder, list the public data sets, download one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetseg.cli.downloads import fetch_dataset
from unetseg.cli.group import PATH, cli
from unetseg.cli.output import show
from unetseg.cli.terminal import columns
from unetseg.errors import UserError

if TYPE_CHECKING:
    from unetseg.catalogue import CatalogueItem


@cli.command(summary=True)
@click.argument("folder", type=PATH, required=False, metavar="[FOLDER|NAME]")
@click.option("--download", is_flag=True, help="Download the public data set NAME.")
@click.option("--to", type=PATH, help="Folder to download into (default: $UNETSEG_DATA or this folder).")
def data(folder: Path | None, download: bool, to: Path | None) -> dict[str, Any]:
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

        return {"folder": fetch_dataset(find_dataset(str(folder), items), to)}
    if to is not None:
        raise UserError("--to goes with --download.")
    if folder is None:
        return {"sets": [_show_item(item) for item in items]}
    if any((folder / item.folder).is_dir() for item in items):
        return {"problems": _check(items, folder)}
    if not folder.exists() and (named := [item for item in items if item.name == str(folder)]):
        shown = _show_item(named[0])
        if named[0].download:
            show(f"    next:     unetseg data {folder} --download")
        return {"sets": [shown]}
    return _examine(folder)


def _show_item(item: CatalogueItem) -> dict[str, str]:
    show(f"{click.style(item.name, bold=True)}: {item.what}")
    show(f"    download: {item.download or item.site}\n    terms:    {item.licence}")
    download = item.download or item.site
    return {"name": item.name, "what": item.what, "download": download, "licence": item.licence}


def _check(items: list[CatalogueItem], folder: Path) -> dict[str, list[str]]:
    """Print and return what is wrong with the local copy of each set."""
    from unetseg.catalogue import check_dataset

    found = {}
    for item in items:
        problems = found[item.name] = check_dataset(item, folder)
        whole = "complete, checksums match" if item.files else "found (no checksums known)"
        show(f"{click.style(item.name, bold=True)}: {item.what}")
        show("    " + ("\n    ".join(problems) or f"{whole}: {folder / item.folder}"))
    return found


def _examine(folder: Path) -> dict[str, Any]:
    from unetseg.pipeline.examine import examine

    found = examine(folder)
    if found.rows:
        show(columns([list(found.head), *found.rows]))
    for note in found.notes:
        show(note)
    for problem in found.odd:
        show(f"{click.style('possible problem:', bold=True)} {problem.removeprefix('warning: ')}")
    if not found.odd:
        show(f"no problems found. Next: unetseg show {folder}, then unetseg train --data {folder}")
    files = [dict(zip(found.head, row, strict=True)) for row in found.rows]
    return {"files": files, "notes": found.notes, "problems": found.odd}
