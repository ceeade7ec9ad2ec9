"""A trained model: the network and everything that prediction must repeat from training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Len
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from unetseg.calibration import calibrated
from unetseg.device import one_thread
from unetseg.errors import UserError
from unetseg.inference.batch_size import fitting_batch
from unetseg.inference.blending import tile_note
from unetseg.inference.engines import InferenceNet, choose_engine, describe_engine, prepare
from unetseg.inference.memory import choose_grid
from unetseg.inference.predict import predict
from unetseg.nets import Net
from unetseg.pipeline.recipe import Recipe, checked_weights, new_net, read_recipe
from unetseg.pipeline.weights_file import load_plain, save_plain
from unetseg.sample import enlarge, shrink_image
from unetseg.segment import class_labels, median_filtered, object_labels
from unetseg.tiles import TileGrid

KIND = "unetseg-model"
DEFAULT_MEMORY = 2 * 2**30
MOST_AT_ONCE = 16
"""Tiles computed at once on a GPU, where nobody says how many."""


class Ancestor(TypedDict):
    """A model that a training was started from: its name as given, and the SHA-256 of its file."""

    name: str
    sha256: str


_LINEAGE: TypeAdapter[tuple[Ancestor, ...]] = TypeAdapter(Annotated[tuple[Ancestor, ...], Len(0, 100)])


@dataclass(frozen=True)
class PredictSettings:
    """How prediction is divided up: memory in bytes, or tiles of `side` pixels (0 = from memory).

    batch: tiles computed at once, which share the memory; 0 = as many as fit into a GPU's free memory, and
    1 elsewhere; engine: "auto" or a name in
    `inference.engines.ENGINES`.
    """

    memory: int = DEFAULT_MEMORY
    side: int = 0
    batch: int = 1
    precision: str = "float32"
    engine: str = "torch"


@dataclass(frozen=True)
class Model:
    """A recipe with its network on a device, and other models that it is averaged with.

    notes: what the user should know about the file that it was loaded from. lineage: name and SHA-256 of the
    models that its training was started from, the nearest first.
    """

    recipe: Recipe
    net: Net
    device: torch.device
    others: tuple[Model, ...] = ()
    notes: tuple[str, ...] = ()
    lineage: tuple[Ancestor, ...] = ()

    @property
    def restores(self) -> bool:
        """Whether it restores images, and gives no labels."""
        return self.recipe.kind == "restoration"

    def normalised(self, image: NDArray[Any], name: str) -> NDArray[np.float32]:
        """The network's input from an image (c, *yx) as on disk: downsampled and normalised."""
        return self.recipe.normalisation(shrink_image(image, self.recipe.downsample), name)

    def grid(self, shape: tuple[int, ...], tiling: PredictSettings) -> TileGrid:
        """The tiles of a network input of `shape` (yx)."""
        memory, engine = tiling.memory // max(tiling.batch, 1), self.engine(tiling)
        return choose_grid(self.net, shape, memory=memory, side=tiling.side, engine=engine)

    def batch(self, tiling: PredictSettings, grid: TileGrid, most: int = MOST_AT_ONCE) -> int:
        """Tiles of `grid` computed at once: those asked for, or `most` at most; see `PredictSettings`."""
        most = min(most, MOST_AT_ONCE, len(grid))
        if tiling.batch or self.device.type != "cuda" or most < 2:
            return max(tiling.batch, 1)
        return fitting_batch(self.ready(tiling), (self.net.channels, *grid.read_shape), most=most)

    def engine(self, tiling: PredictSettings) -> str:
        """The engine that computes: the given one, or the fastest; UserError if it cannot be used."""
        return choose_engine(tiling.engine, self.net, self.device, tiling.precision)

    def engines(self, tiling: PredictSettings) -> str:
        """Name and version of the engine, and of those of the models that it is averaged with."""
        models = (self, *self.others)
        return ", ".join(describe_engine(m.engine(tiling), self.device) for m in models)

    def ready(self, tiling: PredictSettings) -> InferenceNet:
        """The network, prepared by its engine.

        PyTorch takes the weights as they are now; other engines are prepared once, since that takes
        them about a second, and keep the weights of that moment.
        """
        name = self.engine(tiling)
        if name not in self._ready:
            net = prepare(self.net, self.device, engine=name, precision=tiling.precision)
            net = replace(net, restores=self.restores)
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
        """Class probabilities (k, *yx) float32 at the size of image (c, *yx), with all post-processing."""
        self.check_segments()
        total = self.own_probabilities(image, name, tiling, progress)
        for other in self.others:
            total = total + other.own_probabilities(image, name, tiling, progress)
        return median_filtered(total / np.float32(1 + len(self.others)), self.recipe.labels.median_radius)

    def own_probabilities(
        self, image: NDArray[Any], name: str, tiling: PredictSettings, progress: Callable[[int], None]
    ) -> NDArray[np.float32]:
        """Calibrated probabilities (k, *yx) of this network alone, before any median; see `predict`."""
        small = self._output(self.normalised(image, name), tiling, progress)
        return enlarge(calibrated(small, self.recipe.calibration), image.shape[1:], self.recipe.downsample)

    def restored(
        self,
        image: NDArray[Any],
        name: str,
        tiling: PredictSettings,
        progress: Callable[[int], None] = lambda tiles: None,
    ) -> NDArray[np.float32]:
        """The restored image (c, *yx) float32, in the grey values of image (c, *yx)."""
        if not self.restores:
            raise UserError("this model gives labels and restores no images. Use `unetseg predict`.")
        found = [model._restored(image, name, tiling, progress) for model in (self, *self.others)]
        return sum(found[1:], start=found[0]) / np.float32(len(found))

    def _restored(
        self, image: NDArray[Any], name: str, tiling: PredictSettings, progress: Callable[[int], None]
    ) -> NDArray[np.float32]:
        """What this network alone makes of the image."""
        output = self._output(self.normalised(image, name), tiling, progress)
        return self.recipe.normalisation.fitted(image).undo(output)

    def _output(
        self, pixels: NDArray[np.float32], tiling: PredictSettings, progress: Callable[[int], None]
    ) -> NDArray[np.float32]:
        """The network's output (k, *yx) for its whole input (c, *yx), tile by tile; see `predict`."""
        grid = self.grid(pixels.shape[1:], tiling)
        return predict(
            self.ready(tiling),
            pixels,
            grid,
            batch=self.batch(tiling, grid),
            average=self.recipe.labels.test_time_augmentation,
            progress=progress,
        )

    def result(self, image: NDArray[Any], name: str, tiling: PredictSettings) -> NDArray[Any]:
        """What the model is for: labels (*yx), or a restored image (c, *yx), of an image (c, *yx)."""
        if self.restores:
            return self.restored(image, name, tiling)
        return self.labels(self.probabilities(image, name, tiling))

    def check_segments(self) -> None:
        """Raise UserError for a model that restores images, where labels are asked for."""
        if self.restores:
            raise UserError(
                "this model restores images and gives no labels or probabilities. Choose one that segments."
            )

    @cached_property
    def weights_hash(self) -> str:
        """A short text that changes with the weights."""
        found = hashlib.sha256()
        for name, value in sorted(self.net.state_dict().items()):
            found.update(name.encode())
            found.update(value.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()[:16]

    def with_labels(self, **changed: Any) -> Model:
        """The model with other values of its label settings, such as threshold=0.6."""
        return replace(self, recipe=replace(self.recipe, labels=replace(self.recipe.labels, **changed)))

    def labels(self, probabilities: NDArray[np.float32]) -> NDArray[Any]:
        """Object ids (*yx) int32, or the class map (*yx) uint8, of `probabilities` (k, *yx)."""
        self.check_segments()
        if self.recipe.kind == "classes":
            return class_labels(probabilities, self.recipe.labels.threshold)
        return object_labels(probabilities, self.recipe.labels)


def in_files(recipe: Recipe, labels: NDArray[Any]) -> NDArray[Any]:
    """Labels (*yx) as label files hold them: class maps (uint8) with the values of the training labels."""
    if recipe.kind != "classes" or not recipe.values:
        return labels
    return np.array(recipe.values, np.uint8)[labels]


def save_model(path: Path, recipe: Recipe, net: Net, metadata: dict[str, Any]) -> None:
    """Write recipe, weights and metadata (step, score) to `path` (the caller replaces atomically)."""
    save_plain(path, KIND, {"recipe": asdict(recipe), "weights": net.state_dict(), **metadata})


def load_model(path: Path, device: torch.device) -> Model:
    """Load an untrusted model file: it is checked value by value, and no code in it is run.

    Raises UserError, which names the file, if it is damaged or no training could have written it.
    """
    saved = load_plain(path, KIND)
    recipe = read_recipe(saved.values.get("recipe"), f"{path}: the model's recipe")
    with one_thread():
        try:
            weights = checked_weights(saved.values.get("weights"), recipe)
            net = new_net(recipe, seed=0)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        net.load_state_dict(weights)
        net.to(device, memory_format=torch.channels_last if net.dims == 2 else torch.channels_last_3d)
    net.eval()
    notes = tuple(filter(None, (saved.note, tile_note(net))))
    return Model(recipe, net, device, notes=notes, lineage=_lineage(saved.values.get("lineage"), path))


def _lineage(value: Any, path: Path) -> tuple[Ancestor, ...]:
    """The models that a file says it was started from."""
    try:
        return _LINEAGE.validate_python(value or (), strict=True)
    except ValidationError:
        raise UserError(f"{path}: the model's lineage is damaged.") from None
