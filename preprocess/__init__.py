"""Bytes on disk to clean RGB pixels."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .choose import choose
from .errors import (
    FetchError,
    FilterError,
    ImageCorrupt,
    ImageError,
    ImageTooLarge,
    ImageUnreadable,
    ImageUnsupported,
    ImageVanished,
    InputError,
    LibraryBusy,
    LibraryDamaged,
    LibraryError,
    LibraryNotFound,
    LibraryTooNew,
    MissingExtra,
    PellucidError,
    QueryError,
    RecipeMismatch,
    SettingsError,
    StorageFull,
    UnknownName,
    WeightsError,
)

if TYPE_CHECKING:
    from .facts import Facts, read_facts
    from .formats import PHOTO_SUFFIXES, RAW_SUFFIXES, is_photo
    from .image import Limits, Photo, RgbImage, decode, read_bytes, read_image
    from .keywords import sidecar_keywords
    from .remote import fetch
    from .resize import Fit, fit, squash

# Name -> module, imported when first used: `pellucid --help` needs the errors and must not wait for numpy and Pillow. No such module may have
# the name of a function in it: importing `preprocess.fetch` would put the module where people expect the function.
_LAZY = {
    "PHOTO_SUFFIXES": "formats",
    "RAW_SUFFIXES": "formats",
    "Facts": "facts",
    "Fit": "resize",
    "Limits": "image",
    "Photo": "image",
    "RgbImage": "image",
    "decode": "image",
    "fetch": "remote",
    "fit": "resize",
    "is_photo": "formats",
    "read_bytes": "image",
    "read_facts": "facts",
    "read_image": "image",
    "sidecar_keywords": "keywords",
    "squash": "resize",
}

__all__ = [
    "PHOTO_SUFFIXES",
    "RAW_SUFFIXES",
    "Facts",
    "FetchError",
    "FilterError",
    "Fit",
    "ImageCorrupt",
    "ImageError",
    "ImageTooLarge",
    "ImageUnreadable",
    "ImageUnsupported",
    "ImageVanished",
    "InputError",
    "LibraryBusy",
    "LibraryDamaged",
    "LibraryError",
    "LibraryNotFound",
    "LibraryTooNew",
    "Limits",
    "MissingExtra",
    "PellucidError",
    "Photo",
    "QueryError",
    "RecipeMismatch",
    "RgbImage",
    "SettingsError",
    "StorageFull",
    "UnknownName",
    "WeightsError",
    "choose",
    "decode",
    "fetch",
    "fit",
    "is_photo",
    "read_bytes",
    "read_facts",
    "read_image",
    "sidecar_keywords",
    "squash",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_LAZY[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
