"""docs/settings.md and the schema are those of the classes; the schema takes what reading takes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from unetseg.config import experiment_table
from unetseg.reproduce.settings_page import experiment_schema, schema_text, settings_page
from unetseg.settings import Experiment, TrainSettings

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("name", "made", "option"),
    [("settings.md", settings_page, ""), ("experiment.schema.json", schema_text, "--schema ")],
)
def test_the_files_are_current(name: str, made: object, option: str) -> None:
    assert callable(made)
    current = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert current == made(), f"run: unetseg settings {option}--out docs/{name}"


def test_every_key_has_a_row_with_its_range() -> None:
    page = settings_page()
    for field in dataclasses.fields(TrainSettings):
        assert f"\n| `{field.name}`" in page
    assert "| `crop` † | list, each whole number above 0 to 65,536 | derived |" in page
    assert '| `schedule` | `"constant"`, `"cosine"`, `"one-cycle"` | `"one-cycle"` |' in page


def test_the_schema_knows_every_key_and_no_other() -> None:
    schema = experiment_schema()
    assert set(experiment_table(Experiment())) == set(schema["properties"])
    train = schema["$defs"]["TrainSettings"]
    assert set(train["properties"]) == {f.name for f in dataclasses.fields(TrainSettings)}
    assert schema["additionalProperties"] is train["additionalProperties"] is False
    assert "unet++" in schema["properties"]["net"]["properties"]["name"]["enum"]
