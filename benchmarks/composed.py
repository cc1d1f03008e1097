"""Small objects in large scenes: a set composed of real photos, so that it is known what is where, and what regions are worth on it.

Run: `python benchmarks/composed.py [--makers proposals grid segments] [--encoder builtin] [--seeds 1] [--data DIR] [--json]`. Photos of single
objects whose class has a name are pasted into scenes: as a rectangle, as one with a soft edge, or, where there is a mask, cut out; at 5-20 % of the
scene's area, anywhere in it. Everything follows from the seed. Measured for each maker of regions: how many it makes and how long that takes; the share
of pasted objects with which the box of some region agrees; and whether the encoder finds the photo by the object's word, by the photo's vector, by its
best region's, or by the better of both. Beside it, whole scenes by their captions, where there are no pasted objects, and regions must not do harm.

The photos are not part of Pellucid: `--data` is a folder with `eval` (`imagenet-samples`, `tiny-imagenet-val/labels.txt`, `retrieval-coco`,
`retrieval-flickr`) and `segmentation` (`camvid`, `pets`). Without it there is nothing to measure, and the benchmark says so.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from annotate.crops import region_crops
from annotate.makers import RegionMaker, RegionMakerOptions, box_overlap, load_region_maker
from annotate.measures import brought_down, scaled_box
from annotate.region import Annotation, Box, Region
from preprocess import RgbImage, read_image
from search import Encoder, load_encoder, normalize

DATA = Path(__file__).parents[2] / "shared" / "data"
K = 10
SHARES = 0.05, 0.20  # of the scene's area
SHORT = 160  # pixels of a scene's short side: smaller ones are left out
CUT_OUT_EACH = 12  # photos of each breed
MARGINS = (-0.25, 0.0, 0.25, 0.5, 0.75, 1.0)
STEEPNESSES = (2, 3, 4)  # of a smooth maximum, log(exp(s·a) + exp(s·b)) / s, in which both count where they agree
STYLES = ("rectangle", "soft", "cut out")
Rows = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scene:
    """A photo to paste into, and what people said of it."""

    name: str
    pixels: RgbImage
    captions: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Thing:
    """A photo of one object, the word for it, and, where it is to be cut out, its mask, Bool["height width"]."""

    word: str
    pixels: RgbImage
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class Composed:
    """A photo of the set: the pasted object's word, box in pixels and style, none in a plain scene; and the scene's captions."""

    name: str
    pixels: RgbImage
    word: str | None = None
    box_xyxy: Box | None = None
    style: str | None = None
    captions: tuple[str, ...] = ()


# Composing


def compose(scene: Scene, thing: Thing, style: str, random: np.random.Generator) -> Composed:
    """The thing in the scene, with its own proportions, at 5-20 % of its area; never beyond its edges."""
    canvas = np.array(scene.pixels)
    source, mask = thing.pixels, np.ones(thing.pixels.shape[:2], np.bool_)
    if style == "cut out" and thing.mask is not None:
        rows, columns = np.flatnonzero(thing.mask.any(1)), np.flatnonzero(thing.mask.any(0))
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        source, mask = thing.pixels[window], thing.mask[window]
    scale = np.sqrt(random.uniform(*SHARES) * canvas.shape[0] * canvas.shape[1] / (source.shape[0] * source.shape[1]))
    scale = min(scale, 0.95 * canvas.shape[0] / source.shape[0], 0.95 * canvas.shape[1] / source.shape[1])
    width, height = max(8, round(source.shape[1] * scale)), max(8, round(source.shape[0] * scale))
    left, top = int(random.integers(0, canvas.shape[1] - width + 1)), int(random.integers(0, canvas.shape[0] - height + 1))
    small = np.asarray(Image.fromarray(source).resize((width, height), Image.Resampling.BICUBIC), np.float32)
    alpha = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255
    if style == "soft":
        alpha = alpha * _ramp(height)[:, None] * _ramp(width)
    window = slice(top, top + height), slice(left, left + width)
    canvas[window] = np.rint(canvas[window] + (small - canvas[window]) * alpha[..., None]).clip(0, 255).astype(np.uint8)
    box = (float(left), float(top), float(left + width), float(top + height))
    return Composed(f"{thing.word} in {scene.name}", canvas, thing.word, box, style, scene.captions)


def _ramp(length: int) -> Rows:
    """From 0 at both ends to 1, over a tenth of the length."""
    at = np.arange(length) + 0.5
    return np.minimum(1, np.minimum(at, length - at) / max(1.0, length / 10)).astype(np.float32)


def composed_set(scenes: Sequence[Scene], things: Sequence[Thing], seed: int = 0) -> list[Composed]:
    """One photo for each thing, each in a large scene of its own, and the large scenes that are left over as they are, in an order that the seed decides.

    A thing whose word's last part is said of some scene is left out: nobody would know how many photos show it.
    """
    random = np.random.default_rng(seed)
    scenes = [scene for scene in scenes if min(scene.pixels.shape[:2]) >= SHORT]
    said = {word for scene in scenes for caption in scene.captions for word in re.findall("[a-z]+", caption.lower())}
    things = [thing for thing in things if _kind(thing.word) not in said and _kind(thing.word) + "s" not in said]
    if len(things) > len(scenes):
        raise ValueError(f"{len(things)} things need as many scenes of at least {SHORT} pixels; there are {len(scenes)}.")
    order = random.permutation(len(scenes))
    photos = []
    for number, thing in enumerate(things):
        style = "cut out" if thing.mask is not None else STYLES[number % 2]
        photos.append(compose(scenes[order[number]], thing, style, random))
    return photos + [Composed(scenes[at].name, scenes[at].pixels, captions=scenes[at].captions) for at in order[len(things) :]]


def _kind(word: str) -> str:
    return word.lower().split()[-1]


# The truth, and how far it was found


def relevant(photos: Sequence[Composed]) -> dict[str, set[int]]:
    """The numbers of the photos that show each word."""
    found: dict[str, set[int]] = {}
    for number, photo in enumerate(photos):
        if photo.word is not None:
            found.setdefault(photo.word, set()).add(number)
    return found


def captioned(photos: Sequence[Composed]) -> dict[str, set[int]]:
    """The number of the photo of which each caption was said; what was said of several is left out."""
    found: dict[str, set[int]] = {}
    for number, photo in enumerate(photos):
        for caption in photo.captions:
            found.setdefault(caption, set()).add(number)
    return {caption: numbers for caption, numbers in found.items() if len(numbers) == 1}


def recall_at(rankings: Mapping[str, Sequence[int]], truth: Mapping[str, set[int]], k: int = K) -> float:
    """The mean over queries of the share of relevant photos, or of `k` where there are more, among the first `k` of the ranking."""
    shares = [len(set(rankings[query][:k]) & numbers) / min(k, len(numbers)) for query, numbers in truth.items()]
    return float(np.mean(shares))


def best_overlaps(photos: Sequence[Composed], regions: Sequence[Sequence[Region]]) -> dict[str, list[float]]:
    """Of each pasted object, the largest intersection over union of its box with that of a region, by style."""
    found: dict[str, list[float]] = {style: [] for style in STYLES}
    for photo, parts in zip(photos, regions, strict=True):
        if photo.box_xyxy is not None and photo.style is not None:
            found[photo.style].append(max((box_overlap(photo.box_xyxy, part.box_xyxy) for part in parts), default=0.0))
    return found


# A search in plain numpy, to choose by


def encoded(encoder: Encoder, pictures: Iterable[RgbImage]) -> Rows:
    prepared = [encoder.prepare(np.ascontiguousarray(picture)) for picture in pictures]
    rows = [encoder.encode_images(prepared[at : at + encoder.batch_size]) for at in range(0, len(prepared), encoder.batch_size)]
    return np.concatenate(rows) if rows else np.zeros((0, encoder.recipe.dim), np.float32)


def region_rows(encoder: Encoder, photos: Sequence[Composed], regions: Sequence[Sequence[Region]]) -> tuple[Rows, NDArray[np.intp]]:
    """A row for each region, the mean of its crops', and the number of its photo."""
    crops, region_of, photo_of = list[RgbImage](), list[int](), list[int]()
    for number, (photo, parts) in enumerate(zip(photos, regions, strict=True)):
        for part in parts:
            found = region_crops(photo.pixels, part.box_xyxy, (photo.pixels.shape[1], photo.pixels.shape[0]))
            crops += found
            region_of += [len(photo_of)] * len(found)
            photo_of.append(number)
    sums = np.zeros((len(photo_of), encoder.recipe.dim), np.float32)
    np.add.at(sums, region_of, encoded(encoder, crops))  # of unit rows, so that each context counts the same
    return normalize(sums), np.array(photo_of, np.intp)


