"""Fields of JSON that others have written: of the right type, or an error that says where."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from preprocess import InputError


def mapping_of(value: Any, where: str) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        InputError: it is none; `where` says in what.
    """
    if not isinstance(value, dict):
        raise InputError(f"{where} must be a JSON object, not {short(value)}. Export it again as COCO for object detection.")
    return value


def list_in(document: Mapping[str, Any], name: str, where: str) -> list[Any]:
    """The list called `name` in a JSON object.

    Raises:
        InputError: it is none; `where` says in what.
    """
    value = document.get(name)
    if not isinstance(value, list):
        raise InputError(f"{where} must have a list of {name}, not {short(value)}. Export it again as COCO for object detection.")
    return value


def whole_in(row: Mapping[str, Any], name: str, where: str) -> int:
    """The whole number called `name` in a JSON object.

    Raises:
        InputError: it is none; `where` says in what.
    """
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{where} must have a whole number as {name}, not {short(value)}. Correct it, or export it again.")
    return value


def real(value: Any, where: str) -> float:
    """A finite number.

    Raises:
        InputError: it is none; `where` says in what.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15 or not math.isfinite(value):
        raise InputError(f"{where} must have finite numbers, not {short(value)}. Correct it, or export it again.")
    return float(value)


def text_in(row: Mapping[str, Any], name: str, where: str) -> str:
    """The text called `name` in a JSON object.

    Raises:
        InputError: it is none; `where` says in what.
    """
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise InputError(f"{where} must have a text as {name}, not {short(value)}. Correct it, or export it again.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where} has a {name} that is not valid Unicode: {short(value)}. Correct it.") from error
    return value


def short(value: Any) -> str:
    """A value as messages show it."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number of thousands of digits; a list thousands deep
        return f"such a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
