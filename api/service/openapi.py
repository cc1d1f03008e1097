"""What the service says of itself: `/v1/openapi.json`."""

from __future__ import annotations

import json
import threading
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response

from .problem import MEDIA_TYPE

PATH = "/v1/openapi.json"
ABOUT: dict[str, Any] = {
    "title": "Pellucid",
    "version": version("pellucid"),
    "summary": "Find photos through haze and words",
    "description": (
        "Search a library of photos by words and pictures; read and correct their tags, scores and regions; run long work as jobs.\n\n"
        "Errors are problems as RFC 9457 has them: `detail` says what went wrong and the remedy, `instance` is the request's id, as in the header `X-Request-Id`. "
        "Lists come in pages: pass `next` of one answer as `cursor` of the next request. A busy service answers 503, one that is asked too often 429, "
        "both with `Retry-After`.\n\n"
        "On the machine itself no key is needed until the first one is made. Keys have a scope: `read` looks, `tag` also says things of photos, "
        "`admin` also changes what the library holds; each includes those before it."
    ),
    "license_info": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "servers": [{"url": "/", "description": "This service"}],
    "openapi_tags": [
        {"name": "search", "description": "Find photos"},
        {"name": "photos", "description": "Photos of the library: lists, pictures, files, facets, places, duplicates"},
        {"name": "tags", "description": "Tags, what people say of them, and the runs that wrote them"},
        {"name": "models", "description": "Pictures that are sent in: tags, scores, regions, vectors, without a library"},
        {"name": "jobs", "description": "Long work, with its progress and its result"},
        {"name": "data sets", "description": "Tag a data set that is not in the library"},
        {"name": "exports", "description": "Annotations of the library in formats that others read"},
        {"name": "session", "description": "Signing in from a browser"},
        {"name": "health", "description": "For those who watch the service"},
    ],
}


def install(app: FastAPI) -> None:
    """Say it in full, which scope a route needs, and that errors are problems; and say it at `PATH`, made in a thread, since that takes a while."""
    plain, lock = app.openapi, threading.Lock()

    def described() -> dict[str, Any]:
        with lock:
            if app.openapi_schema is None:
                app.openapi_schema = complete(plain())
            return app.openapi_schema

    def written(root: str) -> bytes:
        schema = app.openapi()
        if root:
            schema = {**schema, "servers": [{"url": root}, *schema["servers"]]}
        return json.dumps(schema, ensure_ascii=False, separators=(",", ":")).encode()

    async def given(request: Request) -> Response:
        body = await app.state.service.workers.run(written, request.scope.get("root_path", "").rstrip("/"))
        return Response(body, media_type="application/json")

    app.openapi = described  # type: ignore[method-assign]
    app.add_route(PATH, given, include_in_schema=False)


def complete(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with what each route needs in words, and the media type of problems."""
    for methods in schema["paths"].values():
        for operation in methods.values():
            scope = scope_of(operation)
            if scope is not None:
                operation["security"] = [{}, *operation["security"]]  # none on the machine itself, until there are keys
            needed = f"Needs the scope `{scope}`." if scope else "Needs no key."
            operation["description"] = f"{operation.get('description', '').strip()}\n\n{needed}".strip()
            for status, answer in operation["responses"].items():
                content = answer.get("content", {})
                for kind in list(content) if status[0] in "45" else []:
                    if content[kind].get("schema", {}).get("$ref", "").endswith("/Problem"):
                        content[MEDIA_TYPE] = content.pop(kind)
    return schema


def scope_of(operation: dict[str, Any]) -> str | None:
    """The scope that an operation of the schema needs."""
    return next((scopes[0] for way in operation.get("security", []) for scopes in way.values() if scopes), None)
