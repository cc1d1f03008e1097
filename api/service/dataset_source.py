"""The pictures of a data set: those of an archive, of a folder on the server, or behind addresses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess import FetchError, Limits, fetch, read_bytes

from .allowed import allowed_folder, allowed_roots, may_read
from .dataset_archive import ArchiveLimits, PassedOver, entries_of

if TYPE_CHECKING:
    from ..settings import Settings

FETCHED_BYTES = 64_000_000
AHEAD_BYTES = 64_000_000
"""Of entries of an archive that wait to be decoded, or are; one more entry, of any size, is read beside them."""
Fetch = Callable[[str, Limits], bytes]


@dataclass(frozen=True, slots=True)
class Sent:
    """A picture of a data set: its name there, how its bytes are had, once, which may raise a PellucidError, and what to call when they are needed no longer."""

    name: str
    load: Callable[[], bytes]
    done: Callable[[], None] = lambda: None


class InFlight:
    """Bytes that were read ahead and are needed still."""

    def __init__(self, most: int) -> None:
        self.most, self.bytes, self._changed = most, 0, threading.Condition()

    def change(self, size: int) -> None:
        """So many more, or fewer."""
        with self._changed:
            self.bytes += size
            self._changed.notify_all()

    def wait(self) -> None:
        """Until there is room for more. Whoever uses them is another thread."""
        with self._changed:
            self._changed.wait_for(lambda: self.bytes <= self.most)


def pictures_of(
    options: dict[str, Any], uploads: Path, settings: Settings, limits: Limits, passed: PassedOver
) -> tuple[Iterator[Sent], int | None]:
    """The pictures that a request named, in order, and how many there are where that is known.

    Raises:
        InputError: the archive is none, or the folder is not one that may be read. FetchError: the service does not fetch.
    """
    source = options["source"]
    if options.get("upload") is not None:
        entry_bytes = min(ArchiveLimits().entry_bytes, limits.max_bytes)
        return _archived(uploads / Path(options["upload"]).name, replace(ArchiveLimits(), entry_bytes=entry_bytes), passed), None
    if source["folder"] is not None:
        roots = allowed_roots(settings)
        return _in_folder(allowed_folder(source["folder"], roots), roots, settings, limits, passed), None
    if not settings.serve_fetch_urls:
        raise FetchError("This service does not fetch pictures from addresses. Send an archive, or set serve_fetch_urls.")
    urls = list(dict.fromkeys(source["urls"]))
    return behind(urls, replace(limits, max_bytes=min(limits.max_bytes, FETCHED_BYTES))), len(urls)


def behind(urls: list[str], limits: Limits, get: Fetch = fetch) -> Iterator[Sent]:
    """Pictures behind addresses, each by its address; never from this machine or its network."""
    return (Sent(url, partial(get, url, limits)) for url in urls)


def _archived(file: Path, limits: ArchiveLimits, passed: PassedOver) -> Iterator[Sent]:
    flying = InFlight(AHEAD_BYTES)
    for name, data in entries_of(file, limits, passed):
        size = 0 if isinstance(data, Exception) else len(data)
        flying.change(size)
        yield Sent(name, partial(_given, [data]), partial(flying.change, -size))
        del data  # so that it is not kept while the next one is read
        flying.wait()


def _given(held: list[bytes | Exception]) -> bytes:
    data = held.pop()
    if isinstance(data, Exception):
        raise data
    return data


def _in_folder(folder: Path, roots: list[Path], settings: Settings, limits: Limits, passed: PassedOver) -> Iterator[Sent]:
    from indexer import Passed, WalkOptions, walk

    others = Passed()
    for found in walk(folder, WalkOptions(tuple(settings.exclude), settings.include_hidden), others):
        if may_read(found.file, roots):
            yield Sent(found.path, partial(read_bytes, found.file, limits))
        else:
            passed.note(found.path, "is a link that leads out of the folders that this service may read")
    for name, reason in (*others.names.items(), *others.unlisted.items(), *((path, reason) for (_, path), reason in others.broken.items())):
        passed.note(name, reason)
