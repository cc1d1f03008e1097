"""Every command of docs/api.md works as it stands there."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient

PAGE = Path(__file__).parents[3] / "docs" / "api.md"
HOST = "http://127.0.0.1:8000"


@dataclass
class Curl:
    """What a curl command asks for."""

    url: str = ""
    method: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    json: str | None = None
    query: list[str] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def parse(cls, command: str) -> Curl:
        """The command, of which every word must be understood."""
        found, words = cls(), iter(shlex.split(command)[1:])
        for word in words:
            if word == "-X":
                found.method = next(words)
            elif word == "-H":
                name, _, value = next(words).partition(": ")
                found.headers[name] = value
            elif word == "--json":
                found.json = next(words)
            elif word == "-d":
                found.query.append(next(words))
            elif word == "--data-urlencode":
                name, _, value = next(words).partition("=")
                found.query.append(urlencode({name: value}))
            elif word == "-F":
                name, _, value = next(words).partition("=")
                found.fields.append((name, value))
            elif word == "-o":
                next(words)
            elif word.startswith(HOST):
                found.url = word
            elif word != "-G":
                raise ValueError(word)
        return found

    def send(self, client: TestClient, photo: bytes) -> Any:
        """The answer."""
        url = self.url + ("?" + "&".join(self.query) if self.query else "")
        if self.fields:
            parts = [
                (name, (None, value.partition(";type=")[0]) if not value.startswith("@") else (value[1:], photo))
                for name, value in self.fields
            ]
            return client.request("POST", url, headers=self.headers, files=parts)
        headers = self.headers | ({"Content-Type": "application/json"} if self.json else {})
        return client.request(self.method or ("POST" if self.json else "GET"), url, headers=headers, content=self.json)


def commands() -> list[str]:
    """The curl commands of the page, continued lines joined."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    found: list[str] = []
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("curl "):
                found.append(line)
            elif line.startswith(" ") and found:
                found[-1] += "\n" + line
    return found


def test_every_command_works(client: TestClient, service_photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.service.job_runner.Jobs._startable", lambda *_: None)  # jobs are taken on, and wait
    photo = (service_photos / "trip" / "red and blue é.jpg").read_bytes()
    digest = next(found["digest"] for found in client.get("/v1/images").json()["photos"] if found["path"] == "red.png")
    said = {}
    for command in commands():
        answer = Curl.parse(command.replace("$DIGEST", digest)).send(client, photo)
        said[command] = answer.status_code
    assert len(said) > 25
    assert {command: status for command, status in said.items() if status // 100 != 2} == {}


def test_the_page_names_every_path_of_the_openapi(client: TestClient) -> None:
    text = PAGE.read_text(encoding="utf-8")
    left = {"/v1/session"}  # for browsers
    for path in client.get("/v1/openapi.json").json()["paths"]:
        literal = re.sub(r"\{digest\}", "$DIGEST", re.sub(r"\{job_id\}", "<id>", re.sub(r"\{(run|earlier|later)\}", r"<\1>", path)))
        literal = literal.replace("{format}", "coco").replace("{tag}", "red").replace("<run>:promote", "<run>:retract")
        if path.startswith("/v1/") and path not in left and path != "/v1/tag-runs/{run}":
            assert literal in text, path