def best_of_photo(similarities: Rows, photo_of: NDArray[np.intp], photos: int) -> Rows:
    """The similarity of each photo's best region, Float32["query photo"]; -1 where it has none."""
    best = np.full((len(similarities), photos), -1, np.float32)
    for row, values in zip(best, similarities, strict=True):
        np.maximum.at(row, photo_of, values)
    return best


def z_scores(similarities: Rows) -> Rows:
    """How far each is above the mean of its query, in deviations."""
    return np.asarray((similarities - similarities.mean(1, keepdims=True)) / (similarities.std(1, keepdims=True) + 1e-9), np.float32)


def evidence(images: Rows, regions: Rows) -> dict[str, Rows]:
    """What photos are ranked by, from the similarities of images and of best regions, both Float32["query photo"]."""
    of_image, of_region = z_scores(images), z_scores(regions)
    better = {f"both, margin {margin:g}": np.maximum(of_image, of_region - margin) for margin in MARGINS}
    soft = {f"both, soft {steep}": np.logaddexp(steep * of_image, steep * of_region) / steep for steep in STEEPNESSES}
    return {"images": of_image, "regions": of_region, **better, **soft, "mean of both": (of_image + of_region) / 2}


def measured_recalls(
    texts: Mapping[str, set[int]], encoder: Encoder, images: Rows, regions: Rows, photo_of: NDArray[np.intp]
) -> dict[str, float]:
    queries = list(texts)
    rows = encoder.encode_texts(queries)
    ranked = evidence(rows @ images.T, best_of_photo(rows @ regions.T, photo_of, len(images)))
    return {
        name: recall_at({query: np.argsort(-row, kind="stable").tolist() for query, row in zip(queries, scores, strict=True)}, texts)
        for name, scores in ranked.items()
    }


