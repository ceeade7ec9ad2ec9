"""The real data sets are recognised for what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from unetseg.pipeline.auto import guess_task
from unetseg.settings import DataSettings
from unetseg.tasks import list_task

pytestmark = pytest.mark.data


@pytest.mark.parametrize(
    ("folder", "task", "kind", "classes", "entries", "note"),
    [
        ("DIC-C2DH-HeLa", "cell-tracking", "instances", 2, 168, "truth: gold-else-silver, 168 frames"),
        ("PhC-C2DH-U373", "cell-tracking", "instances", 2, 230, "truth: gold-else-silver, 230 frames"),
        ("isbi2012", "isbi-em", "instances", 2, 30, "30 slices; foreground = cells (255)"),
        ("nuclei-dsb2018", "folder", "instances", 2, 150, "labels: 6722 instances in 150 images (detected;"),
        ("DRIVE/train", "folder", "classes", 2, 20, "labels: mask, values 0 and 255, as two classes in 20"),
        ("ovules3d", "folder", "instances", 2, 96, "labels: 156 instances in 2 images (detected;"),
        ("hippocampus3d", "folder", "classes", 3, 2189, "labels: class map, classes 0, 1, 2 in 60 images"),
    ],
)
def test_a_data_set_is_recognised(
    data_root: Path, folder: str, task: str, kind: str, classes: int, entries: int, note: str
) -> None:
    root = data_root / folder
    if not root.is_dir():
        pytest.skip(f"no {root}")
    assert guess_task(root) == task
    found = list_task(root, DataSettings(task=task, root=str(root), volumes=folder == "ovules3d"))  # type: ignore[arg-type]
    assert (found.kind, found.classes, len(found.entries)) == (kind, classes, entries)
    assert found.notes[0].startswith(note)


@pytest.mark.parametrize(("volumes", "meaning"), [(1, "class map"), (2, "class map"), (60, "class map")])
def test_a_few_hippocampus_volumes_are_classes_too(data_root: Path, volumes: int, meaning: str) -> None:
    """Each class is one piece in each volume: with few of them they could be objects."""
    from unetseg.evaluation.truth_meaning import truth_rule

    folder = data_root / "hippocampus3d" / "labels"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    settings = DataSettings(volumes=True)
    rule, found, note = truth_rule(sorted(folder.iterdir())[:volumes], settings)
    assert rule.meaning == "classes"
    assert meaning in note
    assert bool(found.doubt) == (volumes < 3)
