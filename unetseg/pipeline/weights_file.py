"""Files of plain values and tensors with a checksum, read without running code or trusting a claimed size.

A file is a zip of records as `torch.save` writes it. Before torch reads it, every record must be stored
uncompressed (a compressed one could be gigabytes long) and have its CRC-32; afterwards no tensor may be
larger than the record that holds it, and the SHA-256 of all values and tensors must be the one that was
stored with them.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unetseg.errors import UserError, first_line
from unetseg.images.limits import check_unpacked

SEALED, UNSEALED = "-2", "-1"
"""Suffixes of a format's name: with a checksum, and in versions before checksums."""
DAMAGED = "Copy it again from an intact source."
MAGIC = b"PK\x03\x04"
WANTED = "Give a run folder that unetseg wrote, or its best.pt."


@dataclass(frozen=True)
class Saved:
    """What a file held; note: for the user, if the file has no checksum, else empty."""

    values: dict[str, Any]
    note: str = ""


def save_plain(path: Path, kind: str, values: dict[str, Any]) -> None:
    """Plain values and tensors for `load_plain`; a full disk is an OSError, not torch's RuntimeError.

    kind: what the file is, such as "unetseg-model". The caller replaces the file atomically.
    """
    sealed = {"format": kind + SEALED, **values}
    memory = io.BytesIO()
    torch.save({**sealed, "checksum": content_checksum(sealed)}, memory)
    path.write_bytes(memory.getbuffer())


def load_plain(path: Path, kind: str) -> Saved:
    """The values of a file that `save_plain` wrote, or an earlier version without a checksum.

    Raises UserError, which names the file, for anything else, and for a damaged file.
    """
    try:
        values = read_plain(path)
        if not isinstance(values, dict) or values.get("format") not in (kind + SEALED, kind + UNSEALED):
            raise UserError(f"not a {kind} file. {WANTED}")
        if values["format"] == kind + UNSEALED:
            return Saved(values, f"{path} has no checksum: it was written before version 0.1.")
        if values.pop("checksum", None) != content_checksum(values):
            raise UserError(f"damaged: its content does not match its checksum. {DAMAGED}")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file. Has the run been trained?") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return Saved(values)


def read_plain(path: Path, *, older_format: bool = False) -> Any:
    """The plain values and tensors that torch.save wrote; OSError if there is no file to read.

    older_format: whether torch's format before the zip is read too. Raises UserError, which does not name the
    file, for one that is damaged or holds code: none is run.
    """
    data = path.read_bytes()
    if data.startswith(MAGIC) or not older_format:
        _check_records(data)
    try:
        values = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # an untrusted file can make the reader fail in any way
        raise UserError(
            f"not a file of weights, damaged, or it holds code, which is not run ({first_line(error)})."
        ) from None
    for tensor in tensors(values):
        _check_tensor(tensor)
    return values


def content_checksum(values: Any) -> str:
    """SHA-256 of nested plain values and tensors: their types, order, names, shapes and numbers."""
    digest = hashlib.sha256()
    for part in _parts(values):
        digest.update(part)
    return digest.hexdigest()


def tensors(values: Any) -> Iterator[Tensor]:
    """Every tensor in nested dictionaries, lists and tuples."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, dict | list | tuple):
        for inner in values.values() if isinstance(values, dict) else values:
            yield from tensors(inner)


def _parts(value: Any) -> Iterator[bytes]:
    """The bytes of a value, each part with its length, so that no two values give the same."""
    if isinstance(value, Tensor):
        yield f"{value.dtype} {tuple(value.shape)};".encode()
        flat = value.detach().cpu().contiguous().reshape(-1)
        yield flat.view(torch.uint8).numpy().tobytes()
    elif isinstance(value, dict):
        yield f"dict {len(value)};".encode()
        for key, inner in value.items():
            yield from _parts(key)
            yield from _parts(inner)
    elif isinstance(value, list | tuple):
        yield f"list {len(value)};".encode()
        for inner in value:
            yield from _parts(inner)
    else:
        text = repr(value).encode()
        yield f"{type(value).__name__} {len(text)};".encode() + text


def _check_records(data: bytes) -> None:
    if not MAGIC.startswith(data[: len(MAGIC)]):
        raise UserError(f"not a file of weights. {WANTED}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            check_unpacked("not a file of weights", sum(e.file_size for e in entries), len(data), ratio=1)
            if any(e.compress_type != zipfile.ZIP_STORED for e in entries):
                raise UserError(f"not a file of weights: its records are compressed. {DAMAGED}")
            damaged = archive.testzip()
    except UserError:
        raise
    except Exception as error:  # as above
        raise UserError(
            f"not a file of weights, damaged or truncated: {len(data)} bytes ({first_line(error)}). {DAMAGED}"
        ) from None
    if damaged is not None:
        raise UserError(f"damaged in {damaged!r}. {DAMAGED}")


def _check_tensor(tensor: Tensor) -> None:
    """Raise UserError unless the tensor's numbers are in its file, each at its own place."""
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise UserError("not a file of weights: a tensor in it claims more numbers than it holds.")
