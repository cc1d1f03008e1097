"""Is it alive, is it ready, and what does it count?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from api.service import create_app, readiness
from api.service.metrics import CONTENT_TYPE, Metrics, job_states
from api.service.state import Service
from preprocess import LibraryDamaged
from search import Library

Connect, MakeSettings = Callable[..., TestClient], Callable[..., Any]


def until(ask: Callable[[], Any], wanted: Any, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while ask() != wanted:
        assert time.monotonic() < end, f"it stays {ask()}"
        time.sleep(0.01)


def counts(client: TestClient) -> dict[str, Any]:
    """Each sample by its name and labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {" ".join([sample.name, *sample.labels.values()]): sample.value for family in families for sample in family.samples}


def test_a_service_is_alive_at_once_and_ready_when_it_is_warm(
    service_settings: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, warm = threading.Event(), readiness.warm

    def slow(service: Service) -> None:
        gate.wait(5)
        warm(service)

    monkeypatch.setattr(readiness, "warm", slow)
    client = connect(service_settings)
    assert (client.get("/healthz").status_code, client.get("/healthz").json()) == (200, {"status": "ok"})
    early = client.get("/readyz")
    assert (early.status_code, early.json()["ready"]) == (503, False)
    assert "being loaded" in early.json()["reason"]
    gate.set()
    until(lambda: client.get("/readyz").status_code, 200)
    assert client.get("/readyz").json() == {"ready": True, "reason": None}


def test_warming_loads_what_a_search_needs(service_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(service_settings)
    readiness.warm(service)
    opened = []
    monkeypatch.setattr("api.service.state.encoder_for", lambda *_: opened.append(1))
    service.encoder(service.library())
    assert opened == []
    service.close()


def test_what_cannot_be_loaded_is_tried_again(service_settings: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def fails_twice(_service: Service) -> None:
        tried.append(1)
        if len(tried) < 3:
            raise LibraryDamaged(f"The cache in {service_settings.library} does not open.")

    monkeypatch.setattr(readiness, "warm", fails_twice)
    monkeypatch.setattr(readiness, "AGAIN_S", 0.2)
    client = connect(service_settings)
    until(lambda: client.get("/readyz").json()["reason"], "What a search needs cannot be loaded. The log says why.")
    until(lambda: client.get("/readyz").status_code, 200)
    assert len(tried) == 3


def test_an_empty_library_and_one_that_is_not_there_are_ready(
    bare_client: TestClient, make_settings: MakeSettings, connect: Connect
) -> None:
    until(lambda: bare_client.get("/readyz").status_code, 200)
    settings = make_settings()
    Library(settings.library.parent / "empty", create=True)
    empty = connect(settings.model_copy(update={"library": settings.library.parent / "empty"}))
    until(lambda: empty.get("/readyz").status_code, 200)
    assert counts(empty)["pellucid_photos"] == 0
    assert counts(bare_client)["pellucid_photos"] == 0


def test_ending_does_not_wait_for_loading(service_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(readiness, "warm", lambda _service: gate.wait(20))
    held = readiness.Readiness(Service(service_settings))
    held.begin()
    start = time.monotonic()
    held.end(0.1)
    assert time.monotonic() - start < 2
    gate.set()


def test_requests_are_counted_by_their_route(client: TestClient) -> None:
    for path in ("/healthz", "/healthz?q=1", "/v1/images/" + "0" * 64, "/nothing/here", "/nothing/there"):
        client.get(path)
    client.request("BREW", "/healthz")
    found = counts(client)
    assert found["pellucid_requests_total GET /healthz 200"] == 2
    assert found["pellucid_requests_total GET /v1/images/{digest} 404"] == 1
    assert found["pellucid_requests_total GET - 404"] == 2
    assert found["pellucid_requests_total OTHER /healthz 405"] == 1
    assert found["pellucid_request_seconds_count GET /healthz"] == 2
    assert not [name for name in found if "0000" in name or "there" in name]


def test_what_the_service_holds_is_told(client: TestClient) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"] == CONTENT_TYPE
    found = counts(client)
    assert found["pellucid_photos"] == 13
    assert found["pellucid_work_threads"] >= 1
    assert found["pellucid_work_inside"] == 1  # this one
    assert found["pellucid_overloads_total"] == 0
    assert found["pellucid_work_waiting"] == 0


@pytest.mark.skipif(not __import__("pathlib").Path("/proc/self/statm").exists(), reason="memory is told on Linux")
def test_memory_is_told(client: TestClient) -> None:
    assert counts(client)["process_resident_memory_bytes"] > 10_000_000


def test_two_services_do_not_mix(service_settings: Any) -> None:
    one, two = (Metrics(create_app(service_settings).state.service) for _ in range(2))
    one.count("GET", "/healthz", 200, 0.01)
    assert b'pellucid_requests_total{method="GET",route="/healthz",status="200"} 1.0' in one.text()
    assert b"/healthz" not in two.text()


def test_jobs_are_counted(service_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(service_settings)
    monkeypatch.setattr(service.jobs, "counts", lambda: {"running": 2, "failed": 1})
    text = Metrics(service).text().decode()
    assert 'pellucid_jobs{state="running"} 2.0' in text
    assert 'pellucid_jobs{state="failed"} 1.0' in text

    def damaged() -> dict[str, int]:
        raise LibraryDamaged("The jobs do not open.")

    monkeypatch.setattr(service.jobs, "counts", damaged)
    assert job_states(service) == {}
    service.close()
