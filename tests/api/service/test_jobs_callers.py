"""Whose a job is, by the key and not by its name; and that nobody watches on whose key opens nothing any more."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.service import job_events
from api.service.access import COOKIE
from api.service.keys import KeyStore
from api.settings import Settings
from tests.api.service.test_jobs import FAKE, HANG

TAG = {"kind": "tag", "options": {"where": "hang"}}

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX systems")


def bearer(token: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **more}


def test_a_new_key_with_an_old_name_owns_nothing_of_the_old_one(service_settings: Settings, connect: Callable[..., TestClient]) -> None:
    store = KeyStore(service_settings.library)
    first = store.create("tag", "alice")[1]
    client = connect(service_settings)
    client.app.state.service.jobs.command = FAKE  # type: ignore[attr-defined]
    once = {"Idempotency-Key": "once"}
    jobs = [client.post("/v1/jobs", json=TAG, headers=bearer(first, **once)).json() for _ in range(2)]
    assert jobs[0]["id"] == jobs[1]["id"]
    store.revoke("alice")
    second = store.create("tag", "alice")[1]
    assert client.delete(f"/v1/jobs/{jobs[0]['id']}", headers=bearer(second)).status_code == 403
    other = client.post("/v1/jobs", json=TAG, headers=bearer(second, **once))
    assert (other.status_code, other.json()["id"] != jobs[0]["id"]) == (202, True)
    assert client.delete(f"/v1/jobs/{other.json()['id']}", headers=bearer(second)).status_code == 200


@pytest.mark.parametrize("how", ["key revoked", "key of the session revoked", "session ended", "first key made"])
def test_who_is_let_in_no_more_watches_no_more(
    service_settings: Settings, connect: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(job_events, "HEARTBEAT_S", 0.05)
    client = connect(service_settings)
    jobs, store = client.app.state.service.jobs, KeyStore(service_settings.library)  # type: ignore[attr-defined]
    jobs.command = FAKE
    job_id = client.post("/v1/jobs", json=HANG).json()["id"]
    headers: dict[str, str] = {}
    if how != "first key made":
        key, token = store.create("read", "reader")
        session = store.begin_session(key)[0]
        headers = bearer(token) if how == "key revoked" else {"Cookie": f"{COOKIE}={session}"}
    answers: list[Any] = []
    watcher = threading.Thread(target=lambda: answers.append(client.get(f"/v1/jobs/{job_id}/events", headers=headers)))
    watcher.start()
    try:
        end = time.monotonic() + 10
        while not jobs.watchers and time.monotonic() < end:
            time.sleep(0.01)
        watcher.join(0.3)
        assert watcher.is_alive()  # many times as long as it takes to look
        if how == "first key made":
            store.create("read", "reader")
        elif how == "session ended":
            store.end_session(session)
        else:
            store.revoke("reader")
        watcher.join(5)
        assert not watcher.is_alive()
    finally:
        jobs.cancel(job_id)
        watcher.join()
    assert (answers[0].status_code, "event: state" in answers[0].text) == (200, True)
    assert client.get(f"/v1/jobs/{job_id}", headers=headers).status_code == 401
