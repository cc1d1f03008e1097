"""Tags for pictures that are in no library: `POST /v1/datasets:tag`."""

from __future__ import annotations

import copy
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from preprocess import FetchError

from .access import Caller, needs, service_of
from .allowed import allowed_folder, allowed_roots
from .dataset_archive import kind_of
from .dataset_receive import receive
from .job_asking import asking_of, check_words, submitted
from .job_routes import Key
from .problem import PROBLEMS
from .schemas_jobs import DatasetOptions, JobGiven
from .state import Service

router = APIRouter(tags=["data sets"])
JSON_BYTES = 16_000_000


def _schema() -> dict[str, Any]:
    """The options' schema, whole in one place."""
    schema = DatasetOptions.model_json_schema()
    parts = schema.pop("$defs", {})
    for facts in schema["properties"].values():
        name = str(facts.get("$ref", "")).rpartition("/")[2]
        if name in parts:
            facts.pop("$ref")
            facts.update(copy.deepcopy(parts[name]))
    return schema


_BODY = {"requestBody": {"required": True, "content": {
    "application/json": {"schema": _schema(), "examples": {"folder": {"value": {"source": {"folder": "/srv/photos/new"}, "labels": ["dog", "beach"], "format": "jsonl"}}}},
    "multipart/form-data": {"schema": {"type": "object", "required": ["archive"], "properties": {
        "archive": {"type": "string", "format": "binary", "description": "a .zip, .tar or .tar.gz of pictures"},
        "options": {"type": "string", "contentMediaType": "application/json", "description": "the same options as in JSON, without a source"}}}},
}}}  # fmt: skip


@router.post("/v1/datasets:tag", operation_id="tag_dataset", status_code=202, response_model=JobGiven, openapi_extra=_BODY,
             responses={200: {"model": JobGiven, "description": "The job that the same key and request gave before"}, **PROBLEMS})  # fmt: skip
async def tag_dataset(
    request: Request,
    service: Annotated[Service, Depends(service_of)],
    caller: Annotated[Caller, Depends(needs("admin"))],
    response: Response,
    key: Key = None,
) -> JobGiven:
    """Tag pictures that are in no library: an archive that is sent, a folder on the server, or addresses. The job's result is COCO, JSON lines or Parquet."""
    uploads = await service.workers.run(service.jobs.reserve, caller.id, key)
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == "multipart/form-data":
        received = await receive(request, uploads, service.options.upload_bytes)
        try:
            options = _options(received.options or b"{}")
            if options["source"] != {"folder": None, "urls": None}:
                raise HTTPException(422, "The form has an archive, and its options name another source. Send one of them.")
            await service.workers.run(kind_of, received.file)
            await service.workers.run(_check, options, service)
            options |= {"upload": received.file.name, "archive": received.name}
            job, new = await service.workers.run(submitted, service, asking_of("dataset-tag", options, caller, key, received.digest))
        except BaseException:
            received.file.unlink(missing_ok=True)
            raise
        if not new:
            received.file.unlink(missing_ok=True)
    elif media == "application/json":
        options = _options(await _body(request, min(JSON_BYTES, service.options.upload_bytes)))
        source = options["source"]
        if (source["folder"] is None) == (source["urls"] is None):
            raise HTTPException(422, "Name one source: a folder or addresses; or send an archive as multipart/form-data.")
        await service.workers.run(_check, options, service)
        job, new = await service.workers.run(submitted, service, asking_of("dataset-tag", options, caller, key))
    else:
        raise HTTPException(415, "Send JSON, or multipart/form-data with an archive.")
    response.status_code = 202 if new else 200
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return job.given()


async def _body(request: Request, most: int) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > most:
            raise HTTPException(413, f"The request has more than {most / 1e6:,.1f} MB. Name fewer addresses.")
    return bytes(data)


def _options(text: bytes) -> dict[str, Any]:
    try:
        return DatasetOptions.model_validate_json(text).model_dump(mode="json")
    except ValidationError as error:
        raise RequestValidationError(
            [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors(include_url=False, include_context=False)]
        ) from None


def _check(options: dict[str, Any], service: Service) -> None:
    """See that the job can be done.

    Raises:
        PellucidError: words, segmenter or folder are wrong, or the service fetches no addresses.
    """
    from annotate import RegionMakerOptions, load_region_maker

    check_words(options)
    if options["segment"] == "none":
        options["segment"] = None
    if options["segment"] is not None:
        load_region_maker(options["segment"], RegionMakerOptions(service.settings.models.expanduser()))
    folder, urls = options["source"]["folder"], options["source"]["urls"]
    if folder is not None:
        options["source"]["folder"] = str(allowed_folder(folder, allowed_roots(service.settings)))
    if urls is not None and not service.options.fetch_urls:
        raise FetchError("This service does not fetch pictures from addresses. Send an archive of the pictures.")
    if urls is not None and not urls:
        raise HTTPException(422, "The list of addresses is empty. Name one at least.")
