"""Which folders on the server's disk a request may name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess import InputError, LibraryNotFound

if TYPE_CHECKING:
    from ..settings import Settings


def allowed_roots(settings: Settings) -> list[Path]:
    """The folders that the settings name, and the library's own roots, without links."""
    from search import Library

    named = [Path(root).expanduser() for root in settings.serve_roots]
    try:
        known = [Path(root) for root in Library(settings.library.expanduser()).file.roots]
    except LibraryNotFound:
        known = []
    return list(dict.fromkeys(root.resolve() for root in [*named, *known]))


def allowed_folder(name: str, roots: Sequence[Path]) -> Path:
    """The folder that a request names, without links.

    What lies elsewhere is refused in the same words whether it is there or not.

    Raises:
        InputError: it does not lie in one of the roots, or is no folder there.
    """
    place = Path(name)
    try:
        found = place.resolve() if place.is_absolute() and "\0" not in name else None
        if found is not None and not any(found.is_relative_to(root) for root in roots):
            found = None
        there = found is not None and found.is_dir()
    except (OSError, RuntimeError, ValueError):  # a loop of links, or a name that the system cannot hold
        found, there = None, False
    if found is None:
        raise InputError(
            f"{name!r} is no folder that this service may read. Name one in its roots by its full path; serve_roots in pellucid.toml sets them."
        )
    if not there:
        raise InputError(f"There is no folder {name!r}. Check the name, or mount the disk it is on.")
    return found


def may_read(file: Path, roots: Sequence[Path]) -> bool:
    """Whether a file, links followed, lies in one of the roots."""
    try:
        real = file.resolve()
    except (OSError, RuntimeError):
        return False
    return any(real.is_relative_to(root) for root in roots)
