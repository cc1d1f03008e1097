"""Open derived caches, so that a warm search opens nothing."""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from preprocess import LibraryDamaged

if TYPE_CHECKING:
    from search import Derived, Library

RENEWAL_S = 5.0
"""Between caches that are made while a build writes: to make one takes a core for seconds."""
_LOG = logging.getLogger("pellucid.service")

State: TypeAlias = tuple[str, str, tuple[str, str] | None]
"""Recipe, its stamp, and the stamps of scores and tags: what is computed from one such state holds as long as it is the library's."""


def state_of(library: Library, recipe_id: str | None = None) -> State:
    """The library's present state, as far as answers by a recipe depend on it; a few listings of folders."""
    recipe = recipe_id or library.file.current or ""
    return recipe, library.stamp(recipe_id), library.marks_stamp()


@dataclass(eq=False, slots=True)
class Opened:
    """An open cache, and the state that it is of."""

    derived: Derived
    state: State


@dataclass(eq=False)
class DerivedPool:
    """Open caches that wait for the next request, each handed to one thread at a time.

    There are as many as threads asked at once. One whose state has passed is closed once a newer one is open. While a build writes, its commits pass a state every few
    seconds, and a cache takes seconds to make in a large library: requests then get the newest that is open, and the next is made beside them.
    """

    idle: list[Opened] = field(default_factory=list)
    closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _opening: threading.Lock = field(default_factory=threading.Lock)
    _newest: dict[str, State] = field(default_factory=dict)
    _renewed: float = -math.inf
    _renewing: bool = False

    @contextmanager
    def borrowed(self, library: Library, recipe_id: str | None = None) -> Iterator[Opened]:
        """The cache of the library's present state, for this thread; while something writes to the library, perhaps that of a few seconds ago.

        Raises:
            LibraryNotFound: the library has no vectors yet.
            LibraryDamaged: it does not open and cannot be made.
        """
        state = state_of(library, recipe_id)
        opened = self._taken(state) or self._earlier(state, library, recipe_id) or self._opened(library, recipe_id)
        whole = False
        try:
            yield opened
            whole = True
        except (sqlite3.Error, OSError, LibraryDamaged):
            raise  # it may be what failed
        except BaseException:
            whole = True
            raise
        finally:
            self._give_back(opened, whole)

    def _taken(self, state: State) -> Opened | None:
        """One of this state that waits."""
        with self._lock:
            found = next((opened for opened in self.idle if opened.state == state), None)
            if found is not None:
                self.idle.remove(found)
            return found

    def _earlier(self, state: State, library: Library, recipe_id: str | None) -> Opened | None:
        """While something writes to the library: the newest that is open, if only photos have come or gone since. What people say of tags is seen at once."""
        with self._lock:
            newest = self._newest.get(state[0])
            if newest is None or newest[2] != state[2] or not _written_to(library):
                return None
            found = next((opened for opened in self.idle if opened.state == newest), None)
            if found is None:
                return None
            self.idle.remove(found)
            renew = not self._renewing and time.monotonic() - self._renewed > RENEWAL_S
            self._renewing = self._renewing or renew
        if renew:
            threading.Thread(target=self._renew, args=(library, recipe_id), name="renewal", daemon=True).start()
        return found

    def _renew(self, library: Library, recipe_id: str | None) -> None:
        try:
            self._give_back(self._opened(library, recipe_id), True)
        except Exception as error:  # whoever asks when nothing writes any more is told
            _LOG.warning("the cache of %s could not be made while it is written to: %s", library.folder, error)
        finally:
            with self._lock:
                self._renewing, self._renewed = False, time.monotonic()

    def _opened(self, library: Library, recipe_id: str | None) -> Opened:
        """One more. Where the cache must be made first, one thread makes it and the others wait."""
        from search import open_derived

        with self._opening:
            state = state_of(library, recipe_id)
            opened = self._taken(state) or Opened(open_derived(library, recipe_id), state)
        with self._lock:
            self._newest[state[0]] = state
            stale = [other for other in self.idle if other.state[0] == state[0] and other.state != state]
            self.idle = [other for other in self.idle if other not in stale]
        for other in stale:
            other.derived.close()
        return opened

    def _give_back(self, opened: Opened, whole: bool) -> None:
        with self._lock:
            keep = whole and not self.closed and self._newest.get(opened.state[0]) == opened.state
            if keep:
                self.idle.append(opened)
        if not keep:
            opened.derived.close()

    def close(self) -> None:
        """Close those that wait; those in use are closed when they come back."""
        with self._lock:
            self.closed = True
            idle, self.idle = self.idle, []
        for opened in idle:
            opened.derived.close()


def _written_to(library: Library) -> bool:
    """Whether a writer has its name in the lock. The lock itself is left alone: to try it would be to hold it for a moment, and a writer may want it then."""
    try:
        return (library.folder / "lock").stat().st_size > 0
    except OSError:
        return False
