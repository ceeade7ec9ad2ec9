"""Model files and resume states: damaged bytes, hostile values and tensors, code, and false sizes."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch

from .commands import expect_result_or_refusal, run_command, set_up
from .harness import Kind
from .mutations import damage_bytes, damage_values

TINY = """
name = "tiny"
[data]
task = "folder"
root = "data"
labels = "instances"
[net]
name = "unet"
width = 4
depth = 1
padding = "same"
norm = "batch"
[train]
steps = 2
batch = 1
crop = [32]
validate_every = 1
"""
GIB = 2**30
MODEL, STATE = "stranger.pt", "run/last.pt"
Damage = Callable[[Path, np.random.Generator], str]


class Code:
    """A pickle of it runs a command when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ../ran",)


def make_run(folder: Path) -> Path:
    """A case: a trained run with two more steps to go, an image, and what the intact files give.

    work/run, work/stranger.pt (its best model), work/dish.tif; work/resumed, work/intact.
    """
    import unetseg.api  # noqa: F401 (here and not in every child)

    work = set_up(folder / "case")
    (work / "tiny.toml").write_text(TINY)
    for number in range(4):
        write_image(work / "data", f"{number}.tif", np.random.default_rng(number))
    shutil.copy(work / "data" / "images" / "0.tif", work / "dish.tif")
    must_end_well(["train", "tiny.toml", "--run", "run"], work)
    settings = work / "run" / "experiment.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("steps = 2\n", "steps = 4\n"), encoding="utf-8")
    shutil.copytree(work / "run", work / "resumed")
    must_end_well(["train", "--resume", "resumed"], work)
    shutil.copy(work / "run" / "best.pt", work / MODEL)
    must_end_well(predict_command("intact"), work)
    return work.parent


def write_image(folder: Path, name: str, rng: np.random.Generator) -> None:
    """A noisy image of four squares, and its labels."""
    labels = np.kron([[1, 2], [3, 4]], np.pad(np.ones((16, 16)), 4)).astype(np.uint16)
    image = (1000 * (labels > 0) + rng.integers(0, 900, labels.shape)).astype(np.uint16)
    for kind, pixels in (("images", image), ("labels", labels)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / kind / name, pixels, photometric="minisblack")


def predict_command(out: str) -> list[str]:
    """Labels and probabilities of the image."""
    return ["predict", MODEL, "dish.tif", "--out", out, "--memory", "256M", "--probabilities"]


def damaged(name: str, damage: Damage) -> Damage:
    """The damage, done to a file of the case."""
    return lambda case, rng: damage(case / "work" / name, rng)


def must_end_well(argv: list[str], work: Path) -> None:
    """A command on intact files."""
    ended = run_command(argv, work, 300)
    if ended.code != 0:
        raise RuntimeError(ended.text)


def use_model(case: Path) -> None:
    """Predict an image with a model that may rightly give other labels."""
    expect_result_or_refusal(predict_command("out"), case, MODEL)


def use_model_streamed(case: Path) -> None:
    """Predict an image region by region."""
    argv = ["predict", MODEL, "dish.tif", "--out", "out.ome.zarr", "--memory", "256M"]
    expect_result_or_refusal(argv, case, MODEL)


def use_damaged_model(case: Path) -> None:
    """Predict with a file that was written intact: refused, or the intact file's labels and probabilities."""
    use_model(case)
    work = case / "work"
    for intact in (work / "intact").iterdir():
        if not np.array_equal(tifffile.imread(work / "out" / intact.name), tifffile.imread(intact)):
            raise ValueError(f"silently another {intact.name}")


def use_state(case: Path) -> None:
    """Resume from a state that may rightly give other weights."""
    expect_result_or_refusal(["train", "--resume", "run"], case, Path(STATE).name)


def use_damaged_state(case: Path) -> None:
    """Resume from a file that was written intact: refused, or the weights of the intact file."""
    use_state(case)
    ours, intact = (_weights(case / "work" / run / "last.pt") for run in ("run", "resumed"))
    if ours != intact:
        raise ValueError("silently other weights")


def damage_table(path: Path, rng: np.random.Generator) -> str:
    """Values of the recipe, mostly, or others that are no tensors."""
    saved = _unsealed(path, rng)
    inside = saved.get("recipe", saved) if rng.random() < 0.8 else saved
    inside = _lists(inside)
    words = damage_values(inside, rng)
    torch.save({**saved, "recipe": inside} if "recipe" in inside or "net" in inside else inside, path)
    return words


def damage_tensor(path: Path, rng: np.random.Generator) -> str:
    """A tensor of another kind or size, or under another name."""
    saved = _unsealed(path, rng)
    tensors = list(_tensors(saved))
    table, key = tensors[rng.integers(len(tensors))]
    changes = list(CHANGES)
    words = changes[rng.integers(len(changes))]
    table[key] = CHANGES[words](table[key])
    if rng.random() < 0.2:
        table[f"{key}.more"] = table.pop(key)
    torch.save(saved, path)
    return f"{key} {words}"


