"""Turn the training photos and texts into arrays that training reads: `python prepare.py --data DATA --work WORK`.

Writes to WORK: photos.npy (UInt8["photo 80 80 3"], squashed), quality.npy, texts.json, vectors.npy (teacher rows of every text and of its
templated and degraded wordings), evaluation arrays. Takes about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from teacher import embed

SIDE = 80
DEGRADED = ("a blurry photo of {}", "a hazy photo of {}", "a dark photo of {}", "a noisy, grainy photo of {}",
            "an overexposed photo of {}", "a black and white photo of {}")  # fmt: skip
TEMPLATES = ("a photo of a {}", "a picture of {}", "{} in a photo")
QUALITY = ("good photo", "bad photo", "a sharp and clear photo", "a photo of poor quality", "a beautiful photo", "an ugly photo")


def squash(data: bytes | Path, side: int = SIDE) -> np.ndarray:
    """The whole picture in a square, antialiased; no crop, so nothing at the edge is lost."""
    with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as image:
        return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0))


def wordings(text: str) -> list[str]:
    """The text itself, and for a bare name its templates."""
    bare = len(text.split()) <= 4 and not text.startswith(("a photo", "a picture", "a painting", "a cartoon", "a sketch", "an aerial"))
    return [text, *(t.format(text) for t in TEMPLATES)] if bare else [text]


def train_arrays(data: Path, work: Path) -> None:
    """Decode every training photo once; number every text once."""
    numbers: dict[str, int] = {}
    photos, texts, groups = [], [], []
    labels: dict[str, int] = {}
    for file in sorted((data / "train").glob("*.parquet")):
        rows = pq.read_table(file).to_pylist()
        if file.stem == "quality":
            np.save(work / "quality.npy", np.stack([squash(r["image"], 96) for r in rows]))
            np.save(work / "mos.npy", np.array([r["mos"] for r in rows], np.float32))
            continue
        for row in rows:
            photos.append(squash(row["image"]))
            texts.append([numbers.setdefault(t.strip(), len(numbers)) for t in row["texts"]])
            groups.append(labels.setdefault(str(row["label"]), len(labels)) if row["label"] else -1)
    np.save(work / "photos.npy", np.stack(photos))
    plain, variants, words = list(numbers), [], []
    for text in plain:
        variants.append(list(range(len(words), len(words) + len(wordings(text)))))
        words += wordings(text)
    degraded = len(words)
    stem = [t.removeprefix("a photo of ").removeprefix("a picture of ") for t in plain]
    words += [template.format(s) for s in stem for template in DEGRADED]
    words += QUALITY
    tables = {"texts": plain, "photo_texts": texts, "groups": groups, "variants": variants, "degraded": degraded, "words": words}
    (work / "texts.json").write_text(json.dumps(tables))


def eval_arrays(data: Path, work: Path) -> None:
    """The evaluation photos, larger, for the side that is chosen at the end."""
    root = data / "eval"
    words: dict[str, list] = {}
    for name in ("retrieval-coco", "retrieval-flickr"):
        rows = [json.loads(line) for line in (root / name / "captions.jsonl").read_text().splitlines()]
        np.save(work / f"{name}.npy", np.stack([squash(root / name / r["image"], 112) for r in rows]))
        words[name] = [r["captions"] for r in rows]
    rows = pq.read_table(root / "tiny-imagenet-val" / "photos.parquet").to_pylist()
    np.save(work / "tiny.npy", np.stack([squash(r["image"], 112) for r in rows]))
    words["tiny"] = (root / "tiny-imagenet-val" / "labels.txt").read_text().splitlines()
    words["tiny-labels"] = [r["label"] for r in rows]
    files = sorted((root / "imagenet-samples").glob("*.jp*g"))
    np.save(work / "samples.npy", np.stack([squash(f, 112) for f in files]))
    words["samples"] = [f.stem.split("_", 1)[1].replace("_", " ") for f in files]
    (work / "eval.json").write_text(json.dumps(words))


def main() -> None:
    """Prepare photos, texts and evaluation arrays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    eval_arrays(options.data, options.work)
    train_arrays(options.data, options.work)
    tables = json.loads((options.work / "texts.json").read_text())
    np.save(options.work / "vectors.npy", embed(tables["words"]))
    captions = (options.data / "text" / "flickr-captions.txt").read_text(encoding="utf-8").splitlines()
    np.save(options.work / "captions.npy", embed(captions))  # sentences without photos, to tell a photo's own from
    words = json.loads((options.work / "eval.json").read_text())
    for name in ("retrieval-coco", "retrieval-flickr"):
        np.save(options.work / f"{name}-vectors.npy", embed([c for row in words[name] for c in row]))
    for name in ("tiny", "samples"):
        np.save(options.work / f"{name}-vectors.npy", embed([f"a photo of a {w}" for w in words[name]]))


if __name__ == "__main__":
    main()
