"""Names in the paths of requests."""

from __future__ import annotations

from urllib.parse import quote


def quoted(name: str) -> str:
    """A name as one part of a path, whatever letters it has. A part that is `.` or `..` is written so that nobody takes it for a folder.

    >>> quoted("café/déjà"), quoted("..")
    ('caf%C3%A9%2Fd%C3%A9j%C3%A0', '%2E%2E')
    """
    return name.replace(".", "%2E") if name in (".", "..") else quote(name, safe="", errors="replace")
