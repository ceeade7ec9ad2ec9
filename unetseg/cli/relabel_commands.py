"""The command that makes new labels from saved probabilities: relabel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from unetseg.cli.group import PATH, cli

RESIZED = "this model resizes images, so objects can differ a little from those of predict"


@cli.command()
@click.argument("run", type=PATH)
@click.argument("probabilities", type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder for the labels.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Foreground probability of an object.")
@click.option("--seed-threshold", type=click.FloatRange(0, 1),
              help="Split touching objects by seeds above this probability; 0: off.")  # fmt: skip
@click.option("--min-seed-area", type=click.IntRange(0), help="Drop seeds below this area in pixels.")
@click.option("--min-area", type=click.IntRange(0), help="Remove objects below this area in pixels.")
@click.option("--max-hole-area", type=click.IntRange(0), help="Fill holes up to this area in pixels.")
@click.option("--grow", type=click.IntRange(0, 10_000), help="Grow objects by this many pixels.")
@click.option("--overwrite", is_flag=True, help="Replace existing label files.")
def relabel(run: Path, probabilities: Path, out: Path, overwrite: bool, **given: Any) -> None:
    """Make new labels from saved PROBABILITIES.

    The network is not run. PROBABILITIES is a TIFF, or a folder of them, written by `predict RUN
    --probabilities`. Settings that are not given come from the model RUN. With the same settings, the labels
    equal those of predict, except for images that were resized for the network (--scale, --rescale, models
    such as nuclei) or saved as uint8: there, objects can differ a little.

    \b
    Example:
      unetseg relabel runs/cells runs/cells/predictions --threshold 0.6 --out stricter
    """  # noqa: D301
    from unetseg import api
    from unetseg.pipeline.relabel import label_settings, relabel_file, relabel_targets

    targets = relabel_targets(probabilities, out, overwrite=overwrite)
    model = api.load_model(run, "cpu")
    labels = label_settings(model, **given)
    if model.recipe.object_diameter > 0:
        click.echo(f"note: {RESIZED}", err=True)
    for source, target in targets:
        click.echo(f"{target}: {relabel_file(source, target, labels)} objects")
