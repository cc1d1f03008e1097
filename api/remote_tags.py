"""`pellucid tags` by a service."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from preprocess import InputError

if TYPE_CHECKING:
    from .client import Client
    from .service.schemas_images import RunGiven

_DIGEST = re.compile(r"[0-9a-f]{64}")


def remote_say(
    client: Client, path: Path, words: Sequence[str], verdict: Literal["confirmed", "rejected"], *, undo: bool, as_json: bool
) -> None:
    """Say something of tags of a photo, and print what it has then."""
    from .output import print_json
    from .tag_output import said_lines

    with client:
        digest = digest_by(client, path)
        changed = [client.unsay_tag(digest, word) if undo else client.say_tag(digest, word, verdict) for word in words]
        place = next(iter(client.image(digest).places))
    names = list(dict.fromkeys(each.tag for each in changed))
    outcome = {
        "file": f"{place.root.rstrip('/')}/{place.path}", "digest": digest, "said": None if undo else verdict, "tags": names,
        "not_in_vocabularies": [each.tag for each in changed if not each.known], "now": [tag.tag for tag in changed[-1].tags],
    }  # fmt: skip
    print_json(outcome) if as_json else said_lines(outcome)


def digest_by(client: Client, path: Path) -> str:
    """The digest of a photo: of the file that is here, or of the one that the service's library has under this name; or itself.

    Raises:
        InputError: neither is there, or several photos have that name.
    """
    from preprocess import digest_of

    if _DIGEST.fullmatch(str(path)):
        return str(path)
    file = path.expanduser()
    if file.is_file():
        return digest_of(file)
    name = file.name.replace("'", "''")
    if not name.isprintable():
        raise InputError(f"{path} is no file here. Name one, or a photo's digest.")
    found = {
        photo.digest
        for photo in client.images(where=f"path LIKE '%{name}'", limit=1_000).photos
        if f"{photo.root.rstrip('/')}/{photo.path}".endswith(f"/{str(file).lstrip('/')}")
    }
    if len(found) != 1:
        what = "no photo" if not found else f"{len(found)} photos"
        raise InputError(
            f"{path} is no file here, and the library of {client.connection.server} has {what} of that name. Name a file, or a photo's digest."
        )
    return found.pop()


def remote_runs(client: Client, *, as_json: bool) -> None:
    """Print all runs of tagging."""
    from search import TagRun

    from .output import print_json
    from .tag_output import run_dict, runs_table

    def run_of(given: RunGiven) -> TagRun:
        facts = given.model_dump()
        return TagRun(id=facts.pop("run"), **facts)

    with client:
        known = [run_of(given) for given in client.runs().runs]
    print_json({"runs": [run_dict(run) for run in known]}) if as_json else runs_table(known)


def remote_change(client: Client, what: Literal["retract", "promote"], run: str, *, as_json: bool) -> None:
    """Take a run back or adopt it, and print what came of it."""
    from .output import print_json
    from .tag_output import changed_lines

    with client:
        outcome = (client.retract_run(run) if what == "retract" else client.promote_run(run)).model_dump()
    print_json(outcome) if as_json else changed_lines(outcome)
