"""What lists say of a library that is not there yet, or has no photos that searches find: nothing, since that is how every library begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from preprocess import LibraryNotFound

from .cursor import short_hash

T = TypeVar("T")

NO_STATE = short_hash("no library yet")
"""The state of such a library."""


def or_nothing(found: Callable[[], T], nothing: T) -> T:
    """What `found` gives, or `nothing` where nothing was indexed yet."""
    try:
        return found()
    except LibraryNotFound:
        return nothing
