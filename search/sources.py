"""Where a model comes from: `open_clip:ARCH/TAG`, `hub:OWNER/NAME` or `path:FILE`, and the name it gets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from preprocess import InputError, check_name, choose, safe_name

from .catalogue import CATALOGUE, recommended

SCHEMES = ("open_clip:ARCH/TAG", "hub:OWNER/NAME", "path:FILE")
RESERVED = ("builtin",)
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_RESEARCH_ONLY = re.compile(r"amlr|by-nc|non-?commercial|research", re.IGNORECASE)
NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True)
class Source:
    """`place` is an architecture, a repository, or the name of a file or folder; `tag` is what open_clip calls the weights."""

    kind: Literal["open_clip", "hub", "path"]
    place: str
    tag: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}/{self.tag}" if self.tag else f"{self.kind}:{self.place}"

    @property
    def default_name(self) -> str:
        """The name it gets when nobody names it: safe as a folder's name, ASCII, never empty unless nothing of it is ASCII."""
        if self.kind == "path":
            path = Path(self.place)
            given = path.name if path.is_dir() else path.stem
        else:
            given = f"{self.place}--{self.tag}" if self.tag else self.place.rpartition("/")[2]
        return safe_name(given)


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which licence a source is offered; `address` is where it can be read."""

    source: str
    licence: str
    research_only: bool = False
    address: str = ""

    def __str__(self) -> str:
        kind = " (research only)" if self.research_only else ""
        return f"{self.source}: licence {self.licence}{kind}" + (f", {self.address}" if self.address else "")


def parse_source(text: str) -> Source:
    """What `pellucid models add` was given.

    An architecture of the catalogue may stand alone: `ViT-B-32-256` is `open_clip:ViT-B-32-256/datacomp_s34b_b86k`.

    >>> parse_source("open_clip:ViT-B-32/openai")
    Source(kind='open_clip', place='ViT-B-32', tag='openai')
    >>> parse_source("ViT-B-32-256").tag
    'datacomp_s34b_b86k'

    Raises:
        InputError: it is none of these.
    """
    kind, colon, rest = text.strip().partition(":")
    rest = rest.strip()
    if not colon or (len(kind) == 1 and kind.isalpha()):  # no scheme, or the drive of a Windows path
        return _bare(text.strip())
    if kind == "open_clip":
        arch, slash, tag = rest.partition("/")
        if not (slash and arch and tag) or "/" in tag:
            raise InputError(f"{text!r} should be open_clip:ARCH/TAG, such as {CATALOGUE[0].source}. Known ones: pellucid models list")
        return Source("open_clip", arch, tag)
    if kind == "hub":
        if not _REPOSITORY.fullmatch(rest) or "--" in rest or ".." in rest:
            raise InputError(f"{text!r} should be hub:OWNER/NAME, such as hub:immich-app/ViT-B-32__openai.")
        return Source("hub", rest)
    if kind == "path":
        if not rest:
            raise InputError("path: wants a file or folder, such as path:weights.safetensors --arch ViT-B-32.")
        return Source("path", rest)
    raise InputError(f"There is no source {kind!r} in {text!r}. A model comes from {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}.")


def _bare(text: str) -> Source:
    if text and Path(text).exists():
        raise InputError(f"{text} is on this machine; to add it write path:{text}")
    names = {row.arch: row for row in reversed(CATALOGUE)} | {f"{row.arch}/{row.tag}": row for row in CATALOGUE}
    return parse_source(choose(names, text, "recommended model").source)


def checked_name(name: str, source: Source | None = None) -> str:
    """A name that is safe as a folder's name on any system.

    Raises:
        InputError: it is not.
    """
    if not name:
        raise InputError(f"No name can be made from {source}. Give one: --name NAME")
    return check_name(name, RESERVED, "the encoder that ships with Pellucid")


def terms_of(source: Source, stated: str = "") -> Terms:
    """The catalogue's licence of a source, else the one that is `stated` where it lies, else "not stated"."""
    row = recommended(str(source))
    if row:
        return Terms(str(source), row.licence, row.research_only, row.licence_source)
    licence = stated.strip() or NOT_STATED
    address = f"https://huggingface.co/{source.place}" if source.kind == "hub" else ""
    return Terms(str(source), licence, bool(_RESEARCH_ONLY.search(licence)), address)
