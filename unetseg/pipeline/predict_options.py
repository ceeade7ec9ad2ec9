"""The options of `unetseg predict`: one object for every kind of result, and which result takes which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from unetseg.errors import UserError
from unetseg.images.formats import is_volume_file
from unetseg.images.kept_maps import PROBABILITIES, UNCERTAINTY, MapType
from unetseg.pipeline.model import DEFAULT_MEMORY, PredictSettings
from unetseg.pipeline.result_names import Target

LABELS = (
    "threshold",
    "seed_threshold",
    "min_seed_area",
    "min_area",
    "max_hole_area",
    "grow",
    "median_radius",
    "test_time_augmentation",
)
"""Options that replace a model's label settings, which have the same names."""
OF_IMAGES = (
    ("series", "pyramid_level", "channel", "grey", "plane", "axes"),
    ("pixel_size", "rescale", "scale", "diameter"),
    ("mask", "skip_below", "skip_damaged", "probability_type", "copy_image", "workers", "scheduler"),
)
"""A network of volumes predicts each file whole, as one volume; it does not take these options."""

OF_LABELS = (
    *(
        "challenge",
        "probabilities",
        "probability_type",
        "uncertainty",
        "dropout_draws",
        "samples",
        "measure",
        "roi",
    ),
    *("track", "copy_image", "label_type"),
    *("rescale", "scale", "diameter", "mask", "skip_below", "skip_damaged", "level"),
    *(name for name in LABELS if name != "test_time_augmentation"),
)
"""A model that restores images does not take these options."""


