"""Compare two encoders on a sample of a library's photos, before anything is committed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess import ImageError, InputError, Limits
from search import PLAIN, Library, Store, nearest_others

from .encoding import embed
from .report import Report
from .stages import Loaded, Loader, read
from .walk import Found

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from search import Encoder, Vectors

    Rows = dict[str, NDArray[np.float16]]

NEIGHBOURS = 10
TIMED = 64  # photos that are embedded for the speed alone, where the vectors of the whole sample are stored
SHOWN, SHOWN_NEIGHBOURS = 5, 3


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """How many photos are compared, and how they are read; `jobs` 0 means one reading thread for each core."""

    sample: int = 500
    limits: Limits = field(default_factory=Limits)
    jobs: int = 0


@dataclass(frozen=True, slots=True)
class Speed:
    """What embedding the sample took: reading and decoding are in it, loading the encoder is not. `photos_per_s` is none if nothing was timed."""

    embedded: int
    photos_per_s: float | None


def compare_encoders(
    library: Library,
    first: Encoder,
    second: Encoder,
    options: CompareOptions | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """How alike the neighbours are that two encoders see, and what changing from the first to the second would cost.

    `overlap` is the mean share, in [0, 1], of the 10 nearest neighbours within the sample that both agree on. Stored vectors are used, others are
    made and thrown away: nothing is written to the library. Photos that cannot be read, or have changed since, are left out and counted.

    Raises:
        InputError: the encoders are the same, or there are too few photos.
    """
    options = options or CompareOptions()
    if first.recipe.id == second.recipe.id:
        raise InputError(f"{first.recipe.encoder!r} and {second.recipe.encoder!r} are the same encoder. Name two that differ.")
    if options.sample <= NEIGHBOURS:
        raise InputError(
            f"A sample of {options.sample} is too small to compare {NEIGHBOURS} neighbours. Give --sample {NEIGHBOURS + 1} or more."
        )
    store = Store(library)
    images = store.images(["root", "path", "digest", "byte_size", "modified_ns"]).to_pylist()
    sample = stratified(images, options.sample)
    if len(sample) <= NEIGHBOURS:
        raise InputError(f"{library.folder} has {len(sample)} different photos; {NEIGHBOURS} neighbours need {NEIGHBOURS + 1} or more.")
    work = _Comparison(store, sample, options, on_progress)
    vectors = [work.vectors(encoder) for encoder in (first, second)]
    both = [row for row in sample if all(row["digest"] in rows for rows in vectors)]
    if len(both) <= NEIGHBOURS:
        raise InputError(
            f"Of {len(sample)} photos of the sample only {len(both)} could be read; {NEIGHBOURS} neighbours need {NEIGHBOURS + 1} or more. "
            f"Make the photos reachable: {next(iter(work.left_out.values()))}"
        )
    speed = work.speed(second)
    photos = len({row["digest"] for row in images})
    stored = len(store.digests(second.recipe.id)) if second.recipe.id in library.file.recipes else 0
    return {
        "library": str(library.folder), "photos": photos, "sample": len(both), "left_out": work.left_out,
        **_agreement(both, *vectors),
        "speed": {"encoder": second.recipe.encoder, "embedded": speed.embedded, "photos_per_s": _rounded(speed.photos_per_s),
                  "left_to_embed": photos - stored,
                  "seconds_for_the_rest": _rounded((photos - stored) / speed.photos_per_s) if speed.photos_per_s else None},
        "encoders": [_cost(store, encoder, photos) for encoder in (first, second)],
    }  # fmt: skip


def stratified(rows: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """At most `count` rows, each digest once, from every root and folder by its share; always the same ones.

    Sorted by folder, and by digest within it, every n-th row is taken, so that a folder's share is off by less than one photo.
    """
    once = {row["digest"]: row for row in sorted(rows, key=lambda row: (row["root"], row["path"]), reverse=True)}
    ordered = sorted(once.values(), key=lambda row: (row["root"], row["path"].rpartition("/")[0], row["digest"]))
    count = min(count, len(ordered))
    return [ordered[(2 * at + 1) * len(ordered) // (2 * count)] for at in range(count)]


class _Comparison:
    """Vectors of the sample, stored ones first."""

    def __init__(
        self, store: Store, sample: list[dict[str, Any]], options: CompareOptions, on_progress: Callable[[int, int], None]
    ) -> None:
        self.store, self.sample, self.options, self.on_progress = store, sample, options, on_progress
        self.left_out: dict[str, str] = {}
        self.timed: dict[str, Speed] = {}

    def vectors(self, encoder: Encoder) -> Rows:
        """A row for each digest that has one or could be embedded, Float16["dim"], as the store holds them."""
        import numpy as np

        known = encoder.recipe.id in self.store.library.file.recipes
        rows: Rows = self.store.vectors_of(encoder.recipe.id, {row["digest"] for row in self.sample}) if known else {}
        lacking = [row for row in self.sample if row["digest"] not in rows]
        made, self.timed[encoder.recipe.id], left_out = self._embed(encoder, lacking)
        self.left_out.update(left_out)
        return rows | {digest: vector.astype(np.float16) for digest, vector in made.items()}

    def speed(self, encoder: Encoder) -> Speed:
        """How fast the encoder was; where most vectors were stored, some photos are embedded for it."""
        speed = self.timed[encoder.recipe.id]
        enough = min(TIMED, len(self.sample))
        return speed if speed.embedded >= enough else self._embed(encoder, self.sample[:: len(self.sample) // enough][:enough])[1]

    def _embed(self, encoder: Encoder, rows: Sequence[dict[str, Any]]) -> tuple[dict[str, Vectors], Speed, dict[str, str]]:
        """Vectors of the photos that could be read and are still what they were, how long that took, and why the others are left out."""
        import numpy as np

        if not rows:
            return {}, Speed(0, None), {}
        encoder.encode_images([encoder.prepare(np.zeros((encoder.side, encoder.side, 3), np.uint8))])  # so that loading is not timed
        report, threads = Report(), self.options.jobs or os.cpu_count() or 1
        found = [Found(row["root"], row["path"], row["byte_size"], row["modified_ns"]) for row in rows]
        digests = {file.key: row["digest"] for file, row in zip(found, rows, strict=True)}
        pool = ThreadPoolExecutor(threads, thread_name_prefix="read")
        made: dict[str, Vectors] = {}
        start = time.perf_counter()
        try:
            loader = Loader(encoder, self.options.limits, lambda _digest: (None, False))
            loaded = read(found, loader, report, pool, ahead=4 * threads + encoder.batch_size)
            for batch in embed(_unchanged(loaded, digests, report), encoder, set(), report):
                made.update(zip(*batch.of(PLAIN), strict=True))
                self.on_progress(report.done, len(found))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        seconds = time.perf_counter() - start
        return made, Speed(len(made), len(made) / seconds if made else None), report.failed


def _unchanged(loaded: Iterable[Loaded], digests: dict[tuple[str, str], str], report: Report) -> Iterator[Loaded]:
    """The photos that are still the ones that were indexed; the others go into the report."""
    for item in loaded:
        if digests[item.found.key] == item.digest:
            yield item
        else:
            report.fail(item.found, ImageError(f"{item.found.file} has changed since it was indexed. Index the library again."))


def _agreement(rows: Sequence[dict[str, Any]], first: Rows, second: Rows) -> dict[str, Any]:
    """Mean overlap of the nearest neighbours, and the photos whose neighbours differ most."""
    import numpy as np

    names = [f"{row['root'].rstrip('/')}/{row['path']}" for row in rows]
    nearest = [nearest_others(np.stack([found[row["digest"]] for row in rows]).astype(np.float32), NEIGHBOURS) for found in (first, second)]
    shares = np.array([len(set(a) & set(b)) / NEIGHBOURS for a, b in zip(nearest[0].tolist(), nearest[1].tolist(), strict=True)])
    most = sorted(range(len(rows)), key=lambda at: (shares[at], names[at]))[:SHOWN]
    return {
        "overlap": round(float(shares.mean()), 4),
        "differ_most": [
            {"photo": names[at], "overlap": round(float(shares[at]), 2),
             "first": [names[n] for n in nearest[0][at][:SHOWN_NEIGHBOURS]], "second": [names[n] for n in nearest[1][at][:SHOWN_NEIGHBOURS]]}
            for at in most if shares[at] < 1
        ],
    }  # fmt: skip


def _cost(store: Store, encoder: Encoder, photos: int) -> dict[str, Any]:
    """Bytes on disk and in memory for a library of so many photos: measured where it has these vectors, estimated from their size otherwise.

    A search reads the whole index, which is mapped into memory, and holds the towers.
    """
    recipe, library = encoder.recipe, store.library
    stored = len(store.digests(recipe.id)) if recipe.id in library.file.recipes else 0
    index = library.cache_of(recipe.id) / "nearest.faiss"
    vectors = (
        _bytes(library.store / f"{store.vector_table(recipe.id)}.lance") if stored == photos else photos * _row_bytes(store, recipe.dim)
    )
    indexed = index.stat().st_size if stored == photos and index.is_file() else photos * recipe.dim * 2
    folder: Path | None = getattr(encoder, "folder", None)
    model = _bytes(folder) if folder is not None else 0
    return {"encoder": recipe.encoder, "recipe": recipe.id, "precision": recipe.precision, "dim": recipe.dim, "stored": stored,
            "vectors_bytes": vectors, "index_bytes": indexed, "model_bytes": model, "memory_bytes": indexed + _towers(encoder, folder)}  # fmt: skip


def _towers(encoder: Encoder, folder: Path | None) -> int:
    """Bytes of the graphs that this encoder runs: not those of another precision."""
    if folder is None:
        return 0
    own = getattr(encoder, "graph", None)
    graphs = [
        file
        for file in folder.glob("*.onnx*")
        if own is None or not file.name.startswith("image.") or file.name.removesuffix(".data") == own
    ]
    return sum(file.stat().st_size for file in graphs)


def _row_bytes(store: Store, dim: int) -> int:
    """Bytes of a vector's row in the store: two a number, and what the digest and the format took beside them in the vectors that are there."""
    beside = []
    for recipe_id, facts in store.library.file.recipes.items():
        count = len(store.digests(recipe_id))
        if count >= 1000:  # fewer say nothing: a file of the format has its own header
            beside.append(_bytes(store.library.store / f"{store.vector_table(recipe_id)}.lance") / count - 2 * int(facts["dim"]))
    return 2 * dim + round(max(beside, default=72.0))


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
