"""What the OpenAPI says of every route: who may, what goes wrong, which group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.service import create_app
from api.service.openapi import ABOUT, scope_of


@pytest.fixture
def told(service_settings: Any) -> dict[str, Any]:
    """The schema, without a running service."""
    schema: dict[str, Any] = create_app(service_settings).openapi()
    return schema


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_the_schema_says_what_the_service_is(client: TestClient, told: dict[str, Any]) -> None:
    given = client.get("/v1/openapi.json").json()
    assert given == told
    assert given["openapi"].startswith("3.1")
    assert given["info"]["title"] == "Pellucid"
    assert given["servers"] == [{"url": "/", "description": "This service"}]
    assert set(given["components"]["securitySchemes"]) == {"key", "session"}


def test_every_operation_has_a_name_a_group_and_a_scope_in_words(told: dict[str, Any]) -> None:
    known, ids = {tag["name"] for tag in ABOUT["openapi_tags"]}, []
    for where, operation in operations(told):
        ids.append(operation["operationId"])
        assert operation["operationId"] == operation["operationId"].lower(), where
        assert operation["operationId"].replace("_", "").isalnum(), where
        assert operation.get("tags"), where
        assert set(operation["tags"]) <= known, where
        scope = scope_of(operation)
        assert operation["description"].endswith(f"Needs the scope `{scope}`." if scope else "Needs no key."), where
        assert (operation.get("security") or [{}])[0] == {}, where
    assert len(set(ids)) == len(ids)


def test_errors_are_problems(told: dict[str, Any]) -> None:
    for where, operation in operations(told):
        for status, answer in operation["responses"].items():
            if status[0] in "45" and not (where == "GET /readyz" and status == "503"):
                assert list(answer.get("content", {"application/problem+json": 0})) == ["application/problem+json"], (where, status)
        assert "HTTPValidationError" not in str(operation["responses"]), where
        if scope_of(operation) is not None:
            assert "4XX" in operation["responses"], where


def test_answers_have_types(told: dict[str, Any]) -> None:
    for where, operation in operations(told):
        for status, answer in operation["responses"].items():
            for kind, content in answer.get("content", {}).items():
                if kind.startswith("application/json") and status.startswith("2"):
                    assert content.get("schema"), (where, status)
