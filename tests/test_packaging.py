"""What an installation holds: the package with its data, no matter where it runs."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from unetseg import __version__
from unetseg.files import shipped

ROOT = Path(__file__).parents[1]


def test_the_checkout_has_its_data() -> None:
    assert (shipped("data") / "catalogue.toml").is_file()
    assert list(shipped("experiments").glob("*/*.toml"))


def test_the_versions_agree() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in citation
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_requirements_are_the_tested_set_of_the_dependencies() -> None:
    """Every dependency of pyproject.toml has its pinned version, and nothing else is pinned."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = {line.split("==")[0].replace("_", "-") for line in pinned if "==" in line}
    assert names >= {d.split(">=")[0] for d in project["dependencies"]}


@pytest.mark.slow
def test_a_wheel_runs_without_the_checkout(tmp_path: Path) -> None:
    """Catalogue, experiment files, templates and type marker are in it, and the commands find them."""
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*build, "-w", str(tmp_path)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    package = tmp_path / "site" / "unetseg"
    assert (package / "py.typed").is_file()
    assert (package / "report" / "templates" / "run.html").is_file()
    ours = {str(p.relative_to(ROOT)) for p in ROOT.glob("experiments/*/*.toml")}
    assert {str(p.relative_to(package)) for p in package.glob("experiments/*/*.toml")} == ours

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
        environment.pop("UNETSEG_DATA", None)
        command = [sys.executable, "-m", "unetseg", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    where = "import unetseg; print(unetseg.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    found = subprocess.run(
        [sys.executable, "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert found.stdout.startswith(str(package))
    assert "DIC-C2DH-HeLa" in run("data").stdout
    result = run("reproduce", "dic-hela")
    assert result.returncode == 2
    assert "no such folder" in result.stderr, result.stderr
