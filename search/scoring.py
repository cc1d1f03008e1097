"""Scores of a library's photos: from stored vectors without opening a photo, or from the photos themselves; what was scored before is left alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from preprocess import ImageError, ImageVanished, Limits, PellucidError, StorageFull, WeightsError, read_bytes

from ._lance import quote
from .iqa import Pair, load_axes
from .scorers import PAPER, PixelScorer, scores_of, source_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encode import Encoder
    from .store import Store

_ROWS = 32_768  # vectors in work at once: 67 MB as Float32 of 512 dimensions
_SCORES = 1 << 20  # rows of scores that are read at once, of 100 bytes
_SAVED_S = 20.0  # what an interrupt of a run over photos costs at most, and a kill too
_SAVED_PHOTOS = 500

Moved = Callable[[int, int], None]


def _still(_done: int, _total: int) -> None:
    pass


@dataclass
class Scored:
    """What a run did. `photos` were looked at, distinct ones; `scored` have new scores, `before` had all that was asked for, `missing` have no vector. `failed` are those that could not be
    read, by their names. After an interrupt, what is scored stays."""

    photos: int = 0
    scored: int = 0
    before: int = 0
    missing: int = 0
    failed: dict[str, PellucidError] = field(default_factory=dict)
    interrupted: bool = False


def score_vectors(
    store: Store, encoder: Encoder, pairs: Sequence[Pair], only: Collection[str] | None = None, *, again: bool = False, on_progress: Moved = _still
) -> Scored:  # fmt: skip
    """CLIP-IQA in the mode "fast": of the encoder's stored vectors, some at a time. The library's lock must be held.

    `only` are the digests to score; all where none are given. What was scored by these texts and vectors before, or at its own size, is left alone; with `again`, nothing is.

    Raises:
        StorageFull: the disk took no more.
    """
    axes = load_axes(encoder, pairs)
    sources = {pair.axis: source_of(f"fast-{encoder.recipe.id}", pair) for pair in pairs}
    wanted = _wanted(store, only)
    open_ = np.ones((len(wanted), len(pairs)), bool) if again else ~_held(store, wanted, sources, [source_of("", pair) for pair in pairs])
    report = Scored(len(wanted), before=len(wanted) - int(np.count_nonzero(open_.any(1))))
    left: NDArray[np.bool_] = np.any(open_, axis=1)
    total, seen = int(left.sum()), 0
    try:
        for digests, rows in _vectors(store, encoder):
            at = np.asarray(pc.index_in(digests, value_set=wanted).fill_null(-1))
            _, first = np.unique(at, return_index=True)  # a vector that was written twice counts once
            first = first[at[first] >= 0]
            kept = first[left[at[first]]]
            if len(kept):
                numbers = at[kept]
                values = np.where(open_[numbers], axes.scores(rows[kept].astype(np.float32)), np.nan)
                _put(store, digests.take(pa.array(kept)).to_pylist(), dict(zip(axes.names(), values.T, strict=True)), sources)
                left[numbers] = False
                report.scored += len(kept)
            seen += len(kept)
            on_progress(seen, total)
    except KeyboardInterrupt:
        report.interrupted = True
    report.missing = 0 if report.interrupted else int(left.sum())
    return report


def score_photos(
    store: Store, scorers: Sequence[PixelScorer], only: Collection[str] | None = None, *, limits: Limits | None = None, again: bool = False,
    on_progress: Moved = _still,
) -> Scored:  # fmt: skip
    """Scores of pixels: every distinct photo is read and scored, and what is done is saved every 20 seconds, so that the same call goes on where it was stopped. The library's lock must be
    held.

    Of copies, the first that can be read and is still what was indexed counts. A photo that fails is recorded, and the rest goes on; the next call tries it again.

    Raises:
        StorageFull: the disk took no more.
        WeightsError: a scorer's model does not load.
    """
    sources = {axis: source for scorer in scorers for axis, source in scorer.sources.items()}
    wanted = _wanted(store, only)
    done: NDArray[np.bool_] = np.zeros(len(wanted), bool) if again else np.all(_held(store, wanted, sources), axis=1)
    report = Scored(len(wanted), before=int(done.sum()))
    digests = [digest for digest, held in zip(wanted.to_pylist(), done, strict=True) if not held]
    files = _files(store, set(digests))
    ready: dict[str, dict[str, float]] = {}
    saved = time.monotonic()
    try:
        for number, digest in enumerate(digests, 1):
            try:
                ready[digest] = _scores(files[digest], digest, scorers, limits)
            except (WeightsError, StorageFull):
                raise
            except PellucidError as error:
                report.failed[str(files[digest][0])] = error
            if len(ready) >= _SAVED_PHOTOS or time.monotonic() - saved > _SAVED_S:
                report.scored += _save(store, ready, sources)
                ready, saved = {}, time.monotonic()
            on_progress(number, len(digests))
    except KeyboardInterrupt:
        report.interrupted = True
    finally:
        report.scored += _save(store, ready, sources)
    return report


def _wanted(store: Store, only: Collection[str] | None) -> pa.Array:
    """Digests of the library's photos, each once."""
    digests = pc.unique(store.images(["digest"])["digest"])
    digests = digests.combine_chunks() if isinstance(digests, pa.ChunkedArray) else digests
    return digests if only is None else digests.filter(pc.is_in(digests, value_set=pa.array(sorted(only), pa.string())))


