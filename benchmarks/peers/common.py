"""What the scripts of all methods share: reading a fold, timing, and writing labels and figures.

It needs numpy and tifffile alone, so that it runs in the environment of any method.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

NOT_ANNOTATED = 65535
"""The value of background in the truth that may hold objects nobody drew."""
Array = NDArray[Any]
Predict = Callable[[Array], Array]
"""Instance labels (y, x) of an image (y, x)."""


@dataclass
class Job:
    """A training: the fold's folder, where to write, and the processor minutes up to the trained model.

    It is processor time, which other programs on the machine do not stretch. settings: what the script
    decided, for the record.
    """

    fold: Path
    out: Path
    minutes: float
    seed: int
    started: float = field(default_factory=lambda: processor_s())
    preparation_s: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)

    def prepared(self) -> None:
        """What was done so far prepares the data once and for all; the budget begins now."""
        now = processor_s()
        self.preparation_s, self.started = now - self.started, now

    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self.started + 60 * self.minutes - processor_s()

    def images(self, part: str = "train") -> list[Array]:
        """The images (y, x) of "train" or "test", in order of their names."""
        return [tifffile.imread(path) for path in self._paths(part, "images")]

    def labels(self, part: str = "train") -> list[Array]:
        """Their labels (y, x) uint16."""
        return [tifffile.imread(path) for path in self._paths(part, "labels")]

    def names(self, part: str = "train") -> list[str]:
        """Their names without ending."""
        return [path.stem for path in self._paths(part, "images")]

    def _paths(self, part: str, kind: str) -> list[Path]:
        return sorted((self.fold / part / kind).glob("*.tif"))


def held_out(count: int, seed: int, share: float) -> list[int]:
    """The numbers of a random share of the training images, those that thresholds are chosen on."""
    return sorted(np.random.default_rng(seed).permutation(count)[: max(1, round(share * count))].tolist())


def run_method(method: str, packages: list[str], fit: Callable[[Job], Predict]) -> None:
    """The command of a method: train on a fold, predict its test images, write labels and figures.

    Writes OUT/labels/*.tif and OUT/measured.json. The model is called once before prediction is timed.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.peers.{method}")
    parser.add_argument("fold", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    began, job = time.monotonic(), Job(asked.fold, asked.out, asked.minutes, asked.seed)
    predict = fit(job)
    minutes = {
        "preparation_minutes": job.preparation_s / 60,
        "training_minutes": (processor_s() - job.started) / 60,
        "clock_minutes": (time.monotonic() - began) / 60,
    }
    figures = {
        "method": method,
        "versions": {name: version(name) for name in packages},
        "fold": json.loads((asked.fold / "fold.json").read_text()) | {"name": asked.fold.name},
        "budget_minutes": asked.minutes,
        "seed": asked.seed,
        **minutes,
        "prediction_s_per_image": predict_all(job, predict),
        "peak_memory_gb": _peak_gb(),
        "settings": job.settings,
        "machine": machine(),
    }
    (asked.out / "measured.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))


def predict_all(job: Job, predict: Predict) -> float:
    """Write the labels of all test images; returns the mean processor seconds of an image."""
    folder, seconds = job.out / "labels", 0.0
    folder.mkdir(exist_ok=True)
    images = job.images("test")
    predict(images[0])
    for name, image in zip(job.names("test"), images, strict=True):
        started = processor_s()
        labels = predict(image)
        seconds += processor_s() - started
        tifffile.imwrite(folder / f"{name}.tif", labels.astype(np.uint16), compression="zlib")
    return seconds / len(images)


def machine() -> dict[str, Any]:
    """The processor and how many threads the method had."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.split(": ", 1)[1] for line in lines if line.startswith("model name")]
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": (models or [platform.processor()])[0], "threads": threads}


def processor_s() -> float:
    """Processor time of this process and its finished children so far, in seconds."""
    found = os.times()
    return found.user + found.system + found.children_user + found.children_system


def _peak_gb() -> float:
    """Peak memory of this process, or of its largest child where that is more."""
    of = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    unit = 1 if platform.system() == "Darwin" else 1024  # bytes there, kilobytes on Linux
    return max(resource.getrusage(who).ru_maxrss for who in of) * unit / 1e9
