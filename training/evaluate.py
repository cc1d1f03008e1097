"""Measure the encoder that ships: `python evaluate.py --data DATA --out ../search/builtin`.

Reads the exported files only, prepares the original photos as the product does, and prints the figures as JSON (percent, or as named).
With `--card MODEL_CARD.md` it also puts them into that card's table.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
from PIL import Image
from tokenizers import Tokenizer

UNSEEN = Path(__file__).parent / "unseen_words.tsv"


class Encoder:
    """The two graphs and the tokenizer of a folder."""

    def __init__(self, folder: Path) -> None:
        about = json.loads((folder / "weights.json").read_text())
        self.side: int = about["image"]["side"]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.eye, self.ear = (
            onnxruntime.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"]) for name in ("image.onnx", "text.onnx")
        )

    def see(self, photos: Iterable[bytes | Path], batch: int = 64) -> np.ndarray:
        """Unit rows of photos, Float32["photo 256"]: the whole picture squashed to a square."""
        pixels = []
        for photo in photos:
            with Image.open(io.BytesIO(photo) if isinstance(photo, bytes) else photo) as image:
                small = image.convert("RGB").resize((self.side, self.side), Image.Resampling.BICUBIC, reducing_gap=3.0)
            pixels.append(np.asarray(small))
        stack = np.stack(pixels)
        return np.concatenate([self.eye.run(None, {"pixels": stack[i : i + batch]})[0] for i in range(0, len(stack), batch)])

    def say(self, texts: Sequence[str], batch: int = 64) -> np.ndarray:
        """Unit rows of texts, Float32["text 256"]."""
        rows = []
        for start in range(0, len(texts), batch):
            ids = np.array([e.ids for e in self.tokenizer.encode_batch(list(texts[start : start + batch]))], np.int64)
            rows.append(self.ear.run(None, {"ids": ids})[0])
        return np.concatenate(rows)


def percent(hits: np.ndarray) -> float:
    """The share of true values, in percent with one decimal."""
    return round(float(hits.mean()) * 100, 1)


def retrieval(encoder: Encoder, folder: Path) -> dict[str, float]:
    """Recall at 1, 5 and 10 both ways; every caption is a query, and a photo is found by any of its captions."""
    rows = [json.loads(line) for line in (folder / "captions.jsonl").read_text().splitlines()]
    photos = encoder.see(folder / r["image"] for r in rows)
    texts = encoder.say([c for r in rows for c in r["captions"]])
    owner = np.array([i for i, r in enumerate(rows) for _ in r["captions"]])
    like = texts @ photos.T
    out = {}
    for count in (1, 5, 10):
        found = np.argsort(-like, 1)[:, :count]
        out[f"text to image R@{count}"] = percent((found == owner[:, None]).any(1))
        told = owner[np.argsort(-like.T, 1)[:, :count]]
        out[f"image to text R@{count}"] = percent((told == np.arange(len(rows))[:, None]).any(1))
    return out


def naming(like: np.ndarray, labels: np.ndarray, counts: Sequence[int] = (1, 5)) -> dict[str, float]:
    """How often the right name is among the likest; `like` is Float["photo name"]."""
    order = np.argsort(-like, 1)
    return {f"top-{n}": percent((order[:, :n] == labels[:, None]).any(1)) for n in counts}


def unseen(like: np.ndarray, wanted: Sequence[frozenset[str]], labels: Sequence[str]) -> dict[str, float]:
    """How often a photo with a wanted label is among the ten likest of a word, and how often ten photos drawn blindly would have one."""
    found = [any(labels[at] in names for at in row) for names, row in zip(wanted, np.argsort(-like, 1)[:, :10], strict=True)]
    shares = np.array([sum(label in names for label in labels) / len(labels) for names in wanted])
    return {"R@10": percent(np.array(found)), "chance": round(float((1 - (1 - shares) ** 10).mean()) * 100, 1)}


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0, ties sharing their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[inverse]


def auc(yes: np.ndarray, no: np.ndarray) -> float:
    """How often a positive's score is above a negative's, ties counting half."""
    return round(float(((yes[:, None] > no) + 0.5 * (yes[:, None] == no)).mean()), 3)


def evaluate(data: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Every figure of the model card."""
    encoder, root, out = Encoder(folder), data / "eval", {}
    for name in ("retrieval-coco", "retrieval-flickr"):
        out[name] = retrieval(encoder, root / name)
    rows = pq.read_table(root / "tiny-imagenet-val" / "photos.parquet").to_pylist()
    names = (root / "tiny-imagenet-val" / "labels.txt").read_text().splitlines()
    seen = encoder.see(r["image"] for r in rows)
    like = seen @ encoder.say([f"a photo of a {n}" for n in names]).T
    out["tiny-imagenet-val"] = naming(like, np.array([names.index(r["label"]) for r in rows]))
    table = [line.split("\t") for line in UNSEEN.read_text().splitlines() if not line.startswith("#")]
    said = encoder.say([f"a photo of a {word}" for word, _ in table])
    out["unseen words"] = unseen(said @ seen.T, [frozenset(wanted.split(",")) for _, wanted in table], [r["label"] for r in rows])
    files = sorted((root / "imagenet-samples").glob("*.jp*g"))
    names = [f.stem.split("_", 1)[1].replace("_", " ") for f in files]
    out["imagenet-samples"] = naming(encoder.see(files) @ encoder.say([f"a photo of a {n}" for n in names]).T, np.arange(len(files)))

    with (root / "haze-outdoor" / "weather.csv").open(newline="") as file:
        weather = [(row["image"], row["weather"]) for row in csv.DictReader(file)]
    hazy, clear = encoder.say(["a hazy photo", "a clear photo"])
    scores = {kind: encoder.see(root / "haze-outdoor" / i for i, w in weather if w == kind) @ (hazy - clear) for kind in ("foggy", "shine")}
    out["haze-outdoor"] = {"AUC": auc(scores["foggy"], scores["shine"])}
    with (root / "quality-biq2021" / "mos.csv").open(newline="") as file:
        rated = [tuple(row.values()) for row in csv.DictReader(file)]
    good, bad = encoder.say(["good photo", "bad photo"])
    score = encoder.see(root / "quality-biq2021" / r[0] for r in rated) @ (good - bad)
    rank = np.corrcoef(ranks(score), ranks(np.array([float(r[1]) for r in rated])))[0, 1]
    out["quality-biq2021"] = {"Spearman": round(float(rank), 3)}
    return out


