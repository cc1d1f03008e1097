"""A search as it is sent: JSON, or a multipart request with pictures beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from preprocess import QueryError

from .schemas_search import SearchAsked
from .search_terms import MOST_PICTURES, Sent
from .uploads import read_upload

if TYPE_CHECKING:
    from .state import Service

JSON_BYTES = 1_000_000
_PART = "request"


async def sent_search(service: Service, request: Request) -> tuple[SearchAsked, dict[str, Sent]]:
    """The query, and the pictures that came with it by the names of their parts.

    Raises:
        HTTPException: 415 where it is neither, 413 where it is too large, 400 where its parts cannot be told apart.
        RequestValidationError: the query has another form.
        QueryError: the part with the query is missing.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        return parsed(await _body(request)), {}
    if kind != "multipart/form-data":
        raise HTTPException(415, "A search is sent as application/json, or as multipart/form-data where pictures come with it.")
    asked: SearchAsked | None = None
    sent: dict[str, Sent] = {}
    async with request.form(max_files=MOST_PICTURES + 1, max_fields=MOST_PICTURES, max_part_size=JSON_BYTES) as form:
        for name, value in form.multi_items():
            if name == _PART:
                if asked is not None:
                    raise QueryError(f"The request has two parts called {_PART!r}; one of them is the query.")
                asked = parsed(await value.read(JSON_BYTES + 1) if isinstance(value, UploadFile) else value.encode())
            elif not isinstance(value, UploadFile):
                raise QueryError(f"The part {name[:80]!r} is no file. Send pictures with a file name, and the query as the part {_PART!r}.")
            elif name in sent:
                raise QueryError(f"The request has two parts called {name[:80]!r}. Give each picture a name of its own.")
            else:
                sent[name] = Sent(value.filename or "", await read_upload(service, value))  # type: ignore[arg-type]
    if asked is None:
        raise QueryError(f"The request has no part called {_PART!r}; it is the query as JSON.")
    return asked, sent


def parsed(body: bytes) -> SearchAsked:
    """The query that JSON says.

    Raises:
        RequestValidationError: it has another form.
        HTTPException: 413 where it is too large.
    """
    if len(body) > JSON_BYTES:
        raise HTTPException(413, f"The query has more than {JSON_BYTES / 1e6:.0f} MB. Send pictures as parts of a multipart request.")
    try:
        return SearchAsked.model_validate_json(body)
    except ValidationError as error:
        faults = [
            {**fault, "loc": ("body", *fault["loc"])}
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise RequestValidationError(faults) from error


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > JSON_BYTES:
            break
    return bytes(body)


def _inlined(schema: Any, known: dict[str, Any]) -> Any:
    """A JSON schema without references."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(known[schema["$ref"].rpartition("/")[2]], known)
        return {key: _inlined(value, known) for key, value in schema.items() if key != "$defs"}
    return [_inlined(value, known) for value in schema] if isinstance(schema, list) else schema


def request_body() -> dict[str, Any]:
    """How OpenAPI describes what is sent."""
    schema = SearchAsked.model_json_schema()
    query = _inlined(schema, schema.get("$defs", {}))
    parts = {
        "type": "object", "required": [_PART], "properties": {_PART: query},
        "additionalProperties": {"type": "string", "contentMediaType": "application/octet-stream", "format": "binary"},
    }  # fmt: skip
    examples = {
        "words": {"summary": "Words", "value": {"terms": [{"text": "a dog on a beach"}], "limit": 10}},
        "several": {
            "summary": "Weights, a negative, a condition",
            "value": {
                "terms": [{"text": "a beach", "weight": 2}, {"text": "people", "weight": -1}],
                "where": "width > height",
                "strictness": 20,
            },
        },
    }
    return {
        "required": True,
        "content": {
            "application/json": {"schema": query, "examples": examples},
            "multipart/form-data": {"schema": parts, "encoding": {_PART: {"contentType": "application/json"}}},
        },
    }
