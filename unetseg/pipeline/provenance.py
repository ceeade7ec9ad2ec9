"""What a run was made with: versions, commit, device, data."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from unetseg import __version__
from unetseg.device import describe_device
from unetseg.inference.engines import describe_engine
from unetseg.pipeline.dataset import Dataset
from unetseg.pipeline.model import PredictSettings

PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "tifffile", "openvino", "onnxruntime", "onnx")


def environment(device: torch.device, data: Dataset) -> dict[str, Any]:
    """Plain values that say how a run was made; engine: what computes the scored predictions."""
    return {
        "unetseg": __version__,
        "commit": _commit(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv[1:]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": describe_device(device),
        "engine": describe_engine(PredictSettings().engine, device),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "data_sha256": data.checksum,
        "split": data.split.describe(),
        "images": data.split.names(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit of the source tree that runs, "+changes" if it was edited; "" outside one."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
        dirty = subprocess.run(
            [*git, "status", "--porcelain", "--", str(here)],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")
