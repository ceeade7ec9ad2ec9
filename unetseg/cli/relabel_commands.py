"""The command that makes new labels from saved probabilities: relabel."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetseg.cli.group import PATH, cli
from unetseg.cli.label_options import label_options
from unetseg.cli.terminal import Progress, counted

if TYPE_CHECKING:
    from unetseg.pipeline.result_names import Target
    from unetseg.streaming.work import Resumed, Summary, TileDone

ROUNDED = (
    "probabilities kept as uint8 or float16 are rounded, so objects can differ by a few pixels from those "
    "of predict (predict --probability-type float32 keeps them exactly)"
)


@cli.command(summary=True)
@click.argument("run", type=PATH)
@click.argument("probabilities", type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder for the labels.")
@label_options(click.option)
@click.option("--overwrite", is_flag=True, help="Replace labels made with other settings.")
def relabel(
    run: Path, probabilities: Path, out: Path, label_type: str, overwrite: bool, **given: Any
) -> dict[str, Any]:
    """Make new labels from saved PROBABILITIES.

    The network is not run. PROBABILITIES is what `predict RUN --probabilities` wrote: a TIFF or NIfTI
    file, a result in OME-Zarr, or a folder of them. Settings that are not given come from the model RUN.
    With the same settings, the labels equal those of predict; probabilities saved as uint8 or float16
    (--probability-type) are rounded, and objects can differ by a few pixels.

    \b
    Example:
      unetseg relabel runs/cells runs/cells/predictions --threshold 0.6 --out stricter
    """  # noqa: D301
    from unetseg import api
    from unetseg.pipeline.relabel import is_exact, relabel_target, relabel_targets, relabelled

    model = relabelled(api.labelled_as(api.load_model(run, "cpu"), label_type), **given)
    targets = relabel_targets(probabilities, out, kind=model.recipe.kind)
    if not all(is_exact(target.image) for target in targets):
        click.echo(f"note: {ROUNDED}", err=True)
    with Progress(0, "tile") as bar:
        results = [_relabel(relabel_target(model, t, overwrite=overwrite), t, bar) for t in targets]
    return {"results": results}


def _relabel(events: Iterable[Resumed | TileDone | Summary], target: Target, bar: Progress) -> dict[str, Any]:
    """Print the events of one result; returns its summary."""
    from unetseg.streaming.work import Resumed, Summary, TileDone

    found: dict[str, Any] = {}
    for event in events:
        match event:
            case Resumed(done, steps):
                bar.resume(done, steps)
            case TileDone():
                bar.add(1)
            case Summary():
                bar.say(f"{target.out}: {counted(sum(event.objects), 'object')}")
                found = {"labels": target.out, "objects": event.objects}
    return found
