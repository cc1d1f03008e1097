"""Look a component up by name, with a hint where the name is nearly right."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

from .errors import UnknownName

T = TypeVar("T")


def choose(table: Mapping[str, T], name: str, kind: str) -> T:
    """The entry called `name`.

    >>> choose({"builtin": 1}, "builtn", "encoder")
    Traceback (most recent call last):
    preprocess.errors.UnknownName: No encoder named 'builtn'. Did you mean 'builtin'? Known: builtin.

    Raises:
        UnknownName: the table has no such entry.
    """
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    known = f"Known: {', '.join(table)}." if table else "There is none yet."
    raise UnknownName(f"No {kind} named {name!r}.{hint} {known}")
