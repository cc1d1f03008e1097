"""The card's four figures from a tower in training, in percent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


@torch.no_grad()
def figures(tower: nn.Module, text_map: nn.Module, work: Path, side: int) -> dict[str, float]:
    """R@10 of text to image on two collections, top-1 on Tiny-ImageNet, top-5 on ImageNet's samples; texts come from the teacher."""
    words = json.loads((work / "eval.json").read_text())
    out = {}

    def see(name: str) -> Tensor:
        photos = torch.from_numpy(np.load(work / f"{name}.npy")).permute(0, 3, 1, 2)
        parts = []
        for part in photos.split(250):
            small = functional.interpolate(part.float() / 255, size=(side, side), mode="bilinear", antialias=True)
            with torch.autocast("cpu", torch.bfloat16):
                parts.append(tower(small.contiguous(memory_format=torch.channels_last)).float())
        return torch.cat(parts)

    def say(name: str) -> Tensor:
        return text_map(functional.normalize(torch.from_numpy(np.load(work / f"{name}-vectors.npy")).float(), dim=-1))

    for name in ("retrieval-coco", "retrieval-flickr"):
        owner = torch.tensor([i for i, row in enumerate(words[name]) for _ in row])
        top = (say(name) @ see(name).T).topk(10).indices
        out[name] = (top == owner[:, None]).any(1).float().mean().item() * 100
    labels = torch.tensor([words["tiny"].index(x) for x in words["tiny-labels"]])
    out["tiny top-1"] = ((see("tiny") @ say("tiny").T).argmax(1) == labels).float().mean().item() * 100
    top = (see("samples") @ say("samples").T).topk(5).indices
    out["samples top-5"] = (top == torch.arange(len(top))[:, None]).any(1).float().mean().item() * 100
    return {k: round(v, 1) for k, v in out.items()}
