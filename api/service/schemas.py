"""What requests and answers share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="sha256 of the file's bytes", examples=["0" * 64])]
Box = Annotated[tuple[float, float, float, float], Field(description="x1, y1, x2, y2 in pixels of the upright photo")]
VerdictName = Literal["strong", "weak", "none"]


class Asked(BaseModel):
    """The base of requests: a misspelt field is refused, not passed over."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _whole_characters(cls, data: Any) -> Any:
        """Refuse half of a character, which JSON's escapes can say and no answer could hold."""
        left = [data]
        while left:  # no recursion: how deep it goes, the caller says
            one = left.pop()
            if isinstance(one, dict):
                left += [*one, *one.values()]
            elif isinstance(one, list):
                left += one
            elif isinstance(one, str) and not is_whole(one):
                raise PydanticCustomError(
                    "half_character", "A text has half of a character in it (\\ud800 to \\udfff). Send whole characters."
                )
        return data


class Given(BaseModel):
    """The base of answers."""

    model_config = ConfigDict(extra="forbid")


class Page(Given):
    """One page of a longer list."""

    total: int = Field(description="how many there are in all pages")
    next: str | None = Field(None, description="the `cursor` of the next page; none on the last one")


class Problem(Given):
    """An error as RFC 9457 has it; served as `application/problem+json`."""

    type: str = Field(description="names the kind of error", examples=["/problems/query-error"])
    title: str = Field(description="the kind of error in words", examples=["A search term cannot be understood"])
    status: int = Field(examples=[400])
    detail: str = Field(description="what went wrong here, and the remedy")
    instance: str = Field(description="the id of this request, as in the header X-Request-Id and in the log")
    errors: list[dict[str, Any]] = Field(default_factory=list, description="the fields at fault, where the request has another form")


def is_whole(text: str) -> bool:
    """Whether a text can be written as UTF-8: it has no half of a character in it, as JSON's escapes and names of files on a disk may."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
