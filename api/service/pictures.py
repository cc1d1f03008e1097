"""Thumbnails and previews of photos, made from the originals when somebody looks."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from fastapi import HTTPException

from preprocess import DEHAZE_RULES, Dehazer, decode, load_rule

from .derived_pool import state_of
from .original_file import original
from .photo_rows import Place, places_of

if TYPE_CHECKING:
    from preprocess import Limits, RgbImage

    from .picture_cache import PictureCache
    from .state import Service

Kind: TypeAlias = Literal["jpeg", "webp"]
VERSION = 1
"""Of the way in which pictures are made: another one is another file and another ETag."""
PREVIEW_SIDE = 2048
_QUALITY = {"jpeg": 82, "webp": 80}
_LONGEST = 16_000  # WebP takes no longer side


@dataclass(frozen=True, slots=True)
class PictureAsked:
    """A picture of a photo: its long side in pixels at most, how it is encoded, and whether it is dehazed."""

    digest: str
    side: int
    kind: Kind
    dehazed: bool = False

    @property
    def name(self) -> str:
        """What its file in the cache is called; another picture has another name."""
        return f"{self.digest}-{self.side}{'-dehazed' if self.dehazed else ''}-{VERSION}.{self.kind}"

    @property
    def etag(self) -> str:
        """A strong one: the same bytes of the original, made in the same way."""
        return f'"{self.digest[:32]}-{self.side}{"d" if self.dehazed else ""}-{VERSION}-{self.kind}"'

    @property
    def media_type(self) -> str:
        """Of its bytes."""
        return f"image/{self.kind}"


def picture(service: Service, asked: PictureAsked, known: Collection[str]) -> bytes | None:
    """The bytes of a picture; none where its ETag is among those that the caller knows already.

    Raises:
        HTTPException: the photo is not in the library, has no dehazed version, or its file is not what was indexed.
        ImageError: it cannot be decoded.
    """
    library = service.library()
    with service.opened(library) as opened:
        places, state = places_of(opened.derived.database, asked.digest), opened.state
    if not places:
        raise HTTPException(404, f"The library has no photo with the digest {asked.digest}.")
    if asked.dehazed and places[0].dehazed is None:
        raise HTTPException(404, "This photo has no dehazed version. Ask for enhancer=none.")
    if asked.etag in known or "*" in known:
        return None
    cache_ = service.pictures(library)
    data = cache_.get(asked.name)
    if data is None:
        data = made(library.file.roots, places, asked, service.limits)
        cache_.put(asked.name, data)
        if state_of(service.library()) != state:
            _drop_if_forgotten(service, cache_, asked.digest)
    return data


def _drop_if_forgotten(service: Service, cache_: PictureCache, digest: str) -> None:
    """A photo that was forgotten while its picture was made leaves none."""
    with service.opened(service.library()) as opened:
        if not places_of(opened.derived.database, digest):
            cache_.drop(digest)


def made(roots: Collection[str], places: Sequence[Place], asked: PictureAsked, limits: Limits) -> bytes:
    """The picture, made from the first of the photo's places that still holds its bytes.

    Raises:
        HTTPException, ImageError, MissingExtra: see `picture`.
    """
    with original(roots, places, asked.digest) as file:
        data = file.read(limits)
        wide, high = file.place.size_wh
        short = max(1, round(asked.side * min(wide, high) / max(wide, high, 1)))
        pixels = decode(data, file.place.path, limits, short).pixels
    pixels = smaller(pixels, asked.side)
    if asked.dehazed and (dehazer := file.place.dehazed) is not None:
        pixels = dehazer_called(dehazer)(pixels)
    return encoded(pixels, asked.kind)


def smaller(pixels: RgbImage, side: int) -> RgbImage:
    """The picture with a long side of at most so many pixels; never enlarged."""
    import numpy as np
    from PIL import Image

    high, wide = pixels.shape[:2]
    if max(wide, high) <= side:
        return pixels
    scale = side / max(wide, high)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def encoded(pixels: RgbImage, kind: Kind) -> bytes:
    """The picture as a file, without metadata: where and when it was taken stays in the original."""
    from PIL import Image

    out = io.BytesIO()
    options = {"optimize": True, "progressive": max(pixels.shape) > 700} if kind == "jpeg" else {"method": 2}
    Image.fromarray(pixels).save(out, kind.upper(), quality=_QUALITY[kind], **options)
    return out.getvalue()


@cache
def dehazer_called(enhancer: str) -> Dehazer:
    """The dehazer with this id, as rows of photos have it.

    Raises:
        HTTPException: there is none in this version.
        WeightsError: the file of a learned one is missing or damaged.
    """
    for name in sorted(DEHAZE_RULES, key=lambda name: not enhancer.startswith(name)):
        dehazer = load_rule(name).dehazer
        if dehazer is not None and dehazer.id == enhancer:
            return dehazer
    raise HTTPException(409, f"The photo was dehazed by {enhancer!r}, which this version does not have. Index its folder again.")


def kind_of(accept: str | None) -> Kind:
    """WebP for those who say that they take it, JPEG for all others.

    >>> kind_of("image/avif,image/webp,*/*"), kind_of("*/*"), kind_of("image/webp;q=0")
    ('webp', 'jpeg', 'jpeg')
    """
    for part in (accept or "").lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name == "image/webp":
            weights = [piece[2:] for piece in parameters if piece.startswith("q=")]
            return "jpeg" if weights and weights[0].strip("0.") == "" else "webp"
    return "jpeg"
