"""Photos a second of one image tower through every runtime at hand, side by side in one run: eager torch (open_clip), onnxruntime fp32 and int8,
OpenVINO where it is installed, and torch.compile when asked for.

Run: `python benchmarks/encode.py [--arch ViT-B-32] [--threads N] [--rounds 5] [--compile] [--cpu-time] [--json]`. The weights are random, of the real size; the
photos are scikit-image's with variations, made ready once. The ways take turns, and each round gives one ratio to eager torch: read the ratios, the
speeds depend on the machine. Beside them stands what the machine reaches at most: the largest of a big float32 matrix product in numpy, torch and
onnxruntime, and of an 8-bit one in onnxruntime, measured in the same rounds. With a GPU, a second table. Exit code 1 when a target is missed:
onnxruntime fp32 at 1.3 times and int8 at 3 times eager torch, or at 90% of the peak: where eager torch is near the peak itself, nothing can be 1.3 times as
fast.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

TARGETS = {"onnxruntime fp32": 1.3, "onnxruntime int8": 3.0}
NOTHING_LEFT = 0.9  # of the peak
EAGER = "open_clip, eager torch"
PART = 16
Way = Callable[[list[Any]], Any]


def real_photos(count: int) -> list[Any]:
    """scikit-image's photos, and crops, mirrorings and other exposures of them."""
    import skimage
    from PIL import Image

    folder, random = Path(skimage.__file__).parent / "data", np.random.default_rng(0)
    names = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "moon.png", "brick.png", "grass.png")
    originals = [np.asarray(Image.open(folder / name).convert("RGB")) for name in names]
    photos = list(originals)
    while len(photos) < count:
        photo = originals[len(photos) % len(originals)]
        height, width = (int(size * random.uniform(0.5, 0.9)) for size in photo.shape[:2])
        top, left = random.integers(0, photo.shape[0] - height), random.integers(0, photo.shape[1] - width)
        crop = photo[top : top + height, left : left + width, :][:, :: random.choice((-1, 1))]
        photos.append((crop * random.uniform(0.6, 1.0)).astype(np.uint8))
    return photos[:count]


def made_model(arch: str, folder: Path) -> Any:
    """A model folder with both precisions; gives the torch model."""
    import torch

    from search._export import export_model
    from search._open_clip import create_module, describe
    from search._quantize import make_int8

    torch.manual_seed(0)
    loaded = describe(create_module(arch), arch)
    folder.mkdir(parents=True)
    export_model(loaded, folder, folder.name, "random weights", "none")
    make_int8(folder)
    return loaded.module


def torch_ways(module: Any, image: Any, threads: int, *, compiled: bool) -> Iterator[tuple[str, Way]]:
    """open_clip's own model: as it is, in bfloat16, and compiled."""
    import torch

    torch.set_num_threads(threads)
    scale = [torch.tensor(values).view(1, 3, 1, 1) for values in (image.mean, image.std)]

    def way(function: Any, *, lower: bool = False, part: int = PART) -> Way:
        def rows(squares: list[Any]) -> Any:
            found = []
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=lower):
                for at in range(0, len(squares), part):
                    pixels = torch.from_numpy(np.stack(squares[at : at + part])).permute(0, 3, 1, 2).float() / 255
                    found.append(function((pixels - scale[0]) / scale[1]).float())
            return torch.nn.functional.normalize(torch.cat(found), dim=-1).numpy()

        return rows

    yield EAGER, way(module.encode_image)
    yield "the same, photo by photo", way(module.encode_image, part=1)
    yield "torch bfloat16 autocast", way(module.encode_image, lower=True)
    if compiled:
        yield "torch.compile", way(torch.compile(module.encode_image))


def onnx_ways(folder: Path, threads: int) -> Iterator[tuple[str, Way]]:
    """Pellucid's own encoder."""
    from search import EncoderOptions
    from search._onnx_clip import OnnxEncoder

    for precision in ("fp32", "int8"):
        yield f"onnxruntime {precision}", OnnxEncoder(folder, EncoderOptions(precision=precision, threads=threads)).encode_images


def openvino_ways(folder: Path, threads: int) -> Iterator[tuple[str, Way]]:
    """The same graphs through OpenVINO, as many streams as threads, where it is installed."""
    try:
        import openvino
    except ImportError:
        return
    core = openvino.Core()

    def way(graph: str, hint: str) -> Way:
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": threads, "INFERENCE_PRECISION_HINT": hint}
        model = core.compile_model(str(folder / graph), "CPU", settings)
        queue = openvino.AsyncInferQueue(model, threads)

        def rows(squares: list[Any]) -> Any:
            found: dict[int, Any] = {}
            queue.set_callback(lambda request, at: found.__setitem__(at, request.get_output_tensor().data.copy()))
            for at in range(0, len(squares), PART):
                queue.start_async({0: np.stack(squares[at : at + PART])}, at)
            queue.wait_all()
            vectors = np.concatenate([found[at] for at in sorted(found)])
            return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

        return rows

    for label, graph, hint in (("fp32", "image.onnx", "f32"), ("bfloat16", "image.onnx", "bf16"), ("int8", "image.int8.onnx", "f32")):
        yield f"OpenVINO {label}", way(graph, hint)


