"""The names that a condition may use, how two regions may lie to each other, and what is said of a condition that is wrong."""

from __future__ import annotations

import difflib
import re

from .schema import ASKED_REGION_COLUMNS, IMAGE_COLUMNS, SCORE_COLUMNS

NAMES = tuple(column.name for column in IMAGE_COLUMNS)
REGION_NAMES = tuple(column.name for column in ASKED_REGION_COLUMNS)
SCORE_NAMES = tuple(column.name for column in SCORE_COLUMNS)
# fmt: off
FUNCTIONS = frozenset({
    "like", "glob", "lower", "upper", "length", "substr", "substring", "instr", "trim", "coalesce", "ifnull", "nullif", "iif", "abs", "round",
    "min", "max", "date", "time", "datetime", "strftime", "julianday",
})
# fmt: on
"""Harmless, and enough to compare text, numbers and dates."""

_LEFT = "a.x2 <= (b.x1 + b.x2) / 2 AND (a.x1 + a.x2) / 2 <= b.x1"
_ABOVE = "a.y2 <= (b.y1 + b.y2) / 2 AND (a.y1 + a.y2) / 2 <= b.y1"
_SHARED = "(min(a.x2, b.x2) - max(a.x1, b.x1)) * (min(a.y2, b.y2) - max(a.y1, b.y1))"
_MEET = "a.x1 < b.x2 AND b.x1 < a.x2 AND a.y1 < b.y2 AND b.y1 < a.y2"
_AREA, _OTHER_AREA = "(a.x2 - a.x1) * (a.y2 - a.y1)", "(b.x2 - b.x1) * (b.y2 - b.y1)"


def _turned(geometry: str) -> str:
    """The same with `a` and `b` exchanged."""
    return re.sub(r"\b[ab]\.", lambda found: "b." if found.group() == "a." else "a.", geometry)


RELATIONS = {
    "left_of": _LEFT,
    "right_of": _turned(_LEFT),
    "above": _ABOVE,
    "below": _turned(_ABOVE),
    "inside": f"{_MEET} AND {_SHARED} >= 0.9 * {_AREA} AND {_AREA} < {_OTHER_AREA}",
    "overlaps": _MEET,
}
"""How the box of a region `a` lies to that of another, `b`. Left of it: a's right edge is not beyond b's middle, and a's middle not beyond b's left edge, so
that the two may overlap, but neither by more than half of its own width. Inside it: nine tenths of a's box lie in b's, which is larger."""


def _columns() -> str:
    regions = ", ".join(f"region.{name}" for name in REGION_NAMES)
    return f"Columns: {', '.join(NAMES)}; scores: {', '.join(SCORE_NAMES)}; of a region: {regions}."


def no_column(written: str, name: str, of_region: bool = False) -> str:
    """That there is no such column, the nearest that there is, and all."""
    nearest = (*REGION_NAMES, *NAMES) if of_region else (*NAMES, *SCORE_NAMES, *REGION_NAMES)
    near = difflib.get_close_matches(name, nearest, n=1)
    hint = f" Did you mean {f'region.{near[0]}' if near[0] in REGION_NAMES else near[0]!r}?" if near else " Text stands in single quotes."
    return f"--where has no column {written!r}.{hint} {_columns()}"


def explain(where: str, reason: str) -> str:
    """What is wrong with a condition, and what there is."""
    if "not authorized" in reason or "prohibited" in reason:
        functions = f"{', '.join(sorted(FUNCTIONS))}, count, tag, score, {', '.join(RELATIONS)}"
        return f"--where {where!r} uses something that is not allowed. {_columns()} Functions: {functions}."
    return f"--where {where!r} is not a condition: {reason}. Example: taken_at >= '2024-01-01' and camera like 'Pixel%'. {_columns()}"
