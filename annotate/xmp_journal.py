"""The journal of sidecars: JSON lines in a library's folder that say which run wrote what into which, kept so that a run can be taken back."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import IO, Any

from preprocess import InputError, LibraryBusy, LibraryDamaged, storage_errors, try_lock

from .import_fields import list_in, mapping_of, text_in
from .xmp_disk import DryDisk, XmpDisk
from .xmp_event import XmpEvent, digest_of_bytes, event_of, key_of
from .xmp_history import Chain, XmpHistory
from .xmp_moved import deserted, digests_of, origin_of

JOURNAL = "xmp.jsonl"


class XmpJournal(XmpHistory):
    """The journal in a folder, held by one process at a time and used by one thread at a time; made by `open_journal`.

    A `dry` one needs not be held: it writes nothing, neither lines nor backups nor sidecars, and its events are only thought.
    """

    def __init__(self, folder: Path, *, dry: bool = False) -> None:
        super().__init__()
        self.folder, self.dry = folder, dry
        self.disk = DryDisk(folder) if dry else XmpDisk(folder)
        self._file = folder / JOURNAL
        self._load()

    def add(self, event: XmpEvent) -> None:
        """Note a write, before it is done."""
        self._append({"event": "write", **event.as_json()})

    def call_off(self, event: XmpEvent) -> None:
        """Note that a write was not done."""
        self._append({"event": "called off", "number": event.number, "sidecar": event.sidecar})

    def retract(self, numbers: Sequence[int], sidecar: Path, replaced: Sequence[XmpEvent], after: bytes | None) -> None:
        """Note that writes were taken back, what became of the others in that sidecar, and its bytes since."""
        others = [event.as_json() for event in replaced]
        line = {"event": "retract", "numbers": list(numbers), "sidecar": key_of(sidecar), "replaced": others}
        self._append({**line, "after": digest_of_bytes(after)})

    def follow(self, sidecar: Path, data: bytes | None, photos: Callable[[], Collection[str]]) -> Chain:
        """What holds for a sidecar with these bytes beside photos with these digests. Where we wrote them in another place, that is noted for this one, too.

        Moved, its events hold here and no more there; copied, in both places. `photos` is only called where the bytes are not enough to know.
        """
        if data is None or self.events(sidecar):
            return self.events(sidecar)
        origin = origin_of(self, sidecar, data, photos)
        if not origin:
            return ()
        place, here = Path(origin[-1].sidecar), key_of(sidecar)
        events = [event.at(here, self.next_number() + at, self.made(place)) for at, event in enumerate(origin)]
        gone = [] if os.path.lexists(place) else [event.number for event in self.events(place)]
        rows = [event.as_json() for event in events]
        # Not flushed to the disk: what a power cut takes of this is found again.
        self._append({"event": "follow", "from": str(place), "sidecar": here, "gone": gone, "events": rows}, sync=False)
        return self.events(sidecar)

    def find(self, sidecar: Path, photo: Path) -> None:
        """`follow` for a sidecar and a photo beside it, as they are on the disk.

        Raises:
            InputError: the sidecar is a link or cannot be read.
        """
        if os.path.lexists(sidecar) and not self.events(sidecar):
            self.follow(sidecar, self.disk.read(sidecar), cache(lambda: digests_of(photo)))

    def deserted(self, sidecar: Path) -> bool:
        """Whether a sidecar and the photos that it is of are all gone from where we wrote it."""
        return deserted(sidecar, self.events(sidecar))

    def _append(self, row: dict[str, Any], *, sync: bool = True) -> None:
        if not self.dry:
            line = json.dumps({**row, "time": datetime.now(UTC).isoformat(timespec="seconds")}, ensure_ascii=False) + "\n"
            with storage_errors(self.folder), self._file.open("ab") as stream:
                size = stream.tell()
                try:
                    stream.write(line.encode())
                    stream.flush()
                    if sync:
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
            if whole < len(data) and not self.dry:  # a kill in the middle of a line: what it was to note was not yet done
                os.truncate(self._file, whole)
        for number, line in enumerate(data[:whole].splitlines(), 1):
            where = f"{self._file}, line {number},"
            try:
                self._take(mapping_of(json.loads(line), where))
            except (ValueError, KeyError, TypeError, InputError) as error:
                raise LibraryDamaged(f"{where} does not read: {error}. Restore the file from a backup, or move it away.") from error

    def _take(self, row: Mapping[str, Any]) -> None:
        kind, place = row["event"], text_in(row, "sidecar", "the line")
        if kind == "write":
            self._put(event_of(row))
            self._left(place)
        elif kind == "called off":
            self._drop([row["number"]])
        elif kind == "retract":
            self._drop(list_in(row, "numbers", "the line"))
            for other in list_in(row, "replaced", "the line"):
                self._put(event_of(other))
            self._left(place, after=row.get("after"), every=True)
        elif kind == "follow":
            self._drop(list_in(row, "gone", "the line"))
            for event in list_in(row, "events", "the line"):
                self._put(event_of(event))
            self._left(place)
        else:
            raise InputError(f"there is no event named {kind!r}")


@contextlib.contextmanager
def open_journal(folder: Path, *, wait_s: float = 10.0) -> Iterator[XmpJournal]:
    """The journal in a folder, which is made; for this process alone, until the block ends.

    Raises:
        LibraryBusy: another process holds it for longer than `wait_s` seconds.
        LibraryDamaged: a line of it does not read, or the folder cannot be written.
    """
    with journal_held(folder, wait_s=wait_s):
        yield XmpJournal(folder)


@contextlib.contextmanager
def journal_held(folder: Path, *, wait_s: float = 10.0) -> Iterator[None]:
    """Nobody else reads or writes the journal in a folder until the block ends.

    Raises:
        LibraryBusy, LibraryDamaged: as `open_journal`.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / "xmp.lock").open("a+", encoding="utf-8")
    with handle:
        _lock(handle, folder, wait_s)
        yield


def _lock(handle: IO[str], folder: Path, wait_s: float) -> None:
    until = time.monotonic() + wait_s
    while not try_lock(handle):
        if time.monotonic() >= until:
            raise LibraryBusy(f"Another run is writing sidecars and holds {folder}. Wait until it ends, and run again.")
        time.sleep(0.02)
