"""Compute the image tower's convolutions in int8: `python quantize.py --work WORK --out ../search/builtin`, after export.py.

Activations are calibrated on training photos. Weights use seven bits, so that processors without VNNI, whose 8-bit products saturate at
16 bits, give the same vectors. The result is kept only where its vectors stay within 0.999 of the float32 ones (mean cosine).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from PIL import Image

LEAST_COSINE = 0.999


class Photos(CalibrationDataReader):
    """Batches of training photos at the encoder's side."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.batches: Iterator[dict[str, np.ndarray]] = iter([{"pixels": part} for part in np.array_split(pixels, 8)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch, or none at the end."""
        return next(self.batches, None)


def sample(work: Path, side: int, seed: int, count: int = 256) -> np.ndarray:
    """UInt8["photo side side 3"]: random training photos."""
    photos = np.load(work / "photos.npy", mmap_mode="r")
    chosen = np.random.default_rng(seed).choice(len(photos), count, replace=False)
    return np.stack([np.asarray(Image.fromarray(photos[i]).resize((side, side), Image.Resampling.BICUBIC)) for i in chosen])


def vectors(file: Path, pixels: np.ndarray) -> np.ndarray:
    """Float32["photo 256"] from a graph."""
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]).run(None, {"pixels": pixels})[0]


def main() -> None:
    """Replace image.onnx by its int8 twin, and say so in weights.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    facts = json.loads((options.out / "weights.json").read_text())
    graph = options.out / "image.onnx"
    with tempfile.TemporaryDirectory() as place:
        plain, small = Path(place) / "plain.onnx", Path(place) / "int8.onnx"
        fold = onnxruntime.SessionOptions()  # stored weights become constants, which is what quantize_static reads
        fold.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        fold.optimized_model_filepath = str(plain)
        onnxruntime.InferenceSession(str(graph), fold, providers=["CPUExecutionProvider"])
        convolutions = [node for node in onnx.load(plain).graph.node if node.op_type == "Conv"]
        first = [node.name for node in convolutions if node.input[1] == convolutions[0].input[1]]  # they see the pixels, and cost little
        quantize_static(
            plain, small, Photos(sample(options.work, facts["image"]["side"], 0)), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["Conv", "Add", "Relu"],
            nodes_to_exclude=first,
        )  # fmt: skip
        fresh = sample(options.work, facts["image"]["side"], 1)
        cosines = (vectors(graph, fresh) * vectors(small, fresh)).sum(1)
        print(f"cosine of int8 with float32 on {len(fresh)} photos: mean {cosines.mean():.5f}, least {cosines.min():.5f}")
        if cosines.mean() < LEAST_COSINE:
            raise SystemExit("int8 is too far off; image.onnx stays as it is.")
        graph.write_bytes(small.read_bytes())
    facts["precision"] = "int8"
    facts["files"]["image.onnx"] = hashlib.sha256(graph.read_bytes()).hexdigest()
    (options.out / "weights.json").write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
