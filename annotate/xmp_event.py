"""One write into one sidecar, as the journal notes it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .import_fields import list_in, mapping_of, text_in, whole_in
from .xmp_items import XmpItems, items_of


@dataclass(frozen=True, slots=True)
class XmpEvent:
    """One write: `run` wanted `wants` in `sidecar`, of which `adds` was not there, in the lists `made`, which were not there either.

    `before` and `after` are the sha256 of the sidecar's bytes, None for no file; the bytes of `before` are in the backups. It is not `exact` where it
    took over what a retracted run had added: then `before` has that, too. `photos` are the names and digests of those that the sidecar is of, by which it
    is found again where it was moved.
    """

    number: int
    run: str
    sidecar: str
    before: str | None
    after: str | None
    wants: XmpItems
    adds: XmpItems
    made: tuple[str, ...]
    exact: bool = True
    photos: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """A journal line without its time."""
        kept = {name: getattr(self, name) for name in ("number", "run", "sidecar", "before", "after")}
        items = {"wants": self.wants.as_json(), "adds": self.adds.as_json()}
        return {**kept, **items, "made": list(self.made), "exact": self.exact, "photos": dict(self.photos)}

    def at(self, sidecar: str, number: int, made: Iterable[str]) -> XmpEvent:
        """The same in a sidecar that was moved or copied."""
        return replace(self, sidecar=sidecar, number=number, made=tuple(sorted({*self.made, *made})))


def event_of(value: Any) -> XmpEvent:
    """What `XmpEvent.as_json` has written.

    Raises:
        InputError, KeyError: it is of another shape.
    """
    where = "the event"
    row = mapping_of(value, where)
    before, after = (None if row[end] is None else text_in(row, end, where) for end in ("before", "after"))
    wants, adds = (items_of(row[name], where) for name in ("wants", "adds"))
    made = tuple(str(name) for name in list_in(row, "made", where))
    photos: Mapping[str, Any] = mapping_of(row.get("photos", {}), where)
    return XmpEvent(
        whole_in(row, "number", where),
        text_in(row, "run", where),
        text_in(row, "sidecar", where),
        before,
        after,
        wants,
        adds,
        made,
        bool(row["exact"]),
        tuple((name, str(digest)) for name, digest in photos.items()),
    )


def adds_of(events: Iterable[XmpEvent]) -> XmpItems:
    """All that these have added."""
    total = XmpItems()
    for event in events:
        total = total.plus(event.adds)
    return total


def key_of(sidecar: Path) -> str:
    """A sidecar's name in the journal: absolute, links in it left alone."""
    return str(Path(os.path.abspath(sidecar)))  # noqa: PTH100  `absolute` would keep `..`


def digest_of_bytes(data: bytes | None) -> str | None:
    """Their sha256, or None for no file."""
    return None if data is None else hashlib.sha256(data).hexdigest()
