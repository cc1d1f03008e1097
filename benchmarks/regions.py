"""What regions are worth to a real search: composed photos and whole scenes are indexed, and asked with `--in images`, `regions` and `both`.

Run: `python benchmarks/regions.py [--makers proposals builtin+proposals] [--seeds 3] [--data DIR] [--json]`. The photos are those of benchmarks/composed.py: single objects,
whose class has a name, pasted at 5-20 % of the area of large scenes, so that it is known which photos show what. Each seed is a library of its own. Beside them stand whole
scenes with their captions. Recall@10: the mean over queries of the share of the photos that show it, or of ten, among the first ten hits.

Exit code 1 where `both` does not beat `images` on small objects, or loses more than 0.5 points on the captions of all sets together.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from composed import DATA, Composed, Scene, captioned, composed_set, read_scenes, read_street, read_things, recall_at, relevant
from PIL import Image

from indexer import BuildOptions, build
from search import WITHIN, Encoder, Library, Query, Term, load_encoder, search

K = 10
MOST_LOST = 0.005


def recalls(photos: Sequence[Composed], truth: Mapping[str, set[int]], maker: str, encoder: Encoder, place: Path) -> dict[str, float]:
    """Recall@10 of each way to search."""
    folder = place / "photos"
    folder.mkdir(parents=True)
    for number, photo in enumerate(photos):
        Image.fromarray(photo.pixels).save(folder / f"{number:05}.png", compress_level=1)
    library = Library(place / "library", create=True)
    report = build(library, [folder], encoder, BuildOptions(regions=maker, dehaze="none"))
    if report.failed or report.found != len(photos):
        raise SystemExit(f"Some photos were not indexed: {report.failed}")
    found = {}
    for within in WITHIN:
        rankings = {
            query: [int(Path(hit.path).stem) for hit in search(library, Query((Term(query),), K, None, within), encoder)] for query in truth
        }
        found[within] = recall_at(rankings, truth, K)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--makers", nargs="+", default=["proposals", "builtin", "builtin+proposals"])
    parser.add_argument("--encoder", default="builtin")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not (options.data / "eval/imagenet-samples").is_dir():
        print(f"Nothing was measured: the photos are not in {options.data}. Name their folder with --data.")
        return 0
    encoder, things = load_encoder(options.encoder), read_things(options.data)
    coco, flickr = (read_scenes(options.data / "eval" / name) for name in ("retrieval-coco", "retrieval-flickr"))
    scenes: list[Scene] = [*coco, *flickr, *read_street(options.data / "segmentation/camvid/val/images")]
    results: dict[str, dict[str, dict[str, float]]] = {}
    for maker in options.makers:
        with tempfile.TemporaryDirectory() as name:
            place = Path(name)
            small: list[dict[str, float]] = []
            asked: dict[str, int] = {}
            for seed in range(options.seeds):
                photos = composed_set(scenes, things, seed)
                small.append(recalls(photos, relevant(photos), maker, encoder, place / f"{seed}"))
            results[maker] = {"small objects": {within: float(np.mean([found[within] for found in small])) for within in WITHIN}}
            for title, found in (("captions, coco", coco), ("captions, flickr", flickr)):
                plain = [Composed(scene.name, scene.pixels, captions=scene.captions) for scene in found]
                results[maker][title] = recalls(plain, captioned(plain), maker, encoder, place / title)
                asked[title] = len(captioned(plain))
            results[maker]["captions, all"] = {
                within: sum(results[maker][title][within] * asked[title] for title in asked) / sum(asked.values()) for within in WITHIN
            }
    missed = [
        f"{maker}, {title}"
        for maker, sets in results.items()
        for title, found in sets.items()
        if (title == "small objects" and found["both"] <= found["images"])
        or (title == "captions, all" and found["both"] < found["images"] - MOST_LOST)
    ]
    if options.json:
        print(json.dumps({"seeds": options.seeds, "recall_at_10": results, "missed": missed}, indent=1))
        return int(bool(missed))
    print(f"Recall@{K}, encoder {options.encoder}, {options.seeds} composed libraries")
    print(f"{'regions':20} {'queries':20}" + "".join(f"{within:>10}" for within in WITHIN))
    for maker, sets in results.items():
        for title, found in sets.items():
            print(f"{maker:20} {title:20}" + "".join(f"{found[within]:10.1%}" for within in WITHIN))
    print(
        f"Target: both beats images on small objects, and loses at most {MOST_LOST:.1%} on captions: {'MISSED: ' + '; '.join(missed) if missed else 'reached'}"
    )
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
