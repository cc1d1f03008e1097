"""Draw how the towers learned: `python draw_curve.py --out ../docs/images/encoder-training.svg curves/v1.jsonl curves/v2.jsonl`.

Runs are given in order, each going on from the one before; a row of a curve has the step and the loss, or the figures of figures.py.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

NAMES = {
    "tiny top-1": "Tiny-ImageNet top-1",
    "retrieval-coco": "COCO R@10",
    "retrieval-flickr": "Flickr8k R@10",
    "samples top-5": "ImageNet top-5",
}
BATCH = 256


def main() -> None:
    """Two panels: figures and loss over photos seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curves", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    mpl.rcParams.update({"svg.hashsalt": "pellucid", "font.size": 9, "svg.fonttype": "none"})
    figure, (above, below) = plt.subplots(2, 1, figsize=(7.5, 6), sharex=True, height_ratios=(3, 2))
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    begun = 0.0
    for number, file in enumerate(options.curves):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        losses = [(begun + row["step"] * BATCH / 1e6, row["loss"]) for row in rows if "loss" in row]
        below.plot(*zip(*losses, strict=True), color="0.3", linewidth=1)
        for row in rows:
            for name in NAMES.keys() & row:
                figures[name].append((begun + row["step"] * BATCH / 1e6, row[name]))
        begun += max(row["step"] for row in rows) * BATCH / 1e6
        if number + 1 < len(options.curves):
            for panel in (above, below):
                panel.axvline(begun, color="0.7", linestyle=":", linewidth=1)
    for (name, points), marker in zip(figures.items(), "osD^", strict=True):
        above.plot(*zip(*points, strict=True), marker=marker, markersize=3, linewidth=1.2, label=NAMES[name])
    above.set_ylabel("%")
    above.legend(frameon=False, ncols=2, loc="lower right")
    below.set_ylabel("loss")
    below.set_xlabel("photos seen, in millions")
    for panel in (above, below):
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(color="0.92")
    figure.tight_layout()
    figure.savefig(options.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
