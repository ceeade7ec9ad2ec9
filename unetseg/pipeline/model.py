"""A trained model: the network and all that prediction must repeat from training."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unetseg.calibration import calibrated
from unetseg.device import one_thread
from unetseg.errors import UserError, first_line
from unetseg.inference.engines import InferenceNet, choose_engine, prepare
from unetseg.inference.memory import choose_grid
from unetseg.inference.predict import predict
from unetseg.nets import Net, Prunable, build_net
from unetseg.normalise import Normalisation
from unetseg.sample import LabelKind, enlarge, shrink_image
from unetseg.segment import class_labels, median_filtered, object_labels
from unetseg.settings import LabelSettings, NetOption
from unetseg.tiles import TileGrid

FORMAT = "unetseg-model-1"
DEFAULT_MEMORY = 2 * 2**30


@dataclass(frozen=True)
class Recipe:
    """What makes a network's weights a model; plain values only, so it loads without running code.

    calibration: the coefficients of `calibrated`, empty for none.
    """

    net: dict[str, NetOption]
    classes: int
    kind: LabelKind
    normalisation: Normalisation
    shrink: int
    labels: LabelSettings
    spacing_um: tuple[float, ...] | None
    calibration: tuple[float, ...] = ()


@dataclass(frozen=True)
class PredictSettings:
    """How prediction is cut up: memory in bytes, or tiles of `side` pixels (0 = from memory).

    batch: tiles computed at once, which share the memory; engine: "auto" or a name in
    `inference.engines.ENGINES`.
    """

    memory: int = DEFAULT_MEMORY
    side: int = 0
    batch: int = 1
    precision: str = "float32"
    engine: str = "torch"


@dataclass(frozen=True)
class Model:
    """A recipe with its network on a device, and other models that it is averaged with."""

    recipe: Recipe
    net: Net
    device: torch.device
    others: tuple[Model, ...] = ()

    def normalised(self, image: NDArray[Any], name: str) -> NDArray[np.float32]:
        """Image (c, *yx) as on disk to the network's input, shrunk and normalised."""
        return self.recipe.normalisation(shrink_image(image, self.recipe.shrink), name)

    def grid(self, shape: tuple[int, ...], tiling: PredictSettings) -> TileGrid:
        """The tiles of a network input of `shape` (yx)."""
        memory, engine = tiling.memory // tiling.batch, self.engine(tiling)
        return choose_grid(self.net, shape, memory=memory, side=tiling.side, engine=engine)

    def engine(self, tiling: PredictSettings) -> str:
        """The engine that computes: the one given, or the fastest; UserError where it cannot be used."""
        return choose_engine(tiling.engine, self.net, self.device, tiling.precision)

    def ready(self, tiling: PredictSettings) -> InferenceNet:
        """The network made ready by its engine.

        PyTorch takes the weights as they are now; other engines are made ready once, since that takes
        them about a second, and keep the weights of then.
        """
        name = self.engine(tiling)
        if name not in self._ready:
            net = prepare(self.net, self.device, engine=name, precision=tiling.precision)
            if name == "torch":
                return net
            self._ready[name] = net
        return self._ready[name]

    @cached_property
    def _ready(self) -> dict[str, InferenceNet]:
        return {}

    def probabilities(
        self,
        image: NDArray[Any],
        name: str,
        tiling: PredictSettings,
        progress: Callable[[int], None] = lambda tiles: None,
    ) -> NDArray[np.float32]:
        """Class probabilities (k, *yx) float32 at the size of image (c, *yx), all post-processing done."""
        total = self.own_probabilities(image, name, tiling, progress)
        for other in self.others:
            total = total + other.own_probabilities(image, name, tiling, progress)
        return median_filtered(total / np.float32(1 + len(self.others)), self.recipe.labels.median)

    def own_probabilities(
        self, image: NDArray[Any], name: str, tiling: PredictSettings, progress: Callable[[int], None]
    ) -> NDArray[np.float32]:
        """Calibrated probabilities (k, *yx) of this network alone, before any median; see `predict`."""
        pixels = self.normalised(image, name)
        small = predict(
            self.ready(tiling),
            pixels,
            self.grid(pixels.shape[1:], tiling),
            batch=tiling.batch,
            average=self.recipe.labels.average,
            progress=progress,
        )
        return enlarge(calibrated(small, self.recipe.calibration), image.shape[1:], self.recipe.shrink)

    def labels(self, probabilities: NDArray[np.float32]) -> NDArray[Any]:
        """Object ids (*yx) int32, or the class map (*yx) uint8, of `probabilities` (k, *yx)."""
        if self.recipe.kind == "classes":
            return class_labels(probabilities)
        return object_labels(probabilities, self.recipe.labels)


