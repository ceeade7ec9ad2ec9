"""`unetseg predict` of large images: options, dry run, progress and what came out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from unetseg.cli.terminal import Progress
from unetseg.errors import UserError

if TYPE_CHECKING:
    from unetseg.images import LazyImage
    from unetseg.pipeline.model import Model, PredictSettings
    from unetseg.streaming.tile_steps import Job, Skipping
    from unetseg.streaming.work import Summary, TileExecutor

Command = TypeVar("Command", bound=Callable[..., Any])
OPTIONS = (
    click.option("--series", type=click.IntRange(0), help="One of several images in a file."),
    click.option(
        "--pyramid-level", type=click.IntRange(0), default=0, help="Of an image's pyramid; 0 is full size."
    ),
    click.option("--channel", type=click.IntRange(0), multiple=True, help="Only this channel (repeatable)."),
    click.option("--plane", multiple=True, help="Only this plane, such as t3_z12 (repeatable)."),
    click.option("--axes", help="The axes where a file does not tell, such as ZCYX."),
    click.option("--rescale", is_flag=True, help="Resample to the pixel size of the training."),
    click.option("--skip-below", type=float, help="Leave out chunks whose grey values are all lower."),
    click.option(
        "--mask", type=click.Path(path_type=Path), help="Image of the same size; where it is 0 is nothing."
    ),
    click.option("--skip-damaged", is_flag=True, help="Go on where the image cannot be read, and list it."),
    click.option("--overwrite", is_flag=True, help="Start again over a result of other settings."),
    click.option("--dry-run", is_flag=True, help="Tell tiles, memory, output and time, and stop."),
    click.option("--copy-image", is_flag=True, help="Put the image beside its labels into the OME-Zarr."),
    click.option(
        "--probability-type",
        type=click.Choice(["uint8", "float16"]),
        default="uint8",
        show_default=True,
        help="Of --probabilities in an OME-Zarr.",
    ),
    click.option(
        "--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes, or one a GPU."
    ),
    click.option("--scheduler", help="A running Dask scheduler, such as tcp://10.0.0.1:8786."),
    click.option(
        "--precision", type=click.Choice(["float32", "bf16", "fp16"]), default="float32", show_default=True
    ),
)


def large_options(command: Command) -> Command:
    """The options of large images."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def large_targets(folder: Path, images: tuple[Path, ...], out: Path | None) -> list[tuple[Path, Path]]:
    """Image and result of each image, if they are to be streamed; else nothing."""
    from unetseg.images.zarrs import is_zarr
    from unetseg.streaming.output import is_large_name

    if out is not None and is_large_name(out):
        if len(images) > 1:
            raise UserError(f"{out}: holds one image; {len(images)} are given. Predict them one by one.")
        return [(images[0], out)]
    zarrs = [is_zarr(path) for path in images]
    if not any(zarrs):
        return []
    if not all(zarrs):
        raise UserError("Zarr images and others together: predict them apart.")
    folder = out or folder
    return [(path, folder / f"{path.name.split('.')[0]}.ome.zarr") for path in images]


def predict_large(
    model: Model, targets: list[tuple[Path, Path]], tiling: PredictSettings, options: dict[str, Any]
) -> None:
    """Predict each image into its result, or only tell what that takes."""
    from unetseg.streaming.dask_workers import tile_executor
    from unetseg.streaming.optional_outputs import OptionalOutputs
    from unetseg.streaming.output import open_job

    kept: Any = options["probability_type"] if options["probabilities"] else None
    extras = OptionalOutputs(kept, options["copy_image"])
    for path, out in targets:
        image, skipping = _image(path, model, options), _skipping(options)
        if options["dry_run"]:
            _tell_estimate(model, image, out, tiling, skipping)
        else:
            with tile_executor(options["workers"], options["scheduler"]) as perform:
                job = open_job(
                    model, image, out, tiling, skipping, extras=extras, overwrite=options["overwrite"]
                )
                _predict(job, out, perform)


def _image(path: Path, model: Model, options: dict[str, Any]) -> LazyImage:
    from unetseg.images import open_image
    from unetseg.images.rescale import pixel_size_note, rescaled

    image = open_image(
        path,
        series=options["series"],
        level=options["pyramid_level"],
        channels=options["channel"] or None,
        planes=options["plane"] or None,
        axes=options["axes"],
        damaged=options["skip_damaged"],
    )
    trained = None
    if model.recipe.spacing_um is not None:  # that of the network's input
        trained = tuple(size / model.recipe.shrink for size in model.recipe.spacing_um[-2:])
    if options["rescale"]:
        if image.spacing_um is None or trained is None:
            raise UserError(f"{path}: --rescale needs the pixel sizes of the image and of the training.")
        return rescaled(image, (trained[0], trained[1]))
    size = image.spacing_um
    note = pixel_size_note(None if size is None else (size[-2], size[-1]), trained)
    if note:
        click.echo(f"note: {note} (--rescale)", err=True)
    return image


