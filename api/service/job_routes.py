"""Jobs over HTTP: ask for one, look at them, watch one, cancel it, fetch what it made."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.sse import EventSourceResponse

from .access import Caller, needs, service_of
from .cursor import Cursor, short_hash
from .job import STATES, Job
from .job_admission import Admission
from .job_asking import asking_of, checked, may_start, submitted
from .job_events import check_watchers, watched
from .problem import PROBLEMS
from .schemas_jobs import JobAsked, JobGiven, JobsGiven, JobState
from .state import Service

router = APIRouter(tags=["jobs"])
Running = Annotated[Service, Depends(service_of)]
Reader = Annotated[Caller, Depends(needs("read"))]
Tagger = Annotated[Caller, Depends(needs("tag"))]
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="the same key and request within a day is the same job", examples=["photos-2024-05-01"]),
]
EXAMPLES = {
    "index": {"summary": "Bring the library up to date", "value": {"kind": "index"}},
    "tag": {
        "summary": "Tag what has no people",
        "value": {"kind": "tag", "options": {"vocabulary": "photo", "precision": 0.6, "dry_run": True}},
    },
    "export": {"summary": "Regions as COCO", "value": {"kind": "export", "options": {"format": "coco"}}},
}
EVENT = {
    "type": "object", "required": ["event", "data", "id"],
    "properties": {"event": {"type": "string", "enum": ["state", "progress", "log"]}, "data": {"type": "string", "contentMediaType": "application/json"}, "id": {"type": "string"}},
}  # fmt: skip
_LISTED = 20  # entries of each list in a job that is one of many
MEDIA = {
    ".zip": "application/zip",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
}


async def _found(service: Service, job_id: str) -> Job:
    job = await service.workers.run(service.jobs.get, job_id)
    if job is None:
        raise HTTPException(404, f"There is no job {job_id!r}. GET /v1/jobs lists them; those that ended a month ago are forgotten.")
    return job


@router.post("/v1/jobs", operation_id="start_job", status_code=202, response_model=JobGiven, responses={200: {"model": JobGiven, "description": "The job that the same key and request gave before"}, **PROBLEMS})  # fmt: skip
async def start_job(asked: JobAsked, service: Running, caller: Tagger, response: Response, key: Key = None) -> JobGiven:
    """Start long work: index folders, tag, score, export or dehaze photos. It goes on when the connection ends, and when the service begins anew."""
    may_start(asked.kind, caller)
    options = await service.workers.run(checked, asked.kind, asked.options.model_dump(mode="json"), service.settings)
    job, new = await service.workers.run(submitted, service, asking_of(asked.kind, options, caller, key))
    response.status_code = 202 if new else 200
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return job.given()


@router.get("/v1/jobs", operation_id="list_jobs", responses=PROBLEMS)
async def list_jobs(
    service: Running, _caller: Reader,
    state: Annotated[list[JobState] | None, Query(description="only jobs in these states")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="`next` of the page before")] = None,
) -> JobsGiven:  # fmt: skip
    """Jobs, the latest first."""
    states = tuple(name for name in STATES if not state or name in state)
    asked = short_hash(states)
    before = Cursor.of(cursor, asked, "") if cursor is not None else None
    jobs, total = await service.workers.run(service.jobs.page, None if before is None else before.at, limit + 1, states)
    more = Cursor(jobs[limit - 1].number, asked, "").token() if len(jobs) > limit else None
    return JobsGiven(jobs=[job.given(_LISTED) for job in jobs[:limit]], total=total, next=more)


@router.get("/v1/jobs/{job_id}", operation_id="get_job", responses=PROBLEMS)
async def get_job(job_id: str, service: Running, _caller: Reader) -> JobGiven:
    """A job: its state, how far it is, and what came of it."""
    return (await _found(service, job_id)).given()


@router.delete("/v1/jobs/{job_id}", operation_id="cancel_job", responses=PROBLEMS)
async def cancel_job(job_id: str, service: Running, caller: Tagger) -> JobGiven:
    """Stop a job at its next safe point; what it did is kept. One that has ended stays as it is."""
    job = await _found(service, job_id)
    if job.owner != caller.id and not caller.may("admin"):
        raise HTTPException(403, "This job is another key's. Use that key, or one that may admin.")
    return (await service.workers.run(service.jobs.cancel, job_id) or job).given()


@router.get(
    "/v1/jobs/{job_id}/events", operation_id="watch_job", response_class=StreamingResponse,
    responses={200: {"description": "`state` with the job, `progress`, `log`; ends with the job", "content": {"text/event-stream": {"itemSchema": EVENT}}},
               204: {"description": "The job has ended, and everything was told before"}, **PROBLEMS},
)  # fmt: skip
async def watch_job(
    job_id: str, service: Running, caller: Reader, request: Request,
    last: Annotated[str | None, Header(alias="Last-Event-ID", description="go on behind this event", examples=["17"])] = None,
) -> Response:  # fmt: skip
    """What a job says, as it says it (server-sent events)."""
    job = await _found(service, job_id)
    after = int(last) if last is not None and last.isascii() and last.isdecimal() and len(last) < 18 else 0
    if job.ended and after and not await service.workers.run(service.jobs.events, job_id, after):
        return Response(status_code=204)  # which tells a browser not to come again
    check_watchers(service.jobs)
    events = watched(service.jobs, job_id, after, Admission(request, caller).holds)
    return EventSourceResponse(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


@router.get(
    "/v1/jobs/{job_id}/result", operation_id="get_job_result", response_class=FileResponse,
    responses={200: {"description": "The file that the job made", "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
               206: {"description": "The part that the header Range names"}, **PROBLEMS},
)  # fmt: skip
async def get_job_result(job_id: str, service: Running, _caller: Reader) -> FileResponse:
    """The file that a job made: an archive, or a tagged data set. It is kept for seven days."""
    job = await _found(service, job_id)
    file = await service.workers.run(service.jobs.result_file, job)
    if file is None:
        made = job.state == "finished" and job.kind in ("export", "dehaze-batch", "dataset-tag")
        reason = (
            "Its result was removed after seven days. Ask for the job again."
            if made
            else f"A job of this kind that is {job.state} has no file."
        )
        raise HTTPException(404, reason)
    name = file.name.partition("-")[2]
    return FileResponse(file, media_type=MEDIA.get(file.suffix, "application/octet-stream"), filename=name)
