"""What a build did, for people and for programs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from preprocess import PellucidError

from .walk import Found, Passed


@dataclass(slots=True)
class Report:
    """Counts, failures by full name, and seconds by stage. `total` is how many files the build had to read.

    Of the `photos` in the library, `without_vector` lack one of this `recipe`, which the command `finish` makes. `searches_use` is the encoder
    that searches use; where it is another, the command `switch` changes that. `replaced` are past versions that this recipe took over from.
    `dehazed` of the files that were read can now be found through a dehazed version too. In `annotated` photos, `regions` were found;
    `regions_gone` of machines went because none are wanted any more. `unhashed` photos that have not changed had no perceptual hash and no measures
    from an earlier Pellucid, and are read again for them.
    """

    total: int = 0
    done: int = 0
    found: int = 0
    new: int = 0
    changed: int = 0
    touched: int = 0
    moved: int = 0
    copied: int = 0
    same: int = 0
    gone: int = 0
    kept: int = 0
    reembedded: int = 0
    dehazed: int = 0
    annotated: int = 0
    regions: int = 0
    regions_gone: int = 0
    unhashed: int = 0
    photos: int = 0
    without_vector: int = 0
    recipe: dict[str, Any] = field(default_factory=dict)
    searches_use: str | None = None
    finish: str = ""
    switch: str | None = None
    replaced: list[str] = field(default_factory=list)
    precision_note: str | None = None
    failed: dict[str, str] = field(default_factory=dict)
    failed_before: dict[str, str] = field(default_factory=dict)
    missing_roots: dict[str, str] = field(default_factory=dict)
    passed: Passed = field(default_factory=Passed)
    seconds: dict[str, float] = field(default_factory=dict)
    dry_run: bool = False
    interrupted: bool = False
    _errors: dict[tuple[str, str], tuple[Found, PellucidError]] = field(default_factory=dict)

    def fail(self, item: Found, error: PellucidError) -> None:
        """Record that a file could not be indexed."""
        self._errors[item.key] = (item, error)
        self.failed[str(item.file)] = str(error)

    def take_errors(self) -> list[tuple[Found, PellucidError]]:
        """Failures since the last call, to be written to the store."""
        errors = list(self._errors.values())
        self._errors = {}
        return errors

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        names = ("found", "new", "changed", "touched", "moved", "copied", "same", "gone", "kept", "reembedded", "dehazed", "annotated", "regions", "regions_gone", "unhashed", "photos", "without_vector",
                 "recipe", "searches_use", "finish", "switch", "replaced", "precision_note")  # fmt: skip
        return {name: getattr(self, name) for name in names} | {
            "failed": self.failed,
            "failed_before": self.failed_before,
            "missing_roots": self.missing_roots,
            "unlisted_folders": self.passed.unlisted,
            "other_files": self.passed.suffixes,
            "skipped": self.passed.names,
            "seconds": {stage: round(value, 3) for stage, value in self.seconds.items()},
            "dry_run": self.dry_run,
            "interrupted": self.interrupted,
        }
