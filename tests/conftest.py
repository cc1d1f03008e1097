"""A tiny real encoder, small real photos, and libraries of both."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotate import Annotation, Region, encode_mask
from preprocess import digest_of, squash
from search import ENCODERS, Encoder, Library, Recipe, Store, normalize

SHARED = (Path(__file__).parents[1].parent / "shared").resolve() / "data"  # the library keeps real names, without links

COLOURS = {
    "red": (220, 30, 30), "green": (30, 190, 40), "blue": (30, 50, 220), "yellow": (240, 220, 40), "cyan": (40, 210, 220),
    "magenta": (210, 40, 200), "orange": (245, 140, 20), "black": (8, 8, 8), "white": (248, 248, 248), "grey": (128, 128, 128),
}  # fmt: skip


class MeanColour:
    """Photos by the mean colours of a 4x4 grid, words by the colours they name: small, exact, and right about colours."""

    batch_size = 4
    side = 16
    grid = 4

    def __init__(self, name: str = "mean-colour", precision: str = "fp32") -> None:
        weights = hashlib.sha256(repr(sorted(COLOURS.items())).encode()).hexdigest()
        self.recipe = Recipe(name, weights, precision, "none", self.grid**2 * 3 + 1)

    def prepare(self, pixels: Any) -> Any:
        return squash(pixels, self.side)

    def encode_images(self, prepared: Sequence[Any]) -> Any:
        if not len(prepared):
            return np.zeros((0, self.recipe.dim), np.float32)
        step = self.side // self.grid
        cells = np.stack(prepared).reshape(-1, self.grid, step, self.grid, step, 3).mean((2, 4))
        return self._rows(cells.reshape(len(prepared), -1))

    def encode_texts(self, texts: Sequence[str]) -> Any:
        named = [[COLOURS[word] for word in text.lower().split() if word in COLOURS] for text in texts]
        means = np.array([np.mean(colours, 0) if colours else (128, 128, 128) for colours in named]).reshape(-1, 3)
        return self._rows(np.tile(means, self.grid**2))

    def _rows(self, colours: Any) -> Any:
        """Centred colours, and a constant so that grey is not nothing."""
        centred = np.asarray(colours, np.float32) / 127.5 - 1
        return normalize(np.concatenate([centred, np.full((len(centred), 1), 0.5, np.float32)], 1))


class Halves:
    """A maker of regions: the left and the right half of each photo, labelled by the colour nearest to their own; none in a grey photo."""

    short = 16

    def __init__(self, version: int = 1) -> None:
        self.id, self.seen = f"halves-{version}", 0

    def __call__(self, pixels: Any, size_wh: tuple[int, int]) -> Annotation:
        self.seen += 1
        middle, (width, height) = pixels.shape[1] // 2, size_wh
        regions = []
        for half, (x1, x2) in ((pixels[:, :middle], (0.0, width / 2)), (pixels[:, middle:], (width / 2, float(width)))):
            mean = half.reshape(-1, 3).mean(0)
            label = min(COLOURS, key=lambda name: float(np.abs(mean - COLOURS[name]).sum()))
            inside = np.zeros(pixels.shape[:2], np.bool_)
            inside[:, : middle if x1 == 0 else None] = x1 == 0
            inside[:, middle:] |= x1 > 0
            colour = tuple(round(float(value)) for value in mean)
            mask = encode_mask(inside)
            if label != "grey":
                regions.append(Region((x1, 0.0, x2, float(height)), label, 0.9, mask, "machine", 0.5, colour, 0.25))  # type: ignore[arg-type]
        return Annotation(size_wh, tuple(regions), self.id)


@pytest.fixture
def halves(monkeypatch: pytest.MonkeyPatch) -> Halves:
    """The maker called `halves` in builds."""
    from indexer import build as build_function

    maker, module = Halves(), __import__("sys").modules[build_function.__module__]
    load = module.load_region_maker
    monkeypatch.setattr(module, "load_region_maker", lambda name, options: maker if name == "halves" else load(name, options))
    return maker


@pytest.fixture
def encoder() -> Encoder:
    return MeanColour()


@pytest.fixture
def make_encoder() -> Callable[..., MeanColour]:
    return MeanColour


@pytest.fixture
def mean_colour_listed(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name under which the command line finds the tiny encoder."""
    monkeypatch.setitem(ENCODERS, "mean-colour", lambda _threads: MeanColour())  # type: ignore[arg-type]
    return "mean-colour"


