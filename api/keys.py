"""`pellucid keys`: who may use the service, and for what."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from preprocess import InputError

from .options import JsonOption, LibraryOption

keys_app = typer.Typer(help="Make, list and revoke keys of the service.", no_args_is_help=True)

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_FAR = 36_500  # days


def expiry(text: str | None, now: datetime) -> datetime | None:
    """When a key ends: so many hours, days or weeks from now, or with the end of a day (UTC).

    Raises:
        InputError: this is neither, or it is over already.
    """
    if text is None:
        return None
    if span := re.fullmatch(r"(\d{1,5})([hdw])", text.strip().lower(), re.ASCII):
        length = int(span[1]) * _UNITS[span[2]]
        end = now + min(length, timedelta(days=_FAR))
    else:
        try:
            end = datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
        except (ValueError, OverflowError):
            raise InputError(f"{text!r} is no time to end at. Write 12h, 30d, 8w, or a day such as 2030-12-31.") from None
    if end <= now:
        raise InputError(f"{text!r} is over already. Write a time to come, such as 30d.")
    return end.replace(microsecond=0)


@keys_app.command()
def create(
    scope: Annotated[
        str, typer.Option("--scope", metavar="read|tag|admin", help="What it allows: to look; also to say things of photos; everything.")
    ],
    name: Annotated[str | None, typer.Option("--name", help="Who or what it is for; logs name it.", show_default="key-ID")] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="30d|DATE", help="When it ends: 12h, 30d, 8w, or the last day.", show_default="never")
    ] = None,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key. It is shown this once; only its hash is kept."""
    from preprocess import UnknownName
    from search import Library

    from .output import print_json
    from .service.keys import SCOPES, KeyStore
    from .settings import load_settings

    wanted = next((known for known in SCOPES if known == scope), None)
    if wanted is None:
        raise UnknownName(f"No scope named {scope!r}. Known: {', '.join(SCOPES)}.")
    until = expiry(expires, datetime.now(UTC))
    folder = Library(load_settings(library=library).library.expanduser(), create=True).folder
    key, token = KeyStore(folder).create(wanted, name, until)
    if as_json:
        print_json({**_facts(key), "key": token})
        return
    typer.echo(token)
    ends = f"ends {key.expires_at}" if key.expires_at else "never ends"
    typer.echo(f"This key, {key.name}, may {key.scope} in {folder} and {ends}. Keep it now: it is not shown again.", err=True)


@keys_app.command("list")
def list_keys(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Which keys there are, those that were revoked or have expired among them."""
    from .output import console, print_json

    keys = _store(library).held().keys
    if as_json:
        print_json([_facts(key) for key in keys])
        return
    if not keys:
        typer.echo("There are no keys. Make one: pellucid keys create --scope read", err=True)
        return
    from rich.table import Table

    table = Table("id", "name", "scope", "state", "made", "ends", box=None, pad_edge=False)
    for key in keys:
        table.add_row(key.id, key.name, key.scope, key.state, key.created_at[:10], (key.expires_at or "never")[:16])
    console().print(table)


@keys_app.command()
def revoke(
    which: Annotated[str, typer.Argument(metavar="NAME|ID", help="The key's name or id.")],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key open nothing any more, at once, also in a service that runs."""
    from .output import print_json

    key = _store(library).revoke(which)
    if as_json:
        print_json(_facts(key))
    else:
        typer.echo(f"{key.name} ({key.id}) opens nothing any more.")


def _store(library: Path | None) -> Any:
    from .service.keys import KeyStore
    from .wiring import open_library

    return KeyStore(open_library(library).folder)


def _facts(key: Any) -> dict[str, Any]:
    return {"id": key.id, "name": key.name, "scope": key.scope, "state": key.state, "created_at": key.created_at,
            "expires_at": key.expires_at, "revoked_at": key.revoked_at}  # fmt: skip
