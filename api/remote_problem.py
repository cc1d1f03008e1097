"""What a service says went wrong, as the errors that it raised."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from preprocess import FetchError, InputError, LibraryBusy, PellucidError

RETRIED = (429, 503)
"""Statuses of a service that has too much to do, and says when to come again."""


def problem_error(status: int, data: bytes, server: str) -> PellucidError:
    """The error that an answer stands for: the same class that the service raised, where it says one, so that commands end with the same exit code."""
    try:
        told = json.loads(data)
        kind, detail = str(told["type"]).rpartition("/")[2], str(told["detail"])
    except (ValueError, KeyError, TypeError):
        return FetchError(f"{server} answered with {status} and no reason. See that the address is that of a Pellucid service.")
    known = {re.sub(r"(?<=[a-z])(?=[A-Z])", "-", error.__name__).lower(): error for error in _classes(PellucidError)}
    if kind in known:
        return known[kind](detail)
    if status in (401, 403):
        return InputError(f"{detail} Give it in PELLUCID_SERVER_KEY." if status == 401 else detail)
    if status in (409, *RETRIED):
        return LibraryBusy(detail)
    return (InputError if status < 500 else PellucidError)(detail or f"{server} answered with {status}.")


def _classes(base: type[PellucidError]) -> Iterator[type[PellucidError]]:
    yield base
    for error in base.__subclasses__():
        if error.__module__ == PellucidError.__module__:
            yield from _classes(error)
