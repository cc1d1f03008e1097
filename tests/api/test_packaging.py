"""What is installed, what is imported, and the examples in docstrings."""

from __future__ import annotations

import doctest
import importlib
import json
import subprocess
import sys
from importlib.metadata import metadata, packages_distributions, requires
from pathlib import Path

import pytest

PACKAGES = ("preprocess", "annotate", "search", "indexer", "api")
ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "onnxruntime", "faiss", "lancedb", "pyarrow", "cv2", "numpy", "PIL", "tokenizers", "rich", "pydantic", "huggingface_hub")


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_belongs_to_this_distribution_alone(package: str) -> None:
    assert set(packages_distributions()[package]) == {"pellucid"}


@pytest.mark.parametrize("name", ["tests", "docs", "benchmarks", "training", "demo", "conftest"])
def test_nothing_else_is_installed(name: str) -> None:
    assert "pellucid" not in packages_distributions().get(name, [])


def test_the_default_install_has_no_torch() -> None:
    plain = [line for line in requires("pellucid") or [] if "extra ==" not in line]
    assert plain
    assert not [line for line in plain if line.startswith(("torch", "open_clip", "open-clip", "fastapi", "boto3", "scikit"))]
    assert metadata("pellucid")["License-Expression"] == "Apache-2.0"


def loaded_by(code: str) -> set[str]:
    """Heavy modules that this code brings in, in a fresh process."""
    code += f"\nimport json, sys; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import api.cli",
        "import preprocess, annotate, search",
        "import sys; from api.cli import app\ntry: app(['search', '--help'])\nexcept SystemExit: pass",
    ],
    ids=["the command line", "the packages", "help"],
)
def test_starting_loads_nothing_heavy(code: str) -> None:
    assert loaded_by(code) - {"rich", "pydantic"} == set()  # typer prints help with these


def test_the_check_above_can_fail() -> None:
    assert "numpy" in loaded_by("import indexer")


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_typed_and_say_what_they_are(package: str) -> None:
    module = importlib.import_module(package)
    assert (Path(str(module.__file__)).parent / "py.typed").is_file()
    assert module.__doc__
    for name in getattr(module, "__all__", []):
        assert getattr(module, name) is not None


WITH_EXAMPLES = [
    "preprocess.choose", "preprocess.comparison", "preprocess.depth", "preprocess.formats", "preprocess.guided_filter",
    "preprocess.perceptual_hash", "preprocess.save", "annotate.label_sets", "annotate.labels", "annotate.makers", "annotate.masks",
    "annotate.palette", "annotate.xmp_items", "search._bench_child", "search.clean", "search.dense", "search.duplicate_groups",
    "search.encode", "search.iqa", "search.negatives", "search.null_model", "search.open_vocabulary", "search.phrases",
    "search.precision", "search.quality_evaluation", "search.query", "search.scorers", "search.sources", "search.tag_calibration",
    "search.tag_evaluation", "search.tag_words", "search.templates", "search.verdict", "search.verdict_evaluation", "search.vocabulary",
    "api.arguments", "api.remote_jobs", "api.remote_paths", "api.segmenting", "api.service.dehaze_work", "api.service.file_response", "api.service.model_routes", "api.service.model_work", "api.service.pictures", "api.service.uploads",
]  # fmt: skip


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_in_docstrings_run(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0


def test_no_module_with_examples_is_left_out() -> None:
    with_examples = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        if "node_modules" not in file.parts and ">>> " in file.read_text()
    }
    assert with_examples == set(WITH_EXAMPLES)
