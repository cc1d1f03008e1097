"""Texts that are no UTF-8, in what is asked of jobs and in what comes of them: names of files on a disk may be so, and JSON can say half of a character."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.service.test_jobs import ended, told

ODD = (sys.executable, "-I", "-S", "-c", r"""
import json, sys
sys.stdin.readline()
print(json.dumps({"log": "read odd\udcfe.txt"}), flush=True)
print(json.dumps({"progress": {"stage": "odd\udcfe", "done": 1, "total": 2}}), flush=True)
print(json.dumps({"ended": "finished", "outcome": {"failed": {"/caf\u00e9/odd\udcfe.txt": ["no picture: odd\udcfe.txt"]}}, "result": None}), flush=True)
""")  # fmt: skip

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX systems")


def test_a_name_that_is_no_text_keeps_no_job_from_being_shown(client: TestClient) -> None:
    jobs = client.app.state.service.jobs  # type: ignore[attr-defined]
    jobs.command = ODD
    job = ended(client, client.post("/v1/jobs", json={"kind": "index"}).json())
    assert job["outcome"] == {"failed": {r"/café/odd\udcfe.txt": [r"no picture: odd\udcfe.txt"]}}
    assert job["progress"]["stage"] == r"odd\udcfe"
    assert client.get("/v1/jobs").json()["jobs"] == [job]
    said = told(client, job["id"])
    assert [facts["line"] for _, kind, facts in said if kind == "log"] == [r"read odd\udcfe.txt"]
    assert said[-1][2] == job


HALF = "\ud800"
ASKED: list[Any] = [
    {"kind": "score", "options": {"axes": [HALF]}},
    {"kind": "index", "options": {"roots": [f"/photos/{HALF}"]}},
    {"kind": "tag", "options": {"labels": ["dog", f"cat{HALF}"]}},
    {"kind": "tag", "options": {HALF: 1}},
]


@pytest.mark.parametrize("asked", ASKED)
def test_half_of_a_character_is_refused(client: TestClient, asked: Any) -> None:
    answer = client.post("/v1/jobs", content=json.dumps(asked), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert "half of a character" in answer.json()["detail"]
    assert client.get("/v1/jobs").json()["total"] == 0


def test_whole_characters_beyond_the_first_plane_are_text(client: TestClient) -> None:
    answer = client.post(
        "/v1/jobs", content=b'{"kind": "tag", "options": {"vocabulary": "\\ud83d\\ude00"}}', headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, "\U0001f600" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("axes", "said"), [(["qualty"], "Did you mean 'quality'"), (["rating"], "No axis named 'rating'"), ([""], "No axis named ''")]
)
def test_axes_are_known_before_a_job_is_taken_on(client: TestClient, axes: list[str], said: str) -> None:
    answer = client.post("/v1/jobs", json={"kind": "score", "options": {"axes": axes}})
    assert answer.status_code == 400
    assert said in answer.json()["detail"]
    assert client.get("/v1/jobs").json()["total"] == 0
