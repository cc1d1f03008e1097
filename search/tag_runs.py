"""What tagging writes: runs with their provenance, their tags in columns, and what differs between two runs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from preprocess import InputError

from .vocabulary import fault_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

RunState: TypeAlias = Literal["running", "written", "retracted", "promoted"]
Labelled: TypeAlias = Literal["confirmed", "rejected"]


def utc_now() -> str:
    """The time, ISO 8601 in UTC with microseconds, so that later ones sort after earlier ones."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def new_run_id() -> str:
    """An id for a run that begins now: its time in UTC and four random digits, "20260102-030405-a1b2"."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def ids_called(ids: Sequence[str], asked: str) -> list[str]:
    """The ids that are `asked` for, by the whole id or the beginning of it."""
    return [asked] if asked in ids else [one for one in ids if asked and one.startswith(asked)]


@dataclass(frozen=True, slots=True)
class TagRun:
    """One run of tagging: by which encoder and words, with which settings (what JSON can hold), and what came of it. `photos` and `tags` are counted, and `at`
    is set, when it is finished; until then its `state` is "running" and it does not count."""

    id: str
    recipe: str
    encoder: str
    vocabulary: str
    vocabulary_hash: str
    templates: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    stricter_than: str | None = None
    at: str = field(default_factory=utc_now)
    photos: int = 0
    tags: int = 0
    state: RunState = "running"

    @property
    def layer(self) -> tuple[str, str]:
        """Runs with the same recipe and vocabulary replace each other's tags, photo by photo."""
        return self.recipe, self.vocabulary

    @property
    def counts(self) -> bool:
        """Whether its tags are tags of photos, as far as no later run replaces them."""
        return self.state in ("written", "promoted")

    def row(self) -> dict[str, Any]:
        """Its row in the table."""
        return {"run": self.id, "at": self.at, "recipe": self.recipe, "encoder": self.encoder, "vocabulary": self.vocabulary,
                "vocabulary_hash": self.vocabulary_hash, "templates": self.templates, "settings": json.dumps(dict(self.settings), sort_keys=True),
                "photos": self.photos, "tags": self.tags, "state": self.state, "stricter_than": self.stricter_than}  # fmt: skip

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> TagRun:
        """The run of a row of the table."""
        return cls(
            row["run"], row["recipe"], row["encoder"], row["vocabulary"], row["vocabulary_hash"], row["templates"], json.loads(row["settings"] or "{}"),
            row["stricter_than"], row["at"], row["photos"], row["tags"], row["state"],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredTag:
    """A tag that a photo has now. `precision` is how likely it is right, 1 where a person confirmed it, which `human` says. `run` wrote it, none where nobody but
    a person did; then `similarity` and `z` are none. `region` is the number of the region that is the evidence, none for the whole photo."""

    tag: str
    precision: float
    similarity: float | None = None
    z: float | None = None
    region: int | None = None
    run: str | None = None
    human: bool = False


@dataclass(frozen=True, slots=True)
class RunDiff:
    """What a later run changes of an earlier one: tags by digest, in the order of their names. `removed` are those of photos that the later one looked at."""

    added: Mapping[str, tuple[str, ...]]
    removed: Mapping[str, tuple[str, ...]]


class Found(Protocol):
    """A tag that was found for a photo, with the fields of `StoredTag`."""

    # fmt: off
    @property
    def tag(self) -> str: ...  # noqa: D102
    @property
    def precision(self) -> float: ...  # noqa: D102
    @property
    def similarity(self) -> float | None: ...  # noqa: D102
    @property
    def z(self) -> float | None: ...  # noqa: D102
    @property
    def region(self) -> int | None: ...  # noqa: D102
    # fmt: on


@dataclass(frozen=True, slots=True, eq=False)
class TagRows:
    """Tags of some photos in columns: all `digests` that were looked at, and for each tag that was found the `photo` as an index into them, Int64["row"], the
    `tag` as an index into `names`, Int64["row"], and what is known of it, Float["row"]; `region` is a region's number or -1, Int64["row"].

    Raises:
        InputError: a digest or a pair of photo and tag is there twice, an index is out of range, a precision is not in [0, 1], or a name is none for a tag.
    """

    digests: Sequence[str]
    names: Sequence[str]
    photo: NDArray[np.integer]
    tag: NDArray[np.integer]
    precision: NDArray[np.floating]
    similarity: NDArray[np.floating]
    z: NDArray[np.floating]
    region: NDArray[np.integer] | None = None

    def __post_init__(self) -> None:
        count = len(self.photo)
        columns = (self.tag, self.precision, self.similarity, self.z, *(() if self.region is None else (self.region,)))
        if any(len(column) != count for column in columns):
            raise InputError(f"The columns of tags have {count} photos and {', '.join(str(len(column)) for column in columns)} values.")
        if len(set(self.digests)) != len(self.digests):
            raise InputError("A photo is twice among the tags that are to be written. Give each digest once.")
        for indices, limit, what in ((self.photo, len(self.digests), "photo"), (self.tag, len(self.names), "name")):
            if count and (int(indices.min()) < 0 or int(indices.max()) >= limit):
                raise InputError(f"The tags that are to be written name a {what} beyond the {limit} that there are.")
        if count and not bool(((self.precision >= 0) & (self.precision <= 1)).all()):  # false for NaN too
            raise InputError("A tag that is to be written has a precision outside of [0, 1].")
        if count and len(np.unique(self.photo.astype(np.int64) * len(self.names) + self.tag)) != count:
            raise InputError("A photo has a tag twice among those that are to be written.")
        for name in self.names:
            check_tag(name)

    @classmethod
    def of(cls, found: Mapping[str, Iterable[Found]]) -> TagRows:
        """From the tags of each digest, an empty sequence where none was found; for some thousand photos at a time."""
        names: dict[str, int] = {}
        pairs = [(photo, one) for photo, tags in enumerate(found.values()) for one in tags]
        tag = np.array([names.setdefault(one.tag, len(names)) for _, one in pairs], np.int64)
        precision, similarity, z = (
            np.array([getattr(one, name) for _, one in pairs], np.float64) for name in ("precision", "similarity", "z")
        )
        region = np.array([-1 if one.region is None else one.region for _, one in pairs], np.int64)
        return cls(list(found), list(names), np.array([photo for photo, _ in pairs], np.int64), tag, precision, similarity, z, region)

    def table(self, run: str) -> pa.Table:
        """Rows of the table `tags`: one for each tag, and one without a tag for each photo that has none."""
        bare = np.setdiff1d(np.arange(len(self.digests)), self.photo)
        photo = np.concatenate([self.photo, bare]).astype(np.int64)
        blank = np.arange(len(photo)) >= len(self.photo)
        region = np.full(len(self.photo), -1) if self.region is None else self.region
        tag = pa.array(np.concatenate([self.tag, np.zeros(len(bare))]).astype(np.int64), mask=blank)
        reals = {
            name: pa.array(np.concatenate([values, np.full(len(bare), np.nan)]).astype(np.float64), from_pandas=True)  # NaN is null
            for name, values in (("precision", self.precision), ("similarity", self.similarity), ("z", self.z))
        }
        regions = np.concatenate([region, np.full(len(bare), -1)]).astype(np.int64)
        return pa.table({
            "digest": pa.array(self.digests, pa.string()).take(pa.array(photo)), "tag": pa.array(self.names, pa.string()).take(tag),
            "run": pa.repeat(run, len(photo)), **reals, "region": pa.array(regions, mask=regions < 0),
        })  # fmt: skip


def check_tag(tag: str) -> None:
    """Refuse what cannot be the name of a tag: control characters, overlong names, what parts keywords.

    Raises:
        InputError: it cannot be one; the message says why.
    """
    if fault := fault_of(tag):
        raise InputError(f"This is no name for a tag: {fault}")
