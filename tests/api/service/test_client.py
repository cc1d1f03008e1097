"""The typed client: it knows all that the OpenAPI says, and gets on with a real service over a real connection."""

from __future__ import annotations

import io
import re
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import uvicorn

from api.client import LEFT_OUT, Client
from api.remote_http import Asked, Connection
from api.remote_jobs import RemoteJobs
from api.service import create_app
from api.service.schemas_jobs import DatasetOptions, TagJob
from api.service.schemas_models import EmbeddingsAsked
from api.service.schemas_search import SearchAsked, TermAsked
from api.settings import Settings, load_settings
from preprocess import (
    FetchError,
    FilterError,
    InputError,
    LibraryNotFound,
    digest_of,
)

ONE = "0" * 64
WORDS = SearchAsked(terms=[TermAsked(text="red")])

CALLS: dict[str, tuple[Callable[..., Any], Callable[[Client], Any]]] = {
    "get_stats": (Client.stats, lambda c: c.stats(full=True)),
    "search": (Client.search, lambda c: c.search(WORDS, {"picture": b"x"})),
    "list_images": (Client.images, lambda c: c.images()),
    "get_layout": (Client.layout, lambda c: c.layout()),
    "get_image": (Client.image, lambda c: c.image(ONE)),
    "get_thumbnail": (Client.thumbnail, lambda c: c.thumbnail(ONE)),
    "get_preview": (Client.preview, lambda c: c.preview(ONE)),
    "get_file": (Client.file, lambda c: c.file(ONE)),
    "get_facets": (Client.facets, lambda c: c.facets()),
    "get_map": (Client.map, lambda c: c.map()),
    "get_duplicates": (Client.duplicates, lambda c: c.duplicates()),
    "list_tags": (Client.tags, lambda c: c.tags()),
    "review_tags": (Client.review, lambda c: c.review()),
    "say_tag": (Client.say_tag, lambda c: c.say_tag(ONE, "a/b é", "confirmed")),
    "unsay_tag": (Client.unsay_tag, lambda c: c.unsay_tag(ONE, "..")),
    "list_runs": (Client.runs, lambda c: c.runs()),
    "get_run": (Client.run, lambda c: c.run("latest")),
    "diff_runs": (Client.diff_runs, lambda c: c.diff_runs("a", "b")),
    "retract_run": (Client.retract_run, lambda c: c.retract_run("latest")),
    "promote_run": (Client.promote_run, lambda c: c.promote_run("latest")),
    "tag_zero_shot": (Client.zero_shot, lambda c: c.zero_shot(b"x", ["a"], vocabulary="photo")),
    "score_picture": (Client.score, lambda c: c.score(b"x")),
    "segment_picture": (Client.segment, lambda c: c.segment(b"x")),
    "dehaze_picture": (Client.dehaze, lambda c: c.dehaze(b"x")),
    "create_embeddings": (Client.embeddings, lambda c: c.embeddings(EmbeddingsAsked(input="a"))),
    "start_job": (RemoteJobs.start, lambda c: c.jobs.start(TagJob(kind="tag"), key="k")),
    "list_jobs": (RemoteJobs.list, lambda c: c.jobs.list()),
    "get_job": (RemoteJobs.get, lambda c: c.jobs.get("j")),
    "cancel_job": (RemoteJobs.cancel, lambda c: c.jobs.cancel("j")),
    "watch_job": (RemoteJobs.events, lambda c: next(c.jobs.events("j"))),
    "get_job_result": (RemoteJobs.result, lambda c: c.jobs.result("j")),
    "tag_dataset": (RemoteJobs.tag_dataset, lambda c: c.jobs.tag_dataset(DatasetOptions(), io.BytesIO(b"x"), key="k")),
    "stream_export": (Client.export, lambda c: c.export("coco")),
}


class _Sent(Exception):
    def __init__(self, asked: Asked) -> None:
        self.asked = asked


@pytest.fixture(scope="module")
def openapi(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    app = create_app(load_settings(library=tmp_path_factory.mktemp("none") / "library"))
    found: dict[str, Any] = app.openapi()
    return found


@pytest.fixture
def operations(openapi: dict[str, Any]) -> dict[str, tuple[str, str, dict[str, Any]]]:
    return {
        facts["operationId"]: (method.upper(), path, facts)
        for path, methods in openapi["paths"].items()
        for method, facts in methods.items()
    }


def test_every_operation_has_a_method_or_is_left_out_for_a_reason(operations: dict[str, Any]) -> None:
    assert set(operations) == set(CALLS) | set(LEFT_OUT)
    assert not set(CALLS) & set(LEFT_OUT)


@pytest.mark.parametrize("operation", CALLS)
def test_a_method_asks_and_reads_what_the_openapi_says(
    operations: dict[str, tuple[str, str, dict[str, Any]]], operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def caught(_: Any, asked: Asked) -> Any:
        raise _Sent(asked)

    monkeypatch.setattr(Connection, "stream", caught)
    function, call = CALLS[operation]
    with pytest.raises(_Sent) as sent:
        call(Client("http://127.0.0.1:8000"))
    asked, (method, path, facts) = sent.value.asked, operations[operation]
    assert asked.method == method
    pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))
    assert re.fullmatch(pattern, asked.path), (asked.path, path)
    parameters = {each["name"]: each["in"] for each in facts.get("parameters", [])}
    assert set(asked.query) == {name for name, where in parameters.items() if where == "query"}
    headers = {name for name, where in parameters.items() if where == "header"} - {"Last-Event-ID"}
    assert headers <= set(asked.headers)
    _same_body(asked, facts)
    _same_answer(function, facts)


