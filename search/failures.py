"""Files that could not be indexed, and which of them may be readable another time."""

from __future__ import annotations

from dataclasses import dataclass

_PASSING = frozenset({"MissingExtra", "ImageUnreadable", "ImageVanished", "ImageTooLarge", "ImageError"})
"""Errors that may end without the file's changing: an extra is installed, a right given, a disk mended, a limit raised; an encoder that failed, or
a reader in a way that nobody foresaw (ImageError), has its memory or is another one."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be indexed, with its size and time then, so that it is tried again when it changes."""

    root: str
    path: str
    byte_size: int
    modified_ns: int
    error: str
    message: str

    @property
    def may_pass(self) -> bool:
        """Whether the same file may be readable another time; it is tried again at every build."""
        return self.error in _PASSING
