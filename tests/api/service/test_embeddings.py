"""Vectors of texts and pictures, as OpenAI's clients ask for them."""

from __future__ import annotations

import base64
import io
import json
import threading
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from api.service.embeddings_routes import beside_pictures
from api.service.schemas_models import EmbeddingsAsked


def _data_url(colour: tuple[int, int, int] = (220, 30, 30), kind: str = "PNG") -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _ask(client: TestClient, **given: Any) -> Any:
    return client.post("/v1/embeddings", json={"model": "default", **given})


def _rows(told: dict[str, Any]) -> np.ndarray[Any, Any]:
    """As OpenAI's Python client reads them."""
    return np.stack([
        np.frombuffer(base64.b64decode(each["embedding"]), dtype="<f4") if isinstance(each["embedding"], str) else np.array(each["embedding"])
        for each in told["data"]
    ])  # fmt: skip


def test_what_openai_s_client_sends_is_answered_as_it_reads_it(client: TestClient) -> None:
    """Its default is base64, and headers of its own."""
    headers = {"authorization": "Bearer anything", "x-stainless-lang": "python", "openai-organization": "nobody"}
    body = {"input": ["red", "blue"], "model": "default", "encoding_format": "base64"}
    answer = client.post("/v1/embeddings", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["object"], told["model"]) == ("list", "mean-colour")
    assert [(each["object"], each["index"]) for each in told["data"]] == [("embedding", 0), ("embedding", 1)]
    assert told["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    rows = _rows(told)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    assert _rows(_ask(client, input=["red", "blue"]).json()) == pytest.approx(rows, abs=1e-7)


def test_one_text_is_a_list_of_one(client: TestClient) -> None:
    told = _ask(client, input="red and blue", user="me").json()
    assert len(told["data"]) == 1
    assert told["usage"]["prompt_tokens"] == 3


def test_pictures_and_texts_lie_in_one_space_and_keep_their_order(client: TestClient) -> None:
    rows = _rows(_ask(client, input=["blue", _data_url(), "red", _data_url((30, 50, 220), "JPEG")]).json())
    assert rows[1] @ rows[2] > 0.99 > 0.6 > rows[1] @ rows[0]
    assert rows[3] @ rows[0] > 0.98


def test_the_encoder_s_own_name_is_a_model_and_another_is_not(client: TestClient) -> None:
    assert _ask(client, input="red", model="mean-colour").status_code == 200
    answer = _ask(client, input="red", model="text-embedding-3-small")
    assert answer.status_code == 404
    assert "'mean-colour'" in answer.json()["detail"]


def test_vectors_are_not_shortened(client: TestClient) -> None:
    assert _ask(client, input="red", dimensions=49).status_code == 200
    answer = _ask(client, input="red", dimensions=8)
    assert answer.status_code == 422
    assert "49 numbers" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([1, 2, 3], "tokens"),
        ([[1, 2], [3]], "tokens"),
        ([], "input"),
        ("", "input"),
        (["red", ""], "input"),
        (["red"] * 257, "input"),
        (None, "input"),
        ({"a": 1}, "input"),
        (["red", None], "input"),
        (["red", "x" * 20_001], "input[1] has 20,001 letters"),
        (["data:text/plain;base64,AAAA"], "input[0] is a data: URL of another form"),
        (["data:image/png,AAAA"], "input[0] is a data: URL of another form"),
        (["red", "data:image/png;base64,A*A="], "input[1] is not valid base64"),
        (["data:image/png;base64,"], "input[0] is empty"),
        (["data:image/png;base64,AAAA"], "input[0]"),
        (["data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode()], "markup"),
        ("data:" + "x" * 1_000, "input[0] is a data: URL of another form"),
    ],
)
def test_what_cannot_be_embedded_says_which_and_why(client: TestClient, given: Any, said: str) -> None:
    answer = _ask(client, input=given)
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    "body", [{}, {"input": "red", "odd": 1}, {"input": "red", "encoding_format": "hex"}, {"input": "red", "dimensions": 0}, [], "red"]
)
def test_another_form_is_422(client: TestClient, body: Any) -> None:
    assert client.post("/v1/embeddings", json=body).status_code == 422


def test_texts_of_any_letters(client: TestClient) -> None:
    told = _ask(client, input=["写真 ☀ é", "\u202e\u0000 red", "🏖" * 50, " "]).json()
    assert np.isfinite(_rows(told)).all()


def test_without_a_library_the_encoder_of_the_settings_answers(bare_client: TestClient) -> None:
    assert _ask(bare_client, input="red").json()["model"] == "mean-colour"


def test_a_large_request_is_read_in_a_thread_of_the_work(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    threads, read = [], EmbeddingsAsked.model_validate_json

    def noted(*given: Any, **options: Any) -> EmbeddingsAsked:
        threads.append(threading.current_thread().name)
        return read(*given, **options)

    monkeypatch.setattr(EmbeddingsAsked, "model_validate_json", noted)
    picture = _data_url()
    answer = _ask(client, input=[picture, picture.replace(";", ";x=" + "y" * 200 + ";", 1)])
    assert answer.status_code == 200, answer.text
    assert threads
    assert all(name.startswith("request") for name in threads)


def test_a_large_request_is_pictures(client: TestClient) -> None:
    """What is not could take a gigabyte of memory."""
    body = json.dumps({"input": "red", **{f"unknown {n}": 1 for n in range(60_000)}}).encode()
    answer = client.post("/v1/embeddings", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert "several requests" in answer.json()["detail"]
    pixels = np.random.default_rng(0).integers(0, 255, (800, 700, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    text = json.dumps({"input": ["red", f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"]})
    assert len(text) > 2_000_000
    assert beside_pictures(text.encode()) < 10_000
    for each in (text, text.replace("/", "\\/")):
        answer = client.post("/v1/embeddings", content=each.encode(), headers={"Content-Type": "application/json"})
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [(b'{"input": "red"}', "application/json; charset=utf-8", 200), (b'{"input": "red"}', "application/vnd.x+json", 200),
     (b'{"input": "red"}', "text/plain", 415), (b'{"input": "red"}', "", 415), (b'{"input": "\\ud800"}', "application/json", 422),
     (b"\xff", "application/json", 422), (b"[" * 500_000, "application/json", 422), (b"", "application/json", 422)],
)  # fmt: skip
def test_how_it_is_sent(client: TestClient, body: bytes, kind: str, status: int) -> None:
    answer = client.post("/v1/embeddings", content=body, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == status, answer.text
    assert status != 422 or answer.json()["errors"][0]["field"].startswith("body")
