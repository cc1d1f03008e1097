"""Runs of tagging: what they were made with, what differs between two, and to take one back or adopt it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Path

from preprocess import InputError

from .access import needs, service_of
from .empty_library import or_nothing
from .problem import PROBLEMS
from .schemas_images import RunChanged, RunDiffGiven, RunGiven, RunsGiven
from .state import Service
from .writing import write

if TYPE_CHECKING:
    from search import Store, TagRun, TagStore

router = APIRouter(prefix="/v1/tag-runs", tags=["tags"], responses=PROBLEMS)

ServiceHere = Annotated[Service, Depends(service_of)]
_SAID = "a run's id or the beginning of it, or latest"
Run = Annotated[str, Path(min_length=1, max_length=100, description=_SAID, examples=["latest"])]
_CAN_READ, _CAN_TAG = [Depends(needs("read"))], [Depends(needs("tag"))]


@router.get("", operation_id="list_runs", summary="All runs of tagging", dependencies=_CAN_READ)
async def list_runs(service: ServiceHere) -> RunsGiven:
    """All runs, the latest last; those that were taken back are among them."""
    return RunsGiven(runs=[run_given(run) for run in await service.workers.run(_runs, service)])


# Before `/{run}`, which would take `latest:retract` for the name of a run, and answer other methods for it.
@router.post("/{run}:retract", operation_id="retract_run", summary="Take back what a run wrote", dependencies=_CAN_TAG)
async def retract_run(service: ServiceHere, run: Run) -> RunChanged:
    """Take back what a run wrote. Tags that an earlier run had written come back, and what people said stays."""
    return await write(service, "tags retract", lambda store: change(store, run, "retract"))


@router.post("/{run}:promote", operation_id="promote_run", summary="Adopt what a run wrote", dependencies=_CAN_TAG)
async def promote_run(service: ServiceHere, run: Run) -> RunChanged:
    """Make a run's tags people's own: no later run takes them back. Rejected ones stay rejected."""
    return await write(service, "tags promote", lambda store: change(store, run, "promote"))


@router.get("/{run}", operation_id="get_run", summary="A run of tagging", dependencies=_CAN_READ)
async def get_run(service: ServiceHere, run: Run) -> RunGiven:
    """What it was made with, and what came of it."""
    return run_given(await service.workers.run(lambda: find_run(service.store().marks, run)))


@router.get("/{earlier}/diff/{later}", operation_id="diff_runs", summary="What differs between two runs", dependencies=_CAN_READ)
async def diff_runs(service: ServiceHere, earlier: Run, later: Run) -> RunDiffGiven:
    """Which tags the later run has and the earlier has not, and which it has no longer, of the photos that it looked at."""
    return await service.workers.run(_diff, service, earlier, later)


def _runs(service: Service) -> list[TagRun]:
    return or_nothing(lambda: service.store().marks.runs(), [])


def find_run(marks: TagStore, run: str) -> TagRun:
    """The run that is named.

    Raises:
        HTTPException: 404 where there is none, or more than one begins so.
    """
    try:
        return marks.run(run)
    except InputError as error:
        raise HTTPException(404, str(error)) from None


def _diff(service: Service, earlier: str, later: str) -> RunDiffGiven:
    marks = service.store().marks
    first, second = find_run(marks, earlier), find_run(marks, later)
    try:
        found = marks.diff(first.id, second.id)
    except InputError as error:  # one was taken back
        raise HTTPException(409, str(error)) from None
    added, removed = ({digest: list(tags) for digest, tags in rows.items()} for rows in (found.added, found.removed))
    return RunDiffGiven(earlier=first.id, later=second.id, added=added, removed=removed)


def change(store: Store, run: str, what: Literal["retract", "promote"]) -> RunChanged:
    """Take a run back or adopt it; the library must be held.

    Raises:
        HTTPException: 404 where there is none, 409 where its state does not allow it.
    """
    chosen = find_run(store.marks, run)
    try:
        count = store.marks.retract(chosen.id) if what == "retract" else store.marks.promote(chosen.id)
    except InputError as error:
        raise HTTPException(409, str(error)) from None
    return RunChanged(run=chosen.id, was=chosen.state, did=what, tags=count)


def run_given(run: TagRun) -> RunGiven:
    """For an answer."""
    from ..tag_output import run_dict

    return RunGiven(**run_dict(run))