Paint = Callable[..., Path]


def paint_photo(
    file: Path, colour: str | tuple[int, int, int] = "red", *, seed: int | None = None, size: tuple[int, int] = (24, 16)
) -> Path:
    """A photo of one colour; with a seed, of that colour with grain, so that no two have the same bytes."""
    rgb = np.array(COLOURS[colour] if isinstance(colour, str) else colour, np.float64)
    pixels = np.broadcast_to(rgb, (size[1], size[0], 3))
    if seed is not None:
        pixels = pixels + np.random.default_rng(seed).normal(0, 12, pixels.shape)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file)
    return file


@pytest.fixture
def paint() -> Paint:
    return paint_photo


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with one photo of each colour, named by it."""
    for colour in COLOURS:
        paint_photo(tmp_path / "photos" / f"{colour}.png", colour)
    return tmp_path / "photos"


@pytest.fixture(scope="session")
def skimage_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with real photos that scikit-image carries."""
    skimage = pytest.importorskip("skimage", reason="the real photos of scikit-image are not installed")
    folder = tmp_path_factory.mktemp("skimage")
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "moon.png", "brick.png", "grass.png"):
        shutil.copyfile(Path(skimage.__file__).parent / "data" / name, folder / name)
    return folder


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library", create=True)


@pytest.fixture
def fill(library: Library, encoder: Encoder) -> Callable[..., Store]:
    """Put rows with vectors straight into the store, without any files: digest, path and vector of each."""

    def put(digests: Iterable[str], vectors: Any, paths: Iterable[str] | None = None, **columns: Any) -> Store:
        from search import image_row

        digests = list(digests)
        rows = normalize(np.asarray(vectors, np.float32))
        store = Store(library)
        recipe = Recipe("rows", "0" * 64, "fp32", "none", rows.shape[1])
        store.add_vectors(recipe, digests, rows)
        values = {name: list(column) for name, column in columns.items()}
        store.put_images(
            [
                image_row(root="/photos", path=path, digest=digest, **{name: column[at] for name, column in values.items()})
                for at, (digest, path) in enumerate(zip(digests, paths or [f"{d}.jpg" for d in digests], strict=True))
            ]
        )
        store.use(recipe)
        return store

    return put


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """A folder of the evaluation data; the test is skipped where it is missing."""

    def find(name: str) -> Path:
        if not (SHARED / name).exists():
            pytest.skip(f"the evaluation data {name} is not here")
        return SHARED / name

    return find


