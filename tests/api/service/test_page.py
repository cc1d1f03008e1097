"""The page's files: where they are served, how they may be kept, and that they are what the sources make."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.service import create_app, page_routes
from api.settings import load_settings

WEB = Path(page_routes.__file__).parents[1] / "web"
DIST = WEB / "dist"
ASSETS = sorted(file.name for file in (DIST / "assets").iterdir())


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """Of a service that has no library: the page needs none."""
    return client_below(tmp_path_factory.mktemp("page"), "")


def client_below(folder: Path, root: str) -> TestClient:
    app = create_app(load_settings(library=folder / "no library"))
    return TestClient(app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50_000), root_path=root, follow_redirects=False)


def test_the_page_is_served_and_asked_for_anew_each_time(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert '<div id="page">' in answer.text
    again = client.get("/", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "Content-Security-Policy" not in again.headers  # a browser would put it in the place of the page's
    assert client.get("/", headers={"if-none-match": '"another"'}).status_code == 200


@pytest.mark.parametrize("view", page_routes.VIEWS)
def test_addresses_that_the_page_understands_give_the_page(client: TestClient, view: str) -> None:
    page = client.get("/").content
    assert client.get(f"/{view}").content == page
    assert client.get(f"/{view}/a/b?q=dog").content == page


def test_other_addresses_give_no_page(client: TestClient) -> None:
    for address in ("/nothing", "/v1/nothing", "/photos", "/index.html", "/dist/index.html", "/sources.sha256"):
        answer = client.get(address)
        assert answer.status_code == 404, address
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_strict_policy_lets_the_page_run_and_nothing_inline(client: TestClient) -> None:
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
    for tag in re.findall(r"<script[^>]*>|<style[^>]*>|<link[^>]*>", answer.text):
        assert "src=" in tag or "href=" in tag, tag
    assert not re.search(r"\son\w+=|style=|https?://", answer.text)


@pytest.mark.parametrize("name", ASSETS)
def test_assets_are_kept_for_good_and_come_small(client: TestClient, name: str) -> None:
    small = client.get(f"/assets/{name}")
    body = (DIST / "assets" / name).read_bytes()
    assert small.content == body
    assert small.headers["content-type"] == page_routes.TYPES[Path(name).suffix]
    assert "immutable" in small.headers["cache-control"]
    plain = client.get(f"/assets/{name}", headers={"accept-encoding": "identity"})
    assert plain.content == body
    assert "content-encoding" not in plain.headers
    if Path(name).suffix in (".js", ".css"):
        assert small.headers["content-encoding"] == "gzip"
        assert small.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "name", ["../index.html", "..%2findex.html", "%2e%2e/%2e%2e/app.py", "nothing.js", "", "a\\b.js", ".js", "con", "index.html"]
)
def test_nothing_beside_the_assets_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"/assets/{name}").status_code == 404


def test_the_first_view_is_small() -> None:
    page = (DIST / "index.html").read_text(encoding="utf-8")
    first = [DIST / path for path in re.findall(r'"\./(assets/[^"]+)"', page)]
    assert {file.suffix for file in first} == {".js", ".css"}
    assert sum(len(gzip.compress(file.read_bytes(), 9)) for file in first) < 150_000


def test_below_a_path_of_a_proxy_all_parts_are_found(tmp_path: Path) -> None:
    client = client_below(tmp_path, "/photos")
    text = client.get("/photos/jobs/1").text
    parts = re.findall(r'(?:src|href|content)="(/[^"]*)"', text)
    assert "/photos/" in parts
    assert [client.get(part).status_code for part in parts if part != "/photos/"] == [200] * (len(parts) - 1)
    assert len(parts) >= 4
    assert all(part.startswith("/photos/") for part in parts)


def test_the_assets_are_what_the_sources_make() -> None:
    """Without npm: the build wrote the checksums of its sources. `npm run check` in api/web compares every byte."""
    lines = (DIST / "sources.sha256").read_text(encoding="utf-8").splitlines()
    noted = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    folders = [*(WEB / "src").rglob("*"), *(WEB / "public").rglob("*")]
    single = [
        WEB / name
        for name in ("index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "schemas.json", "dev/finish.mjs")
    ]
    now = {file.relative_to(WEB).as_posix(): sha256(file.read_bytes()).hexdigest() for file in [*folders, *single] if file.is_file()}
    changed = sorted(name for name in {*noted, *now} if noted.get(name) != now.get(name))
    assert not changed, "api/web/dist is stale: cd api/web && npm ci && npm run build"


def test_the_shapes_that_the_page_knows_are_those_of_the_service() -> None:
    made = subprocess.run(
        [sys.executable, WEB / "dev" / "schemas.py"], capture_output=True, text=True, check=True, cwd=WEB.parents[1]
    ).stdout
    committed = (WEB / "schemas.json").read_text(encoding="utf-8")
    assert json.loads(made) == json.loads(committed), (
        "python api/web/dev/schemas.py > api/web/schemas.json && cd api/web && npm run types && npm run build"
    )


def test_the_lock_file_names_no_registry() -> None:
    assert "resolved" not in (WEB / "package-lock.json").read_text(encoding="utf-8")


def test_third_parties_are_named_with_licences_that_allow_it() -> None:
    text = (DIST / "THIRD_PARTY.md").read_text(encoding="utf-8")
    licences = re.findall(r"^Licence: (.+)$", text, re.MULTILINE)
    asked = json.loads((WEB / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert all(f"## {name} " in text for name in asked)
    assert set(licences) <= {"MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0"}
