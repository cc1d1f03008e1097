"""Long work: jobs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from .schemas import Asked, Given, Page

JobState = Literal["waiting", "running", "finished", "failed", "cancelled", "interrupted"]
JobKind = Literal["index", "tag", "score", "export", "dehaze-batch", "dataset-tag"]


class IndexOptions(Asked):
    """Bring the library up to date with folders on the server."""

    roots: list[str] = Field(
        default_factory=list, max_length=100, description="folders below the service's allowed roots; none: all known ones again"
    )
    dehaze: str | None = None
    regions: str | None = None
    dry_run: bool = False


class TagOptionsAsked(Asked):
    """Tag the library's photos."""

    vocabulary: str = Field("photo", description="the name of a vocabulary that ships")
    labels: list[str] | None = Field(None, max_length=2_000, description="words in place of a vocabulary")
    where: str | None = Field(None, max_length=4_000)
    precision: float = Field(0.5, ge=0, le=1)
    most: int = Field(20, ge=1, le=1_000)
    dry_run: bool = False


class ScoreOptions(Asked):
    """Score the library's photos."""

    axes: list[str] = Field(default_factory=list, max_length=50)
    where: str | None = Field(None, max_length=4_000)
    again: bool = False


class ExportOptions(Asked):
    """Write photos' annotations in a format that others read; the result is an archive to be fetched."""

    format: str = Field(description="coco, jsonl, parquet, yolo, ...", examples=["coco"])
    where: str | None = Field(None, max_length=4_000)
    all_photos: bool = Field(False, description="photos that were never looked at for regions too")


class DehazeOptions(Asked):
    """Dehaze photos of the library into an archive to be fetched; originals are never written to."""

    where: str | None = Field(None, max_length=4_000)
    method: str = "auto"


class DatasetSource(Asked):
    """Where a data set's pictures come from; an uploaded archive is named by no field."""

    folder: str | None = Field(None, description="a folder below the service's allowed roots")
    urls: list[str] | None = Field(None, max_length=10_000, description="addresses; only where the service fetches them")


class DatasetOptions(Asked):
    """Tag a data set that is not in the library; the result is a file to be fetched."""

    source: DatasetSource = DatasetSource()
    vocabulary: str = "photo"
    labels: list[str] | None = Field(None, max_length=2_000)
    precision: float = Field(0.5, ge=0, le=1)
    most: int = Field(20, ge=1, le=1_000)
    segment: str | None = Field(None, description="find regions with this segmenter too")
    format: Literal["coco", "jsonl", "parquet"] = "coco"


class IndexJob(Asked):
    """An index job."""

    kind: Literal["index"]
    options: IndexOptions = IndexOptions()


class TagJob(Asked):
    """A tag job."""

    kind: Literal["tag"]
    options: TagOptionsAsked = TagOptionsAsked()


class ScoreJob(Asked):
    """A score job."""

    kind: Literal["score"]
    options: ScoreOptions = ScoreOptions()


class ExportJob(Asked):
    """An export job."""

    kind: Literal["export"]
    options: ExportOptions


class DehazeJob(Asked):
    """A job that dehazes many photos."""

    kind: Literal["dehaze-batch"]
    options: DehazeOptions = DehazeOptions()


JobAsked = Annotated[IndexJob | TagJob | ScoreJob | ExportJob | DehazeJob, Field(discriminator="kind")]


class Progress(Given):
    """How far a job is."""

    stage: str = Field(description="what is being done, in a word or two")
    done: int
    total: int | None = Field(description="none while it is not known")
    eta_s: float | None = Field(None, description="seconds that are left, where that can be told")


class JobGiven(Given):
    """A job."""

    id: str
    kind: JobKind
    state: JobState
    options: dict[str, Any]
    created_at: str = Field(description="UTC, ISO 8601")
    started_at: str | None = None
    ended_at: str | None = None
    progress: Progress | None = None
    attempts: int = Field(0, description="how often it was begun; more than once after a restart of the service")
    cancelling: bool = Field(False, description="asked to stop at the next safe point")
    outcome: dict[str, Any] | None = Field(None, description="what came of it, as the command's --json says it")
    error: str | None = Field(None, description="why it failed, and the remedy")
    result: str | None = Field(None, description="path of the file that it made, below this service")


class JobsGiven(Page):
    """Jobs, the latest first."""

    jobs: list[JobGiven]
