"""Measure the dehazers that ship, and fill in their card: `python dehaze_evaluate.py --data DATA --card ../preprocess/builtin/MODEL_CARD.md`.

Runs with the product's environment and its extra `eval`, from this folder's parent: the dehazers are measured as they are used.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from preprocess import load_dehazer
from preprocess.metrics import Reference

NAMES = {"dehazenet": "24.48 | 0.9153", "aod-net": "21.08 | 0.8787"}  # as published, on the 1,000 pictures


def figures(pairs: list[tuple[Path, Path]], dehaze: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    """Means over the hazy pictures; seconds are the median of processor time; `kept` is the PSNR of clear pictures that were dehazed all the same."""
    likeness, seconds, kept, levels = [], [], [], []
    for hazy_file, clear_file in pairs:
        hazy, clear = (np.asarray(Image.open(file).convert("RGB")) for file in (hazy_file, clear_file))
        begun = time.process_time()
        found = dehaze(hazy)
        seconds.append(time.process_time() - begun)
        like = Reference(clear).compare(found)
        likeness.append((like.psnr, like.ssim, like.ciede2000))
        levels.append((hazy_file.stem.split("_")[1], like.psnr))
        if levels[-1][0] == levels[0][0]:
            kept.append(Reference(clear).compare(dehaze(clear)).psnr)
    psnr, ssim, ciede = np.mean(likeness, 0)
    by_level = {level: float(np.mean([p for name, p in levels if name == level])) for level in dict.fromkeys(name for name, _ in levels)}
    return {"psnr": psnr, "ssim": ssim, "ciede2000": ciede, "seconds": float(np.median(seconds)), "kept": float(np.mean(kept)), **by_level}


def main() -> None:
    """Print, and fill in the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--card", type=Path)
    options = parser.parse_args()
    root = options.data / "eval" / "sots-indoor"
    pairs = [(file, root / "clear" / f"{file.stem.split('_')[0]}{file.suffix}") for file in sorted((root / "hazy").iterdir())]
    everything = {name: figures(pairs, load_dehazer(name)) for name in NAMES} | {"as it is": figures(pairs, lambda pixels: pixels)}
    print(json.dumps(everything, indent=2))
    if not options.card:
        return
    levels = [key for key in everything["dehazenet"] if key.isdigit()]
    table = [
        f"| | PSNR | SSIM | CIEDE2000 | {' | '.join(f'PSNR, level {level}' for level in levels)} | clear pictures, PSNR to themselves | seconds | published PSNR | SSIM |",
        "|---" * (8 + len(levels)) + "|",
    ]
    for name, found in everything.items():
        each = " | ".join(f"{found[level]:.2f}" for level in levels)
        kept, seconds = (f"{found['kept']:.1f}", f"{found['seconds']:.3f}") if name in NAMES else ("", "")
        cells = f"{found['psnr']:.2f} | {found['ssim']:.4f} | {found['ciede2000']:.2f} | {each} | {kept} | {seconds}"
        table.append(f"| {name} | {cells} | {NAMES.get(name, ' | ')} |")
    head, _, rest = options.card.read_text(encoding="utf-8").partition("<!-- figures -->")
    tail = rest.partition("<!-- end of figures -->")[2]
    options.card.write_text("\n".join([f"{head}<!-- figures -->", *table, f"<!-- end of figures -->{tail}"]), encoding="utf-8")


if __name__ == "__main__":
    main()