def _held(store: Store, wanted: pa.Array, sources: Mapping[str, str], paper: Sequence[str] | None = None) -> NDArray[np.bool_]:
    """Whether each photo has each axis from its source, Bool["photo axis"]; or, with `paper`, from that of photos at their own size, which is better. `paper` says for each axis how the source
    ends: a user's own texts may be others by now."""
    held = np.zeros((len(wanted), len(sources)), bool)
    if not len(wanted):
        return held
    axes = pa.array(list(sources), pa.string())
    names = sorted(set(sources.values()))
    where = f"axis IN ({', '.join(map(quote, sources))}) AND (source IN ({', '.join(map(quote, names))})"
    where += f" OR source LIKE '{PAPER}%')" if paper is not None else ")"
    for batch in store.tables.batches("scores", _SCORES, where, ["digest", "axis", "source"]):
        photo = np.asarray(pc.index_in(batch["digest"], value_set=wanted).fill_null(-1))
        axis = np.asarray(pc.index_in(batch["axis"], value_set=axes))
        own = np.asarray(pc.equal(batch["source"], pa.array(list(sources.values())).take(pa.array(axis))))
        if paper is not None:
            ends = pc.replace_substring_regex(batch["source"], f"^{PAPER}[^-]*", "")  # of another source, all of it is left
            own |= np.asarray(pc.equal(ends, pa.array(paper, pa.string()).take(pa.array(axis))))
        counts = (photo >= 0) & own
        held[photo[counts], axis[counts]] = True
    return held


def _vectors(store: Store, encoder: Encoder) -> Iterator[tuple[pa.Array, NDArray[np.float16]]]:
    """Digests and rows, Float16["photo dim"], some ten thousand at a time."""
    parts: list[pa.RecordBatch] = []
    for batch in store.tables.batches(store.vector_table(encoder.recipe.id), _ROWS):
        parts.append(batch)
        if sum(part.num_rows for part in parts) >= _ROWS:
            yield _joined(parts, encoder.recipe.dim)
            parts = []
    if parts:
        yield _joined(parts, encoder.recipe.dim)


def _joined(parts: Sequence[pa.RecordBatch], dim: int) -> tuple[pa.Array, NDArray[np.float16]]:
    rows = [part["vector"].flatten().to_numpy(zero_copy_only=False).reshape(-1, dim) for part in parts]
    return pa.concat_arrays([part["digest"] for part in parts]), np.concatenate(rows)


def _files(store: Store, digests: Collection[str]) -> dict[str, list[Path]]:
    """Where each photo and its copies are."""
    rows = store.images(["root", "path", "digest"])
    found: dict[str, list[Path]] = {}
    for root, path, digest in zip(*(rows[name].to_pylist() for name in ("root", "path", "digest")), strict=True):
        if digest in digests:
            found.setdefault(digest, []).append(Path(root, path))
    return found


def _scores(files: Sequence[Path], digest: str, scorers: Sequence[PixelScorer], limits: Limits | None) -> dict[str, float]:
    """The scores of the first of these files that has these bytes.

    Raises:
        PellucidError: none of them can be scored; the first's reason.
    """
    first: PellucidError | None = None
    for file in files:
        try:
            data = read_bytes(file, limits)
            if sha256(data).hexdigest() != digest:
                raise ImageVanished(f"{file} is another photo than the one that was indexed. Bring the library up to date: pellucid index")
            return scores_of(data, str(file), scorers, limits)
        except (WeightsError, StorageFull):
            raise  # no photo's fault
        except PellucidError as error:
            first = first or error
        except Exception as error:  # one strange photo must never end a run over a library
            first = first or ImageError(f"{file} could not be scored: {type(error).__name__}: {error}")
    raise first or ImageVanished(f"No photo has the digest {digest}. Bring the library up to date: pellucid index")


def _save(store: Store, ready: Mapping[str, Mapping[str, float]], sources: Mapping[str, str]) -> int:
    columns = {axis: np.array([values[axis] for values in ready.values()], np.float64) for axis in sources}
    _put(store, list(ready), columns, sources)
    return len(ready)


def _put(store: Store, digests: Sequence[str], columns: Mapping[str, NDArray[np.floating]], sources: Mapping[str, str]) -> None:
    """One write for each source."""
    if digests:
        for source in dict.fromkeys(sources.values()):
            store.scores.put_columns(digests, {axis: columns[axis] for axis, name in sources.items() if name == source}, source)
