"""Train a segmenter: `python segment_train.py --data DATA --run RUN --arch deeplabv3plus --steps 10000`, or `--arch pspnet`.

The schedule follows a count of steps, and every random choice comes from `--seed` and the step's number. It saves every few minutes to RUN:
checkpoint.pt, segmenter.pt (the running average, which ships) and curve.jsonl. Stopped and started again it goes on as if nothing had happened.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path

import numpy as np
import torch
from segment_evaluate import figures
from segment_fast import quicken
from segment_nets import ARCHS, build
from segment_photos import IGNORE, NOT, PER_BATCH, PERSON, PET, Photos
from torch import Tensor, nn
from torch.nn import functional

SIDES = ((0.5, 224), (0.85, 256), (1.0, 288))
"""Up to which part of the schedule crops have which side: small ones teach most of the same at less cost, the last ones see as far as in use."""
WARM = 400  # steps over which the rate rises
POWER = 0.9  # of its fall, as in DeepLab
AVERAGE = 0.998  # what a step leaves of the running average of the weights
DICE = 0.5  # weight of the overlap beside the cross entropy
EVERY = 400  # steps between two rows of the curve
SAVE_S = 180.0


def cross_entropy(logits: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of -log p(class) over labelled pixels, and of -log(1 - p(class)) where only one class is known to be absent."""
    known = truth < NOT
    target = torch.where(known, truth, IGNORE)
    total = functional.cross_entropy(logits, target, weights, ignore_index=IGNORE, reduction="sum")
    count = weights[truth[known]].sum()
    for absent in (PERSON, PET):
        there = truth == NOT + absent
        if there.any():
            rows = logits.permute(0, 2, 3, 1)[there]
            others = torch.cat([rows[:, :absent], rows[:, absent + 1 :]], 1)
            total = total + (rows.logsumexp(1) - others.logsumexp(1)).sum()  # finite even where p(class) rounds to 1
            count = count + len(rows)
    return total / count.clamp(min=1)


def dice(logits: Tensor, truth: Tensor) -> Tensor:
    """1 - the mean Dice coefficient (Milletari et al., 2016) of the classes that the crops show, over all labelled pixels together."""
    known = truth < NOT
    chances, target = logits.softmax(1).permute(0, 2, 3, 1)[known], truth[known]
    shown = torch.bincount(target, minlength=chances.shape[1])
    right = torch.zeros(chances.shape[1]).index_add(0, target, chances.gather(1, target[:, None])[:, 0])
    overlap = (2 * right + 1) / (chances.sum(0) + shown + 1)
    return 1 - overlap[shown > 0].mean()


class Run:
    """Everything that a step needs and a checkpoint holds."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.folder, self.plan = options.run, {key: getattr(options, key) for key in ("arch", "steps", "seed", "rate")}
        torch.manual_seed(options.seed)
        self.photos = Photos(options.data)
        self.weights = torch.from_numpy(self.photos.weights())
        self.network = build(options.arch, options.encoder).to(memory_format=torch.channels_last)
        quicken(self.network)
        self.average = build(options.arch).to(memory_format=torch.channels_last).eval()
        self.average.load_state_dict(self.network.state_dict())
        matrices = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98))
        self.step, self.losses, self.curve, self.seconds = 0, [], [], 0.0
        if (self.folder / "checkpoint.pt").exists():
            self.load()

    def load(self) -> None:
        """Go on from the last save. Raises ValueError where it was made by another plan."""
        saved = torch.load(self.folder / "checkpoint.pt", weights_only=True)
        if saved["plan"] != self.plan:
            raise ValueError(f"{self.folder} is a run of {saved['plan']}, not of {self.plan}; give the same options or another --run.")
        self.network.load_state_dict(saved["network"])
        self.average.load_state_dict(saved["average"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step, self.losses, self.curve, self.seconds = (saved[key] for key in ("step", "losses", "curve", "seconds"))

    def save(self) -> None:
        """Through a temporary name, so that a kill leaves the save before."""
        state = {"network": self.network.state_dict(), "average": self.average.state_dict(), "optimiser": self.optimiser.state_dict()}
        state |= {"plan": self.plan, "step": self.step, "losses": self.losses, "curve": self.curve, "seconds": self.seconds}
        shipped = {"arch": self.plan["arch"], "network": state["average"]}
        for name, content in (("checkpoint", state), ("segmenter", shipped)):
            torch.save(content, self.folder / f"{name}.part")
            (self.folder / f"{name}.part").replace(self.folder / f"{name}.pt")
        (self.folder / "curve.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.curve))

    def update(self) -> None:
        """One step, the same for the same seed and number."""
        done = self.step / self.plan["steps"]
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan["rate"] * min(1.0, (self.step + 1) / WARM) * (1 - done) ** POWER
        torch.manual_seed((self.plan["seed"] << 32) + self.step)  # for dropout
        random = np.random.default_rng((self.plan["seed"], self.step))
        pixels, truth = map(torch.from_numpy, self.photos.batch(next(side for until, side in SIDES if done < until), random))
        truth = truth.long()
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network.train()(pixels.contiguous(memory_format=torch.channels_last))
        logits, scenes = logits.float(), PER_BATCH["camvid"]
        loss = cross_entropy(logits, truth, self.weights) + DICE * dice(logits[:scenes], truth[:scenes])
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimiser.step()
        self.step += 1
        left = min(AVERAGE, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for kept, value in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
                kept.lerp_(value, 1 - left) if kept.is_floating_point() else kept.copy_(value)
        self.losses.append(loss.item())

    def train(self, until: int) -> None:
        """To a step; the schedule is that of the whole plan."""
        clock = saved = time.monotonic()
        while self.step < until:
            self.update()
            measured = self.step % EVERY == 0 or self.step == self.plan["steps"]
            if measured:
                row = {"step": self.step, "loss": round(float(np.mean(self.losses)), 4), **figures(self.average, self.photos)}
                self.curve.append(row)
                self.losses = []
                logging.info("%s, %.0f s", row, self.seconds)
            now = time.monotonic()
            self.seconds, clock = self.seconds + now - clock, now
            if measured or self.step == until or now - saved > SAVE_S:
                self.save()
                saved = now
                logging.info("step %d, loss %.3f, %.0f s", self.step, np.mean(self.losses[-50:] or [self.curve[-1]["loss"]]), self.seconds)


def main() -> None:
    """Train from the start or from where it stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="folder of the checkpoint and the curve")
    parser.add_argument("--arch", choices=ARCHS, default="deeplabv3plus")
    parser.add_argument("--encoder", type=Path, help="a pre-trained backbone to begin with")
    parser.add_argument("--steps", type=int, default=10000)
    parser.add_argument("--until", type=int, help="stop after this step of the plan")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    options.run.mkdir(parents=True, exist_ok=True)
    Run(options).train(min(options.until or options.steps, options.steps))


if __name__ == "__main__":
    main()
