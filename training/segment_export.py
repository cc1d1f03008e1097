"""Write the segmenter that ships: `python segment_export.py --data DATA --run RUN --out ../annotate/builtin`.

Runs with the product's environment and its extra `torch`, from this folder. The network becomes an ONNX graph that is compared with torch, then its
convolutions are computed in int8, calibrated on training photos. The int8 graph is kept where it costs at most `MOST_LOST` of the mean intersection over
union on CamVid's validation photos; otherwise the weights are stored in half precision. What was measured goes into weights.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from segment_nets import ARCHS, STRIDE, build
from segment_photos import CLASSES, Photos

sys.path.insert(0, str(Path(__file__).parents[1]))
from annotate import evaluate_segmentation, find_masked_photos, open_segmenter
from annotate._segmenter_export import export_segmenter
from annotate._smp import Loaded
from annotate.label_sets import read_labels
from annotate.segment import GRAPH, Frame, SegmenterFacts, SegmenterOptions
from preprocess import digest_of

SHORT = 360  # of CamVid's photos; crops in training showed them at 0.55 to 2 times that
MOST_LOST = 0.005
CALIBRATED = 48  # photos
SIDE = 288  # of their crops
SOURCES = (
    "CamVid (Brostow, Fauqueur, Cipolla, 2009), training photos",
    "photos of people with masks",
    "Oxford-IIIT Pet (Parkhi et al., 2012), part",
)


class Calibration(CalibrationDataReader):
    """Crops of training photos, one at a time."""

    def __init__(self, photos: Photos) -> None:
        random = np.random.default_rng(0)
        views = [np.concatenate([photos.batch(SIDE, random)[0]]) for _ in range(CALIBRATED // 8)]
        crops = np.rint(np.concatenate(views).transpose(0, 2, 3, 1) * 255).astype(np.uint8)
        self.crops: Iterator[dict[str, np.ndarray]] = iter([{"pixels": crop[None]} for crop in crops])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next crop, or none at the end."""
        return next(self.crops, None)


def measured(folder: Path, data: Path) -> dict[str, object]:
    """Figures of `pellucid eval segmentation` on CamVid's validation photos."""
    root = data / "segmentation" / "camvid" / "val"
    return evaluate_segmentation(find_masked_photos(root), read_labels("camvid"), open_segmenter(folder, SegmenterOptions(threads=1)))


def to_int8(graph: Path, photos: Photos) -> bytes:
    """The graph with convolutions in int8. Weights use seven bits: processors without VNNI saturate at 16 bits otherwise, and differ."""
    with tempfile.TemporaryDirectory() as place:
        plain, small = Path(place) / "plain.onnx", Path(place) / "int8.onnx"
        fold = onnxruntime.SessionOptions()  # stored weights become constants, which is what quantize_static reads
        fold.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        fold.optimized_model_filepath = str(plain)
        onnxruntime.InferenceSession(str(graph), fold, providers=["CPUExecutionProvider"])
        convolutions = [node.name for node in onnx.load(plain).graph.node if node.op_type == "Conv"]
        quantize_static(
            plain, small, Calibration(photos), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["Conv", "Add", "Clip", "Relu"],
            nodes_to_exclude=[convolutions[0], convolutions[-1]],  # the pixels, and the logits
        )  # fmt: skip
        return small.read_bytes()


def to_half(graph: Path) -> bytes:
    """The graph with its weights stored in half precision and computed in single."""
    model = onnx.load(graph)
    nodes = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size > 1000:
            name = weight.name
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            nodes.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def main() -> None:
    """Export, choose the precision, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="folder of segment_train.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="builtin")
    options = parser.parse_args()
    torch.set_num_threads(1)
    saved = torch.load(options.run / "segmenter.pt", weights_only=True)
    network = build(saved["arch"]).eval()
    network.load_state_dict(saved["network"])
    options.out.mkdir(parents=True, exist_ok=True)
    loaded = Loaded(network.body, f"{ARCHS[saved['arch']][0].__name__}/mobilenet_v2", len(CLASSES), Frame(STRIDE, SHORT))
    facts = export_segmenter(
        loaded, options.out, options.name, CLASSES, licence="Apache-2.0", source="training/segment_train.py", trained_on=SOURCES
    )
    graph, photos = options.out / GRAPH, Photos(options.data)
    found = {"float32": measured(options.out, options.data)}
    smaller = {"float16 weights": to_half(graph), "int8": to_int8(graph, photos)}
    for precision, content in smaller.items():
        found[precision] = written(options.out, facts, content, precision, options.data)
        print(precision, len(content), found[precision]["miou"], "of", found["float32"]["miou"])
    kept = "int8"
    if found["float32"]["miou"] - found["int8"]["miou"] > MOST_LOST:
        kept = "float16 weights"
        written(options.out, facts, smaller[kept], kept, options.data)
    final = SegmenterFacts.read(options.out)
    more = {name: {"miou": figures["miou"], "category_miou": figures["category_miou"]} for name, figures in found.items()}
    replace(final, measured={**facts.measured, "precision": kept, "camvid val": more}).write(options.out)
    (options.run / "exported.json").write_text(json.dumps({"kept": kept, **found}, indent=2))


def written(folder: Path, facts: SegmenterFacts, content: bytes, precision: str, data: Path) -> dict[str, object]:
    """Put a graph in place; what it reaches."""
    (folder / GRAPH).write_bytes(content)
    replace(facts, files={GRAPH: digest_of(folder / GRAPH)}, measured={**facts.measured, "precision": precision}).write(folder)
    return measured(folder, data)


if __name__ == "__main__":
    main()