def fill_card(card: Path, figures: dict[str, dict[str, float]]) -> None:
    """Replace the table between the card's two markers."""
    both, single = (
        ("retrieval-coco", "retrieval-flickr"),
        ("tiny-imagenet-val", "imagenet-samples", "unseen words", "haze-outdoor", "quality-biq2021"),
    )
    table = ["| | R@1 | R@5 | R@10 |", "|---|---|---|---|"]
    for name in both:
        for way in ("text to image", "image to text"):
            cells = " | ".join(f"{figures[name][f'{way} R@{n}']} %" for n in (1, 5, 10))
            table += [f"| {name}, {way} | {cells} |"]
    table += ["", "| | |", "|---|---|"]
    for name in single:
        table.extend(f"| {name}, {what} | {value}{'' if what in ('AUC', 'Spearman') else ' %'} |" for what, value in figures[name].items())
    head, _, rest = card.read_text(encoding="utf-8").partition("<!-- figures -->")
    tail = rest.partition("<!-- end of figures -->")[2]
    card.write_text("\n".join([f"{head}<!-- figures -->", *table, f"<!-- end of figures -->{tail}"]), encoding="utf-8")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the folder that holds the exported files")
    parser.add_argument("--card", type=Path, help="a model card whose table to fill in")
    options = parser.parse_args()
    figures = evaluate(options.data, options.out)
    if options.card:
        fill_card(options.card, figures)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
