"""What is measured on a machine is used on that machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from preprocess import UnknownName, WeightsError
from search import Bench, EncoderOptions, bench, bench_model, load_encoder
from search._bench_child import PARTS, splits
from search._onnx_clip import PART, OnnxEncoder
from search._quantize import make_int8
from search.bench import bench_file, machine, read_settings
from search.model import IMAGE

MakeModel = Callable[..., Path]


@pytest.fixture
def measured(make_model: MakeModel) -> tuple[Path, Bench, list[str]]:
    """A model with both precisions, measured."""
    folder, steps = make_model(), []  # type: ignore[var-annotated]
    make_int8(folder)
    return folder, bench_model("small", EncoderOptions(folder.parent, threads=2), steps.append), steps


def test_every_precision_is_measured_and_stored(measured: tuple[Path, Bench, list[str]]) -> None:
    folder, result, steps = measured
    assert [speed.precision for speed in result.speeds] == ["fp32", "int8"]
    assert [step.split(":")[0] for step in steps] == ["fp32", "fp32", "int8", "int8"]
    for speed in result.speeds:
        tried = {(row["threads"], row["intra"], row["part"]): row["images_s"] for row in speed.tried}
        assert set(tried) == {(threads, intra, part) for threads, intra in ((2, 1), (1, 2)) for part in PARTS}
        assert speed.images_s == max(tried.values()) == tried[speed.threads, speed.intra, speed.part] > 0
        assert speed.batch >= 64
        assert speed.batch % (speed.part * speed.threads) == 0
        assert 0 < speed.text_ms < 1000 * speed.load_text_s  # the first query loads the tower and the tokenizer
        assert speed.load_image_s > 0
        assert 30 < speed.peak_mb < 2000
    stored = json.loads((folder / "bench.json").read_text())
    assert stored == json.loads(json.dumps({"format": 1} | result.as_dict()))
    assert [file.name for file in folder.iterdir() if ".new" in file.name] == []


def test_the_encoder_uses_what_was_best(measured: tuple[Path, Bench, list[str]]) -> None:
    folder, result, _ = measured
    for speed in result.speeds:
        encoder = OnnxEncoder(folder, EncoderOptions(folder.parent, speed.precision))
        assert (encoder.part, encoder.threads, encoder.intra, encoder.batch_size) == (speed.part, speed.threads, speed.intra, speed.batch)
    limited = OnnxEncoder(folder, EncoderOptions(folder.parent, threads=1))
    assert (limited.threads, limited.intra) == (1, 1)  # what was asked for comes first


def test_settings_do_not_change_vectors(make_model: MakeModel) -> None:
    folder = make_model()
    squares = list(np.random.default_rng(0).integers(0, 256, (21, 8, 8, 3), dtype=np.uint8))
    expected = OnnxEncoder(folder).encode_images(squares)
    (folder / "bench.json").write_text(
        json.dumps(
            facts := {"format": 1, "machine": machine(), "speeds": [{"precision": "fp32", "part": 2, "threads": 1, "intra": 2, "batch": 4}]}
        )
    )
    encoder = OnnxEncoder(folder)
    assert (encoder.part, encoder.intra) == (2, 2)
    np.testing.assert_allclose(encoder.encode_images(squares), expected, atol=1e-6)
    assert encoder.recipe == OnnxEncoder(folder).recipe
    assert facts["format"] == bench.FORMAT


SPEED = {"precision": "fp32", "part": 2, "threads": 3, "intra": 1, "batch": 60}
GOOD = {"format": 1, "machine": machine(), "speeds": [SPEED]}


def test_settings_are_read_by_precision(tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text(json.dumps(GOOD))
    assert read_settings(tmp_path / "bench.json", "fp32") == {"part": 2, "threads": 3, "intra": 1, "batch": 60}
    assert read_settings(tmp_path / "bench.json", "int8") == {}
    assert read_settings(tmp_path / "missing.json", "fp32") == {}
    assert read_settings(None, "fp32") == {}


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "3", '"format"', "\x00", json.dumps(GOOD | {"format": 2}), json.dumps(GOOD | {"speeds": []}), json.dumps(GOOD | {"speeds": 7}),
        json.dumps(GOOD | {"machine": machine() | {"cores": 1024}}), json.dumps(GOOD | {"machine": machine() | {"cpu": "another"}}),
        *(json.dumps(GOOD | {"speeds": [SPEED | {"part": value}]}) for value in (0, -1, "16", True, 1.5, None, 10**9)),
        json.dumps(GOOD | {"speeds": [{"precision": "fp32"}]}), json.dumps(GOOD | {"speeds": ["fp32"]}),
    ],
)  # fmt: skip
def test_a_file_that_is_damaged_or_of_another_machine_changes_nothing(make_model: MakeModel, text: str) -> None:
    folder = make_model()
    (folder / "bench.json").write_text(text)
    assert OnnxEncoder(folder).part == PART


def test_the_measurement_of_what_ships_lies_with_the_models(tmp_path: Path) -> None:
    from search._onnx_clip import builtin_folder

    assert bench_file(builtin_folder(), tmp_path) == tmp_path / "builtin.bench.json"
    assert bench_file(builtin_folder(), None) is None
    assert bench_file(tmp_path / "mine", tmp_path) == tmp_path / "mine" / "bench.json"
    facts = GOOD | {"speeds": [SPEED | {"precision": load_encoder("builtin").recipe.precision}]}
    (tmp_path / "builtin.bench.json").write_text(json.dumps(facts))
    assert load_encoder("builtin", EncoderOptions(tmp_path)).batch_size == 60
    assert load_encoder("builtin").batch_size != 60


def test_what_cannot_be_measured_is_an_error(make_model: MakeModel) -> None:
    folder = make_model()
    with pytest.raises(UnknownName, match="No encoder named 'large'"):
        bench_model("large", EncoderOptions(folder.parent))
    (folder / IMAGE).write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"cannot be measured: .*image\.onnx does not load.*pellucid models verify small"):
        bench_model("small", EncoderOptions(folder.parent))
    assert not (folder / "bench.json").exists()


@pytest.mark.parametrize("cores", [1, 2, 3, 8, 64])
def test_no_split_asks_for_more_than_the_cores(cores: int) -> None:
    ways = splits(cores)
    assert all(1 <= threads * intra <= cores for threads, intra in ways)
    assert {(cores, 1), (1, cores)} <= set(ways)
    assert len(set(ways)) == len(ways)


def test_the_command_prints_the_table_or_json(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from api.cli import app

    folder = make_model()
    monkeypatch.setenv("PELLUCID_MODELS", str(folder.parent))
    run: Any = CliRunner().invoke(app, ["models", "bench", "small", "--json"])
    assert run.exit_code == 0, run.output
    facts = json.loads(run.stdout)
    assert (facts["name"], [speed["precision"] for speed in facts["speeds"]]) == ("small", ["fp32"])
    shown: Any = CliRunner().invoke(app, ["models", "bench", "small"])
    assert shown.exit_code == 0, shown.output
    assert "images/s" in shown.stdout
    assert "fp32" in shown.stdout
