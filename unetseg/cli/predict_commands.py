"""`unetseg predict`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetseg.cli.group import PATH, Bytes, cli
from unetseg.cli.model_commands import download_with_progress
from unetseg.cli.predict_streamed import large_options, large_targets, predict_large
from unetseg.cli.terminal import Progress
from unetseg.errors import UserError

if TYPE_CHECKING:
    from unetseg.pipeline.model import Model, PredictSettings
    from unetseg.pipeline.prediction import Output

ENGINE_NAMES = ("auto", "openvino", "onnxruntime", "torch")
"""Of `inference.engines`, which is not loaded for `--help`."""


@cli.command()
@click.argument("run", type=PATH)
@click.argument("images", type=PATH, nargs=-1, required=True)
@click.option("--out", type=PATH, help="Folder, NAME.ome.zarr or NAME.ome.tif (default: RUN/predictions).")
@click.option("--challenge", is_flag=True, help="IMAGES are challenge sequences: write NN_RES/mask000.tif.")
@click.option(
    "--probabilities",
    is_flag=True,
    help="Also write probabilities (float32): of the foreground, or of every class.",
)
@click.option("--pictures", is_flag=True, help="Also write an overlay PNG of each first page.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Foreground probability of an object.")
@click.option(
    "--seeds", type=click.FloatRange(0, 1), help="Seed probability for a watershed; 0 = components."
)
@click.option("--smallest", type=click.IntRange(0), help="Drop objects below this area in pixels.")
@click.option("--holes", type=click.IntRange(0), help="Fill holes below this area in pixels.")
@click.option("--median", type=click.IntRange(0, 64), help="Median filter of this radius in pixels.")
@click.option(
    "--with",
    "others",
    type=PATH,
    multiple=True,
    metavar="RUN",
    help="Average with this run's probabilities (repeatable).",
)
@click.option("--average", type=click.Choice(["1", "4", "8"]), help="Average over flips and turns.")
@click.option(
    "--memory", type=Bytes(), default="2G", show_default=True, help="Limit that sets the tile size."
)
@click.option("--tile", type=click.IntRange(1), help="Side of the tiles in pixels, instead of --memory.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Tiles computed at once.")
@click.option("--level", type=click.IntRange(1), help="Prune a UNet++ to this level: smaller, faster.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--engine",
    type=click.Choice(ENGINE_NAMES),
    default="auto",
    show_default=True,
    help="Library that computes the network; auto is the fastest that is installed.",
)
@large_options
def predict(run: Path, images: tuple[Path, ...], **options: Any) -> None:
    """Label IMAGES (files or folders) with a trained RUN.

    RUN is a run folder, a model file such as best.pt, or a name that `unetseg models` lists. Of an
    image of any size, --out BIG.ome.zarr or BIG.ome.tif is written tile by tile; killed, the same
    command goes on (docs/large-images.md).
    """
    from unetseg.device import describe_device
    from unetseg.inference.engines import describe_engine
    from unetseg.models import find_model
    from unetseg.pipeline.model import PredictSettings, average_models
    from unetseg.pipeline.prediction import Output, find_images, predict_sequence

    found = [find_model(path, download_with_progress) for path in (run, *options["others"])]
    model = average_models({str(one.path): _model(one.path, options) for one in found})
    folder = options["out"] or found[0].predictions
    tiling = PredictSettings(
        options["memory"], options["tile"] or 0, options["batch"], options["precision"], options["engine"]
    )
    click.echo(f"engine: {describe_engine(model.engine(tiling))}, {describe_device(model.device)}")
    targets = [] if options["challenge"] else large_targets(found[0].predictions, images, options["out"])
    if targets:
        predict_large(model, targets, tiling, options)
        return
    output = Output(folder, options["probabilities"], options["pictures"])
    if options["challenge"]:
        for folder in images:
            with Progress(None, "frames") as bar:
                done = predict_sequence(model, folder, output, tiling, bar.add)
            click.echo(f"{done.path}: {done.pages} frames, {done.objects} objects")
        return
    _predict_images(model, find_images(images), output, tiling)


def _predict_images(model: Model, paths: list[Path], output: Output, tiling: PredictSettings) -> None:
    """A line for each image; those that could not be predicted follow at the end, as one error."""
    from unetseg.pipeline.prediction import predict_files

    what = "classes" if model.recipe.kind == "classes" else "objects"
    parts = "slices" if model.net.dims == 3 else "pages"
    failed: list[UserError] = []
    with Progress(None, "pages") as bar:
        for done in predict_files(model, paths, output, tiling, bar.add):
            if isinstance(done, UserError):
                failed.append(done)
            else:
                bar.say(f"{done.path}: {done.pages} {parts}, {done.objects} {what}")
    if failed:
        head = [] if len(paths) == 1 else [f"{len(failed)} of {len(paths)} images could not be predicted:"]
        raise UserError("\n".join([*head, *map(str, failed)]))


def _model(run: Path, options: dict[str, Any]) -> Model:
    """The run's best model (or a model file), with the options given on the command line."""
    from unetseg.device import choose_device
    from unetseg.pipeline.model import load_model, pruned
    from unetseg.run import Run

    path = Run.open(run).best if run.is_dir() else run
    model = load_model(path, choose_device(options["device"]))
    if options["level"] is not None:
        model = pruned(model, options["level"])
    named = ("threshold", "seeds", "smallest", "holes", "average", "median")
    given = {n: options[n] for n in named if options[n] is not None}
    if "average" in given:
        given["average"] = int(given["average"])
    labels = replace(model.recipe.labels, **given)
    return replace(model, recipe=replace(model.recipe, labels=labels))
