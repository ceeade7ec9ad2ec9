"""The architecture's laws: floors, homes of third parties, sizes, no print below the door."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "unetseg"
MODULES = sorted(PACKAGE.rglob("*.py"))

GROUND = {
    "allocator",
    "calibration",
    "distance_classes",
    "errors",
    "files",
    "measurements",
    "nearest",
    "normalise",
    "renamed",
    "outlines",
    "resample",
    "sample",
    "scores",
    "segment",
    "settings",
    "targets",
    "tiles",
    "uncertainty",
}
FILES = {"catalogue", "config", "download", "exports", "images", "models", "run", "tasks", "locks"}
TORCH = {
    "augment",
    "batches",
    "checkpointing",
    "device",
    "distributed",
    "inference",
    "losses",
    "nets",
    "train",
}
APP = {"api", "evaluation", "sharing", "figures", "pipeline", "report", "reproduce", "streaming"}
DOOR = {"cli", "napari"}
MAY_IMPORT = {
    "ground": GROUND,
    "files": GROUND | FILES,
    "torch": GROUND | TORCH,
    "app": GROUND | FILES | TORCH | APP,
    "door": GROUND | FILES | TORCH | APP | DOOR,
}
FLOORS = {"ground": GROUND, "files": FILES, "torch": TORCH, "app": APP, "door": DOOR}
HOMES = {
    "bioio": {"images"},
    "bioio_base": {"images"},
    "liffile": {"images"},
    "nd2": {"images"},
    "pylibCZIrw": {"images"},
    "bioimageio": {"sharing"},
    "albumentations": {"augment"},
    "click": {"cli"},
    "elasticdeform": {"augment"},
    "filelock": {"locks"},
    "jinja2": {"report"},
    "laptrack": {"pipeline"},
    "magicgui": {"napari"},
    "matplotlib": {"figures"},
    "monai": {"nets"},
    "onnxruntime": {"inference", "sharing"},
    "napari": {"napari"},
    "nibabel": {"images"},
    "pooch": {"download", "models"},
    "requests": {"download"},
    "psygnal": {"napari"},
    "qtpy": {"napari"},
    "tifffile": {"images"},
    "pyarrow": {"pipeline"},
    "roifile": {"exports", "tasks"},
    "torch": TORCH | {"pipeline", "sharing", "streaming", "reproduce"},
    "dask": {"streaming"},
    "distributed": {"streaming"},
    "numcodecs": {"images"},
    "openvino": {"inference"},
    "zarr": {"images"},
}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def named(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_every_room_is_on_a_floor() -> None:
    rooms = {room(p) for p in MODULES} - {"__init__", "__main__"}
    assert rooms == set().union(*FLOORS.values())


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_imports_go_down(path: Path) -> None:
    floor = next((f for f, rooms in FLOORS.items() if room(path) in rooms), "door")
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("unetseg.")}
    assert ours <= MAY_IMPORT[floor], f"{floor} imports {ours - MAY_IMPORT[floor]}"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_third_parties_have_one_home(path: Path) -> None:
    for name in {name.split(".")[0] for name in imports(path)} & HOMES.keys():
        assert room(path) in HOMES[name], f"{name} is imported in {path.name}"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_nothing_below_the_door_prints_exits_or_asserts(path: Path) -> None:
    if room(path) in {"cli", "__main__"}:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.Assert), f"assert in line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"print", "exit", "quit"}, f"line {node.lineno}"


def test_the_default_path_needs_no_optional_package() -> None:
    """Training, prediction and scoring import no package that is optional or heavy."""
    code = (
        "import sys, unetseg.api, unetseg.pipeline.prediction, unetseg.evaluation.score_files, "
        "unetseg.reproduce.demo, unetseg.pipeline.evaluate, unetseg.report, unetseg.sharing.export\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules} "
        "& {'albumentations', 'cv2', 'elasticdeform', 'monai', 'nibabel', 'edt', 'ctc_metrics', 'zarr', "
        "'dask', 'distributed', 'pooch', 'requests', 'bioimageio', 'onnx', 'onnxruntime', 'laptrack'}))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


ROOT = PACKAGE.parent
PARAMETERS = 8
WIDE = {
    "cli/train_commands.py: train",  # its options, one by one
    "nets/unet.py: __init__",  # likewise
    "nets/v_net.py: __init__",  # the keys of [net], one by one
    "nets/v_net.py: _check",
}


def tree(text: str) -> set[str]:
    """The rooms that the tree of README names: x/ and x.py."""
    block = text.split("\nunetseg/\n")[1].split("\ndata/")[0]
    return {name.removesuffix(".py").rstrip("/") for name in re.findall(r"\b[a-z_]+(?:/|\.py)", block)}


def floors_drawn(text: str) -> dict[str, set[str]]:
    """The rooms on each floor by the map of CONTRIBUTING; an indented line continues its floor."""
    found: dict[str, set[str]] = {}
    name = ""
    for line in text.split("## Floors")[1].split("```")[1].strip().splitlines():
        floor, rooms = line[:8].strip(), re.split(r" {3,}", line[8:])[0].split()
        name = floor or name
        found[name] = found.get(name, set()) | set(rooms)
    return found


def test_the_tree_in_readme_is_the_one_on_disk() -> None:
    assert tree((ROOT / "README.md").read_text()) == set().union(*FLOORS.values())


def test_the_map_in_contributing_is_the_one_on_disk() -> None:
    assert floors_drawn((ROOT / "CONTRIBUTING.md").read_text()) == FLOORS


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_functions_take_few_parameters(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = len([a for a in every if a.arg not in ("self", "cls")])
            wide = f"{named(path)}: {node.name}" in WIDE
            assert (count > PARAMETERS) == wide, f"{node.name} takes {count}"


def modules_taken(path: Path, known: set[str]) -> set[str]:
    """The modules of ours that a file imports, also for types; `from package import module` is the module."""
    nodes = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)]
    taken = {(n.module or "", alias.name) for n in nodes for alias in n.names}
    return {f"{m}.{name}" if f"{m}.{name}" in known else m for m, name in taken} & known


def test_no_modules_import_each_other_in_a_circle() -> None:
    every = {
        ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in MODULES
    }
    order = graphlib.TopologicalSorter({m: modules_taken(p, set(every)) for m, p in every.items()})
    order.prepare()  # raises CycleError, which names the circle


CONTRACT = {"unetseg.nets", "unetseg.nets.contract", "unetseg.nets.footprint"}
CLASSES = {
    "UNet",
    "UNet3d",
    "UNetPlusPlus",
    "VNet",
    "FCN8s",
    "FCN16s",
    "FCN32s",
    "Window",
    "WindowSP",
    "DilatedUNet",
}


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) not in ("nets", "inference")], ids=named)
def test_networks_are_known_by_their_contract_alone(path: Path) -> None:
    """What a network may offer besides is asked by a Protocol, never by its class or an attribute's name."""
    ours = {name for name in imports(path) if name.startswith("unetseg.nets")}
    assert ours <= CONTRACT
    calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call) and len(n.args) > 1]
    for call in calls:
        function, of, what = map(ast.unparse, (call.func, *call.args[:2]))
        if function in ("getattr", "hasattr"):
            assert not re.search(r"\bnet$", of), f"line {call.lineno}"
        if function == "isinstance":
            assert what not in CLASSES, f"line {call.lineno}"
