"""unetseg: `unetseg train --data FOLDER`, no other settings.

    pip install -e .
    taskset -c 1 env OMP_NUM_THREADS=1 python -m benchmarks.peers.ours FOLDS/hela OUT/hela/ours --minutes 10

Settings are derived from the images, every fifth training image chooses weights and label settings, and
--minutes covers all of it. Nothing is pretrained.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict

from benchmarks.peers.common import Job, Predict, run_method
from unetseg.api import load_model, predict
from unetseg.run import Run


def fit(job: Job) -> Predict:
    """Train in a process of its own, as the command does."""
    run = job.out / "run"
    data, minutes, seed = str(job.fold / "train"), str(job.minutes), str(job.seed)
    command = [sys.executable, "-m", "unetseg", "train", "--data", data, "--run", str(run)]
    subprocess.run([*command, "--minutes", minutes, "--seed", seed], check=True)
    model = load_model(run, "cpu")
    steps = max(record["step"] for record in Run.open(run).records())
    job.settings |= {"steps": steps, "labels": asdict(model.recipe.labels)}
    return lambda image: predict(model, image).labels


if __name__ == "__main__":
    run_method("ours", ["unetseg", "torch"], fit)
