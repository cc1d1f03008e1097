"""What tests of builds share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from indexer import stages


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def forbid() -> None:
        def explode(*_args: Any, **_options: Any) -> None:
            raise AssertionError("a photo was read")

        monkeypatch.setattr(stages, "decode", explode)
        monkeypatch.setattr(stages, "read_bytes", explode)

    return forbid
