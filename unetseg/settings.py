"""The settings of an experiment: plain frozen dataclasses, each key with its default and range.

Every table of an experiment file is one class here and every key one field; `config` reads the
file into them and refuses unknown keys. Lengths are in pixels of the network's input, that is
after `data.downsample`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Interval, Len

from unetseg.errors import UserError, did_you_mean

Probability = Annotated[float, Interval(ge=0, le=1)]
NetOption = int | float | str | bool
PUBLISHED = "imagenet"
"""The value of `net.weights` that stands for the published ImageNet weights of a network's encoder."""
Rectangle = Annotated[tuple[Annotated[int, Interval(ge=0, le=1_000_000_000)], ...], Len(4, 4)]


@dataclass(frozen=True)
class DataSettings:
    """Which samples, how they are split, and how their grey values and labels are read.

    train, validate, test: selections "GROUP" or "GROUP[start:stop]", where GROUP is a sequence,
    stack or file name (wildcards allowed) and start:stop counts frames, slices or pages in it;
    train "*" is all that the other parts leave.
    An empty `validate` holds back the last fifth of every training group, or of the groups if
    there are many.
    volumes: the pages of a TIFF file are the slices of one volume (z, y, x), and a selection
    "GROUP[start:stop]" is a block of slices; NIfTI files are always volumes. downsample: along y and x,
    never along z. partly_annotated: only the objects are known, all other pixels are not annotated.
    unannotated_border: objects that the image edge cuts are often left out of a truth, so background within
    this many pixels of it is not learnt; pixels of the images as they are read. Scores do not change.
    channels: only these channels of the images, from 0; empty for all. scene: the image to read of files that
    hold several, None for all if they are alike.
    object_diameter: every image is resized so that its median labelled object has this
    diameter in pixels (0: images stay as they are); prediction resizes images in the same way.
    clean: of the task "restoration", the folder in `root` with the clean image of every noisy one in images/.
    regions: rectangles [y0, y1, x0, x1] in pixels by name, of which restored images are given signal-to-noise
    and contrast-to-noise ratios; one of them is named "background".
    """

    task: Literal["cell-tracking", "isbi-em", "drive", "folder", "synthetic", "restoration"] = "folder"
    root: str = ""
    train: tuple[str, ...] = ("*",)
    validate: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    truth: Literal["gold", "silver", "gold-else-silver"] = "gold-else-silver"
    labels: Literal["auto", "instances", "mask", "classes"] = "auto"
    not_annotated: tuple[int, ...] = ()
    classes: Annotated[int, Interval(ge=2, le=255)] | None = None
    normalise: Literal["per-image", "training-set", "percentile", "none"] = "per-image"
    downsample: Annotated[int, Interval(ge=1, le=16)] = 1
    object_diameter: Annotated[float, Interval(ge=0, le=1000)] = 0.0
    volumes: bool = False
    partly_annotated: bool = False
    unannotated_border: Annotated[int, Interval(ge=0, le=100_000)] = 0
    channels: tuple[Annotated[int, Interval(ge=0, le=65_535)], ...] = ()
    scene: Annotated[int, Interval(ge=0, le=1_000_000)] | None = None
    clean: str = "clean"
    regions: dict[str, Rectangle] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class TargetSettings:
    """What the network learns: objects, with the weight map w_c + w0·exp(−(d1+d2)²/2σ²), or clean images.

    kind: "ridge" (object and background, with a ridge of background between touching objects;
    Ronneberger 2015, eq. 2) or "distance" (a class for each interval of distance to the object's rim,
    divided at `distances_px`: one gives a border and an interior, several a distance map).
    w0 = 0 leaves out the border weights; balance: w_c from the class frequencies. "restoration": the grey
    values of the clean image, for the task of that name; the other keys are then not used.
    """

    kind: Literal["ridge", "distance", "restoration"] = "ridge"
    distances_px: Annotated[tuple[Annotated[float, Interval(gt=0, le=10_000)], ...], Len(1, 16)] = (3.0,)
    w0: Annotated[float, Interval(ge=0, le=1_000_000)] = 10.0
    sigma: Annotated[float, Interval(gt=0, le=10_000)] = 5.0
    balance: bool = True


