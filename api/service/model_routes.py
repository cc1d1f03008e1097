"""Pictures that are sent in: labels, scores, regions, and copies without haze. Nothing of them is kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile

from preprocess import InputError

from .access import needs, service_of
from .dehaze_work import MEDIA_TYPES, DehazeAsked, dehaze
from .held_models import MOST_LABELS, HeldModels, Words
from .model_work import Sent, label, score, segment, segment_drawn
from .problem import PROBLEMS
from .schemas_models import ScoreGiven, SegmentGiven, ZeroShotGiven
from .state import Service
from .uploads import read_upload

router = APIRouter(prefix="/v1", tags=["models"], dependencies=[Depends(needs("read"))], responses=PROBLEMS)

ServiceHere = Annotated[Service, Depends(service_of)]
Picture = Annotated[UploadFile, File(description="a photo in any format that is read: JPEG, PNG, WebP, TIFF, HEIC, AVIF, GIF, BMP, ...")]
Label = Annotated[str, Form(min_length=1, max_length=200)]
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_HEADERS = {
    name: {"description": said, "schema": {"type": "string"}}
    for name, said in {
        "X-Pellucid-Haze": "how hazy the picture is, 0 to 1",
        "X-Pellucid-Method": "what dehazed it, with its version; none where it was left as it is",
        "X-Pellucid-Reason": "why it was left as it is",
    }.items()
}
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture", "content": dict.fromkeys(MEDIA_TYPES.values(), _BINARY), "headers": _HEADERS}
}
_DRAWN: dict[int | str, dict[str, Any]] = {
    200: {"description": "The regions, or the picture with them drawn on it", "content": {"image/png": _BINARY}}
}


async def sent_in(service: Service, picture: UploadFile) -> Sent:
    """A part of the request that is a picture.

    Raises:
        HTTPException: it is too large or empty.
    """
    return Sent(picture.filename or "", await read_upload(service, picture))


@router.post("/tags:zero-shot", operation_id="tag_zero_shot", summary="Which of some labels fit a picture")
async def tag_zero_shot(
    service: ServiceHere,
    picture: Picture,
    labels: Annotated[
        list[Label] | None, Form(max_length=MOST_LABELS, description="words or sentences; repeat the field", examples=[["dog", "cat"]])
    ] = None,
    vocabulary: Annotated[
        str | None, Form(max_length=100, description="in place of labels: a vocabulary that ships, such as photo or weather")
    ] = None,
    templates: Annotated[
        str, Form(max_length=100, description="sentences around the labels; auto: those for the encoder's family; plain: none")
    ] = "auto",
    most: Annotated[int, Form(ge=1, le=2_000, description="how many labels are answered")] = 20,
) -> ZeroShotGiven:
    """Compare a picture with labels, by the library's encoder, or the one that ships where there is no library."""
    if (labels is None) == (vocabulary is None):
        raise InputError("Give either labels or a vocabulary: labels=dog&labels=cat, or vocabulary=photo.")
    sent = await sent_in(service, picture)
    return await service.workers.run(_zero_shot, service, sent, labels or (), vocabulary, templates, most)


def _zero_shot(
    service: Service, sent: Sent, labels: list[str] | tuple[str, ...], vocabulary: str | None, templates: str, most: int
) -> ZeroShotGiven:
    models: HeldModels = service.models
    encoder = models.encoder()
    words: Words = models.words(encoder, labels, templates) if vocabulary is None else models.vocabulary(encoder, vocabulary, templates)
    return label(service, sent, words, encoder, most)


@router.post("/score", operation_id="score_picture", summary="How a picture looks and feels, and how well it was taken")
async def score_picture(
    service: ServiceHere,
    picture: Picture,
    mode: Annotated[
        Literal["fast", "paper"],
        Query(description="fast: by the encoder's small square; paper: at its own size, where a model with CLIP-IQA's graph was added"),
    ] = "fast",
) -> ScoreGiven:
    """CLIP-IQA's axes, the rating of technical quality, and classical measures."""
    return await service.workers.run(score, service, await sent_in(service, picture), mode)


@router.post("/dehaze", operation_id="dehaze_picture", summary="A picture without its haze", response_class=Response, responses=_PICTURE)
async def dehaze_picture(
    service: ServiceHere,
    picture: Picture,
    method: Annotated[
        str, Query(max_length=100, description="auto leaves clear pictures alone; dark-channel, dehazenet and aod-net take every picture")
    ] = "auto",
    preset: Annotated[str, Query(max_length=100, description="settings of the dark channel: default, search or paper")] = "default",
    only_hazy: Annotated[bool, Query(description="leave pictures alone that are hardly hazy, whatever the method")] = False,
) -> Response:
    """In the format that came where that is written (JPEG, PNG, WebP, TIFF; otherwise PNG or JPEG), with its EXIF and colour profile."""
    made = await service.workers.run(dehaze, service, await sent_in(service, picture), DehazeAsked(method, preset, only_hazy))
    headers = {"X-Pellucid-Haze": f"{made.haze:.4f}", "X-Pellucid-Method": made.method}
    return Response(made.data, media_type=made.media_type, headers=headers | ({"X-Pellucid-Reason": made.reason} if made.reason else {}))


@router.post("/segment", operation_id="segment_picture", summary="The regions of a picture", response_model=SegmentGiven, responses=_DRAWN)
async def segment_picture(
    request: Request,
    service: ServiceHere,
    picture: Picture,
    segmenter: Annotated[
        str, Query(max_length=200, description="builtin, proposals, or a segmenter that was added; several are joined by +")
    ] = "builtin",
) -> SegmentGiven | Response:
    """Labelled regions with boxes and outlines, the largest first; with `Accept: image/png`, the picture with them drawn on it."""
    sent = await sent_in(service, picture)
    if wants_picture(request.headers.get("accept", "*/*")):
        return Response(await service.workers.run(segment_drawn, service, sent, segmenter), media_type="image/png")
    return await service.workers.run(segment, service, sent, segmenter)


def wants_picture(accept: str) -> bool:
    """Whether a header `Accept` would rather have a PNG than JSON.

    >>> wants_picture("image/avif,image/png,*/*;q=0.8"), wants_picture("*/*"), wants_picture("application/json, image/png;q=0.5")
    (True, False, False)
    """
    best: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        try:
            best[kind] = float(quality)
        except ValueError:
            continue
    png = max(best.get("image/png", 0), best.get("image/*", 0))
    return png > max(best.get("application/json", 0), best.get("application/*", 0))
