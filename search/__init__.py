"""Vectors and rows to hits, tags and scores."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .derived import Derived, Spread, make_derived, open_derived
    from .encode import ENCODERS, Encoder, EncoderOptions, Prepared, Recipe, Vectors, load_encoder, model_folders, normalize
    from .evaluate import evaluate_retrieval, evaluate_zeroshot
    from .filter import matching_vectors
    from .hits import Hit, check_recipe, search
    from .library import Library, LibraryFile, storage_errors
    from .model import ImageInput, Model, TextInput
    from .nearest import INDEXES, NearestIndex
    from .query import Query, Term, combine
    from .schema import FACT_COLUMNS, IMAGE_COLUMNS, SCHEMA_VERSION, Column
    from .store import Failure, Key, Store, image_row

_HOMES = {
    "derived": ("Derived", "Spread", "make_derived", "open_derived"),
    "encode": ("ENCODERS", "Encoder", "EncoderOptions", "Prepared", "Recipe", "Vectors", "load_encoder", "model_folders", "normalize"),
    "evaluate": ("evaluate_retrieval", "evaluate_zeroshot"),
    "filter": ("matching_vectors",),
    "library": ("Library", "LibraryFile", "storage_errors"),
    "model": ("ImageInput", "Model", "TextInput"),
    "nearest": ("INDEXES", "NearestIndex"),
    "query": ("Query", "Term", "combine"),
    "schema": ("FACT_COLUMNS", "IMAGE_COLUMNS", "SCHEMA_VERSION", "Column"),
    "hits": ("Hit", "check_recipe", "search"),
    "store": ("Failure", "Key", "Store", "image_row"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ENCODERS", "FACT_COLUMNS", "IMAGE_COLUMNS", "INDEXES", "SCHEMA_VERSION", "Column", "Derived", "Encoder", "EncoderOptions", "Failure", "Hit", "ImageInput",
    "Key", "Library", "LibraryFile", "Model", "NearestIndex", "Prepared", "Query", "Recipe", "Spread", "Store", "Term", "TextInput", "Vectors", "check_recipe", "combine",
    "evaluate_retrieval", "evaluate_zeroshot", "image_row", "load_encoder", "make_derived", "matching_vectors", "model_folders", "normalize", "open_derived",
    "search", "storage_errors",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: a search must not pay for LanceDB."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value
