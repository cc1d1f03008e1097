"""How many edited copies `dups` knows, how often it takes two photos for one, and how its time grows.

Run: `python benchmarks/duplicates.py [--photos 500] [--growth 10000 30000 100000] [--hashes] [--data DIR] [--json]`.

- Copies: of each photo one by every edit below, saved as JPEG at quality 92 where the edit says nothing else. For each edit, a set of all photos and the copies of some
  (`--photos`), and the share of copies that come out as a pair with their own photo, from candidates to verdict, as `find_duplicates` does it. A crop of 10 % takes away
  that share of the area, at a random place; a small rotation is cut to the largest upright picture inside.
- False pairs: pairs that come out of the photos alone, which are all different, and how many that is for 10,000 photos if their number grows with that of pairs. That
  no two are alike was seen by looking at the most alike of them: the closest is two plates of food.
- Growth: hashes and vectors that are spread as those of the photos are, one in twenty with a copy; processor seconds.

The photos are not part of Pellucid: `--data` is a folder with `eval/retrieval-coco`, `eval/retrieval-flickr` and `eval/imagenet-samples`. Without it, the demo's photos, of
which there are some twenty, are taken, and the benchmark says so. `--hashes` compares other perceptual hashes instead, at the distance that one pair of different photos in 100,000 reaches, and
does not need an encoder.

Exit code 1 where an edit that is named in `LEAST` is known less often than it says; never on fewer than 1,000 photos.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from composed import DATA
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from preprocess import decode, distances, measure_for_build, picture_hash
from search import Encoder, load_encoder, normalize
from search.near_pairs import Pictures, mean_similarity, near_pairs

SETS = "eval/retrieval-coco", "eval/retrieval-flickr", "eval/imagenet-samples"
LEAST = {
    "JPEG 30": 0.99,
    "half size": 0.99,
    "crop 5%": 0.99,
    "crop 10%": 0.98,
    "watermark": 0.95,
    "mirrored": 0.99,
    "turned 90°": 0.95,
    "turned 180°": 0.95,
}

Edit = Callable[[Image.Image, np.random.Generator], Image.Image]


def resized(share: float) -> Edit:
    return lambda photo, _: photo.resize(tuple(max(1, round(side * share)) for side in photo.size), Image.Resampling.LANCZOS)  # type: ignore[arg-type]


def cropped(share: float) -> Edit:
    def crop(photo: Image.Image, random: np.random.Generator) -> Image.Image:
        width, height = (round(side * (1 - share) ** 0.5) for side in photo.size)
        left, top = int(random.integers(0, photo.width - width + 1)), int(random.integers(0, photo.height - height + 1))
        return photo.crop((left, top, left + width, top + height))

    return crop


def marked(photo: Image.Image, _: np.random.Generator) -> Image.Image:
    copy = photo.copy()
    font = ImageFont.load_default(size=photo.width / 9)
    ImageDraw.Draw(copy, "RGBA").text((photo.width * 0.08, photo.height * 0.42), "SAMPLE PHOTO", fill=(255, 255, 255, 150), font=font)
    return copy


def rotated(degrees: float) -> Edit:
    def rotate(photo: Image.Image, _: np.random.Generator) -> Image.Image:
        (width, height), angle = photo.size, np.deg2rad(degrees)
        sine, cosine = float(np.sin(angle)), float(np.cos(angle))
        inner_w, inner_h = (
            (width * cosine - height * sine) / (cosine**2 - sine**2),
            (height * cosine - width * sine) / (cosine**2 - sine**2),
        )
        turned = photo.rotate(degrees, Image.Resampling.BICUBIC)
        return turned.crop(
            tuple(round(v) for v in ((width - inner_w) / 2, (height - inner_h) / 2, (width + inner_w) / 2, (height + inner_h) / 2))
        )  # type: ignore[arg-type]

    return rotate


def brighter(photo: Image.Image, _: np.random.Generator) -> Image.Image:
    return photo.point([round(255 * (level / 255) ** 0.7) for level in range(256)] * 3)


EDITS: Mapping[str, tuple[Edit, int]] = {
    "JPEG 75": (lambda photo, _: photo, 75), "JPEG 30": (lambda photo, _: photo, 30), "JPEG 10": (lambda photo, _: photo, 10),
    "half size": (resized(0.5), 92), "quarter size": (resized(0.25), 92),
    "crop 5%": (cropped(0.05), 92), "crop 10%": (cropped(0.1), 92), "crop 20%": (cropped(0.2), 92),
    "watermark": (marked, 92), "brighter": (brighter, 92),
    "mirrored": (lambda photo, _: photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 92),
    "turned 90°": (lambda photo, _: photo.transpose(Image.Transpose.ROTATE_90), 92),
    "turned 180°": (lambda photo, _: photo.transpose(Image.Transpose.ROTATE_180), 92),
    "rotated 2°": (rotated(2), 92), "rotated 5°": (rotated(5), 92),
    "mirrored, crop 10%": (lambda photo, random: cropped(0.1)(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), random), 92),
}  # fmt: skip
"""What is done to a photo, and the JPEG quality that it is saved with."""


def read_photos(data: Path) -> list[bytes]:
    """The files of the photos; those of the demo where the data are not there."""
    files = [file for name in SETS for file in sorted((data / name).glob("*.jpg"))]
    if not files:
        import skimage
        import sklearn.datasets

        sys.path.append(str(Path(__file__).parents[1]))
        from demo.make import NAMES

        places = Path(skimage.__file__).parent / "data", Path(sklearn.datasets.__file__).parent / "images"
        files = [place / name for place in places for name in NAMES if (place / name).is_file()]
        print(f"The photos are not in {data}; measured on the {len(files)} of the demo, which are too few for rates.")
    return [file.read_bytes() for file in files]


def edited(photo: bytes, name: str, random: np.random.Generator) -> bytes:
    """A copy of a photo, as a JPEG file."""
    edit, quality = EDITS[name]
    out = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as opened:
        edit(opened.convert("RGB"), random).save(out, "JPEG", quality=quality)
    return out.getvalue()


def looked_at(files: Sequence[bytes], encoder: Encoder) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
    """Hashes and vectors, as a build makes them."""
    hashes, rows = [], []
    for at in range(0, len(files), 64):
        photos = [decode(file, "photo", side=encoder.side).pixels for file in files[at : at + 64]]
        hashes += [measure_for_build(pixels).hash for pixels in photos]
        rows.append(encoder.encode_images([encoder.prepare(pixels) for pixels in photos]))
    return np.array(hashes, np.uint64), np.concatenate(rows).astype(np.float16).astype(np.float32)


def pairs_of(hashes: NDArray[np.uint64], rows: NDArray[np.float32]) -> set[tuple[int, int]]:
    pictures = Pictures(hashes, lambda numbers: rows[numbers], rows.shape[1], mean_similarity(len(rows), rows.mean(0)))
    found = near_pairs(pictures)
    return set(zip(found.first.tolist(), found.second.tolist(), strict=True))


def copies(files: Sequence[bytes], count: int, encoder: Encoder) -> dict[str, Any]:
    """Recall by edit, and false pairs."""
    random = np.random.default_rng(0)
    hashes, rows = looked_at(files, encoder)
    some = np.sort(random.choice(len(files), min(count, len(files)), replace=False))
    false = pairs_of(hashes, rows)
    recall = {}
    for name in EDITS:
        own_hashes, own_rows = looked_at([edited(files[at], name, random) for at in some], encoder)
        found = pairs_of(np.concatenate([hashes, own_hashes]), np.concatenate([rows, own_rows]))
        recall[name] = float(np.mean([(int(at), len(files) + number) in found for number, at in enumerate(some)]))
    pairs = len(files) * (len(files) - 1) / 2
    return {"photos": len(files), "copied": len(some), "recall": recall, "false_pairs": len(false), "pairs": pairs,
            "false_per_million_pairs": 1e6 * len(false) / pairs, "false_in_10000_photos": len(false) * (10_000 * 9_999 / 2) / pairs}  # fmt: skip


def growth(counts: Sequence[int], dim: int = 256) -> list[dict[str, float]]:
    """Seconds for synthetic rows: vectors in 200 clusters, one in twenty with a copy that is three bits away."""
    results = []
    for count in counts:
        random = np.random.default_rng(count)
        centres = random.normal(size=(200, dim))
        rows = normalize((centres[random.integers(0, 200, count)] + 1.5 * random.normal(size=(count, dim))).astype(np.float32))
        hashes = random.integers(0, 2**63, count, dtype=np.uint64) * np.uint64(2) + random.integers(0, 2, count).astype(np.uint64)
        own = count // 20
        rows[-own:] = normalize(rows[:own] + 0.01 * random.normal(size=(own, dim)).astype(np.float32))
        hashes[-own:] = hashes[:own]
        for _ in range(3):
            hashes[-own:] ^= np.uint64(1) << random.integers(0, 64, own).astype(np.uint64)
        kept = rows.astype(np.float16)
        pictures = Pictures(hashes, lambda numbers, kept=kept: kept[numbers].astype(np.float32), dim, mean_similarity(count, rows.mean(0)))  # type: ignore[misc]
        wall, processor = time.perf_counter(), time.process_time()
        found = near_pairs(pictures)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        known = np.isin(np.arange(own) * count + np.arange(count - own, count), found.first * count + found.second)
        results.append(
            {"photos": count, "seconds": round(wall, 2), "processor_s": round(processor, 2), "copies_known": float(known.mean())}
        )
    return results


def other_hashes() -> dict[str, Callable[[NDArray[np.uint8]], int]]:
    """Of a picture of 32×32, UInt8: ours, pHash with its median, the difference hash and the block mean."""
    cosines = np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(32) + 1) / 64)

    def number(bits: NDArray[np.bool_]) -> int:
        return int.from_bytes(np.packbits(bits.ravel()).tobytes(), "big")

    def square(small: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.asarray(cosines @ (small - small.mean()) @ cosines.T)

    def difference(small: NDArray[np.uint8]) -> int:
        steps = cv2.resize(small, (9, 8), interpolation=cv2.INTER_AREA)
        return number(steps[:, 1:] > steps[:, :-1])

    def blocks(small: NDArray[np.uint8]) -> int:
        means = small.reshape(8, 4, 8, 4).mean((1, 3))
        return number(means > np.median(means))

    return {
        "ours": lambda small: picture_hash(np.repeat(small[..., None], 3, 2)),
        "signs, 8×8": lambda small: number(square(small) > 0),
        "pHash, median": lambda small: number(square(small) > np.median(square(small))),
        "dHash": difference,
        "block mean": blocks,
    }


def compared_hashes(files: Sequence[bytes], count: int) -> dict[str, dict[str, float]]:
    """Of each hash, the share of copies within the distance that no more than one pair in 100,000 of different photos reaches; the nearest of the eight turns counts."""
    random = np.random.default_rng(0)

    def small(file: bytes) -> NDArray[np.uint8]:
        grey = cv2.cvtColor(decode(file, "photo", side=112).pixels, cv2.COLOR_RGB2GRAY)
        return np.asarray(cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA), np.uint8)

    def turned(photo: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        return [np.ascontiguousarray(side[::rows, ::columns]) for side in (photo, photo.T) for rows in (1, -1) for columns in (1, -1)]

    some = np.sort(random.choice(len(files), min(count, len(files)), replace=False))
    photos = [small(file) for file in files]
    changed = {name: [small(edited(files[at], name, random)) for at in some] for name in EDITS}
    results = {}
    for kind, make in other_hashes().items():
        every = np.array([[make(turn) for turn in turned(photo)] for photo in photos], np.uint64)
        near = np.concatenate([distances(every[at + 1 :], every[at, 0]).min(1) for at in range(len(every))])
        cut = max((bits for bits in range(33) if float((near <= bits).mean()) <= 1e-5), default=-1)
        known = {
            name: distances(np.array([make(copy) for copy in made], np.uint64)[:, None], every[some]).min(1)
            for name, made in changed.items()
        }
        results[kind] = {"cut": float(cut)} | {name: float((bits.astype(int) <= cut).mean()) for name, bits in known.items()}
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=int, default=500, help="how many are copied")
    parser.add_argument(
        "--growth", type=int, nargs="*", default=[10_000, 30_000, 100_000], help="numbers of synthetic photos; none: not measured"
    )
    parser.add_argument("--hashes", action="store_true", help="compare perceptual hashes instead")
    parser.add_argument("--encoder", default="builtin")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    files = read_photos(options.data)
    if options.hashes:
        table = compared_hashes(files, options.photos)
        print(json.dumps(table, indent=1) if options.json else "\n".join(f"{kind:16}" + "  ".join(f"{name} {value:g}" for name, value in row.items()) for kind, row in table.items()))  # fmt: skip
        return 0
    results = copies(files, options.photos, load_encoder(options.encoder))
    results["growth"] = growth(options.growth)
    missed = [name for name, least in LEAST.items() if results["recall"][name] < least] if len(files) >= 1000 else []
    if options.json:
        print(json.dumps(results | {"missed": missed}, indent=1))
        return int(bool(missed))
    print(f"Copies of {results['copied']} photos that are known among {results['photos']:,}, encoder {options.encoder}")
    for name, value in results["recall"].items():
        print(f"  {name:20} {value:7.1%}")
    print(f"False pairs: {results['false_pairs']} of {results['pairs']:,.0f}; in 10,000 photos {results['false_in_10000_photos']:.0f}")
    for row in results["growth"]:
        print(
            f"{row['photos']:9,.0f} photos: {row['seconds']:7.1f} s, {row['processor_s']:7.1f} s of processor time; of the copies {row['copies_known']:.1%} known"
        )
    print(f"Target: {'none for so few photos' if len(files) < 1000 else 'MISSED: ' + ', '.join(missed) if missed else 'reached'}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
