"""The commands that use what is trained or there: predict, score, report, data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetseg.cli.group import PATH, Bytes, cli
from unetseg.cli.large import large_options, large_targets, predict_large
from unetseg.errors import UserError
from unetseg.terminal import Progress, columns, show_comparison

if TYPE_CHECKING:
    from unetseg.pipeline.model import Model, Tiling
    from unetseg.pipeline.prediction import Output


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
@large_options
def predict(run: Path, images: tuple[Path, ...], **options: Any) -> None:
    """Label IMAGES (files or folders) with a trained RUN.

    RUN is a run folder, or a model file such as best.pt. Of an image of any size, --out BIG.ome.zarr
    or BIG.ome.tif is written tile by tile; killed, the same command goes on (docs/large-images.md).
    """
    from unetseg.pipeline.model import Tiling, average_models
    from unetseg.pipeline.prediction import Output, find_images, predict_sequence

    model = average_models({str(path): _model(path, options) for path in (run, *options["others"])})
    base = run if run.is_dir() else run.parent
    tiling = Tiling(options["memory"], options["tile"] or 0, options["batch"], options["precision"])
    targets = [] if options["challenge"] else large_targets(base, images, options["out"])
    if targets:
        predict_large(model, targets, tiling, options)
        return
    output = Output(options["out"] or base / "predictions", options["probabilities"], options["pictures"])
    if options["challenge"]:
        for folder in images:
            with Progress(None, "frames") as bar:
                done = predict_sequence(model, folder, output, tiling, bar.add)
            click.echo(f"{done.path}: {done.pages} frames, {done.objects} objects")
        return
    _predict_images(model, find_images(images), output, tiling)


def _predict_images(model: Model, paths: list[Path], output: Output, tiling: Tiling) -> None:
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


@cli.command()
@click.argument("prediction", type=PATH)
@click.argument("truth", type=PATH)
@click.option("--scores", "names", multiple=True, help="Only these scores (repeat the option).")
@click.option("--out", type=PATH, multiple=True, help="Also write the table as .csv or .json (repeatable).")
@click.option(
    "--labels",
    type=click.Choice(["auto", "instances", "mask", "classes"]),
    default="auto",
    show_default=True,
    help="What the truth's values mean.",
)
@click.option("--not-annotated", type=int, multiple=True, help="A value of the truth that is no label.")
@click.option("--volumes", is_flag=True, help="TIFF pages are the slices of one volume (NIfTI files always).")
@click.option("--border", type=click.IntRange(0), default=0, help="Leave out objects this near the edge.")
@click.option("--worst", type=click.IntRange(0), default=5, show_default=True, help="Worst objects to list.")
@click.option("--pictures", type=PATH, help="Write overlay PNGs of the worst objects' frames to a folder.")
def score(prediction: Path, truth: Path, **options: Any) -> None:
    """Score label files of a PREDICTION against the TRUTH.

    Both are files, or folders whose files pair by name; or a challenge's 01_RES and 01_GT; or
    probability maps and the cells of EM sections.
    """
    from unetseg.pipeline.comparing import check_table_path, score_files, write_table
    from unetseg.settings import DataSettings

    for path in options["out"]:
        check_table_path(path)
    named = {name: options[name] for name in ("labels", "not_annotated", "volumes")}
    settings = DataSettings(**named)
    found = score_files(prediction, truth, settings, options["names"], options["border"])
    show_comparison(found, options["worst"], options["pictures"])
    for path in options["out"]:
        write_table(found, path)
        click.echo(f"wrote {path}")


@cli.command()
@click.argument("runs", type=PATH, nargs=-1, required=True, metavar="RUN…")
@click.option("--out", type=PATH, help="HTML file to write (default: RUN/report.html, or comparison.html).")
def report(runs: tuple[Path, ...], out: Path | None) -> None:
    """Write an HTML page about a RUN, or compare several.

    The page stands alone: it needs no network and no other file. What is no longer there (data,
    predictions) is left out, and the page says so.
    """
    from unetseg.report import write_report
    from unetseg.run import Run

    click.echo(f"wrote {write_report([Run.open(path) for path in runs], out)}")


@cli.command()
@click.argument("folder", type=PATH, required=False)
def data(folder: Path | None) -> None:
    """List the public data sets and where to get them.

    With FOLDER: check those that lie in it.
    """
    from unetseg.catalogue import check_dataset, read_catalogue

    if folder is not None and not folder.is_dir():
        raise UserError(f"{folder}: no such folder. Give the folder that holds the data sets' folders.")
    for dataset in read_catalogue():
        click.echo(f"{click.style(dataset.name, bold=True)}: {dataset.what}")
        if folder is None:
            click.echo(f"    get it: {dataset.download or dataset.site}\n    terms:  {dataset.licence}")
            continue
        problems = check_dataset(dataset, folder)
        whole = "there, checksums fit" if dataset.files else "there (no checksums known)"
        click.echo("    " + ("\n    ".join(problems) or f"{whole}: {folder / dataset.folder}"))


@cli.command()
@click.argument("names", nargs=-1, metavar="[NET…]")
@click.option("--out", type=PATH, help="Write the table as a page in Markdown.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
def nets(names: tuple[str, ...], out: Path | None, device: str) -> None:
    """Table of the networks: size, context, cost.

    Every NET, or all, as in its paper and as in the experiments for small machines; the time of a
    prediction is measured here (minutes on a CPU).
    """
    from unetseg.device import choose_device
    from unetseg.pipeline.net_table import HEAD, net_rows, write_net_page

    where, rows = choose_device(device), []
    with Progress(None, "network") as bar:
        for row in net_rows(names, where):
            rows.append(row)
            bar.add(1)
    if out is None:
        click.echo(columns([list(HEAD), *(list(row.cells) for row in rows)]))
        return
    write_net_page(out, rows, where)
    click.echo(f"wrote {out}")


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
