"""An original as it is, whole or a part of it, from a file that was opened once."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from anyio import to_thread
from fastapi import HTTPException
from starlette.responses import StreamingResponse

from preprocess import RAW_SUFFIXES

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from .original_file import OriginalFile

TYPES = {
    "JPEG": "image/jpeg", "PNG": "image/png", "WebP": "image/webp", "TIFF": "image/tiff", "BMP": "image/bmp", "GIF": "image/gif",
    "AVIF": "image/avif", "HEIF": "image/heif", "JPEG 2000": "image/jp2", "PNM": "image/x-portable-anymap",
}  # fmt: skip
"""Of the formats that photos are stored in; anything else is only bytes. None of them is one in which a browser finds a script."""
UNKNOWN = "application/octet-stream"
_PART = 1 << 18
_RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)", re.ASCII)


class OriginalResponse(StreamingResponse):
    """Streams a part of an open file, and closes it however that ends. A slow reader holds no thread, only the file."""

    def __init__(self, file: OriginalFile, etag: str, asked: str | None, if_range: str | None) -> None:
        try:
            span = span_of(asked, file.size) if if_range in (None, etag) else None
        except HTTPException:
            file.close()
            raise
        self.file = file
        self.begin, self.end = span or (0, file.size)
        headers = file_headers(file, etag) | {"Content-Length": str(self.end - self.begin)}
        if span is not None:
            headers["Content-Range"] = f"bytes {self.begin}-{self.end - 1}/{file.size}"
        super().__init__(self._parts(), 200 if span is None else 206, headers, type_of(file))

    async def _parts(self) -> AsyncIterator[bytes]:
        os.lseek(self.file.descriptor, self.begin, os.SEEK_SET)
        left = self.end - self.begin
        while left:
            part = await to_thread.run_sync(os.read, self.file.descriptor, min(_PART, left))
            if not part:
                raise OSError(f"{self.file.place.path} became shorter while it was sent")
            left -= len(part)
            yield part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.file.close()


def span_of(asked: str | None, size: int) -> tuple[int, int] | None:
    """First byte and the one behind the last of a Range header, none where all is to be sent: there is none, it is of another form, or asks for several parts.

    >>> span_of("bytes=0-3", 10), span_of("bytes=7-", 10), span_of("bytes=-4", 10), span_of("bytes=2-99", 10), span_of("bytes=0-1,4-5", 10)
    ((0, 4), (7, 10), (6, 10), (2, 10), None)

    Raises:
        HTTPException: 416 where no byte of the file is in it.
    """
    found = _RANGE.fullmatch(asked.strip()) if asked else None
    if found is None or found.group(1) == found.group(2) == "":
        return None
    first, last = (int(text[:20]) if text else None for text in found.groups())
    if first is not None and last is not None and last < first:
        return None
    begin = first if first is not None else max(0, size - (last or 0))
    end = size if last is None or first is None else min(last + 1, size)
    if begin >= end:
        raise HTTPException(416, f"The file has {size} bytes, and none of them is in {asked!r}.", {"Content-Range": f"bytes */{size}"})
    return begin, end


def file_headers(file: OriginalFile, etag: str) -> dict[str, str]:
    """What goes with an original: it is never rendered as anything but a picture, and saved under its own name."""
    return {
        "ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox", "Content-Disposition": disposition(file.place.path),
    }  # fmt: skip


def type_of(file: OriginalFile) -> str:
    """The media type, by the format that was found when the photo was indexed; of a camera's raw file, whose format is that of its preview, none."""
    if PurePosixPath(file.place.path).suffix.lower() in RAW_SUFFIXES:
        return UNKNOWN
    return TYPES.get(file.place.format, UNKNOWN)


def disposition(path: str) -> str:
    r"""Content-Disposition with the name of a file: plain for old programs, and in UTF-8 by RFC 8187.

    >>> disposition('trip/a "b"\n.jpg')
    'inline; filename="a _b__.jpg"; filename*=UTF-8\'\'a%20%22b%22%0A.jpg'
    """
    name = path.rpartition("/")[2]
    plain = re.sub(r"[^A-Za-z0-9 ._()\[\]-]", "_", name)
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