@dataclass(frozen=True)
class AugmentSettings:
    """How much a training crop may be changed; a half-width a means a draw from uniform(−a, a).

    elastic: standard deviation of the control points' displacements in pixels (0 = none); along z it is
    smaller in a crop with fewer slices than pixels along y and x, by that ratio;
    rotate: half-width in degrees, of volumes about z; scale: half-width of the natural log of the zoom;
    shift: half-width in pixels beyond the crop's own random position; brightness, contrast, gamma:
    half-widths (in standard deviations, and of natural logs); noise, blur: upper ends of the
    uniform draws of the standard deviation (in grey-value standard deviations, and in pixels); invert:
    probability that grey values are inverted, x → 1 − x, so that bright objects on dark and dark ones on
    bright are both learnt (for data.normalise = "percentile", where most grey values lie in 0…1);
    occlusion: probability that a crop is given a shadow, a rectangle of up to half its sides in which grey
    values are drawn towards the crop's darkest by a random factor (occluding patches, Devalla 2018); in
    restoration only the noisy image has it. match_histogram:
    probability that the grey values of a crop's image are first matched to another training image, channel by
    channel (V-Net, 2016).
    """

    elastic: Annotated[float, Interval(ge=0, le=10_000)] = 10.0
    control_points: Annotated[int, Interval(ge=2, le=32)] = 3
    engine: Literal["torch", "elasticdeform"] = "torch"
    flip: bool = True
    rotate: Annotated[float, Interval(ge=0, le=180)] = 180.0
    scale: Annotated[float, Interval(ge=0, le=1)] = 0.1
    shift: Annotated[float, Interval(ge=0, le=100_000)] = 0.0
    brightness: Annotated[float, Interval(ge=0, le=1_000)] = 0.2
    contrast: Annotated[float, Interval(ge=0, le=100)] = 0.2
    gamma: Annotated[float, Interval(ge=0, le=100)] = 0.2
    noise: Annotated[float, Interval(ge=0, le=1_000)] = 0.1
    blur: Annotated[float, Interval(ge=0, le=1_000)] = 0.0
    invert: Probability = 0.0
    occlusion: Probability = 0.0
    match_histogram: Probability = 0.0
    albumentations: str = ""


NO_AUGMENT = AugmentSettings(
    elastic=0, flip=False, rotate=0, scale=0, brightness=0, contrast=0, gamma=0, noise=0
)


@dataclass(frozen=True)
class TrainSettings:
    """The optimisation. crop: side of the network's input in pixels, every axis.

    steps: at most so many; minutes: a budget of wall-clock time for everything from reading the data to
    the scores, 0 for none. A few steps are timed and undone; the number of steps that fits is decided
    once and recorded instead of the budget, so the learning rate follows its whole schedule.
    precision: "auto" is the fastest on this processor or GPU, decided and recorded in the same way.

    class_balanced_crops: crops are centred on a pixel of a class drawn with equal probability
    among those of the image (Cireşan 2012), not anywhere in the image.
    batch: of all processes together. checkpointing: activations are recomputed instead of stored,
    for large crops; compile: by torch.compile, which takes a minute or so once; cuda_graphs: compiled
    for replay by CUDA graphs, where launching operations takes longer than computing them; fused: the
    optimizer's update as one operation on a GPU. deterministic: the same seed, data and device give the
    same bits; without it CUDA uses its fastest convolutions, in TF32 if precision is "float32".
    start_from: a run folder, model file or name of a model whose weights to start from, "" for none.
    Its network, target, grey values and pixel size are then the defaults. freeze: the contracting path
    keeps the weights of start_from.
    """

    steps: Annotated[int, Interval(gt=0, le=1_000_000_000)] = 1000
    minutes: Annotated[float, Interval(ge=0, le=1_000_000)] = 0.0
    batch: Annotated[int, Interval(gt=0, le=65_536)] = 4
    crop: Annotated[tuple[Annotated[int, Interval(gt=0, le=65_536)], ...], Len(1, 3)] = (256,)
    class_balanced_crops: bool = False
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Annotated[float, Interval(gt=0, le=1_000)] = 2e-3
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.99
    weight_decay: Annotated[float, Interval(ge=0, le=1_000)] = 1e-4
    schedule: Literal["constant", "cosine", "one-cycle"] = "one-cycle"
    clip: Annotated[float, Interval(ge=0, le=1_000_000_000)] = 1.0
    loss: str = "cross-entropy"
    precision: Literal["auto", "float32", "bf16", "fp16"] = "float32"
    channels_last: bool = True
    compile: bool = False
    cuda_graphs: bool = False
    fused: bool = False
    deterministic: bool = True
    checkpointing: bool = False
    validate_every: Annotated[int, Interval(gt=0, le=1_000_000_000)] = 200
    validate_images: Annotated[int, Interval(gt=0, le=1_000_000)] = 12
    select_by: str = "iou"
    start_from: str = ""
    freeze: bool = False


