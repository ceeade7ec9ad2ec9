"""The panel Measure and export: a table of the objects, and their outlines for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import napari
import numpy as np
from magicgui.widgets import CheckBox, ComboBox, FileEdit, PushButton
from napari.layers import Image, Labels

from unetseg import api
from unetseg.errors import UserError
from unetseg.exports import FORMATS
from unetseg.napari.layers import full_size, spacing_of
from unetseg.napari.panel import Panel, image_of, layer_choice
from unetseg.pipeline.measuring import Measured, check_table_name, summarise, write_measurements

NAMES = {
    "ImageJ ROI set (.zip)": "imagej",
    "QuPath GeoJSON (.geojson)": "geojson",
    "COCO (.json)": "coco",
}


class MeasurePanel(Panel):
    """Measure the objects of a labels layer, and write their outlines."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.labels_layer = layer_choice(Labels, "Labels")
        self.image = layer_choice(Image, "Image")
        self.grey = CheckBox(text="Grey values of the image, too", value=True)
        self.table = FileEdit(label="Table", mode="w", filter="*.csv *.parquet", nullable=True)
        self.measure_button = PushButton(text="Measure")
        self.format = ComboBox(label="Outlines as", choices=list(NAMES))
        self.file = FileEdit(label="Outlines", mode="w", nullable=True)
        self.export_button = PushButton(text="Export outlines")
        self.measure_button.clicked.connect(self.measure)
        self.export_button.clicked.connect(self.export)
        measuring = [self.labels_layer, self.image, self.grey, self.table, self.measure_button]
        exporting = [self.format, self.file, self.export_button]
        self.add_rows(*measuring, *exporting, self.stop_button)

    def measure(self) -> None:
        """Measure beside the window: the summary is shown, and the table written if it has a name."""
        work = self.attempt(self._measuring)
        if work is not None:
            self.run(work, lambda event: None, self._measured)

    def export(self) -> None:
        """Write the outlines beside the window."""
        work = self.attempt(self._exporting)
        if work is not None:
            file = self.file.value
            self.run(work, lambda event: None, lambda count: self.tell(f"{file}: {count} objects"))

    def _measuring(self) -> Any:
        layer = self._layer()
        table = Path(self.table.value) if self.table.value else None
        if table is not None:
            check_table_name(table)
        grey = self.image.value if self.grey.value else None
        image = None if grey is None else image_of(grey)
        spacing, data, name = spacing_of(layer.scale, layer.units), np.asarray(full_size(layer)), layer.name

        def work(progress: Any, stopped: Any) -> list[Measured]:
            found = api.measure_array(data, image, name=name, spacing_um=spacing)
            if table is not None:
                write_measurements(table, found)
            return found

        return work

    def _measured(self, found: list[Measured]) -> None:
        """Show the summary, and the columns as features of the layer."""
        summary = summarise(found)
        unit = {"area_um2": "µm²", "area_px": "px"}.get(summary.unit, "")
        median = f", median area {summary.median:.4g} {unit}" if summary.objects else ""
        frames = f", {min(summary.counts)} to {max(summary.counts)} a page" if len(found) > 1 else ""
        table = f". Table: {self.table.value}" if self.table.value else ""
        self.tell(f"{summary.objects} objects{median}{frames}{table}")

    def _exporting(self) -> Any:
        layer, kind = self._layer(), NAMES[self.format.value]
        if not self.file.value:
            raise UserError(f"Name the file to write; it ends in {FORMATS[kind][0]}.")
        file, data, name = Path(self.file.value), np.asarray(full_size(layer)), layer.name
        return lambda progress, stopped: api.export_array(data, file, kind, name=name)

    def _layer(self) -> Labels:
        if self.labels_layer.value is None:
            raise UserError("No labels layer. Predict first, or open a label image.")
        return self.labels_layer.value
