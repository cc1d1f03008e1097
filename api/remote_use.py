"""Commands that ask a service in place of a library on this machine: whether they do, and what most of them share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess import InputError

if TYPE_CHECKING:
    from .client import Client


def remote_of(server: str | None, library: Path | None) -> Client | None:
    """The service that a command asks: the one on the command line, or else in the settings; none where it works on a library here, as it does where one is named.

    Raises:
        InputError: both are named, or the address is none.
    """
    from .settings import load_settings

    if server is not None and library is not None:
        raise InputError("Name either --server or --library: a service has its own library.")
    if library is not None:
        return None
    settings = load_settings(server=server)
    if settings.server is None:
        return None
    from .client import Client

    return Client(settings.server, settings.server_key)


def only_here(given: Mapping[str, Any]) -> None:
    """Refuse options that a service is not asked for; `given` has their values, none where they were left away.

    Raises:
        InputError: one was given.
    """
    for name, value in given.items():
        if value not in (None, False):
            raise InputError(f"{name} works with a library on this machine only. Leave it away, or leave --server away.")


__all__ = ["only_here", "remote_of"]
