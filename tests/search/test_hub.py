"""Models from the hub, played by a server on this machine: what is fetched, what the cache answers, and errors within five seconds."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocess import InputError, PellucidError, StorageFull, WeightsError
from search import EncoderOptions, Model, Terms, add_model, load_encoder

NAME = "some/model"
LIMIT_S = 5.0


@pytest.fixture
def published(hub: Any, immich: Callable[..., Path], tmp_path: Path) -> Any:
    """The hub, with one repository in Immich's layout that states a licence."""
    hub.repositories[NAME] = immich(tmp_path / "published", beside=True)
    (tmp_path / "published" / "README.md").write_text("---\nlicense: mit\n---\n# A model\n", encoding="utf-8")
    hub.licences[NAME] = {"license": "mit"}
    return hub


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts and never answers."""
    server = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                held.append(server.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}"
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(5)
    for connection in held:
        connection.close()


def endpoint(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")


def models_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


def refused(models: Path, match: str, kind: type[PellucidError] = WeightsError, **options: Any) -> None:
    """Adding fails with this error, soon, and leaves nothing."""
    start = time.monotonic()
    with pytest.raises(kind, match=match):
        add_model(f"hub:{NAME}", models, **options)
    assert time.monotonic() - start < LIMIT_S
    assert models_in(models) == []


def test_a_model_comes_with_its_facts_files_and_vectors(published: Any, tmp_path: Path) -> None:
    steps: list[tuple[str, float | None]] = []
    shown: list[Terms] = []

    def consent(terms: Terms) -> bool:
        shown.append(terms)
        assert not any("resolve" in asked for asked in published.asked)  # before anything is downloaded
        return True

    def on_progress(step: str, share: float | None) -> None:
        steps.append((step, share))

    model = add_model(f"hub:{NAME}", tmp_path / "models", accept_licence=consent, on_progress=on_progress)
    assert [terms.licence for terms in shown] == ["mit"]
    assert (model.name, model.source, model.licence, model.dim) == ("model", f"hub:{NAME}", "mit", 8)
    folder = tmp_path / "models" / "model"
    names = ["image.onnx", "image.onnx.data", "text.onnx", "text.onnx.data", "tokenizer.json"]
    assert sorted(model.files) == names
    assert models_in(folder) == sorted([*names, "weights.json"])
    assert models_in(tmp_path / "models") == ["model"]
    assert Model.read(folder) == model
    assert model.wrong_files(folder) == []
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == model.files[name] for name in names)
    shares = [share for step, share in steps if share is not None]
    assert max(shares) == 1
    assert {step for step, _ in steps} >= {"download visual/model.onnx", "download textual/model.onnx_data", "check"}
    encoder = load_encoder("model", EncoderOptions(models=tmp_path / "models"))
    rows = encoder.encode_texts(["a photo", "a dog"])
    assert rows.shape == (2, 8)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_without_network_a_complete_cache_is_enough(published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = add_model(f"hub:{NAME}", tmp_path / "first")
    endpoint(monkeypatch, "http://127.0.0.1:1")
    asked = len(published.asked)
    for models, options in ((tmp_path / "second", {}), (tmp_path / "third", {"offline": True})):
        start = time.monotonic()
        again = add_model(f"hub:{NAME}", models, **options)
        assert time.monotonic() - start < LIMIT_S
        assert (again.files, again.licence) == (first.files, "mit")
    assert len(published.asked) == asked


@pytest.mark.parametrize("variable", [False, True])
def test_offline_asks_nobody(published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: bool) -> None:
    from huggingface_hub import constants

    if variable:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(tmp_path / "models", r"is not asked: .* has nothing of some/model.*path:FOLDER", offline=not variable)
    assert published.asked == []


def test_an_incomplete_cache_names_the_file_and_the_remedy(published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    add_model(f"hub:{NAME}", tmp_path / "first")
    (link,) = Path(constants.HF_HUB_CACHE).glob("models--some--model/snapshots/*/textual/model.onnx_data")
    link.unlink()
    endpoint(monkeypatch, "http://127.0.0.1:1")
    refused(tmp_path / "models", r"cannot be reached.*no textual/model\.onnx_data of some/model.*models--some--model")


def test_a_hub_that_is_not_there(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint(monkeypatch, "http://127.0.0.1:1")
    refused(tmp_path / "models", r"cannot be reached.*copy the model's folder here.*path:FOLDER")


def test_a_name_server_that_does_not_know_it(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint(monkeypatch, "http://hub.invalid")
    refused(tmp_path / "models", "cannot be reached")


def test_a_name_server_that_hangs(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()

    def hang(*_: Any, **__: Any) -> Any:
        free.wait(60)
        raise OSError("no name server")

    endpoint(monkeypatch, "http://hub.example")
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        refused(tmp_path / "models", "cannot be reached: no answer within 3 s")
    finally:
        free.set()


def test_a_hub_that_never_answers(hub: Any, silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint(monkeypatch, silent)
    refused(tmp_path / "models", "cannot be reached")


@pytest.mark.parametrize("answers", [False, True])
def test_a_proxy_in_the_way(hub: Any, silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: bool) -> None:
    from huggingface_hub.utils import _http

    endpoint(monkeypatch, "https://hub.example")
    monkeypatch.setenv("HTTPS_PROXY", silent if answers else "http://127.0.0.1:1")
    _http.close_session()  # it read the environment when it was opened
    try:
        refused(tmp_path / "models", "cannot be reached")
    finally:
        _http.close_session()


def test_large_files_on_a_host_that_never_answers(published: Any, silent: str, tmp_path: Path) -> None:
    published.elsewhere["visual/model.onnx"] = f"{silent}/blob"
    refused(tmp_path / "models", "cannot be reached: no answer|cannot be reached: .*timed out")


def test_large_files_on_another_host(published: Any, tmp_path: Path) -> None:
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Files(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(published.repositories[NAME]))

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:  # knows no ranges: the first byte is asked for, all come
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        published.elsewhere["visual/model.onnx"] = f"http://127.0.0.1:{server.server_port}/visual/model.onnx"
        assert add_model(f"hub:{NAME}", tmp_path / "models").dim == 8
        server.shutdown()


def test_a_repository_that_is_not_there(hub: Any, tmp_path: Path) -> None:
    refused(tmp_path / "models", "no repository some/model", InputError)


def test_a_repository_that_is_not_for_everybody(published: Any, tmp_path: Path) -> None:
    published.gated.add(NAME)
    refused(tmp_path / "models", r"not for everybody.*hf auth login")


@pytest.mark.parametrize("file", ["visual/model.onnx", "textual/tokenizer.json", "config.json"])
def test_a_repository_in_another_layout(published: Any, tmp_path: Path, file: str) -> None:
    (published.repositories[NAME] / file).unlink()
    refused(tmp_path / "models", f"has no {file}")


def test_weights_beside_a_graph_that_are_not_published(published: Any, tmp_path: Path) -> None:
    (published.repositories[NAME] / "textual" / "model.onnx_data").unlink()
    refused(tmp_path / "models", "has no textual/model.onnx_data")


def test_a_connection_that_breaks_once_goes_on_where_it_was(published: Any, tmp_path: Path) -> None:
    published.cut["visual/model.onnx_data"] = 1
    assert add_model(f"hub:{NAME}", tmp_path / "models").wrong_files(tmp_path / "models" / "model") == []


def test_a_download_that_breaks_off_leaves_nothing_and_can_be_run_again(
    published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import file_download

    monkeypatch.setattr(file_download.time, "sleep", lambda _: None)  # between its attempts
    published.cut["textual/model.onnx"] = 99
    with pytest.raises(WeightsError, match="the same command goes on from there"):
        add_model(f"hub:{NAME}", tmp_path / "models")
    assert models_in(tmp_path / "models") == []
    published.cut.clear()
    assert add_model(f"hub:{NAME}", tmp_path / "models").dim == 8


@pytest.mark.parametrize("offline", [False, True])
def test_a_file_that_is_not_what_the_hub_says_is_fetched_again(published: Any, tmp_path: Path, offline: bool) -> None:
    from huggingface_hub import constants

    add_model(f"hub:{NAME}", tmp_path / "first")
    (link,) = Path(constants.HF_HUB_CACHE).glob("models--some--model/snapshots/*/visual/model.onnx_data")
    content = bytearray(link.read_bytes())
    content[0] ^= 255
    link.resolve().write_bytes(content)
    refused(tmp_path / "models", r"visual/model\.onnx_data of some/model is damaged.*Run the same command again", offline=offline)
    assert add_model(f"hub:{NAME}", tmp_path / "models").dim == 8


@pytest.mark.parametrize(
    "licence", [{"license": "apple-amlr"}, {"license": "other", "license_name": "apple-amlr"}, {"license": ["cc-by-nc-4.0"]}]
)
def test_research_only_terms_want_consent_before_anything_is_downloaded(published: Any, tmp_path: Path, licence: dict[str, Any]) -> None:
    published.licences[NAME] = licence
    refused(tmp_path / "models", r"allow research only.*--accept-licence", InputError)
    refused(tmp_path / "models", r"allow research only", InputError, accept_licence=lambda _: False)
    assert not any("resolve" in asked for asked in published.asked)
    assert add_model(f"hub:{NAME}", tmp_path / "models", accept_licence=True).licence in ("apple-amlr", "cc-by-nc-4.0")


@pytest.mark.parametrize(
    ("number", "kind", "match"),
    [(errno.ENOSPC, StorageFull, "is full.*HF_HOME"), (errno.EROFS, WeightsError, "cannot be written.*HF_HOME")],
)
def test_a_cache_that_takes_no_more(
    published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[PellucidError], match: str
) -> None:
    from search import _hub

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(_hub, "hf_hub_download", full)
    refused(tmp_path / "models", match, kind)


def test_a_checkpoints_tokenizer_is_looked_for_before_torch_is_imported(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("open_clip") is None:
        pytest.skip("open_clip is not installed")
    endpoint(monkeypatch, "http://127.0.0.1:1")
    (tmp_path / "weights.pt").write_bytes(b"something")
    start = time.monotonic()
    with pytest.raises(WeightsError, match=r"cannot be reached.*timm/ViT-B-16-SigLIP2"):
        add_model(f"path:{tmp_path / 'weights.pt'}", tmp_path / "models", arch="ViT-B-16-SigLIP2")
    assert time.monotonic() - start < LIMIT_S
    assert models_in(tmp_path / "models") == []


def test_no_stated_licence_is_said(published: Any, tmp_path: Path) -> None:
    published.licences.clear()
    assert add_model(f"hub:{NAME}", tmp_path / "models").licence == "not stated"


def test_open_clips_weights_are_looked_for_before_torch_is_imported(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("open_clip") is None:
        pytest.skip("open_clip is not installed")
    endpoint(monkeypatch, "http://127.0.0.1:1")
    start = time.monotonic()
    with pytest.raises(WeightsError, match=r"cannot be reached.*laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K"):
        add_model("ViT-B-32-256", tmp_path / "models")
    with pytest.raises(InputError, match="Did you mean 'openai'"):
        add_model("open_clip:ViT-B-32/opeanai", tmp_path / "models")
    assert time.monotonic() - start < LIMIT_S
    assert models_in(tmp_path / "models") == []


@pytest.fixture
def tiny_weights(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An architecture of open_clip's kind that is small, with random weights on the hub under the tag "ours"."""
    if importlib.util.find_spec("open_clip") is None:
        pytest.skip("open_clip is not installed")
    import open_clip
    from open_clip import factory
    from open_clip.pretrained import _PRETRAINED
    from safetensors.torch import save_file

    from search import pretrained

    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16, "head_width": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    entry = {"hf_hub": "some/tiny/"}
    monkeypatch.setitem(factory._MODEL_CONFIGS, "Tiny", config)
    monkeypatch.setitem(_PRETRAINED, "Tiny", {"ours": entry})
    monkeypatch.setattr(pretrained, "_table", lambda: {"Tiny": {"ours": entry}})
    monkeypatch.setattr(pretrained, "architecture", lambda _arch: config)
    module = open_clip.create_model("Tiny")
    (tmp_path / "published").mkdir()
    save_file(
        {name: value.contiguous() for name, value in module.state_dict().items()}, tmp_path / "published" / "open_clip_model.safetensors"
    )
    (tmp_path / "published" / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    hub.repositories["some/tiny"] = tmp_path / "published"
    hub.licences["some/tiny"] = {"license": "mit"}
    return hub


def test_open_clips_weights_come_from_the_hub_and_then_from_its_cache(
    tiny_weights: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = add_model("open_clip:Tiny/ours", tmp_path / "first")
    assert (first.name, first.source, first.licence, first.dim) == ("Tiny--ours", "open_clip:Tiny/ours", "mit", 16)
    assert first.measured["image_cosine"] > 0.9999
    asked = len(tiny_weights.asked)
    endpoint(monkeypatch, "http://127.0.0.1:1")
    again = add_model("open_clip:Tiny/ours", tmp_path / "second")
    assert (again.files, again.licence) == (first.files, "mit")
    assert len(tiny_weights.asked) == asked


def test_weights_that_are_not_in_the_cache_are_an_error_with_the_remedy(
    tiny_weights: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    add_model("open_clip:Tiny/ours", tmp_path / "first")
    (link,) = Path(constants.HF_HUB_CACHE).glob("models--some--tiny/snapshots/*/open_clip_model.safetensors")
    link.unlink()
    endpoint(monkeypatch, "http://127.0.0.1:1")
    start = time.monotonic()
    with pytest.raises(WeightsError, match=r"cannot be reached.*models--some--tiny"):
        add_model("open_clip:Tiny/ours", tmp_path / "second")
    assert time.monotonic() - start < LIMIT_S
    assert models_in(tmp_path / "second") == []
