"""The library's regions for other tools, sent while they are written: `GET /v1/exports/{format}`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from ..exporting import Chosen, ExportRequest, choose_photos
from .access import Caller, needs, service_of
from .export_stream import ExportResponse, ExportStream
from .problem import PROBLEMS
from .state import Service

router = APIRouter(tags=["exports"])
_ZIP: dict[int | str, dict[str, Any]] = {
    200: {"description": "A zip with the export", "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/v1/exports/{format}", operation_id="stream_export", response_class=StreamingResponse, responses={**_ZIP, **PROBLEMS})
async def stream_export(
    format: str,  # noqa: A002 (its name in the address)
    service: Annotated[Service, Depends(service_of)], _caller: Annotated[Caller, Depends(needs("read"))],
    where: Annotated[str | None, Query(max_length=4_000, description="a condition on columns", examples=["region.label = 'dog'"])] = None,
    all_photos: Annotated[bool, Query(description="photos that were never looked at for regions too")] = False,
) -> StreamingResponse:  # fmt: skip
    """Photos and their regions as COCO, YOLO, VOC, CVAT, CSV, JSON lines, Parquet and others; without the photos themselves."""
    stream = ExportStream()
    try:
        chosen = await service.workers.run(_chosen, service, ExportRequest(format, Path(), where, all_photos))
    except BaseException:
        stream.close()
        raise
    return ExportResponse(stream, format, chosen)


def _chosen(service: Service, request: ExportRequest) -> Chosen:
    return choose_photos(request, service.library())
