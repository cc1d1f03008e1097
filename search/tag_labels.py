"""What people said of tags: that a photo has one, or that it has not. No machine ever changes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import get_args

import pyarrow as pa

from preprocess import InputError

from ._lance import SCHEMAS, Tables, quote
from .tag_runs import Labelled, check_tag, utc_now
from .vocabulary import tag_key

_TABLE = "tag_labels"
_AT_ONCE = 65_536

Said = tuple[str, Labelled]
"""A tag as it was written, and what was said of it."""


class TagLabels:
    """The table `tag_labels`. Two ways to write a tag (see `tag_key`) are one tag, and what was said last counts. Writers must hold the library's lock."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def put(self, rows: Iterable[tuple[str, str, Labelled]]) -> int:
        """Write digests, tags and verdicts as one version; how many there were, each pair once.

        Raises:
            InputError: a verdict is neither confirmed nor rejected, or a name is none for a tag.
        """
        said = {(digest, tag): verdict for digest, tag, verdict in rows}
        for tag in {tag for _, tag in said}:
            check_tag(tag)
        if odd := next((verdict for verdict in said.values() if verdict not in get_args(Labelled)), None):
            raise InputError(f"A tag cannot be {odd!r}. Known: {', '.join(get_args(Labelled))}.")
        if said:
            columns = {"digest": [digest for digest, _ in said], "tag": [tag for _, tag in said], "verdict": list(said.values())}
            table = pa.table({**columns, "at": [utc_now()] * len(said)}, schema=SCHEMAS[_TABLE])
            self.tables.upsert(_TABLE, table, ("digest", "tag"))
        return len(said)

    def add(self, digests: Collection[str], tags: Collection[str]) -> None:
        """Append confirmed tags of which nothing was said yet, a digest and a tag in each place; nobody looks whether that is so."""
        if digests:
            count = len(digests)
            columns = {"digest": list(digests), "tag": list(tags), "verdict": ["confirmed"] * count, "at": [utc_now()] * count}
            self.tables.append(_TABLE, pa.table(columns, schema=SCHEMAS[_TABLE]))

    def take_back(self, digest: str, tag: str) -> bool:
        """Forget what was said of a photo's tag; whether anything was."""
        written = [name for name in self._spellings(digest) if tag_key(name) == tag_key(tag)]
        self.tables.delete(_TABLE, [f"digest = {quote(digest)} AND tag = {quote(name)}" for name in written])
        return bool(written)

    def by_digest(self, digests: Collection[str] | None = None) -> dict[str, dict[str, Said]]:
        """Digest -> key of the tag -> what was said; of all photos where no digests are given."""
        found: dict[str, dict[str, tuple[str, str, Labelled]]] = {}
        keys: dict[str, str] = {}
        for batch in self.tables.batches(_TABLE, _AT_ONCE, columns=["digest", "tag", "verdict", "at"]):
            for digest, tag, verdict, at in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if digests is None or digest in digests:
                    key = keys.get(tag) or keys.setdefault(tag, tag_key(tag))
                    of_photo = found.setdefault(digest, {})
                    if key not in of_photo or at >= of_photo[key][0]:
                        of_photo[key] = at, tag, verdict
        return {digest: {key: (tag, verdict) for key, (_, tag, verdict) in said.items()} for digest, said in found.items()}

    def by_tag(self) -> dict[str, dict[str, Labelled]]:
        """Tag -> digest -> verdict; a tag that was written in two ways stands there in one of them."""
        names: dict[str, str] = {}
        found: dict[str, dict[str, Labelled]] = {}
        for digest, said in self.by_digest().items():
            for key, (tag, verdict) in said.items():
                found.setdefault(names.setdefault(key, tag), {})[digest] = verdict
        return dict(sorted(found.items()))

    def digests(self) -> set[str]:
        """Photos of which something was said."""
        return self.tables.distinct(_TABLE)

    def _spellings(self, digest: str) -> list[str]:
        batches = self.tables.batches(_TABLE, _AT_ONCE, f"digest = {quote(digest)}", ["tag"])
        return [tag for batch in batches for tag in batch["tag"].to_pylist()]
