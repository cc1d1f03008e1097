"""Train one of the dehazers: `python dehaze_train.py --work WORK --net dehazenet --steps 6000`, or `--net aod-net`.

Every random choice comes from `--seed` and the step's number, and everything is saved every minute: stopped and started again, it goes on as
if nothing had happened. WORK/NET.jsonl gets the loss and, now and then, figures on photos that are held out.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
from dehaze_haze import Pairs, Photos, estimated_light, haze_pairs, patch_pairs
from dehaze_nets import AodNetwork, DehazeNetwork, refine
from torch import Tensor, nn
from torch.nn import functional

NETS = {"dehazenet": DehazeNetwork, "aod-net": AodNetwork}
RATE = {"dehazenet": 2e-3, "aod-net": 4e-3}
PATCHES = 0.35  # of DehazeNet's steps: the published task, one transmission for a patch of 16×16; then whole crops with depth in them
EDGE = 6  # rows at each side of a crop that are not judged: they see the padding


def batch(net: str, photos: Photos, step: int, options: argparse.Namespace) -> Pairs:
    """The pairs of a step, always the same for the same step and seed."""
    random = np.random.default_rng((options.seed, step))
    chosen = np.flatnonzero(~photos.held_out)
    if net == "dehazenet" and not options.start and step < PATCHES * options.steps:
        return patch_pairs(photos, random.choice(chosen, 256), 16, random)
    return haze_pairs(photos, random.choice(chosen, 6 if net == "dehazenet" else 8), 96, random)


def loss_of(network: nn.Module, pairs: Pairs) -> Tensor:
    """AOD-Net: mean squared error of the picture, as published, and of the one by the smoothed K. DehazeNet: that of the transmission, as
    published; for whole crops also the root mean square error of each picture that is recovered with the smoothed transmission and a light
    that had to be estimated, as both will be in use."""
    hazy, clear = torch.from_numpy(pairs.hazy), torch.from_numpy(pairs.clear)
    if isinstance(network, AodNetwork):
        gain = network.gain(hazy)
        bare, refined = (functional.relu(k * hazy - k + 1) for k in (gain, refine(gain, hazy)))
        return inner((bare - clear).square()).mean() + inner((refined - clear).square()).mean()
    light, wanted = torch.from_numpy(pairs.light), torch.from_numpy(pairs.transmission)
    if hazy.shape[2] == 16:
        return (network.linear(hazy / light) - wanted[:, :, :1, :1]).square().mean()
    light = light_of(pairs.hazy)
    raw = network.linear(hazy / light)
    window = slice(7, 7 + raw.shape[2])  # the 16×16 around a pixel begins 7 above and left of it
    wanted, hazy, clear = wanted[..., window, window], hazy[..., window, window], clear[..., window, window]
    recovered = (hazy - light) / refine(raw, hazy).clamp(min=0.1) + light
    worst = inner((recovered - clear).square()).mean((1, 2, 3)).add(1e-5).sqrt()
    return inner((raw - wanted).square()).mean() + 0.2 * worst.mean()


def light_of(hazy: np.ndarray) -> Tensor:
    """Float["photo 3 1 1"]: the estimate for each."""
    return torch.from_numpy(np.stack([estimated_light(x.transpose(1, 2, 0)) for x in hazy])[:, :, None, None])


def inner(error: Tensor) -> Tensor:
    """Without the edges of the crop."""
    return error[..., EDGE:-EDGE, EDGE:-EDGE]


@torch.no_grad()
def figures(network: nn.Module, photos: Photos) -> dict[str, float]:
    """PSNR in dB on held-out photos, refined as in use, and the mean error of DehazeNet's transmission; always the same pairs."""
    random, chosen = np.random.default_rng(1), np.flatnonzero(photos.held_out)
    decibels, errors = [], []
    for index in chosen[:192]:
        pairs = haze_pairs(photos, np.array([index]), 96, random, clear_share=0)
        hazy, clear = torch.from_numpy(pairs.hazy), torch.from_numpy(pairs.clear)
        if isinstance(network, AodNetwork):
            gain = refine(network.gain(hazy), hazy)
            recovered = gain * hazy - gain + 1
        else:
            light = light_of(pairs.hazy)
            t = network(functional.pad(hazy / light, (7, 8, 7, 8), "reflect"))
            errors.append((t - torch.from_numpy(pairs.transmission)).numpy())
            recovered = (hazy - light) / refine(t, hazy).clamp(min=0.1) + light
        decibels.append(-10 * math.log10((recovered.clamp(0, 1) - clear).square().mean().item()))
    more = {"t error": round(float(np.abs(errors).mean()), 4), "t bias": round(float(np.mean(errors)), 4)} if errors else {}
    return {"psnr": round(float(np.mean(decibels)), 3), **more}


def main() -> None:
    """Train from the start or from where it stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--net", choices=NETS, required=True)
    parser.add_argument("--name", help="of the run; the network's by default")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--start", help="name of an earlier run to go on from; whole crops only then")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    name = options.name or options.net
    photos, network = Photos(options.work), NETS[options.net]()
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE[options.net], betas=(0.9, 0.99))
    saved, step, seconds = options.work / f"{name}.pt", 0, 0.0
    if options.start:
        network.load_state_dict(torch.load(options.work / f"{options.start}.pt")["average"])
    average = {key: value.clone() for key, value in network.state_dict().items()}
    if saved.exists():
        state = torch.load(saved)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        step, average, seconds = state["step"], state["average"], state["seconds"]
    begun, last, losses = time.monotonic(), time.monotonic(), []
    while step < options.steps:
        for group in optimiser.param_groups:
            group["lr"] = (
                RATE[options.net] * min(1, (step + 1) / 100) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / options.steps)))
            )
        loss = loss_of(network, batch(options.net, photos, step, options))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimiser.step()
        step += 1
        for key, value in network.state_dict().items():
            average[key].lerp_(value, max(0.005, 1 / (step + 1)))
        losses.append(loss.item())
        done = step == options.steps
        if done or time.monotonic() - last > 45:
            averaged = NETS[options.net]()
            averaged.load_state_dict(average)
            row = {"step": step, "loss": round(float(np.mean(losses)), 6), **figures(averaged, photos)}
            spent = seconds + time.monotonic() - begun
            state = {
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step,
                "average": average,
                "seconds": spent,
            }
            torch.save(state, saved.with_suffix(".part"))
            saved.with_suffix(".part").rename(saved)
            with saved.with_suffix(".jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
            logging.info("%s, %.0f s", row, spent)
            last, losses = time.monotonic(), []


if __name__ == "__main__":
    main()
