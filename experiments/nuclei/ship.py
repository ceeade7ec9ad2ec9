"""Make the shipped model of a run of shipped.toml, and score it by type of image beside the baseline.

python experiments/nuclei/ship.py RUN      writes unetseg/models/nuclei.pt, in half precision
python experiments/nuclei/ship.py --scores prints the scores of the model that is shipped

The images are found below $UNETSEG_DATA. A user's defaults are scored: nothing is told of the nuclei's size.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from baseline import otsu_watershed

from unetseg import api
from unetseg.config import read_experiment
from unetseg.files import replacing
from unetseg.pipeline.dataset import list_data
from unetseg.pipeline.model import save_model
from unetseg.sample import Sample
from unetseg.settings import DataSettings

HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "unetseg" / "models" / "nuclei.pt"
HELD_OUT = {
    "256×256, dark background": ["012", "015", "024", "036", "046", "077", "086", "104", "145", "146"],
    "256×256, raised background": ["004", "007", "017", "022", "026", "052", "090", "092", "096", "142"],
    "256×256, crowded": ["009", "098", "132", "138"],
    "360×360, large nuclei": ["065", "087", "114", "141", "148"],
    "520×696, medium nuclei": ["045", "058", "082", "101", "103", "136"],
    "520×696, large nuclei": ["053", "134"],
    "others (512×640, 1040×1388)": ["023", "139"],
}
"""The types of image, by size, background and the nuclei's size; those of each that were held out."""

Method = Callable[[NDArray[Any]], NDArray[Any]]


def ship(run: str) -> None:
    """Write the run's model with its convolution weights in half precision."""
    model = api.load_model(run)
    weights = model.net.state_dict()
    halves = {name: w.half() if w.is_floating_point() and w.ndim > 1 else w for name, w in weights.items()}
    with replacing(SHIPPED) as path:
        save_model(path, model.recipe, _Weights(halves), {})
    content = SHIPPED.read_bytes()
    print(f'sha256 = "{hashlib.sha256(content).hexdigest()}"\nbytes = {len(content)}')


class _Weights:
    """What `save_model` asks of a network: its weights."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        self.weights = weights

    def state_dict(self) -> dict[str, torch.Tensor]:
        return self.weights


def samples() -> dict[str, Sample]:
    """The held-out images as on disk, by name."""
    data = read_experiment(HERE / "shipped.toml").data
    entries = list_data(DataSettings(root=data.root, labels=data.labels)).entries
    return {e.name: e.read() for e in entries if e.name in data.test}


def scores(method: Method, chosen: list[Sample]) -> list[float]:
    """F1 at IoU 0.5 and SEG, pooled over the images."""
    truths = [np.asarray(s.labels) for s in chosen]
    found = api.score(truths, [method(s.image[0]) for s in chosen], ["f1", "seg"])
    return [found["f1"], found["seg"]]


def table() -> Iterator[str]:
    """A line for each type of image."""
    model, held_out = api.load_model("nuclei"), samples()

    def ours(image: NDArray[Any]) -> NDArray[Any]:
        return api.predict(model, image).labels

    yield "type, images: F1, SEG; baseline F1, SEG; inverted F1, SEG"
    for title, names in [*HELD_OUT.items(), ("all", sorted(held_out))]:
        chosen = [held_out[name] for name in names]
        inverted = [Sample(s.name, s.image.max() - s.image, s.labels) for s in chosen]
        values = [*scores(ours, chosen), *scores(otsu_watershed, chosen), *scores(ours, inverted)]
        yield f"{title}, {len(chosen)}: " + ", ".join(f"{v:.3f}" for v in values)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:] == ["--scores"]:
        for line in table():
            print(line, flush=True)
    else:
        ship(sys.argv[1])
