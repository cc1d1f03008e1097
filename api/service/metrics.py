"""What Prometheus asks for, in a registry of its own, so that two services in one process do not mix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from preprocess import PellucidError

if TYPE_CHECKING:
    from .state import Service

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counts of requests, and what the service holds at the moment of asking. Memory, files and processor time are those of the process (Linux)."""

    def __init__(self, service: Service) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter("pellucid_requests", "Requests", ["method", "route", "status"], registry=self.registry)
        self._seconds = Histogram(
            "pellucid_request_seconds", "Seconds of requests", ["method", "route"], buckets=SECONDS, registry=self.registry
        )
        self.registry.register(_Now(service))
        ProcessCollector(registry=self.registry)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request that has ended. `route` is a template, of which there are few, never an address."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        """The page for Prometheus. Blocks where the library is to be looked at."""
        return generate_latest(self.registry)


class _Now(Collector):
    """What can be counted at any time."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: registering must not open the library."""
        return []

    def collect(self) -> Iterable[Metric]:
        """What there is now."""
        workers = self.service.workers
        waiting = max(0, workers.inside - workers.threads)
        yield GaugeMetricFamily("pellucid_work_inside", "Calls that are worked on or wait for a thread", workers.inside)
        yield GaugeMetricFamily("pellucid_work_waiting", "Calls that wait for a thread", waiting)
        yield GaugeMetricFamily("pellucid_work_threads", "Threads that do the work of requests", workers.threads)
        yield CounterMetricFamily("pellucid_overloads", "Requests that were told to come again", workers.overloads)
        jobs = GaugeMetricFamily("pellucid_jobs", "Jobs by their state", labels=["state"])
        for state, count in sorted(job_states(self.service).items()):
            jobs.add_metric([state], count)
        yield jobs
        yield GaugeMetricFamily("pellucid_photos", "Photos that can be found", photos(self.service))


def job_states(service: Service) -> dict[str, int]:
    """How many jobs are in each state; none where that cannot be told now."""
    try:
        return service.jobs.counts()
    except PellucidError:
        return {}


def photos(service: Service) -> int:
    """How many photos can be found now; none where there is no library yet, or none that can be opened."""
    try:
        library = service.library()
        if library.file.current is None:
            return 0
        with service.derived(library) as derived:
            return derived.photos
    except PellucidError:
        return 0
