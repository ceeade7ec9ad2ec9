"""Every module has a test of its name, or a named test of its room or command that holds it."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "unetseg"

HELD_BY = {
    "augment": [
        "augment/apply",
        "augment/draw",
        "augment/elastic",
        "augment/engines",
        "augment/grey",
        "augment/pack",
    ],
    "auto": ["tasks/guess"],
    "benchmark": ["reproduce/challenge", "reproduce/published", "reproduce/submission"],
    "challenge_results": ["evaluation/challenge_folders"],
    "cli": ["pipeline/preview", "reproduce/demo"],
    "config": ["settings"],
    "decisions": ["pipeline/time_budget"],
    "download_datasets": ["download/convert"],
    "encoders": ["nets/encoder_unet"],
    "evaluation_volumes": ["evaluation/by_kind"],
    "export_nets": ["inference/export"],
    "figures": ["figures/embed", "figures/layers", "figures/pictures"],
    "images_microscopes": [
        "images/microscopes/leica",
        "images/microscopes/nikon",
        "images/microscopes/other",
        "images/microscopes/scenes",
        "images/microscopes/zeiss",
    ],
    "images_opening": ["images/lazy"],
    "images_tiff": ["images/tiff_complete"],
    "images_tiff_pyramid": ["images/stack_store"],
    "images_tiff_series": ["images/ome_tiff"],
    "images_zarr": ["images/chunks", "images/ngff", "images/ome_zarr", "images/zarrs"],
    "inference_engines": [
        "inference/onnxruntime_engine",
        "inference/openvino_engine",
        "inference/torch_engine",
    ],
    "label_formats": [
        "images/cellpose",
        "tasks/label_formats/coco",
        "tasks/label_formats/geojson",
        "tasks/label_formats/imagej",
        "tasks/label_formats/painting",
        "tasks/label_origins",
    ],
    "measuring": ["exports", "pipeline/exporting"],
    "memory": ["streaming/plan"],
    "napari_files": ["napari/layers", "napari/reader", "napari/sample_data", "napari/writer"],
    "napari_panels": [
        "napari/adjusting",
        "napari/annotate_panel",
        "napari/background",
        "napari/correct_panel",
        "napari/loss_curve",
        "napari/measure_panel",
        "napari/model_choice",
        "napari/panel",
        "napari/predict_panel",
        "napari/session",
        "napari/training_panel",
    ],
    "nets": [
        "nets/attention_unet",
        "nets/blocks",
        "nets/contract",
        "nets/dilated_unet",
        "nets/monai_parts",
        "nets/seg_res_net",
        "nets/unet",
    ],
    "nets_volumes": ["nets/unet3d", "nets/v_net"],
    "nifti": ["pipeline/volume_prediction"],
    "predict": [
        "pipeline/predict_options",
        "pipeline/result_names",
        "pipeline/result_picture",
        "pipeline/result_source",
    ],
    "prediction": ["pipeline/image_notes"],
    "recipe": ["pipeline/model"],
    "report": [
        "report/comparison",
        "report/curves",
        "report/error_analysis",
        "report/frames",
        "report/page",
        "report/pictures",
        "report/render",
        "report/summary",
        "report/training_pictures",
    ],
    "report_browser": ["report/later"],
    "restoration": [
        "evaluation/restoration_methods",
        "evaluation/restored_files",
        "figures/restored",
        "images/image_store",
        "pipeline/auto_restoration",
        "pipeline/evaluate_restoration",
    ],
    "score_files": ["evaluation/label_files", "evaluation/scoring", "evaluation/truth_meaning"],
    "scores_em": ["scores/of_challenges", "scores/of_probabilities"],
    "scores_objects": ["scores/of_objects"],
    "scores_of_images": ["scores/regions"],
    "scores_pixels": ["scores/of_classes"],
    "scores_score": ["scores/entry", "scores/registry", "scores/table"],
    "sharing_export": [
        "sharing/cover",
        "sharing/description",
        "sharing/example",
        "sharing/libraries",
        "sharing/limits",
    ],
    "sharing_reading": [
        "inference/exported_net",
        "inference/onnx_net",
        "inference/torchscript_net",
        "sharing/package",
    ],
    "streaming": [
        "streaming/job",
        "streaming/output",
        "streaming/source",
        "streaming/tile_steps",
        "streaming/watershed_step",
        "streaming/work",
    ],
    "suggest": ["pipeline/candidates", "pipeline/suggest_run", "report/suggestions"],
    "tasks_coverage": ["pipeline/dataset"],
    "tasks_folder": ["tasks/differences", "tasks/file_summary", "tasks/folder_files"],
    "tasks_hold_back": ["tasks/channels"],
    "tasks_listing": ["tasks/films"],
    "tasks_recognise": ["tasks/class_values", "tasks/label_planes", "tasks/label_statistics", "tasks/labels"],
    "tracking": ["napari/tracks", "pipeline/label_film"],
    "training": [
        "pipeline/checks",
        "pipeline/evaluate",
        "pipeline/events",
        "pipeline/provenance",
        "pipeline/run_experiment",
        "pipeline/saved_state",
        "pipeline/training_loop",
    ],
    "uncertainty": [
        "images/kept_maps",
        "inference/dropout_draws",
        "pipeline/model_variants",
        "pipeline/uncertain_objects",
    ],
}
"""A scenario test → the modules that it holds: a command, a page, a whole training or prediction."""


def modules() -> list[str]:
    """All but those of `cli`, whose commands are run in test_cli and in the tests of what they do."""
    paths = (p.relative_to(PACKAGE).with_suffix("") for p in PACKAGE.rglob("*.py"))
    return [p.as_posix() for p in paths if p.name not in ("__init__", "__main__") and p.parts[0] != "cli"]


def own_tests(module: str) -> list[str]:
    names = (module.split("/")[-1], module.replace("/", "_"))
    return [name for name in names if (ROOT / f"tests/test_{name}.py").is_file()]


def test_every_module_has_a_test() -> None:
    held = {module for every in HELD_BY.values() for module in every}
    assert [m for m in modules() if not own_tests(m) and m not in held] == []


def test_the_exceptions_are_modules_without_a_test_of_their_own_and_tests_that_are_there() -> None:
    every = modules()
    assert [m for held in HELD_BY.values() for m in held if m not in every or own_tests(m)] == []
    assert [t for t in HELD_BY if not (ROOT / f"tests/test_{t}.py").is_file()] == []