def _same_body(asked: Asked, facts: dict[str, Any]) -> None:
    content = facts.get("requestBody", {}).get("content", {})
    assert bool(content) == (asked.body is not None or bool(asked.parts))
    if asked.parts:
        schema = content["multipart/form-data"]["schema"]
        known = set(schema.get("properties", {})) or None
        assert known is None or "additionalProperties" in schema or {part.name for part in asked.parts} <= known
    elif content:
        assert "application/json" in content


def _same_answer(function: Callable[..., Any], facts: dict[str, Any]) -> None:
    contents = [answer.get("content", {}) for status, answer in facts["responses"].items() if status.startswith("2")]
    models = {content["application/json"]["schema"]["$ref"].rpartition("/")[2] for content in contents if "application/json" in content}
    given = get_type_hints(function)["return"]
    if models:
        assert {given.__name__} == models
    else:
        assert not hasattr(given, "model_fields")


# Over a real connection


@pytest.fixture
def serve() -> Iterator[Callable[[Settings], str]]:
    """A service on a free port of this machine, in a thread; gives its address."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def begin(settings: Settings) -> str:
        server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_level="critical", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        running.append((server, thread))
        until = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < until
            time.sleep(0.01)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield begin
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def remote(serve: Callable[[Settings], str], service_settings: Settings) -> Iterator[Client]:
    with Client(serve(service_settings)) as client:
        yield client


def test_it_searches_looks_and_says_over_one_connection(remote: Client, service_photos: Path) -> None:
    red = digest_of(service_photos / "red.png")
    stats = remote.stats()
    assert stats.photos == 14
    held = remote.connection._open
    found = remote.search(SearchAsked(terms=[TermAsked(text="red")], strictness=0, limit=3))
    assert found.hits[0].path in ("red.png", "trip/red copy.png")
    by_picture = remote.search(
        SearchAsked(terms=[TermAsked(upload="mine")], strictness=0, limit=1), {"mine": (service_photos / "blue.png").read_bytes()}
    )
    assert by_picture.hits[0].path == "blue.png"
    assert remote.image(red).digest == red
    assert len(remote.thumbnail(red)) > 50
    with remote.file(red) as file:
        assert b"".join(file.pieces()) == (service_photos / "red.png").read_bytes()
    said = remote.say_tag(red, "Été/写真 é", "confirmed")
    assert said.tag in [tag.tag for tag in remote.tags().tags]
    assert remote.unsay_tag(red, "Été/写真 é").said is None
    assert remote.run("latest").run == remote.runs().runs[0].run
    assert remote.zero_shot((service_photos / "red.png").read_bytes(), ["red", "blue"], templates="plain").labels[0].label == "red"
    assert remote.embeddings(EmbeddingsAsked(input=["red"])).model == "mean-colour"
    assert remote.dehaze((service_photos / "red.png").read_bytes())[1] == "none"
    assert remote.connection._open is held


def test_a_job_is_watched_to_its_end_and_its_result_fetched(remote: Client) -> None:
    asked = {"kind": "export", "options": {"format": "jsonl"}}
    job = remote.jobs.start(asked, key="once")
    assert remote.jobs.start(asked, key="once").id == job.id
    moves: list[int] = []
    done = remote.jobs.finish(job, lambda _stage, at, _total: moves.append(at))
    assert done.outcome is not None
    assert done.outcome["format"] == "jsonl"
    assert remote.jobs.list(state="finished").jobs[0].id == remote.jobs.get(job.id).id == job.id
    assert list(remote.jobs.events(job.id))[-1].state == "finished"
    with remote.jobs.result(job.id) as answer:
        assert b"".join(answer.pieces())


def test_an_export_comes_as_a_zip(remote: Client) -> None:
    with remote.export("jsonl") as answer:
        archive = zipfile.ZipFile(io.BytesIO(b"".join(answer.pieces())))
    assert sum(len(archive.read(name).splitlines()) for name in archive.namelist()) >= 10


def test_what_the_service_refuses_is_the_same_error_here(remote: Client, serve: Callable[[Settings], str], tmp_path: Path) -> None:
    with pytest.raises(FilterError):
        remote.images(where="nonsense >")
    with pytest.raises(InputError):
        remote.image(ONE)
    with Client(serve(load_settings(library=tmp_path / "none"))) as empty, pytest.raises(LibraryNotFound):
        empty.image(ONE)


def test_a_key_is_sent_and_a_wrong_one_says_so(serve: Callable[[Settings], str], service_settings: Settings) -> None:
    from api.service.keys import KeyStore

    _, secret = KeyStore(service_settings.library).create("read")
    server = serve(service_settings)
    with Client(server, secret) as client:
        assert client.stats().scopes == ["read"]
        with pytest.raises(InputError, match="this needs tag"):
            client.say_tag(ONE, "red", "confirmed")
    with Client(server) as client, pytest.raises(InputError, match="PELLUCID_SERVER_KEY"):
        client.stats()
    with Client(server, secret[:-2] + "xx") as client, pytest.raises(InputError):
        client.stats()


def test_a_connection_that_was_closed_meanwhile_is_opened_anew(remote: Client) -> None:
    remote.stats()
    opened = remote.connection._open
    assert opened is not None
    opened.sock.shutdown(socket.SHUT_RDWR)
    assert remote.stats().photos == 14


def test_who_is_not_there_says_how_to_begin() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(FetchError, match="pellucid serve"):
        Client(address).stats()
