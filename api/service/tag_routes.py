"""Tags of photos: what people say of them, what there are, and which to ask about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Query

from preprocess import InputError

from .access import needs, service_of
from .cursor import Cursor, short_hash
from .empty_library import or_nothing
from .problem import PROBLEMS
from .schemas import Digest
from .schemas_images import DoubtGiven, ReviewGiven, TagChanged, TagCount, TagGiven, TagSaid, TagsGiven
from .state import Service
from .writing import write

if TYPE_CHECKING:
    from search import Store, StoredTag

router = APIRouter(prefix="/v1", tags=["tags"], responses=PROBLEMS)

ServiceHere = Annotated[Service, Depends(service_of)]
TagName = Annotated[str, Path(description="a tag, by name or synonym; it may hold slashes", examples=["dog"])]
Verdict = Literal["confirmed", "rejected"]
_CAN_TAG = [Depends(needs("tag"))]


@router.put("/images/{digest}/tags/{tag:path}", operation_id="say_tag", summary="Confirm or reject a tag of a photo", dependencies=_CAN_TAG)
async def say_tag(service: ServiceHere, digest: Digest, tag: TagName, said: TagSaid) -> TagChanged:
    """Say that a photo has a tag, or that it has not. No machine changes that, and the next run of tagging learns from it."""
    return await write(service, f"tags {said.verdict}", lambda store: say(store, digest, tag, said.verdict))


@router.delete(
    "/images/{digest}/tags/{tag:path}", operation_id="unsay_tag", summary="Take back what was said of a tag", dependencies=_CAN_TAG
)
async def unsay_tag(service: ServiceHere, digest: Digest, tag: TagName) -> TagChanged:
    """Take back what was said of a photo's tag, if anything was: what machines say counts again."""
    return await write(service, "tags undone", lambda store: say(store, digest, tag, None))


def say(store: Store, digest: str, word: str, verdict: Verdict | None) -> TagChanged:
    """Note what a person says; the library must be held.

    Raises:
        HTTPException: 404 where the library does not have the photo.
        InputError: the name is none for a tag.
    """
    from ..library_tags import say_tags

    if "\ufffd" in word:  # what stands for bytes of a path that are no text
        raise InputError("The name of the tag is not UTF-8. Encode it so in the path.")
    if not has_photo(store, digest):
        raise HTTPException(404, f"No photo of the library has the digest {digest}.")
    ((name, known),) = say_tags(store, digest, [word], verdict)
    tags, rejected = tags_of(store, digest)
    return TagChanged(digest=digest, tag=name, said=verdict, known=known, tags=tags, rejected=rejected)


def has_photo(store: Store, digest: str) -> bool:
    """Whether the library has a photo with this digest."""
    import pyarrow.compute as pc

    return bool(pc.any(pc.equal(store.images(["digest"])["digest"], digest)).as_py())


def tags_of(store: Store, digest: str) -> tuple[list[TagGiven], list[str]]:
    """The tags that a photo has now, and those that people said it has not."""
    said = store.marks.people.by_digest({digest}).get(digest, {})
    tags = store.marks.tags([digest]).get(digest, ())
    return [tag_given(tag) for tag in tags], sorted(tag for tag, verdict in said.values() if verdict == "rejected")


def tag_given(tag: StoredTag) -> TagGiven:
    """For an answer."""
    from ..library_tags import tag_dict

    return TagGiven(**tag_dict(tag))


@router.get("/tags", operation_id="list_tags", summary="The tags that photos have", dependencies=[Depends(needs("read"))])
async def list_tags(
    service: ServiceHere,
    prefix: Annotated[str, Query(max_length=200, description="only tags of which a word begins so; for completion")] = "",
    limit: Annotated[int, Query(ge=1, le=5_000)] = 200,
    cursor: Annotated[str | None, Query(max_length=500, description="`next` of the page before")] = None,
) -> TagsGiven:
    """Tags by falling count, then by name."""
    nothing = TagsGiven(total=0, next=None, tags=[])
    return await service.workers.run(or_nothing, lambda: tags_page(service, prefix, limit, cursor), nothing)


def tags_page(service: Service, prefix: str, limit: int, cursor: str | None) -> TagsGiven:
    """A page of the tags; it blocks.

    Raises:
        QueryError: the cursor is damaged or of another list.
    """
    from search import tag_key

    library = service.library()
    state = short_hash([library.marks_stamp(), library.stamp()])
    place = Cursor.of(cursor, short_hash(["tags", prefix]), state)
    counts = service.facets.get(("tag counts", state), lambda: tag_counts(service))
    key = tag_key(prefix)
    found = [each for each in counts if not key or f" {tag_key(each.tag)}".find(f" {key}") >= 0]
    end = place.at + limit
    return TagsGiven(total=len(found), next=place.after(limit).token() if end < len(found) else None, tags=found[place.at : end])


def tag_counts(service: Service) -> list[TagCount]:
    """How many photos of the library have each tag, copies counted once."""
    statement = """SELECT name, count(*) FROM marks.tagged JOIN marks.names USING (tag)
        WHERE photo IN (SELECT photo FROM marks.photos WHERE digest IN (SELECT digest FROM images)) GROUP BY tag"""
    with service.derived(service.library()) as derived:
        rows = derived.database.execute(statement).fetchall()
    return [TagCount(tag=name, photos=count) for name, count in sorted(rows, key=lambda row: (-row[1], row[0]))]


@router.get("/tags/review", operation_id="review_tags", summary="The tags to ask people about", dependencies=[Depends(needs("read"))])
async def review_tags(
    service: ServiceHere,
    limit: Annotated[int, Query(ge=1, le=500)] = 20,
    tag: Annotated[str | None, Query(max_length=200, description="only this tag")] = None,
    where: Annotated[str | None, Query(max_length=4_000, description="only photos that meet a condition on columns")] = None,
) -> ReviewGiven:
    """The tags about which the machine is least certain and nobody has said anything yet, words in turns."""
    nothing = ReviewGiven(open=0, tags=[])
    return await service.workers.run(or_nothing, lambda: review(service, limit, tag, where), nothing)


def review(service: Service, limit: int, tag: str | None, where: str | None) -> ReviewGiven:
    """The most uncertain tags; it blocks.

    Raises:
        FilterError: the condition is wrong.
    """
    from ..library_tags import doubts, tag_dict

    found, total = doubts(service.library(), limit, where, tag)
    return ReviewGiven(open=total, tags=[DoubtGiven(digest=each.digest, **tag_dict(each.tag)) for each in found])
