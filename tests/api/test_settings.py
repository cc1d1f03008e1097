from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.settings import Settings, load_settings
from preprocess import SettingsError


def write(text: str, file: str = "pellucid.toml") -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(text, encoding="utf-8")


def test_defaults(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.model_dump() == {
        "library": tmp_path / "home" / "data" / "pellucid" / "library", "encoder": None, "precision": "auto", "runtime": "auto",
        "models": tmp_path / "home" / "data" / "pellucid" / "models", "dehaze": None, "regions": None, "exclude": [], "include_hidden": False,
        "max_megapixels": 180, "jobs": 0, "allow_private_urls": False, "server": None, "server_key": None, "serve_workers": 0, "serve_queue": 32, "serve_wait_s": 30, "serve_upload_mb": 64,
        "serve_rate": 600, "serve_roots": [], "serve_fetch_urls": False, "serve_cors": [], "serve_host": "127.0.0.1", "serve_port": 8000, "serve_hosts": [],
        "serve_root_path": "", "serve_proxies": [],
    }  # fmt: skip


def test_command_line_before_environment_before_file_before_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = tmp_path / "home" / "config" / "pellucid" / "pellucid.toml"
    seen = [load_settings().jobs]
    write("jobs = 1", str(user))
    seen.append(load_settings().jobs)
    write("jobs = 2")
    seen.append(load_settings().jobs)
    monkeypatch.setenv("PELLUCID_JOBS", "3")
    seen.append(load_settings().jobs)
    seen.append(load_settings(jobs=4).jobs)
    assert seen == [0, 1, 2, 3, 4]


def test_what_is_not_given_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCID_ENCODER", "")
    write("include_hidden = true")
    assert load_settings(include_hidden=None, encoder=None).include_hidden
    assert load_settings(include_hidden=False).include_hidden is False
    assert load_settings().encoder is None


def test_every_setting_has_a_variable_and_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "library": "/l",
        "encoder": "e",
        "precision": "int8",
        "runtime": "onnx",
        "models": "/m",
        "dehaze": "none",
        "regions": "proposals",
        "exclude": ["*.gif"],
        "include_hidden": True,
        "max_megapixels": 12.5,
        "jobs": 3,
        "allow_private_urls": True,
        "server": "http://127.0.0.1:8000",
        "server_key": "plk_x",
        "serve_workers": 3,
        "serve_queue": 5,
        "serve_wait_s": 2.5,
        "serve_upload_mb": 10.5,
        "serve_rate": 60,
        "serve_roots": ["/r"],
        "serve_fetch_urls": True,
        "serve_cors": ["https://a.example"],
        "serve_host": "::1",
        "serve_port": 9000,
        "serve_hosts": ["photos.example.org"],
        "serve_root_path": "/photos",
        "serve_proxies": ["10.0.0.1"],
    }
    assert set(values) == set(Settings.model_fields)
    import json

    write("\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items()))
    expected = {**values, "library": Path("/l"), "models": Path("/m"), "serve_roots": [Path("/r")]}
    assert load_settings().model_dump() == expected
    Path("pellucid.toml").unlink()
    for name, value in values.items():
        monkeypatch.setenv(f"PELLUCID_{name.upper()}", value if isinstance(value, str) else json.dumps(value))
    assert load_settings().model_dump() == expected


WRONG_VARIABLES = [
    ("PELLUCID_LIBARY", "x", r"no environment variable PELLUCID_LIBARY\. Did you mean PELLUCID_LIBRARY\? Known: "),
    ("pellucid_libary", "x", r"no environment variable"),
    ("PELLUCID_", "x", r"no environment variable"),
    ("PELLUCID_42", "x", r"no environment variable PELLUCID_42\. Known: PELLUCID_LIBRARY"),
    ("PELLUCID_JOBS", "many", r"'jobs' is 'many'"),
    ("PELLUCID_JOBS", "-1", r"'jobs' is '-1': .*greater than or equal to 0"),
    ("PELLUCID_MAX_MEGAPIXELS", "0", r"'max_megapixels' is '0'"),
    ("PELLUCID_PRECISION", "int4", r"'precision' is 'int4': .*'auto', 'fp32' or 'int8'"),
    ("PELLUCID_RUNTIME", "jax", r"'runtime' is 'jax': .*'auto', 'onnx' or 'torch'"),
    ("PELLUCID_INCLUDE_HIDDEN", "perhaps", r"'include_hidden' is 'perhaps'"),
    ("PELLUCID_SERVE_PORT", "65536", r"'serve_port' is '65536'"),
    ("PELLUCID_SERVE_RATE", "0", r"'serve_rate' is '0'"),
    ("PELLUCID_SERVE_ROOT_PATH", "photos/", r"'serve_root_path' is 'photos/'"),
    ("PELLUCID_EXCLUDE", "*.gif", r"environment variable is wrong.*exclude.*PELLUCID_EXCLUDE='\[\"\*\.gif\"\]'"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG_VARIABLES)
def test_a_wrong_variable_is_refused(name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=message):
        load_settings()


WRONG_FILES = [
    ('libary = "x"', r"no key in pellucid\.toml libary\. Did you mean library\? Known: library, encoder"),
    ("[index]\njobs = 1", r"no key in pellucid\.toml index"),
    ('jobs = "many"', r"'jobs' is 'many'"),
    ("jobs = ", r"pellucid\.toml cannot be read"),
    ("exclude = 3", r"'exclude' is 3"),
]


@pytest.mark.parametrize(("text", "message"), WRONG_FILES)
def test_a_wrong_file_is_refused(text: str, message: str) -> None:
    write(text)
    with pytest.raises(SettingsError, match=message):
        load_settings()


def test_a_wrong_setting_ends_a_command_with_code_2(pellucid: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCID_LIBARY", "x")
    ran = pellucid("stats")
    assert (ran.code, ran.out) == (2, "")
    assert "Did you mean PELLUCID_LIBRARY?" in ran.err


def test_variables_of_others_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCIDX", "x")
    monkeypatch.setenv("MY_PELLUCID_JOBS", "x")
    monkeypatch.setenv("PELLUCID_LIBRARY", "~/photos library")
    assert load_settings().library == Path("~/photos library")
