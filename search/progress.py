"""How long work tells how far it is."""

from __future__ import annotations

from preprocess import Progress, no_progress

__all__ = ["Progress", "no_progress"]