@dataclass(frozen=True)
class LabelSettings:
    """From probabilities to labels.

    threshold: foreground probability of an object; seed_threshold: a higher threshold whose connected
    components are the seeds of a watershed (0: no watershed, objects are connected components);
    min_seed_area: seeds of fewer pixels are dropped; min_area: objects of fewer pixels are dropped;
    max_hole_area: holes of up to this many pixels are filled; grow: pixels by which objects are then
    grown into the background, to undo the ridge that separates them in training. Areas and lengths
    are in pixels of the original image. test_time_augmentation: mean of 1, 4 (flips along y and x) or
    8 (flips and quarter turns; for volumes also flips along z) predictions; median_radius: median
    filter of the probabilities (0 = none); calibrate: after training, fit a polynomial that maps the
    foreground's probability to its frequency in the validation part; choose: after training, choose
    the thresholds, areas and growth by the score of the validation part (`train.select_by`).
    """

    threshold: Probability = 0.5
    seed_threshold: Probability = 0.0
    min_seed_area: Annotated[int, Interval(ge=0, le=1_000_000_000_000)] = 0
    min_area: Annotated[int, Interval(ge=0, le=1_000_000_000_000)] = 0
    max_hole_area: Annotated[int, Interval(ge=0, le=1_000_000_000_000)] = 0
    grow: Annotated[int, Interval(ge=0, le=10_000)] = 0
    test_time_augmentation: Literal[1, 4, 8] = 1
    median_radius: Annotated[int, Interval(ge=0, le=64)] = 0
    calibrate: bool = False
    choose: bool = False

    @property
    def halo(self) -> int:
        """Pixels of the original image around a region that its final probabilities depend on."""
        return self.median_radius


@dataclass(frozen=True)
class Fold:
    """One split of the data: selections as in DataSettings."""

    train: tuple[str, ...]
    validate: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """Everything that decides a training run.

    folds: named splits, one of which replaces those of `data` (`config.choose_fold`). nets: other
    networks to compare on the same terms, by name: the options of each, and tables such as `train`
    with what differs for it (`config.choose_net`).
    """

    name: str = "experiment"
    seed: Annotated[int, Interval(ge=0, le=2**32 - 1)] = 0
    device: str = "auto"
    data: DataSettings = field(default_factory=DataSettings)
    target: TargetSettings = field(default_factory=TargetSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    net: dict[str, NetOption] = field(default_factory=lambda: dict(NARROW_UNET))
    train: TrainSettings = field(default_factory=TrainSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    folds: dict[str, Fold] = field(default_factory=dict)
    nets: dict[str, dict[str, NetOption | dict[str, Any]]] = field(default_factory=dict)


NARROW_UNET: dict[str, NetOption] = {
    "name": "unet",
    "width": 16,
    "depth": 4,
    "padding": "same",
    "norm": "batch",
    "dropout": 0.0,
}
PAPER_UNET: dict[str, NetOption] = {
    "name": "unet",
    "width": 64,
    "depth": 4,
    "padding": "valid",
    "norm": "none",
    "dropout": 0.5,
}
"""572² → 388², 31,030,658 parameters (Ronneberger 2015, fig. 1)."""
PRESETS = {"default": NARROW_UNET, "paper": PAPER_UNET}


def full_net(given: dict[str, NetOption]) -> dict[str, NetOption]:
    """The table of a network with every option that it leaves to its preset; the preset itself is removed.

    The U-Net has the presets "default", also used without a table, and "paper". Another network's
    options are its constructor's. Raises UserError for an unknown preset, or one of another network.

    >>> full_net({"width": 8}) == NARROW_UNET | {"width": 8}
    True
    """
    name, preset = given.get("name", "unet"), given.get("preset", "default")
    own = {key: value for key, value in given.items() if key != "preset"}
    if name != "unet" and "preset" in given:
        raise UserError(f"net.preset = {preset!r}: {name} has no presets, only 'unet' does. Leave it out.")
    if name != "unet":
        return own
    if preset not in PRESETS:
        raise UserError(f"net.preset = {preset!r}: {did_you_mean(str(preset), PRESETS)}")
    return PRESETS[str(preset)] | own
