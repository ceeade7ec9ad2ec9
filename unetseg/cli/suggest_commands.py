"""The command that says which images to annotate next: suggest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetseg.cli.downloads import fetch_model
from unetseg.cli.group import PATH, cli
from unetseg.cli.output import show
from unetseg.cli.terminal import Progress, columns

if TYPE_CHECKING:
    from unetseg.pipeline.suggest import Order


@cli.command()
@click.argument("run", type=PATH)
@click.argument("images", type=PATH, metavar="FOLDER")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="How many images.")
@click.option("--out", type=PATH, help="Folder for suggestions.html and .csv (default: RUN/suggestions).")
@click.option(
    "--by",
    "order",
    type=click.Choice(["uncertain-and-new", "uncertain"]),
    default="uncertain-and-new",
    show_default=True,
    help="By uncertainty times the distance to what is annotated, or by uncertainty alone.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
def suggest(run: Path, images: Path, top: int, out: Path | None, order: Order, device: str) -> None:
    """Say which images of FOLDER to annotate next.

    Those that the trained RUN is most uncertain about, and that look unlike the images it was trained on
    and unlike each other. Images that have a label in FOLDER/labels, or that belong to the run's own data,
    are left out. Writes a page with thumbnails and reasons, and the same as a table.

    \b
    Example:
      unetseg suggest runs/cells newplate --top 5
    """  # noqa: D301
    from unetseg import api
    from unetseg.models import find_model
    from unetseg.pipeline.suggest import reasons
    from unetseg.report.suggestions import check_table, write_suggestions

    found = find_model(run, fetch_model)
    folder = out or found.predictions.with_name("suggestions")
    check_table(folder)
    with Progress(None, "images") as bar:
        result = api.suggest(
            found.path, images, top, order=order, device=device, progress=lambda name: bar.add(1)
        )
    for note in result.notes:
        click.echo(f"note: {note}", err=True)
    page, _ = write_suggestions(folder, result, str(run))
    rows = [[str(s.rank), s.look.name, ", ".join(reasons(s))] for s in result.suggestions]
    show(columns([["rank", "image", "reason"], *rows]))
    show(f"page: {page}")
