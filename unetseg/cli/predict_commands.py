"""`unetseg predict`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetseg.cli.downloads import fetch_model
from unetseg.cli.group import PATH, Bytes, SectionCommand, SectionOption, cli
from unetseg.cli.label_options import OUTLINES, label_options
from unetseg.cli.output import say, show

if TYPE_CHECKING:
    from unetseg.pipeline.model import Model
    from unetseg.pipeline.predict_options import PredictOptions
    from unetseg.pipeline.result_names import Target

_result = partial(click.option, cls=SectionOption, section="Result")
_labels = partial(click.option, cls=SectionOption, section="Labels (instead of the model's settings)")
_size = partial(click.option, cls=SectionOption, section="Size of image and objects")
_input = partial(click.option, cls=SectionOption, section="Which part of the image")
_speed = partial(click.option, cls=SectionOption, section="Memory and speed")

ENGINE_NAMES = ("auto", "openvino", "onnxruntime", "torch")
"""Of `inference.engines`, which is not loaded for `--help`."""


COMMON = (
    *("--out", "--probabilities", "--uncertainty", "--pictures", "--measure", "--roi"),
    *("--overwrite", "--dry-run"),
    *("--as", "--threshold", "--seed-threshold", "--min-area"),
    *("--rescale", "--scale", "--diameter", "--memory", "--device"),
)
"""The options that `--help` explains."""


@cli.command(cls=SectionCommand, common=COMMON, summary=True)
@click.argument("run", type=PATH)
@click.argument("images", type=PATH, nargs=-1, required=True)
@_result(
    "--out",
    type=PATH,
    help="Folder or file to write (default: RUN/predictions). A file is NAME.tif, NAME.ome.tif or "
    "NAME.ome.zarr.",
)
@_result(
    "--probabilities",
    is_flag=True,
    help="Also write the probabilities. They are those of the foreground, or of each class.",
)
@_result(
    "--uncertainty",
    is_flag=True,
    help="Also write the uncertainty. It is a map (0…1) and each object's mean, uncertainty.csv.",
)
@_result(
    "--pictures", is_flag=True, help="Also write overlays as PNG. They show the first page of each file."
)
@_result("--measure", is_flag=True, help="Also write a table of all objects. It is measurements.csv.")
@_result(
    "--roi",
    type=click.Choice(OUTLINES),
    help="Also write outlines. They are an ImageJ ROI set, GeoJSON for QuPath, or COCO JSON.",
)
@_result("--track", is_flag=True, help="Also link the objects of films from frame to frame (docs/tracks.md).")
@_result("--overwrite", is_flag=True, help="Replace a result made with other settings.")
@_result(
    "--dry-run", is_flag=True, help="Print the plan and exit. It has the tiles, memory, output size and time."
)
@_result("--challenge", is_flag=True, help="IMAGES are challenge sequences: write NN_RES/mask000.tif.")
@_result("--copy-image", is_flag=True, help="Copy the image into the OME-Zarr, beside its labels.")
@_result(
    "--probability-type",
    type=click.Choice(["uint8", "float16", "float32"]),
    help="Data type of --probabilities and --uncertainty (default: uint8 in an OME-Zarr, float32 in a TIFF).",
)
@label_options(_labels)
@_labels("--median-radius", type=click.IntRange(0, 64), help="Median filter of this radius in pixels.")
@_labels(
    "--test-time-augmentation",
    type=click.Choice(["1", "4", "8"]),
    help="Average over this many flips and rotations.",
)
@_labels(
    "--with",
    "others",
    type=PATH,
    multiple=True,
    metavar="RUN",
    help="Average with the probabilities of this run (repeatable).",
)
@_labels(
    "--dropout-draws",
    type=click.IntRange(2, 64),
    metavar="N",
    help="Average over N draws of the network's dropout (Monte Carlo dropout).",
)
@_labels(
    "--samples",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Write N hypotheses of a probabilistic network, NAME_sample1 and so on.",
)
@_size(
    "--rescale",
    is_flag=True,
    help="Resize the image to the pixel size of the training. Labels keep the image's size.",
)
@_size("--scale", type=click.FloatRange(1 / 50, 50), help="Resize the image by this factor instead.")
@_size(
    "--diameter",
    type=click.FloatRange(0, min_open=True),
    metavar="PIXELS",
    help="Diameter of the objects. Models such as nuclei estimate it otherwise.",
)
@_size(
    "--pixel-size",
    type=click.FloatRange(0, min_open=True),
    metavar="MICROMETRES",
    help="Pixel size of the image, instead of the one in its file.",
)
@_input("--series", "--scene", type=click.IntRange(0), help="Image series or scene, if the file has several.")
@_input(
    "--pyramid-level", type=click.IntRange(0), default=0, help="Level of an image pyramid; 0 is full size."
)
@_input("--channel", type=click.IntRange(0), multiple=True, help="Only this channel (repeatable).")
@_input("--grey", is_flag=True, help="Predict RGB images as grey: their luminance.")
@_input("--plane", multiple=True, help="Only this plane, such as t3_z12 (repeatable).")
@_input("--axes", help="Axes, such as ZCYX, if the file does not name them.")
@_input("--mask", type=PATH, help="Mask image; pixels with value 0 are skipped.")
@_input("--skip-below", type=float, help="Skip output chunks whose grey values are all lower.")
@_input("--skip-damaged", is_flag=True, help="Skip regions that cannot be read, and list them.")
@_speed(
    "--memory", type=Bytes(), default="2G", show_default=True, help="Memory limit. It sets the tile size."
)
@_speed("--tile", type=click.IntRange(1), help="Side of the tiles in pixels, instead of --memory.")
@_speed(
    "--batch",
    type=click.IntRange(1),
    help="Tiles computed at once (default: as many as fit into a GPU's free memory; 1 on a processor).",
)
@_speed("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@_speed(
    "--engine",
    type=click.Choice(ENGINE_NAMES),
    default="auto",
    show_default=True,
    help="Library that computes the network; auto is the fastest that is installed.",
)
@_speed(
    "--precision",
    type=click.Choice(["float32", "bf16", "fp16"]),
    default="float32",
    show_default=True,
    help="Number format of the network; PyTorch computes bf16 and fp16.",
)
@_speed(
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="Worker processes (one per GPU)."
)
@_speed("--scheduler", help="A running Dask scheduler, such as tcp://10.0.0.1:8786.")
@_speed("--trust-code", is_flag=True, help="Run the TorchScript of a package, which is code.")
@_speed("--level", type=click.IntRange(1), help="Prune a UNet++ to this level: smaller and faster.")
def predict(run: Path, images: tuple[Path, ...], out: Path | None, **given: Any) -> dict[str, Any]:
    """Segment or restore IMAGES with a trained RUN.

    IMAGES are files or folders. RUN is a run folder, a model file (best.pt), a bioimage.io package
    (NAME.zip), or a name of `unetseg models`. An image of any size is predicted tile by tile with --out
    BIG.ome.zarr or BIG.ome.tif; after an interruption, the same command resumes (docs/large-images.md).

    \b
    Example:
      unetseg predict runs/cells newplate --pictures
    """  # noqa: D301
    from unetseg.device import describe_device
    from unetseg.models import find_model
    from unetseg.pipeline.prediction import choose_targets, hypotheses, open_model

    options = _options(given)
    found = [find_model(path, fetch_model) for path in (run, *options.others)]
    model = open_model([one.path for one in found], options)
    for note in dict.fromkeys(n for one in (model, *model.others) for n in one.notes):
        click.echo(f"note: {note}", err=True)
    out = out or found[0].predictions
    targets = choose_targets(model, images, out, options)
    say(f"engine: {model.engines(options.settings)}, {describe_device(model.device)}")
    if options.dry_run:
        return _describe(model, targets, options)
    from unetseg.cli.predict_progress import predict_all

    if options.samples is None:
        return predict_all(model, targets, options, out)
    several = hypotheses(model, targets, options.samples)
    done = [predict_all(one, results, options, out) for one, results in several]
    return {**done[0], "results": [result for summary in done for result in summary["results"]]}


def _options(given: dict[str, Any]) -> PredictOptions:
    """The options as one object; options that were not given keep their defaults."""
    from unetseg.pipeline.predict_options import PredictOptions

    given = {name: value for name, value in given.items() if value is not None}
    if "test_time_augmentation" in given:
        given["test_time_augmentation"] = int(given["test_time_augmentation"])
    return PredictOptions(**given)


def _describe(model: Model, targets: list[Target], options: PredictOptions) -> dict[str, Any]:
    from unetseg.pipeline.prediction import describe_target

    plans = {str(target.image): describe_target(model, target, options) for target in targets}
    for lines in plans.values():
        show("\n".join(lines))
    return {"plans": plans}
