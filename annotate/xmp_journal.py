"""What each run wrote into which sidecar: a journal of JSON lines, and the bytes of every sidecar before it was changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from preprocess import InputError, LibraryBusy, LibraryDamaged, storage_errors, try_lock

from .import_fields import list_in, mapping_of, text_in, whole_in
from .xmp_items import XmpItems, items_of

JOURNAL = "xmp.jsonl"
BACKUPS = "xmp-backups"


@dataclass(frozen=True, slots=True)
class XmpEvent:
    """One write: `run` wanted `wants` in `sidecar`, of which `adds` was not there, in the lists `made`, which were not there either.

    `before` and `after` are the sha256 of the sidecar's bytes, None for no file; the bytes of `before` are in the backups. It is not `exact` where it
    took over what a retracted run had added: then `before` has that, too.
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

    def as_json(self) -> dict[str, Any]:
        """A journal line without its time."""
        kept = {name: getattr(self, name) for name in ("number", "run", "sidecar", "before", "after")}
        return {**kept, "wants": self.wants.as_json(), "adds": self.adds.as_json(), "made": list(self.made), "exact": self.exact}


class XmpJournal:
    """The journal in a folder, held by one process at a time and used by one thread at a time; made by `open_journal`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / JOURNAL
        self._events: dict[int, XmpEvent] = {}
        self._of: dict[str, list[int]] = {}
        self._made: dict[str, set[str]] = {}
        self._next = 1
        self._load()

    def events(self, sidecar: Path) -> tuple[XmpEvent, ...]:
        """What holds for a sidecar, the oldest first: neither retracted nor called off."""
        return tuple(self._events[number] for number in self._of.get(key_of(sidecar), ()))

    def written(self, sidecar: Path) -> XmpItems:
        """What is ours in a sidecar, so that what people gave can be told from it."""
        return adds_of(self.events(sidecar))

    def sidecars(self, run: str) -> tuple[Path, ...]:
        """Those in which a run has something, by name."""
        return tuple(Path(name) for name in sorted({event.sidecar for event in self._events.values() if event.run == run}))

    def runs(self) -> Mapping[str, int]:
        """Each run that has something somewhere, the oldest first, and in how many sidecars."""
        places: dict[str, set[str]] = {}
        for event in self._events.values():
            places.setdefault(event.run, set()).add(event.sidecar)
        return {run: len(names) for run, names in places.items()}

    def made(self, sidecar: Path) -> frozenset[str]:
        """The lists that we ever made in a sidecar."""
        return frozenset(self._made.get(key_of(sidecar), ()))

    def next_number(self) -> int:
        """The number that the next event gets."""
        return self._next

    def backup(self, data: bytes | None) -> str | None:
        """Keep bytes; the sha256 that `bytes_of` finds them by."""
        digest = digest_of_bytes(data)
        if data is None or digest is None:
            return None
        file = self._backup_file(digest)
        with storage_errors(self.folder):
            if not file.is_file() or file.stat().st_size != len(data):
                file.parent.mkdir(exist_ok=True)
                fresh = file.with_name(f".{digest}.{os.getpid()}.new")
                try:
                    _write(fresh, data)
                    fresh.replace(file)
                finally:
                    fresh.unlink(missing_ok=True)
        return digest

    def bytes_of(self, digest: str | None) -> bytes | None:
        """The bytes that `backup` kept.

        Raises:
            LibraryDamaged: they are not there any more, or not the same.
        """
        if digest is None:
            return None
        file = self._backup_file(digest)
        try:
            data = file.read_bytes()
        except OSError as error:
            raise LibraryDamaged(
                f"The backup {file} cannot be read: {error.strerror or error}. Restore it from your own backup."
            ) from error
        if digest_of_bytes(data) != digest:
            raise LibraryDamaged(f"The backup {file} is not what was kept there. Restore it from your own backup.")
        return data

    def add(self, event: XmpEvent) -> None:
        """Note a write, before it is done."""
        self._append({"event": "write", **event.as_json()})

    def call_off(self, event: XmpEvent) -> None:
        """Note that a write was not done."""
        self._append({"event": "called off", "number": event.number, "sidecar": event.sidecar})

    def retract(self, numbers: Sequence[int], sidecar: Path, replaced: Sequence[XmpEvent]) -> None:
        """Note that writes were taken back, and what became of the others in that sidecar."""
        others = [event.as_json() for event in replaced]
        self._append({"event": "retract", "numbers": list(numbers), "sidecar": key_of(sidecar), "replaced": others})

    def _backup_file(self, digest: str) -> Path:
        return self.folder / BACKUPS / f"{digest}.xmp"

    def _append(self, row: dict[str, Any]) -> None:
        line = json.dumps({**row, "time": datetime.now(UTC).isoformat(timespec="seconds")}, ensure_ascii=False) + "\n"
        with storage_errors(self.folder), self._file.open("ab") as stream:
            size = stream.tell()
            try:
                stream.write(line.encode())
                stream.flush()
                os.fsync(stream.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(stream.fileno(), size)  # half a line would hide the next one
                raise
        self._take(row)

    def _load(self) -> None:
        with storage_errors(self.folder):
            data = self._file.read_bytes() if self._file.exists() else b""
            whole = data.rfind(b"\n") + 1
            if whole < len(data):  # a kill in the middle of a line: what it was to note was not yet done
                os.truncate(self._file, whole)
        for number, line in enumerate(data[:whole].splitlines(), 1):
            where = f"{self._file}, line {number},"
            try:
                self._take(mapping_of(json.loads(line), where))
            except (ValueError, KeyError, TypeError, InputError) as error:
                raise LibraryDamaged(f"{where} does not read: {error}. Restore the file from a backup, or move it away.") from error

    def _take(self, row: Mapping[str, Any]) -> None:
        kind = row["event"]
        if kind == "write":
            self._put(_event(row))
        else:
            for number in [row["number"]] if kind == "called off" else list_in(row, "numbers", "the line"):
                self._drop(number)
            for other in list_in(row, "replaced", "the line") if kind == "retract" else ():
                self._put(_event(mapping_of(other, "an event")))

    def _put(self, event: XmpEvent) -> None:
        if event.number not in self._events:
            self._of.setdefault(event.sidecar, []).append(event.number)
        self._events[event.number] = event
        self._made.setdefault(event.sidecar, set()).update(event.made)
        self._next = max(self._next, event.number + 1)

    def _drop(self, number: int) -> None:
        event = self._events.pop(number, None)
        if event is not None:
            self._of[event.sidecar].remove(number)


@contextlib.contextmanager
def open_journal(folder: Path, *, wait_s: float = 10.0) -> Iterator[XmpJournal]:
    """The journal in a folder, which is made; for this process alone, until the block ends.

    Raises:
        LibraryBusy: another process holds it for longer than `wait_s` seconds.
        LibraryDamaged: a line of it does not read, or the folder cannot be written.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / "xmp.lock").open("a+", encoding="utf-8")
    with handle:
        _lock(handle, folder, wait_s)
        yield XmpJournal(folder)


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


def _lock(handle: IO[str], folder: Path, wait_s: float) -> None:
    until = time.monotonic() + wait_s
    while not try_lock(handle):
        if time.monotonic() >= until:
            raise LibraryBusy(f"Another run is writing sidecars and holds {folder}. Wait until it ends, and run again.")
        time.sleep(0.02)


def _write(file: Path, data: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _event(row: Mapping[str, Any]) -> XmpEvent:
    where = "the event"
    ends = {}
    for end in ("before", "after"):
        ends[end] = None if row[end] is None else text_in(row, end, where)
    wants, adds = (items_of(row[name], where) for name in ("wants", "adds"))
    made = tuple(str(name) for name in list_in(row, "made", where))
    run, sidecar = text_in(row, "run", where), text_in(row, "sidecar", where)
    number, exact = whole_in(row, "number", where), bool(row["exact"])
    return XmpEvent(number, run, sidecar, ends["before"], ends["after"], wants, adds, made, exact)
