"""The laws that hold with every engine: PyTorch's logits, tiled equals whole, the same bytes, resume."""

import importlib.metadata
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import zarr
from conftest import Unetseg
from test_nets import BLENDED, CASES, CPU, NEEDS_MONAI, case_id, make, odd_image, whole
from test_streaming import balanced, pixels

from unetseg.cli.predict_commands import ENGINE_NAMES
from unetseg.errors import UserError
from unetseg.images.marks import existing_mark
from unetseg.inference import engines
from unetseg.inference.engines import ENGINES, InferenceNet, choose_engine, describe_engine, prepare
from unetseg.inference.export import logits_onnx
from unetseg.inference.onnxruntime_engine import compile_onnxruntime
from unetseg.inference.predict import predict
from unetseg.nets import NETS, TorchOnly, build_net
from unetseg.nets.encoder_unet import UNET_ON
from unetseg.pipeline.model import PredictSettings, load_model, save_model
from unetseg.settings import LabelSettings
from unetseg.tiles import TileGrid

OTHERS = [name for name in ENGINES if name != "torch"]
EXPORTED = [case for case in CASES if not case[0].startswith("window") and case not in BLENDED]
each_engine = pytest.mark.parametrize("engine", OTHERS)
each_net = pytest.mark.parametrize("case", EXPORTED, ids=map(case_id, EXPORTED))


def ready(net: Any, engine: str) -> InferenceNet:
    pytest.importorskip(ENGINES[engine].package)
    return prepare(net, CPU, engine=engine)


@pytest.fixture(autouse=True)
def monai_where_it_is_needed(request: pytest.FixtureRequest) -> None:
    case = request.node.callspec.params.get("case") if hasattr(request.node, "callspec") else None
    if case and case[0] in NEEDS_MONAI:
        pytest.importorskip("monai")


@each_engine
@each_net
def test_logits_are_pytorchs_at_every_size_and_batch(case: Any, engine: str) -> None:
    net = make(case)
    quick = ready(net, engine)
    for strides, batch in ((0, 1), (2, 3), (0, 1)):
        size = [n + strides * s for n, s in zip(net.footprint.smallest, net.footprint.stride, strict=True)]
        size[-1] += net.footprint.stride[-1]
        images = torch.randn(batch, 2, *size, generator=torch.Generator().manual_seed(strides))
        with torch.no_grad():
            torch.testing.assert_close(quick(images), net(images), atol=1e-4, rtol=0)


@each_engine
@each_net
def test_tiled_equals_whole(case: Any, engine: str) -> None:
    net = make(case)
    image, quick = odd_image(net), ready(net, engine)
    expected = whole(net, image)
    for strides, batch in ((1, 3), (2, 2)):
        step = tuple(strides * s for s in net.footprint.stride)
        tiled = predict(quick, image, TileGrid(image.shape[1:], step, net.footprint), batch=batch)
        np.testing.assert_allclose(tiled, expected, atol=1e-4)


def test_every_net_is_exported_or_tells_why_not() -> None:
    alone = {case[0] for case in CASES if isinstance(make(case), TorchOnly)}
    assert alone == {"window", "window-sp"}
    elsewhere = {*UNET_ON, "probabilistic-unet"}  # test_encoders.py, test_probabilistic_unet.py
    assert {case[0] for case in EXPORTED} | alone | elsewhere == set(NETS)
    with pytest.raises(UserError, match="cannot be exported to ONNX: how many patches"):
        logits_onnx(build_net("window-sp", channels=1, classes=2))


@pytest.fixture
def unet() -> Any:
    return build_net("unet", channels=1, classes=2, width=4, depth=2, padding="same", dropout=0.0).eval()