@dataclass(frozen=True)
class PredictOptions:
    """The options of a prediction, named as on the command line; the defaults are those of the command.

    uncertainty requests its map and a table of the objects' means, measure a table of the objects, roi their
    outlines as one of `exports.FORMATS`.
    series, pyramid_level, channel, plane and axes choose what is read from a file; grey converts RGB;
    pixel_size (µm) replaces the file's own. scale is the factor by which the image is resized for the
    network; rescale takes it from the pixel sizes of image and training; diameter is that of the objects
    in pixels, for models that were trained at one object size. threshold … test_time_augmentation, if
    given, replace the model's label settings; label_type is one of `model.LABEL_TYPES`. memory in bytes,
    tile in pixels (0 = from memory), batch in tiles (0 = from a GPU's free memory). trust_code: run a
    package's TorchScript. dropout_draws: average over so many draws of the network's dropout (None: none);
    samples: so many hypotheses of a probabilistic network, each a result (None: one result).
    """

    challenge: bool = False
    probabilities: bool = False
    uncertainty: bool = False
    probability_type: MapType | None = None
    pictures: bool = False
    measure: bool = False
    roi: str | None = None
    track: bool = False
    copy_image: bool = False
    overwrite: bool = False
    dry_run: bool = False

    series: int | None = None
    pyramid_level: int = 0
    channel: tuple[int, ...] = ()
    grey: bool = False
    plane: tuple[str, ...] = ()
    axes: str | None = None
    pixel_size: float | None = None
    rescale: bool = False
    scale: float | None = None
    diameter: float | None = None
    mask: Path | None = None
    skip_below: float | None = None
    skip_damaged: bool = False

    label_type: str = "as-trained"
    threshold: float | None = None
    seed_threshold: float | None = None
    min_seed_area: int | None = None
    min_area: int | None = None
    max_hole_area: int | None = None
    grow: int | None = None
    median_radius: int | None = None
    test_time_augmentation: int | None = None
    others: tuple[Path, ...] = ()
    dropout_draws: int | None = None
    samples: int | None = None
    level: int | None = None
    trust_code: bool = False

    memory: int = DEFAULT_MEMORY
    tile: int = 0
    batch: int = 0
    precision: str = "float32"
    device: str = "auto"
    engine: str = "auto"
    workers: int = 1
    scheduler: str | None = None

    def __post_init__(self) -> None:
        named = {"--rescale": self.rescale, "--scale": self.scale, "--diameter": self.diameter}
        given = [name for name, value in named.items() if value]
        if len(given) > 1:
            raise UserError(f"{' and '.join(given)}: give only one of them.")

    @property
    def settings(self) -> PredictSettings:
        """How the work is divided up."""
        return PredictSettings(self.memory, self.tile, self.batch, self.precision, self.engine)

    @property
    def labels(self) -> dict[str, Any]:
        """The model's label settings that are replaced."""
        given = {option: getattr(self, option) for option in LABELS}
        return {setting: value for setting, value in given.items() if value is not None}

    @property
    def maps(self) -> tuple[str, ...]:
        """The maps that are written beside the labels."""
        asked = {PROBABILITIES: self.probabilities, UNCERTAINTY: self.uncertainty}
        return tuple(name for name, wanted in asked.items() if wanted)

    @property
    def uncertain_objects(self) -> bool:
        """Whether the uncertainty of each object is wanted; a mask has no objects."""
        return self.uncertainty and self.label_type != "mask"

    def check(self, target: Target, *, volumes: bool, restores: bool = False) -> None:
        """Raise UserError, naming the option, for an option that this result does not take.

        volumes, restores: whether the model is one of volumes, or one that restores images.
        """
        if restores and target.streamed and not target.out.name.lower().endswith(".zarr"):
            raise UserError(
                f"{target.out}: an OME-TIFF only holds labels. Give NAME.ome.zarr, or NAME.tif for an "
                "image that fits into memory."
            )
        given = {f.name for f in fields(self) if getattr(self, f.name) != f.default}
        refused = [(OF_LABELS, "this model restores images and takes no option about labels or their size")]
        for names, reason in [*(refused if restores else []), *self._refused(target, volumes=volumes)]:
            for name in names:
                if name in given:
                    raise UserError(f"--{name.replace('_', '-')}: {reason}.")

    def _refused(self, target: Target, *, volumes: bool) -> Iterator[tuple[Sequence[str], str]]:
        """Names of options that a result does not take, with the reason."""
        out, zarr = target.out, target.out.name.lower().endswith(".zarr")
        if volumes:
            for names in OF_IMAGES:
                yield names, "a network of volumes predicts each file as a whole and does not take it"
        if not self.probabilities and not self.uncertainty:
            yield ["probability_type"], "goes with --probabilities and --uncertainty"
        if self.challenge:
            reason = "a challenge's result only holds label images"
            yield ["probabilities", "uncertainty", "pictures", "measure", "roi"], reason
        if self.samples is not None:
            reason = "goes with one result for an image, --samples gives several. Leave one of them out"
            yield ["challenge", "uncertainty", "measure", "roi", "dropout_draws"], reason
        if self.label_type == "mask":
            yield ["measure", "roi", "track"], "a mask has no object ids; leave out --as mask"
        if self.skip_damaged:
            yield ["measure"], "damaged pixels have no grey values; measure the labels alone: unetseg measure"
        if is_volume_file(out):
            yield ["roi"], f"outlines are drawn in slices of a TIFF, not of {out}"
            yield ["track"], f"films are tracked in TIFF files, not in {out}"
        if not zarr:
            yield ["copy_image"], f"needs an OME-Zarr (--out NAME.ome.zarr), not {out}"
        if target.streamed and not zarr:
            reason = f"an OME-TIFF only holds labels; give --out NAME.ome.zarr, not {out}"
            yield ["probabilities", "uncertainty"], reason
        if not target.streamed:
            reason = f"several processes write an OME-Zarr or OME-TIFF (--out NAME.ome.zarr), not {out}"
            yield ["workers", "scheduler"], reason
            if self.probability_type == "float16":
                yield ["probability_type"], "float16 is for an OME-Zarr; a TIFF takes float32 or uint8"
