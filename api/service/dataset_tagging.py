"""Tags for a data set that is in no library: its pictures are read once, and judged against each other.

Vectors and facts wait in files, so that memory does not grow with the data set: how likely a tag is depends on how all the pictures lie.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess import FULL, InputError, PellucidError, StorageFull, WeightsError, decode

from ..settings import load_settings
from .dataset_archive import PassedOver
from .dataset_output import FILES, WRITERS, Tagged, region_facts
from .dataset_source import Sent, pictures_of
from .job_work import Made, vocabulary_of
from .uploads import read_sent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotate import RegionMaker
    from preprocess import Limits, Photo
    from search import Encoder, Prepared, Tagger, TagOptions

    from ..settings import Settings
    from .job_child import Teller

_BLOCK = 1024  # rows that are judged at a time
_MOST_THREADS = 4


@dataclass(frozen=True, slots=True)
class Read:
    """A picture that was read: what is told of it, and what the encoder takes."""

    facts: dict[str, Any]
    prepared: Prepared
    regions: list[dict[str, Any]]


@dataclass
class Reading:
    """Reads pictures and keeps their vectors and facts in `vectors.f32` and `rows.jsonl` below a folder."""

    encoder: Encoder
    maker: RegionMaker | None
    limits: Limits
    folder: Path
    failed: dict[str, str] = field(default_factory=dict)
    pictures: int = 0
    regions: int = 0

    def run(self, sent: Iterator[Sent], total: int | None, tell: Teller) -> None:
        """Read them all; what fails is recorded and the rest goes on."""
        from indexer.stages import map_ahead

        threads = min(os.cpu_count() or 1, _MOST_THREADS)
        batch: list[Read] = []
        with (
            ThreadPoolExecutor(threads, thread_name_prefix="read") as pool,
            (self.folder / "vectors.f32").open("wb") as vectors,
            (self.folder / "rows.jsonl").open("w", encoding="utf-8") as rows,
        ):
            for done, (name, found) in enumerate(map_ahead(self._read, sent, pool, 2 * threads), 1):
                if isinstance(found, PellucidError):
                    self.failed[name] = str(found).encode("utf-8", "backslashreplace").decode()
                else:
                    batch.append(found)
                if len(batch) >= self.encoder.batch_size:
                    self._keep(batch, vectors, rows)
                    batch = []
                tell.progress("reading pictures", done, total)
            self._keep(batch, vectors, rows)

    def _read(self, sent: Sent) -> tuple[str, Read | PellucidError]:
        try:
            data = sent.load()
            side = self.encoder.side if self.maker is None else max(self.encoder.side, self.maker.short)
            photo: Photo = read_sent(self.limits, data, sent.name, lambda shown, limits: decode(data, shown, limits, side))
            facts = {
                "path": sent.name, "digest": sha256(data).hexdigest(), "width": photo.width, "height": photo.height, "format": photo.format,
                "taken_at": photo.facts.taken_at,
            }  # fmt: skip
            size_wh = (photo.width, photo.height)
            regions = [] if self.maker is None else [region_facts(one, size_wh) for one in self.maker(photo.pixels, size_wh).regions]
            return sent.name, Read(facts, self.encoder.prepare(photo.pixels), [one for one in regions if one is not None])
        except WeightsError:
            raise  # no picture's fault
        except PellucidError as error:
            return sent.name, error
        except Exception as error:  # one strange picture must never end a data set
            return sent.name, InputError(f"It could not be read: {type(error).__name__}: {error}")
        finally:
            sent.done()

    def _keep(self, batch: list[Read], vectors: Any, rows: Any) -> None:
        if not batch:
            return
        vectors.write(self.encoder.encode_images([one.prepared for one in batch]).tobytes())
        rows.writelines(json.dumps([one.facts, one.regions]) + "\n" for one in batch)
        self.pictures += len(batch)
        self.regions += sum(len(one.regions) for one in batch)


def tag_dataset(options: dict[str, Any], place: Path, uploads: Path, tell: Teller) -> Made:
    """Tag what the options name; the result is a file in `place`.

    Raises:
        InputError: the archive or folder cannot be used, or no picture in it could be read.
        StorageFull: the disk took no more.
    """
    try:
        return _tag(options, place, uploads, tell)
    except OSError as error:
        if error.errno in FULL:
            raise StorageFull(f"The disk of {place} is full. Free some space and ask again.") from error
        raise


def _tag(options: dict[str, Any], place: Path, uploads: Path, tell: Teller) -> Made:
    from annotate import RegionMakerOptions, load_region_maker
    from search import TagOptions, load_tagger, load_vocabulary

    from ..wiring import limits_of

    settings = load_settings()
    limits, passed = limits_of(settings), PassedOver()
    tell.progress("loading models", 0)
    words = load_vocabulary(options["vocabulary"]) if options["labels"] is None else vocabulary_of(options["labels"])
    encoder = _encoder(settings)
    maker = None if options["segment"] is None else load_region_maker(options["segment"], RegionMakerOptions(settings.models.expanduser()))
    tagger = load_tagger(encoder, words, "auto", place.parent.parent / "words" if options["labels"] is None else None)
    sent, total = pictures_of(options, uploads, settings, limits, passed)
    reading = Reading(encoder, maker, limits, place)
    reading.run(sent, total, tell)
    if not reading.pictures:
        why = next(iter(reading.failed.values()), next(iter(passed.reasons.items()), ("", "")))
        raise InputError(
            f"None of the {len(reading.failed) + passed.count:,} files could be read as a picture. {why if isinstance(why, str) else ' '.join(why)}"
        )
    counted = Counted()
    result = place / FILES[options["format"]]
    judged = _judged(reading, tagger, TagOptions(options["precision"], options["most"]), tell)
    WRITERS[options["format"]](map(counted, judged), result)
    return Made({
        "pictures": reading.pictures, "tags": counted.tags, "without": counted.without, "regions": reading.regions, "encoder": encoder.recipe.encoder,
        "vocabulary": words.name, "words": len(words), "precision": options["precision"], "most": options["most"], "segment": options["segment"],
        "format": options["format"], "by_tag": dict(counted.by_tag.most_common()), "failed": reading.failed, "passed_over": passed.reasons,
        "counts": {"failed": len(reading.failed), "passed_over": passed.count},
    }, result)  # fmt: skip


def _encoder(settings: Settings) -> Encoder:
    """The one that the service uses: the library's, or without a library the one that the settings name."""
    from preprocess import LibraryNotFound
    from search import Library

    from ..wiring import encoder_for, lone_encoder

    if settings.runtime == "auto":
        settings = settings.model_copy(update={"runtime": "onnx"})
    try:
        return encoder_for(Library(settings.library.expanduser()), settings)
    except LibraryNotFound:
        return lone_encoder(settings.encoder)


