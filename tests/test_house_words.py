"""The words of the house: no turns of a translation, no name that has a better one today."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OLD = ROOT / "tests/fixtures"
HERE = {Path(__file__), ROOT / "unetseg/renamed.py", ROOT / "tests/test_renamed.py"}
TEXTS = sorted(
    path
    for pattern in ("unetseg/**/*.py", "unetseg/**/*.html", "tests/**/*.py", "docs/**/*.md", "*.md")
    for path in ROOT.glob(pattern)
    if path not in HERE and OLD not in path.parents
)
SAID = (
    "said aloud|gone on with|whoever|whomever|to be had|nobody['’]s|numbers of (a|the) net|net is spared|"
    "is told|was told|told apart|told of|told by|made-up|taken for|begun with"
)
"""Turns that a native reader stops at; write printed, resumed, weights, reported, detected, synthetic."""
NAMES = (
    "quickened|without_numbers|TestScores|MapStore|keep_maps|Parcel|performer|PartNet|gather_evidence|"
    "LabelFacts|facts"
)
"""Names that have better ones; the old settings keys are in `renamed`."""
KEYS = (
    r"data\.shrink|target\.levels|train\.(best_by|balanced)|labels\.(seeds|smallest|holes|average|median)\b"
)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", TEXTS, ids=named)
def test_the_words_are_those_of_the_field(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = re.search(rf"\b({SAID})\b", re.sub(r"[\s_]+", " ", text), re.IGNORECASE)
    assert not found, found


@pytest.mark.parametrize("path", [p for p in TEXTS if p.name != "CHANGELOG.md"], ids=named)
def test_names_are_those_of_today(path: Path) -> None:
    code = path.suffix == ".py"
    found = re.search(rf"\b({NAMES})\b|{KEYS}" if code else KEYS, path.read_text(encoding="utf-8"))
    assert not found, found


TABLES = {"DataSettings", "TargetSettings", "AugmentSettings", "TrainSettings", "LabelSettings"}
SHADOWED = {("decisions.py", "seconds_per_step")}  # calls the function `train`


@pytest.mark.parametrize("path", [p for p in TEXTS if p.is_relative_to(ROOT / "unetseg")], ids=named)
def test_a_table_of_settings_is_called_by_its_name(path: Path) -> None:
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and (path.name, node.name) not in SHADOWED:
            every = [*node.args.args, *node.args.kwonlyargs]
            unclear = [a for a in every if a.arg == "settings" and a.annotation is not None]
            assert not [a for a in unclear if a.annotation and ast.unparse(a.annotation) in TABLES], node.name
