"""Prediction of a user's files: one way for every kind of image and result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from unetseg.device import choose_device
from unetseg.errors import UserError
from unetseg.images import LazyImage, open_image
from unetseg.images.kept_maps import MapType, map_path
from unetseg.images.marks import existing_mark
from unetseg.inference.dropout_draws import DropoutDraws
from unetseg.inference.exported_net import ExportedNet
from unetseg.pipeline.events import Note
from unetseg.pipeline.exporting import outlines_path
from unetseg.pipeline.image_notes import image_notes
from unetseg.pipeline.measuring import check_table_name
from unetseg.pipeline.model import Model
from unetseg.pipeline.model_variants import (
    average_models,
    hypothesis,
    labelled_as,
    pruned,
    with_dropout_draws,
)
from unetseg.pipeline.object_size import ALLOWED_SCALES, ImageScale, scale_of_image
from unetseg.pipeline.predict_options import PredictOptions
from unetseg.pipeline.predicted_tracks import track_targets
from unetseg.pipeline.result_exports import table_paths, write_outlines
from unetseg.pipeline.result_names import Target, challenge_targets, find_targets, sample_target
from unetseg.pipeline.result_picture import picture_path, write_result_picture
from unetseg.pipeline.result_source import open_source
from unetseg.pipeline.volume_prediction import describe_volume, predict_volume
from unetseg.sharing.reading import read_model
from unetseg.streaming.job import OptionalOutputs, Request, Skipping
from unetseg.streaming.output import estimate_request, predict_to
from unetseg.streaming.work import Resumed, Summary, TileDone, TileExecutor, tiles_here

Event = Note | Resumed | TileDone | Summary
UNSURE = (
    "the model is unsure about most of the objects in this image, and may not be made for such images. "
    "Look at the result. If the printed size is wrong, give --diameter; otherwise annotate a few of your own "
    "images and train with `unetseg train --data FOLDER`"
)


def open_model(runs: Sequence[Path], options: PredictOptions) -> Model:
    """The average of the runs' best models (or of model files), with the given options."""
    return average_models({str(path): _one_model(path, options) for path in runs})


def choose_targets(model: Model, images: Sequence[Path], out: Path, options: PredictOptions) -> list[Target]:
    """Each image and where its labels go.

    Raises UserError, before anything is computed, for options that a result does not take, two results
    of one name, and results that would replace a file that is not ours.
    """
    volumes = model.net.dims == 3
    if options.workers > 1 or options.scheduler:
        _check_workers(model)
    if options.challenge:
        targets = challenge_targets(images, out)
    else:
        targets = find_targets(images, out, kind=model.recipe.kind)
    for target in targets:
        options.check(target, volumes=volumes, restores=model.restores)
        if volumes and target.streamed:
            raise UserError(f"{target.out}: a 3D network writes TIFF or NIfTI. Give a folder.")
        for path in _results(target, options):
            existing_mark(path)
    for table in table_paths(out, options).values():
        check_table_name(table)
    if options.track:
        if model.recipe.kind == "classes":
            raise UserError("--track: class maps have no object ids; a model of objects is needed.")
        track_targets(targets, out, options)
    return targets


def predict_target(
    model: Model, target: Target, options: PredictOptions, perform: TileExecutor = tiles_here
) -> Iterator[Event]:
    """Predict an image into its result, resume it, or report it as complete; then write its outlines."""
    if model.net.dims == 3:
        events: Iterator[Event] = predict_volume(model, target, options)
    else:
        events = _predict_image(model, target, options, perform)
    for event in events:
        if isinstance(event, Summary) and options.roi:
            write_outlines(target.out, options.roi)
        yield event


def _predict_image(
    model: Model, target: Target, options: PredictOptions, perform: TileExecutor
) -> Iterator[Event]:
    request, unsure = make_request(model, target, options)
    resized = request.source is not request.image
    for text in image_notes(model.recipe, request.source, resized=resized):
        yield Note(f"{target.image}: {text}")
    if model.recipe.object_diameter > 0:
        yield Note(f"{target.image}: {_object_size(model, request, options)}")
    if unsure:
        yield Note(f"{target.image}: {UNSURE}")
    picture = partial(write_result_picture, request.source, target.out, model.recipe.kind)
    for event in predict_to(request, target.out, perform=perform, overwrite=options.overwrite):
        if isinstance(event, Summary) and options.pictures:
            picture(event.objects[0])
        yield event


def _object_size(model: Model, request: Request, options: PredictOptions) -> str:
    """How an image was resized, for a model that was trained at one object size."""
    scale = request.image.shape[1] / request.source.shape[1]
    if request.image is request.source and options.diameter is None and options.scale is None:
        return "no objects were found in a first pass; the image is predicted at its own size"
    across = f"objects about {model.recipe.object_diameter / scale:.0f} pixels across"
    return f"{across}, resized by {scale:.2f} for the network (--diameter gives their size)"