def _skipping(options: dict[str, Any]) -> Skipping:
    from unetseg.images import open_image
    from unetseg.streaming.tile_steps import Skipping

    mask = None if options["mask"] is None else open_image(options["mask"])
    return Skipping(options["skip_below"], mask, options["skip_damaged"])


def _predict(job: Job | Summary, out: Path, perform: TileExecutor) -> None:
    from unetseg.streaming.output import make_result
    from unetseg.streaming.work import Resumed, Summary, TileDone

    if isinstance(job, Summary):
        click.echo(
            f"{out}: finished already, with these settings: {_found(job)}. (--overwrite starts again.)"
        )
        return
    begun, pixels, steps = time.perf_counter(), 0, len(job.steps)
    predicting = Predicting(begun)
    kept = f"What is done is kept in {job.journal.folder.parents[1]}; the same command goes on."
    try:
        with Progress(None, "tile") as bar:
            for event in make_result(job, out, perform):
                match event:
                    case Resumed(done, total):
                        bar.bar.reset(total)
                        bar.add(done)
                        if done:
                            bar.say(f"going on: {done} of {total} steps of tiles were done")
                    case TileDone():
                        predicting.note(event.step, time.perf_counter())
                        pixels += event.pixels
                        bar.add(1)
                        bar.note(f"{pixels / steps / 1e6 / (time.perf_counter() - begun):.2f} Mpx/s")
                    case Summary():
                        seconds = time.perf_counter() - begun
                        bar.say(f"{out}: {_found(event, predicting.saved(event))} in {seconds:.0f} s")
    except KeyboardInterrupt:
        click.echo(f"\ninterrupted. {kept}", err=True)
        raise SystemExit(130) from None
    except OSError as error:
        raise UserError(f"{out}: {error.strerror or error}. {kept}") from None
    except UserError as error:
        raise UserError(f"{error} {kept}") from None


@dataclass
class Predicting:
    """The seconds that the predict step of the tiles took, for what skipping saved."""

    before: float
    tiles: int = 0
    seconds: float = 0.0

    def note(self, step: str, now: float) -> None:
        """A step of a tile has been done by now."""
        if step == "predict":
            self.tiles, self.seconds = self.tiles + 1, self.seconds + now - self.before
        self.before = now

    def saved(self, summary: Summary) -> str:
        """The time that the skipped tiles would have taken, if all tiles were done now."""
        computed = summary.tiles - summary.skipped
        if not summary.skipped or not computed or self.tiles < summary.tiles:
            return ""
        return f" (about {self.seconds / computed * summary.skipped:.0f} s saved)"


def _found(summary: Summary, saved: str = "") -> str:
    """What came out, in a line; saved: said of the tiles that were skipped."""
    words = [f"{sum(summary.objects)} objects in {summary.tiles} tiles"]
    if summary.skipped:
        words.append(f"{summary.skipped} tiles ({summary.skipped / summary.tiles:.0%}) skipped{saved}")
    if summary.damaged:
        regions = ", ".join(f"y {y0}:{y1}, x {x0}:{x1}" for _, y0, y1, x0, x1 in summary.damaged[:5])
        words.append(f"{len(summary.damaged)} damaged regions without labels ({regions} …)")
    if summary.cut:
        words.append(f"{summary.cut} objects of clumps too large for one watershed, which may differ")
    return "; ".join(words)


def _tell_estimate(
    model: Model, image: LazyImage, out: Path, tiling: PredictSettings, skipping: Skipping
) -> None:
    from unetseg.streaming.output import estimate_job

    found = estimate_job(model, image, tiling, skipping)
    rows, columns = found.plan.partition.rows, found.plan.partition.columns
    step = "×".join(map(str, found.plan.partition.step))
    c, y, x = image.shape
    click.echo(f"{image.path}: {y}×{x} pixels, {c} channels, {len(image.planes)} planes of {image.dtype}")
    click.echo(
        f"tiles:  {rows * columns * len(image.planes)} of {step} pixels; "
        f"{found.plan.redundancy:.2f} pixels are computed for each"
    )
    click.echo(
        f"memory: {found.plan.memory / 2**20:.0f} MiB for tiles, of {tiling.memory / 2**20:.0f} allowed"
    )
    click.echo(f"output: at most {found.output_bytes / 1e6:.0f} MB in {out}")
    click.echo(f"time:   {found.seconds:.0f} s, from one tile")
