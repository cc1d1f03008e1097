"""A sidecar that we wrote, known again where it was moved or copied to together with its photo."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection
from pathlib import Path

from .xmp_event import digest_of_bytes
from .xmp_history import Chain, XmpHistory


def origin_of(history: XmpHistory, sidecar: Path, data: bytes, photos: Callable[[], Collection[str]]) -> Chain:
    """The writes that led to a sidecar for which none is noted; empty where it is not ours.

    It is ours if we left these very bytes beside the same photo, or made a whole file of them, which nobody else writes like us. The bytes of a file
    that was somebody's before are not enough: of two alike, another may have been given by hand what we added to the first. If they are new, as where another
    program wrote there since, it is ours if it has the name of one of ours beside the same photo, and both are no more where they were.
    """
    after = digest_of_bytes(data) or ""
    if history.states(after):
        alike = [chain for photo in photos() for chain in history.chains(after, photo)]
        if not alike and (whole := history.new_chain(after)):
            namesakes = [chain for chain in history.namesakes(sidecar.name) if chain[-1].after == after and chain[0].before is None]
            alike = [*namesakes, whole]
        held = [chain for chain in alike if history.events(Path(chain[-1].sidecar))]
        return next((chain for chain in held if not os.path.lexists(chain[-1].sidecar)), next(iter(held or alike), ()))
    gone = [chain for chain in history.namesakes(sidecar.name) if deserted(Path(chain[-1].sidecar), chain)]
    digests = set(photos()) if gone else set()
    return next((chain for chain in gone if any(photo in digests for event in chain for _, photo in event.photos)), ())


def deserted(sidecar: Path, chain: Chain) -> bool:
    """Whether a sidecar is gone together with its photo: moved, or on a disk that is not mounted. If its photo is still there, somebody has deleted it."""
    names = {sidecar.name, *(name for event in chain for name, _ in event.photos)}
    return not any(os.path.lexists(sidecar.with_name(name)) for name in names)


def digests_of(photo: Path) -> tuple[str, ...]:
    """The sha256 of a photo's bytes; none where it cannot be read."""
    try:
        with photo.open("rb") as stream:
            return (hashlib.file_digest(stream, "sha256").hexdigest(),)
    except OSError:
        return ()
