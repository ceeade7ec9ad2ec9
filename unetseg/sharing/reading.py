"""bioimage.io packages of segmentation networks, as models for normal prediction."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from unetseg.errors import UserError, first_line, reading
from unetseg.images.limits import check_memory, check_unpacked, in_words
from unetseg.inference.exported_net import ExportedNet, Output
from unetseg.inference.onnx_net import OnnxNet
from unetseg.inference.torchscript_net import TorchScriptNet
from unetseg.normalise import PERCENTILES, Normalisation
from unetseg.pipeline.model import Model, load_model
from unetseg.pipeline.recipe import Recipe, read_recipe
from unetseg.run import Run
from unetseg.sample import LabelKind
from unetseg.settings import LabelSettings
from unetseg.sharing.libraries import load_libraries
from unetseg.tiles import Footprint

AXES = (["batch", "channel", "y", "x"], ["batch", "channel", "z", "y", "x"])
DESCRIPTION_BYTES = 2**20


def read_model(path: Path, device: torch.device, *, trust_code: bool = False) -> Model:
    """The model of a run folder, a model file or a bioimage.io package (NAME.zip; computed on the CPU).

    trust_code: see `read_package`. Raises UserError for the file of a network alone, which does not say how
    images are normalised.
    """
    path = Run.open(path).best if path.is_dir() else path
    if path.suffix.lower() == ".onnx" or _is_torchscript(path):
        raise UserError(
            f"{path}: a network alone, without its normalisation and settings (and TorchScript is "
            "code, not run). Give the run, the model file, or a bioimage.io package with ONNX weights."
        )
    if path.suffix.lower() == ".zip":
        return read_package(path, trust_code=trust_code)
    return load_model(path, device)


def _is_torchscript(path: Path) -> bool:
    """Whether the file is an archive with TorchScript code."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def read_package(path: Path, *, trust_code: bool = False) -> Model:
    """A bioimage.io package with ONNX weights as a model; no code in it is run.

    trust_code: whether TorchScript, which is code, is run where there is no ONNX; the model has a note then.
    A package of ours is predicted with the model's own settings; any other with 1 or 2 output channels gives
    objects, with more, classes. Raises UserError, which names the file, for a damaged package, one without
    weights to run, and for tensors, sizes or processing that are not supported.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file. Give a package, a run folder, or a name of `unetseg models`.")
    spec = load_libraries()
    try:
        with reading(path, "bioimage.io package"), zipfile.ZipFile(path) as archive:
            _check_sizes(archive, path)
            described = _described(spec, archive)
            kind, source = _source(described, trust_code=trust_code)
            model = _model(described, kind, _content(source, archive))
    except UserError as error:
        raise UserError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from None
    note = f"{path}: its weights are TorchScript, which is code: it runs with your rights"
    return replace(model, notes=(note,)) if kind is TorchScriptNet else model


def _check_sizes(archive: zipfile.ZipFile, path: Path) -> None:
    entries = archive.infolist()
    claimed = sum(e.file_size for e in entries)
    check_unpacked("refused", claimed, path.stat().st_size)
    if any(e.filename.endswith(".yaml") and e.file_size > DESCRIPTION_BYTES for e in entries):
        raise UserError(f"refused: its description claims more than {in_words(DESCRIPTION_BYTES)}.")
    check_memory(path, 2 * claimed)


def _described(spec: Any, archive: zipfile.ZipFile) -> Any:
    from bioimageio.spec.model.v0_5 import ModelDescr

    found = spec.load_description(archive, format_version="latest", perform_io_checks=False)
    if not isinstance(found, ModelDescr):
        errors = found.validation_summary.details[0].errors
        why = (
            f"{'.'.join(map(str, errors[0].loc))}: {first_line(ValueError(errors[0].msg))}" if errors else ""
        )
        raise UserError(f"not a bioimage.io package of a model that can be read ({why or found.type}).")
    return found


def _source(described: Any, *, trust_code: bool) -> tuple[type[ExportedNet], Any]:
    """Which network takes the weights, and the description's entry for them."""
    onnx, script = described.weights.onnx, described.weights.torchscript
    if onnx is not None and getattr(onnx, "external_data", None) is None:
        return OnnxNet, onnx
    if script is not None and trust_code:
        return TorchScriptNet, script
    there = ", ".join(name for name, weights in described.weights if weights is not None)
    trusted = "If you trust them with your files, --trust-code runs the TorchScript." if script else ""
    raise UserError(
        f"it has weights as {there}, but only ONNX in one file can be read: TorchScript and pickled weights "
        f"can hold code, which is not run. Ask its authors for ONNX weights. {trusted}".strip()
    )