def products(threads: int, size: int = 2048) -> dict[str, Callable[[], Any]]:
    """Matrix products that show what the machine reaches at most; 2·size³ operations each."""
    import onnxruntime
    import torch
    from onnx import TensorProto, helper

    a, b = np.random.default_rng(0).normal(size=(2, size, size)).astype(np.float32)
    bytes_a, bytes_b = np.random.default_rng(0).integers(0, 255, (size, size), dtype=np.uint8), (b * 30).clip(-127, 127).astype(np.int8)

    def session(operator: str, kinds: tuple[int, int, int], constant: Any) -> Any:
        from onnx import numpy_helper

        given = [helper.make_tensor_value_info(name, kind, [size, size]) for name, kind in zip("ac", (kinds[0], kinds[2]), strict=True)]
        node = helper.make_node(operator, ["a", "b"], ["c"])
        graph = helper.make_graph([node], "product", given[:1], given[1:], [numpy_helper.from_array(constant, "b")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    floats = session("MatMul", (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT), b)
    whole = session("MatMulInteger", (TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32), bytes_b)
    torch_a, torch_b = torch.from_numpy(a), torch.from_numpy(b)
    return {
        "float32, numpy": lambda: a @ b,
        "float32, torch": lambda: torch_a @ torch_b,
        "float32, onnxruntime": lambda: floats.run(None, {"a": a}),
        "int8, onnxruntime": lambda: whole.run(None, {"a": bytes_a}),
    }


def timed(function: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    time.sleep(0.2)  # threads of the way before may still spin
    start = clock()
    function()
    return clock() - start


def operations(module: Any, side: int) -> float:
    """Multiplications and additions for one photo, counted by torch."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the counter does not see into it
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        module.encode_image(torch.zeros(1, 3, side, side))
    torch.backends.mha.set_fastpath_enabled(fast)
    return float(counter.get_total_flops())


def measured(options: argparse.Namespace) -> dict[str, Any]:
    from search import Model
    from search._onnx_clip import OnnxEncoder

    clock = time.process_time if options.cpu_time else time.perf_counter
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / options.arch
        module = made_model(options.arch, folder)
        image = Model.read(folder).image
        encoder = OnnxEncoder(folder)
        squares = [encoder.prepare(photo) for photo in real_photos(options.photos or 2 * PART * options.threads)]
        ways = dict(torch_ways(module, image, options.threads, compiled=options.compile))
        ways |= dict(onnx_ways(folder, options.threads)) | dict(openvino_ways(folder, options.threads))
        vectors = {name: way(squares) for name, way in ways.items()}  # loads, and compiles
        big = products(options.threads)
        for product in big.values():
            product()
        seconds: dict[str, list[float]] = {name: [] for name in [*ways, *big]}
        for _ in range(options.rounds):
            for name, way in ways.items():
                seconds[name].append(timed(lambda way=way: way(squares), clock))  # type: ignore[misc]
            for name, product in big.items():
                seconds[name].append(timed(product, clock))
        each = operations(module, image.side)
    peaks = {name: 2 * 2048**3 / min(seconds[name]) / 1e9 for name in big}
    rows = {}
    for name in ways:
        ratios = [eager / own for eager, own in zip(seconds[EAGER], seconds[name], strict=True)]
        rows[name] = {
            "images_s": len(squares) / min(seconds[name]), "median_images_s": len(squares) / statistics.median(seconds[name]),
            "least_ratio": min(ratios), "median_ratio": statistics.median(ratios), "gflop_s": each * len(squares) / min(seconds[name]) / 1e9,
            "mean_cosine": float((vectors[name] * vectors[EAGER]).sum(1).mean()),
        }  # fmt: skip
    return {
        "arch": options.arch,
        "threads": options.threads,
        "processor_time": options.cpu_time,
        "photos": len(squares),
        "gflop": each / 1e9,
        "ways": rows,
        "peaks": peaks,
    }


def on_gpu(arch: str, photos: int, rounds: int) -> dict[str, Any]:
    """Images a second on a GPU: Pellucid's torch runtime, from prepared squares, beside the loop of open_clip's own documentation, from normalised
    tensors in memory. Both in bfloat16, batches of 64."""
    import torch

    from search import EncoderOptions, Model
    from search._export import _write_weights
    from search._open_clip import create_module, describe
    from search._tokenizers import write_clip_tokenizer
    from search._torch_clip import TorchEncoder
    from search.model import TOKENIZER, TORCH

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        loaded = describe(create_module(arch), arch)
        _write_weights(loaded.module, folder / TORCH)
        text = write_clip_tokenizer(folder / TOKENIZER, loaded.context_length)
        Model(arch, loaded.dim, loaded.image, text, {}, arch=arch).write(folder)
        encoder = TorchEncoder(folder, EncoderOptions(runtime="torch"))
        squares = [encoder.prepare(photo) for photo in real_photos(64)] * (photos // 64)
        module = loaded.module.cuda()
        tensors = [torch.from_numpy(square).permute(2, 0, 1).float() / 255 for square in squares[:64]] * (photos // 64)

        def own_loop() -> None:
            with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
                for at in range(0, len(tensors), 64):
                    features = module.encode_image(torch.stack(tensors[at : at + 64]).cuda())
                    features /= features.norm(dim=-1, keepdim=True)
                    features.cpu()

        ways = {"open_clip's loop": own_loop, "Pellucid, torch runtime": lambda: encoder.encode_images(squares)}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(rounds + 1):
            for name, way in ways.items():
                torch.cuda.synchronize()
                spent = timed(way)
                seconds[name] += [spent] if turn else []  # the first one warms up
    return {name: len(squares) / min(values) for name, values in seconds.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--arch", default="ViT-B-32")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    parser.add_argument("--photos", type=int, default=0, help="default: two parts of 16 for each thread")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="torch.compile too; it needs a C++ compiler and minutes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--cpu-time", action="store_true", help="count processor time, on a machine that is busy; with one thread only")
    options = parser.parse_args()
    if options.cpu_time and options.threads != 1:
        parser.error("--cpu-time counts the time of all threads together; give --threads 1")
    import torch

    facts = measured(options)
    if torch.cuda.is_available():
        facts["gpu"] = {
            "device": torch.cuda.get_device_name(),
            **{a: on_gpu(a, 1024, options.rounds) for a in ("ViT-B-32", "ViT-L-14-336")},
        }
    floats, ints = (max(value for name, value in facts["peaks"].items() if name.startswith(kind)) for kind in ("float32", "int8"))
    shares = {name: row["gflop_s"] / (ints if name == "onnxruntime int8" else floats) for name, row in facts["ways"].items()}
    slow = [name for name, target in TARGETS.items() if facts["ways"][name]["median_ratio"] < target]
    missed = [name for name in slow if shares[name] < NOTHING_LEFT]
    if options.json:
        print(json.dumps(facts | {"missed": missed}, indent=1))
        return int(bool(missed))
    print(
        f"{facts['arch']}, {facts['gflop']:.2f} GFLOP a photo, {facts['photos']} photos, {facts['threads']} threads, {options.rounds} rounds"
        f"{', processor time' if options.cpu_time else ''}"
    )
    print(f"{'way':26} {'images/s':>9} {'median':>8} {'times eager, median':>20} {'least':>6} {'GFLOP/s':>8} {'of peak':>8} {'cosine':>8}")
    for name, row in facts["ways"].items():
        share = "" if "bfloat" in name or name == "OpenVINO int8" else f"{shares[name]:.0%}"
        print(
            f"{name:26} {row['images_s']:9.1f} {row['median_images_s']:8.1f} {row['median_ratio']:20.2f} {row['least_ratio']:6.2f} "
            f"{row['gflop_s']:8.0f} {share:>8} {row['mean_cosine']:8.5f}"
        )
    print("Peak, a matrix product of 2,048: " + ", ".join(f"{name} {value:.0f} GFLOP/s" for name, value in facts["peaks"].items()))
    best = max(facts["ways"], key=lambda name: facts["ways"][name]["images_s"])
    print(
        f"Fastest: {best}, at {facts['ways'][best]['gflop_s'] / floats:.0%} of the float32 peak and {facts['ways'][best]['gflop_s'] / ints:.0%} of the int8 one."
    )
    for arch, speeds in facts.get("gpu", {}).items():
        print(
            f"{arch}: {speeds}"
            if arch == "device"
            else f"{arch}: " + ", ".join(f"{name} {value:,.0f} images/s" for name, value in speeds.items())
        )
    for name, target in TARGETS.items():
        verdict = (
            "MISSED" if name in missed else f"at {shares[name]:.0%} of the peak nothing is left to gain" if name in slow else "reached"
        )
        print(f"Target: {name}, {target} times eager: {facts['ways'][name]['median_ratio']:.2f}, {verdict}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