# The data


def read_scenes(folder: Path) -> list[Scene]:
    """The photos that `captions.jsonl` of a folder names."""
    lines = [json.loads(line) for line in (folder / "captions.jsonl").read_text(encoding="utf-8").splitlines()]
    return [Scene(line["image"], read_image(folder / line["image"]).pixels, tuple(line["captions"])) for line in lines]


def read_street(folder: Path) -> list[Scene]:
    return [Scene(file.name, read_image(file).pixels) for file in sorted(folder.glob("*.jpg"))]


def read_things(data: Path) -> list[Thing]:
    """One photo of each class whose name is one of Tiny-ImageNet's, by which small encoders are trained; and animals with masks."""
    listed = (data / "eval/tiny-imagenet-val/labels.txt").read_text(encoding="utf-8").splitlines()
    known = {name.strip().lower() for line in listed for name in line.split(",")}
    files = sorted((data / "eval/imagenet-samples").glob("*.jpg"))
    named = {file.stem.partition("_")[2].replace("_", " "): file for file in files}
    things = [Thing(word, read_image(file).pixels) for word, file in named.items() if word.lower() in known]
    for breed, word in {"Abyssinian": "Abyssinian", "Bengal": "Bengal", "american_bulldog": "American bulldog"}.items():
        for file in sorted((data / "segmentation/pets/images").glob(f"{breed}_*.jpg"))[:CUT_OUT_EACH]:
            mask = np.asarray(Image.open(data / "segmentation/pets/masks" / f"{file.stem}.png")) != 2
            things.append(Thing(word, read_image(file).pixels, mask))
    return things


# What proposals are compared with


class Grid:
    """2×2 windows of two thirds of the sides, and 3×3 of half: regions that look at nothing."""

    id, short, labels = "grid", 256, ("part",)

    def __call__(self, _pixels: RgbImage, size_wh: tuple[int, int]) -> Annotation:
        """See `annotate.RegionMaker`."""
        boxes = []
        for count in (2, 3):
            (wide, high), last = (2 * side / (count + 1) for side in size_wh), count - 1
            for at in range(count * count):
                left, top = at % count * (size_wh[0] - wide) / last, at // count * (size_wh[1] - high) / last
                boxes.append(Region((left, top, left + wide, top + high), "part"))
        return Annotation(size_wh, tuple(boxes), self.id)


