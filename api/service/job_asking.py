"""Whether a job that is asked for can be done at all, said before it is queued: names, folders and words that are wrong."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException

from .job import KINDS
from .job_store import Asking, KeyReused

if TYPE_CHECKING:
    from ..settings import Settings
    from .access import Caller
    from .job import Job
    from .schemas_jobs import JobKind
    from .state import Service

MOST_KEY = 255


def checked(kind: JobKind, options: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The options with folders by their real names.

    Raises:
        InputError: a folder is not allowed, or a word is no tag. UnknownName: there is nothing of that name.
    """
    from annotate import RegionMakerOptions, load_exporter, load_region_maker
    from preprocess import DEHAZERS, choose, load_rule
    from search import choose_pairs

    from .allowed import allowed_folder, allowed_roots

    options = dict(options)
    if kind == "index":
        allowed = allowed_roots(settings)
        options["roots"] = [str(allowed_folder(root, allowed)) for root in options["roots"]]
        if options["dehaze"] is not None:
            load_rule(options["dehaze"])
        if options["regions"] is not None:
            load_region_maker(options["regions"], RegionMakerOptions(settings.models.expanduser()))
    elif kind == "tag":
        check_words(options)
    elif kind == "score":
        choose_pairs(options["axes"])
    elif kind == "export":
        load_exporter(options["format"])
    elif kind == "dehaze-batch":
        choose({"auto": None, **DEHAZERS}, options["method"], "dehazer")
    return options


def check_words(options: dict[str, Any]) -> None:
    """See that the vocabulary is one that ships, or the labels can be tags; and that such tags can be asked for. No file is ever named by a request.

    Raises:
        InputError: they cannot. UnknownName: there is no such vocabulary.
    """
    from preprocess import choose
    from search import VOCABULARIES, TagOptions

    from .job_work import vocabulary_of

    TagOptions(options["precision"], options["most"])
    if options["labels"] is None:
        choose(VOCABULARIES, options["vocabulary"], "vocabulary")
    else:
        vocabulary_of(options["labels"])


def asking_of(kind: JobKind, options: dict[str, Any], caller: Caller, key: str | None, more: str = "") -> Asking:
    """The request as the store has it; `more` is what else makes two of them the same, such as the hash of an archive.

    Raises:
        HTTPException: 403 where the caller may not start such jobs, 422 where the key is none.
    """
    may_start(kind, caller)
    if key is not None and not (0 < len(key) <= MOST_KEY and key.isprintable()):
        raise HTTPException(422, f"An Idempotency-Key has 1 to {MOST_KEY} printable characters.")
    same = json.dumps([kind, {name: value for name, value in options.items() if name != "upload"}, more], sort_keys=True)
    return Asking(kind, options, caller.id, key, hashlib.sha256(same.encode()).hexdigest())


def may_start(kind: JobKind, caller: Caller) -> None:
    """See that the caller may start jobs of a kind.

    Raises:
        HTTPException: 403 where not.
    """
    scope = KINDS[kind].scope
    if not caller.may(scope):
        raise HTTPException(403, f"The key {caller.name!r} may {caller.scope}, and {kind} jobs need {scope}. Use a key with that scope.")


def submitted(service: Service, asking: Asking) -> tuple[Job, bool]:
    """The job, and whether it is new; it blocks, so call it in `workers`.

    Raises:
        HTTPException: 422 where the key named another request.
    """
    try:
        return service.jobs.submit(asking)
    except KeyReused:
        raise HTTPException(
            422, "This Idempotency-Key named another request within the last day. Use a new key for a new request."
        ) from None
