"""A typed client of the service: a method for each operation of its OpenAPI that programs need, with the service's own schemas for what goes and comes.

    with Client("http://127.0.0.1:8000") as client:
        for hit in client.search(SearchAsked(terms=[TermAsked(text="a dog on a beach")])).hits:
            print(hit.path, hit.verdict)

It needs nothing that Pellucid does not need itself; see `remote_http` for how it connects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from preprocess import FetchError

from .remote_form import Part
from .remote_http import Asked, Connection, Streamed
from .remote_jobs import RemoteJobs
from .remote_paths import quoted
from .service.schemas_images import (
    DuplicatesGiven,
    FacetsGiven,
    ImageGiven,
    MapGiven,
    ReviewGiven,
    RunChanged,
    RunDiffGiven,
    RunGiven,
    RunsGiven,
    StatsGiven,
    TagChanged,
    TagsGiven,
)
from .service.schemas_models import EmbeddingsAsked, EmbeddingsGiven, ScoreGiven, SegmentGiven, ZeroShotGiven
from .service.schemas_search import LayoutGiven, PhotosGiven, SearchAsked, SearchGiven

G = TypeVar("G", bound=BaseModel)
_PICTURE = "image/*, application/json"
_ANY = "*/*"


class Client:
    """The service at an address. `key` is what `pellucid keys create` gave; none is needed where a service on this machine asks for none.

    For one thread at a time. Every method raises the errors of `preprocess.errors` that the service names, and FetchError where it cannot be reached.

    Raises:
        InputError: the address is none.
    """

    def __init__(self, server: str, key: str | None = None, timeout_s: float = 120) -> None:
        self.connection = Connection(server, key, timeout_s)
        self.jobs = RemoteJobs(self)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the connection go."""
        self.connection.close()

    def _get(self, model: type[G], path: str, **query: Any) -> G:
        return self.given(model, Asked("GET", path, query))

    def given(self, model: type[G], asked: Asked) -> G:
        """The answer, checked against its schema; what a newer service says beside it is passed over."""
        data, _ = self.connection.ask(asked)
        try:
            return model.model_validate_json(data, extra="ignore")
        except ValidationError as error:
            first = error.errors()[0]
            raise FetchError(
                f"{self.connection.server} answered {asked.method} {asked.path} in another form than this Pellucid knows: "
                f"{'.'.join(map(str, first['loc']))}: {first['msg']}. Use the same version on both sides."
            ) from error

    # The library

    def stats(self, *, full: bool = False) -> StatsGiven:
        """What the library holds, and what the key may do; with `full`, all facts that `pellucid stats` says."""
        return self._get(StatsGiven, "/v1/stats", full=full or None)

    def search(self, asked: SearchAsked, uploads: Mapping[str, bytes] | None = None) -> SearchGiven:
        """Hits for a query; `uploads` are the pictures that its terms name, by name."""
        body = asked.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        if not uploads:
            return self.given(SearchGiven, Asked("POST", "/v1/search", body=body))
        parts = [Part("request", asked.model_dump_json(by_alias=True, exclude_defaults=True).encode())]
        parts += [Part(name, data, name) for name, data in uploads.items()]
        return self.given(SearchGiven, Asked("POST", "/v1/search", parts=parts))

    def images(
        self, *, where: str | None = None, sort: str | None = None, order: Literal["asc", "desc"] | None = None, limit: int | None = None,
        cursor: str | None = None, start: int | None = None,
    ) -> PhotosGiven:  # fmt: skip
        """A page of the library's photos in an order."""
        return self._get(PhotosGiven, "/v1/images", where=where, sort=sort, order=order, limit=limit, cursor=cursor, start=start)

    def layout(self, *, where: str | None = None, sort: str | None = None, order: Literal["asc", "desc"] | None = None) -> LayoutGiven:
        """The shapes of all photos, in the order of `images`."""
        return self._get(LayoutGiven, "/v1/layout", where=where, sort=sort, order=order)

    def image(self, digest: str) -> ImageGiven:
        """All that is known of a photo."""
        return self._get(ImageGiven, f"/v1/images/{quoted(digest)}")

    def thumbnail(self, digest: str, size: Literal[160, 320, 640] = 320) -> bytes:
        """A small picture of a photo."""
        return self._bytes(f"/v1/images/{quoted(digest)}/thumbnail", size=size)

    def preview(self, digest: str, enhancer: Literal["none", "dehazed"] = "none") -> bytes:
        """A picture of a photo, or of its dehazed version, that fills a screen."""
        return self._bytes(f"/v1/images/{quoted(digest)}/preview", enhancer=enhancer)

    def file(self, digest: str) -> AbstractContextManager[Streamed]:
        """The original file, piece by piece: `with client.file(digest) as file: ... file.pieces()`."""
        return self.connection.stream(Asked("GET", f"/v1/images/{quoted(digest)}/file", headers={"Accept": _ANY}))

    def _bytes(self, path: str, **query: Any) -> bytes:
        return self.connection.ask(Asked("GET", path, query, headers={"Accept": _PICTURE}))[0]

    def facets(self, where: str | None = None) -> FacetsGiven:
        """What photos can be filtered by, over those that meet a condition."""
        return self._get(FacetsGiven, "/v1/facets", where=where)

    def map(self, where: str | None = None, limit: int | None = None, cursor: str | None = None) -> MapGiven:
        """A page of where photos were taken."""
        return self._get(MapGiven, "/v1/map", where=where, limit=limit, cursor=cursor)

    def duplicates(
        self, kind: str | None = None, where: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> DuplicatesGiven:
        """A page of groups of photos that are the same or nearly so."""
        return self._get(DuplicatesGiven, "/v1/duplicates", kind=kind, where=where, limit=limit, cursor=cursor)

    # Tags

    def tags(self, prefix: str | None = None, limit: int | None = None, cursor: str | None = None) -> TagsGiven:
        """A page of the tags that photos have, the most frequent first."""
        return self._get(TagsGiven, "/v1/tags", prefix=prefix, limit=limit, cursor=cursor)

    def review(self, limit: int | None = None, tag: str | None = None, where: str | None = None) -> ReviewGiven:
        """The tags about which the machine is least certain."""
        return self._get(ReviewGiven, "/v1/tags/review", limit=limit, tag=tag, where=where)

    def say_tag(self, digest: str, tag: str, verdict: Literal["confirmed", "rejected"]) -> TagChanged:
        """Say that a photo has a tag, or that it has not."""
        return self.given(TagChanged, Asked("PUT", f"/v1/images/{quoted(digest)}/tags/{quoted(tag)}", body={"verdict": verdict}))

    def unsay_tag(self, digest: str, tag: str) -> TagChanged:
        """Take back what was said of a photo's tag."""
        return self.given(TagChanged, Asked("DELETE", f"/v1/images/{quoted(digest)}/tags/{quoted(tag)}"))

    def runs(self) -> RunsGiven:
        """All runs of tagging, the latest last."""
        return self._get(RunsGiven, "/v1/tag-runs")

    def run(self, run: str) -> RunGiven:
        """A run of tagging."""
        return self._get(RunGiven, f"/v1/tag-runs/{quoted(run)}")

    def diff_runs(self, earlier: str, later: str) -> RunDiffGiven:
        """What differs between two runs."""
        return self._get(RunDiffGiven, f"/v1/tag-runs/{quoted(earlier)}/diff/{quoted(later)}")

    def retract_run(self, run: str) -> RunChanged:
        """Take back what a run wrote."""
        return self.given(RunChanged, Asked("POST", f"/v1/tag-runs/{quoted(run)}:retract"))

    def promote_run(self, run: str) -> RunChanged:
        """Make a run's tags people's own."""
        return self.given(RunChanged, Asked("POST", f"/v1/tag-runs/{quoted(run)}:promote"))

    # Pictures that are sent

    def zero_shot(
        self,
        picture: bytes,
        labels: Sequence[str] = (),
        *,
        vocabulary: str | None = None,
        templates: str = "auto",
        most: int = 20,
        name: str = "picture",
    ) -> ZeroShotGiven:
        """Which of some labels, or of a vocabulary's words, fit a picture."""
        given = [("labels", label) for label in labels] + ([("vocabulary", vocabulary)] if vocabulary else [])
        given += [("templates", templates), ("most", str(most))]
        parts = [Part("picture", picture, name), *(Part(field, value.encode()) for field, value in given)]
        return self.given(ZeroShotGiven, Asked("POST", "/v1/tags:zero-shot", parts=parts))

    def score(self, picture: bytes, mode: Literal["fast", "paper"] = "fast", name: str = "picture") -> ScoreGiven:
        """How a picture looks and feels, and how well it was taken."""
        return self.given(ScoreGiven, Asked("POST", "/v1/score", {"mode": mode}, parts=[Part("picture", picture, name)]))

    def segment(self, picture: bytes, segmenter: str = "builtin", name: str = "picture") -> SegmentGiven:
        """The regions of a picture."""
        return self.given(SegmentGiven, Asked("POST", "/v1/segment", {"segmenter": segmenter}, parts=[Part("picture", picture, name)]))

    def dehaze(
        self, picture: bytes, method: str = "auto", preset: str = "default", *, only_hazy: bool = False, name: str = "picture"
    ) -> tuple[bytes, str]:
        """A picture without its haze, and what dehazed it: "none" where it was left as it is."""
        query = {"method": method, "preset": preset, "only_hazy": only_hazy}
        asked = Asked("POST", "/v1/dehaze", query, parts=[Part("picture", picture, name)], headers={"Accept": _PICTURE})
        data, headers = self.connection.ask(asked)
        return data, headers.get("X-Pellucid-Method", "none")

    def embeddings(self, asked: EmbeddingsAsked) -> EmbeddingsGiven:
        """Vectors of texts and pictures."""
        return self.given(EmbeddingsGiven, Asked("POST", "/v1/embeddings", body=asked.model_dump(mode="json", exclude_defaults=True)))

    # Files for others

    def export(self, format: str, where: str | None = None, *, all_photos: bool | None = None) -> AbstractContextManager[Streamed]:  # noqa: A002
        """A zip of photos and their regions in a format that others read, piece by piece."""
        query = {"where": where, "all_photos": all_photos}
        return self.connection.stream(Asked("GET", f"/v1/exports/{quoted(format)}", query, headers={"Accept": _ANY}))


LEFT_OUT = {
    "healthz": "for those who watch the service",
    "readyz": "for those who watch the service",
    "metrics": "for Prometheus",
    "get_session": "for browsers",
    "begin_session": "for browsers",
    "end_session": "for browsers",
}
"""Operations of the service that have no method, and why."""
