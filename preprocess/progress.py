"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, float | None], None]
"""Told what is being done, and which share of it is done, in [0, 1]; none where that is not known."""


def no_progress(_step: str, _share: float | None = None) -> None:
    """Tell nobody."""
