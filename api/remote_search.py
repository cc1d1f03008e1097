"""`pellucid search` and `pellucid stats` by a service."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from search import Hit

    from .client import Client
    from .service.schemas_search import HitGiven, SearchAsked, SearchGiven
    from .wiring import SearchOptions

_PAGE = 500


def remote_search(client: Client, terms: Sequence[str], options: SearchOptions, *, as_json: bool, paths: bool) -> None:
    """Ask, and print what the command prints of a library here."""
    from .hits_output import hits_table, score_notes
    from .output import console, plain, print_json

    with client:
        asked, uploads = query_of(terms, options)
        given, found = ask(client, asked, uploads, options.k)
    hits = [hit_of(hit) for hit in found]
    miss = None if given.nearest_miss is None else hit_of(given.nearest_miss)
    if given.note is not None:
        typer.echo(plain(given.note), err=True)
    if as_json:
        notes = score_notes([*hits, *([miss] if miss else [])])
        print_json({
            "terms": list(terms), "where": options.where, "in": given.within, "strictness": options.strictness, "sort": options.sort, "encoder": given.encoder,
            "missing": given.missing, "verdict": given.verdict, "probability": round(given.probability, 4), "why": given.why if hits or miss else None,
            "hits": [hit.as_dict() for hit in hits], "nearest_miss": miss and miss.as_dict(), "notes": notes,
        })  # fmt: skip
    elif paths:
        sys.stdout.write("".join(f"{hit.file}\n" for hit in hits))
    elif miss is not None:
        console().print(plain(given.why or ""))
        hits_table([miss], "The nearest miss:")
    elif hits:
        hits_table(hits)
        console().print(plain(given.why or ""))
    else:
        left = "No photo is left without that." if asked.without else "The library has no photos."
        typer.echo("No photo meets the condition." if options.where else left, err=True)


def query_of(terms: Sequence[str], options: SearchOptions) -> tuple[SearchAsked, dict[str, bytes]]:
    """The query as a service takes it, and the pictures that go with it by name.

    Raises:
        QueryError: a term says nothing.
        ImageError: a picture cannot be read.
        InputError: an option has no such value.
    """
    from pydantic import ValidationError

    from preprocess import QueryError, read_bytes
    from search import parse_terms

    from .service.schemas_search import SearchAsked, TermAsked

    words, without = parse_terms(terms)
    uploads: dict[str, bytes] = {}
    asked = []
    try:
        for at, term in enumerate(words):
            if term.kind == "file":
                uploads[f"picture-{at}"] = read_bytes(Path(term.text).expanduser())
                asked.append(TermAsked(upload=f"picture-{at}", weight=term.weight))
            else:
                asked.append(TermAsked(**{term.kind: term.text}, weight=term.weight))
        query: dict[str, Any] = {
            "terms": asked, "without": list(without), "where": options.where, "in": options.within, "strictness": options.strictness,
            "sort": options.sort, "diverse": options.diverse, "collapse": options.collapse, "limit": min(options.k, _PAGE),
        }  # fmt: skip
        return SearchAsked(**query), uploads
    except ValidationError as error:
        first = error.errors()[0]
        raise QueryError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from error


def ask(client: Client, asked: SearchAsked, uploads: dict[str, bytes], k: int) -> tuple[SearchGiven, list[HitGiven]]:
    """The first page of the answer, and k hits of as many pages as these take."""
    first = page = client.search(asked, uploads)
    found = list(page.hits)
    while page.next is not None and len(found) < k:
        page = client.search(asked.model_copy(update={"cursor": page.next}), uploads)
        found += page.hits
    return first, found[:k]


def hit_of(given: HitGiven) -> Hit:
    """The hit as a search here gives it."""
    from search import Hit, RegionHit

    region = None
    if given.region is not None:
        facts = given.region.model_dump()
        region = RegionHit(**{**facts, "box_xyxy": tuple(facts["box_xyxy"])})
    columns = {"width": given.width, "height": given.height, "taken_at": given.taken_at, **given.facts}
    return Hit(
        given.root, given.path, given.digest, given.similarity, given.z, columns, given.enhancer, region, given.matched, given.probability, given.verdict,
        tuple(given.also),
    )  # fmt: skip


def remote_stats(client: Client, *, as_json: bool) -> None:
    """Ask what the library holds, and print it."""
    from .health import print_facts
    from .output import print_json

    with client:
        facts = client.stats(full=True).facts or {}
    print_json(facts) if as_json else print_facts(facts)
