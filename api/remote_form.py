"""Forms with files, as they are sent to a service."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a form: a field's name, its content, and for a file its name and type."""

    name: str
    content: bytes | IO[bytes]
    filename: str | None = None
    media_type: str = "application/octet-stream"


def form_of(parts: Sequence[Part]) -> tuple[Iterator[bytes], int, str]:
    """A form's body in pieces, its length in bytes, and the boundary between its parts."""
    boundary = f"pellucid-{secrets.token_hex(16)}"
    heads = [f"--{boundary}\r\n{_head(part)}\r\n".encode() for part in parts]
    end = f"--{boundary}--\r\n".encode()
    length = sum(len(head) + _size(part.content) + 2 for head, part in zip(heads, parts, strict=True)) + len(end)

    def pieces() -> Iterator[bytes]:
        for head, part in zip(heads, parts, strict=True):
            yield head
            if isinstance(part.content, bytes):
                yield part.content
            else:
                while piece := part.content.read(_CHUNK):
                    yield piece
            yield b"\r\n"
        yield end

    return pieces(), length, boundary


def _head(part: Part) -> str:
    """The lines before a part; names are written as browsers do."""
    named = f'Content-Disposition: form-data; name="{_escaped(part.name)}"'
    if part.filename is None:
        return f"{named}\r\n"
    return f'{named}; filename="{_escaped(part.filename)}"\r\nContent-Type: {part.media_type}\r\n'


def _escaped(name: str) -> str:
    return name.encode("utf-8", "replace").decode().replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _size(content: bytes | IO[bytes]) -> int:
    if isinstance(content, bytes):
        return len(content)
    at = content.tell()
    end = content.seek(0, 2)
    content.seek(at)
    return end - at
