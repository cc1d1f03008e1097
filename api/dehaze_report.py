"""How `pellucid dehaze` was asked to work, and what came of each photo."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from indexer import WalkOptions
from preprocess import Limits, PellucidError


@dataclass(frozen=True, slots=True)
class DehazeOptions:
    """How photos are dehazed, and what is written beside them."""

    out: Path
    method: str = "auto"
    preset: str = "default"
    depth: bool = False
    compare: bool = False
    force: bool = False
    jobs: int = 0
    walk: WalkOptions = field(default_factory=WalkOptions)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a photo. `kept` says that there is a dehazed copy, of this run or an earlier one; `method` is the maker's name and version.

    `reason` says why nothing was written now: the photo is clear, the dehazed one was no better, or the files exist already.
    """

    source: str
    out: str | None = None
    depth: str | None = None
    compare: str | None = None
    haze: float | None = None
    method: str | None = None
    kept: bool = True
    reason: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class DehazeReport:
    """What a run did."""

    options: DehazeOptions
    found: int = 0
    outcomes: list[Outcome] = field(default_factory=list)
    failed: dict[str, PellucidError] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def written(self) -> list[Outcome]:
        """Those that this run made."""
        return [outcome for outcome in self.outcomes if outcome.kept and not outcome.reason]

    @property
    def skipped(self) -> list[Outcome]:
        """Those that existed already."""
        return [outcome for outcome in self.outcomes if outcome.kept and outcome.reason]

    @property
    def left(self) -> list[Outcome]:
        """Those that were left as they are."""
        return [outcome for outcome in self.outcomes if not outcome.kept]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "out": str(self.options.out), "method": self.options.method, "preset": self.options.preset, "found": self.found,
            "written": len(self.written), "left": len(self.left), "skipped": len(self.skipped), "interrupted": self.interrupted,
            "photos": [asdict(outcome) for outcome in self.outcomes],
            "failed": {source: str(error) for source, error in self.failed.items()},
        }  # fmt: skip