def damage_with_code(path: Path, rng: np.random.Generator) -> str:
    """Code to run on loading, in one of torch's formats."""
    saved, sort = _unsealed(path, rng) | {"x": Code()}, int(rng.integers(3))
    if sort == 0:
        path.write_bytes(pickle.dumps(Code()))
    else:
        torch.save(saved, path, _use_new_zipfile_serialization=sort == 1)
    return ("a pickle alone", "in torch's zip", "in torch's older format")[sort]


def damage_with_claims(path: Path, rng: np.random.Generator) -> str:
    """A small file that unpacks to gigabytes, or tells of sizes that are not there."""
    torch.save(_unsealed(path, rng), path)
    if rng.integers(2):
        size = int(rng.choice([GIB // 4, GIB, 3 * GIB]))
        path.write_bytes(_rezipped(path, size))
        return f"a record of {size} zeros, compressed"
    size, data = int(rng.choice([GIB, 2 * GIB - 1, 4 * GIB - 2])), bytearray(path.read_bytes())
    entries = [i for i in range(len(data)) if data.startswith(b"PK\x01\x02", i)]
    at = entries[rng.integers(len(entries))] + 20
    data[at : at + 8] = size.to_bytes(4, "little") * 2
    path.write_bytes(data)
    return f"a record that claims {size} bytes"


CHANGES: dict[str, Callable[[torch.Tensor], Any]] = {
    "as float64": lambda old: old.double(),
    "as int8": lambda old: old.to(torch.int8),
    "complex": lambda old: old.to(torch.complex64),
    "nan": lambda old: torch.full(old.shape, float("nan")),
    "infinite": lambda old: torch.full(old.shape, float("inf")),
    "with an axis more": lambda old: old.unsqueeze(0),
    "twice": lambda old: torch.cat([old.reshape(-1), old.reshape(-1)]),
    "empty": lambda old: torch.zeros(0),
    "sparse": lambda old: old.float().to_sparse(),
    "a terabyte of one number": lambda old: torch.zeros(1).expand(2**20, 2**18),
    "as many, of one number": lambda old: torch.zeros((), dtype=old.dtype).expand(old.shape),
    "none": lambda old: None,
    "a text": lambda old: "x/../../precious/thesis",
    "on no device": lambda old: torch.empty(old.shape, device="meta"),
}


def _unsealed(path: Path, rng: np.random.Generator) -> dict[str, Any]:
    """What the file holds, mostly without what vouches for it, as a stranger's tool would write it."""
    saved = torch.load(path, weights_only=True)
    if rng.random() < 0.8 and saved.pop("checksum", None):
        saved["format"] = saved["format"].replace("-2", "-1")
    return dict(saved)


def _lists(value: Any) -> Any:
    """Tuples as lists, so that what is in them can be changed."""
    if isinstance(value, dict):
        return {key: _lists(inner) for key, inner in value.items()}
    return [_lists(inner) for inner in value] if isinstance(value, list | tuple) else value


def _tensors(value: Any) -> Any:
    """Every (dictionary, key) of a tensor."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        if isinstance(inner, torch.Tensor):
            yield value, key
        yield from _tensors(inner)


def _weights(state: Path) -> dict[str, bytes]:
    saved = torch.load(state, weights_only=True)["state"]
    return {name: tensor.numpy().tobytes() for name, tensor in saved["net"].items()}


def _rezipped(path: Path, size: int) -> bytes:
    """The zip with its largest record replaced by `size` compressed zeros."""
    file = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(file, "w") as new:
        large = max(old.infolist(), key=lambda entry: entry.file_size)
        for entry in old.infolist():
            if entry is not large:
                new.writestr(entry.filename, old.read(entry))
        bomb = zipfile.ZipInfo(large.filename)
        bomb.compress_type = zipfile.ZIP_DEFLATED
        with new.open(bomb, "w", force_zip64=True) as out:
            for _ in range(size // 2**24):
                out.write(bytes(2**24))
    return file.getvalue()


DAMAGES: dict[str, Damage] = {
    "values": damage_table,
    "tensors": damage_tensor,
    "code": damage_with_code,
    "claims": damage_with_claims,
}
KINDS = {
    "model bytes": Kind(make_run, damaged(MODEL, damage_bytes), use_damaged_model),
    "state bytes": Kind(make_run, damaged(STATE, damage_bytes), use_damaged_state),
    "model values streamed": Kind(make_run, damaged(MODEL, damage_table), use_model_streamed),
}
KINDS |= {
    f"model {name}": Kind(make_run, damaged(MODEL, damage), use_model) for name, damage in DAMAGES.items()
}
KINDS |= {
    f"state {name}": Kind(make_run, damaged(STATE, damage), use_state) for name, damage in DAMAGES.items()
}
