"""Write the encoder that ships: `python export.py --work WORK --run RUN --out ../search/builtin`.

Takes whatever tower.pt, map.pt, student.pt and tokenizer.json there are, so it can run while training goes on. Weights are stored as int8
with a scale a channel (Cast and Mul, which onnxruntime folds when it opens the file); everything is computed in float32.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import logging
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from distill_text import HEADS, HIDDEN, LAYERS, LENGTH, TEACHER, WIDTH
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from towers import DIM, MEAN, STD, ImageTower, SentenceTower
from train_image import TextMap

OPSET = 20
VERSION = 2  # of the weights; the model card has a table over versions
VIEWS, WIDE = ((64, False), (96, True)), 112  # what the tower sees, side and mirrored, and the side of the picture that it is made from
EXACT = tuple(f"{name}{side}" for name in ("rows", "columns") for side, _ in VIEWS)  # not weights
TRAINED_ON = (
    "photos and names: Caltech-101, MS COCO, Flickr8k, Tiny-ImageNet, Imagenette, PACS, Food-101, BIQ2021 and others that MODEL_CARD.md lists",
    "texts: WordNet nouns, Flickr8k captions, made-up queries",
    "sentence vectors of all-MiniLM-L6-v2 (Apache-2.0)",
)


class Eye(nn.Module):
    """UInt8["photo wide wide 3"] to unit rows Float["photo 256"]; the scale of the colours is inside the first convolution.

    The tower was trained on views that bilinear sampling had softened, and loses three points of recall on a picture squashed straight to its
    side. So it is given a larger one, and brings it down itself: the antialiased bilinear resize is one matrix a direction. It sees the picture
    once for each of `views`, a side and whether it is mirrored, and gives the direction between the vectors.
    """

    def __init__(self, tower: ImageTower, views: Sequence[tuple[int, bool]] = VIEWS) -> None:
        super().__init__()
        tower = copy.deepcopy(tower).eval()
        fold(tower)
        with torch.no_grad():
            tower.body[0].weight.div_(255 * torch.tensor(STD).view(1, 3, 1, 1))
        self.tower, self.sides = tower, [side for side, _ in views]
        self.register_buffer("grey", torch.tensor(MEAN) * 255)
        for side, mirrored in views:
            rows = functional.interpolate(torch.eye(WIDE)[None, None], size=(side, WIDE), mode="bilinear", antialias=True)[0, 0]
            self.register_buffer(f"rows{side}", rows)  # Float["side wide"]
            self.register_buffer(f"columns{side}", (rows.flip(0) if mirrored else rows).T.contiguous())

    def forward(self, pixels: Tensor) -> Tensor:
        """Unit rows."""
        whole = (pixels.float() - self.grey).permute(0, 3, 1, 2)
        return unit(torch.stack([self.see(whole, side) for side in self.sides]).sum(0))

    def see(self, whole: Tensor, side: int) -> Tensor:
        """Unit rows of one view."""
        grid = self.tower.body(getattr(self, f"rows{side}") @ whole @ getattr(self, f"columns{side}"))
        pooled = torch.cat([grid.mean((2, 3)), grid.amax((2, 3))], 1)
        return unit(self.tower.head(pooled))


class Ear(nn.Module):
    """Int64["text length"], 0 for padding, to unit rows Float["text 256"]; the student's projection and the map are one matrix."""

    def __init__(self, student: SentenceTower, text_map: TextMap) -> None:
        super().__init__()
        self.student = copy.deepcopy(student).eval()
        self.last = nn.Linear(WIDTH, DIM, bias=False)
        with torch.no_grad():
            self.last.weight.copy_(text_map.map.weight @ student.project.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Unit rows."""
        tower, mask = self.student, (ids != 0).float()
        x = tower.norm(tower.tokens(ids) + tower.places.weight[: ids.shape[1]])
        bias = ((1 - mask) * -1e4)[:, None, None, :]
        for layer in tower.layers:
            x = layer(x, bias)
        return unit(self.last((x * mask[..., None]).sum(1)))  # a sum does for the mean: its length is divided away


def unit(rows: Tensor) -> Tensor:
    """Rows of length 1."""
    return rows / rows.pow(2).sum(1, keepdim=True).clamp(min=1e-12).sqrt()


def fold(module: nn.Module) -> None:
    """Fold every batch norm that follows a convolution into it, in place."""
    for child in module.children():
        fold(child)
    if isinstance(module, nn.Sequential):
        for index in range(1, len(module)):
            if isinstance(module[index], nn.BatchNorm2d):
                module[index - 1], module[index] = fuse_conv_bn_eval(module[index - 1], module[index]), nn.Identity()


def shrink(model: onnx.ModelProto) -> None:
    """Store the large weights as int8 with a scale a channel, in place; a table of rows is looked up as int8."""
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    kept, before, replaced = [], [], {}
    for tensor in model.graph.initializer:
        value, node = numpy_helper.to_array(tensor), users.get(tensor.name, [None])[0]
        weight = value.dtype == np.float32 and value.size >= 4096 and tensor.name not in EXACT
        if not weight or node is None or node.op_type not in ("Conv", "Gemm", "MatMul", "Gather"):
            kept.append(tensor)
            continue
        flat = node.op_type == "MatMul" or (node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute))
        over = tuple(i for i in range(value.ndim) if i != (value.ndim - 1 if flat else 0))
        scale = np.maximum(np.abs(value).max(over, keepdims=True) / 127, 1e-12).astype(np.float32)
        small = np.clip(np.rint(value / scale), -127, 127).astype(np.int8)
        name = tensor.name
        kept += [numpy_helper.from_array(small, f"{name}.int8"), numpy_helper.from_array(scale, f"{name}.scale")]
        if node.op_type == "Gather":
            ids, out = node.input[1], node.output[0]
            replaced[out] = [
                helper.make_node("Gather", [f"{name}.int8", ids], [f"{name}.rows"], axis=0),
                helper.make_node("Gather", [f"{name}.scale", ids], [f"{name}.scales"], axis=0),
                helper.make_node("Cast", [f"{name}.rows"], [f"{name}.float"], to=TensorProto.FLOAT),
                helper.make_node("Mul", [f"{name}.float", f"{name}.scales"], [out]),
            ]
            continue
        before += [
            helper.make_node("Cast", [f"{name}.int8"], [f"{name}.float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [name]),
        ]
    nodes = [new for node in model.graph.node for new in replaced.get(node.output[0], [node])]
    for field, items in ((model.graph.initializer, kept), (model.graph.node, before + nodes)):
        del field[:]
        field.extend(items)
    del model.graph.value_info[:]


def write(module: nn.Module, sample: Tensor, names: tuple[str, str], dynamic: dict[int, str], file: Path) -> None:
    """Export a tower, shrink its weights, and check what was written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = ({axis: torch.export.Dim(name, min=1, max=LENGTH if name == "length" else 65536) for axis, name in dynamic.items()},)
        options = {"dynamic_shapes": shapes, "opset_version": OPSET, "dynamo": True, "verbose": False}
        program = torch.onnx.export(module.eval(), (sample,), input_names=[names[0]], output_names=[names[1]], **options)
    model = program.model_proto
    shrink(model)
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for thing in (*model.graph.input, *model.graph.output, model.graph, model):
        del thing.metadata_props[:]
        thing.doc_string = ""
    model.producer_name, model.producer_version, model.graph.name = "pellucid", "", file.stem
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, file.with_suffix(".tmp"))
    file.with_suffix(".tmp").replace(file)  # whoever opens the file meanwhile finds the old one whole


