"""What goes into which sidecar: the tags that photos have now, by people as they are and by machines below a prefix, and regions where they are wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from annotate import Keyword, SidecarStyle, XmpItems, area_items, keyword_items, sidecar_paths
from preprocess import PellucidError, exif_orientation

from .library_photos import matching_keys
from .library_tags import run_vocabularies

if TYPE_CHECKING:
    from annotate import Region
    from search import Store, StoredTag

_COLUMNS = ("root", "path", "digest", "width", "height", "byte_size", "modified_ns")
_TAGGED, _CHUNK = 20_000, 500
"""Photos whose tags are in memory together, as each time costs a look through all tags; and those whose regions are: with 16 of 3 kB each, 24 MB."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class XmpOptions:
    """Which sidecars are written and what goes into them. `prefix` holds the levels above machines' tags, divided by `|`."""

    style: SidecarStyle = "adobe"
    prefix: str = ""
    regions: bool = False
    where: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one sidecar is to hold; there may be nothing. `photos` are the names and digests of those that it is of. Photos that differ in their endings alone share Adobe's; it is `partial` where one of them was left out, so
    that what the sidecar holds besides may be that one's."""

    sidecar: Path
    items: XmpItems
    photos: Mapping[str, str]
    partial: bool = False


class XmpPlan:
    """The sidecars of the library's photos, or of those that meet a condition, each once and with all that it is to hold.

    `left_out` says why photos get nothing: they are not there, or are not the ones that were indexed; or why their regions are left out. It is full when
    the plan has been gone through.

    Raises:
        UnknownName: there is no such style.
        FilterError: the condition is wrong.
    """

    def __init__(self, store: Store, options: XmpOptions) -> None:
        self.store, self.options = store, options
        sidecar_paths(Path("photo.jpg"), options.style)
        keyword_items([Keyword(("tag",))], options.prefix)
        rows = store.images(_COLUMNS).to_pylist()
        self._sharing = Counter(map(_stem, rows))
        if options.where is not None:
            chosen = matching_keys(store.library, options.where)
            rows = [row for row in rows if (row["root"], row["path"]) in chosen]
        self.rows: list[Row] = sorted(rows, key=lambda row: (*_stem(row), row["path"]))
        self.words = Levels(store)
        self.left_out: dict[str, str] = {}

    def __len__(self) -> int:
        """How many photos there are."""
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[int, list[Wanted]]]:
        """How many photos came before, and the sidecars of some that share them."""
        self.left_out = {}
        done = 0
        for many in _chunks([list(group) for _, group in groupby(self.rows, key=_stem)], _TAGGED):
            tags = self.store.marks.tags({row["digest"] for group in many for row in group})
            for some in _chunks(many, _CHUNK):
                digests = {row["digest"] for group in some for row in group}
                regions = self.store.regions.regions(digests) if self.options.regions else {}
                for group in some:
                    yield done, self._wanted(group, tags, regions)
                    done += len(group)

    def _wanted(
        self, group: Sequence[Row], tags: Mapping[str, Sequence[StoredTag]], regions: Mapping[str, Sequence[Region]]
    ) -> list[Wanted]:
        found: dict[Path, Wanted] = {}
        for row in group:
            photo = Path(row["root"], row["path"])
            if fault := _fault(photo, row):
                if row["digest"] in tags or row["digest"] in regions:
                    self.left_out[str(photo)] = fault
                continue
            items = self.words.items(tags.get(row["digest"], ()), self.options.prefix)
            items = items.plus(self._areas(photo, row, regions.get(row["digest"], ())))
            for sidecar in sidecar_paths(photo, self.options.style):
                before = found.get(sidecar, Wanted(sidecar, XmpItems(), {}))
                photos = {**before.photos, photo.name: row["digest"]}
                found[sidecar] = Wanted(sidecar, self._joined(photo, before.items, items), photos)
        sharing = self._sharing[_stem(group[0])]
        return [replace(one, partial=_shared(one.sidecar, group[0]) and len(one.photos) < sharing) for one in found.values()]

    def _areas(self, photo: Path, row: Row, regions: Sequence[Region]) -> XmpItems:
        if not regions:
            return XmpItems()
        try:
            return area_items(regions, (int(row["width"]), int(row["height"])), exif_orientation(photo))
        except PellucidError as error:
            self.left_out[str(photo)] = f"The regions of {photo} are left out: {error}"
            return XmpItems()

    def _joined(self, photo: Path, before: XmpItems, items: XmpItems) -> XmpItems:
        if before.areas and items.areas and before.size_wh != items.size_wh:
            self.left_out[str(photo)] = f"The regions of {photo} are left out: its sidecar has those of a photo of another size."
            items = replace(items, areas=())
        return before.plus(items)


class Levels:
    """The keywords of tags, with what they are a kind of above them, as the vocabularies of the library's runs say, the newest first; then the one that
    ships. A vocabulary that is not there any more is passed over, and tags that none has stand alone."""

    def __init__(self, store: Store) -> None:
        self.vocabularies = run_vocabularies(store)
        self._known: dict[str, Keyword] = {}

    def keyword(self, tag: str) -> Keyword:
        """A tag with its levels, the widest first."""
        if tag not in self._known:
            paths = (words.path(tag) for words in self.vocabularies if (found := words.find(tag)) is not None and found.name == tag)
            self._known[tag] = Keyword(next(paths, (tag,)))
        return self._known[tag]

    def items(self, tags: Collection[StoredTag], prefix: str) -> XmpItems:
        """What a sidecar holds of a photo's tags: people's own first, without the prefix."""
        people = keyword_items(self.keyword(tag.tag) for tag in tags if tag.human)
        return people.plus(keyword_items((self.keyword(tag.tag) for tag in tags if not tag.human), prefix))


def _stem(row: Row) -> tuple[str, str]:
    return row["root"], str(PurePosixPath(row["path"]).with_suffix(""))


def _shared(sidecar: Path, row: Row) -> bool:
    """Whether a sidecar is named by the stem alone, as Adobe's are."""
    return sidecar.stem == PurePosixPath(row["path"]).stem


def _fault(photo: Path, row: Row) -> str | None:
    """Why nothing is to be written beside a photo."""
    try:
        status = photo.stat()
    except OSError as error:
        return f"{photo} cannot be looked at: {error.strerror or error}. Nothing is written beside it."
    if (status.st_size, status.st_mtime_ns) != (row["byte_size"], row["modified_ns"]):
        return f"{photo} has changed since it was indexed. Index it again, then tag it."
    return None


def _chunks(groups: Sequence[list[Row]], photos: int) -> Iterator[list[list[Row]]]:
    """Groups of photos, about so many photos at a time."""
    some: list[list[Row]] = []
    count = 0
    for group in groups:
        some.append(group)
        count += len(group)
        if count >= photos:
            yield some
            some, count = [], 0
    if some:
        yield some


__all__ = ["Levels", "Wanted", "XmpOptions", "XmpPlan"]
