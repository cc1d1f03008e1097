"""Pictures that requests bring or name: capped in bytes and pixels, and decoded through the one door."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from fastapi import HTTPException, UploadFile

from preprocess import FetchError, ImageTooLarge, ImageUnsupported, MissingExtra, decode, fetch

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from preprocess import Limits, Photo, RgbImage

    from .state import Service

    T = TypeVar("T")

_MARKUP = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\s\0]*<")
FETCH_S = 10.0
"""For all pictures that a request names by address, together."""
_NAME = 80  # characters of a name in a message


async def read_upload(service: Service, upload: UploadFile) -> bytes:
    """The bytes of a part of a multipart request.

    Raises:
        HTTPException: 413 where it is over the limit of the service, 422 where it is empty.
    """
    most = service.options.upload_bytes
    data = await upload.read(most + 1)
    if len(data) > most:
        raise HTTPException(
            413, f"{shown_name(upload.filename)} has more than the {most / 1e6:,.1f} MB that this service takes. Send it smaller."
        )
    if not data:
        raise HTTPException(422, f"{shown_name(upload.filename)} is empty. Send the bytes of a picture.")
    return data


def decode_upload(service: Service, data: bytes, name: str, side: int | None = None) -> RgbImage:
    """Upright pixels of a picture that was sent, UInt8["height width 3"]; see `preprocess.decode` for `side`.

    Raises:
        ImageError: it is no picture, damaged, or over the limits; markup such as SVG, XML and HTML is refused.
    """
    return photo_of_upload(service, data, name, side).pixels


def photo_of_upload(service: Service, data: bytes, name: str, side: int | None = None) -> Photo:
    """As `decode_upload`, with the size of the whole picture and its facts."""
    return read_sent(service.limits, data, name, lambda shown, limits: decode(data, shown, limits, side))


def read_sent(limits: Limits, data: bytes, name: str, reader: Callable[[str, Limits], T]) -> T:
    """What `reader` makes of a picture that was sent, called with its name for messages and the limits; its errors have remedies for whoever sent it.

    Raises:
        ImageError: the reader's, and for markup and camera raw files that are not read here.
    """
    shown = shown_name(name)
    if _MARKUP.match(data[:512]):
        raise ImageUnsupported(f"{shown} is markup (SVG, XML or HTML), which is never read. Send a JPEG or PNG.")
    try:
        return reader(shown, limits)
    except ImageTooLarge as error:
        raise ImageTooLarge(f"{shown} is larger than this service takes: {limits.max_pixels / 1e6:,.1f} MP. Send it smaller.") from error
    except MissingExtra as error:
        raise ImageUnsupported(f"{shown} is a camera raw file, which this service does not read. Send a JPEG.") from error


def shown_name(name: str | None) -> str:
    """A name that somebody sent, as messages may show it: the last part, printable and short, with its suffix.

    >>> shown_name("C:\\\\photos\\\\Été.jpg"), shown_name(""), shown_name("a\\nb.png")
    ('Été.jpg', 'The picture', 'a?b.png')
    """
    last = PurePath((name or "").replace("\\", "/")).name
    text = "".join(letter if letter.isprintable() else "?" for letter in last)
    text = text if len(text) <= _NAME else f"{text[: _NAME - 17]}…{text[-16:]}"
    return text or "The picture"


def picture_from_url(service: Service, url: str, timeout_s: float = FETCH_S) -> bytes:
    """The bytes behind an address, within so many seconds; it blocks, so call it in `fetchers`.

    Raises:
        FetchError: the service does not fetch, the address is not public, or nothing useful comes from there.
    """
    if not service.options.fetch_urls:
        raise FetchError("This service does not fetch pictures from addresses. Send the picture itself.")
    limits = replace(service.limits, max_bytes=min(service.limits.max_bytes, service.options.upload_bytes))
    try:
        return fetch(url, limits, timeout_s=timeout_s)
    except FetchError as error:
        if "private or reserved" in str(error):  # without the address that was found, which is nobody's business outside
            raise FetchError("That address is in a private or reserved network, from which this service fetches nothing.") from None
        raise
