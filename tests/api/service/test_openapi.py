"""The service answers all that its OpenAPI allows, and much that it does not, as the OpenAPI says: no 5xx, no answer of another form."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from preprocess import digest_of

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
# All of it now: CPython 3.11 fails to compile a module while another thread compiles too ("AST constructor recursion depth mismatch"), and a service has threads.
for part in ("checks", "generation", "openapi"):
    importlib.import_module(f"schemathesis.{part}")
schemathesis.checks.load_all_checks()

EXAMPLES = 8
"""Requests of each operation, allowed ones and others each; a run by hand takes hundreds."""
TAGS = ("search", "photos", "tags", "models", "jobs", "session", "health", "exports", "data sets")
_QUIET = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)  # fmt: skip


@pytest.fixture
def app(make_settings: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A running service whose jobs wait for ever, called from this machine."""
    from api.service import create_app

    monkeypatch.setattr("api.service.job_runner.Jobs._startable", lambda *_: None)
    running = create_app(make_settings(serve_rate=1_000_000, serve_hosts=["testserver"], serve_upload_mb=2, max_megapixels=4))

    async def local(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":  # schemathesis begins and ends one around each request
            while True:
                told = (await receive())["type"]
                await send({"type": f"{told}.complete"})
                if told == "lifespan.shutdown":
                    return
        await running({**scope, "client": ("127.0.0.1", 50_000)}, receive, send)

    local.openapi = running.openapi  # type: ignore[attr-defined]
    with TestClient(running, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50_000)):
        yield local


@pytest.fixture
def red(service_photos: Path) -> str:
    return digest_of(service_photos / "red.png")


def test_every_operation_is_in_a_group_that_is_tried(app: Any) -> None:
    found = {tag for methods in app.openapi()["paths"].values() for facts in methods.values() for tag in facts.get("tags", ["none"])}
    assert found == set(TAGS)


@pytest.mark.parametrize("tag", TAGS)
def test_no_request_is_answered_in_a_way_that_the_openapi_does_not_say(app: Any, tag: str, red: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries that make requests
        schema = schemathesis.openapi.from_asgi("/v1/openapi.json", app).include(tag=tag)
        tried = sum(_tried(found.ok(), red) for found in schema.get_all_operations())
    assert tried


def _tried(operation: Any, digest: str) -> int:
    """How many requests of an operation were answered as the OpenAPI says."""
    from schemathesis.generation import GenerationMode

    # A condition may be well formed and mean nothing; a query may have names of its own, which are passed over.
    excluded = [schemathesis.checks.CHECKS.get_one(name) for name in ("positive_data_acceptance", "negative_data_rejection")]
    modes = list(GenerationMode) if _may_be_wrong(operation) else [GenerationMode.POSITIVE]
    requests = st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])
    tried = 0

    @_QUIET
    @given(case=requests, real=st.booleans())
    def tries(case: Any, real: bool) -> None:
        nonlocal tried
        if real and isinstance(case.path_parameters, dict) and "digest" in case.path_parameters:
            case.path_parameters["digest"] = digest
        answer = case.call()
        if answer.status_code == 503 and "retry-after" in answer.headers:
            return
        case.validate_response(answer, excluded_checks=excluded)
        tried += 1

    tries()
    return tried


def _may_be_wrong(operation: Any) -> bool:
    """Whether an operation takes anything that could be of another form."""
    return bool(operation.body) or any(len(list(kind)) for kind in (operation.query, operation.path_parameters, operation.headers))


def test_the_examples_are_answered(app: Any, make_settings: Callable[..., Any], red: str, connect: Callable[..., TestClient]) -> None:
    """Of parameters and bodies: each alone, with what else is needed."""
    client = connect(make_settings(serve_rate=1_000_000))
    tried = 0
    paths = app.openapi()["paths"]
    for path, methods in sorted(paths.items(), key=lambda item: "get" not in item[1]):  # what changes something comes last
        for method, facts in sorted(methods.items()):
            if facts["operationId"] == "promote_run":
                continue  # the one run was taken back before
            for url, given_parts in _examples(path, facts, red):
                answer = client.request(method, url, **given_parts)
                assert answer.status_code < 300, (method, url, given_parts, answer.text)
                tried += 1
    assert tried >= 15


def _examples(path: str, facts: dict[str, Any], digest: str) -> Iterator[tuple[str, dict[str, Any]]]:
    parameters = facts.get("parameters", [])
    for each in parameters:
        if each["in"] == "path":
            value = digest if each["name"] == "digest" else next(iter(_values(each)), None)
            if value is None:
                return
            path = path.replace(f"{{{each['name']}}}", quote(str(value), safe=""))
    content = facts.get("requestBody", {}).get("content", {})
    bodies = [{"json": example["value"]} for example in content.get("application/json", {}).get("examples", {}).values()]
    if content and not bodies:
        return
    for body in bodies or [{}]:
        if "folder" not in str(body):  # of the server's own, which no test has
            yield path, body
    for each in parameters:
        if each["in"] == "query":
            for value in _values(each):
                yield path, {"params": {each["name"]: value}, **(bodies[0] if bodies else {})}


def _values(parameter: dict[str, Any]) -> list[Any]:
    schema = parameter.get("schema", {})
    return [*parameter.get("example", []), *(each["value"] for each in parameter.get("examples", {}).values()), *schema.get("examples", [])]