def _content(source: Any, archive: zipfile.ZipFile) -> bytes:
    """The file of weights, if it has the checksum of the description."""
    name = str(getattr(source.source, "path", source.source))
    try:
        content = archive.read(name)
    except KeyError:
        raise UserError(f"its weights {name!r} are missing from the file. Download it again.") from None
    if source.sha256 is not None and hashlib.sha256(content).hexdigest() != str(source.sha256):
        raise UserError(
            f"its weights {name!r} do not match the SHA-256 in its description. Download it again."
        )
    return content


def _model(described: Any, kind: type[ExportedNet], weights: bytes) -> Model:
    if len(described.inputs) != 1 or len(described.outputs) != 1:
        raise UserError("its network has several inputs or outputs; only one of each is supported.")
    (given,), (found,) = described.inputs, described.outputs
    if [str(a.id) for a in given.axes] not in AXES or [a.id for a in given.axes] != [
        a.id for a in found.axes
    ]:
        raise UserError(
            "its tensors have other axes than batch, channel, (z,) y, x; these are not supported."
        )
    channels, outputs = (len(t.axes[1].channel_names) for t in (given, found))
    own = getattr(described.config, "unetseg", None)
    recipe = _recipe(own, given, max(2, outputs))
    output = _output(found, known=own is not None)
    net = kind(weights, _footprint(given, found), channels, outputs, output)
    if (recipe.classes, recipe.normalisation.channels) != (net.classes, channels):
        raise UserError("its settings for unetseg do not fit its tensors. Export it again.")
    return Model(recipe, net, torch.device("cpu"))


def _recipe(own: Any, given: Any, classes: int) -> Recipe:
    if isinstance(own, dict):
        return replace(read_recipe(own.get("recipe"), "its settings for unetseg"), calibration=())
    kind: LabelKind = "instances" if classes == 2 else "classes"
    rule = _normalisation(given, len(given.axes[1].channel_names))
    return Recipe({"name": "package"}, classes, kind, rule, 1, LabelSettings(), None)


def _footprint(given: Any, found: Any) -> Footprint:
    sizes, halos = (
        [axis.size for axis in given.axes[2:]],
        [getattr(axis, "halo", 0) for axis in found.axes[2:]],
    )
    offsets: list[Any] = [getattr(axis.size, "offset", None) for axis in found.axes[2:]]
    if any(not hasattr(size, "step") for size in sizes):
        raise UserError("its images have a fixed size; tiles of any size need sizes in steps.")
    if any(offset is None or offset > 0 or offset % 2 for offset in offsets) or any(
        a.scale != b.scale for a, b in zip(given.axes[2:], found.axes[2:], strict=True)
    ):
        raise UserError("its output has another scale than its input, or an odd offset: not supported.")
    steps, phases = tuple(s.step for s in sizes), tuple(s.min % s.step for s in sizes)
    if any(offsets):
        return Footprint(tuple(-offset // 2 for offset in offsets), steps, True, phases)
    if any(phases):
        raise UserError("its smallest size is not a multiple of the step of its sizes: not supported.")
    least = [-(-(s.min - s.step) // 2) for s in sizes]  # so that no tile is smaller than its smallest size
    return Footprint(tuple(map(max, halos, least)), steps, False, phases)


def _output(found: Any, *, known: bool) -> Output:
    steps = [p.id for p in found.postprocessing if p.id not in ("ensure_dtype", "clip")]
    outputs = len(found.axes[1].channel_names)
    if steps == ["sigmoid" if outputs == 1 else "softmax"]:
        return "logits"
    if steps or (outputs > 1 and not known):
        raise UserError(
            f"its {outputs} output channels with post-processing {steps or 'none'} are not known to be "
            "probabilities of classes. Supported are one channel, or several with softmax."
        )
    return "probabilities"


def _normalisation(given: Any, channels: int) -> Normalisation:
    steps = [p for p in given.preprocessing if p.id != "ensure_dtype"]
    if not steps:
        return Normalisation("none", channels)
    (step, *more), spaces = steps, {"z", "y", "x"}
    axes = getattr(step.kwargs, "axes", None)
    per_channel = channels == 1 or (axes is not None and {str(a) for a in axes} - {"batch"} <= spaces)
    if not more and per_channel:
        match step.id:
            case "zero_mean_unit_variance":
                return Normalisation("per-image", channels)
            case "fixed_zero_mean_unit_variance":
                mean, std = (
                    [v] * channels if isinstance(v, float) else v for v in (step.kwargs.mean, step.kwargs.std)
                )
                return Normalisation("training-set", channels, tuple(mean), tuple(std))
            case "scale_range" if (step.kwargs.min_percentile, step.kwargs.max_percentile) == PERCENTILES:
                return Normalisation("percentile", channels)
    raise UserError(
        f"its pre-processing ({', '.join(p.id for p in steps)}) is not supported. Supported are "
        "zero_mean_unit_variance, fixed_zero_mean_unit_variance, or scale_range from 1 to 99.8, per channel."
    )