def test_auto_is_the_first_that_can_be_used(unet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {*OTHERS, "onnx"}
    monkeypatch.setattr(engines, "find_spec", lambda package: package if package in installed else None)
    assert choose_engine("auto", unet, CPU) == next(iter(ENGINES)) == "openvino"
    assert choose_engine("auto", unet, CPU, "bf16") == "torch"
    assert choose_engine("auto", unet, torch.device("cuda")) == "torch"
    assert choose_engine("auto", build_net("window", channels=1, classes=2), CPU) == "torch"
    installed.remove("openvino")
    assert choose_engine("auto", unet, CPU) == "onnxruntime"
    installed.clear()
    assert choose_engine("auto", unet, CPU) == "torch"
    for name in OTHERS:
        with pytest.raises(
            UserError, match=f"--engine {name}: not installed: {name} onnx. pip install {name} onnx"
        ):
            choose_engine(name, unet, CPU)
    installed.update(OTHERS)
    assert choose_engine("auto", unet, CPU) == "torch"
    with pytest.raises(UserError, match="not installed: onnx. pip install onnx,"):
        choose_engine("openvino", unet, CPU)


def test_what_an_engine_cannot_do_is_refused(unet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda package: package)
    monkeypatch.setattr(engines, "gpu_provider", lambda: None)
    with pytest.raises(UserError, match="computes in float32 here, not in bf16"):
        choose_engine("openvino", unet, CPU, "bf16")
    with pytest.raises(UserError, match="does not compute on cuda"):
        choose_engine("openvino", unet, torch.device("cuda"))
    with pytest.raises(UserError, match="pip install onnxruntime-gpu"):
        choose_engine("onnxruntime", unet, torch.device("cuda"))
    with pytest.raises(UserError, match="did you mean 'torch'"):
        choose_engine("toch", unet, CPU)


def test_an_engine_that_computes_something_else_is_found_out(unet: Any, monkeypatch: Any) -> None:
    """OpenVINO 2026.4 gets the logarithm of a sum of exponentials wrong, for one."""
    broken = replace(ENGINES["torch"], compile=lambda net, device, precision: lambda images: net(images) + 1)
    monkeypatch.setitem(ENGINES, "openvino", broken)
    with pytest.raises(UserError, match=r"openvino.* computes other logits .* differ by 1\. Give"):
        prepare(unet, CPU, engine="openvino")


def test_an_engine_that_does_not_load_is_one_error(unet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(net: Any, device: torch.device, precision: str) -> Any:
        raise ImportError("libopenvino.so: cannot open shared object file")

    monkeypatch.setitem(ENGINES, "openvino", replace(ENGINES["openvino"], compile=broken))
    monkeypatch.setattr(engines, "find_spec", lambda package: package)
    with pytest.raises(UserError, match=r"openvino.* cannot run this network here \(libopenvino.so: .*Give"):
        prepare(unet, CPU, engine="auto")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The providers that sessions are asked for, of an ONNX Runtime that finds the libraries of all."""
    onnxruntime, made = pytest.importorskip("onnxruntime"), []

    def session(model: bytes, options: Any, providers: list[Any]) -> Any:
        made.extend(providers)
        names = [p if isinstance(p, str) else p[0] for p in providers]
        return SimpleNamespace(get_providers=lambda: names)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    return made


@pytest.mark.parametrize(
    ("built_with", "provider", "name"),
    [
        (["Tensorrt", "CUDA"], ("CUDAExecutionProvider", {"device_id": 1, "use_tf32": 0}), "CUDA"),
        (["Tensorrt"], ("TensorrtExecutionProvider", {"device_id": 1}), "TensorRT"),
    ],
)
def test_onnx_runtime_computes_on_the_gpu_that_it_was_built_for(
    unet: Any, asked: list[Any], monkeypatch: pytest.MonkeyPatch, built_with: Any, provider: Any, name: str
) -> None:
    there = [f"{made}ExecutionProvider" for made in (*built_with, "CPU")]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: there)
    gpu = torch.device("cuda", 1)
    assert choose_engine("onnxruntime", unet, gpu) == "onnxruntime"
    compile_onnxruntime(unet, gpu, "float32")
    assert asked == [provider, "CPUExecutionProvider"]
    version = importlib.metadata.version("onnxruntime")
    assert describe_engine("onnxruntime", gpu) == f"onnxruntime {version} ({name})"
    assert describe_engine("onnxruntime", CPU) == f"onnxruntime {version}"


def test_a_gpu_whose_libraries_are_missing_is_not_passed_over(unet: Any, monkeypatch: Any) -> None:
    """ONNX Runtime itself would compute on the processor and only log it."""
    pytest.importorskip("onnxruntime")
    there = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: there)
    with pytest.raises(
        UserError, match="CUDAExecutionProvider does not load here. pip install 'onnxruntime-gpu"
    ):
        compile_onnxruntime(unet, torch.device("cuda"), "float32")


def test_the_command_offers_the_engines() -> None:
    assert sorted(ENGINE_NAMES) == sorted(["auto", *ENGINES])


@pytest.fixture
def best(tmp_path: Path) -> Path:
    used = balanced(LabelSettings(min_area=3), pixels())
    save_model(tmp_path / "best.pt", used.recipe, used.net, {})
    tifffile.imwrite(tmp_path / "big.ome.tif", pixels(), tile=(64, 64))
    return tmp_path / "best.pt"


@each_engine
def test_a_model_keeps_what_it_made_ready(best: Path, engine: str) -> None:
    pytest.importorskip(ENGINES[engine].package)
    model, settings = load_model(best, CPU), PredictSettings(engine=engine)
    assert model.ready(settings) is model.ready(settings)
    assert model.ready(PredictSettings()) is not model.ready(PredictSettings())
    assert model.ready(settings).engine == f"{engine} {importlib.metadata.version(engine)}"


@each_engine
def test_a_result_has_its_engine_gives_the_same_bytes_and_is_resumed_with_no_other(
    unetseg: Unetseg, best: Path, engine: str
) -> None:
    pytest.importorskip(ENGINES[engine].package)
    big, results = best.with_name("big.ome.tif"), []
    for name in ("one", "two"):
        out = best.with_name(f"{name}.ome.zarr")
        done = unetseg("predict", best, big, "--out", out, "--tile", 64, "--engine", engine)
        assert done.code == 0, done.err
        assert f"engine: {engine} " in done.out
        results.append(np.asarray(zarr.open_array(out / "labels/labels/0", mode="r")))
        assert existing_mark(out)["settings"]["engine"].startswith(f"{engine} ")
    np.testing.assert_array_equal(*results)
    other = unetseg("predict", best, big, "--out", out, "--tile", 64, "--engine", "torch")
    assert other.code == 2
    assert f"engine ({engine} " in other.err
    assert "→ torch" in other.err


@pytest.mark.parametrize("engine", [*OTHERS, "torch"])
def test_a_killed_prediction_is_resumed_to_the_same_bytes(best: Path, engine: str) -> None:
    pytest.importorskip(ENGINES[engine].package)
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom unetseg import api\n"
        "from unetseg.images import open_image\nfrom unetseg.pipeline.model import PredictSettings\n"
        "from unetseg.streaming.output import make_result, open_job\n"
        "from unetseg.streaming.job import Request\n"
        "best, image, out, engine, stop = sys.argv[1:]\n"
        "settings = PredictSettings(side=64, engine=engine)\n"
        "model, image = api.load_model(best, 'cpu'), open_image(Path(image))\n"
        "job = open_job(Request.of(model, image, settings), Path(out))\n"
        "for number, event in enumerate(make_result(job)):\n"
        "    if number == int(stop): os._exit(9)\n"
    )

    def run(name: str, stop: int) -> int:
        arguments = [best, best.with_name("big.ome.tif"), best.with_name(name), engine, stop]
        return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=False).returncode

    assert run("killed.ome.zarr", 4) == 9
    assert (run("killed.ome.zarr", -1), run("whole.ome.zarr", -1)) == (0, 0)
    found = [
        zarr.open_array(best.with_name(n) / "labels/labels/0") for n in ("killed.ome.zarr", "whole.ome.zarr")
    ]
    np.testing.assert_array_equal(*map(np.asarray, found))


def test_openvino_reports_nothing_about_its_use(best: Path, tmp_path: Path) -> None:
    """Its import alone would send an event, and leave an identity in the home folder."""
    pytest.importorskip("openvino")
    (home := tmp_path / "home").mkdir()
    code = (
        "import sys, torch\n"
        "from unetseg.inference.engines import prepare\nfrom unetseg.nets import build_net\n"
        "net = build_net('unet', channels=1, classes=2, width=2, depth=1, padding='same').eval()\n"
        "prepare(net, torch.device('cpu'), engine='openvino')\n"
        "print('openvino' in sys.modules, 'openvino_telemetry' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, env={**os.environ, "HOME": str(home), "CI": ""},
    )  # fmt: skip
    assert found.stdout.split() == ["True", "False"]
    assert list(home.iterdir()) == []
