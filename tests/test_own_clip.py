"""A checkpoint of one's own, at real size: made, added, indexed with and searched, with no network and without torch."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MAKER = Path(__file__).parents[1] / "demo" / "random_clip.py"
GUARD = """
import importlib.machinery, socket, sys

class Refused:
    # LanceDB looks whether torch could be imported; importing it is what is refused.
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "torchvision", "open_clip", "timm", "transformers"):
            return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
        raise AssertionError(f"{spec.name} was imported")

    def exec_module(self, module):
        pass

def offline(*_):
    raise AssertionError("the network was used")

sys.meta_path.insert(0, Refused())
socket.socket.connect = socket.create_connection = socket.getaddrinfo = offline
from api.cli import main
main()
"""

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("open_clip") is None, reason="the torch extra is not installed"),
    pytest.mark.timeout(900),  # half a gigabyte is made, exported and compared
]


def run(*command: object, **env: str) -> str:
    # One thread: what is measured here is whether it works.
    place = {**os.environ, "OMP_NUM_THREADS": "1", **env}
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, check=False, env=place)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_random_vit_b_32_is_added_indexed_and_searched(tmp_path: Path, skimage_photos: Path) -> None:
    weights = tmp_path / "random ✓.safetensors"
    run(MAKER, weights)
    env = {"PELLUCID_MODELS": str(tmp_path / "models"), "PELLUCID_LIBRARY": str(tmp_path / "library"), "HF_HUB_OFFLINE": "1"}
    env["HTTPS_PROXY"] = env["HTTP_PROXY"] = "http://127.0.0.1:9"  # nobody listens there
    added = json.loads(run("-m", "api.cli", "models", "add", f"path:{weights}", "--arch", "ViT-B-32", "--name", "mine", "--json", **env))
    measured = json.loads((tmp_path / "models" / "mine" / "weights.json").read_text())["measured"]
    assert measured["image_cosine"] >= 0.9999
    assert measured["text_cosine"] >= 0.9999
    assert measured["photos"] >= 4
    assert added["name"] == "mine"
    weights.unlink()  # it is not needed any more

    def pellucid(*words: object) -> Any:
        return json.loads(run("-c", GUARD, *words, "--json", **env))

    photos = sorted(skimage_photos.iterdir())
    report = pellucid("index", skimage_photos, "--encoder", "mine")
    assert report["new"] == len(photos)
    assert report["recipe"]["encoder"] == "mine"
    assert report["recipe"]["dim"] == 512
    assert not report["failed"]
    hits = pellucid("search", "a cat on a sofa", "-k", "3")["hits"]
    assert len(hits) == 3
    for photo in photos:
        first = pellucid("search", photo, "-k", "1")["hits"][0]
        assert first["file"] == str(photo)
        assert first["similarity"] == pytest.approx(1, abs=1e-3)
        if photo == photos[1]:
            break
    assert not pellucid("models", "verify")["models"][0]["faults"]
