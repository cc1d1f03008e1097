"""The command line, called in this process and in one of its own, away from the user's own settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variables, no file of settings, no library of the person who runs the tests."""
    for name in list(os.environ):
        if name.upper().startswith("PELLUCID_"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    (home / "work").mkdir(parents=True)
    for name, folder in {"HOME": home, "XDG_CONFIG_HOME": home / "config", "XDG_DATA_HOME": home / "data"}.items():
        monkeypatch.setenv(name, str(folder))
    monkeypatch.chdir(home / "work")


Command = Callable[..., Ran]


@pytest.fixture
def pellucid(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """`pellucid ARGUMENT...` in this process."""
    from api.cli import main

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["pellucid", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else int(code is not None), out, err)

    return run


@pytest.fixture
def installed() -> Command:
    """`pellucid ARGUMENT...` as people run it: the installed command, in a process of its own."""
    command = Path(sys.executable).with_name("pellucid")

    def run(*arguments: object, **variables: str) -> Ran:
        if not command.is_file():
            pytest.skip("the command is not installed beside this Python")
        done = subprocess.run(
            [command, *map(str, arguments)], capture_output=True, timeout=120, check=False, env={**os.environ, **variables}
        )
        return Ran(done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr))

    return run
