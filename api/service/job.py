"""A job: long work that a person or program asked for, with its states and what each kind of it may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, get_args

from .keys import Scope
from .schemas_jobs import JobGiven, JobKind, JobState, Progress

STATES: tuple[JobState, ...] = get_args(JobState)
ENDED: frozenset[JobState] = frozenset({"finished", "failed", "cancelled", "interrupted"})
"""Nothing follows on these."""
TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    "waiting": frozenset({"running", "cancelled", "failed"}),
    "running": frozenset(
        {"finished", "failed", "cancelled", "interrupted", "waiting"}
    ),  # waiting: the library is busy, or the service began anew
    **{state: frozenset[JobState]() for state in ENDED},
}
"""Which states may follow on each."""
ATTEMPTS = 3
"""How often a job is begun at most: one that ends the service each time must not do so for ever."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of job may do. `writes` to the library: such jobs wait for each other. `resumes`: begun anew it goes on where it was. `scope` may start it."""

    writes: bool
    resumes: bool
    scope: Scope


KINDS: Mapping[JobKind, Kind] = {
    "index": Kind(writes=True, resumes=True, scope="admin"),
    "tag": Kind(writes=True, resumes=True, scope="tag"),
    "score": Kind(writes=True, resumes=True, scope="tag"),
    "export": Kind(writes=False, resumes=False, scope="admin"),
    "dehaze-batch": Kind(writes=False, resumes=False, scope="admin"),
    "dataset-tag": Kind(writes=False, resumes=False, scope="admin"),
}
RESULT_OF: Literal["/v1/jobs/{id}/result"] = "/v1/jobs/{id}/result"


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it is stored. `number` says in which order they came; `owner` is the id of the key that asked for it; `result` a file's name below the results."""

    number: int
    id: str
    kind: JobKind
    state: JobState
    options: dict[str, Any]
    owner: str
    created_at: str
    started_at: str | None = None
    ended_at: str | None = None
    attempts: int = 0
    cancelling: bool = False
    progress: dict[str, Any] | None = None
    outcome: dict[str, Any] | None = None
    error: str | None = None
    result: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ENDED

    @property
    def writes(self) -> bool:
        """Whether it needs the library for itself."""
        return KINDS[self.kind].writes and not self.options.get("dry_run", False)

    def given(self, most: int = 1_000) -> JobGiven:
        """As answers have it: lists and tables in its options and outcome are cut after `most` entries, and every text can be written."""
        return JobGiven(
            id=self.id, kind=self.kind, state=self.state, options=shortened(self.options, most), created_at=self.created_at, started_at=self.started_at,
            ended_at=self.ended_at, progress=None if self.progress is None else Progress(**shortened(self.progress, most)), attempts=self.attempts,
            cancelling=self.cancelling and not self.ended, outcome=None if self.outcome is None else shortened(self.outcome, most), error=_cut(self.error, most),
            result=None if self.result is None else RESULT_OF.format(id=self.id),
        )  # fmt: skip


def shortened(facts: dict[str, Any], most: int) -> dict[str, Any]:
    """The facts with the lists and tables among them cut: ten thousand addresses, asked for by two hundred jobs of a page, are 400 MB.

    Names of files that are no UTF-8 are written with escapes, as in `odd\\udcfe.txt`; one of them would keep the whole answer from being written.
    """
    return {_cut(name, most): _cut(value, most) for name, value in facts.items()}


def _cut(value: Any, most: int) -> Any:
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, list):
        return [_cut(one, most) for one in value[:most]]
    return shortened(dict(islice(value.items(), most)), most) if isinstance(value, dict) else value


def writable(text: str) -> str:
    """The text with escapes for what is no character."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