def compare(file: Path, name: str, module: nn.Module, batches: list[Tensor]) -> float:
    """The smallest cosine between what onnxruntime and torch make of the same input."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    least = 1.0
    with torch.no_grad():
        for batch in batches:
            rows = torch.from_numpy(session.run(None, {name: batch.numpy()})[0])
            least = min(least, (rows * module(batch)).sum(1).min().item())
    return least


def export(work: Path, run: Path, out: Path) -> None:
    """Write image.onnx, text.onnx, tokenizer.json and weights.json."""
    tower, text_map = ImageTower(), TextMap()
    tower.load_state_dict(torch.load(run / "tower.pt", weights_only=True))
    text_map.load_state_dict(torch.load(run / "map.pt", weights_only=True))
    tokenizer = Tokenizer.from_file(str(work / "tokenizer.json"))
    student = SentenceTower(tokenizer.get_vocab_size(), WIDTH, LAYERS, HEADS, HIDDEN, LENGTH, TEACHER)
    student.load_state_dict(torch.load(work / "student.pt", weights_only=True))
    tower.eval(), text_map.eval(), student.eval()
    eye, ear = Eye(tower), Ear(student, text_map)
    out.mkdir(parents=True, exist_ok=True)
    write(eye, torch.zeros(2, WIDE, WIDE, 3, dtype=torch.uint8), ("pixels", "vectors"), {0: "batch"}, out / "image.onnx")
    write(ear, torch.ones(2, 7, dtype=torch.int64), ("ids", "vectors"), {0: "batch", 1: "length"}, out / "text.onnx")
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)

    photos = torch.from_numpy(np.load(work / "samples.npy")[:200]).permute(0, 3, 1, 2).float()
    wide = functional.interpolate(photos, size=(WIDE, WIDE), mode="bilinear", antialias=True).clamp(0, 255).byte()
    photos = wide.permute(0, 2, 3, 1).contiguous()
    captions = [c for row in json.loads((work / "eval.json").read_text())["retrieval-flickr"] for c in row]
    ids = [torch.tensor([e.ids for e in tokenizer.encode_batch(captions[i : i + n])]) for i, n in ((0, 1), (1, 64), (65, 200))]
    print(f"least cosine, onnxruntime to torch: photos {compare(out / 'image.onnx', 'pixels', eye, list(photos.split(50))):.5f}, "
          f"texts {compare(out / 'text.onnx', 'ids', ear, ids):.5f}")  # fmt: skip
    with torch.no_grad():
        normal = tower(functional.interpolate(wide[:20].float() / 255, size=(80, 80), mode="bilinear", antialias=True))
        print(f"least cosine, folded to trained: {(normal * Eye(tower, ((80, False),))(photos[:20])).sum(1).min().item():.5f}")

    files = ("image.onnx", "text.onnx", "tokenizer.json")
    about = {
        "format": 2, "name": "builtin", "dim": DIM,
        "image": {"side": WIDE, "resize": "squash", "interpolation": "bicubic", "fill": 0, "mean": MEAN, "std": STD, "layout": "pixels",
                  "tensor": "pixels", "gap": 3.0},
        "text": {"length": LENGTH, "pad": 0, "padded": False, "clean": "none", "dtype": "int64", "tensor": "ids"},
        "files": {f: hashlib.sha256((out / f).read_bytes()).hexdigest() for f in files},
        "licence": "Apache-2.0", "source": "builtin", "arch": "", "precision": "fp32",
        "logit_scale": round(float(torch.load(run / "checkpoint.pt", weights_only=True)["scale"].exp()), 3), "logit_bias": 0.0,
        "version": VERSION, "measured": {}, "trained_on": TRAINED_ON,
    }  # fmt: skip
    (out / "weights.json").write_text(json.dumps(about, indent=2) + "\n")
    for name in files:
        begun = time.perf_counter()
        if name.endswith(".json"):
            Tokenizer.from_file(str(out / name))
        else:
            onnxruntime.InferenceSession(str(out / name), providers=["CPUExecutionProvider"])
        print(f"{name}: {(out / name).stat().st_size / 1e6:.2f} MB, opens in {(time.perf_counter() - begun) * 1000:.0f} ms")


def main() -> None:
    """Export the built-in encoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="the run of train_image.py whose tower.pt and map.pt to take")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    export(options.work, options.run, options.out)


if __name__ == "__main__":
    main()
