"""Write the dehazers that ship: `python dehaze_export.py --work WORK --out ../preprocess/builtin`. Compares each graph with torch."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from dehaze_haze import LIGHT
from dehaze_nets import RADIUS, SMOOTH, AodNetwork, DehazeNetwork
from onnx import TensorProto, helper, numpy_helper
from torch import nn

OPSET, IR, FORMAT, VERSION = 17, 8, 1, 1
SIDE = 144  # pixels of the short side that the networks look at: the photos they were trained on have 60 to 192
T0 = 0.15
DENSE = (0.24, 0.18)  # transmission of the haziest pixels below which they begin to be the light, and wholly are
WHAT = {
    "dehazenet": "DehazeNet (Cai, Xu, Jia, Qing, Tao, IEEE TIP 2016): pixels over the light, float32 [photos, 3, height, width], to transmission "
    "[photos, 1, height - 15, width - 15]",
    "aod-net": "AOD-Net (Li, Peng, Wang, Xu, Feng, ICCV 2017): pixels in [0, 1], float32 [photos, 3, height, width], to K (map) and to the clear "
    "pixels K · I - K + 1 (clear) of the same shape",
}
TRAINED_ON = "clear photos of MS COCO, Flickr8k, Conceptual Captions, BIQ2021, Caltech-101, CamVid and others that MODEL_CARD.md lists, with synthetic haze"


class Graph:
    """Nodes and weights as they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: list[str], output: str, **more: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **more))
        return output

    def constant(self, value: np.ndarray, name: str) -> str:
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def convolution(self, layer: nn.Conv2d, taken: str, name: str) -> str:
        weight, bias = (self.constant(p.detach().numpy(), f"{name}.{kind}") for kind, p in (("weight", layer.weight), ("bias", layer.bias)))
        return self.node("Conv", [taken, weight, bias], name, pads=[layer.padding[0]] * 4)

    def save(self, outputs: dict[str, list[str | int]], file: Path) -> None:
        float_ = TensorProto.FLOAT
        taken = helper.make_tensor_value_info("pixels", float_, ["photos", 3, "height", "width"])
        given = [helper.make_tensor_value_info(name, float_, shape) for name, shape in outputs.items()]
        graph = helper.make_graph(self.nodes, file.stem, [taken], given, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="pellucid")
        onnx.checker.check_model(model, full_check=True)
        file.write_bytes(model.SerializeToString(deterministic=True))


def write_dehazenet(network: DehazeNetwork, file: Path) -> None:
    """The first convolution's 16 channels are dealt out into four convolutions of four, so that Maxout is a plain maximum of four arrays."""
    g, parts = Graph(), []
    for part in range(4):
        layer = nn.Conv2d(3, 4, 5)
        layer.weight, layer.bias = (nn.Parameter(p.detach()[part::4].clone()) for p in (network.first.weight, network.first.bias))
        parts.append(g.convolution(layer, "pixels", f"first{part}"))
    maps = g.node("Max", parts, "maxout")
    scales = [g.convolution(layer, maps, f"scale{layer.kernel_size[0]}") for layer in network.scales]
    pooled = g.node("MaxPool", [g.node("Concat", scales, "scales", axis=1)], "pooled", kernel_shape=[7, 7])
    last = g.convolution(network.last, pooled, "last")
    g.node("Clip", [last, g.constant(np.float32(0), "zero"), g.constant(np.float32(1), "one")], "map")  # BReLU
    g.save({"map": ["photos", 1, "below", "beside"]}, file)


def write_aod_net(network: AodNetwork, file: Path) -> None:
    """Five convolutions, each followed by a ReLU."""
    g = Graph()
    one, two, three, four, five = network.convolutions

    def step(layer: nn.Conv2d, taken: list[str], number: int, output: str | None = None) -> str:
        whole = g.node("Concat", taken, f"concat{number}", axis=1) if len(taken) > 1 else taken[0]
        return g.node("Relu", [g.convolution(layer, whole, f"conv{number}")], output or f"x{number}")

    x1 = step(one, ["pixels"], 1)
    x2 = step(two, [x1], 2)
    x3 = step(three, [x1, x2], 3)
    x4 = step(four, [x2, x3], 4)
    k = step(five, [x1, x2, x3, x4], 5, "map")
    less = g.node("Sub", [g.node("Mul", [k, "pixels"], "gained"), k], "less")
    g.node("Relu", [g.node("Add", [less, g.constant(np.float32(1), "b")], "sum")], "clear")
    g.save({"map": ["photos", 3, "height", "width"], "clear": ["photos", 3, "height", "width"]}, file)


def difference(network: nn.Module, file: Path) -> float:
    """The largest one between the graph and torch, on noise."""
    pixels = torch.rand(2, 3, 61, 47, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (given,) = session.run([session.get_outputs()[-1].name], {"pixels": pixels.numpy()})
    with torch.no_grad():
        return float(np.abs(given - network(pixels).numpy()).max())


def main() -> None:
    """Both graphs, and weights.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dehazenet", default="dehazenet", help="name of the run")
    parser.add_argument("--aod-net", default="aod-net", help="name of the run")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    more = {"dehazenet": {"light": LIGHT, "t0": T0, "dense": DENSE}, "aod-net": {}}
    models = {}
    for name, network, write in (("dehazenet", DehazeNetwork(), write_dehazenet), ("aod-net", AodNetwork(), write_aod_net)):
        network.load_state_dict(torch.load(options.work / f"{getattr(options, name.replace('-', '_'))}.pt")["average"])
        file = options.out / f"{name}.onnx"
        write(network.eval(), file)
        found = difference(network, file)
        if found > 1e-5:
            raise RuntimeError(f"{file} differs from torch by {found}")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        models[name] = {"what": WHAT[name], "sha256": digest, "side": SIDE, "radius": RADIUS, "eps": SMOOTH, **more[name]}
        logging.info("%s: %d bytes, at most %.1e from torch", file, file.stat().st_size, found)
    facts = {"format": FORMAT, "version": VERSION, "licence": "Apache-2.0", "trained_on": TRAINED_ON, "models": models}
    (options.out / "weights.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
