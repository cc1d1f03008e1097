"""An export as a zip that is sent while it is made: what the format lets be written in one go never lies on disk, and in memory is what waits to be sent.

An exporter writes to a place; here the place is an entry of the zip (formats of one file), or a folder whose finished files are moved into the zip while
the exporter goes on (formats with a file a photo). What remains, such as the one document of FiftyOne, is written whole first.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import queue
import shutil
import tempfile
import threading
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from fastapi.responses import StreamingResponse

from annotate import AnnotatedPhoto, load_exporter
from annotate.export_check import checked
from annotate.export_run import Labels, Run

from .job_work import file_name
from .workers import Overloaded

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from ..exporting import Chosen

IN_ONE_GO = frozenset({"coco", "coco-rle", "cvat", "csv", "jsonl"})
FINISHED: Mapping[str, tuple[str, ...]] = {
    "yolo": ("labels",), "yolo-segments": ("labels",), "voc": ("Annotations", "SegmentationClass", "SegmentationObject"),
}  # fmt: skip
"""Folders in which every file is whole before the next photo is taken."""
AT_ONCE = 2
_SWEEP_PHOTOS = 100
_CHUNK, _WAITING = 1 << 16, 16  # bytes of a piece, and pieces that wait for the client: 1 MB
_STALLED_S = 60.0
_slots = threading.BoundedSemaphore(AT_ONCE)


class Gone(Exception):
    """The client went away, or has read nothing for a minute."""


class _Sink(io.RawIOBase):
    """Takes what the zip writes, and hands it on in pieces; waits where the client is slow."""

    def __init__(self, pieces: queue.Queue[bytes | None], gone: threading.Event) -> None:
        self.pieces, self.gone, self.held = pieces, gone, bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.held += data
        if len(self.held) >= _CHUNK:
            self.hand_on()
        return len(data)

    def hand_on(self) -> None:
        """Send what is held."""
        if not self.held:
            return
        piece, self.held = bytes(self.held), bytearray()
        for _ in range(int(_STALLED_S)):
            if self.gone.is_set():
                raise Gone
            try:
                self.pieces.put(piece, timeout=1)
            except queue.Full:
                continue
            return
        raise Gone


class _Entry:
    """What an exporter takes for the file that it writes: an entry of the zip."""

    def __init__(self, archive: zipfile.ZipFile, name: str, folder: Path) -> None:
        self.archive, self.name, self.parent = archive, name, folder

    def open(self, _mode: str, encoding: str = "utf-8", newline: str | None = None) -> IO[str]:
        """The entry as a text file."""
        return io.TextIOWrapper(self.archive.open(self.name, "w", force_zip64=True), encoding, newline=newline)


class ExportStream:
    """One export on its way to a client. It is made in a thread of its own, which stops when nobody takes the pieces any more.

    Raises:
        Overloaded: as many as are allowed are on their way.
    """

    def __init__(self) -> None:
        if not _slots.acquire(blocking=False):
            raise Overloaded(30)
        self.queue: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        self.gone = threading.Event()
        self.thread: threading.Thread | None = None

    async def pieces(self, format_: str, chosen: Chosen) -> AsyncIterator[bytes]:
        """The zip, piece by piece.

        Raises:
            PellucidError: the export failed; what was sent of the zip has no end then, so that nobody takes it for whole.
        """
        failed: list[BaseException] = []
        self.thread = threading.Thread(target=self._make, args=(format_, chosen, failed), name="export", daemon=True)
        self.thread.start()
        try:
            while (piece := await asyncio.to_thread(self.queue.get)) is not None:
                yield piece
            if failed:
                raise failed[0]
        finally:
            self.gone.set()

    def _make(self, format_: str, chosen: Chosen, failed: list[BaseException]) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="pellucid-export-") as folder:
                sink = _Sink(self.queue, self.gone)
                write_zip(format_, chosen, Path(folder), sink, self.gone)
                sink.hand_on()
        except BaseException as error:
            failed.append(error)
        _slots.release()
        while True:  # whoever waits for a piece must not wait for ever
            try:
                self.queue.put(None, timeout=1)
            except queue.Full:
                if self.gone.is_set():
                    with contextlib.suppress(queue.Empty):
                        self.queue.get_nowait()
            else:
                return

    def close(self) -> None:
        """End it, also where it never began."""
        self.gone.set()
        if self.thread is None:
            _slots.release()


class ExportResponse(StreamingResponse):
    """Sends an export, and ends it however that ends."""

    def __init__(self, stream: ExportStream, format_: str, chosen: Chosen) -> None:
        self.stream = stream
        headers = {"Content-Disposition": f'attachment; filename="pellucid-{format_}.zip"', "Cache-Control": "no-store"}
        super().__init__(stream.pieces(format_, chosen), media_type="application/zip", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.stream.close()


def write_zip(format_: str, chosen: Chosen, folder: Path, out: io.RawIOBase, gone: threading.Event) -> None:
    """Write the export as a zip to a stream that cannot be turned back; `folder` is empty, and for what cannot go there at once."""
    exporter = load_exporter(format_)
    run = Run(chosen.options, Labels(chosen.options.labels))
    with zipfile.ZipFile(cast(IO[bytes], out), "w", zipfile.ZIP_DEFLATED) as archive:
        photos = checked(_until(chosen.stream(), gone), run, exporter.check_name)
        if format_ in IN_ONE_GO:
            exporter.write(photos, cast(Path, _Entry(archive, file_name(format_), folder)), run)
            return
        place = folder / (file_name(format_) if exporter.kind == "file" else "export")
        if exporter.kind == "folder":
            place.mkdir()
        parts = [place / name for name in FINISHED.get(format_, ())]
        exporter.write(_swept(photos, parts, place, archive), place, run)
        _move_in(place, place.parent if exporter.kind == "file" else place, archive)


def _until(photos: Iterator[AnnotatedPhoto], gone: threading.Event) -> Iterator[AnnotatedPhoto]:
    for photo in photos:
        if gone.is_set():
            raise Gone
        yield photo


def _swept(photos: Iterator[AnnotatedPhoto], parts: list[Path], base: Path, archive: zipfile.ZipFile) -> Iterator[AnnotatedPhoto]:
    """The photos; now and then what was finished of those before goes into the zip."""
    for count, photo in enumerate(photos, 1):
        if count % _SWEEP_PHOTOS == 0:
            for part in parts:
                _move_in(part, base, archive)
        yield photo


def _move_in(source: Path, base: Path, archive: zipfile.ZipFile) -> None:
    for file in [source] if source.is_file() else sorted(entry for entry in source.rglob("*") if entry.is_file()):
        with file.open("rb") as data, archive.open(file.relative_to(base).as_posix(), "w", force_zip64=True) as entry:
            shutil.copyfileobj(data, entry, _CHUNK)
        file.unlink()
