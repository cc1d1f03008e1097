"""The int8 graph beside the fp32 one."""

from __future__ import annotations

import json
import logging
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from preprocess import InputError, WeightsError, digest_of
from search import EncoderOptions, Model
from search import _quantize as quantize
from search._onnx_clip import OnnxEncoder, builtin_folder
from search._quantize import make_int8
from search.model import DATA, IMAGE, IMAGE_INT8, TEXT

MakeModel = Callable[..., Path]
SQUARES = list(np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8))


def test_int8_vectors_are_near_those_of_fp32(make_model: MakeModel) -> None:
    folder = make_model()
    assert make_int8(folder) == folder / IMAGE_INT8
    fp32, int8 = OnnxEncoder(folder), OnnxEncoder(folder, EncoderOptions(precision="int8"))
    cosines = (fp32.encode_images(SQUARES) * int8.encode_images(SQUARES)).sum(1)
    assert cosines.min() > 0.999
    assert cosines.min() < 0.9999999  # it is another graph
    kinds = {node.op_type for node in onnx.load(folder / IMAGE_INT8).graph.node}
    assert "MatMulInteger" in kinds
    assert not kinds & {"MatMul", "Gemm"}
    assert sum(file.stat().st_size for file in folder.glob("image.int8*")) < 0.4 * (folder / IMAGE).stat().st_size


def test_words_stay_fp32(make_model: MakeModel) -> None:
    folder = make_model()
    before = digest_of(folder / TEXT)
    make_int8(folder)
    assert digest_of(folder / TEXT) == before
    assert not [file for file in folder.iterdir() if file.name.startswith("text.int8")]
    fp32, int8 = OnnxEncoder(folder), OnnxEncoder(folder, EncoderOptions(precision="int8"))
    np.testing.assert_array_equal(fp32.encode_texts(["red cat"]), int8.encode_texts(["red cat"]))


def test_a_picture_in_a_query_goes_through_the_graph_of_the_library(make_model: MakeModel) -> None:
    make_int8(folder := make_model())
    int8 = OnnxEncoder(folder, EncoderOptions(precision="int8"))
    assert int8.graph == IMAGE_INT8
    np.testing.assert_allclose(int8.encode_images(SQUARES[:1]) @ int8.encode_images(SQUARES[:1]).T, 1, atol=1e-5)


def test_the_facts_name_the_new_file_and_the_recipes_differ(make_model: MakeModel) -> None:
    folder = make_model()
    before = OnnxEncoder(folder).recipe
    make_int8(folder)
    model = Model.read(folder)
    assert model.files[IMAGE_INT8] == digest_of(folder / IMAGE_INT8)
    assert model.wrong_files(folder) == []
    assert OnnxEncoder(folder).recipe == before  # what was indexed in fp32 stays valid
    int8 = OnnxEncoder(folder, EncoderOptions(precision="int8")).recipe
    assert (int8.precision, int8.id != before.id, int8.weights != before.weights) == ("int8", True, True)


def test_a_second_run_does_nothing_and_a_damaged_graph_is_made_anew(make_model: MakeModel) -> None:
    make_int8(folder := make_model())
    first, facts = (folder / IMAGE_INT8).stat().st_mtime_ns, (folder / "weights.json").stat().st_mtime_ns
    make_int8(folder)
    assert (folder / IMAGE_INT8).stat().st_mtime_ns == first
    assert (folder / "weights.json").stat().st_mtime_ns == facts
    good = digest_of(folder / IMAGE_INT8)
    (folder / IMAGE_INT8).write_bytes(b"cut off")
    make_int8(folder)
    assert digest_of(folder / IMAGE_INT8) == good  # the same graph each time, so the recipe is the same on every machine


def _make(folder: Path) -> str:
    return digest_of(make_int8(folder))


def test_two_processes_do_not_get_in_each_others_way(make_model: MakeModel) -> None:
    folder = make_model()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        digests = pool.map(_make, [folder] * 2, chunksize=1)
    assert digests[0] == digests[1] == Model.read(folder).files[IMAGE_INT8]
    assert Model.read(folder).wrong_files(folder) == []
    assert not list(folder.glob(".int8-*"))


@pytest.mark.parametrize("beside", [False, True], ids=["weights inside", "weights beside"])
def test_weights_in_a_file_of_their_own(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, beside: bool) -> None:
    folder = make_model()
    make_int8(folder)
    expected = OnnxEncoder(folder, EncoderOptions(precision="int8")).encode_images(SQUARES)
    (folder / IMAGE_INT8).unlink()
    graph = onnx.load(folder / IMAGE)
    onnx.save_model(graph, str(folder / IMAGE), save_as_external_data=True, location=IMAGE + DATA, size_threshold=0)
    assert (folder / (IMAGE + DATA)).is_file()
    if beside:
        monkeypatch.setattr(quantize, "LARGEST_FILE", 1)
    make_int8(folder)
    assert (folder / (IMAGE_INT8 + DATA)).is_file() == beside
    assert (IMAGE_INT8 + DATA in Model.read(folder).files) == beside
    np.testing.assert_allclose(OnnxEncoder(folder, EncoderOptions(precision="int8")).encode_images(SQUARES), expected, atol=1e-6)


def test_a_run_that_fails_leaves_the_model_as_it_was(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model()
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    def broken(*_args: Any, **_options: Any) -> None:
        raise ValueError("no such operator\nat line 3")

    monkeypatch.setattr("onnxruntime.quantization.quantize_dynamic", broken)
    with pytest.raises(WeightsError, match=r"image\.onnx cannot be made int8: no such operator\. Use --precision fp32"):
        make_int8(folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir() if file.name != ".int8.lock"} == before


def test_a_graph_that_is_no_graph_is_named(make_model: MakeModel) -> None:
    folder = make_model()
    (folder / IMAGE).write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"image\.onnx cannot be made int8"):
        make_int8(folder)


def test_what_is_int8_itself_has_no_second_graph(make_model: MakeModel) -> None:
    folder = make_model()
    replace(Model.read(folder), precision="int8").write(folder)
    with pytest.raises(InputError, match="is int8 itself"):
        make_int8(folder)
    assert json.loads((builtin_folder() / "weights.json").read_text())["precision"] == "int8"
    with pytest.raises(InputError, match="is int8 itself"):
        make_int8(builtin_folder())


def test_nothing_is_printed(make_model: MakeModel, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        make_int8(make_model())
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_what_a_killed_run_left_goes(make_model: MakeModel) -> None:
    folder = make_model()
    (folder / ".int8-left").mkdir()
    (folder / ".int8-left" / "image.int8.onnx").write_bytes(b"half")
    make_int8(folder)
    assert [entry.name for entry in folder.iterdir() if entry.name.startswith(".int8-")] == []
