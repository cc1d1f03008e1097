"""Is it alive, is it ready, and what does it count?"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import Field

from .access import needs, service_of
from .metrics import CONTENT_TYPE, Metrics
from .problem import PROBLEMS
from .readiness import Readiness
from .schemas import Given
from .state import Service

router = APIRouter(tags=["health"])


class Alive(Given):
    """The process runs and answers."""

    status: Literal["ok"] = "ok"


class Ready(Given):
    """Whether the first search would be answered at once."""

    ready: bool
    reason: str | None = Field(None, description="why not, or not yet")


@router.get("/healthz", operation_id="healthz")
async def healthz() -> Alive:
    """Whether the process answers. Needs no key; for those who restart it when it does not."""
    return Alive()


@router.get("/readyz", operation_id="readyz", responses={503: {"model": Ready, "description": "Not yet"}})
async def readyz(request: Request, response: Response) -> Ready:
    """Whether requests may be sent: 503 until the encoder and the library's cache are loaded. Needs no key. An empty library is ready."""
    readiness: Readiness = request.app.state.readiness
    response.status_code = 200 if readiness.reason is None else 503
    return Ready(ready=readiness.reason is None, reason=readiness.reason)


@router.get(
    "/metrics",
    operation_id="metrics",
    dependencies=[Depends(needs("read"))],
    response_class=PlainTextResponse,
    responses={200: {"description": "Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}}, **PROBLEMS},
)
async def metrics(request: Request, service: Annotated[Service, Depends(service_of)]) -> Response:
    """Counts for Prometheus: requests, seconds, queue, jobs, photos, memory. From the machine itself no key is needed."""
    held: Metrics = request.app.state.metrics
    return Response(await service.workers.run(held.text), media_type=CONTENT_TYPE)
