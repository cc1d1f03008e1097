"""A model folder that is small, real and quick to make; and hits without a verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from preprocess import digest_of
from search import Derived, Hit, ImageInput, Model, Query, TextInput
from search.evidence import Evidence
from search.hits import hits_of
from search.model import IMAGE, TEXT, TOKENIZER

WORDS = {"[PAD]": 0, "[UNK]": 1, "red": 2, "green": 3, "cat": 4}


def _graph(nodes: list[Any], taken: Any, weights: dict[str, np.ndarray], dim: int) -> onnx.ModelProto:
    given = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", dim])
    graph = helper.make_graph(nodes, "tower", [taken], [given], [numpy_helper.from_array(value, name) for name, value in weights.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def image_tower(side: int, hidden: int, dim: int, outlier: float) -> onnx.ModelProto:
    """Two layers with a ReLU; a product with a turned weight is there because exporters write those. A hidden unit may be `outlier` for every
    photo and count for nothing: fp32 does not mind, and 8 bits for the range of all units have nothing left for the others."""
    random, numbers = np.random.default_rng(0), side * side * 3
    first = (random.normal(size=(numbers, hidden)) / numbers**0.5).astype(np.float32)
    bias, second = np.zeros(hidden, np.float32), (random.normal(size=(dim, hidden)) / hidden**0.5).astype(np.float32)
    if outlier:
        first[:, 0], bias[0], second[:, 0] = 0, outlier, 0
    weights = {
        "first": first, "bias": bias, "second": second, "none": np.zeros(dim, np.float32), "half": np.float32(127.5).reshape(1),
        "flat": np.array([-1, numbers], np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("Cast", ["pixels"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["numbers", "half"], ["centred"]),
        helper.make_node("Div", ["centred", "half"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "first"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["active"]),
        helper.make_node("Gemm", ["active", "second", "none"], ["vectors"], transB=1),
    ]
    return _graph(nodes, helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", side, side, 3]), weights, dim)


def text_tower(dim: int) -> onnx.ModelProto:
    """The mean of a table's rows."""
    table = np.random.default_rng(1).normal(size=(len(WORDS), dim)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("ReduceMean", ["rows"], ["vectors"], axes=[1], keepdims=0),
    ]
    return _graph(nodes, helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"]), {"table": table}, dim)


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Write a model folder and give it; `outlier` breaks it for int8."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    def make(name: str = "small", *, side: int = 8, hidden: int = 256, dim: int = 64, outlier: float = 0, precision: str = "fp32") -> Path:
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        onnx.save_model(image_tower(side, hidden, dim, outlier), str(folder / IMAGE))
        onnx.save_model(text_tower(dim), str(folder / TEXT))
        tokenizer = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = Whitespace()
        tokenizer.save(str(folder / TOKENIZER))
        files = {file.name: digest_of(file) for file in sorted(folder.iterdir())}
        Model(name, dim, ImageInput(side), TextInput(length=8), files, precision=precision).write(folder)
        return folder

    return make


@pytest.fixture
def nearest_hits() -> Callable[..., list[Hit]]:
    """The hits of one unit row, Float32["dim"], as a search finds them before it judges them."""

    def ask(derived: Derived, vector: Any, query: Query, among: Any = None, within: Any = "images", regions_among: Any = None) -> list[Hit]:
        ranked = Evidence(derived, vector, regions_among=regions_among).ranked(query.k, among, within)
        return [hit for _, hit in hits_of(derived, ranked, query, within, query.k)]

    return ask
