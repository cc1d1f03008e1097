"""The mean of the weights of runs that began from one checkpoint: `python soup.py --out RUN RUN_A RUN_B` (Wortsman et al., 2022)."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch


def main() -> None:
    """Write tower.pt and map.pt; the rest is the first run's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in ("tower.pt", "map.pt"):
        states = [torch.load(run / name, weights_only=True) for run in options.runs]
        mean = {key: torch.stack([state[key].float() for state in states]).mean(0).to(states[0][key].dtype) for key in states[0]}
        torch.save(mean, options.out / name)
    for name in ("checkpoint.pt", "curve.jsonl"):
        shutil.copyfile(options.runs[0] / name, options.out / name)


if __name__ == "__main__":
    main()
