"""What the journal knows of sidecars: what holds for each now, and all states that we ever left one in, by which it is known again elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from .xmp_event import XmpEvent, adds_of, key_of
from .xmp_items import XmpItems

Chain = tuple[XmpEvent, ...]  # the writes that led to one state of a sidecar, the oldest first


class XmpHistory:
    """Events by number and by sidecar; used by one thread at a time."""

    def __init__(self) -> None:
        self._events: dict[int, XmpEvent] = {}
        self._of: dict[str, list[int]] = {}
        self._made: dict[str, set[str]] = {}
        self._first: dict[str, int] = {}  # of each run, its first event, as those that followed a sidecar have later numbers
        self._next = 1
        self._states: list[tuple[str, Chain]] = []
        self._index: _Index | None = None  # made when first asked for: most runs never need it

    def events(self, sidecar: Path) -> Chain:
        """What holds for a sidecar, the oldest first: neither retracted nor called off."""
        return self._chain(key_of(sidecar))

    def written(self, sidecar: Path) -> XmpItems:
        """What is ours in a sidecar, so that what people gave can be told from it."""
        return adds_of(self.events(sidecar))

    def sidecars(self, run: str) -> tuple[Path, ...]:
        """Those in which a run has something, by name."""
        return tuple(Path(name) for name in sorted({event.sidecar for event in self._events.values() if event.run == run}))

    def runs(self) -> Mapping[str, int]:
        """Each run that has something somewhere, the oldest first, and in how many sidecars."""
        places: dict[str, set[str]] = {}
        for event in self._events.values():
            places.setdefault(event.run, set()).add(event.sidecar)
        return {run: len(names) for run, names in sorted(places.items(), key=lambda one: self._first[one[0]])}

    def runs_ever(self) -> tuple[str, ...]:
        """Each run that ever had something, the oldest first."""
        return tuple(self._first)

    def made(self, sidecar: Path) -> frozenset[str]:
        """The lists that we ever made in a sidecar."""
        return frozenset(self._made.get(key_of(sidecar), ()))

    def next_number(self) -> int:
        """The number that the next event gets."""
        return self._next

    def states(self, after: str) -> bool:
        """Whether we ever left a sidecar with these bytes."""
        return after in self._indexed().digests

    def chains(self, after: str, photo: str) -> Iterator[Chain]:
        """Those that led to these bytes beside a photo of that digest, one for each place."""
        yield from self._indexed().beside.get((after, photo), {}).values()

    def new_chain(self, after: str) -> Chain:
        """The last that led to these bytes from no file at all, so that nothing in them is anybody else's; empty where there is none."""
        return self._indexed().new.get(after, ())

    def namesakes(self, name: str) -> Iterator[Chain]:
        """What holds for the sidecars of that file name, wherever they are."""
        for place in self._indexed().named.get(name, ()):
            if chain := self._chain(place):
                yield chain

    def _chain(self, place: str) -> Chain:
        return tuple(self._events[number] for number in self._of.get(place, ()))

    def _put(self, event: XmpEvent) -> None:
        if event.number not in self._events:
            self._of.setdefault(event.sidecar, []).append(event.number)
        self._events[event.number] = event
        self._made.setdefault(event.sidecar, set()).update(event.made)
        self._first.setdefault(event.run, event.number)
        self._next = max(self._next, event.number + 1)

    def _drop(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            event = self._events.pop(number, None)
            if event is not None:
                self._of[event.sidecar].remove(number)

    def _left(self, place: str, *, after: str | None = None, every: bool = False) -> None:
        """Remember the state that a sidecar's events led to, or `every` one on the way; `after` are its bytes where they are none of these."""
        chain = self._chain(place)
        ends = range(0 if every else max(len(chain) - 1, 0), len(chain))
        states = [(chain[end].after, chain[: end + 1]) for end in ends] + ([(after, chain)] if chain else [])
        for digest, some in states:
            if digest is not None:
                self._states.append((digest, some))
                if self._index is not None:
                    self._index.add(digest, some)

    def _indexed(self) -> _Index:
        if self._index is None:
            self._index = _Index()
            for digest, chain in self._states:
                self._index.add(digest, chain)
        return self._index


class _Index:
    """States by their bytes."""

    def __init__(self) -> None:
        self.digests: set[str] = set()
        self.new: dict[str, Chain] = {}
        self.beside: dict[tuple[str, str], dict[str, Chain]] = {}
        self.named: dict[str, dict[str, None]] = {}

    def add(self, digest: str, chain: Chain) -> None:
        place = chain[-1].sidecar
        self.digests.add(digest)
        self.named.setdefault(Path(place).name, {})[place] = None
        if chain[0].before is None:
            self.new[digest] = chain
        for photo in {photo for event in chain for _, photo in event.photos}:
            self.beside.setdefault((digest, photo), {})[place] = chain
