"""All label folders scored by unetseg's scores, and one table.

    pip install -e .
    python -m benchmarks.peers.compare --score FOLDS OUT [--pictures FOLDER]
    python -m benchmarks.peers.compare                        # the table of the stored results

`--score` reads OUT/FOLD/RUN/labels and measured.json, as the scripts of the methods write them, and stores
FOLD-RUN.json in benchmarks/peers/results; `--pictures` draws each run's worst frame (by SEG).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.common import NOT_ANNOTATED
from unetseg.evaluation.score_files import Comparison, score_files
from unetseg.evaluation.scoring import Scoring
from unetseg.figures import write_overlay
from unetseg.files import write_json
from unetseg.images.whole import read_stack
from unetseg.settings import DataSettings

RESULTS = Path(__file__).parent / "results"
SCORES = ("seg", "f1", "panoptic-quality")
COLUMNS = (
    "method",
    "version",
    "seed",
    "training (min)",
    "steps",
    "prediction (s/image)",
    "memory (GB)",
    "SEG",
    "F1",
    "PQ",
)
TITLES = {"ours": "unetseg", "stardist": "StarDist", "cellpose": "Cellpose", "nnunet": "nnU-Net"}
Record = dict[str, Any]


def compare(folds: Path, run: Path) -> Comparison:
    """The scores of a run's labels against its fold's truth."""
    truth = folds / run.parent.name / "test" / "labels"
    data = DataSettings(labels="instances", not_annotated=(NOT_ANNOTATED,))
    return score_files(truth, run / "labels", data, Scoring(SCORES))


def record(run: Path, found: Comparison) -> Record:
    """What the method measured, and its scores: of all frames, with 95 % intervals, and of each."""
    table = found.table
    measured: Record = json.loads((run / "measured.json").read_text())
    intervals = {name: interval for name in table.names if (interval := table.interval(name))}
    frames = dict(
        zip(
            table.frames, (dict(zip(table.names, v, strict=True)) for v in table.values.tolist()), strict=True
        )
    )
    return measured | {"scores": table.totals, "intervals": intervals, "frames": frames}


def table(records: Sequence[Record]) -> str:
    """A Markdown table for each fold, the best score of each column in bold."""
    folds = {r["fold"]["name"]: r["fold"] for r in records}
    return "\n\n".join(
        _fold_table(fold, [r for r in records if r["fold"]["name"] == name]) for name, fold in folds.items()
    )


def draw_worst(folds: Path, run: Path, found: Comparison, folder: Path) -> Path:
    """PNG of the frame with the lowest SEG: image, outlines, predicted and true labels."""
    seg = np.nan_to_num(found.table.values[:, found.table.names.index("seg")], nan=1.0)
    name, truth, predicted = found.pairs[int(seg.argmin())]
    image = read_stack(folds / run.parent.name / "test" / "images" / f"{name}.tif").pixels[0]
    path = folder / f"{run.parent.name}-{run.name}.png"
    write_overlay(path, image, truth, predicted, f"{run.name}: {name}, SEG {seg.min():.2f}")
    return path


def score_runs(folds: Path, out: Path, results: Path, pictures: Path | None) -> None:
    """Store the record of every run in OUT/FOLD/RUN that has figures, and draw its worst frame."""
    for measured in sorted(out.glob("*/*/measured.json")):
        run = measured.parent
        found = compare(folds, run)
        write_json(results / f"{run.parent.name}-{run.name}.json", record(run, found))
        if pictures:
            print(draw_worst(folds, run, found, pictures))


def read_records(results: Path) -> list[Record]:
    """The stored records, best panoptic quality of a fold first."""
    found = [json.loads(path.read_text()) for path in sorted(results.glob("*.json"))]
    return sorted(found, key=lambda r: (r["fold"]["name"], -r["scores"]["panoptic-quality"]))


def _fold_table(fold: Record, records: Sequence[Record]) -> str:
    best = [max(r["scores"][name] for r in records) for name in SCORES]
    count = fold["images"]
    title = (
        f"{fold['dataset']}. Trained on {fold['train']} ({count['train']} images); "
        f"scored on {fold['test']} ({count['test']})."
    )
    lines = [list(COLUMNS), ["---"] * len(COLUMNS), *(_cells(r, best) for r in records)]
    return "\n".join([title, "", *("| " + " | ".join(cells) + " |" for cells in lines)])


def _cells(record: Record, best: Sequence[float]) -> list[str]:
    scores = [record["scores"][name] for name in SCORES]
    shown = [f"**{s:.3f}**" if s == b else f"{s:.3f}" for s, b in zip(scores, best, strict=True)]
    prepared = record["preparation_minutes"]
    minutes = f"{record['training_minutes']:.1f}" + (f" + {prepared:.1f}" if prepared else "")
    seconds, memory = f"{record['prediction_s_per_image']:.2f}", f"{record['peak_memory_gb']:.1f}"
    steps = str(record["settings"].get("steps", "–"))
    version = next(iter(record["versions"].values()))
    title = TITLES.get(record["method"], record["method"])
    return [title, version, str(record["seed"]), minutes, steps, seconds, memory, *shown]


def main() -> None:
    """Score runs where asked, then print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.compare")
    parser.add_argument("--score", nargs=2, type=Path, metavar=("FOLDS", "OUT"))
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    if asked.score:
        folds, out = asked.score
        score_runs(folds, out, asked.results, asked.pictures)
    print(table(read_records(asked.results)))


if __name__ == "__main__":
    main()