def _graph(
    file: Path, name: str, element: int, shape: list[Any], nodes: list[Any], weights: dict[str, Any], dim: int, beside: bool
) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    taken, given = (
        helper.make_tensor_value_info(name, element, shape),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", dim]),
    )
    tensors = [numpy_helper.from_array(np.asarray(value), key) for key, value in weights.items()]
    graph = helper.make_graph(
        [helper.make_node(kind, ins, outs, **more) for kind, ins, outs, more in nodes], "tower", [taken], [given], tensors
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file.parent.mkdir(parents=True, exist_ok=True)
    if beside:
        onnx.save_model(proto, str(file), save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    else:
        onnx.save_model(proto, str(file))


def immich_export(
    folder: Path, *, dim: int = 8, side: int = 16, batch: int | str = "batch", ids: str = "int32", beside: bool = False, seed: int = 0,
    text_cfg: dict[str, Any] | None = None, preprocess: dict[str, Any] | None = None,
) -> Path:  # fmt: skip
    """A tiny dual encoder in the layout that Immich publishes: mean colours, and the places of words, through random matrices."""
    from onnx import TensorProto
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    random, length = np.random.default_rng(seed), 12
    pool = [("GlobalAveragePool", ["image"], ["mean"], {}), ("Flatten", ["mean"], ["flat"], {}), ("MatMul", ["flat", "image.weight"], ["some"], {}),
            ("Add", ["some", "image.bias"], ["embedding"], {})]  # fmt: skip
    weights = {"image.weight": random.normal(size=(3, dim)).astype(np.float32), "image.bias": np.full(dim, 0.1, np.float32)}
    _graph(folder / "visual" / "model.onnx", "image", TensorProto.FLOAT, [batch, 3, side, side], pool, weights, dim, beside)
    element = TensorProto.INT32 if ids == "int32" else TensorProto.INT64
    look = [("Cast", ["text"], ["floats"], {"to": TensorProto.FLOAT}), ("MatMul", ["floats", "text.weight"], ["some"], {}),
            ("Add", ["some", "text.bias"], ["embedding"], {})]  # fmt: skip
    weights = {"text.weight": random.normal(size=(length, dim)).astype(np.float32), "text.bias": np.full(dim, 0.1, np.float32)}
    _graph(folder / "textual" / "model.onnx", "text", element, [batch, length], look, weights, dim, beside)
    words = ["<pad>", "<unk>", "<s>", "</s>", "a", "photo", "of", "dog", "cat", "red"]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)])
    tokenizer.save(str(folder / "textual" / "tokenizer.json"))
    facts = {
        "textual/tokenizer_config.json": {"pad_token": "</s>"},
        "visual/preprocess_cfg.json": {"size": [side, side], "mode": "RGB", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
                                       "interpolation": "bicubic", "resize_mode": "shortest", "fill_color": 0} | (preprocess or {}),
        "config.json": {"embed_dim": dim, "vision_cfg": {"image_size": side}, "text_cfg": {"context_length": length} | (text_cfg or {})},
    }  # fmt: skip
    for name, value in facts.items():
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    return folder


@pytest.fixture
def immich() -> Callable[..., Path]:
    return immich_export


