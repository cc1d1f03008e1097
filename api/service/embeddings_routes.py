"""Vectors of texts and pictures, asked for and answered as OpenAI's embeddings are, so that its clients work."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Body, Depends, HTTPException

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
_DATA_URL = re.compile(r"data:(?P<type>[^;,]*)(?P<parameters>(?:;[^;,]*)*),", re.IGNORECASE)
_EXAMPLES = {"texts": {"value": {"input": ["a dog on a beach", "snow"], "model": "default"}}}


@router.post("/embeddings", operation_id="create_embeddings", summary="Vectors of texts and pictures")
async def create_embeddings(
    asked: Annotated[EmbeddingsAsked, Body(openapi_examples=_EXAMPLES)], service: Annotated[Service, Depends(service_of)]
) -> EmbeddingsGiven:
    """Unit vectors by the library's encoder, or the one that ships where there is no library; the cosine of two is their dot product."""
    return await service.workers.run(embeddings, service, asked)


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
