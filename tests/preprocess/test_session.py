"""Running graphs leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ENCODE = "from search import load_encoder; load_encoder('builtin').encode_texts(['a cat'])"
QUANTIZE = "import search; import onnxruntime.quantization, onnxruntime; onnxruntime.InferenceSession"


def ran(code: str, home: Path) -> list[Path]:
    """What a fresh process leaves in a home folder that was empty."""
    names = {name: str(home) for name in ("HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA")}
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY" and not name.startswith("XDG_")}
    subprocess.run([sys.executable, "-c", code], env=kept | names, check=True, capture_output=True, timeout=60)
    return [file for file in home.rglob("*") if file.is_file()]


@pytest.mark.parametrize("code", [ENCODE, QUANTIZE], ids=["encode", "quantize"])
def test_the_runtime_keeps_no_identifier_and_no_events(code: str, tmp_path: Path) -> None:
    assert ran(code, tmp_path) == []


def test_the_check_above_can_fail(tmp_path: Path) -> None:
    if not ran("import onnxruntime, numpy; onnxruntime.get_available_providers()", tmp_path):
        pytest.skip("this build of onnxruntime tells nobody anything")
