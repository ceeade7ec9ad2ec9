"""A run folder: the only place that knows the names inside it; every file is written atomically.

RUN/experiment.toml    what is trained, every key with its value
RUN/experiment.toml    the experiment, every key with its value
RUN/log.jsonl          a line per step and per validation
RUN/last.pt            weights, optimizer and step: to resume from
RUN/best.pt            the model to predict with
RUN/last.pt            weights, optimizer and step, to resume from
RUN/test/              predicted labels (and probabilities) of the test part, a TIFF per frame
RUN/test/probabilities/ the foreground's probabilities in 8 bits, for the report
RUN/pictures/          overlays of truth and prediction
RUN/report.html        one page about the run
RUN/predictions/       what `unetseg predict` writes by default
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import FiniteFloat, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from unetseg.config import experiment_table, read_recorded, settled
from unetseg.errors import UserError
from unetseg.files import remove_leftovers, replacing, write_json
from unetseg.locks import locked
from unetseg.settings import Experiment

EXPERIMENT, LOG = "experiment.toml", "log.jsonl"


@dataclass(frozen=True)
class Run:
    """A training run on disk. writes: False if another process of the same training writes it."""

    path: Path
    writes: bool = True

    @classmethod
    def create(cls, path: Path, experiment: Experiment) -> Run:
        """A new run folder; UserError if something is in the way."""
        if (path / EXPERIMENT).is_file():
            raise UserError(
                f"{path}: already exists. Continue it with `unetseg train --resume {path}`, or "
                "choose another folder with --run."
            )
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"{path}: exists and is not a run. Choose another folder with --run.")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{path}: cannot be created ({error.strerror}). Choose another --run.") from None
        run = cls(path)
        run.record(settled(experiment))
        return run

    @classmethod
    def open(cls, path: Path) -> Run:
        """An existing run folder."""
        if not (path / EXPERIMENT).is_file():
            raise UserError(
                f"{path}: not a run folder (it holds no {EXPERIMENT}). `unetseg train` makes one."
            )
        return cls(path)

    @property
    def experiment(self) -> Experiment:
        """The experiment as it was started, with everything that was decided then."""
        return read_recorded(self.path / EXPERIMENT)

    def record(self, experiment: Experiment) -> None:
        """Write the experiment, with everything that has been decided."""
        if self.writes:
            with self.replacing(EXPERIMENT) as file:
                file.write_text(tomli_w.dumps(experiment_table(experiment)), encoding="utf-8")

    @property
    def best(self) -> Path:
        """The model of the best validation so far."""
        return self.path / "best.pt"

    @property
    def last(self) -> Path:
        """The state to resume from."""
        return self.path / "last.pt"

    @property
    def predictions(self) -> Path:
        """Where predictions go unless the user says otherwise."""
        return self.path / "predictions"

    def tested(self, frame: str) -> Path:
        """The predicted labels of a frame of the test part; a frame's name may contain a slash."""
        return self.path / "test" / f"{frame.replace('/', '_')}.tif"

    def probability(self, frame: str) -> Path:
        """The foreground's probabilities of a frame of the test part, in 8 bits, for people to look at."""
        return self.path / "test" / "probabilities" / f"{frame.replace('/', '_')}.tif"

    @property
    def pictures(self) -> Path:
        """Overlays and curves."""
        return self.path / "pictures"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from writing the run while the block runs; InUse if one already does."""
        with locked(self.path) if self.writes else nullcontext():
            if self.writes:
                remove_leftovers(self.path)
            yield

    def discard(self) -> None:
        """Remove a run that could not be started; one that has a checkpoint stays."""
        if self.writes and not self.last.exists():
            for name in (EXPERIMENT, "environment.json", LOG, self.best.name):
                (self.path / name).unlink(missing_ok=True)
            with suppress(OSError):  # it holds something else
                self.path.rmdir()

    @contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """A temporary path that becomes RUN/name when the block ends without an error."""
        with replacing(self.path / name) as temporary:
            yield temporary

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """RUN/name as readable JSON."""
        if self.writes:
            write_json(self.path / name, value)

    def read_json(self, name: str) -> dict[str, Any]:
        """What `write_json` wrote; empty if there is no file."""
        file = self.path / name
        return (
            (_json_or_none(file.read_text(encoding="utf-8", errors="replace")) or {})
            if file.is_file()
            else {}
        )

    def log(self, record: dict[str, Any]) -> None:
        """Append one line."""
        if not self.writes:
            return
        with (self.path / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def records(self) -> list[dict[str, Any]]:
        """The log's lines; truncated or damaged lines are skipped."""
        file = self.path / LOG
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
        return [record for line in lines if (record := _record_or_none(line)) is not None]

    @property
    def seconds(self) -> float:
        """Seconds spent on steps and validations so far, according to the log."""
        return sum(float(r.get("total_s", 0)) + float(r.get("seconds", 0)) for r in self.records())

    @property
    def processor_seconds(self) -> float:
        """Processor seconds of the steps so far, of all threads together, according to the log."""
        return sum(float(r.get("cpu_s", 0)) for r in self.records())

    def forget_after(self, step: int) -> None:
        """Drop log lines of later steps, which run again from the checkpoint of `step`."""
        if not self.writes:
            return
        kept = [r for r in self.records() if r.get("step", 0) <= step]
        with self.replacing(LOG) as file:
            file.write_text("".join(json.dumps(r) + "\n" for r in kept), encoding="utf-8")


class LogRecord(TypedDict, total=False):
    """The keys of a line of the log; others are allowed."""

    step: int
    loss: float
    validation: dict[str, float | None]
    best: bool
    seconds: FiniteFloat
    total_s: FiniteFloat
    cpu_s: FiniteFloat


_LOG_RECORD = TypeAdapter(LogRecord)


def _record_or_none(line: str) -> dict[str, Any] | None:
    value = _json_or_none(line)
    if value is None:
        return None
    try:
        _LOG_RECORD.validate_python(value, strict=True)
    except ValidationError:
        return None
    measured = "loss" in value or "validation" in value
    return None if measured and "step" not in value else value


def _json_or_none(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
