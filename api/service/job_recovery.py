"""What becomes of the jobs of an earlier service when the next one begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .job import ATTEMPTS, KINDS

if TYPE_CHECKING:
    from .job_files import JobFiles
    from .job_store import JobStore


def recover(store: JobStore, files: JobFiles) -> None:
    """Jobs that ran when the service ended go on where they were, or are marked; files that no job has are removed.

    It may be done again where it was broken off.

    Raises:
        StorageFull, LibraryDamaged: it cannot be written down.
    """
    for job in store.open_jobs():
        if job.state != "running":
            continue
        if job.cancelling:
            store.move(job.id, "cancelled")
        elif not KINDS[job.kind].resumes:
            store.move(job.id, "interrupted", error="The service ended while this job ran. Ask for it again.")
        elif job.attempts >= ATTEMPTS:
            told = f"The service ended {job.attempts} times while this job ran, so it is not begun again. See the service's log, then ask for it again."
            store.move(job.id, "interrupted", error=told)
        else:
            store.move(job.id, "waiting")
            store.log(job.id, "The service ended and began anew; the job goes on where it was.")
    files.sweep(store.results(), {str(job.options.get("upload")) for job in store.open_jobs()})
