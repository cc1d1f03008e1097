"""Vectors of texts and pictures, asked for and answered as OpenAI's embeddings are, so that its clients work."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from .access import needs, service_of
from .model_work import Sent, embed
from .problem import PROBLEMS
from .schemas_models import EmbeddingGiven, EmbeddingsAsked, EmbeddingsGiven, UsageGiven
from .state import Service

if TYPE_CHECKING:
    from search import Encoder, Vectors

router = APIRouter(prefix="/v1", tags=["models"], dependencies=[Depends(needs("read"))], responses=PROBLEMS)

MOST_LETTERS = 20_000
"""Of a text; encoders read less than a hundred words."""
MOST_BESIDE_PICTURES = 1_000_000
"""Bytes of a request that are not in pictures. JSON of many small things takes a hundred times its size in memory; pictures are few long strings."""
_PICTURE_RUN = re.compile(rb"[A-Za-z0-9+/=\\]{1000,}")  # base64; some write / as \/
_SLICE = 1_000_000  # bytes to look at in one call, in which no other thread goes on
_DATA_URL = re.compile(r"data:(?P<type>[^;,]*)(?P<parameters>(?:;[^;,]*)*),", re.IGNORECASE)
_EXAMPLES = {"texts": {"value": {"input": ["a dog on a beach", "snow"], "model": "default"}}}


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": EmbeddingsAsked.model_json_schema(), "examples": _EXAMPLES}},
    }
}


@router.post("/embeddings", operation_id="create_embeddings", summary="Vectors of texts and pictures", response_model=EmbeddingsGiven, openapi_extra=_BODY)  # fmt: skip
async def create_embeddings(request: Request, service: Annotated[Service, Depends(service_of)]) -> Response:
    """Unit vectors by the library's encoder, or the one that ships where there is no library; the cosine of two is their dot product."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HTTPException(415, "Texts and pictures to embed are sent as application/json; pictures in it as data: URLs.")
    body = await request.body()
    return Response(await service.workers.run(_written_answer, service, body), media_type="application/json")


def _written_answer(service: Service, body: bytes) -> bytes:
    """The answer as it is sent; what was sent may be tens of megabytes, so that reading it takes as long as the work does."""
    return embeddings(service, parsed(body)).model_dump_json().encode()


def parsed(body: bytes) -> EmbeddingsAsked:
    """What is to be embedded.

    Raises:
        HTTPException: 413 where there is too much beside pictures.
        RequestValidationError: it has another form.
    """
    if beside_pictures(body) > MOST_BESIDE_PICTURES:
        raise HTTPException(413, f"The texts have more than {MOST_BESIDE_PICTURES / 1e6:.0f} MB together. Send them in several requests.")
    try:
        return EmbeddingsAsked.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from None


def embeddings(service: Service, asked: EmbeddingsAsked) -> EmbeddingsGiven:
    """The answer; it blocks.

    Raises:
        HTTPException: 404 where there is no such model, 422 where an input cannot be embedded.
        ImageError: one is no picture.
    """
    encoder = _encoder(service, asked.model)
    if asked.dimensions not in (None, encoder.recipe.dim):
        raise HTTPException(
            422, f"Vectors by {encoder.recipe.encoder!r} have {encoder.recipe.dim} numbers and are not shortened. Leave `dimensions` away."
        )
    given = [asked.input] if isinstance(asked.input, str) else asked.input
    inputs = [input_of(text, at) for at, text in enumerate(given)]
    rows = embed(service, encoder, inputs)
    used = sum(len(each.split()) if isinstance(each, str) else 1 for each in inputs)
    data = [EmbeddingGiven(index=at, embedding=_written(row, asked.encoding_format)) for at, row in enumerate(rows)]
    return EmbeddingsGiven(data=data, model=encoder.recipe.encoder, usage=UsageGiven(prompt_tokens=used, total_tokens=used))


def beside_pictures(body: bytes) -> int:
    """About how many bytes of a request are in no picture, without taking it apart; pictures of less than a kilobyte count."""
    slices = (body[at : at + _SLICE] for at in range(0, len(body), _SLICE)) if len(body) > MOST_BESIDE_PICTURES else ()
    return sum(len(part) - sum(found.end() - found.start() for found in _PICTURE_RUN.finditer(part)) for part in slices)


def _encoder(service: Service, name: str) -> Encoder:
    encoder = service.models.encoder()
    if name not in ("default", encoder.recipe.encoder):
        raise HTTPException(404, f"There is no model {name!r} here. Name 'default' or {encoder.recipe.encoder!r}.")
    return encoder


def input_of(text: str, at: int) -> str | Sent:
    """A text, or the picture of a `data:` URL.

    Raises:
        HTTPException: 422 where it is a URL of another kind, damaged, or too long a text.
    """
    if text[:5].lower() != "data:":
        if len(text) > MOST_LETTERS:
            raise HTTPException(
                422, f"input[{at}] has {len(text):,} letters; at most {MOST_LETTERS:,} are taken. Encoders read less than a hundred words."
            )
        return text
    head = _DATA_URL.match(text[:300])
    if head is None or ";base64" not in head["parameters"].lower() or not head["type"].lower().startswith("image/"):
        raise HTTPException(422, f"input[{at}] is a data: URL of another form than data:image/jpeg;base64,...")
    try:
        data = base64.b64decode(text[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise HTTPException(422, f"input[{at}] is not valid base64: {error}.") from None
    return Sent(f"input[{at}]", data)


def _written(row: Vectors, encoding: str) -> list[float] | str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode() if encoding == "base64" else [float(value) for value in row]
