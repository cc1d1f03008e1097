"""Judge a million photos by all tags that ship, from stored vectors alone: seconds, processor time, memory.

    python benchmarks/tags.py [--photos 1000000] [--dims 256 512] [--json]

The vectors are random but clustered: around 500 centres, of which 400 are vectors of frequent tags, so that
some tags are found for most photos (see `tags_a_photo`).
They are made a batch at a time, before the clock starts, and judged as they come: statistics in a first pass, tags in a second, both timed. Exit status 1 if it takes longer
than `TARGET_S`.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from search import Recipe, normalize
from search.tag_model import generic_phrases, load_tag_model
from search.tag_statistics import SpreadSum
from search.tagger import Tagger, TagOptions
from search.vocabulary import Group, Tag, Vocabulary
from search.vocabulary_file import load_vocabulary

TARGET_S = 20.0
TAGS = 1700
BATCH = 65_536
CLUSTERS, OWN = 500, 400


@dataclass(frozen=True)
class Clustered:
    """Unit rows, Float16["photo dim"] as a library stores them, some at a time and the same each time."""

    centres: np.ndarray
    photos: int

    def batch(self, number: int) -> np.ndarray:
        """The rows of one batch, Float16["photo dim"]."""
        random = np.random.default_rng(number)
        count = min(BATCH, self.photos - number * BATCH)
        dim = self.centres.shape[1]
        noise = random.standard_normal((4096, dim), np.float32)[random.integers(0, 4096, count)] * (0.6 / np.sqrt(dim))
        return normalize(self.centres[random.integers(0, len(self.centres), count)] + noise).astype(np.float16)

    @property
    def batches(self) -> int:
        """How many there are."""
        return -(-self.photos // BATCH)


def tagger_of(dim: int, random: np.random.Generator) -> Tagger:
    """The tags that ship, and some more up to `TAGS`, with random unit rows that share a direction as texts do."""
    photo = load_vocabulary("photo")
    more = tuple(Tag(f"word {number}", "more") for number in range(TAGS - len(photo)))
    words = Vocabulary("photo and more", (*photo.groups, Group("more")), (*photo.tags, *more))
    model = load_tag_model()
    common = random.standard_normal(dim)

    def rows(count: int) -> np.ndarray:
        return normalize(common * 0.7 + random.standard_normal((count, dim)))

    recipe = Recipe("random", "0" * 64, "fp32", "none", dim)
    return Tagger(words, "random", recipe, rows(TAGS), rows(len(generic_phrases())), rows(len(model.references)), model, 1 / np.sqrt(dim))


def measure(photos: int, dim: int) -> dict[str, float]:
    """Seconds and processor seconds of both passes, without those of making the vectors."""
    random = np.random.default_rng(0)
    tagger = tagger_of(dim, random)
    centres = np.concatenate(
        [tagger.texts[np.argsort(-tagger.frequencies)[:OWN]], normalize(random.standard_normal((CLUSTERS - OWN, dim)))]
    )
    source = Clustered(centres.astype(np.float32), photos)
    seconds = processor = 0.0
    found = 0

    def timed(since: tuple[float, float]) -> None:
        nonlocal seconds, processor
        seconds += time.perf_counter() - since[0]
        processor += time.process_time() - since[1]

    sums = SpreadSum(dim)
    for number in range(source.batches):
        rows = source.batch(number)
        now = time.perf_counter(), time.process_time()
        sums.add(rows)
        timed(now)
    fitted = seconds, processor
    statistics = tagger.statistics(sums.spread())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(source.batches):
        rows = source.batch(number)
        now = time.perf_counter(), time.process_time()
        found += len(tagger.columns(rows, statistics, TagOptions()))
        timed(now)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    scale = 1_000_000 / photos
    return {
        "photos": photos, "dim": dim, "tags": TAGS, "seconds": seconds, "processor_seconds": processor, "of_statistics": fitted[1],
        "seconds_for_a_million": seconds * scale, "processor_seconds_for_a_million": processor * scale, "tags_a_photo": found / photos,
        "memory_grown_mb": (after - before) / 1024,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=1_000_000)
    parser.add_argument("--dims", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = [measure(given.photos, dim) for dim in given.dims]
    if given.json:
        print(json.dumps(rows, indent=1))
    else:
        print(f"{'photos':>10}{'dim':>6}{'tags':>7}{'seconds':>10}{'processor':>11}{'a million':>11}{'tags a photo':>14}{'memory +MB':>12}")
        for row in rows:
            print(
                f"{row['photos']:10,}{row['dim']:6}{row['tags']:7,}{row['seconds']:10.1f}{row['processor_seconds']:11.1f}"
                f"{row['seconds_for_a_million']:11.1f}{row['tags_a_photo']:14.2f}{row['memory_grown_mb']:12.0f}"
            )
    slow = [row for row in rows if row["seconds_for_a_million"] > TARGET_S]
    print(
        f"Target: a million in {TARGET_S:g} s on two cores: {'MISSED' if slow else 'reached'}",
        file=sys.stderr if given.json else sys.stdout,
    )
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
