"""The files to run the service with, as far as they can be looked at without a container engine or systemd."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from api.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
FILES = ("Dockerfile", "deploy/compose.yaml", "deploy/pellucid.service", "docs/deploy.md")


def variables(text: str) -> dict[str, str]:
    """Settings and their values, as any of the files writes them."""
    found = re.findall(r"""PELLUCID_([A-Z_]+)\s*[=:]\s*("[^"\n]*"|'[^'\n]*'|\[[^\]\n]*\]|[^\s'\\]+)""", text)
    return {name.lower(): value.strip("'") for name, value in found}


@pytest.mark.parametrize("name", FILES)
def test_every_setting_that_is_named_there_is_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    found = variables(text)
    assert found
    assert set(found) <= set(Settings.model_fields)
    for setting, value in found.items():
        monkeypatch.setenv(f"PELLUCID_{setting.upper()}", value)
    given = load_settings().model_dump(mode="json")
    for setting, value in found.items():
        assert given[setting] == (json.loads(value) if value.startswith("[") else value)


def test_every_setting_of_the_service_is_explained() -> None:
    text = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        if name.startswith("serve_"):
            assert f"`{name}`" in text, name
            assert field.description


def test_the_image_gets_every_package_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {package.partition(".")[0] for package in project["tool"]["setuptools"]["packages"]}
    needed = {"pyproject.toml", "constraints.txt", project["project"]["readme"], *project["project"]["license-files"]}
    assert allowed == packages | needed | {"api/web/dist"}
    assert "api/web/*" in lines
    assert any(fnmatch.fnmatch("api/service/__pycache__", line.replace("**/", "*")) for line in lines)


def test_the_image_runs_as_nobody_special_and_says_how_it_is() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    steps = [line.split()[0] for line in re.sub(r"\\\n", " ", text).splitlines() if line and line[0].isupper()]
    last = text[text.rindex("\nFROM ") :]
    assert steps.count("FROM") == 2
    assert re.search(r"^USER (\d+):\1$", last, re.MULTILINE)
    assert last.index("\nUSER ") > last.rindex("\nRUN ")
    assert "torch" not in re.sub(r"#.*", "", text)
    health = json.loads(re.search(r"HEALTHCHECK .*\\\n\s+CMD (\[.*\])", last)[1])  # type: ignore[index]
    compile(health[2], "health", "exec")
    assert "/healthz" in health[2]


def test_compose_takes_away_what_can_be_taken_away() -> None:
    service = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text(encoding="utf-8"))["services"]["pellucid"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert next(volume for volume in service["volumes"] if "photos" in volume).endswith(":/photos:ro")
    assert service["user"] == "10001:10001"


def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    text = (ROOT / "deploy/pellucid.service").read_text(encoding="utf-8")
    unit = tmp_path / "pellucid.service"
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    ran = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=30, check=False)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")
