"""Decide what to do, from what is on disk and what is known. Pure: nothing is read and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from search import Failure

from .walk import Found

if TYPE_CHECKING:
    from search import Key


@dataclass(frozen=True, slots=True)
class Known:
    """An image row, as far as planning needs it."""

    digest: str
    byte_size: int
    modified_ns: int


@dataclass(slots=True)
class Plan:
    """What a build does. `todo` holds new and changed files, `reembed` unchanged ones that lack a vector or a hash, or were not judged by its rule."""

    new: list[Found] = field(default_factory=list)
    changed: list[Found] = field(default_factory=list)
    reembed: list[Found] = field(default_factory=list)
    same: int = 0
    failed_before: list[Failure] = field(default_factory=list)
    gone: list[Key] = field(default_factory=list)
    kept: list[Key] = field(default_factory=list)

    @property
    def todo(self) -> list[Found]:
        """All files that must be read."""
        return [*self.new, *self.changed, *self.reembed]


def plan(
    found: Iterable[Found],
    known: Mapping[Key, Known],
    failures: Mapping[Key, Failure],
    complete: Collection[Key],
    still_there: Callable[[Key], bool],
) -> Plan:
    """Sort files into new, changed, same and gone.

    A known photo that was not found is gone only if `still_there` says no: an excluded, hidden or unreadable one is kept. One that is not `complete` is
    read again.
    """
    out = Plan()
    seen: set[Key] = set()
    for file in found:
        seen.add(file.key)
        row, failure = known.get(file.key), failures.get(file.key)
        if failure and not failure.may_pass and (failure.byte_size, failure.modified_ns) == (file.byte_size, file.modified_ns):
            out.failed_before.append(failure)
        elif row is None:
            out.new.append(file)
        elif (row.byte_size, row.modified_ns) != (file.byte_size, file.modified_ns):
            out.changed.append(file)
        elif file.key not in complete:
            out.reembed.append(file)
        else:
            out.same += 1
    for key in known:
        if key not in seen:
            (out.kept if still_there(key) else out.gone).append(key)
    return out
