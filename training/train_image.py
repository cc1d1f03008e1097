"""Train the image tower against frozen teacher sentences: `python train_image.py --work WORK --minutes 90`.

The schedule follows the time spent, so a busy machine only means fewer passes. Saves every few minutes; run again to resume.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from degrade import degrade
from torch import Tensor, nn
from torch.nn import functional
from towers import DIM, ImageTower


class Words:
    """Teacher rows of every wording, and which wordings belong to a photo."""

    def __init__(self, work: Path) -> None:
        tables = json.loads((work / "texts.json").read_text())
        self.rows = functional.normalize(torch.from_numpy(np.load(work / "vectors.npy")).float(), dim=-1)
        self.photo_texts, self.variants, self.degraded = tables["photo_texts"], tables["variants"], tables["degraded"]
        self.groups = torch.tensor(tables["groups"])
        self.quality = torch.arange(len(tables["words"]) - 6, len(tables["words"]))

    def pick(self, photos: np.ndarray, kinds: Tensor, random: np.random.Generator) -> Tensor:
        """A wording's row number for each photo; for kind >= 0 the wording that names the degradation."""
        rows = []
        for photo, kind in zip(photos, kinds.tolist(), strict=True):
            text = random.choice(self.photo_texts[photo])
            rows.append(self.degraded + 6 * text + kind if kind >= 0 else random.choice(self.variants[text]))
        return torch.tensor(rows)


