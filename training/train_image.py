"""Train the image tower against frozen teacher sentences: `python train_image.py --work WORK --run RUN --steps 8000`.

Every random choice follows from the seed and the step's number, so a run that was stopped goes on as if it had not been. Saves every few
minutes to RUN: checkpoint.pt, tower.pt and map.pt (running averages, which ship), curve.jsonl. `--start` begins from an earlier run's average.
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
from figures import figures
from muon import Muon
from torch import Tensor, nn
from torch.nn import functional
from towers import DIM, ImageTower
from views import random_views

BATCH = 256
SIDES = ((0.45, 48), (0.85, 64), (1.0, 80))
"""Up to which part of the schedule the tower sees which side: small pictures teach the same things at half the cost."""
OTHERS, SENTENCES = 2560, 768  # texts of other photos in every batch, and in the later part sentences without photos
LATE = 0.5
"""From this part of the schedule on, captioned photos come twice a pass instead of four times, once in batches of their own: by then the tower knew their
captions by heart (98.8% of them found among 250, of unseen ones 49.6%). And sentences without photos are added to what is told apart.
"""
SHARP, SOFT = (
    0.04,
    0.08,
)  # temperature of the targets; soft for captions in the later part, so that a photo learns the neighbours of its sentence too
SAVE_S = 240.0


class Words:
    """Teacher rows of every wording, and which wordings belong to a photo."""

    def __init__(self, work: Path) -> None:
        tables = json.loads((work / "texts.json").read_text())
        self.rows = functional.normalize(torch.from_numpy(np.load(work / "vectors.npy")).float(), dim=-1)
        self.photo_texts, self.variants, self.degraded = tables["photo_texts"], tables["variants"], tables["degraded"]
        self.groups = torch.tensor(tables["groups"])
        self.quality = torch.arange(len(tables["words"]) - 6, len(tables["words"]))
        self.sentences = functional.normalize(torch.from_numpy(np.load(work / "captions.npy")).float(), dim=-1)
        alone = [group < 0 and len(texts) != 3 for group, texts in zip(tables["groups"], self.photo_texts, strict=True)]
        self.captioned = torch.tensor(alone)  # three texts: the title of a product
        self.bank = torch.tensor(sorted({v for row in self.variants for v in row}))

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


def contrastive(logits: Tensor, like: Tensor, soft: Tensor) -> Tensor:
    """Softmax both ways against soft targets: texts that the teacher finds alike share the mass, by the temperature of each photo."""
    count = len(logits)
    forward = -(torch.softmax(like / soft[:, None], 1) * torch.log_softmax(logits, 1)).sum(1).mean()
    batch = logits[:, :count]
    backward = -(torch.softmax(like[:, :count] / soft, 0) * torch.log_softmax(batch, 0)).sum(0).mean()
    return (forward + backward) / 2


class Run:
    """Everything that a step needs and a checkpoint holds."""

    def __init__(self, work: Path, options: argparse.Namespace) -> None:
        self.work, self.folder, self.seed, self.steps = work, options.run, options.seed, options.steps
        torch.manual_seed(self.seed)
        self.words = Words(work)
        self.photos = torch.from_numpy(np.load(work / "photos.npy"))
        self.quality, self.mos = torch.from_numpy(np.load(work / "quality.npy")), torch.from_numpy(np.load(work / "mos.npy"))
        self.tower, self.map = ImageTower(), TextMap()
        self.scale = nn.Parameter(torch.tensor(math.log(25.0) if options.start else 2.7))
        if options.start:
            for module, name in ((self.tower, "tower"), (self.map, "map")):
                module.load_state_dict(torch.load(options.start / f"{name}.pt", weights_only=True))
        self.tower = self.tower.to(memory_format=torch.channels_last)
        body = [p for p in self.tower.body.parameters() if p.ndim > 1]
        rest = [p for m in (self.tower, self.map) for p in m.parameters() if not any(p is b for b in body)] + [self.scale]
        self.adam = torch.optim.AdamW(
            [{"params": [p for p in rest if p.ndim > 1], "weight_decay": 0.05}, {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0}],
            betas=(0.9, 0.98),
        )  # fmt: skip
        self.muon = torch.optim.AdamW(body, betas=(0.9, 0.98), weight_decay=0.05) if options.adam else Muon(body, 0.0)
        average = torch.optim.swa_utils.get_ema_multi_avg_fn(0.998)
        self.averages = [torch.optim.swa_utils.AveragedModel(m, multi_avg_fn=average, use_buffers=True) for m in (self.tower, self.map)]
        self.step, self.curve, self.peak = 0, [], options.rate
        self.modules = [self.tower, self.map, *self.averages]
        if (self.folder / "checkpoint.pt").exists():
            self.load()

    def load(self) -> None:
        """Go on from the last save."""
        saved = torch.load(self.folder / "checkpoint.pt", weights_only=True)
        for module, state in zip((*self.modules, self.adam, self.muon), saved["states"], strict=True):
            module.load_state_dict(state)
        self.scale.data, self.step, self.curve = saved["scale"], saved["step"], saved["curve"]

    def save(self) -> None:
        """Through a temporary name, so that a kill leaves the save before."""
        states = [thing.state_dict() for thing in (*self.modules, self.adam, self.muon)]
        state = {"states": states, "scale": self.scale.data, "step": self.step, "curve": self.curve}
        torch.save(state, self.folder / "checkpoint.tmp")
        (self.folder / "checkpoint.tmp").replace(self.folder / "checkpoint.pt")
        for module, name in zip(self.averages, ("tower", "map"), strict=True):
            torch.save(module.module.state_dict(), self.folder / f"{name}.pt")
        (self.folder / "curve.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.curve))

    def order(self, number: int, late: bool) -> np.ndarray:
        """A pass: every photo once, those with real sentences four times (4% of the photos, and most of what retrieval learns from); see LATE."""
        captioned = self.words.captioned.nonzero()[:, 0].numpy()
        random, every = np.random.default_rng((self.seed, number)), np.arange(len(self.photos))
        if not late:
            every = random.permutation(np.concatenate([every, *([captioned] * 3)]))
            return every[: len(every) // BATCH * BATCH]
        parts = (random.permutation(every), random.permutation(captioned))
        batches = [part[at : at + BATCH] for part in parts for at in range(0, len(part) - BATCH + 1, BATCH)]
        return np.concatenate([batches[at] for at in random.permutation(len(batches))])

    def loss(self, chosen: np.ndarray, side: int) -> Tensor:
        """One batch: contrastive, and every fourth step the rated photos."""
        random, words = np.random.default_rng((self.seed, 1 << 32, self.step)), self.words
        torch.manual_seed((self.seed << 32) + self.step)
        views = random_views(self.photos[torch.from_numpy(chosen)], side)
        kinds = torch.where(torch.rand(BATCH) < 0.15, torch.randint(0, 6, (BATCH,)), -1)
        rows, bad = words.pick(chosen, kinds, random), kinds >= 0
        clean = words.pick(chosen[bad.numpy()], torch.full((int(bad.sum()),), -1), random)
        twist = (rows[bad] - words.degraded) // 6 * 6 + words.degraded + torch.randint(0, 6, (int(bad.sum()),))
        others = words.bank[torch.randint(0, len(words.bank), (OTHERS,))]
        sentences = words.rows[torch.cat([rows, clean, twist, others])]
        late = self.step >= LATE * self.steps
        if late:
            sentences = torch.cat([sentences, words.sentences[torch.randint(0, len(words.sentences), (SENTENCES,))]])
        like = sentences[:BATCH] @ sentences.T
        group = words.groups[torch.from_numpy(chosen)]
        same = (group[:, None] == group[None, :]) & (group >= 0)[None, :] & ~bad[:, None] & ~bad[None, :]
        like[:, :BATCH][same] = 1.0
        images = self.see(degrade(views, kinds))
        texts = self.map(sentences + torch.randn_like(sentences) * 0.01)
        soft = torch.where(words.captioned[torch.from_numpy(chosen)] & ~bad, SOFT if late else SHARP, SHARP)
        loss = contrastive(self.scale.exp().clamp(max=60) * images @ texts.T, like, soft)
        return loss if self.step % 4 else loss + 0.3 * self.rated(side)

    def see(self, views: Tensor) -> Tensor:
        """Unit rows, computed in bfloat16."""
        with torch.autocast("cpu", torch.bfloat16):
            return self.tower(views.contiguous(memory_format=torch.channels_last)).float()

    def rated(self, side: int) -> Tensor:
        """How far "good photo" minus "bad photo" is from what people said."""
        some = torch.randint(0, len(self.mos), (48,))
        crops = self.quality[some].permute(0, 3, 1, 2).float() / 255
        seen = self.see(functional.interpolate(crops, size=(side, side), mode="bilinear", antialias=True))
        asked = self.map(self.words.rows[self.words.quality])
        gaps = seen @ (asked[0::2] - asked[1::2]).T
        target = torch.sigmoid((self.mos[some] - self.mos.mean()) / self.mos.std() * 2)[:, None].expand(-1, 3)
        return functional.binary_cross_entropy_with_logits(8 * gaps, target)

    def update(self, chosen: np.ndarray) -> float:
        """One step of both optimisers; the loss."""
        done = self.step / self.steps
        rate = self.peak * min(1.0, (self.step + 1) / 200) * max(0.01, 0.5 * (1 + math.cos(math.pi * done)))
        for group in (*self.adam.param_groups, *self.muon.param_groups):
            group["lr"] = rate
        loss = self.loss(chosen, next(side for until, side in SIDES if done < until))
        self.adam.zero_grad(), self.muon.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*self.tower.parameters(), *self.map.parameters()], 1.0)
        self.adam.step(), self.muon.step()
        for average, module in zip(self.averages, (self.tower, self.map), strict=True):
            average.update_parameters(module)
        self.step += 1
        return loss.item()

    def train(self) -> None:
        """To the last step."""
        begun = last_save = time.monotonic()
        first, losses = self.step, []
        number, start, order = 0, 0, self.order(0, late=False)
        while self.step < self.steps:
            while start + len(order) // BATCH <= self.step:
                number, start = number + 1, start + len(order) // BATCH
                order = self.order(number, late=start >= LATE * self.steps)
            at = (self.step - start) * BATCH
            losses.append(self.update(order[at : at + BATCH]))
            if self.step % 100 == 0:
                row = {
                    "step": self.step,
                    "photos": self.step * BATCH,
                    "loss": round(sum(losses) / len(losses), 4),
                    "scale": round(self.scale.exp().item(), 2),
                }
                self.curve.append(row)
                print(row, f"{(time.monotonic() - begun) / (self.step - first):.2f} s a step", flush=True)
                losses.clear()
            if self.step % 1000 == 0 or self.step == self.steps:
                self.averages[0].eval()
                self.curve.append({"step": self.step} | figures(self.averages[0].module, self.averages[1].module, self.work, 64))
                print(self.curve[-1], flush=True)
                self.averages[0].train()
            if time.monotonic() - last_save > SAVE_S or self.step == self.steps:
                self.save()
                last_save = time.monotonic()


def main() -> None:
    """Train the image tower."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="where this run saves")
    parser.add_argument("--start", type=Path, help="a run whose tower.pt and map.pt to begin from")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--adam", action="store_true", help="AdamW for the convolutions too")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores; one pinned core is better than two contended ones")
    options = parser.parse_args()
    options.run.mkdir(parents=True, exist_ok=True)
    if options.threads:
        torch.set_num_threads(options.threads)
    Run(options.work, options).train()


if __name__ == "__main__":
    main()
