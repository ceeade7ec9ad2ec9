"""What an installation holds: the package with its data, no matter where it runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions, requires
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


def with_what_they_need(packages: set[str]) -> set[str]:
    """The packages and all that they require, by their metadata; optional extras are left out."""
    found: set[str] = set()
    while packages:
        found |= packages
        needs = [need for name in packages for need in requires(name) or () if "extra ==" not in need]
        names = {re.split(r"[^\w.-]", need)[0].lower().replace("_", "-") for need in needs}
        packages = {name for name in names - found if name in INSTALLED}
    return found


INSTALLED = {name.lower().replace("_", "-") for names in packages_distributions().values() for name in names}


def test_the_fastest_engine_runs_with_the_requirements_alone() -> None:
    """What else is installed here, for the tests, is hidden."""
    pinned = re.findall(r"^([\w-]+)==", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    allowed = with_what_they_need({name.lower().replace("_", "-") for name in pinned})
    hidden = [
        module for module, names in packages_distributions().items()
        if module != "unetseg" and not allowed & {name.lower().replace("_", "-") for name in names}
    ]  # fmt: skip
    assert "onnxruntime" in hidden
    code = (
        f"import sys\nsys.modules.update(dict.fromkeys({hidden}))\nimport torch\n"
        "from unetseg.inference.engines import prepare\nfrom unetseg.nets import build_net\n"
        "net = build_net('unet', channels=1, classes=2, width=2, depth=1, padding='same').eval()\n"
        "print(prepare(net, torch.device('cpu'), engine='openvino').engine)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("openvino"), done.stderr


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
