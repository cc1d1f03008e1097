"""A data set's archive as it comes in: written to disk part by part, capped, and hashed."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from preprocess import storage_errors

from .uploads import shown_name

if TYPE_CHECKING:
    from fastapi import Request

FIELD_BYTES = 1_000_000
ARCHIVE, OPTIONS = "archive", "options"


@dataclass(frozen=True, slots=True)
class Received:
    """What a multipart request held: the archive's file and what it was called, a hash over it, and the text of the options."""

    file: Path
    name: str
    digest: str
    options: bytes


@dataclass
class _Form:
    """Two parts of a form while they come: the archive goes to a file, the options stay in memory."""

    out: Any
    part: str = ""
    header: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""
    name: str | None = None
    options: bytearray = field(default_factory=bytearray)
    pending: list[bytes] = field(default_factory=list)
    whole: bool = False

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self.on_part_begin, "on_header_field": self.on_header_field, "on_header_value": self.on_header_value,
            "on_header_end": self.on_header_end, "on_headers_finished": self.on_headers_finished, "on_part_data": self.on_part_data, "on_end": self.on_end,
        }  # fmt: skip

    def on_part_begin(self) -> None:
        self.disposition = b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self.header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def on_header_end(self) -> None:
        if self.header.lower() == b"content-disposition":
            self.disposition = bytes(self.value)
        self.header, self.value = bytearray(), bytearray()

    def on_headers_finished(self) -> None:
        _, facts = parse_options_header(self.disposition)
        self.part = facts.get(b"name", b"").decode("utf-8", "replace")
        if self.part not in (ARCHIVE, OPTIONS):
            raise HTTPException(422, f"The form has a part {self.part!r}. It takes {ARCHIVE!r}, a file, and {OPTIONS!r}, JSON.")
        if self.part == ARCHIVE:
            if self.name is not None:
                raise HTTPException(422, "The form has two archives. Send one.")
            self.name = shown_name(facts.get(b"filename", b"").decode("utf-8", "replace"))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self.part == ARCHIVE:
            self.pending.append(data[start:end])
        elif len(self.options) + end - start > FIELD_BYTES:
            raise HTTPException(413, f"The options have more than {FIELD_BYTES:,} bytes. Send less.")
        else:
            self.options += data[start:end]

    def on_end(self) -> None:
        self.whole = True


async def receive(request: Request, folder: Path, most: int) -> Received:
    """The archive of a multipart request, in a file of its own in a folder; at no time is more of it in memory than what came last.

    Raises:
        HTTPException: 413 where it is over `most` bytes; 422 where the form is none, has no archive, or ends too early.
        StorageFull: the disk took no more. Whatever is raised, nothing stays on disk.
    """
    _, facts = parse_options_header(request.headers.get("content-type", ""))
    boundary = facts.get(b"boundary")
    if not boundary:
        raise HTTPException(422, "The multipart request names no boundary. Most HTTP clients set it by themselves.")
    file, digest, size = folder / f"{secrets.token_hex(8)}.archive", hashlib.sha256(), 0
    try:
        with storage_errors(folder), file.open("wb") as out:
            form = _Form(out)
            parser = MultipartParser(boundary, form.callbacks())
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise HTTPException(
                        413,
                        f"The archive has more than the {most / 1e6:,.1f} MB that this service takes. Send it in parts, or raise serve_upload_mb.",
                    )
                parser.write(chunk)
                if form.pending:
                    data, form.pending = b"".join(form.pending), []
                    digest.update(data)
                    await _written(out.write, data)
            parser.finalize()
            await _written(out.flush)
        if not form.whole or form.name is None or not file.stat().st_size:
            raise HTTPException(422, f"The form has no archive, or ends too early. Send the part {ARCHIVE!r} as a file.")
        return Received(file, form.name, digest.hexdigest(), bytes(form.options))
    except FormParserError as error:
        file.unlink(missing_ok=True)
        raise HTTPException(422, f"The form is damaged: {error}. Send it again.") from error
    except BaseException:
        file.unlink(missing_ok=True)
        raise


async def _written(write: Callable[..., Any], *data: bytes) -> None:
    """Off the loop: a disk may be slow."""
    await asyncio.to_thread(write, *data)
