"""The pictures of a data set: those of an archive, of a folder on the server, or behind addresses."""

from __future__ import annotations

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
Fetch = Callable[[str, Limits], bytes]


@dataclass(frozen=True, slots=True)
class Sent:
    """A picture of a data set: its name there, and how its bytes are had, which may raise a PellucidError."""

    name: str
    load: Callable[[], bytes]


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
    for name, data in entries_of(file, limits, passed):
        yield Sent(name, partial(_given, data))


def _given(data: bytes | Exception) -> bytes:
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
