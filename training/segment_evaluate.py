"""Measure a segmenter on CamVid's validation photos: `python segment_evaluate.py --data DATA --run RUN` prints the table.

Nothing but the 11 classes of CamVid is true there, so a pixel called `pet` counts as missed. Categories are those of Cityscapes
(Cordts et al., 2016, table 1): classes of one category may be mixed up at no cost.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from segment_nets import STRIDE, build
from segment_photos import CLASSES, IGNORE, PERSON, PET, SCENE, Photo, Photos
from torch import Tensor, nn
from torch.nn import functional

CATEGORIES = {
    "flat": ("road", "pavement"),
    "construction": ("building", "fence"),
    "object": ("pole", "sign"),
    "nature": ("tree",),
    "sky": ("sky",),
    "human": ("person", "bicyclist"),  # CamVid does not part riders from their bicycles
    "vehicle": ("car",),
}


def logits_of(network: nn.Module, pixels: np.ndarray) -> Tensor:
    """Float["class h w"] of a UInt8["h w 3"], padded to what the network divides by with a repeat of its edge."""
    height, width = pixels.shape[:2]
    view = torch.from_numpy(pixels).permute(2, 0, 1)[None].float().div(255)
    view = functional.pad(view, (0, -width % STRIDE, 0, -height % STRIDE), "replicate")
    return network(view.contiguous(memory_format=torch.channels_last))[0, :, :height, :width].float()


@torch.no_grad()
def confusion_of(network: nn.Module, photos: list[Photo]) -> np.ndarray:
    """Int["truth answer"], pixels summed over photos at their own size; rows of NOT + class are not counted here."""
    total = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    for photo in photos:
        answer = logits_of(network, photo.pixels).argmax(0).numpy()
        known = photo.truth < len(CLASSES)
        cells = photo.truth[known].astype(np.int64) * len(CLASSES) + answer[known]
        total += np.bincount(cells, minlength=total.size).reshape(total.shape)
    return total


def overlaps(confusion: np.ndarray) -> np.ndarray:
    """Float["class"]: intersection over union of each, NaN for what is neither true nor answered."""
    right = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - right
    return np.where(union > 0, right / np.maximum(union, 1), np.nan)


def by_category(confusion: np.ndarray) -> dict[str, float]:
    """Intersection over union of each category; `pet` is its own, so that such answers count as missed."""
    groups = [[CLASSES.index(name) for name in names] for names in CATEGORIES.values()] + [[PET]]
    merged = np.array([[confusion[np.ix_(true, said)].sum() for said in groups] for true in groups])
    return dict(zip(CATEGORIES, overlaps(merged).tolist(), strict=False))


@torch.no_grad()
def overlap_of_one(network: nn.Module, photos: list[Photo], number: int) -> float:
    """Intersection over union of one class on photos that only tell where that class is and is not."""
    both = either = 0
    for photo in photos:
        said = logits_of(network, photo.pixels).argmax(0).numpy() == number
        true, known = photo.truth == number, photo.truth != IGNORE
        both, either = both + int((said & true).sum()), either + int(((said | true) & known).sum())
    return both / max(either, 1)


def figures(network: nn.Module, photos: Photos) -> dict[str, object]:
    """All figures of a network in evaluation mode; the held-out photos of people and pets tell of one class each."""
    confusion = confusion_of(network, photos.held_out["camvid"])
    classes, categories = overlaps(confusion)[:SCENE], by_category(confusion)
    return {
        "miou": round(float(np.mean(classes)), 4),
        "category miou": round(float(np.mean(list(categories.values()))), 4),
        "accuracy": round(float(np.diag(confusion).sum() / confusion.sum()), 4),
        "classes": {name: round(float(value), 4) for name, value in zip(CLASSES, classes, strict=False)},
        "categories": {name: round(value, 4) for name, value in categories.items()},
        "person, human": round(overlap_of_one(network, photos.held_out["human"], PERSON), 4),
        "pet, pets": round(overlap_of_one(network, photos.held_out["pets"], PET), 4),
    }


def main() -> None:
    """Print the figures of a run's average as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="folder of segment_train.py")
    options = parser.parse_args()
    saved = torch.load(options.run / "segmenter.pt", weights_only=True)
    network = build(saved["arch"])
    network.load_state_dict(saved["network"])
    found = figures(network.eval().to(memory_format=torch.channels_last), Photos(options.data))
    for name, value in found.items():
        rows = value.items() if isinstance(value, dict) else [(name, value)]
        print(*(f"| {key} | {number} |" for key, number in rows), sep="\n")


if __name__ == "__main__":
    main()