def average_models(models: Mapping[str, Model]) -> Model:
    """One model of several, named for errors: their calibrated probabilities are averaged.

    Median and label settings are the first one's. Raises UserError where they do not tell the same
    classes of the same kind of image.
    """
    (first, one), *rest = models.items()
    for name, other in rest:
        for what, ours, theirs in zip(_COMPARED, _compared(one), _compared(other), strict=True):
            if ours != theirs and None not in (ours, theirs):
                raise UserError(
                    f"{name} has {what} {theirs}, {first} {ours}: only models of the same classes, "
                    "channels and pixel size can be averaged."
                )
    return replace(one, others=tuple(other for _, other in rest))


_COMPARED = ("kind of labels", "classes", "channels", "image axes", "pixel size in µm")


def _compared(model: Model) -> tuple[object, ...]:
    recipe = model.recipe
    spacing = None if recipe.spacing_um is None else tuple(recipe.spacing_um)
    return recipe.kind, recipe.classes, recipe.normalisation.channels, model.net.dims, spacing


def new_net(recipe: Recipe, seed: int) -> Net:
    """The recipe's network with fresh weights; for those of a file see `start_from_weights`."""
    options = {k: v for k, v in recipe.net.items() if k not in ("name", "weights")}
    name = str(recipe.net.get("name", "unet"))
    return build_net(
        name, channels=recipe.normalisation.channels, classes=recipe.classes, seed=seed, **options
    )


def pruned(model: Model, level: int) -> Model:
    """The model with the part of its network that gives the output at `level`; see UNetPlusPlus.

    Raises UserError where its network cannot be pruned, or not there.
    """
    if not isinstance(model.net, Prunable):
        name = model.recipe.net["name"]
        raise UserError(f"level {level}: a network {name!r} cannot be pruned, only 'unet++' can.")
    options = {**model.recipe.net, "depth": level, "deep_supervision": False}
    return replace(model, recipe=replace(model.recipe, net=options), net=model.net.pruned(level))


def save_model(path: Path, recipe: Recipe, net: Net, facts: dict[str, Any]) -> None:
    """Write recipe, weights and facts (step, score) to `path` (the caller replaces atomically)."""
    save_plain(path, {"format": FORMAT, "recipe": asdict(recipe), "weights": net.state_dict(), **facts})


def load_model(path: Path, device: torch.device) -> Model:
    """A model file, from whomever: only plain values and tensors are read, no code is run."""
    saved = load_plain(path, FORMAT)
    with one_thread():
        try:
            recipe = _recipe(saved["recipe"])
            net = new_net(recipe, seed=0)
            net.load_state_dict(saved["weights"])
        except (KeyError, TypeError, RuntimeError) as error:
            raise UserError(
                f"{path}: not a model of this version of unetseg ({str(error).splitlines()[0]})."
            ) from None
        net.to(device, memory_format=torch.channels_last if net.dims == 2 else torch.channels_last_3d)
    net.eval()
    return Model(recipe, net, device)


def save_plain(path: Path, values: dict[str, Any]) -> None:
    """Plain values and tensors for `load_plain`; a full disk is an OSError, not torch's RuntimeError."""
    memory = io.BytesIO()
    torch.save(values, memory)
    path.write_bytes(memory.getbuffer())


def load_plain(path: Path, expected: str) -> dict[str, Any]:
    """A dictionary of plain values and tensors; anything else in the file is refused."""
    try:
        saved = read_plain(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file. Has the run been trained?") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    if not isinstance(saved, dict) or saved.get("format") != expected:
        raise UserError(f"{path}: not a {expected} file.")
    return saved


def read_plain(path: Path) -> Any:
    """The plain values and tensors that torch.save wrote; OSError where there is no file to read.

    Raises UserError, which does not name the file, for one that is damaged or holds code: none is run.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a stranger's file makes the reader fail in whatever way it likes
        raise UserError(
            f"not a file of weights, damaged, or it holds code, which is not run ({first_line(error)})."
        ) from None


def _recipe(table: dict[str, Any]) -> Recipe:
    normalisation = Normalisation(**table["normalisation"])
    labels = LabelSettings(**table["labels"])
    return Recipe(**{**table, "normalisation": normalisation, "labels": labels})