class TextMap(nn.Module):
    """Teacher space to the shared space: one linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(384, DIM, bias=False)

    def forward(self, rows: Tensor) -> Tensor:
        return functional.normalize(self.map(rows), dim=-1)


def random_views(photos: Tensor, side: int) -> Tensor:
    """Random crops, aspect changes and mirrorings of a batch, UInt8 in, Float out, in one sampling pass."""
    count = len(photos)
    area = torch.empty(count).uniform_(0.3, 1.0).sqrt()
    aspect = torch.empty(count).uniform_(-0.3, 0.3).exp().sqrt()
    width, height = (area * aspect).clamp(max=1), (area / aspect).clamp(max=1)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = width * torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    theta[:, 1, 1] = height
    theta[:, 0, 2] = (torch.rand(count) * 2 - 1) * (1 - width)
    theta[:, 1, 2] = (torch.rand(count) * 2 - 1) * (1 - height)
    pixels = photos.permute(0, 3, 1, 2).float().div_(255)
    grid = functional.affine_grid(theta, [count, 3, side, side], align_corners=False)
    views = functional.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    light = torch.empty(count, 1, 1, 1).uniform_(0.8, 1.2) * torch.empty(count, 3, 1, 1).uniform_(0.93, 1.07)
    grey = views.mean((2, 3), keepdim=True)
    contrast = torch.empty(count, 1, 1, 1).uniform_(0.8, 1.2)
    return (((views - grey) * contrast + grey) * light).clamp_(0, 1)


def contrastive(images: Tensor, texts: Tensor, like: Tensor, scale: Tensor) -> Tensor:
    """Softmax both ways against soft targets: texts that the teacher finds alike share the mass (temperature 0.04)."""
    logits = scale * images @ texts.T
    forward = -(torch.softmax(like / 0.04, 1) * torch.log_softmax(logits, 1)).sum(1).mean()
    batch = logits[:, : len(images)]
    backward = -(torch.softmax(like[:, : len(images)] / 0.04, 0) * torch.log_softmax(batch, 0)).sum(0).mean()
    return (forward + backward) / 2


@torch.no_grad()
def recalls(tower: ImageTower, text_map: TextMap, work: Path, side: int) -> dict[str, float]:
    """The four figures of the model card, in percent."""
    words = json.loads((work / "eval.json").read_text())
    out = {}

    def see(name: str) -> Tensor:
        photos = torch.from_numpy(np.load(work / f"{name}.npy")).permute(0, 3, 1, 2).float() / 255
        photos = functional.interpolate(photos, size=(side, side), mode="bilinear", antialias=True)
        return torch.cat([tower(p) for p in photos.split(250)])

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


def epoch(words: Words, random: np.random.Generator) -> np.ndarray:
    """Every photo once, those with real sentences four times: they are 4% of the photos and most of what retrieval learns from."""
    captioned = [at for at, texts in enumerate(words.photo_texts) if words.groups[at] < 0 and len(texts) != 3]  # three: product titles
    return random.permutation(np.concatenate([np.arange(len(words.photo_texts)), *([captioned] * 3)]))


def train(work: Path, minutes: float, batch: int = 256) -> None:
    """Train until the minutes are spent; `tower.pt` holds the running average that ships."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    photos, words = np.load(work / "photos.npy", mmap_mode="r"), Words(work)
    photos = torch.from_numpy(np.array(photos))
    quality, mos = torch.from_numpy(np.load(work / "quality.npy")), torch.from_numpy(np.load(work / "mos.npy"))
    tower, text_map, scale = ImageTower().to(memory_format=torch.channels_last), TextMap(), nn.Parameter(torch.tensor(2.7))
    groups = [
        {"params": [p for m in (tower, text_map) for p in m.parameters() if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for m in (tower, text_map) for p in m.parameters() if p.ndim <= 1] + [scale], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98))
    averages = [torch.optim.swa_utils.AveragedModel(m, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998), use_buffers=True)
                for m in (tower, text_map)]  # fmt: skip
    spent, step, file = 0.0, 0, work / "checkpoint.pt"
    if file.exists():
        saved = torch.load(file, weights_only=True)
        for module, state in zip((tower, text_map, *averages), saved["modules"], strict=True):
            module.load_state_dict(state)
        optimizer.load_state_dict(saved["optimizer"])
        scale.data, spent, step = saved["scale"], saved["spent"], saved["step"]
    bank = torch.tensor(sorted({v for row in words.variants for v in row}))
    last_save = last = time.monotonic()
    order, cursor = epoch(words, random), 0
    while spent < minutes * 60:
        if cursor + batch > len(order):
            order, cursor = epoch(words, random), 0
        chosen = order[cursor : cursor + batch]
        cursor += batch
        done = spent / (minutes * 60)
        rate = 1.5e-3 * min(1.0, (step + 1) / 300) * max(0.01, 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        side = 64 if done < 0.75 else 80
        views = random_views(photos[torch.from_numpy(chosen)], side)
        kinds = torch.where(torch.rand(batch) < 0.15, torch.randint(0, 6, (batch,)), -1)
        views = degrade(views, kinds)
        rows = words.pick(chosen, kinds, random)
        bad = kinds >= 0
        clean = words.pick(chosen[bad.numpy()], torch.full((int(bad.sum()),), -1), random)
        twist = (rows[bad] - words.degraded) // 6 * 6 + words.degraded + torch.randint(0, 6, (int(bad.sum()),))
        others = bank[torch.randint(0, len(bank), (2560,))]
        every = torch.cat([rows, clean, twist, others])
        sentences = words.rows[every]
        with torch.no_grad():
            like = sentences[:batch] @ sentences.T
            group = words.groups[torch.from_numpy(chosen)]
            same = (group[:, None] == group[None, :]) & (group >= 0)[None, :] & ~bad[:, None] & ~bad[None, :]
            like[:, :batch][same] = 1.0
        with torch.autocast("cpu", torch.bfloat16):
            images = tower(views.contiguous(memory_format=torch.channels_last))
        texts = text_map(sentences + torch.randn_like(sentences) * 0.01)
        loss = contrastive(images.float(), texts, like, scale.exp().clamp(max=60))
        if step % 4 == 0:
            some = torch.randint(0, len(mos), (48,))
            crops = functional.interpolate(
                quality[some].permute(0, 3, 1, 2).float() / 255, size=(side, side), mode="bilinear", antialias=True
            )
            with torch.autocast("cpu", torch.bfloat16):
                seen = tower(crops.contiguous(memory_format=torch.channels_last))
            asked = text_map(words.rows[words.quality])
            gaps = seen.float() @ (asked[0::2] - asked[1::2]).T
            target = torch.sigmoid((mos[some] - mos.mean()) / mos.std() * 2)[:, None].expand(-1, 3)
            loss = loss + 0.3 * functional.binary_cross_entropy_with_logits(8 * gaps, target)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([p for g in groups for p in g["params"]], 1.0)
        optimizer.step()
        averages[0].update_parameters(tower)
        averages[1].update_parameters(text_map)
        step += 1
        now = time.monotonic()
        spent, last = spent + min(now - last, 30.0), now  # a paused process does not spend its budget
        if step % 100 == 0:
            print(
                f"{spent / 60:6.1f} min  step {step}  pass {step * batch / len(photos):.2f}  loss {loss.item():.3f}  scale {scale.exp().item():.1f}",
                flush=True,
            )
        if now - last_save > 300 or spent >= minutes * 60:
            state = {"modules": [m.state_dict() for m in (tower, text_map, *averages)], "optimizer": optimizer.state_dict()}
            torch.save(state | {"scale": scale.data, "spent": spent, "step": step}, work / "checkpoint.tmp")
            (work / "checkpoint.tmp").replace(file)
            for module, name in zip(averages, ("tower", "map"), strict=True):
                torch.save(module.module.state_dict(), work / f"{name}.pt")
            if step // 100 % 5 and spent < minutes * 60:
                last_save = last = time.monotonic()
                continue
            averages[0].eval()
            print(f"{spent / 60:6.1f} min ", recalls(averages[0].module, averages[1].module, work, 64), flush=True)
            averages[0].train()
            last_save = last = time.monotonic()


def main() -> None:
    """Train the image tower."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--threads", type=int, default=0, help="0: all cores; one pinned core is better than two contended ones")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    train(options.work, options.minutes)


if __name__ == "__main__":
    main()