def describe_target(model: Model, target: Target, options: PredictOptions) -> list[str]:
    """What the image is and what its prediction will take, one line each; nothing is written."""
    if model.net.dims == 3:
        return describe_volume(model, target, options)
    request, _ = make_request(model, target, options)
    (c, y, x), planes = request.source.shape, len(request.source.planes)
    found = estimate_request(request)
    plan = found.plan
    size = "×".join(map(str, request.image.shape[1:]))
    resized = "" if request.image is request.source else f", predicted at {size}"
    tile = "×".join(map(str, plan.partition.step))
    return [
        f"{target.image}: {y}×{x} pixels, {c} channels, {planes} planes of {request.source.dtype}{resized}",
        f"tiles:  {len(plan.partition) * planes} of {tile} pixels; "
        f"{plan.redundancy:.2f} pixels are computed for each one kept",
        f"memory: {plan.memory / 2**20:.0f} MiB for tiles, of {options.memory / 2**20:.0f} allowed",
        f"output: at most {found.output_bytes / 1e6:.0f} MB in {target.out}",
        f"time:   {found.seconds:.0f} s, from one tile",
    ]


def make_request(model: Model, target: Target, options: PredictOptions) -> tuple[Request, bool]:
    """The request for one image, and whether a first pass over it was unsure of its objects."""
    image = open_source(target, options)
    size = _scale(image, model, options)
    mask = None if options.mask is None else open_image(options.mask)
    kept: MapType = options.probability_type or ("uint8" if target.streamed else "float32")
    request = Request.of(
        model,
        image,
        options.settings,
        skipping=Skipping(options.skip_below, mask, options.skip_damaged),
        outputs=OptionalOutputs(
            probabilities=kept if options.probabilities else None,
            image=options.copy_image,
            uncertainty=kept if options.uncertainty else None,
        ),
        scale=size.factors,
        chunked=target.streamed,
    )
    return request, size.unsure


def _scale(image: LazyImage, model: Model, options: PredictOptions) -> ImageScale:
    """How the image is resized for the network."""
    if not options.rescale:
        if options.scale is not None:
            return ImageScale.of(options.scale)
        return scale_of_image(model, image, options.settings, options.diameter)
    there, wanted = image.spacing_um, model.recipe.image_spacing_um
    if there is None:
        raise UserError(
            f"{image.path}: --rescale needs the image's pixel size, which is not in the file. Give "
            "--pixel-size MICROMETRES, or --scale FACTOR instead."
        )
    if wanted is None:
        raise UserError(
            "--rescale needs the pixel size of the training images, which this model does not know. Give "
            "--scale FACTOR instead."
        )
    factors = (there[0] / wanted[0], there[1] / wanted[1])
    low, high = ALLOWED_SCALES
    if not all(low <= f <= high for f in factors):
        raise UserError(
            f"{image.path}: --rescale would resize it {factors[0]:.3g} times ({there[0]:.4g} µm per pixel, "
            f"{wanted[0]:.4g} in training). Give the right --pixel-size, or --scale FACTOR."
        )
    return ImageScale(None if factors == (1, 1) else factors)


def hypotheses(model: Model, targets: Sequence[Target], samples: int) -> Iterator[tuple[Model, list[Target]]]:
    """The model of each hypothesis and where its results go, numbered from 1."""
    for number in range(1, samples + 1):
        yield hypothesis(model, number), [sample_target(target, number) for target in targets]


def _results(target: Target, options: PredictOptions) -> list[Path]:
    """The files that a prediction writes; an existing one must be ours."""
    paths = [target.out]
    if not target.streamed:
        paths += [map_path(target.out, name) for name in options.maps]
    if options.pictures:
        paths.append(picture_path(target.out))
    if options.roi:
        paths.append(outlines_path(target.out, options.roi))
    return paths


def _one_model(run: Path, options: PredictOptions) -> Model:
    model = read_model(run, choose_device(options.device), trust_code=options.trust_code)
    if options.level is not None:
        model = pruned(model, options.level)
    if options.dropout_draws is not None:
        model = with_dropout_draws(model, options.dropout_draws)
    return labelled_as(model.with_labels(**options.labels), options.label_type)


def _check_workers(model: Model) -> None:
    """Raise UserError for a model that cannot be sent to other processes."""
    nets = [m.net for m in (model, *model.others)]
    if any(isinstance(net, ExportedNet) for net in nets):
        raise UserError("--workers: a bioimage.io package is predicted by one process. Leave the option out.")
    if any(isinstance(net, DropoutDraws) for net in nets):
        raise UserError("--workers: --dropout-draws are computed by one process. Leave one of them out.")
