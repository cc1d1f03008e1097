"""One table from error classes to exit codes and HTTP statuses."""

from __future__ import annotations

from preprocess import (
    FetchError,
    ImageError,
    InputError,
    LibraryBusy,
    LibraryError,
    LibraryNotFound,
    LibraryTooNew,
    MissingExtra,
    PellucidError,
    RecipeMismatch,
    StorageFull,
    WeightsError,
)

CODES: dict[type[PellucidError], tuple[int, int]] = {
    InputError: (2, 400),
    ImageError: (3, 422),
    FetchError: (3, 422),
    LibraryNotFound: (4, 404),
    LibraryBusy: (5, 409),
    LibraryTooNew: (6, 409),
    RecipeMismatch: (6, 409),
    StorageFull: (7, 507),
    LibraryError: (6, 500),
    MissingExtra: (8, 501),
    WeightsError: (8, 500),
    PellucidError: (1, 500),
}
"""Exit code and HTTP status of each class; a class that is not listed has those of its nearest listed parent."""


def codes(error: type[PellucidError]) -> tuple[int, int]:
    """Exit code and HTTP status of an error class."""
    return next(CODES[parent] for parent in error.__mro__ if parent in CODES)