@dataclass
class Counted:
    """Counts tags while they pass."""

    tags: int = 0
    without: int = 0
    by_tag: Counter[str] = field(default_factory=Counter)

    def __call__(self, picture: Tagged) -> Tagged:
        """The same picture, counted."""
        self.tags += len(picture.tags)
        self.without += not picture.tags
        self.by_tag.update(tag for tag, _ in picture.tags)
        return picture


def _judged(reading: Reading, tagger: Tagger, options: TagOptions, tell: Teller) -> Iterator[Tagged]:
    """The pictures again, now with their tags."""
    import numpy as np

    vectors: NDArray[np.float32] = np.memmap(
        reading.folder / "vectors.f32", np.float32, "r", shape=(reading.pictures, reading.encoder.recipe.dim)
    )
    starts = range(0, reading.pictures, _BLOCK)
    statistics = tagger.fit(np.asarray(vectors[at : at + _BLOCK]) for at in starts)
    with (reading.folder / "rows.jsonl").open(encoding="utf-8") as rows:
        for at in starts:
            tell.progress("tagging", at, reading.pictures)
            for found, line in zip(tagger.tags(np.asarray(vectors[at : at + _BLOCK]), statistics, options), rows, strict=False):
                facts, regions = json.loads(line)
                yield Tagged(facts, [(tag.tag, tag.precision) for tag in found], regions)
    tell.progress("tagging", reading.pictures, reading.pictures)