def colour_segmenter(
    folder: Path,
    frame: Any = None,
    *,
    blur: int = 1,
    pooled: bool = False,
    gain: float = 1.0,
    labels: tuple[str, ...] = ("red", "green", "blue"),
) -> Path:
    """A tiny segmenter: logits are the normalised colours, blurred over `blur` pixels, times `gain`; with `pooled`, means over 8×8 pixels, enlarged again."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from annotate.segment import GRAPH, Frame, SegmenterFacts

    frame = frame or Frame(stride=8, tile=64, overlap=16, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    weight = np.zeros((3, 3, blur, blur), np.float32)
    weight[range(3), range(3)] = gain / blur**2
    constants: dict[str, Any] = {"weight": weight}
    nodes = []
    if frame.layout == "pixels":
        constants |= {
            "mean": 255 * np.array(frame.mean, np.float32)[:, None, None],
            "std": 255 * np.array(frame.std, np.float32)[:, None, None],
        }
        nodes += [
            ("Cast", [frame.tensor], "floats", {"to": TensorProto.FLOAT}),
            ("Transpose", ["floats"], "planes", {"perm": [0, 3, 1, 2]}),
        ]
        nodes += [("Sub", ["planes", "mean"], "centred", {}), ("Div", ["centred", "std"], "ready", {})]
        element, shape = TensorProto.UINT8, ["batch", "height", "width", 3]
    else:
        nodes += [("Identity", [frame.tensor], "ready", {})]
        element, shape = TensorProto.FLOAT, ["batch", 3, "height", "width"]
    nodes += [("Conv", ["ready", "weight"], "found", {"pads": [blur // 2] * 4})]
    if pooled:
        constants["scales"] = np.array([1, 1, 8, 8], np.float32)
        nodes += [("AveragePool", ["found"], "pooled", {"kernel_shape": [8, 8], "strides": [8, 8]})]
        nodes += [("Resize", ["pooled", "", "scales"], "logits", {"mode": "nearest"})]
    else:
        nodes += [("Identity", ["found"], "logits", {})]
    graph = helper.make_graph(
        [helper.make_node(kind, ins, [out], **more) for kind, ins, out, more in nodes],
        "segmenter",
        [helper.make_tensor_value_info(frame.tensor, element, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3, "rows", "columns"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), str(folder / GRAPH))
    SegmenterFacts(folder.name, labels, frame, {GRAPH: digest_of(folder / GRAPH)}, "CC0-1.0", arch="colours").write(folder)
    return folder


@pytest.fixture
def write_segmenter() -> Callable[..., Path]:
    return colour_segmenter


class FakeHub:
    """A hub on this machine: repositories are folders; `gated` ones refuse files, `cut` ones close the connection in the middle of a file."""

    commit = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self, address: str) -> None:
        self.address = address
        self.repositories: dict[str, Path] = {}
        self.licences: dict[str, dict[str, Any]] = {}
        self.gated: set[str] = set()
        self.cut: dict[str, int] = {}  # file -> how many more times
        self.elsewhere: dict[str, str] = {}  # file -> the address of another host that has it
        self.asked: list[str] = []

    def describe(self, name: str) -> dict[str, Any]:
        folder = self.repositories[name]
        files = []
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry: dict[str, Any] = {"rfilename": file.relative_to(folder).as_posix(), "size": file.stat().st_size, "blobId": "0" * 40}
            if "model.onnx" in file.name:
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": file.stat().st_size, "pointerSize": 130}
            files.append(entry)
        return {"id": name, "modelId": name, "sha": self.commit, "siblings": files, "cardData": self.licences.get(name, {}), "tags": []}


class _HubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *_: Any) -> None:
        pass

    def _send(self, status: int, body: bytes = b"", **headers: Any) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self) -> None:
        hub: FakeHub = self.server.hub
        path = self.path.partition("?")[0]
        hub.asked.append(f"{self.command} {path}")
        if path.startswith("/api/models/"):
            name = "/".join(path.split("/")[3:5])
            if name not in hub.repositories:
                return self._send(404, X_Error_Code="RepoNotFound")
            return self._send(200, json.dumps(hub.describe(name)).encode(), Content_Type="application/json")
        if path.count("/") < 5:
            return self._send(404)
        owner, repository, _, _revision, *rest = path.strip("/").split("/")
        name, file = f"{owner}/{repository}", "/".join(rest)
        if name in hub.gated:
            return self._send(401, X_Error_Code="GatedRepo")
        whole = hub.repositories[name] / file
        if not whole.is_file():
            return self._send(404, X_Error_Code="EntryNotFound", X_Repo_Commit=hub.commit)
        if file in hub.elsewhere:
            digest = hashlib.sha256(whole.read_bytes()).hexdigest()
            linked = {"X_Linked_Etag": f'"{digest}"', "X_Linked_Size": whole.stat().st_size, "X_Repo_Commit": hub.commit}
            return self._send(302, Location=hub.elsewhere[file], **linked)
        return self._file(hub, file, whole.read_bytes())

    do_HEAD = do_GET

    def _file(self, hub: FakeHub, file: str, content: bytes) -> None:
        etag = hashlib.sha256(content).hexdigest() if "model.onnx" in file else hashlib.sha1(content).hexdigest()
        headers = {"X_Repo_Commit": hub.commit, "ETag": f'"{etag}"', "Accept_Ranges": "bytes"}
        start = 0
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), int(last) + 1 if last else len(content)
            headers["Content_Range"] = f"bytes {start}-{end - 1}/{len(content)}"
            content = content[start:end]
        if self.command == "GET" and len(content) > 1 and hub.cut.get(file, 0) > 0:
            hub.cut[file] -= 1
            self._send(206 if asked else 200, content[: len(content) // 2], **{**headers, "Content_Length": len(content)})
            self.wfile.flush()
            self.connection.close()
            return
        self._send(206 if asked else 200, content, **headers)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub on this machine, and an empty cache; nothing else can be reached."""
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), _HubHandler)
    server.daemon_threads = True
    address = f"http://127.0.0.1:{server.server_port}"
    server.hub = FakeHub(address)  # type: ignore[attr-defined]
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server.hub  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
