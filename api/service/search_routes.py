"""`POST /v1/search`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from .access import needs, service_of
from .problem import PROBLEMS
from .schemas_search import SearchGiven
from .search_answer import search_page
from .search_request import request_body, sent_search
from .search_terms import check_pictures, fetched_pictures
from .state import Service

router = APIRouter(prefix="/v1", tags=["search"])


@router.post(
    "/search",
    operation_id="search",
    summary="Find photos by words and pictures",
    response_model=SearchGiven,
    responses=PROBLEMS,
    dependencies=[Depends(needs("read"))],
    openapi_extra={"requestBody": request_body()},
)
async def search(request: Request, service: Annotated[Service, Depends(service_of)]) -> Response:
    """Find photos by words, by photos of the library, by pictures that come with the request or lie at an address, or by all of these.

    The query is JSON. Pictures come with it in a multipart request: the part `request` is the query, and a term `{"upload": "name"}` names the part that is its
    picture. `verdict` says whether the library has an answer at all; where it has none, there are no hits, and `nearest_miss` is the photo that came nearest.
    """
    asked, sent = await sent_search(service, request)
    check_pictures(asked, sent)
    fetched = await service.fetchers.run(fetched_pictures, service, asked) if any(term.url is not None for term in asked.terms) else {}
    return Response(await service.workers.run(search_page, service, asked, sent, fetched), media_type="application/json")