class Segments:
    """Boxes of the 14 largest segments of at most half the photo, of two scales, by Felzenszwalb and Huttenlocher's method in scikit-image."""

    id, short, labels = "segments", 128, ("part",)

    def __call__(self, pixels: RgbImage, size_wh: tuple[int, int]) -> Annotation:
        """See `annotate.RegionMaker`."""
        from skimage.segmentation import felzenszwalb

        small = brought_down(pixels, self.short)
        height, width = small.shape[:2]
        boxes = set()
        for scale in (100, 300):
            parts = felzenszwalb(small, scale=scale, sigma=0.8, min_size=height * width // 200)
            for number in range(int(parts.max()) + 1):
                rows, columns = np.nonzero(parts == number)
                boxes.add((float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)))
        areas = {box: (box[2] - box[0]) * (box[3] - box[1]) / (height * width) for box in boxes}
        kept = sorted((box for box in boxes if areas[box] <= 0.5), key=lambda box: -areas[box])[:14]
        return Annotation(size_wh, tuple(scaled_box(Region(box, "part"), (width, height), size_wh) for box in kept), self.id)


YARDSTICKS: Mapping[str, Callable[[], RegionMaker]] = {"grid": Grid, "segments": Segments}


# What is printed


@dataclass(frozen=True)
class Figures:
    """What one maker of regions does on one seed. `overlaps` are shares of objects with an intersection over union above 0.5 and 0.7, by style."""

    maker: str
    regions: float
    milliseconds: float
    overlaps: dict[str, tuple[float, float]]
    recalls: dict[str, dict[str, float]]


def figures(name: str, maker: RegionMaker, sets: Mapping[str, Sequence[Composed]], encoder: Encoder | None) -> Figures:
    recalls, overlaps, count, milliseconds = {}, {}, 0.0, 0.0
    for title, photos in sets.items():
        begin = time.process_time()
        regions = [maker(photo.pixels, (photo.pixels.shape[1], photo.pixels.shape[0])).regions for photo in photos]
        seconds = (time.process_time() - begin) / len(photos)
        composed = relevant(photos)
        if composed:
            count, milliseconds = sum(map(len, regions)) / len(photos), seconds * 1000
            overlaps = {style: _shares(found) for style, found in best_overlaps(photos, regions).items() if found}
            overlaps["all"] = _shares([value for found in best_overlaps(photos, regions).values() for value in found])
        if encoder is None:
            continue
        rows, photo_of = region_rows(encoder, photos, regions)
        images = encoded(encoder, (photo.pixels for photo in photos))
        recalls[title] = measured_recalls(composed or captioned(photos), encoder, images, rows, photo_of)
    return Figures(name, count, milliseconds, overlaps, recalls)


def _shares(found: Sequence[float]) -> tuple[float, float]:
    values = np.array(found)
    return float((values > 0.5).mean()), float((values > 0.7).mean())


def show(found: Figures) -> None:
    print(f"\n{found.maker}: {found.regions:.1f} regions and {found.milliseconds:.1f} ms of a core a photo")
    for style, (half, more) in found.overlaps.items():
        print(f"  {style:10} IoU > 0.5 {half:6.1%}   > 0.7 {more:6.1%}")
    if not found.recalls:
        return
    names = list(found.recalls)
    print(f"  {f'recall@{K}':18}" + "".join(f"{name:>12}" for name in names))
    for way in found.recalls[names[0]]:
        print(f"  {way:18}" + "".join(f"{found.recalls[name][way]:12.1%}" for name in names))


def main() -> None:
    parser = argparse.ArgumentParser(description="What regions are worth for finding small objects")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--makers", nargs="+", default=["proposals"])
    parser.add_argument("--encoder", default="builtin", help="none: only boxes are measured")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not (args.data / "eval/imagenet-samples").is_dir():
        sys.exit(f"Nothing was measured: the photos are not in {args.data}. Name their folder with --data.")
    encoder, things = None if args.encoder == "none" else load_encoder(args.encoder), read_things(args.data)
    coco, flickr = (read_scenes(args.data / "eval" / name) for name in ("retrieval-coco", "retrieval-flickr"))
    scenes = [*coco, *flickr, *read_street(args.data / "segmentation/camvid/val/images")]
    plain = {
        title: [Composed(scene.name, scene.pixels, captions=scene.captions) for scene in found]
        for title, found in (("coco", coco), ("flickr", flickr))
    }
    for name in args.makers:
        maker = YARDSTICKS[name]() if name in YARDSTICKS else load_region_maker(name, RegionMakerOptions())
        if maker is None:
            sys.exit(f"{name!r} makes no regions. Name a maker of regions.")
        for seed in range(args.seeds):
            found = figures(name, maker, {"composed": composed_set(scenes, things, seed), **(plain if encoder else {})}, encoder)
            print(json.dumps({"seed": seed, **asdict(found)})) if args.json else show(found)


if __name__ == "__main__":
    main()
