"""The panels in a real viewer without a display: predict, annotate, train, correct, train on, measure."""

import csv
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NEEDED = ("napari", "qtpy", "PySide6", "pytestqt")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(
        sys.platform == "linux" and not os.environ.get("DISPLAY"),
        reason="the canvas of napari needs a display: xvfb-run python -m pytest",
    ),
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture
def viewer(make_napari_viewer: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    from unetseg.napari.sample_data import touching_cells
    from unetseg.napari.session import SESSION

    for name, value in {"folder": None, "diameter": 0.0, "runs": []}.items():
        monkeypatch.setattr(SESSION, name, value)
    viewer = make_napari_viewer()
    for data, arguments, kind in touching_cells():
        getattr(viewer, f"add_{kind}")(data[:3], **arguments)
    return viewer


def docked(viewer: Any, panel: Any) -> Any:
    viewer.window.add_dock_widget(panel, name="panel")
    return panel


def finish(qtbot: Any, panel: Any) -> str:
    qtbot.waitUntil(lambda: not panel.busy, timeout=300_000)
    return str(panel.status.value)


def test_predict_fills_a_layer_of_the_stack_and_can_be_stopped(viewer: Any, qtbot: Any) -> None:
    from unetseg.napari.predict_panel import PredictPanel

    panel = docked(viewer, PredictPanel(viewer))
    panel.diameter.value = 20
    panel.predict()
    assert finish(qtbot, panel).startswith("Done")
    found = viewer.layers["touching cells labels"]
    assert found.data.shape == viewer.layers["touching cells"].data.shape
    assert all(page.max() > 3 for page in found.data)
    np.testing.assert_allclose(found.scale, viewer.layers["touching cells"].scale)
    panel.predict()
    panel.stop()
    assert finish(qtbot, panel).startswith("Stopped")


def test_predict_to_disk_gives_the_labels_in_memory(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    from unetseg.napari.predict_panel import PredictPanel

    panel = docked(viewer, PredictPanel(viewer))
    panel.diameter.value = 20
    panel.predict()
    finish(qtbot, panel)
    in_memory = np.asarray(viewer.layers["touching cells labels"].data)
    panel.out.value = tmp_path / "cells.ome.zarr"
    panel.predict()
    assert "cells.ome.zarr" in finish(qtbot, panel)
    np.testing.assert_array_equal(np.asarray(viewer.layers["touching cells labels"].data[:]), in_memory)


def test_a_lazy_layer_is_predicted_to_disk_stopped_and_resumed(
    viewer: Any, qtbot: Any, tmp_path: Path
) -> None:
    import zarr

    from unetseg import api
    from unetseg.images.arrays import array_stack
    from unetseg.napari.predict_panel import PredictPanel

    film = viewer.layers["touching cells"].data
    lazy = viewer.add_image(zarr.array(film, chunks=(1, 64, 64)), name="lazy")
    panel = docked(viewer, PredictPanel(viewer))
    panel.diameter.value, panel.layer.value, panel.out.value = 20, lazy, tmp_path / "lazy.ome.zarr"
    panel.predict()
    qtbot.waitUntil(lambda: panel.bar.value > 0, timeout=300_000)
    panel.stop()
    assert finish(qtbot, panel) == "Stopped. Predict again to resume."
    assert not (tmp_path / "lazy.ome.zarr").exists()
    panel.predict()
    assert "lazy.ome.zarr" in finish(qtbot, panel)
    expected = api.predict_layer(api.load_model("nuclei"), array_stack(film), diameter=20)
    assert expected is not None
    np.testing.assert_array_equal(viewer.layers["lazy labels"].data, expected.labels)


def test_labels_follow_the_settings_on_screen_without_the_network(viewer: Any, qtbot: Any) -> None:
    from unetseg.napari.predict_panel import PredictPanel

    panel = docked(viewer, PredictPanel(viewer))
    panel.diameter.value = 20
    panel.predict()
    finish(qtbot, panel)
    labels, kept = viewer.layers["touching cells labels"], panel.kept
    before = labels.data.copy()
    panel.threshold.value = 0.8
    panel.min_area.value = 30  # while the threshold is at work
    qtbot.waitUntil(lambda: not panel.busy and not panel.again, timeout=300_000)
    changed = {"threshold": 0.8, "seed_threshold": panel.seeds.value, "min_area": 30}
    for page in range(len(before)):
        np.testing.assert_array_equal(labels.data[page], kept.probabilities.labels(page, **changed))
    assert 0 < (labels.data > 0).sum() < (before > 0).sum()
    assert "objects" in panel.status.value
    labels.selected_label = 99
    labels.paint((0, 5, 5), 99)
    panel.threshold.value = 0.2
    assert not panel.busy
    assert labels.data[0, 5, 5] == 99  # what was drawn by hand stays
    assert "edited" in panel.status.value


def test_errors_are_shown_in_the_panel(viewer: Any, tmp_path: Path) -> None:
    from unetseg.napari.annotate_panel import AnnotatePanel
    from unetseg.napari.predict_panel import FROM_FILE, PredictPanel

    panel = docked(viewer, PredictPanel(viewer))
    panel.model.value = FROM_FILE
    panel.file.value = tmp_path
    assert str(tmp_path) in panel.status.value
    annotate = docked(viewer, AnnotatePanel(viewer))
    annotate.train()
    assert "project folder" in annotate.status.value


def test_train_predict_correct_and_train_on(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    from unetseg.napari.annotate_panel import AnnotatePanel
    from unetseg.napari.correct_panel import CorrectPanel
    from unetseg.napari.measure_panel import MeasurePanel
    from unetseg.napari.predict_panel import PredictPanel

    truth = viewer.layers["touching cells (truth)"].data
    annotate = docked(viewer, AnnotatePanel(viewer))
    annotate.folder.value = tmp_path
    annotate.image.value = viewer.layers["touching cells"]
    annotate.add_layer()
    drawn = annotate.labels_layer.value
    drawn.data[0] = np.where(truth[0] > 0, 2, 1) * (np.arange(truth.shape[2]) % 8 < 3)
    annotate.save()
    assert sorted(p.name for p in (tmp_path / "labels").iterdir()) == ["touching cells_t0.tif"]
    annotate.steps.value = 8
    annotate.train()
    assert "round1" in finish(qtbot, annotate)
    assert len(annotate.curve.losses) == 8
    assert "touching cells preview" in viewer.layers
    assert viewer.layers.selection.active is drawn  # what is drawn next goes where it did

    predict = docked(viewer, PredictPanel(viewer))
    assert predict.model.value == str(tmp_path / "runs" / "round1")  # offered first
    predict.layer.value = viewer.layers["touching cells"]
    predict.predict()
    assert finish(qtbot, predict).startswith("Done")

    correct = docked(viewer, CorrectPanel(viewer))
    assert Path(correct.folder.value) == tmp_path  # as in the other panel
    correct.suggest()
    assert finish(qtbot, correct).startswith("Next: touching cells_t")
    assert len(correct.ranking) == 3
    assert correct.labels_layer.value is viewer.layers["touching cells labels"]
    assert [v for _, v in correct.ranking] == sorted((v for _, v in correct.ranking), reverse=True)
    labels = viewer.layers["touching cells labels"]
    labels.data[correct.page()] = truth[correct.page()]
    correct.add()
    assert len(list((tmp_path / "labels").iterdir())) == 2
    correct.steps.value = 4
    correct.train()
    assert "round2" in finish(qtbot, correct)
    assert predict.model.value == str(tmp_path / "runs" / "round2")

    measure = docked(viewer, MeasurePanel(viewer))
    measure.labels_layer.value, measure.image.value = labels, viewer.layers["touching cells"]
    measure.table.value = tmp_path / "cells.csv"
    measure.measure()
    assert "objects" in finish(qtbot, measure)
    rows = list(csv.DictReader((tmp_path / "cells.csv").read_text(encoding="utf-8").splitlines()))
    page = f"t{correct.page()}"
    assert sum(row["frame"] == page for row in rows) == len(np.unique(truth[correct.page()])) - 1
    assert float(rows[0]["area_um2"]) == pytest.approx(float(rows[0]["area_px"]) * 0.65**2, rel=1e-3)
    measure.file.value = tmp_path / "cells.geojson"
    measure.format.value = "QuPath GeoJSON (.geojson)"
    measure.export()
    assert "objects" in finish(qtbot, measure)
    assert (tmp_path / "cells.geojson").is_file()


@pytest.mark.parametrize("panel", ["PredictPanel", "AnnotatePanel", "CorrectPanel", "MeasurePanel"])
def test_napari_passes_its_window_to_a_parameter_of_this_name(panel: str) -> None:
    from unetseg.napari import annotate_panel, correct_panel, measure_panel, predict_panel

    (found,) = {
        getattr(m, panel)
        for m in (annotate_panel, correct_panel, measure_panel, predict_panel)
        if hasattr(m, panel)
    }
    assert list(inspect.signature(found.__init__).parameters) == ["self", "napari_viewer"]


NAMES = ["Predict", "Annotate and train", "Correct and train on", "Measure and export"]


@pytest.mark.parametrize("name", NAMES)
def test_a_panel_opens_from_the_menu_names_its_rows_and_closes_without_traces(
    name: str, viewer: Any, qtbot: Any, tmp_path: Path
) -> None:
    from unetseg.napari.session import SESSION

    dock, panel = viewer.window.add_plugin_dock_widget("unetseg-microscopy", name)
    assert panel.labels is True  # a row is named by its label
    assert all(row.label for row in panel if row.visible)
    viewer.window.remove_dock_widget(dock)
    panel.native.deleteLater()
    del panel, dock
    qtbot.wait(50)
    SESSION.choose_folder(tmp_path, [])  # closed panels do not follow
